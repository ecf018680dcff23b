"""Where a hop's time goes: what it is made of, each part measured alone, beside the whole as it is measured.

A tracing profiler is of no use at this scale, because what it adds to each call is more than the calls cost. So the
parts are timed in loops of their own, on the objects of a real execution. Parts of the loop are named by its source; one
that is no longer there is left out and said so.
"""

import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import trio

from bench import pipelines
from bench.model import Case, Scale, Subject
from bench.timing import NS, Stopwatch
from bench.workloads.messages import orders
from factflow_engine import OrchestratorManager
from factflow_engine.frames import Frame, pack
from factflow_engine.runtime.context import MessageContext
from factflow_engine.runtime.lane import TURN
from factflow_engine.seams import Seams


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One ingredient.

    Attributes:
        name: For people.
        code: A Python statement, timed in a loop of a coroutine; names are those of `_names`.
        share: How often a hop does it; 0 for what is only shown, as part of another.
    """

    name: str
    code: str
    share: float


PUBLISHER = 1 / 3
"""A message is published once and makes three hops."""

PER_TURN = 1 / TURN
"""A flooded route is served in turns of several messages."""

PARTS = (
    Part(name="take", code="ready.append(frame); ready.popleft()", share=1),
    Part(name="payload", code="frame.payload", share=1),
    Part(name="condition", code="matches(payload)", share=1),
    Part(name="context", code="context = MessageContext(frame, stage)", share=1),
    Part(name="call and await the adapter", code="await call(context)", share=1),
    Part(name="child frame", code="frame.child(label, 0)", share=2 / 3),
    Part(name="append", code="append(frame)", share=2 / 3),
    Part(name="books", code="lane.received += 1; lane.emitted += 1; lane.completed += 1", share=1),
    Part(name="clock", code="now()", share=1),
    Part(name="turn: what may be taken", code="lane.takable()", share=PER_TURN),
    Part(name="turn: list, and after", code="loop._list(lane); loop._after(lane)", share=PER_TURN),
    Part(name="turn: call and await its coroutine", code="await four(loop, lane, stage, 1)", share=PER_TURN),
    Part(name="publisher: pack", code="pack(message)", share=PUBLISHER),
    Part(name="publisher: id", code="ids.new(1_700_000_000_000_000_000)", share=PUBLISHER),
    Part(name="publisher: frame", code="Frame.create(payload, message_id=identity, time_ns=1)", share=PUBLISHER),
    Part(name="publisher: find the line, append", code="execution._append('r0', frame)", share=PUBLISHER),
    Part(name="publisher: hexadecimal id", code="frame.message_id.hex()", share=PUBLISHER),
)


def cases(scale: Scale) -> list[Case]:
    """One case: parts, their sum, and the whole."""
    count = scale.of(20_000)
    parts = trio.run(_measurable)
    figures: dict[str, float] = {}

    def part_of(part: Part) -> Callable[[], Mapping[str, float]]:
        def measure() -> Mapping[str, float]:
            figures[part.name] = trio.run(_cost, part.code, count)
            return {"ns": figures[part.name]}

        return measure

    def total() -> Mapping[str, float]:
        return {"ns": sum(figures[part.name] * part.share for part in parts)}

    whole = pipelines.carrying(pipelines.linear("pass", capacity=100), orders(count), hops=3)
    alone = [
        Subject(name=part.name, measure=part_of(part), note=f"{part.share:.2g} a hop: {part.code}") for part in parts
    ]
    return [
        Case(
            name="ingredients of a hop",
            answers="What is a hop made of, and does the sum explain the whole? (linear case of the suite hop)",
            metrics=(NS,),
            subjects=(
                *alone,
                Subject(name="SUM", measure=total, note="each part times how often a hop does it"),
                Subject(name="WHOLE", measure=lambda: {"ns": whole()["cpu"] * 1e3}, note="what suite hop measures"),
                Subject(name="publishing, of the whole", measure=lambda: trio.run(_publishing, count)),
            ),
        )
    ]


async def _publishing(count: int) -> Mapping[str, float]:
    """A hop's share of what the publisher costs, with the routes paused."""
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
    return {"ns": watch.cpu_ns / count / 3}


async def _measurable() -> list[Part]:
    found = []
    for part in PARTS:
        try:
            await _cost(part.code, 1)
        except (AttributeError, TypeError) as error:
            print(f"left out: {part.name}: {error}", file=sys.stderr)
        else:
            found.append(part)
    return found


async def _cost(code: str, count: int) -> float:
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


def _names(execution: Any) -> dict[str, Any]:
    lane, loop = execution._processors["r0"].lane, execution._loop
    message = orders(1)[0]
    frame = Frame.create(pack(message), message_id=bytes(range(16)))
    stage, outlet = lane.stages[0], lane.outlets[0]
    lane.inbox.ready.append(frame)

    async def four(a: Any, b: Any, c: Any, d: Any) -> None:
        """As many arguments as the loop's own coroutine of a turn."""

    return {
        "now": Seams.real().clock.monotonic_ns,
        "loop": loop,
        "lane": lane,
        "ready": lane.inbox.ready,
        "frame": frame,
        "payload": frame.payload,
        "stage": stage,
        "matches": stage.matches,
        "call": stage.call,
        "MessageContext": MessageContext,
        "label": outlet.label,
        "append": outlet.channels[0].ready.append,
        "pack": pack,
        "message": message,
        "ids": Seams.real().ids,
        "Frame": Frame,
        "identity": bytes(range(16)),
        "execution": execution,
        "four": four,
        "context": MessageContext(frame, stage),
    }
