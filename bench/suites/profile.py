"""Where a hop's time goes: what it is made of, each part measured alone, beside the whole as it is measured.

A tracing profiler is of no use at this scale, because what it adds to each call is more than the calls cost. What the
loop does natively is taken apart by leaving out: the same native call carries messages through routes that have one
ingredient less. What it does in Python, once a turn, is timed in loops on the objects of a real execution.
"""

import logging
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import trio

from bench import pipelines
from bench.internals import TURN, route_of
from bench.model import Case, Scale, Subject
from bench.timing import NS, Stopwatch
from bench.workloads.messages import orders
from factflow_engine import OrchestratorManager, PipelineOrchestrator
from factflow_engine.frames import Frame, pack
from factflow_engine.native import Worker

FOREVER_NS = 1 << 62

SINK = "routes: {r0: {inbound: {capacity: 100000000}}}"
ONWARD = """
routes:
  r0: {inbound: {capacity: 100000000}, outbound: [{route: r1}]}
  r1: {inbound: {capacity: 100000000}}
"""
SKIPPED = (
    "routes: {r0: {inbound: {capacity: 100000000}, "
    "adapters: [{type: pass, condition: {field: kind, operator: eq, value: other}}]}}"
)
CALLED = "routes: {r0: {inbound: {capacity: 100000000}, adapters: [{type: pass}]}}"

Measure = Callable[[], Awaitable[float]]


def cases(scale: Scale) -> list[Case]:
    """One case: parts, their sum, and the whole."""
    count = scale.of(50_000)
    figures: dict[str, float] = {}

    def native(text: str, *, less: str | None = None) -> Measure:
        async def measure() -> float:
            return await carried(text, count) - (0.0 if less is None else await carried(less, count))

        return measure

    def looped(code: str) -> Measure:
        return lambda: _looped(code, count)

    # What it is, how often a hop of three in a row does it (0: shown only), how it is measured, and how that is said.
    parts: tuple[tuple[str, float, Measure, str], ...] = (
        ("take, count, look at the clock", 1, native(SINK), "a route with nothing in it"),
        ("child frame, append", 2 / 3, native(ONWARD, less=SINK), "two hops of three lead to another"),
        ("condition", 1, native(SKIPPED, less=SINK), "a stage that is skipped"),
        ("context, adapter's coroutine", 1, native(CALLED, less=SINK), "a stage that forwards"),
        ("of that: the adapter, awaited in Python", 0, looped("await route.call(context)"), "what no engine saves"),
        ("of the first: the clock", 0, looped("now()"), "called through Python"),
        ("turn: what may be taken", 1 / TURN, looped("route.takable()"), "Python, once a turn"),
        ("turn: list, and after", 1 / TURN, looped("route.list_and_after()"), "Python, once a turn"),
        ("turn: a coroutine and a native call", 1 / TURN, looped("await carry(worker)"), "once a turn"),
        ("publish in batches", 1 / 3, lambda: _publishing(count), "encode, id, frame, append; one for three hops"),
    )

    def alone(name: str, measure: Measure) -> Callable[[], Mapping[str, float]]:
        def run() -> Mapping[str, float]:
            figures[name] = trio.run(measure)
            return {"ns": figures[name]}

        return run

    def total() -> Mapping[str, float]:
        return {"ns": sum(figures[name] * share for name, share, _, _ in parts)}

    whole = pipelines.carrying(pipelines.linear("pass", capacity=100), orders(count), hops=3)
    return [
        Case(
            name="ingredients of a hop",
            answers="What is a hop made of, and does the sum explain the whole? (linear case of the suite hop)",
            metrics=(NS,),
            subjects=(
                *(
                    Subject(name=name, measure=alone(name, measure), note=f"{share:.2g} a hop; {note}")
                    for name, share, measure, note in parts
                ),
                Subject(name="SUM", measure=total, note="each part times how often a hop does it"),
                Subject(name="WHOLE", measure=lambda: {"ns": whole()["cpu"] * 1e3}, note="what suite hop measures"),
            ),
        )
    ]


async def _publishing(count: int) -> float:
    """Nanoseconds of CPU a message, with the routes paused."""
    known = pipelines.registry()
    config = pipelines.load(pipelines.linear("pass", capacity=count), known)
    async with OrchestratorManager(registry=known) as manager:
        execution = await manager.start(config)
        execution.pause()
        messages = orders(count)
        with Stopwatch() as watch:
            for start in range(0, count, pipelines.BATCH):
                await execution.publish_batch("r0", messages[start : start + pipelines.BATCH])
        await execution.cancel()
    return watch.cpu_ns / count


@contextmanager
def _no_warnings() -> Iterator[None]:
    """Keep the loader's warnings to itself: it finds the routes of the parts odd, and is right."""
    logger = logging.getLogger("factflow_engine")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


async def carried(text: str, count: int, *, turn: int | None = None) -> float:
    """Nanoseconds of a message in one native turn, of all messages or `turn`, through the first route of a pipeline.

    Raises:
        RuntimeError: The turn left messages behind.
    """
    known = pipelines.registry()
    with _no_warnings():
        config = pipelines.load('version: "1.0"\n' + text, known)
    async with OrchestratorManager(registry=known) as manager:
        execution = await manager.start(config)
        execution.pause("r1" if "r1" in config.routes else None)
        execution.pause("r0")
        await execution.publish_batch("r0", orders(count))
        carrier = route_of(execution, "r0").carrier
        execution.resume("r0")  # no await from here on: the loop's own workers get no turn
        worker = Worker(quantum_ns=FOREVER_NS, quantum_turns=count)
        worker.since_ns = (
            time.perf_counter_ns()
        )  # else its first step seems to have held the loop since the clock began
        worker.until_ns, worker.left = FOREVER_NS, count if turn is None else turn
        with Stopwatch() as watch:
            carrier.carry(worker, False)
        left = execution.statistics().routes["r0"].waiting
        await execution.cancel()
        if left:
            raise RuntimeError(f"of {count} messages {left} were not carried in the one turn that is timed")
    return watch.cpu_ns / count


async def _looped(code: str, count: int) -> float:
    """Nanoseconds of one turn, on the objects of an execution that has been started for it."""
    known = pipelines.registry()
    config = pipelines.load(pipelines.linear("pass", capacity=100_000_000), known)
    async with OrchestratorManager(registry=known) as manager:
        execution = await manager.start(config)
        await trio.lowlevel.checkpoint()
        names = _names(execution)
        try:
            return (await _timed(code, names, count) - await _timed("pass", names, count)) / count * 1e9
        finally:
            await execution.cancel()


async def _timed(code: str, names: dict[str, Any], count: int) -> float:
    """Seconds of a loop inside a coroutine, so that the code may await what does not block."""
    lines = ["async def timed(turns, clock):", *(f"    {name} = names[{name!r}]" for name in names)]
    lines += ["    started = clock()", "    for _ in turns:", f"        {code}", "    return clock() - started"]
    scope: dict[str, Any] = {"names": names}
    exec("\n".join(lines), scope)
    seconds: float = await scope["timed"](range(count), time.thread_time)
    return seconds


def _names(execution: PipelineOrchestrator) -> dict[str, Any]:
    route = route_of(execution, "r0")
    worker = Worker(quantum_ns=FOREVER_NS, quantum_turns=1)
    route.append(Frame.create(pack(orders(1)[0]), message_id=bytes(range(16))))

    async def carry(worker: Worker) -> None:
        route.carrier.carry(worker, False)  # `left` is 0: nothing is carried

    return {
        "now": time.perf_counter_ns,
        "route": route,
        "context": None,  # which the adapter does not look at
        "worker": worker,
        "carry": carry,
    }
