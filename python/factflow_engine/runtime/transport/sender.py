"""The way of frames from routes to one queue of a provider outside the process.

Kept separate from `receiver` because a queue may be published to by many routes, and read by one or none of them.
"""

from collections.abc import Callable
from typing import Final

import trio

from factflow_engine.frames import Frame
from factflow_engine.queues.channel import MemoryChannel
from factflow_protocols import QueueProtocol

BATCH: Final = 1_000
"""Messages published at a time, at most."""


class Sender:
    """The emptier of a channel into one queue of a provider.

    Attributes:
        queue: The provider's name of it.
        channel: Where routes publish.
        accepted: How many messages the provider has taken.
    """

    def __init__(self, queue: str, channel: MemoryChannel, *, changed: Callable[[], None]) -> None:
        """Prepare; `changed` is called when the provider has taken messages."""
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
        """Messages that were not accepted yet."""
        return self.channel.waiting + self._taken - self.accepted

    async def run(self, provider: QueueProtocol) -> None:
        """Publish what comes, a batch at a time, until cancelled.

        Raises:
            QueueError: The provider refused a message, or cannot go on.

        Cancellation: what was not accepted is lost here, and is published again when its cause comes again.
        """
        while True:
            while not self.channel.waiting:
                self.channel.armed = True
                await self._arrived.park()
            self.channel.armed = False  # it is looked at again anyway
            frames: list[Frame] = []
            while len(frames) < BATCH and (frame := self.channel.take()) is not None:
                frames.append(frame)
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
        """Return when everything that has been added by now was accepted."""
        mark = self._taken + self.channel.waiting
        while self.accepted < mark:
            await self._progress.park()
