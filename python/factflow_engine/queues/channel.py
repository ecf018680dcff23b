"""In-memory channel of one queue: routes take frames from it and append frames to it, wherever these come from or go.

Kept separate from the provider because a durable transport uses channels, too, between its routes and a queue on disk.
"""

import sys
from collections.abc import Callable
from typing import Final

import trio

from factflow_engine.frames import Frame
from factflow_engine.native import Channel
from factflow_protocols import QueueMessage

DEFAULT_CAPACITY: Final = 1000
"""Messages that wait in a queue before publishers wait, unless a consumer sets another capacity."""


class MemoryChannel(Channel):
    """One bounded first-in-first-out channel of frames, stored natively (see `Channel`).

    It may exceed `capacity` briefly: the loop appends frames that were in flight before it looked, and a message that
    is given back returns to the front. Publishers wait (or are parked by the loop) while it is full.

    Attributes:
        owner: Name of the queue, or of the subscription if it is a topic's.
        capacity: Number of waiting frames at which it is full.
        redelivered: Number of frames that were given back.
        armed: True if `tell` must be called after a frame was added. A single listener may clear it while it knows of
        frames anyway, and must set it before it stops; `listen` keeps it set for several listeners.
        closed: True if nothing will be added any more; consumers may take what is left.
        outside: Number of frames taken through subscriptions and not settled.
        settled: Number of frames taken through subscriptions and acknowledged.
        awaited: True if `tell_of_room` must be called after a frame was taken, because a publisher waits for room.
        listeners: Callbacks of the consumers, called without arguments by `tell`. `is_read` is True if there are any,
        `shared` if there are several, so that `armed` must stay set. A single one is called natively (`sole`).
    """

    __slots__ = ("_room", "_watchers", "closed", "listeners", "outside", "redelivered", "settled", "sized")

    def __init__(self, owner: str, capacity: int) -> None:  # noqa: ARG002 - the native part's, which has taken them
        self.redelivered = 0
        self.sized = False  # True if a consumer has set the capacity
        self.closed = False
        self.outside = 0
        self.settled = 0
        self.listeners: list[Callable[[], None]] = []
        self._watchers: list[Callable[[], None]] = []  # each called once when there is room
        self._room = trio.lowlevel.ParkingLot()

    def listen(self, listener: Callable[[], None]) -> None:
        """Add a consumer."""
        self.listeners.append(listener)
        self._count_listeners()
        self.armed = True

    def unlisten(self, listener: Callable[[], None]) -> None:
        """Remove a consumer; notify the others of the frames that it leaves, and publishers if no consumer is left."""
        if listener in self.listeners:
            self.listeners.remove(listener)
            self._count_listeners()
            self.armed = True
            self.tell()
            if not self.listeners:
                self._tell_watchers()
                self.wake_publishers()

    def _count_listeners(self) -> None:
        listeners = self.listeners
        self.is_read = bool(listeners)
        self.shared = len(listeners) > 1
        self.sole = listeners[0] if len(listeners) == 1 else None

    def give_back(self, frame: Frame) -> None:
        """Put a taken frame back, as the next to be taken."""
        self.redelivered += 1
        self.put_first(frame)
        self.tell()

    def close(self) -> None:
        """Refuse new frames and release waiting publishers; frames that are left stay for the present consumers."""
        self.closed = True
        if not self.listeners:
            self.clear()
        self.capacity = sys.maxsize
        self.tell_of_room()
        self.tell()

    def tell(self) -> None:
        """Notify the consumers that a frame is ready, or settled."""
        for listener in tuple(self.listeners):
            listener()

    def watch(self, watcher: Callable[[], None]) -> None:
        """Call `watcher` once when there is room."""
        if watcher not in self._watchers:
            self._watchers.append(watcher)
            self.awaited = True

    def unwatch(self, watcher: Callable[[], None]) -> None:
        """Cancel a `watch`."""
        if watcher in self._watchers:
            self._watchers.remove(watcher)

    async def wait_for_room(self) -> None:
        """Wait until there may be room; another publisher may be faster, so check again."""
        self.awaited = True
        await self._room.park()

    def wake_publishers(self) -> None:
        """Wake all waiting publishers, so that they check whether they still want room."""
        self._room.unpark_all()

    def tell_of_room(self) -> None:
        """Notify those that wait for room, if there is any: as many publishers as fit, and every watcher."""
        room = self.capacity - self.waiting
        if room > 0:
            self._room.unpark(count=room)
            self._tell_watchers()

    def _tell_watchers(self) -> None:
        watchers, self._watchers = self._watchers, []
        self.awaited = bool(self._room)
        for watcher in watchers:
            watcher()


async def wait_for_room(full: Callable[[], MemoryChannel | None]) -> None:
    """Wait until `full`, called again whenever there may be room, returns no channel to wait for.

    Cancellation: nothing was taken, and a notification of room that this publisher got is passed on to another one.
    """
    before: MemoryChannel | None = None
    while (channel := full()) is not None:
        if before is not None and before is not channel:
            before.tell_of_room()  # it was for this publisher, and stays: another may want it meanwhile
        before = channel
        await channel.wait_for_room()


def as_frame(message: QueueMessage) -> Frame:
    """Return the native frame of a message, which may be of another implementation."""
    return message if isinstance(message, Frame) else Frame.decode(message.encode())
