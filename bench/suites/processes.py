"""What worker processes gain for Python that computes, beside the same work in threads and without an engine."""

import os
import time
from collections.abc import Callable, Mapping
from typing import Any

import trio

from bench import pipelines
from bench.model import OURS, Case, Metric, Scale, Subject, better_than
from factflow_engine import AdapterResult, OrchestratorManager, PipelineAdapter, PipelineContext, PipelineOrchestrator

SECONDS = 0.005
"""How long the work of one message takes on an idle processor."""

WALL = Metric(name="wall", unit="ms")
THREADS = "in threads"


class Compute(PipelineAdapter):
    """Computes in Python alone, always the same amount."""

    def process(self, context: PipelineContext) -> AdapterResult:
        compute(context.message["steps"])
        return AdapterResult.forward()


def compute(steps: int) -> int:
    """Work that holds the interpreter's lock."""
    total = 0
    for step in range(steps):
        total += step * step % 7
    return total


def cases(scale: Scale) -> list[Case]:
    """One case: as many processes as there are processors."""
    count = scale.of(400, least=10)
    steps = _steps()
    processors = len(os.sched_getaffinity(0))
    return [
        Case(
            name="5 ms of Python",
            answers=f"{count} messages of 5 ms of pure Python each, {processors} processors: how long does a message take?",
            metrics=(WALL,),
            subjects=(
                Subject(name=OURS, measure=_measure("process", count, steps), note="isolation: process"),
                Subject(name=THREADS, measure=_measure("thread", count, steps), note="isolation: thread"),
                Subject(
                    name="alone", measure=_alone(count, steps), note="a loop over the same work, without the engine"
                ),
            ),
            targets=(better_than("wall", THREADS, 1.8),),
            rounds=7,
        )
    ]


def _steps() -> int:
    probe = 20_000
    took = min(_timed(probe) for _ in range(20))
    return round(probe * SECONDS / took)


def _timed(steps: int) -> float:
    started = time.perf_counter()
    compute(steps)
    return time.perf_counter() - started


def _measure(isolation: str, count: int, steps: int) -> Callable[[], Mapping[str, float]]:
    known = pipelines.registry(compute=Compute)
    text = f"routes: {{r0: {{adapters: [{{type: compute, isolation: {isolation}}}], inbound: {{concurrency: 8}}}}}}"
    config = pipelines.load('version: "1.0"\n' + text, known)

    async def run() -> Mapping[str, float]:
        async with OrchestratorManager(registry=known) as manager:
            execution = await manager.start(config)
            warm: list[Any] = [{"steps": steps}] * 8
            await execution.publish_batch("r0", warm)
            await _until(execution, len(warm))  # all processes have been started
            started = time.perf_counter()
            await execution.publish_batch("r0", [{"steps": steps}] * count)
            await _until(execution, len(warm) + count)
            took = time.perf_counter() - started
            report = await execution.complete()
        pipelines.all_ended(report, count + len(warm), hops=1)
        return {"wall": took / count * 1e3}

    return lambda: trio.run(run)


async def _until(execution: PipelineOrchestrator, completed: int) -> None:
    while execution.statistics().routes["r0"].completed < completed:  # noqa: ASYNC110 - nobody tells how many there are
        await trio.sleep(0.002)


def _alone(count: int, steps: int) -> Callable[[], Mapping[str, float]]:
    def measure() -> Mapping[str, float]:
        started = time.perf_counter()
        for _ in range(count):
            compute(steps)
        return {"wall": (time.perf_counter() - started) / count * 1e3}

    return measure
