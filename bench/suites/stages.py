"""What a stage costs by the way in which it is written: on trio, in a thread, in a worker process, as a function to call, storing."""

from collections.abc import Callable, Mapping
from functools import partial
from tempfile import TemporaryDirectory
from typing import Any, ClassVar, Final, Literal

import trio

from bench import pipelines
from bench.model import OURS, Case, Scale, Subject
from bench.timing import CPU, WALL, Stopwatch
from factflow_engine import (
    AdapterResult,
    OrchestratorManager,
    PipelineAdapter,
    PipelineContext,
    PipelineOrchestrator,
    StorageProtocol,
    open_storage,
)

THREAD: Final = "def"
PROCESS: Final = "def, in a worker process"
CALL: Final = "call"
CALL_ASYNC: Final = "call_async"

_WARM: Final = 16
"""Messages before the measured ones: threads and processes have been started by then."""


class InThread(PipelineAdapter):
    """Looks at nothing, in a thread."""

    def process(self, context: PipelineContext) -> AdapterResult:
        return AdapterResult.forward()


class InProcess(InThread):
    """Looks at nothing, in a worker process."""

    runs_in: ClassVar[Literal["thread", "process"] | None] = "process"


def function(message: dict[str, Any]) -> dict[str, Any]:
    """What `call` calls."""
    return message


async def function_async(message: dict[str, Any]) -> dict[str, Any]:
    """What `call_async` calls."""
    return message


def cases(scale: Scale) -> list[Case]:
    """Each way, doing nothing; and what storing costs."""
    many, some, few = scale.of(20_000), scale.of(4_000), scale.of(800)
    return [
        Case(
            name="ways to write a stage",
            answers="A route with one stage that does nothing: what does a message cost, by the way in which the stage is written?",
            metrics=(WALL, CPU),
            subjects=(
                Subject(name=OURS, measure=_measure("pass", many), note="async def process, forwards"),
                Subject(name=THREAD, measure=_measure("in_thread", some), note="def process, forwards, in a thread"),
                Subject(
                    name=PROCESS,
                    measure=_measure("in_process", few),
                    note="runs_in process, forwards; cpu is that of the engine's process alone",
                ),
                Subject(
                    name=CALL,
                    measure=_measure("call, config: {function: 'bench.suites.stages:function'}", some),
                    note="decodes, calls in a thread, encodes",
                ),
                Subject(
                    name=CALL_ASYNC,
                    measure=_measure("call_async, config: {function: 'bench.suites.stages:function_async'}", many),
                    note="decodes, awaits, encodes",
                ),
            ),
            rounds=9,
        ),
        _storing(scale),
    ]


def _storing(scale: Scale) -> Case:
    many, some, few = scale.of(20_000), scale.of(4_000), scale.of(400)
    in_memory = partial(open_storage, "memory://")
    return Case(
        name="storing",
        answers="What does a message cost whose stage stores what it made, in memory and in a folder that waits for the disk?",
        metrics=(WALL, CPU),
        subjects=(
            Subject(name=OURS, measure=_measure("pass", many), note="nothing is stored"),
            Subject(
                name="store: true, in memory", measure=_measure("pass, store: true", some, in_memory), note="as msgpack"
            ),
            Subject(
                name="store_object, in memory",
                measure=_measure("store_object, config: {result_field: stored}", some, in_memory),
                note="a stage of its own; the message gets the result",
            ),
            Subject(
                name="store: true, in a folder",
                measure=_in_a_folder("pass, store: true", few),
                note="durable before the message goes on: 4 waits for the disk each, 8 messages at a time",
            ),
        ),
        rounds=5,
    )


def _in_a_folder(stage: str, count: int) -> Callable[[], Mapping[str, float]]:
    def measure() -> Mapping[str, float]:
        with TemporaryDirectory() as folder:
            return _measure(stage, count, partial(open_storage, f"file://{folder}/objects"))()

    return measure


def _measure(
    stage: str, count: int, storage: Callable[[], StorageProtocol] | None = None
) -> Callable[[], Mapping[str, float]]:
    known = pipelines.registry(in_thread=InThread, in_process=InProcess)
    config = pipelines.load(f'version: "1.0"\nroutes: {{r0: {{adapters: [{{type: {stage}}}]}}}}', known)

    async def run() -> Mapping[str, float]:
        store = None if storage is None else storage()
        async with OrchestratorManager(registry=known, storage=store) as manager:
            execution = await manager.start(config)
            await _carry(execution, _WARM)
            with Stopwatch() as watch:
                await _carry(execution, count)
            pipelines.all_ended(await execution.complete(), count + _WARM, hops=1)
            if store is not None:
                objects = [key async for key in store.list(f"executions/{execution.id}/")]
                assert len(objects) == count + _WARM
            return watch.per(count)

    return lambda: trio.run(run)


async def _carry(execution: PipelineOrchestrator, count: int) -> None:
    until = execution.statistics().routes["r0"].completed + count
    for start in range(0, count, pipelines.BATCH):
        await execution.publish_batch(
            "r0", [{"n": number} for number in range(start, min(count, start + pipelines.BATCH))]
        )
    while execution.statistics().routes["r0"].completed < until:  # noqa: ASYNC110 - nobody tells how many there are
        await trio.sleep(0.0005)
