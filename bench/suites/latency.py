"""How long a message takes through three hops when messages come at a fixed rate, and what a flood does to neighbours.

Open loop: message k is due at k / rate, whether or not the one before it is through, and its latency counts from the
due time; a slow system cannot slow its own load down and flatter itself. The publisher paces by spinning through
checkpoints, because trio's timers go off in steps of about a millisecond and would make bursts.
"""

import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import trio
import trio.testing

from bench import pipelines
from bench.baselines import trio_channels
from bench.model import OURS, Case, Metric, Scale, Subject, Target, at_most, better_than, within
from bench.stats import quantile
from factflow_engine import (
    AdapterResult,
    ExecutionReport,
    LineageSink,
    OrchestratorManager,
    PipelineAdapter,
    PipelineContext,
)

PERCENTILES = (
    Metric(name="p99", unit="us"),
    Metric(name="p50", unit="us"),
    Metric(name="p99.9", unit="us"),
)
LATENESS = (Metric(name="median", unit="us"), Metric(name="p99", unit="us"), Metric(name="max", unit="us"))

BEAT_SECONDS = 0.002
WARM_BEATS = 5
"""How many beats at the beginning are not judged."""

BARE = "trio, a wake-up alone"

Publish = Callable[[dict[str, Any]], Awaitable[object]]

_now = time.perf_counter_ns


def cases(scale: Scale) -> list[Case]:
    """Two rates, and the flood."""
    return [
        _open_loop(5_000, scale, within("p99", [BARE], 1.5)),
        _open_loop(25_000, scale, better_than("p99", "trio channels", 10)),
        _heartbeat(scale),
    ]


def _open_loop(rate: int, scale: Scale, target: Target) -> Case:
    count = scale.of(rate, least=scale.asked(2_500, tiny=100))
    return Case(
        name=f"open loop, {rate:,}/s",
        answers=f"{rate:,} messages a second through three hops: from due to handled by the last adapter?",
        metrics=PERCENTILES,
        subjects=(
            Subject(name=OURS, measure=_ours_paced(count, rate), note="publish() a message; the last adapter decodes"),
            Subject(name="trio channels", measure=_channels_paced(count, rate, fast=False)),
            Subject(name="trio channels, nowait", measure=_channels_paced(count, rate, fast=True)),
            Subject(name=BARE, measure=_wake_ups_paced(count, rate), note="one task is told that it is due; no hop"),
        ),
        targets=(target,),
        rounds=9,
    )


def _heartbeat(scale: Scale) -> Case:
    seconds = max(scale.asked(300, tiny=20) / 1_000, 0.6 * scale.share)
    return Case(
        name="heartbeat under flood",
        answers="Another task of the same trio run wants to wake every 2 ms while the pipeline is flooded: how late is it?",
        metrics=LATENESS,
        subjects=(
            Subject(name=OURS, measure=_ours_flooded(seconds)),
            Subject(name="trio channels", measure=_channels_flooded(seconds, fast=False)),
            Subject(
                name="trio channels, nowait", measure=_channels_flooded(seconds, fast=True), note="yields when full"
            ),
        ),
        targets=(at_most("median", 300, "us"), at_most("max", 2_000, "us")),
        rounds=9,
    )


# -- pacing and beating ------------------------------------------------------------------------------------------------


async def _paced(publish: Publish, count: int, rate: int) -> None:
    step = 1_000_000_000 // rate
    begin = _now() + 5_000_000
    for number in range(count):
        due = begin + number * step
        while _now() < due:
            await trio.lowlevel.checkpoint()
        await publish({"kind": "order", "due": due})


async def _beat(lateness: list[int]) -> None:
    due = trio.current_time()
    while True:
        due = max(due + BEAT_SECONDS, trio.current_time())
        await trio.sleep_until(due)
        lateness.append(int((trio.current_time() - due) * 1e9))


def percentiles(latencies: list[int], count: int) -> Mapping[str, float]:
    if len(latencies) != count:
        raise RuntimeError(f"of {count} messages {len(latencies)} came through")
    ordered = sorted(latencies)
    return {name: quantile(ordered, share) / 1e3 for name, share in (("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999))}


def _lateness(beats: list[int]) -> Mapping[str, float]:
    ordered = sorted(beats[WARM_BEATS:])
    return {"median": quantile(ordered, 0.5) / 1e3, "p99": quantile(ordered, 0.99) / 1e3, "max": ordered[-1] / 1e3}


# -- ours --------------------------------------------------------------------------------------------------------------


def _last_stage(latencies: list[int]) -> type[PipelineAdapter]:
    class Last(PipelineAdapter):
        async def process(self, context: PipelineContext) -> AdapterResult:
            latencies.append(_now() - context.message["due"])
            return AdapterResult.forward()

    return Last


def _ours_paced(count: int, rate: int) -> Callable[[], Mapping[str, float]]:
    return paced_into(count, rate, "", None, lambda report: None)  # the latencies are counted


def paced_into(
    count: int, rate: int, section: str, lineage: LineageSink | None, check: Callable[[ExecutionReport], None]
) -> Callable[[], Mapping[str, float]]:
    """A `Subject.measure`: our open loop, with this section, this sink of its lineage, and a check of its report."""

    async def run() -> Mapping[str, float]:
        latencies: list[int] = []
        known = pipelines.registry(last=_last_stage(latencies))
        text = pipelines.linear("pass", capacity=100).rpartition("{type: pass")
        config = pipelines.load("{type: last".join((text[0], text[2])) + section, known)
        async with OrchestratorManager(registry=known, lineage=lineage) as manager:
            execution = await manager.start(config)
            await _paced(lambda message: execution.publish("r0", message), count, rate)
            report = await execution.complete()
        check(report)
        return percentiles(latencies, count)

    return lambda: trio.run(run)


def _ours_flooded(seconds: float) -> Callable[[], Mapping[str, float]]:
    known = pipelines.registry()
    config = pipelines.load(pipelines.linear("pass", capacity=100), known)
    batch = [{"kind": "order", "due": 0}] * pipelines.BATCH

    async def run() -> Mapping[str, float]:
        beats: list[int] = []
        async with OrchestratorManager(registry=known) as manager, trio.open_nursery() as nursery:
            execution = await manager.start(config)
            nursery.start_soon(_beat, beats)
            until = trio.current_time() + seconds
            while trio.current_time() < until or len(beats) <= WARM_BEATS:
                await execution.publish_batch("r0", batch)
            nursery.cancel_scope.cancel()
        return _lateness(beats)

    return lambda: trio.run(run)


# -- trio channels -----------------------------------------------------------------------------------------------------


async def _accept(message: dict[str, Any]) -> dict[str, Any] | None:
    return message if message["kind"] == "order" else None


def _open_stages(
    nursery: trio.Nursery, last: Callable[[Any], Awaitable[Any]], *, fast: bool
) -> trio.MemorySendChannel[Any]:
    stage = trio_channels.nowait_stage if fast else trio_channels.plain_stage
    first, receive = trio.open_memory_channel[Any](trio_channels.CAPACITY)
    for _ in range(2):
        send, following = trio.open_memory_channel[Any](trio_channels.CAPACITY)
        nursery.start_soon(stage, receive, send, _accept)
        receive = following
    nursery.start_soon(stage, receive, None, last)
    return first


def _channels_paced(count: int, rate: int, *, fast: bool) -> Callable[[], Mapping[str, float]]:
    async def run() -> Mapping[str, float]:
        latencies: list[int] = []

        async def last(message: dict[str, Any]) -> None:
            latencies.append(_now() - message["due"])

        async with trio.open_nursery() as nursery, _open_stages(nursery, last, fast=fast) as first:
            await _paced(first.send, count, rate)
        return percentiles(latencies, count)

    return lambda: trio.run(run)


def _wake_ups_paced(count: int, rate: int) -> Callable[[], Mapping[str, float]]:
    """The same pacing, and nothing but one task that is woken: what trio and the machine take, with their tails."""

    async def run() -> Mapping[str, float]:
        latencies: list[int] = []
        due: list[int] = []
        idle = trio.lowlevel.ParkingLot()

        async def wake() -> None:
            while True:
                await idle.park()
                latencies.extend(_now() - one for one in due)
                due.clear()

        async def publish(message: dict[str, Any]) -> None:
            due.append(message["due"])
            idle.unpark()
            await trio.lowlevel.checkpoint()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(wake)
            await _paced(publish, count, rate)
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
        return percentiles(latencies, count)

    return lambda: trio.run(run)


def _channels_flooded(seconds: float, *, fast: bool) -> Callable[[], Mapping[str, float]]:
    async def run() -> Mapping[str, float]:
        beats: list[int] = []
        message = {"kind": "order", "due": 0}
        async with trio.open_nursery() as nursery:
            async with _open_stages(nursery, _accept, fast=fast) as first:
                nursery.start_soon(_beat, beats)
                until = trio.current_time() + seconds
                while trio.current_time() < until or len(beats) <= WARM_BEATS:
                    try:
                        first.send_nowait(message)
                    except trio.WouldBlock:
                        await first.send(message)
            nursery.cancel_scope.cancel()
        return _lateness(beats)

    return lambda: trio.run(run)
