"""Contract of a queue provider: publish, subscribe, settle.

Pull-based and batched. Handlers never acknowledge: the engine settles according to what they return.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol, runtime_checkable


class MessageStatus(StrEnum):
    """Status of one published message."""

    ACCEPTED = "accepted"
    """Stored as durably as the provider promises; it will be delivered at least once."""
    DUPLICATE = "duplicate"
    """Accepted before under this id, within the provider's window; nothing was stored again."""
    REFUSED = "refused"
    """Not stored. The reason is in `BatchResult.errors`."""


@runtime_checkable
class QueueMessage(Protocol):
    """Message in its wire form. Immutable: a provider stores or sends `encode()` unchanged."""

    @property
    def message_id(self) -> bytes:
        """16 bytes, time-ordered; the same on each redelivery. De-duplicating providers use it as the key."""
        ...

    @property
    def correlation_id(self) -> bytes:
        """16 bytes: the id of the root message."""
        ...

    @property
    def parent_id(self) -> bytes | None:
        """16 bytes: the id of the message that emitted this one; None for a root."""
        ...

    @property
    def attempt(self) -> int:
        """Number of the attempt, from 1."""
        ...

    @property
    def key(self) -> str | None:
        """Name of the thing that the message belongs to, such as an account; None for nothing.

        Routes with `inbound.ordering: key` process messages of one key one after the other, in the queue's order;
        elsewhere it has no effect on order.
        """
        ...

    @property
    def headers(self) -> Mapping[str, Any]:
        """Headers of the message, read-only."""
        ...

    @property
    def payload(self) -> bytes:
        """Msgpack bytes, opaque to a provider."""
        ...

    def encode(self) -> bytes:
        """Return the frame: the bytes to store in a table, a file or a broker's message."""
        ...


@runtime_checkable
class Delivery(Protocol):
    """Message that a subscription has handed out and that is not settled yet."""

    @property
    def message(self) -> QueueMessage:
        """The message; its `attempt` counts this delivery."""
        ...


@dataclass(frozen=True, slots=True)
class Nack:
    """Delivery to be given back.

    Attributes:
        delivery: The delivery, as received.
        delay_seconds: Seconds before it may be handed out again.
        counts: True if this delivery spent an attempt (a failure), False if not (it was cancelled or interrupted).
        Without an attempt and a delay, nothing bounds the number of redeliveries.
    """

    delivery: Delivery
    delay_seconds: float = 0.0
    counts: bool = True


@dataclass(frozen=True, slots=True)
class BatchResult:
    """Statuses of a batch's messages, in its order.

    Attributes:
        statuses: One status for each message.
        errors: Index in the batch to the reason, for each refused message.
    """

    statuses: Sequence[MessageStatus]
    errors: Mapping[int, Exception]


@dataclass(frozen=True, slots=True)
class SubscriptionStatistics:
    """Statistics of one subscription.

    Attributes:
        waiting: Messages that could be handed out now; None if the provider cannot tell.
        unsettled: Deliveries that were handed out and not yet settled.
        redelivered: Deliveries that were handed out again, since the subscription began.
    """

    waiting: int | None
    unsettled: int
    redelivered: int


class Subscription(Protocol):
    """One consumer of one queue; one task at a time calls `receive`, any task `settle`."""

    async def receive(self, max_messages: int) -> Sequence[Delivery]:
        """Wait for at least one message and return at most `max_messages`, in the queue's order.

        Called by the engine's one receiving task. At most `prefetch` deliveries are unsettled at a time; the call waits
        while there are as many.

        Raises:
            QueueClosedError: The queue has ended and every message was handed out.
            QueueError: The subscription is broken for good; the engine fails the route.

        Cancellation: only deliveries that were returned count as handed out.
        """
        ...

    async def settle(self, acks: Sequence[Delivery], nacks: Sequence[Nack] = ()) -> None:
        """Remove acknowledged deliveries for good, and make the nacked ones available again.

        Settling a delivery twice, or after the subscription was closed, does nothing.

        Cancellation: either none or all of the batch is settled; calling again with the same batch is safe.
        """
        ...

    def statistics(self) -> SubscriptionStatistics:
        """Return statistics; never blocks."""
        ...

    async def depth(self) -> int:
        """Return the number of messages for this subscription: waiting, delayed, or unsettled by any consumer.

        Raises:
            QueueError: The provider cannot tell.
        """
        ...


@dataclass(frozen=True, slots=True)
class LeasedElsewhere:
    """Messages that a subscription is not handed out, because others have them.

    Attributes:
        messages: Number of messages that other consumers have, or that wait for a time.
        next_seconds: Seconds until the next of them may be handed out; None if that is unknown.
    """

    messages: int
    next_seconds: float | None = None


@runtime_checkable
class LeasingSubscription(Protocol):
    """Subscription that can tell what it waits for."""

    async def leased_elsewhere(self) -> LeasedElsewhere:
        """Return the messages that are not handed out here now.

        Raises:
            QueueError: The provider cannot tell.
        """
        ...


@runtime_checkable
class IsolatingSubscription(Protocol):
    """Subscription that can tell which messages a dead consumer had."""

    def isolate_suspects(self) -> None:
        """Hand out alone, from now on, each message whose consumer died before it was settled.

        It is handed out when nothing else is unsettled here, and nothing is handed out beside it. So a death that such
        a message causes counts against that message alone. A message that was given back in an orderly way is no
        suspect.
        """
        ...


@runtime_checkable
class TransactionalSubscription(Protocol):
    """Subscription that can publish messages and acknowledge deliveries in one step.

    A message and what it led to then change places at once: a process that dies leaves either both as they were, or
    both as they are to be, and nothing is published twice. Without this method, and whenever it declines, the engine
    publishes first, and acknowledges when everything was accepted.
    """

    async def publish_and_settle(
        self, publications: Sequence[tuple[str, Sequence[QueueMessage]]], acks: Sequence[Delivery]
    ) -> bool:
        """Publish messages to queues, in order, and remove acknowledged deliveries for good; or change nothing.

        Never waits for room. Duplicates are accepted, as by `QueueProtocol.publish_batch`. Deliveries that are not this
        consumer's any more, or settled already, are skipped, as by `Subscription.settle`, and the messages are published
        all the same: another consumer of these deliveries publishes messages of the same ids.

        Args:
            publications: Queue or topic, and messages for it.
            acks: Deliveries of this subscription.

        Returns:
            True if everything was done; False if nothing was, because a queue has no room for all of its messages, or
            this is too much for one step.

        Raises:
            QueueError: Nothing was done: a message is refused, the subscription is closed, or the provider failed.

        Cancellation: everything was done, or nothing.
        """
        ...


@runtime_checkable
class QueueProtocol(Protocol):
    """Queue provider. All names are the configuration's; the engine scopes them to an execution where needed."""

    @property
    def outlives_process(self) -> bool:
        """True if accepted messages are still there, for another process, when this one has ended or died.

        Stages that would lose their state are then refused, and the process that resumes the execution lets the stages
        finish. Constant; read before anything is opened.
        """
        ...

    def validate_name(self, queue: str) -> str | None:
        """Return the fault of a queue name for this provider, `; ` and what to write instead; None if it is valid.

        Called for every queue name of a configuration when it is loaded or validated for this provider, and again when
        an execution starts; the answer is a finding at the name's line. Pure, and independent of the store.
        """
        ...

    async def publish(self, queue: str, message: QueueMessage) -> MessageStatus:
        """Store one message, waiting for room if the queue is full.

        Raises:
            QueueError: The message is not stored.

        Cancellation: the message may or may not be stored (on a repeat, `message_id` tells).
        """
        ...

    async def publish_batch(self, queue: str, messages: Sequence[QueueMessage]) -> BatchResult:
        """Store messages in order; the result names refused ones, the others are stored.

        Cancellation: a prefix of the batch may be stored.
        """
        ...

    def subscribe(
        self, queue: str, subscription: str, prefetch: int, capacity: int | None = None
    ) -> AbstractAsyncContextManager[Subscription]:
        """Consume a queue; on entry the subscription exists, on exit unsettled messages become available again.

        Args:
            queue: A point-to-point queue (each message to one consumer) or a topic (to each subscription).
            subscription: Name of the subscription: its consumers share the load; on a topic each subscription gets
            every message.
            prefetch: Most unsettled deliveries.
            capacity: Number of messages at which publishers wait, if no earlier consumer has set it; None: unspecified.
            A hint for providers with bounds of their own.
        """
        ...

    async def forget_empty(self, prefix: str) -> None:
        """Delete the queues and the topics' subscriptions with this prefix that hold nothing.

        Those that a consumer of this provider has open stay: the consumer must not get an error.
        """
        ...

    async def stop(self) -> None:
        """Stop accepting messages and release the provider's resources. Waits for running writes; idempotent."""
        ...


class QueueProviderClass(Protocol):
    """Object that an entry point of the group `factflow.queues` names: usually the class of the provider.

    The entry point's name is the scheme of its URLs.
    """

    def from_url(self, url: str, *, directory: Path | None = None) -> QueueProtocol:
        """Make a provider from a URL. Usually a class method.

        Called before trio runs, too, and for a provider of which only the naming rule is used: opens nothing, so that
        an unused provider need not be stopped.

        Args:
            url: The URL as given by the command line or a program, with its scheme.
            directory: Folder that a relative path in it starts from; the working directory if None.

        Raises:
            QueueUrlError: The URL is malformed; the text says what to write instead.
        """
        ...


@runtime_checkable
class OrderedQueueProtocol(Protocol):
    """Provider that can keep a queue's order among several consumers.

    Without it, routes with `inbound.ordering: key` keep the order of keys within their process only.
    """

    def subscribe_in_order(
        self, queue: str, subscription: str, prefetch: int, capacity: int | None = None
    ) -> AbstractAsyncContextManager[Subscription]:
        """Consume a queue as `QueueProtocol.subscribe` does, in its order whoever else consumes it.

        Nothing is handed out while another consumer of the subscription, running or dead, has a delivery, until it has
        settled it, or its lease has expired; and redelivered messages come before any that were published after them.
        """
        ...
