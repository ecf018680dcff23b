"""Queue provider that notes what passes through it, around any other.

Kept separate from the providers because it keeps everything: it is for tests.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal, cast

import trio

from factflow_engine.frames import unpack
from factflow_engine.queues.memory import MemoryQueue
from factflow_engine.queues.naming import is_topic, owner_of
from factflow_engine.testing.delegation import extended
from factflow_protocols import (
    BatchResult,
    Delivery,
    MessageStatus,
    Nack,
    QueueMessage,
    QueueProtocol,
    StateChange,
    StateSubscription,
    Subscription,
    SubscriptionStatistics,
)

QueueEvent = Literal["published", "duplicate", "refused", "delivered", "acknowledged", "given_back"]


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueRecord:
    """One event of one message at a queue.

    Attributes:
        event: `published`, `duplicate` or `refused` by the provider; `delivered`; `acknowledged` or `given_back`.
        queue: Name of the queue, as in the configuration.
        message: The message's value.
        headers: Its headers.
        key: Its key.
        message_id: 32 hexadecimal digits.
        attempt: Number of the attempt, from 1.
        seconds: Time of the event, by trio's clock.
        delay_seconds: Of a message that is given back: time before it may be handed out again.
    """

    event: QueueEvent
    queue: str
    message: Any
    headers: Mapping[str, Any] = field(default_factory=dict)
    key: str | None = None
    message_id: str = ""
    attempt: int = 1
    seconds: float = 0.0
    delay_seconds: float = 0.0


class RecordingQueue:
    """A queue provider for tests: hands everything to another provider, and notes what was done.

    It has whatever optional abilities the other one has. Around a `MemoryQueue` the engine uses it as a provider of
    another package, without the shortcuts that it takes to queues in memory. Operations that raise are not noted, and
    of a batch that is cancelled, what the provider may have stored all the same.

    Args:
        provider: The provider; a new `MemoryQueue` by default.

    Attributes:
        records: All events, in order.

    Example:
        async def main(simulation: Simulation) -> list[object]:
            queue = RecordingQueue()
            async with OrchestratorManager(registry=registry, queue=queue, seams=simulation.seams) as manager:
                await (await manager.start(config)).complete()
            return queue.messages("/queue/shouts")

        in_virtual_time(main, seed=1)
    """

    def __new__(cls, provider: QueueProtocol | None = None) -> "RecordingQueue":
        """Make the wrapper with the abilities of what it wraps."""
        inner = MemoryQueue() if provider is None else provider
        made: RecordingQueue = object.__new__(extended(cls, inner, _SPECIAL_OF_PROVIDERS))
        made._inner = inner
        return made

    def __init__(self, provider: QueueProtocol | None = None) -> None:  # noqa: ARG002 - see `__new__`
        self.records: list[QueueRecord] = []
        self._inner: QueueProtocol

    @property
    def published(self) -> list[QueueRecord]:
        """Messages that the provider stored, in order."""
        return self.of("published")

    @property
    def delivered(self) -> list[QueueRecord]:
        """Messages that were handed out, in order, redelivered ones again."""
        return self.of("delivered")

    @property
    def settled(self) -> list[QueueRecord]:
        """Messages that were acknowledged or given back, in order."""
        return self.of("acknowledged", "given_back")

    def of(self, *events: QueueEvent) -> list[QueueRecord]:
        """Return the records of these events, in order."""
        return [record for record in self.records if record.event in events]

    def messages(self, queue: str) -> list[Any]:
        """Return the values of the messages that were published to a queue, by the name in the configuration."""
        return [record.message for record in self.published if record.queue == queue]

    # The protocol.

    @property
    def outlives_process(self) -> bool:
        """See `QueueProtocol.outlives_process`."""
        return self._inner.outlives_process

    def validate_name(self, queue: str) -> str | None:
        """See `QueueProtocol.validate_name`."""
        return self._inner.validate_name(queue)

    async def publish(self, queue: str, message: QueueMessage) -> MessageStatus:
        """See `QueueProtocol.publish`."""
        status = await self._inner.publish(queue, message)
        self._note(_EVENTS[status], queue, message)
        return status

    async def publish_batch(self, queue: str, messages: Sequence[QueueMessage]) -> BatchResult:
        """See `QueueProtocol.publish_batch`."""
        result = await self._inner.publish_batch(queue, messages)
        for message, status in zip(messages, result.statuses, strict=True):
            self._note(_EVENTS[status], queue, message)
        return result

    def subscribe(
        self, queue: str, subscription: str, prefetch: int, capacity: int | None = None
    ) -> AbstractAsyncContextManager[Subscription]:
        """See `QueueProtocol.subscribe`."""
        return self._recorded(queue, self._inner.subscribe(queue, subscription, prefetch, capacity))

    async def forget_empty(self, prefix: str) -> None:
        """See `QueueProtocol.forget_empty`."""
        await self._inner.forget_empty(prefix)

    async def stop(self) -> None:
        """See `QueueProtocol.stop`."""
        await self._inner.stop()

    @asynccontextmanager
    async def _recorded(
        self, queue: str, opened: AbstractAsyncContextManager[Subscription]
    ) -> AsyncIterator[Subscription]:
        async with opened as subscription:
            yield RecordingSubscription(self, queue, subscription)

    def _note(self, event: QueueEvent, queue: str, message: QueueMessage, *, delay_seconds: float = 0.0) -> None:
        self.records.append(
            QueueRecord(
                event=event,
                queue=_configured(queue),
                message=unpack(message.payload),
                headers=dict(message.headers),
                key=message.key,
                message_id=message.message_id.hex(),
                attempt=message.attempt,
                seconds=trio.current_time(),
                delay_seconds=delay_seconds,
            )
        )


class RecordingSubscription:
    """A subscription of a `RecordingQueue`; see `factflow_protocols.Subscription`."""

    def __new__(cls, recorder: RecordingQueue, queue: str, subscription: Subscription) -> "RecordingSubscription":  # noqa: ARG004 - those of `__init__`
        """Make the wrapper with the abilities of what it wraps."""
        made: RecordingSubscription = object.__new__(extended(cls, subscription, _SPECIAL_OF_SUBSCRIPTIONS))
        return made

    def __init__(self, recorder: RecordingQueue, queue: str, subscription: Subscription) -> None:
        self._recorder = recorder
        self._queue = queue
        self._inner = subscription

    async def receive(self, max_messages: int) -> Sequence[Delivery]:
        """See `Subscription.receive`."""
        deliveries = await self._inner.receive(max_messages)
        for delivery in deliveries:
            self._recorder._note("delivered", self._queue, delivery.message)
        return deliveries

    async def settle(
        self, acks: Sequence[Delivery], nacks: Sequence[Nack] = (), *, change: StateChange | None = None
    ) -> None:
        """See `Subscription.settle`, and `StateSubscription.settle` for a provider that stores states."""
        if change is None:
            await self._inner.settle(acks, nacks)
        else:
            await cast("StateSubscription", self._inner).settle(acks, nacks, change=change)
        self._note_settled(acks, nacks)

    def statistics(self) -> SubscriptionStatistics:
        """See `Subscription.statistics`."""
        return self._inner.statistics()

    async def depth(self) -> int:
        """See `Subscription.depth`."""
        return await self._inner.depth()

    def _note_settled(self, acks: Sequence[Delivery], nacks: Sequence[Nack] = ()) -> None:
        for delivery in acks:
            self._recorder._note("acknowledged", self._queue, delivery.message)
        for nack in nacks:
            message, delay = nack.delivery.message, nack.delay_seconds
            self._recorder._note("given_back", self._queue, message, delay_seconds=delay)


def _subscribe_in_order(
    self: Any, queue: str, subscription: str, prefetch: int, capacity: int | None = None
) -> AbstractAsyncContextManager[Subscription]:
    opened = self._inner.subscribe_in_order(queue, subscription, prefetch, capacity)
    recorded: AbstractAsyncContextManager[Subscription] = self._recorded(queue, opened)
    return recorded


def _publish_nowait(self: Any, queue: str, message: QueueMessage) -> None:
    self._inner.publish_nowait(queue, message)
    self._note("published", queue, message)


async def _publish_and_settle(
    self: Any, publications: Sequence[tuple[str, Sequence[QueueMessage]]], acks: Sequence[Delivery]
) -> bool:
    is_done: bool = await self._inner.publish_and_settle(publications, acks)
    if is_done:
        for queue, messages in publications:
            for message in messages:
                self._recorder._note("published", queue, message)
        self._note_settled(acks)
    return is_done


def _configured(queue: str) -> str:
    """Return the configuration's name of a queue: the provider's without the execution's prefix."""
    return queue if is_topic(queue) else queue.removeprefix(owner_of(queue, "") or "")


_EVENTS: dict[MessageStatus, QueueEvent] = {
    MessageStatus.ACCEPTED: "published",
    MessageStatus.DUPLICATE: "duplicate",
    MessageStatus.REFUSED: "refused",
}
_SPECIAL_OF_PROVIDERS = {"subscribe_in_order": _subscribe_in_order, "publish_nowait": _publish_nowait}
_SPECIAL_OF_SUBSCRIPTIONS = {"publish_and_settle": _publish_and_settle}
