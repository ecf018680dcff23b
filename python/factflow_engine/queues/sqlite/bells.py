"""Waking those who wait for messages or for room in this process; other processes are asked now and then.

A bell counts its rings, so that one that rang between looking and waiting is not missed.
"""

from typing import TypeVar

import trio

K = TypeVar("K")


class Bell:
    """Something happened; look again.

    Attributes:
        rings: How often it rang.
    """

    __slots__ = ("_lot", "rings")

    def __init__(self) -> None:
        self.rings = 0
        self._lot = trio.lowlevel.ParkingLot()

    def ring(self) -> None:
        """Wake all who wait."""
        self.rings += 1
        self._lot.unpark_all()

    async def wait(self, since: int, seconds: float) -> bool:
        """Wait until it has rung more often than `since`, or for so long; whether it rang."""
        if self.rings == since:
            with trio.move_on_after(seconds):
                await self._lot.park()
        else:
            await trio.lowlevel.checkpoint()
        return self.rings != since


class Bells:
    """The bells of a provider: of consumers by line, of waiting publishers by queue."""

    def __init__(self) -> None:
        self._arrivals: dict[int, list[Bell]] = {}
        self._room: dict[str, list[Bell]] = {}

    def listen(self, line: int, bell: Bell) -> None:
        """Ring it when a line gets messages."""
        self._arrivals.setdefault(line, []).append(bell)

    def unlisten(self, line: int, bell: Bell) -> None:
        """Withdraw `listen`."""
        _remove(self._arrivals, line, bell)

    def arrived(self, line: int) -> None:
        """A line got messages, or got some back."""
        for bell in self._arrivals.get(line, ()):
            bell.ring()

    def want_room(self, queue: str, bell: Bell) -> None:
        """Ring it when messages of a queue are gone."""
        self._room.setdefault(queue, []).append(bell)

    def unwant_room(self, queue: str, bell: Bell) -> None:
        """Withdraw `want_room`."""
        _remove(self._room, queue, bell)

    def left(self, queue: str) -> None:
        """Messages of a queue are gone."""
        for bell in self._room.get(queue, ()):
            bell.ring()

    def ring_all(self) -> None:
        """Wake everybody."""
        for bells in (*self._arrivals.values(), *self._room.values()):
            for bell in bells:
                bell.ring()


def _remove(bells: dict[K, list[Bell]], key: K, bell: Bell) -> None:
    bells[key].remove(bell)
    if not bells[key]:
        del bells[key]
