"""Sender of frames from routes to one queue of an external provider.

Kept separate from `receiver` because many routes may publish to a queue, and one or none of them read it.
"""

from collections.abc import Callable
from typing import Final

import trio

from factflow_engine.queues.channel import MemoryChannel
from factflow_protocols import QueueProtocol

BATCH: Final = 1_000
"""Most messages published at a time."""


class Sender:
    """Empties a channel into one queue of a provider.

    Attributes:
        queue: The provider's name of the queue.
        channel: Channel that routes publish to.
        accepted: Number of messages that the provider has accepted.
    """

    def __init__(self, queue: str, channel: MemoryChannel, *, changed: Callable[[], None]) -> None:
        """Prepare; `changed` is called when the provider has accepted messages."""
        self.queue: Final = queue
        self.channel: Final = channel
        self._changed = changed
        self._arrived = trio.lowlevel.ParkingLot()
        self._progress = trio.lowlevel.ParkingLot()
        self._taken = 0  # from the channel, since the beginning
        self.accepted = 0  # by the provider
        self.channel.listen(self._tell)

    @property
    def is_empty(self) -> bool:
        """True if everything was accepted."""
        return not self.under_way

    @property
    def under_way(self) -> int:
        """Number of messages that were not accepted yet."""
        return self.channel.waiting + self._taken - self.accepted

    async def run(self, provider: QueueProtocol) -> None:
        """Publish messages in batches, as they arrive, until cancelled.

        Raises:
            QueueError: The provider refused a message, or failed.

        Cancellation: unaccepted messages are dropped here, and are published again when their cause is delivered again.
        """
        while True:
            while not self.channel.waiting:
                self.channel.armed = True
                await self._arrived.park()
            self.channel.armed = False  # the channel is checked again anyway
            frames = self.channel.take_some(BATCH)
            self._taken += len(frames)
            result = await provider.publish_batch(self.queue, frames)
            for error in result.errors.values():
                raise error
            self.accepted += len(frames)
            self._progress.unpark_all()
            self._changed()

    def _tell(self) -> None:
        self._arrived.unpark_all()

    async def flush(self) -> None:
        """Wait until everything that has been added by now was accepted."""
        mark = self._taken + self.channel.waiting
        while self.accepted < mark:
            await self._progress.park()
