"""Queue provider scoped to one execution: point-to-point queues are its own, topics are shared.

Kept separate from the providers so that none of them knows of executions.
"""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Final

from factflow_engine.queues.naming import is_topic, prefix_of
from factflow_protocols import BatchResult, MessageStatus, QueueMessage, QueueProtocol, Subscription


class ExecutionScopedQueue:
    """A shared provider with rewritten names: `/queue/x` becomes `exec:<id>:/queue/x`.

    Topics keep their names, so that executions receive each other's messages there; the *subscription* of a topic
    becomes the execution's own, so that each execution gets every message rather than a share of them.

    Attributes:
        prefix: Prefix of the provider's names of everything that is the execution's own.

    Methods are those of `factflow_protocols.QueueProtocol`, with its contracts.
    """

    def __init__(self, provider: QueueProtocol, execution_id: str) -> None:
        self._provider = provider
        self.prefix: Final = prefix_of(execution_id)

    @property
    def outlives_process(self) -> bool:
        """See `QueueProtocol.outlives_process`."""
        return self._provider.outlives_process

    def scope_queue(self, queue: str) -> str:
        """Return the provider's name of a queue."""
        return queue if is_topic(queue) else self.prefix + queue

    def scope_subscription(self, queue: str, subscription: str) -> str:
        """Return the provider's name of a subscription."""
        return self.prefix + subscription if is_topic(queue) else subscription

    def validate_name(self, queue: str) -> str | None:
        """See `QueueProtocol.validate_name`; checks the configuration's name."""
        return self._provider.validate_name(queue)

    async def publish(self, queue: str, message: QueueMessage) -> MessageStatus:
        """See `QueueProtocol.publish`."""
        return await self._provider.publish(self.scope_queue(queue), message)

    async def publish_batch(self, queue: str, messages: Sequence[QueueMessage]) -> BatchResult:
        """See `QueueProtocol.publish_batch`."""
        return await self._provider.publish_batch(self.scope_queue(queue), messages)

    def subscribe(
        self, queue: str, subscription: str, prefetch: int, capacity: int | None = None
    ) -> AbstractAsyncContextManager[Subscription]:
        """See `QueueProtocol.subscribe`."""
        return self._provider.subscribe(
            self.scope_queue(queue), self.scope_subscription(queue, subscription), prefetch, capacity
        )

    async def forget_empty(self, prefix: str) -> None:
        """See `QueueProtocol.forget_empty`; only for the execution's own queues."""
        await self._provider.forget_empty(self.prefix + prefix)

    async def stop(self) -> None:
        """Do nothing: the provider is shared, and its owner stops it."""
