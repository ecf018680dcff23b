"""Publishing of dead letters whose queue was full, as soon as there is room.

Kept separate from `settlement`, where nothing waits. A route with such letters is one more publisher of their queue: it
gets its turn among the others, and its letters are published in order.
"""

from collections.abc import Sequence

import trio

from factflow_engine.queues.channel import MemoryChannel, wait_for_room
from factflow_engine.runtime.hop.progress import Progress
from factflow_engine.runtime.hop.relief import Relief
from factflow_engine.runtime.hop.route_state import RouteState


class DeadLetters:
    """A publishing task for each route with waiting letters.

    Args:
        routes: The routes.
        relief: Publishes letters, and checks cycles that a waiting or a published letter may unblock.
        progress: Notified of messages that end here.
    """

    def __init__(self, routes: Sequence[RouteState], relief: Relief, progress: Progress) -> None:
        self._routes = routes
        self._relief = relief
        self._progress = progress
        self._nursery: trio.Nursery | None = None
        self._served: set[RouteState] = set()

    def start(self, nursery: trio.Nursery) -> None:
        """Run the tasks in this nursery from now on."""
        self._nursery = nursery
        for route in self._routes:
            if route.waiting.letters:
                self._start(route)

    def serve(self, route: RouteState) -> None:
        """Start publishing the letters of this route, whose first one has just found its queue full."""
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
                channel.tell_of_room()  # other routes may have published into the room that this one was notified of
        finally:
            self._served.discard(route)

    def _post_all(self, route: RouteState) -> MemoryChannel | None:
        """Publish the route's letters in order; return the channel that the next one waits for, if one is left."""
        relief = self._relief
        while route.waiting.letters:
            if relief.post(route, exceeds=False):
                self._progress.note_end()
                relief.look_at(route)
                continue
            full = _full(route)
            if full is None:
                return None  # the letter raised
            relief.look_at(route)  # others may have used the room that this route was notified of
            if route.waiting.letters:
                return full
        return None


def _full(route: RouteState) -> MemoryChannel | None:
    """Return the first full channel that a letter goes to; None if there is none."""
    return next((channel for channel in _channels(route) if channel.is_full), None)


def _channels(route: RouteState) -> Sequence[MemoryChannel]:
    return () if route.dead_letters is None else route.dead_letters.channels
