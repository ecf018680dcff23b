"""Progress: whether anything is left to do in an execution, for those who wait for its end or watch it.

Kept separate from the loop because nothing here moves a message. Whether all is done is read from the routes' counters when
a worker runs out of work, not counted beside them.
"""

from collections.abc import Sequence
from typing import Final

import trio

from factflow_engine.runtime.hop.route_state import RouteState


class Progress:
    """Lets tasks wait until the routes of one execution have nothing left to do, or do something worth a look.

    Args:
        routes: All of the execution.
        outlives: True if messages outlive the process: then something may be left to do when nothing is left here.

    Attributes:
        is_watched: True while a task waits for `wait_stirred`; asked for each adapter that has to wait.
    """

    def __init__(self, routes: Sequence[RouteState], *, outlives: bool) -> None:
        self._routes: Final = tuple(routes)
        self._outlives = outlives
        self._closing = False  # nothing is taken from inbounds any more
        self._waiters = trio.lowlevel.ParkingLot()  # of `wait_idle` and `wait_quiet`
        self._watchers = trio.lowlevel.ParkingLot()  # of `wait_stirred`
        self.is_watched = False

    @property
    def is_idle(self) -> bool:
        """True if no route has anything waiting or in flight."""
        return all(route.is_idle for route in self._routes)

    async def wait_idle(self) -> None:
        """Return when nothing waits and nothing is in flight; new messages may change that at any time."""
        await trio.lowlevel.checkpoint()
        while not self.is_idle:
            await self._waiters.park()

    async def wait_quiet(self) -> None:
        """Return when nothing is in flight but what waits for a route whose intake is closed, whatever waits in queues."""
        await trio.lowlevel.checkpoint()
        inbounds = frozenset(id(route.inbound) for route in self._routes if route.carrier.intake_closed)
        while self._is_any_in_flight and not self.waits_for(inbounds):
            await self._waiters.park()

    def waits_for(self, channels: frozenset[int]) -> bool:
        """True if nothing has begun that does not wait for room in these channels, by identity: if they get none, for ever."""
        return all(route.waits_for(channels) for route in self._routes)

    def close_intake(self) -> None:
        """Take nothing more from any inbound queue; what has begun goes on."""
        self._closing = True
        for route in self._routes:
            route.carrier.intake_closed = True

    # -- what those who move messages tell ---------------------------------------------------------------------------

    def note_end(self) -> None:
        """Have those who wait for the end look: a message has ended without a worker, or a worker has died."""
        self._waiters.unpark_all()

    def note_stop(self) -> None:
        """Have them look if what is in flight may now wait for what nobody takes any more: a driver has to wait."""
        if self._closing:
            self._waiters.unpark_all()

    def note_parking(self, *, is_last: bool) -> None:
        """Have them look, if this may be the end: a worker found nothing to do.

        Args:
            is_last: True if all other workers are parked. Else each of them has a message, or will park as well: there
                may be thousands of routes to look at.
        """
        # While the execution closes, what is still in flight may wait for what nobody takes any more.
        if self._waiters and (self._closing or (is_last and not self._is_any_in_flight)):
            self._waiters.unpark_all()
        if self.is_watched and (self._outlives or not self.is_idle):
            self.stir()

    @property
    def _is_any_in_flight(self) -> bool:
        return any(route.counters.in_flight for route in self._routes)

    # -- the watchdog ------------------------------------------------------------------------------------------------

    async def wait_stirred(self) -> None:
        """Return when an adapter has to wait, or a worker has no more to do and something is left all the same."""
        self.is_watched = True
        await self._watchers.park()

    def stir(self) -> None:
        """Let `wait_stirred` return."""
        self.is_watched = False
        self._watchers.unpark_all()
