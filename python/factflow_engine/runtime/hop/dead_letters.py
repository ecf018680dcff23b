"""Publishing dead letters that found their queue full, as soon as there is room.

Kept separate from `settlement`, where nothing waits. A route with such letters is one more publisher of their queue: it
is told of room in its turn among the others, and its letters go in their order.
"""

from collections.abc import Callable, Sequence

import trio

from factflow_engine.queues.channel import MemoryChannel
from factflow_engine.runtime.hop.route_state import RouteState
from factflow_engine.runtime.hop.settlement import Settlement


class DeadLetters:
    """A task for each route that has letters which wait, for as long as it has.

    Args:
        routes: The routes.
        settlement: Publishes letters.
        on_death: Told what a letter raised; as in a worker, that fails the route and not the manager.
        on_posted: Told each time after a letter was published in its turn; its message has ended.
        on_full: Told each time before a letter waits for room, for others may have had that which it was told of.
    """

    def __init__(
        self,
        routes: Sequence[RouteState],
        settlement: Settlement,
        *,
        on_death: Callable[[RouteState, BaseException], None],
        on_posted: Callable[[RouteState], None],
        on_full: Callable[[RouteState], None],
    ) -> None:
        self._routes = routes
        self._settlement = settlement
        self._on_death = on_death
        self._on_posted = on_posted
        self._on_full = on_full
        self._nursery: trio.Nursery | None = None
        self._served: set[RouteState] = set()

    def start(self, nursery: trio.Nursery) -> None:
        """Publish in this nursery from now on."""
        self._nursery = nursery
        for route in self._routes:
            if route.waiting.letters:
                self.serve(route)

    def serve(self, route: RouteState) -> None:
        """See to the letters of this route, which has some."""
        if self._nursery is not None and route not in self._served:
            self._served.add(route)
            self._nursery.start_soon(self._run, route)

    def post_now(self, route: RouteState) -> None:
        """Publish the letters of this route for which there is room, whoever else was told of it."""
        while route.waiting.letters and self._post(route, exceeds=False):
            pass

    def post_beyond(self, route: RouteState) -> bool:
        """Publish the first letter of this route, which has some, although its queue is full; false if it raised."""
        return self._post(route, exceeds=True)

    @trio.lowlevel.enable_ki_protection
    async def _run(self, route: RouteState) -> None:
        told: MemoryChannel | None = None  # the queue that has told this task of room, if that was not used
        try:
            while route.waiting.letters:
                if self._post(route, exceeds=False):
                    told = None
                    self._on_posted(route)
                    continue
                full = _full(route)
                if full is None:
                    return  # the letter raised
                if told is not None and told is not full:
                    told.tell_of_room()  # it was for this one to take, which waits on: another may want it meanwhile
                told = full
                self._on_full(route)
                if route.waiting.letters:
                    await full.wait_for_room()
            if told is not None:
                told.tell_of_room()
        finally:
            self._served.discard(route)

    def _post(self, route: RouteState, *, exceeds: bool) -> bool:
        try:
            return self._settlement.post(route, exceeds=exceeds)
        except BaseException as error:  # noqa: BLE001 - see on_death; nothing is awaited here
            self._on_death(route, error)
            return False


def _full(route: RouteState) -> MemoryChannel | None:
    """The first of the channels without room that a letter goes to."""
    channels = () if route.dead_letters is None else route.dead_letters.channels
    return next((channel for channel in channels if channel.is_full), None)
