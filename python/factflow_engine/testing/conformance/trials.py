"""An adapter under test: made afresh, opened as the engine would open it, and its answers in a comparable form.

Kept separate from the checks, which say only what must be true of the answers.
"""

import copy
import inspect
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import trio

from factflow_engine.adapters.class_checks import is_sync
from factflow_engine.error_texts import bounded, describe
from factflow_engine.frames import pack, unpack
from factflow_engine.seams import Threads
from factflow_engine.stages.scoped_storage import ScopedStorage
from factflow_engine.stages.writer import StagePlace
from factflow_engine.storages.memory import MemoryStorage
from factflow_engine.testing.conformance.expectations import ConformanceError
from factflow_engine.testing.fakes import FakeContext
from factflow_engine.testing.virtual_time import EPOCH_NS
from factflow_protocols import (
    AdapterResult,
    Emit,
    EngineInstruction,
    Overloaded,
    PipelineAdapter,
    PipelineContext,
    StageInfo,
    StatefulAdapter,
    StorageBackendAdapter,
)

_SHOWN = 200


class Answer(NamedTuple):
    """Result of a stage, as the next stage would see it.

    Attributes:
        kind: `filtered`, `forwarded`, `message`, `emitted`, or how it was refused.
        parts: Headers, and each message with its key and headers, as msgpack bytes; as text if they cannot be packed.
    """

    kind: str
    parts: tuple[bytes | str, ...] = ()

    def __str__(self) -> str:
        values = [unpack(part) if isinstance(part, bytes) else part for part in self.parts]
        if self.kind == "emitted":
            values[1:] = [
                value[0] if isinstance(value, list) and value[1:] == [None, None] else value for value in values[1:]
            ]
        if values and values[0] is None:  # no headers
            del values[0]
        return bounded(f"{self.kind} {', '.join(map(repr, values))}".strip(), _SHOWN)


class WholeRun(NamedTuple):
    """Answers of one instance to all messages, and to `finish`."""

    answers: tuple[Answer, ...]
    finished: Answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """Adapter under test.

    Attributes:
        make: Makes a new instance.
        register: Raises if the engine could not use the class or its configuration.
        messages: Messages to give it.
        deterministic: True if equal messages must give equal answers.
        longest_step_seconds: Longest time for which it may block the event loop.
        pause_seconds: Time between two runs that must be equal.
        virtual: True in virtual time.
    """

    make: Callable[[], PipelineAdapter]
    register: Callable[[], None]
    messages: tuple[FakeContext, ...]
    deterministic: bool
    longest_step_seconds: float
    pause_seconds: float
    virtual: bool

    def contexts(self) -> list[FakeContext]:
        """Return the messages as new contexts, of which nobody has changed anything."""
        return [fresh(each) for each in self.messages]

    @asynccontextmanager
    async def opened(
        self, folder: Path, *, store: MemoryStorage | None = None, durable: bool = False, resumed: bool = False
    ) -> AsyncIterator[PipelineAdapter]:
        """Make an instance, and open and close it if it is a `StatefulAdapter`."""
        adapter = self.make()
        info = StageInfo(
            execution_id="test",
            route="route",
            stage="stage",
            directory=new_folder(folder),
            durable=durable,
            resumed=resumed,
            kept=resumed,
        )
        self.bind(adapter, store or MemoryStorage(), info)
        if not isinstance(adapter, StatefulAdapter):
            yield adapter
            return
        async with trio.open_nursery() as nursery:
            done = trio.Event()
            await nursery.start(_host, adapter, info, done)
            try:
                yield adapter
            finally:
                done.set()

    def bind(self, adapter: PipelineAdapter, store: MemoryStorage, info: StageInfo) -> None:
        """Give an adapter its objects, if it has some."""
        if isinstance(adapter, StorageBackendAdapter):
            adapter.bind_storage(_scoped(store, info))

    async def whole_run(self, folder: Path, *, durable: bool = False) -> WholeRun:
        """Give all messages to a new instance, one after the other, and finish."""
        async with self.opened(folder, durable=durable) as adapter:
            answers = [await answer(adapter, context) for context in self.contexts()]
            return WholeRun(tuple(answers), await finish(adapter))


def contexts_of(messages: Iterable[Any]) -> tuple[FakeContext, ...]:
    """Return message values as contexts with ids of their own; contexts are taken as they are."""
    return tuple(
        fresh(each) if isinstance(each, PipelineContext) else FakeContext(each, message_id=f"{number:032x}")
        for number, each in enumerate(messages, 1)
    )


def fresh(context: PipelineContext) -> FakeContext:
    """Return an equal context that shares nothing with this one."""
    return FakeContext(
        unpack(context.payload),
        headers=copy.deepcopy(dict(context.headers)),
        key=context.key,
        message_id=context.message_id,
        correlation_id=context.correlation_id,
        parent_id=context.parent_id,
        attempt=context.attempt,
        execution_id=context.execution_id,
        route=context.route,
        stage=context.stage,
    )


def new_folder(folder: Path) -> Path:
    """Make the folder if it is not there."""
    folder.mkdir(exist_ok=True)
    return folder


async def processed(adapter: PipelineAdapter, context: PipelineContext, threads: Threads | None = None) -> Any:
    """Return whatever `process` returns; a synchronous one is called in a thread if there are some."""
    if threads is not None and is_sync(type(adapter)):
        return await threads.run(partial(adapter.process, context))
    returned = adapter.process(context)
    return await returned if inspect.isawaitable(returned) else returned


async def answer(adapter: PipelineAdapter, context: PipelineContext, threads: Threads | None = None) -> Answer:
    """Return the answer to a message, with emitted messages pulled to the end.

    An `EngineInstruction` and `Overloaded` are answers, too.

    Raises:
        Exception: Any other exception of the adapter.
    """
    try:
        return await answer_of(await processed(adapter, context, threads))
    except (EngineInstruction, Overloaded) as error:
        return Answer(f"raised {describe(error)}")


async def finish(adapter: PipelineAdapter) -> Answer:
    """Return the answer of `finish`; `filtered` for an adapter without one."""
    return await answer_of(await adapter.finish()) if isinstance(adapter, StatefulAdapter) else Answer("filtered")


async def answer_of(result: Any) -> Answer:
    """Return a result in a comparable form, whatever it is."""
    if result is None:
        return Answer("filtered")
    if not isinstance(result, AdapterResult):
        return Answer(f"a {type(result).__name__}", (repr(result),))
    headers = _packed(result.headers and dict(result.headers))
    if result.is_forward:
        return Answer("forwarded")
    if result.emitted is None:
        return Answer("message", (headers, _packed(result.message)))
    if isinstance(result.emitted, AsyncIterable):
        parts = [_part(child) async for child in result.emitted]
    else:
        parts = [_part(child) for child in result.emitted]
    return Answer("emitted", (headers, *parts))


def require_equal(got: Answer | Sequence[Answer], expected: Answer | Sequence[Answer], what: str) -> None:
    """Compare answers.

    Raises:
        ConformanceError: They differ; the text names the first that does.
    """
    if isinstance(got, Answer) and isinstance(expected, Answer):
        if got != expected:
            raise ConformanceError(f"{what}: expected {expected}, got {got}")
        return
    for number, (one, other) in enumerate(zip(got, expected, strict=True), 1):
        if isinstance(one, Answer) and isinstance(other, Answer):
            require_equal(one, other, f"{what} to message {number}")


async def _host(
    adapter: StatefulAdapter,
    info: StageInfo,
    done: trio.Event,
    *,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Open and close an adapter in a task of its own, as the engine does: it may enter contexts that it leaves later."""
    with trio.CancelScope() as scope:
        await adapter.open(info)
        scope.shield = True
        try:
            task_status.started()
            await done.wait()
        finally:
            await adapter.close()


def _part(child: object) -> bytes | str:
    if isinstance(child, Emit):
        return _packed([child.payload, child.key, child.headers and dict(child.headers)])
    return _packed([child, None, None])


def _packed(value: object) -> bytes | str:
    try:
        return pack(value)
    except Exception as error:  # noqa: BLE001 - one check is of that
        return f"{value!r}, which cannot be packed: {describe(error)}"


def _scoped(store: MemoryStorage, info: StageInfo) -> ScopedStorage:
    place = StagePlace(
        storage=store,
        info=info,
        adapter="adapter",
        config_hash="0" * 64,
        fields=(),
        wall_ns=lambda: EPOCH_NS,
        redacted=None,
    )
    return ScopedStorage(place)
