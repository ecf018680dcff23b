"""Sender of frames from routes to one queue of an external provider.

Kept separate from `receiver` because many routes may publish to a queue, and one or none of them read it.
"""

from collections.abc import Callable, Sequence
from typing import Final

import trio

from factflow_engine.frames import Frame
from factflow_engine.queues.channel import MemoryChannel
from factflow_protocols import QueueProtocol

BATCH: Final = 1_000
"""Most messages published at a time."""


class Sender:
    """Empties a channel into one queue of a provider, alone or lending messages to a flush; in order, either way.

    Attributes:
        queue: The provider's name of the queue.
        channel: Channel that routes publish to.
        accepted: Number of messages that the provider has accepted.
        is_publishing: True if messages that were taken from the channel are not accepted yet.
    """

    def __init__(self, queue: str, channel: MemoryChannel, *, changed: Callable[[], None]) -> None:
        """Prepare; `changed` is called when the provider has accepted messages."""
        self.queue: Final = queue
        self.channel: Final = channel
        self._changed = changed
        self._is_left: list[Callable[[], bool]] = []  # each True if a flush is due that takes what waits
        self._arrived = trio.lowlevel.ParkingLot()
        self._progress = trio.lowlevel.ParkingLot()
        self._taken = 0  # from the channel, since the beginning
        self._returned: Sequence[Frame] = ()  # by a flush that could not publish them; the next to be published
        self.accepted = 0  # by the provider
        self.is_publishing = False
        self.channel.listen(self.wake)

    @property
    def is_empty(self) -> bool:
        """True if everything was accepted."""
        return not self.under_way

    @property
    def under_way(self) -> int:
        """Number of messages that were not accepted yet."""
        return self.channel.waiting + self._taken - self.accepted

    def leave_to(self, is_due: Callable[[], bool]) -> None:
        """Leave waiting messages to a flush whenever that is due; it wakes this sender when it is not any more."""
        self._is_left.append(is_due)

    async def run(self, provider: QueueProtocol) -> None:
        """Publish messages in batches, as they arrive, until cancelled.

        Raises:
            QueueError: The provider refused a message, or failed.

        Cancellation: unaccepted messages are dropped here, and are published again when their cause is delivered again.
        """
        while True:
            while not self._may_publish():
                self.channel.armed = not self.channel.waiting  # else what it is left to wakes this sender
                await self._arrived.park()
            frames, self._returned = self._returned or self._take(BATCH), ()
            self.is_publishing = True
            result = await provider.publish_batch(self.queue, frames)
            for error in result.errors.values():
                raise error
            self._accept(frames)

    def wake(self) -> None:
        """Have the sender publish what waits, unless a flush is due that takes it, or it is publishing."""
        self.channel.armed = not self.channel.waiting
        if self._may_publish():
            self._arrived.unpark_all()

    async def flush(self) -> None:
        """Wait until everything that has been added by now was accepted."""
        mark = self._taken + self.channel.waiting
        while self.accepted < mark:
            await self._progress.park()

    def lend(self) -> Sequence[Frame]:
        """Give all waiting messages to a flush, until `end_loan`; nothing may be publishing."""
        self.is_publishing = self.channel.armed = True
        return self._take(self.channel.waiting)

    def end_loan(self, frames: Sequence[Frame], *, accepted: bool) -> None:
        """Take back the messages that were lent: if the provider has not accepted them, they are the next to be published."""
        if accepted:
            self._accept(frames)
        else:
            self._returned = frames
        self.wake()

    def _may_publish(self) -> bool:
        if self.is_publishing:
            return bool(self._returned)
        return self.channel.waiting > 0 and not any(is_left() for is_left in self._is_left)

    def _take(self, most: int) -> Sequence[Frame]:
        frames = self.channel.take_some(most)
        self._taken += len(frames)
        return frames

    def _accept(self, frames: Sequence[Frame]) -> None:
        self.is_publishing = False
        self.accepted += len(frames)
        self._progress.unpark_all()
        self._changed()
