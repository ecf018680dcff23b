"""Notifications of waiting consumers and publishers in this process; other processes are polled.

A bell counts its rings, so that a ring between checking and waiting is not missed.
"""

from typing import TypeVar

import trio

K = TypeVar("K")


class Bell:
    """A counted notification.

    Attributes:
        rings: Number of rings so far.
    """

    __slots__ = ("_lot", "rings")

    def __init__(self) -> None:
        self.rings = 0
        self._lot = trio.lowlevel.ParkingLot()

    def ring(self) -> None:
        """Wake all waiting tasks."""
        self.rings += 1
        self._lot.unpark_all()

    async def wait(self, since: int, seconds: float) -> bool:
        """Wait until it has rung more than `since` times, or for so many seconds; True if it rang."""
        if self.rings == since:
            with trio.move_on_after(seconds):
                await self._lot.park()
        else:
            await trio.lowlevel.checkpoint()
        return self.rings != since


class Bells:
    """The bells of a provider: consumers' by line, waiting publishers' by queue."""

    def __init__(self) -> None:
        self._arrivals: dict[int, list[Bell]] = {}
        self._room: dict[str, list[Bell]] = {}

    def listen(self, line: int, bell: Bell) -> None:
        """Ring the bell whenever the line gets messages."""
        self._arrivals.setdefault(line, []).append(bell)

    def unlisten(self, line: int, bell: Bell) -> None:
        """Undo `listen`."""
        _remove(self._arrivals, line, bell)

    def arrived(self, line: int) -> None:
        """Ring the bells of consumers: the line got new messages, or messages were given back."""
        for bell in self._arrivals.get(line, ()):
            bell.ring()

    def want_room(self, queue: str, bell: Bell) -> None:
        """Ring the bell whenever messages of the queue are removed."""
        self._room.setdefault(queue, []).append(bell)

    def unwant_room(self, queue: str, bell: Bell) -> None:
        """Undo `want_room`."""
        _remove(self._room, queue, bell)

    def left(self, queue: str) -> None:
        """Ring the bells of publishers: messages of the queue were removed."""
        for bell in self._room.get(queue, ()):
            bell.ring()

    def ring_all(self) -> None:
        """Ring every bell."""
        for bells in (*self._arrivals.values(), *self._room.values()):
            for bell in bells:
                bell.ring()


def _remove(bells: dict[K, list[Bell]], key: K, bell: Bell) -> None:
    bells[key].remove(bell)
    if not bells[key]:
        del bells[key]
