"""Timers: release what waits for time to pass, be it a message or a circuit breaker.

Kept separate from the loop because it is the one task of it that no message runs in: it sleeps until the next thing is due.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from heapq import heappop, heappush
from itertools import count
from typing import TYPE_CHECKING, Final

import trio

from factflow_engine.runtime.hop.route_state import RouteState
from factflow_engine.runtime.hop.settlement import Settlement
from factflow_engine.runtime.stages.guards import Guard

if TYPE_CHECKING:
    from factflow_engine.resilience import CircuitEvent

PERMITTING: Final = frozenset({"closed", "disabled", "metrics_only"})
"""States of a circuit breaker in which it refuses no call."""


class Timers:
    """Rings, in the nursery it is given, when the next thing is due; there is no task before anything has to wait.

    Args:
        routes: Whose messages wait, and whose stages have the breakers.
        settlement: Releases messages.
        on_ring: Called each time before anything else is done.
        on_death: Told what a route's release raised; as in a worker, that fails the route and not the manager.
    """

    def __init__(
        self,
        routes: Sequence[RouteState],
        settlement: Settlement,
        *,
        on_ring: Callable[[], None],
        on_death: Callable[[RouteState, BaseException], None],
    ) -> None:
        self._settlement = settlement
        self._on_ring = on_ring
        self._on_death = on_death
        self._nursery: trio.Nursery | None = None
        self._runs = False
        self._due = math.inf  # in trio's time
        self._route_dues: dict[RouteState, float] = {}  # when each route is to be looked at next, of those that are
        self._looks: list[
            tuple[float, int, RouteState]
        ] = []  # a heap of these, and of some that came to be due earlier
        self._serial = count()
        self._moved = trio.lowlevel.ParkingLot()
        # A heap of when breakers that change with time are to be looked at, and of some times that came to nothing.
        self._timers: list[tuple[float, int, Guard, str]] = []
        for route in routes:
            for stage in route.stages:
                if stage.guard is not None:
                    stage.guard.on_half_open = partial(self._settlement.release_circuit, route, most=1)
                    stage.guard.events.subscribe(self._listener(route, stage.guard))

    def start(self, nursery: trio.Nursery) -> None:
        """Ring in this nursery from now on."""
        self._nursery = nursery
        for due in list(self._route_dues.values()):
            self._ring_at(due)

    def set(self, route: RouteState, due: float) -> None:
        """Look at what waits on this route at this instant of trio's time at the latest."""
        if due >= self._route_dues.get(route, math.inf):
            return
        self._route_dues[route] = due
        heappush(self._looks, (due, next(self._serial), route))
        self._ring_at(due)

    def ring_soon(self) -> None:
        """Ring in trio's next step."""
        self._ring_at(trio.current_time())

    def _ring_at(self, due: float) -> None:
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
        self._on_ring()
        while self._looks and self._looks[0][0] <= now:
            due, _, route = heappop(self._looks)
            if self._route_dues.get(route) != due:
                continue  # it was looked at earlier
            del self._route_dues[route]
            try:
                self._settlement.release(route, now)
            except BaseException as error:  # noqa: BLE001 - see on_death; nothing is awaited here
                self._on_death(route, error)
            if route.waiting.due < math.inf:
                self.set(route, route.waiting.due)
        due_now = []  # taken first: what is set by then is for another time
        while self._timers and self._timers[0][0] <= now:
            due_now.append(heappop(self._timers)[2:])
        for guard, name in due_now:
            guard.advance(name)
            self._time(guard, name)
        self._due = min((heap[0][0] for heap in (self._looks, self._timers) if heap), default=math.inf)

    def _listener(self, route: RouteState, guard: Guard) -> Callable[[CircuitEvent], None]:
        def heard(event: CircuitEvent) -> None:
            if event.kind == "reset" or event.to_state in PERMITTING:
                self._settlement.release_circuit(route, event.name)
            elif event.to_state is not None and guard.is_timed:
                self._time(guard, event.name)

        return heard

    def _time(self, guard: Guard, name: str) -> None:
        """Ring when time may change the breaker of this name, if it may."""
        seconds = guard.due_seconds(name)
        if seconds < math.inf:
            due = trio.current_time() + seconds
            heappush(self._timers, (due, next(self._serial), guard, name))
            self._ring_at(due)
