"""Publishing dead letters that found their queue full, as soon as there is room.

Kept separate from `settlement`, where nothing waits. A route with such letters is one more publisher of their queue: it
is told of room in its turn among the others, and its letters go in their order.
"""

from collections.abc import Callable, Sequence

import trio

from factflow_engine.queues.memory import MemoryChannel
from factflow_engine.runtime.lane import Lane
from factflow_engine.runtime.settlement import Settlement


class Letters:
    """A task for each route that has letters which wait, for as long as it has.

    Args:
        lanes: The routes.
        settlement: Publishes letters.
        on_death: Told what a letter raised; as in a worker, that fails the route and not the manager.
        on_posted: Told each time after a letter was published in its turn; its message has ended.
        on_full: Told each time before a letter waits for room, for others may have had that which it was told of.
    """

    def __init__(
        self,
        lanes: Sequence[Lane],
        settlement: Settlement,
        *,
        on_death: Callable[[Lane, BaseException], None],
        on_posted: Callable[[Lane], None],
        on_full: Callable[[Lane], None],
    ) -> None:
        self._lanes = lanes
        self._settlement = settlement
        self._on_death = on_death
        self._on_posted = on_posted
        self._on_full = on_full
        self._nursery: trio.Nursery | None = None
        self._served: set[Lane] = set()

    def start(self, nursery: trio.Nursery) -> None:
        """Publish in this nursery from now on."""
        self._nursery = nursery
        for lane in self._lanes:
            if lane.waiting.letters:
                self.serve(lane)

    def serve(self, lane: Lane) -> None:
        """See to the letters of this lane, which has some."""
        if self._nursery is not None and lane not in self._served:
            self._served.add(lane)
            self._nursery.start_soon(self._run, lane)

    def post_now(self, lane: Lane) -> None:
        """Publish the letters of this lane for which there is room, whoever else was told of it."""
        while lane.waiting.letters and self._post(lane, exceeds=False):
            pass

    def post_beyond(self, lane: Lane) -> bool:
        """Publish the first letter of this lane, which has some, although its queue is full; false if it raised."""
        return self._post(lane, exceeds=True)

    @trio.lowlevel.enable_ki_protection
    async def _run(self, lane: Lane) -> None:
        told: MemoryChannel | None = None  # the queue that has told this task of room, if that was not used
        try:
            while lane.waiting.letters:
                if self._post(lane, exceeds=False):
                    told = None
                    self._on_posted(lane)
                    continue
                full = _full(lane)
                if full is None:
                    return  # the letter raised
                if told is not None and told is not full:
                    told.tell_of_room()  # it was for this one to take, which waits on: another may want it meanwhile
                told = full
                self._on_full(lane)
                if lane.waiting.letters:
                    await full.wait_for_room()
            if told is not None:
                told.tell_of_room()
        finally:
            self._served.discard(lane)

    def _post(self, lane: Lane, *, exceeds: bool) -> bool:
        try:
            return self._settlement.post(lane, exceeds=exceeds)
        except BaseException as error:  # noqa: BLE001 - see on_death; nothing is awaited here
            self._on_death(lane, error)
            return False


def _full(lane: Lane) -> MemoryChannel | None:
    """The first of the lines without room that a letter goes to."""
    channels = () if lane.dead_letters is None else lane.dead_letters.channels
    return next((channel for channel in channels if channel.is_full), None)
