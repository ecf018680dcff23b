"""Drivers of a route that wait for room: which of them proceeds, and which circuit breakers they keep half open.

A driver is a worker that pulls what a stage emits. Kept separate from the route's state because a driver holds two
things that other messages wait for, a permit and trial calls, and the rule in `deadlock` asks which of them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

import trio

from factflow_engine.runtime.hop.deadlock import foremost
from factflow_engine.runtime.hop.delays import Delays
from factflow_engine.runtime.stages.breaker_guard import WatchedSource


class Drivers(deque[trio.lowlevel.Task]):
    """Tasks of the drivers that wait for room, in the order in which they began to wait.

    Attributes:
        asking: The driver that runs, asks whether it may proceed, and is about to wait.
        watched: Task to the sources that it drives behind circuit breakers, outermost first; of all drivers, those that
        do not wait included.
    """

    __slots__ = ("asking", "watched")

    def __init__(self) -> None:
        super().__init__()
        self.asking: trio.lowlevel.Task | None = None
        self.watched: dict[trio.lowlevel.Task, list[WatchedSource]] = {}

    def wake_all(self) -> None:
        """Let all of them check again."""
        while self:
            task = self.popleft()
            if task is not self.asking:  # the asking one runs, and sees that it is no longer among them
                trio.lowlevel.reschedule(task)

    def wake(self, task: trio.lowlevel.Task) -> None:
        """Let this one check again, unless it is the asking one."""
        self.remove(task)
        trio.lowlevel.reschedule(task)

    def hold_all(self, names: Iterable[str]) -> bool:
        """True if they have all trial calls of each of the breakers of these names."""
        return all(self._hold(name) for name in names)

    def first(
        self, asks: trio.lowlevel.Task | None, waiting: Delays, *, lacks_place: bool
    ) -> trio.lowlevel.Task | None:
        """Return the driver that proceeds if one may; None if it may be any of them.

        Args:
            asks: The driver that is about to wait, if there is one; else None.
            waiting: The waiting messages of the route.
            lacks_place: True if the route has no place for another waiting message.
        """
        if waiting.circuits and lacks_place:
            # Only the trials' ends make places: children of another driver would only wait for a breaker as well.
            stages = {
                task: watched.index  # the last that it holds
                for task in self
                for watched in self.watched.get(task, ())
                if not watched.permit.is_settled and waiting.has_circuit(watched.breaker.name)
            }
            if stages:
                return foremost(stages, asks)
        return asks if asks in self else None

    def _hold(self, name: str) -> bool:
        held = [
            watched
            for task in self
            for watched in self.watched.get(task, ())
            if watched.breaker.name == name and not watched.permit.is_settled
        ]
        out = held[0].breaker.trials_out if held else None
        return out is not None and out <= len(held)
