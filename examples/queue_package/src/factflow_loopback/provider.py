"""The provider. In the place of `MemoryQueue`, a real one has its broker's client."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Final

from factflow_engine.frames import Frame
from factflow_engine.queues.memory import MemoryQueue
from factflow_protocols import BatchResult, MessageStatus, QueueMessage, QueueUrlError, Subscription

LONGEST_NAME: Final = 48
"""Characters of a queue's name, as the broker has it."""


class LoopbackQueue:
    """A provider whose messages go through bytes, and whose names are lower case. Nothing outlives the process.

    It tells a test what a pipeline does on a broker without one: messages are carried by the protocol, not by reference.
    """

    outlives_process: bool = False

    def __init__(self) -> None:
        self._broker = MemoryQueue()

    @classmethod
    def from_url(cls, url: str, *, directory: Path | None = None) -> "LoopbackQueue":  # noqa: ARG003 - it has no files
        """See `QueueProviderClass.from_url`."""
        if url != "loopback://":
            raise QueueUrlError(url, "the loopback has no host and no options; write loopback://")
        return cls()

    def validate_name(self, queue: str) -> str | None:
        """See `QueueProtocol.validate_name`."""
        if queue != queue.lower():
            return f"has upper-case letters; write {queue.lower()!r}"
        if len(queue) > LONGEST_NAME:
            return f"is {len(queue)} characters long; use at most {LONGEST_NAME}"
        return self._broker.validate_name(queue)

    async def publish(self, queue: str, message: QueueMessage) -> MessageStatus:
        """See `QueueProtocol.publish`."""
        return await self._broker.publish(queue, Frame.decode(message.encode()))

    async def publish_batch(self, queue: str, messages: Sequence[QueueMessage]) -> BatchResult:
        """See `QueueProtocol.publish_batch`."""
        return await self._broker.publish_batch(queue, [Frame.decode(message.encode()) for message in messages])

    def subscribe(
        self, queue: str, subscription: str, prefetch: int, capacity: int | None = None
    ) -> AbstractAsyncContextManager[Subscription]:
        """See `QueueProtocol.subscribe`."""
        return self._broker.subscribe(queue, subscription, prefetch, capacity)

    async def forget_empty(self, prefix: str) -> None:
        """See `QueueProtocol.forget_empty`."""
        await self._broker.forget_empty(prefix)

    async def stop(self) -> None:
        """See `QueueProtocol.stop`."""
        await self._broker.stop()
