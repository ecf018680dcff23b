"""Relief of deadlocks: lets a message exceed a capacity in cycles of routes that cannot move otherwise.

Kept separate from the loop, which moves what can move. The rule is in `deadlock`; this module decides when to apply it,
namely whenever something may have ended that a cycle's routes had waited for:

- before a worker parks, and in trio's next step at the latest, if a route of the cycle was found unable to do its work,
  a permit of it came back, or a letter of it found its queue full: a worker that is notified of room, of a time or of a
  breaker checks first;
- at once if no worker may be left to check: a driver stops, a letter is published or has to wait again, a pause ends.
"""

from collections.abc import Callable, Sequence

import trio

from factflow_engine.runtime.hop.cycles import Cycle
from factflow_engine.runtime.hop.deadlock import Kind
from factflow_engine.runtime.hop.route_state import RouteState
from factflow_engine.runtime.hop.timers import Timers
from factflow_engine.runtime.hop.workers import Workers


class Relief:
    """Relief of the cycles of one execution.

    Args:
        cycles: The cycles.
        workers: Workers that check the routes that may proceed.
        timers: Timers that check the cycles if no worker is left to do so.
        on_death: Called with the error of a letter; as in a worker, it fails the route and not the manager.

    Attributes:
        strained: Cycles that may be deadlocked since they were last checked.
    """

    __slots__ = ("_cycles", "_granted", "_on_death", "_timers", "_workers", "strained")

    def __init__(
        self,
        cycles: Sequence[Cycle],
        workers: Workers,
        timers: Timers,
        *,
        on_death: Callable[[RouteState, BaseException], None],
    ) -> None:
        self._cycles = {route: cycle for cycle in cycles for route in cycle.routes}
        self._workers = workers
        self._timers = timers
        self._on_death = on_death
        self._granted: set[RouteState] = set()  # routes that may take a message, or begin one, beyond a capacity
        self.strained: dict[Cycle, None] = {}

    def note_blocked(self, route: RouteState) -> None:
        """Note that a route was found unable to do its work."""
        if (cycle := self._cycles.get(route)) is not None and (cycle.through_queues or route.drivers):
            cycle.blocked[route] = None
            self._strain(cycle)

    def note_permit(self, route: RouteState) -> None:
        """Note that a permit of this route came back."""
        if (cycle := self._cycles.get(route)) is not None and cycle.blocked:
            self._strain(cycle)

    def _strain(self, cycle: Cycle) -> None:
        if not self.strained:
            self._timers.soon(self.look)  # the running worker may have to wait before it parks, and be the last one
        self.strained[cycle] = None

    def takable(self, route: RouteState) -> int:
        """Return the number of messages that a blocked route may take beyond a capacity: 1 while it has a grant."""
        cycle = self._cycles.get(route)
        if cycle is None or not route.has_work:
            return 0
        self.note_blocked(route)
        if not cycle.through_queues:
            return 0  # only its drivers may proceed
        route.watch_full()  # whatever else it needs: room may be all that it needs in the end
        if route not in self._granted:
            return 0
        self._granted.discard(route)
        ahead = cycle.relief()
        return 1 if (route, Kind.TAKE) in ahead or (route, Kind.BEGIN) in ahead else 0

    def look(self) -> None:
        """Check the strained cycles."""
        while self.strained:
            cycle, _ = self.strained.popitem()
            self._look_at(cycle, None)

    def look_at(self, route: RouteState) -> None:
        """Check the cycle of this route, if it is on one."""
        if (cycle := self._cycles.get(route)) is not None:
            self._look_at(cycle, None)

    def post(self, route: RouteState, *, exceeds: bool) -> bool:
        """Publish the first letter of this route, which has some (see `RouteState.post_letter`); False if it raised."""
        try:
            return route.post_letter(exceeds=exceeds)
        except BaseException as error:  # noqa: BLE001 - see on_death; nothing is awaited here
            self._on_death(route, error)
            return False

    def may_drive(self, route: RouteState, task: trio.lowlevel.Task) -> bool:
        """True if this driver of the route, which has just stopped, may proceed; others that may are woken."""
        if (cycle := self._cycles.get(route)) is None:
            return False
        cycle.blocked[route] = None
        return self._look_at(cycle, task)

    def _look_at(self, cycle: Cycle, asks: trio.lowlevel.Task | None) -> bool:
        """Publish letters while these may proceed, and notify the routes of which something else may.

        Returns:
            True if the driver that asks may proceed.
        """
        workers = self._workers
        while True:
            # A letter without unmet needs has hope only if it is published: a publisher may get that room instead.
            for route in tuple(cycle.blocked):
                while route.waiting.letters and self.post(route, exceeds=False):
                    pass
            goes = is_posted = tells = False
            for route, kind in cycle.relief():
                if kind is Kind.POST:
                    is_posted = self.post(route, exceeds=True)
                    if is_posted:
                        break  # that may be enough for the others
                elif kind is not Kind.DRIVE:
                    self._granted.add(route)
                    route.notify.attend()
                    tells = True
                elif (driver := route.drivers.first(asks, route.waiting, lacks_place=route.lacks_place)) is None:
                    route.drivers.wake_all()
                elif driver is asks:
                    goes = True
                else:
                    route.drivers.wake(driver)
            if tells:
                workers.rouse()
            if not is_posted:
                return goes
