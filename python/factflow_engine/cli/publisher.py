"""Publishing of many messages to one queue, in batches, with an exact count whatever ends it.

Kept separate from the command because nothing here knows its options.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import click
import trio

from factflow_engine.cli.guard import InvalidInputError
from factflow_engine.cli.publish_input import Item
from factflow_engine.cli.text import clean, plural
from factflow_engine.errors import CodecError
from factflow_engine.frames import Frame
from factflow_engine.runtime.transport.frame_factory import FrameFactory
from factflow_engine.seams import Seams
from factflow_protocols import FactflowError, MessageStatus, QueueError, QueueProtocol

MOST_MESSAGES: Final = 1_000
MOST_BYTES: Final = 1 << 20
"""Size at which a batch is published."""

PATIENCE_SECONDS: Final = 5.0
"""Time without a published message after which the wait for room is named."""


class PublishStoppedError(FactflowError):
    """Publishing that the queue ended before the last message."""


class Publisher:
    """Publisher of messages to one queue.

    Attributes:
        published: Number of messages that are stored.
        last_id: Id of the last of them, 32 hexadecimal digits; None before the first.
    """

    def __init__(
        self, queue: QueueProtocol, name: str, *, headers: Mapping[str, str], reader: tuple[str, int] | None = None
    ) -> None:
        """Prepare.

        Args:
            queue: The provider.
            name: Its name of the queue.
            headers: Headers of each message.
            reader: Subscription and capacity of the consumer that is to come; None if it is unknown. A queue gets its
            capacity from its first consumer, which may not have come yet.
        """
        self.published = 0
        self.last_id: str | None = None
        self._queue = queue
        self._name = name
        self._headers = headers or None
        self._reader = reader
        self._frames = FrameFactory(Seams.real())
        self._last: Item | None = None  # the last one that is stored
        self._sending: Sequence[Item] = ()  # those of the batch that is being stored

    async def publish(self, items: Iterator[Item | None]) -> None:
        """Publish messages in order, waiting while the queue is full; say so on standard error if that takes long.

        Args:
            items: The messages; before None, which stands for a wait for more, all are published.

        Raises:
            InvalidInputError: A message is invalid; the error says how many were published before it.
            PublishStoppedError: The queue cannot take more; the error says how many it took.
            KeyboardInterrupt: The operator interrupts.

        Cancellation: some messages of the last batch may be stored, others not.
        """
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._say_waits)
            try:
                for batch in _batches(items):
                    await self._store(batch)
            except InvalidInputError as error:
                raise InvalidInputError(f"{error}; {self.so_far()}", {"published": self.published}) from error
            except QueueError as error:
                self._sending = ()  # nothing of it is stored
                raise PublishStoppedError(f"{error}; {self.so_far()}") from error
            nursery.cancel_scope.cancel()

    async def _store(self, batch: Sequence[Item]) -> None:
        frames = [self._frame(item) for item in batch]
        if self._reader is not None:
            subscription, capacity = self._reader
            async with self._queue.subscribe(self._name, subscription, 1, capacity):
                self._reader = None
        self._sending = batch
        result = await self._queue.publish_batch(self._name, frames)
        self._sending = ()
        for item, frame, status in zip(batch, frames, result.statuses, strict=True):
            if status is not MessageStatus.REFUSED:
                self.published += 1
                self.last_id, self._last = frame.message_id.hex(), item
        for place, error in result.errors.items():
            raise InvalidInputError(f"{batch[place].place}: {error}")

    def _frame(self, item: Item) -> Frame:
        try:
            return self._frames.frame(item.payload, self._headers, item.key)
        except CodecError as error:
            raise InvalidInputError(f"{item.place}: no message can carry this: {error}") from error

    def so_far(self) -> str:
        """Return how many messages are published, the last of them, and those of which that is unknown."""
        if not self.published and not self._sending:
            return "nothing was published"
        last = f", the last one from {clean(self._last.place)}" if self._last is not None else ""
        unsure = ""
        if self._sending:
            first, final = self._sending[0].place, self._sending[-1].place
            unsure = f"; of the next {len(self._sending):,}, {clean(first)} to {clean(final)}, the first may be, too"
        return f"{plural(self.published, 'message')} published{last}{unsure}"

    async def _say_waits(self) -> None:
        said = False
        while not said:
            before = self.published
            await trio.sleep(PATIENCE_SECONDS)
            if self._sending and self.published == before:
                said = True
                click.echo(
                    f"factflow: {self.so_far()}; waiting for room in {clean(self._name)}: is a process consuming it?",
                    err=True,
                )


def _batches(items: Iterator[Item | None]) -> Iterator[list[Item]]:
    """Yield messages in batches of bounded size; those before an invalid one are a batch, and the error follows."""
    batch: list[Item] = []
    size = 0
    try:
        for item in items:
            if item is not None:
                batch.append(item)
                size += item.size
            if batch and (item is None or len(batch) >= MOST_MESSAGES or size >= MOST_BYTES):
                yield batch
                batch, size = [], 0
    except InvalidInputError:
        if batch:
            yield batch
        raise
    if batch:
        yield batch
