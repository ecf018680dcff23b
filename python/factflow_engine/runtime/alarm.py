"""The alarm: releases what waits for time to pass, be it a message or a circuit breaker.

Apart from the loop because it is the one task of it that no message runs in: it sleeps until the next thing is due.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final

import trio

from factflow_engine.runtime.guards import Guard
from factflow_engine.runtime.lane import Lane
from factflow_engine.runtime.settlement import Settlement

if TYPE_CHECKING:
    from factflow_engine.resilience import CircuitEvent

PERMITTING: Final = frozenset({"closed", "disabled", "metrics_only"})
"""States of a circuit breaker in which it refuses no call."""


class Alarm:
    """Rings, in the nursery it is given, when the next thing is due; there is no task before anything has to wait.

    Args:
        lanes: Whose messages wait, and whose stages have the breakers.
        settlement: Releases messages.
        on_death: Told what a lane's release raised; as in a worker, that fails the route and not the manager.
        on_rung: Told each time after what was due was done; messages may have ended.
    """

    def __init__(
        self,
        lanes: Sequence[Lane],
        settlement: Settlement,
        *,
        on_death: Callable[[Lane, BaseException], None],
        on_rung: Callable[[], None],
    ) -> None:
        self._lanes = lanes
        self._settlement = settlement
        self._on_death = on_death
        self._on_rung = on_rung
        self._nursery: trio.Nursery | None = None
        self._runs = False
        self._due = math.inf  # in trio's time
        self._moved = trio.lowlevel.ParkingLot()
        self._timed: list[Guard] = []  # those whose breakers change with time
        for lane in lanes:
            for stage in lane.stages:
                if stage.guard is not None:
                    stage.guard.on_half_open = partial(self._settlement.release_circuit, lane, most=1)
                    stage.guard.events.subscribe(self._listener(lane, stage.guard))
                    if stage.guard.is_timed:
                        self._timed.append(stage.guard)

    def start(self, nursery: trio.Nursery) -> None:
        """Ring in this nursery from now on."""
        self._nursery = nursery

    def set(self, due: float) -> None:
        """Ring at this instant of trio's time at the latest."""
        if due >= self._due or self._nursery is None:
            return
        self._due = due
        if self._runs:
            self._moved.unpark_all()
        else:
            self._runs = True
            self._nursery.start_soon(self._run)

    @trio.lowlevel.enable_ki_protection
    async def _run(self) -> None:
        while True:
            with trio.move_on_at(self._due) as waiting:
                await self._moved.park()
            if waiting.cancelled_caught:
                self._ring(trio.current_time())

    def _ring(self, now: float) -> None:
        for lane in self._lanes:
            try:
                self._settlement.release(lane, now)
            except BaseException as error:  # noqa: BLE001 - see on_death; nothing is awaited here
                self._on_death(lane, error)
        for guard in self._timed:
            guard.advance()
        waits = [lane.waiting[0].due for lane in self._lanes if lane.waiting]
        self._due = min([*waits, *(now + guard.due_seconds() for guard in self._timed)], default=math.inf)
        self._on_rung()

    def _listener(self, lane: Lane, guard: Guard) -> Callable[[CircuitEvent], None]:
        def heard(event: CircuitEvent) -> None:
            if event.kind == "reset" or event.to_state in PERMITTING:
                self._settlement.release_circuit(lane, event.name)
            elif event.to_state is not None and guard.is_timed:
                self.set(trio.current_time() + guard.due_seconds())

        return heard
