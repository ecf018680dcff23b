"""The in-memory channel of one queue: what routes take from and append to, wherever its frames come from or go.

Kept separate from the provider because a durable transport uses channels too, between its routes and a queue on disk.
"""

import sys
from collections.abc import Callable
from typing import Final

import trio

from factflow_engine.frames import Frame
from factflow_engine.native import Channel
from factflow_protocols import QueueMessage

DEFAULT_CAPACITY: Final = 1000
"""Messages that wait in a queue before publishers wait, unless a consumer says otherwise."""


class MemoryChannel(Channel):
    """One bounded first-in-first-out channel of frames, which it holds natively (see `Channel`).

    It may hold more than `capacity` for a moment: the loop appends what was in flight before it looked, and a message
    that is given back returns to the front. Those who publish wait (or are parked by the loop) while it is full.

    Attributes:
        owner: Name of the queue, or of the subscription if it is a topic's.
        capacity: How many waiting frames make it full.
        redelivered: How many frames were given back.
        armed: True if `tell` must be called after a frame was added. A single listener may switch it off while it
            knows of frames anyway, and must switch it on before it forgets; `listen` keeps it on for several.
        closed: Nothing will be added any more; consumers may take what is left.
        outside: Taken through subscriptions and not settled: the queue is not done with them.
        settled: How many were taken and acknowledged through subscriptions.
        awaited: True if `tell_of_room` must be called after a frame was taken: somebody waits for room.
        listeners: Who reads: called, without arguments, by `tell`. `is_read` says whether there are any, and `shared`
            whether there are several, so that `armed` must stay on.
    """

    __slots__ = ("_room", "_watchers", "closed", "listeners", "outside", "redelivered", "settled", "sized")

    def __init__(self, owner: str, capacity: int) -> None:  # noqa: ARG002 - the native part's, which has taken them
        self.redelivered = 0
        self.sized = False  # whether a consumer has named the capacity
        self.closed = False
        self.outside = 0
        self.settled = 0
        self.listeners: list[Callable[[], None]] = []
        self._watchers: list[Callable[[], None]] = []  # told once each when there is room
        self._room = trio.lowlevel.ParkingLot()

    def listen(self, listener: Callable[[], None]) -> None:
        """Add a consumer."""
        self.listeners.append(listener)
        self.is_read = self.armed = True
        self.shared = len(self.listeners) > 1

    def unlisten(self, listener: Callable[[], None]) -> None:
        """Remove a consumer; the others hear of what it leaves, and publishers that nobody reads any more."""
        if listener in self.listeners:
            self.listeners.remove(listener)
            self.is_read = bool(self.listeners)
            self.shared = len(self.listeners) > 1
            self.armed = True
            self.tell()
            if not self.listeners:
                self._tell_watchers()
                self.wake_publishers()

    def give_back(self, frame: Frame) -> None:
        """Make a taken frame the next to be taken."""
        self.redelivered += 1
        self.put_first(frame)
        self.tell()

    def close(self) -> None:
        """Take no more and hold nobody up; what is left stays for consumers that are still there."""
        self.closed = True
        if not self.listeners:
            self.clear()
        self.capacity = sys.maxsize
        self.tell_of_room()
        self.tell()

    def tell(self) -> None:
        """Tell the consumers that something is ready, or settled."""
        for listener in tuple(self.listeners):
            listener()

    def watch(self, watcher: Callable[[], None]) -> None:
        """Have this called once when there is room."""
        if watcher not in self._watchers:
            self._watchers.append(watcher)
            self.awaited = True

    def unwatch(self, watcher: Callable[[], None]) -> None:
        """Withdraw a `watch`."""
        if watcher in self._watchers:
            self._watchers.remove(watcher)

    async def wait_for_room(self) -> None:
        """Return when there may be room; another publisher may be faster, so look again."""
        self.awaited = True
        await self._room.park()

    def wake_publishers(self) -> None:
        """Let those who wait for room look again at whether they still want it."""
        self._room.unpark_all()

    def tell_of_room(self) -> None:
        """If there is room, tell those who wait for it: as many publishers as fit, and every watcher."""
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
    """Return when `full`, asked again whenever there may be room, names no channel that a message has to wait for.

    Cancellation: nothing was taken, and another publisher was told of any room that this one was told of.
    """
    before: MemoryChannel | None = None
    while (channel := full()) is not None:
        if before is not None and before is not channel:
            before.tell_of_room()  # it was for this one to take, and waits on: another may want it meanwhile
        before = channel
        await channel.wait_for_room()


def as_frame(message: QueueMessage) -> Frame:
    """Return the native frame of a message that may be another implementation's."""
    return message if isinstance(message, Frame) else Frame.decode(message.encode())
