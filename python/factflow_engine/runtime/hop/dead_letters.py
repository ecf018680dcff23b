"""Publishing dead letters that found their queue full, as soon as there is room.

Kept separate from `settlement`, where nothing waits. A route with such letters is one more publisher of their queue: it
is told of room in its turn among the others, and its letters go in their order.
"""

from collections.abc import Sequence

import trio

from factflow_engine.queues.channel import MemoryChannel, wait_for_room
from factflow_engine.runtime.hop.progress import Progress
from factflow_engine.runtime.hop.relief import Relief
from factflow_engine.runtime.hop.route_state import RouteState


class DeadLetters:
    """A task for each route that has letters which wait, for as long as it has.

    Args:
        routes: The routes.
        relief: Posts letters, and looks at cycles that a letter which waits, or one that was posted, may let go on.
        progress: Told of messages that end by it.
    """

    def __init__(self, routes: Sequence[RouteState], relief: Relief, progress: Progress) -> None:
        self._routes = routes
        self._relief = relief
        self._progress = progress
        self._nursery: trio.Nursery | None = None
        self._served: set[RouteState] = set()

    def start(self, nursery: trio.Nursery) -> None:
        """Publish in this nursery from now on."""
        self._nursery = nursery
        for route in self._routes:
            if route.waiting.letters:
                self._start(route)

    def serve(self, route: RouteState) -> None:
        """See to the letters of this route, of which one has just found its queue full."""
        self._start(route)
        self._relief.note_blocked(route)

    def _start(self, route: RouteState) -> None:
        if self._nursery is not None and route not in self._served:
            self._served.add(route)
            self._nursery.start_soon(self._run, route)

    @trio.lowlevel.enable_ki_protection
    async def _run(self, route: RouteState) -> None:
        try:
            await wait_for_room(lambda: self._post_all(route))
            for channel in _channels(route):
                channel.tell_of_room()  # others may have posted what this was told of room for
        finally:
            self._served.discard(route)

    def _post_all(self, route: RouteState) -> MemoryChannel | None:
        """Publish the route's letters in their order; the channel that the next one waits for, if one waits."""
        relief = self._relief
        while route.waiting.letters:
            if relief.post(route, exceeds=False):
                self._progress.note_end()
                relief.look_at(route)
                continue
            full = _full(route)
            if full is None:
                return None  # the letter raised
            relief.look_at(route)  # others may have had the room that this one was told of
            if route.waiting.letters:
                return full
        return None


def _full(route: RouteState) -> MemoryChannel | None:
    """The first of the channels without room that a letter goes to."""
    return next((channel for channel in _channels(route) if channel.is_full), None)


def _channels(route: RouteState) -> Sequence[MemoryChannel]:
    return () if route.dead_letters is None else route.dead_letters.channels
