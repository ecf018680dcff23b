"""Timers of an execution: one task that sleeps until the next is due, and calls it.

Kept separate from the callbacks (`settlement` releases messages, `circuits` advances breakers) so that there is one
alarm, and no task before a timer is set.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from heapq import heapify, heappop, heappush
from itertools import count
from typing import TYPE_CHECKING, Final

import trio

if TYPE_CHECKING:
    from factflow_engine.runtime.hop.route_state import RouteState

    Ring = Callable[[float], None]
    """Callback of a timer; gets the time, and may set timers."""

FEW_REPLACED: Final = 64
"""Most replaced timers that are kept, however few are set."""


class Timers:
    """Calls back, in the given nursery, when a timer is due. A route has one timer of each name: the earliest.

    Args:
        on_death: Called with the error of a timer; as in a worker, it fails the route and not the manager.
    """

    def __init__(self, *, on_death: Callable[[RouteState, BaseException], None]) -> None:
        self._on_death = on_death
        self._nursery: trio.Nursery | None = None
        self._runs = False
        self._due = math.inf  # end of the task's sleep, by trio's clock
        self._set: dict[tuple[RouteState, str], tuple[float, int]] = {}  # due times and serial numbers of set timers
        # A heap of the timers that are set, and of some that were replaced by earlier ones.
        self._heap: list[tuple[float, int, RouteState, str, Ring]] = []
        self._soon: list[Callable[[], None]] = []
        self._serial = count()
        self._moved = trio.lowlevel.ParkingLot()

    def start(self, nursery: trio.Nursery) -> None:
        """Run in this nursery from now on."""
        self._nursery = nursery
        if self._soon:
            self._sleep_until(trio.current_time())
        elif self._heap:
            self._sleep_until(self._heap[0][0])

    def set(self, route: RouteState, name: str, due: float, ring: Ring) -> None:
        """Set a timer for a time of trio's clock, unless it is due earlier; infinity sets nothing.

        Args:
            route: Route of the timer, which fails if the callback raises.
            name: Distinguishes the timers of a route.
            due: Time at which it is due.
            ring: Callback, called with the time.
        """
        if due >= self._set.get((route, name), (math.inf, 0))[0]:
            return
        serial = next(self._serial)
        self._set[route, name] = due, serial
        heappush(self._heap, (due, serial, route, name, ring))
        if len(self._heap) > 2 * len(self._set) + FEW_REPLACED:
            self._heap = [one for one in self._heap if self._set.get(one[2:4]) == one[:2]]
            heapify(self._heap)
        self._sleep_until(due)

    def soon(self, call: Callable[[], None]) -> None:
        """Call this once in trio's next step, before anything that is due then."""
        if call not in self._soon:
            self._soon.append(call)
        self._sleep_until(trio.current_time())

    def _sleep_until(self, due: float) -> None:
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
        soon, self._soon = self._soon, []
        for call in soon:
            call()
        due_now = []  # collected first: timers set meanwhile are for another time
        while self._heap and self._heap[0][0] <= now:
            due, serial, route, name, ring = heappop(self._heap)
            if self._set.get((route, name)) == (due, serial):  # else it was replaced by an earlier one
                del self._set[route, name]
                due_now.append((route, ring))
        for route, ring in due_now:
            try:
                ring(now)
            except BaseException as error:  # noqa: BLE001 - see on_death; nothing is awaited here
                self._on_death(route, error)
        self._due = trio.current_time() if self._soon else self._heap[0][0] if self._heap else math.inf
