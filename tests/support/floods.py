"""Tools for tests under load: clocks that adapters advance, counted scheduler steps, floods, gates.

What is counted here are messages and scheduler steps, never seconds of the wall clock: a slow machine does not change
either.
"""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import trio

from factflow_engine.seams import Seams
from factflow_protocols import AdapterResult, PipelineAdapter, PipelineContext
from support.pipelines import adapter


class WorkClock:
    """Time that passes only when somebody works: `cost` makes adapters that do."""

    def __init__(self) -> None:
        self.now_ns = 0

    def monotonic_ns(self) -> int:
        return self.now_ns

    def wall_ns(self) -> int:
        return 0

    def work(self, microseconds: float) -> None:
        self.now_ns += round(microseconds * 1000)

    @property
    def seams(self) -> Seams:
        return replace(Seams.real(), clock=self)


class RealWork:
    """The machine's clock; work really keeps the processor busy."""

    seams = Seams.real()

    def work(self, microseconds: float) -> None:
        until = time.perf_counter_ns() + round(microseconds * 1000)
        while time.perf_counter_ns() < until:
            pass


class Trace:
    """What happened, in order: each adapter that it makes notes its route's name when a message reaches it."""

    def __init__(self) -> None:
        self.events: list[str] = []

    def note(self, event: str) -> None:
        self.events.append(event)

    def adapter(self, work: Callable[[], None] = lambda: None, *, suspend: bool = False) -> type[PipelineAdapter]:
        async def call(context: PipelineContext) -> AdapterResult:
            self.events.append(context.route)
            work()
            if suspend:
                await trio.lowlevel.checkpoint()
            return AdapterResult.forward()

        return adapter(call)

    def longest_run(self, of: Callable[[str], bool], without: str) -> int:
        """The most events of one kind between two of another, before the first and after the last not counted."""
        longest, run, begun = 0, 0, False
        for event in self.events:
            if event == without:
                longest, run, begun = max(longest, run) if begun else 0, 0, True
            elif of(event):
                run += 1
        return longest


async def beat(trace: Trace, times: int, name: str = "beat") -> None:
    """A task of somebody else in the same run: notes each turn that it gets."""
    for _ in range(times):
        await trio.lowlevel.checkpoint()
        trace.note(name)


class EngineSteps(trio.abc.Instrument):
    """Counts what trio did for every task but the ones named: those of the test.

    Attributes:
        scheduled: How often such a task was made ready.
        steps: How often one was run.
        pending: Ready and not run yet.
        most_pending: The most at any time.
    """

    def __init__(self, *mine: Any) -> None:
        self._mine = {trio.lowlevel.current_task(), trio.lowlevel.current_root_task(), *mine}
        self._pending: set[Any] = set()
        self.scheduled = self.steps = self.most_pending = 0

    def __enter__(self) -> "EngineSteps":
        trio.lowlevel.add_instrument(self)
        return self

    def __exit__(self, *_: object) -> None:
        trio.lowlevel.remove_instrument(self)

    def _is_engines(self, task: Any) -> bool:
        # By who it is not, so that it does not matter what the engine calls its own.
        foreign = task.name.startswith("trio.") or "support." in task.name or "test_" in task.name
        return task not in self._mine and not foreign

    def task_scheduled(self, task: Any) -> None:
        if self._is_engines(task):
            self.scheduled += 1
            self._pending.add(task)
            self.most_pending = max(self.most_pending, len(self._pending))

    def before_task_step(self, task: Any) -> None:
        if self._is_engines(task):
            self.steps += 1
            self._pending.discard(task)


class Gate:
    """Adapters that let so many messages pass and hold the others until it is opened."""

    def __init__(self, passing: int = 0) -> None:
        self.passed = 0
        self.held = 0
        self._passing = passing
        self._open = trio.Event()

    def open(self) -> None:
        self._open.set()

    def adapter(self) -> type[PipelineAdapter]:
        async def call(context: PipelineContext) -> AdapterResult:
            if self.passed + self.held >= self._passing:
                self.held += 1
                try:
                    await self._open.wait()
                finally:
                    self.held -= 1
            self.passed += 1
            return AdapterResult.forward()

        return adapter(call)


class Presence:
    """How many are in adapters at a time, and the most there ever were."""

    def __init__(self) -> None:
        self.now: dict[str, int] = {}
        self.most: dict[str, int] = {}

    def enter(self, route: str) -> None:
        self.now[route] = self.now.get(route, 0) + 1
        self.most[route] = max(self.most.get(route, 0), self.now[route])

    def leave(self, route: str) -> None:
        self.now[route] -= 1


async def flood(execution: Any, route: str, total: int, sourced: list[int]) -> None:
    """Publish numbers as fast as there is room, and note each that was accepted."""
    for number in range(total):
        await execution.publish(route, number)
        sourced.append(number)
