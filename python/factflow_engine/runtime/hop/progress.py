"""Progress of an execution: detects that no work is left, for tasks that wait for its end or watch it.

Kept separate from the loop because nothing here moves a message. The end of all work is read from the routes' counters
when a worker runs out of work, not counted separately.
"""

from collections.abc import Sequence
from typing import Final

import trio

from factflow_engine.runtime.hop.route_state import RouteState


class Progress:
    """Lets tasks wait until the routes of one execution have no work left, or until something is worth a check.

    Args:
        routes: All routes of the execution.
        outlives: True if messages outlive the process: then work may be left when none is left here.

    Attributes:
        is_watched: True while a task is in `wait_stirred`; read for each adapter that has to wait.
    """

    def __init__(self, routes: Sequence[RouteState], *, outlives: bool) -> None:
        self._routes: Final = tuple(routes)
        self._outlives = outlives
        self._closing = False  # nothing is taken from inbound queues any more
        self._waiters = trio.lowlevel.ParkingLot()  # of `wait_idle` and `wait_quiet`
        self._watchers = trio.lowlevel.ParkingLot()  # of `wait_stirred`
        self.is_watched = False

    @property
    def is_idle(self) -> bool:
        """True if no route has anything waiting or in flight."""
        return all(route.is_idle for route in self._routes)

    async def wait_idle(self) -> None:
        """Wait until nothing is waiting or in flight; new messages may change that at any time."""
        await trio.lowlevel.checkpoint()
        while not self.is_idle:
            await self._waiters.park()

    async def wait_quiet(self) -> None:
        """Wait until all in-flight messages wait for routes with closed intakes, whatever waits in queues."""
        await trio.lowlevel.checkpoint()
        inbounds = frozenset(id(route.inbound) for route in self._routes if route.carrier.intake_closed)
        while self._is_any_in_flight and not self.waits_for(inbounds):
            await self._waiters.park()

    def waits_for(self, channels: frozenset[int]) -> bool:
        """True if every message that has begun is blocked on these channels, given by identity."""
        return all(route.waits_for(channels) for route in self._routes)

    def close_intake(self) -> None:
        """Take nothing more from any inbound queue; messages that have begun go on."""
        self._closing = True
        for route in self._routes:
            route.carrier.intake_closed = True

    # -- called by the parts that move messages ----------------------------------------------------------------------

    def note_end(self) -> None:
        """Wake tasks that wait for the end: a message has ended without a worker, or a worker has died."""
        self._waiters.unpark_all()

    def note_stop(self) -> None:
        """Wake them if in-flight messages may now wait for ever: a driver has to wait."""
        if self._closing:
            self._waiters.unpark_all()

    def note_parking(self, *, is_last: bool) -> None:
        """Wake them if this may be the end: a worker found no work.

        Args:
            is_last: True if all other workers are parked. Otherwise each of them has a message, or will park as well:
            there may be thousands of routes to check.
        """
        # While the execution closes, in-flight messages may wait for queues that nobody takes from any more.
        if self._waiters and (self._closing or (is_last and not self._is_any_in_flight)):
            self._waiters.unpark_all()
        if self.is_watched and (self._outlives or not self.is_idle):
            self.stir()

    @property
    def _is_any_in_flight(self) -> bool:
        return any(route.counters.in_flight for route in self._routes)

    # -- the watchdog ------------------------------------------------------------------------------------------------

    async def wait_stirred(self) -> None:
        """Wait until an adapter has to wait, or a worker runs out of work while some is left all the same."""
        self.is_watched = True
        await self._watchers.park()

    def stir(self) -> None:
        """Let `wait_stirred` return."""
        self.is_watched = False
        self._watchers.unpark_all()
