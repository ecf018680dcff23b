"""The contract of a queue provider: publish, subscribe, settle.

Pull-based and batched. Handlers never acknowledge: what they return decides, and the engine settles.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol, runtime_checkable


class MessageStatus(StrEnum):
    """The fate of one published message."""

    ACCEPTED = "accepted"
    """Stored as durably as the provider promises; it will be delivered at least once."""
    DUPLICATE = "duplicate"
    """Its id was accepted before, within the provider's window; nothing was stored again."""
    REFUSED = "refused"
    """Not stored. The reason is in `BatchResult.errors`."""


@runtime_checkable
class QueueMessage(Protocol):
    """A message in its wire form. Immutable: a provider stores or sends `encode()` and changes nothing."""

    @property
    def message_id(self) -> bytes:
        """16 bytes, time-ordered; the same on each redelivery. De-duplicating providers key on it."""
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
        """1 on the first delivery."""
        ...

    @property
    def key(self) -> str | None:
        """The thing that the message belongs to, if any.

        Routes with `inbound.ordering: key` handle messages of one key one after the other, in the queue's order;
        elsewhere it says nothing about order.
        """
        ...

    @property
    def headers(self) -> Mapping[str, Any]:
        """Read-only."""
        ...

    @property
    def payload(self) -> bytes:
        """Msgpack bytes, opaque to a provider."""
        ...

    def encode(self) -> bytes:
        """The frame: what goes into a table, a file or a broker's message body."""
        ...


@runtime_checkable
class Delivery(Protocol):
    """A message handed out by a subscription and not yet settled."""

    @property
    def message(self) -> QueueMessage:
        """The message; its `attempt` counts this delivery."""
        ...


@dataclass(frozen=True, slots=True)
class Nack:
    """A delivery to be given back.

    Attributes:
        delivery: As received.
        delay_seconds: It is not handed out again before this many seconds have passed.
        counts: True if this delivery spent an attempt (a failure), or not (a cancelled or interrupted one). What is given
            back so again and again, without a delay, is handed out again and again: nothing bounds that.
    """

    delivery: Delivery
    delay_seconds: float = 0.0
    counts: bool = True


@dataclass(frozen=True, slots=True)
class BatchResult:
    """The fates of a batch's messages, in its order.

    Attributes:
        statuses: One a message.
        errors: Index in the batch to the reason, for each message that was refused.
    """

    statuses: Sequence[MessageStatus]
    errors: Mapping[int, Exception]


@dataclass(frozen=True, slots=True)
class SubscriptionStatistics:
    """A snapshot of one subscription.

    Attributes:
        waiting: Messages that could be handed out now; None if the provider cannot tell.
        unsettled: Deliveries handed out and not yet settled.
        redelivered: Deliveries that were handed out more than once, since the subscription began.
    """

    waiting: int | None
    unsettled: int
    redelivered: int


class Subscription(Protocol):
    """One consumer's view of one queue; used by one task at a time for `receive`, by any task for `settle`."""

    async def receive(self, max_messages: int) -> Sequence[Delivery]:
        """Wait for at least one message and hand out at most `max_messages`, in the queue's order.

        Called by the engine's one receiving task. Never more than `prefetch` deliveries are unsettled at a time; it
        waits while they are.

        Raises:
            QueueClosedError: The queue has ended and everything was handed out.
            QueueError: The subscription is broken for good; the engine fails the route loudly.

        Cancellation: nothing that was not returned counts as handed out.
        """
        ...

    async def settle(self, acks: Sequence[Delivery], nacks: Sequence[Nack] = ()) -> None:
        """Forget the acked deliveries for good and make the nacked ones available again.

        Settling a delivery twice, or after the subscription closed, does nothing.

        Cancellation: either none or all of the batch is settled; calling it again with the same batch is safe.
        """
        ...

    def statistics(self) -> SubscriptionStatistics:
        """Return a snapshot; never blocks."""
        ...

    async def depth(self) -> int:
        """Return how many messages the queue holds for this subscription: waiting, delayed, or unsettled by any consumer.

        Raises:
            QueueError: The provider cannot tell.
        """
        ...


@runtime_checkable
class IsolatingSubscription(Protocol):
    """A subscription that can tell which messages a dead consumer had."""

    def isolate_suspects(self) -> None:
        """Hand out by itself, from now on, each message whose holder died before it was settled.

        It comes when nothing else is unsettled here, and nothing comes beside it. So the death of a process that such a
        message causes is counted against that message alone. What was given back in an orderly way is no suspect.
        """
        ...


@runtime_checkable
class QueueProtocol(Protocol):
    """A queue provider. All names are the configuration's; the engine scopes them to an execution where needed."""

    @property
    def outlives_process(self) -> bool:
        """True if what was accepted is still there, for another process, when this one has ended or died.

        Then stages that would lose what they keep are refused, and the last words of a stage are left to the process that
        goes on. Always the same; asked before anything is opened.
        """
        ...

    def validate_name(self, queue: str) -> str | None:
        """Return what is wrong with this queue name for this provider, `; ` and what to write instead; None if nothing is.

        Called for every queue name of a configuration when it is loaded or validated for this provider, and again when
        an execution starts; the answer is a finding at the name's line. Pure, and does not depend on what is stored.
        """
        ...

    async def publish(self, queue: str, message: QueueMessage) -> MessageStatus:
        """Store one message, waiting for room if the queue is full.

        Raises:
            QueueError: Not stored.

        Cancellation: the message may or may not be stored (`message_id` tells on a repeat).
        """
        ...

    async def publish_batch(self, queue: str, messages: Sequence[QueueMessage]) -> BatchResult:
        """Store messages in their order; those refused are named in the result, the others are stored.

        Cancellation: a prefix of the batch may be stored.
        """
        ...

    def subscribe(
        self, queue: str, subscription: str, prefetch: int, capacity: int | None = None
    ) -> AbstractAsyncContextManager[Subscription]:
        """Consume a queue; on entry the subscription exists, on exit what is unsettled becomes available again.

        Args:
            queue: A point-to-point queue (each message to one consumer) or a topic (to each subscription).
            subscription: Consumers of one name share the load; on a topic each name gets every message.
            prefetch: Upper bound of unsettled deliveries.
            capacity: How many messages the queue holds before publishers wait, if no consumer before has said so;
                None: no opinion. A hint for providers that have their own bound.
        """
        ...

    async def forget_empty(self, prefix: str) -> None:
        """Forget the queues and the topics' subscriptions whose names begin so and that hold nothing.

        Not those that a consumer of this provider has open: it is not to be told of an error where there is none.
        """
        ...

    async def stop(self) -> None:
        """Stop accepting messages and release what the provider holds. Waits for writes under way; idempotent."""
        ...


class QueueProviderClass(Protocol):
    """The object that an entry point of the group `factflow.queues` names: usually the class of the provider.

    The entry point's name is the scheme of the URLs that it is asked for.
    """

    def from_url(self, url: str, *, directory: Path | None = None) -> QueueProtocol:
        """Make a provider of a URL. A class method, as a rule.

        Called before trio runs, too, and for a provider that is only asked for its naming rule: opens nothing, so that
        what is not used need not be stopped.

        Args:
            url: As the command line or a program has it, with its scheme.
            directory: What a relative path in it starts from; the working directory if None.

        Raises:
            QueueUrlError: It cannot be read; the text says what to write instead.
        """
        ...


@dataclass(frozen=True, slots=True)
class Begun:
    """The start of an execution, as it turned out.

    Attributes:
        published: True if its init messages were published by this start; False if it goes on with what was begun before.
        left: How much was left to do when it was started, what was just published excepted: messages that its routes had
            still to handle, and stages that kept something and had not finished.
        unfinished: How many of that are stages.
        is_first: True if no process had started it before: its stages are to finish, whether they have a message or not.
    """

    published: bool
    left: int
    unfinished: int = 0
    is_first: bool = False


@dataclass(frozen=True, slots=True)
class Holding:
    """A queue, or a topic's subscription, that holds messages.

    Attributes:
        queue: Name of the queue or topic.
        subscription: Name of the topic's subscription; empty for a queue.
        messages: How many it holds: waiting, delayed, or unsettled by any consumer.
    """

    queue: str
    subscription: str
    messages: int


@runtime_checkable
class ExecutionStarts(Protocol):
    """A provider of which several processes may start one execution at the same instant.

    An execution is open from the `begin` that publishes its init messages until an `end` that finds nothing left. A start
    that meets an open one goes on with it, and so does a start that was asked for while it was open, however late it
    comes. Without these methods the engine looks first and publishes then, which two processes may do at once.
    """

    def instant_ns(self) -> int:
        """Return the present instant, for `begin`; nanoseconds on a clock that all processes share."""
        ...

    async def begin(
        self,
        execution: str,
        reads: Sequence[tuple[str, str]],
        messages: Sequence[tuple[str, QueueMessage]],
        *,
        asked_ns: int,
        owner: int = 0,
    ) -> Begun:
        """Publish all init messages of an execution, or none because it goes on, in one step.

        In the same step the first process of the execution notes that its stages are to finish.

        Args:
            execution: What the names of all that is the execution's own begin with.
            reads: Queue and subscription of each of its routes.
            messages: Queue and init message, in order; capacities do not hold for them.
            asked_ns: The `instant_ns` at which the start was asked for.
            owner: The process's number at the provider that keeps states of stages (`Joined.owner`), 0 without any.

        Raises:
            QueueError: Nothing was published.

        Cancellation: all of it was done, or nothing.
        """
        ...

    async def end(self, execution: str, reads: Sequence[tuple[str, str]], *, failed: bool = False) -> int:
        """Close an execution if nothing is left to do; return how much is, as in `Begun`.

        The routes are those named, and all that were named since it was begun.

        Args:
            execution: What the names of all that is the execution's own begin with.
            reads: Queue and subscription of each of its routes.
            failed: It has failed: if no message and no effect of a stage is left, its stages need not finish. The next
                start begins it anew.
        """
        ...

    async def holdings(self, execution: str) -> Sequence[Holding]:
        """Return the queues, and the topics' subscriptions, whose names begin so and that hold messages."""
        ...


@runtime_checkable
class OrderedQueueProtocol(Protocol):
    """A provider that can keep a queue's order among several consumers.

    Without it, routes with `inbound.ordering: key` keep the order of keys within their process only.
    """

    def subscribe_in_order(
        self, queue: str, subscription: str, prefetch: int, capacity: int | None = None
    ) -> AbstractAsyncContextManager[Subscription]:
        """Consume a queue as by `QueueProtocol.subscribe`, in its order whoever else does so.

        Nothing is handed out while another consumer of the subscription holds a delivery, alive or dead, until it has
        settled it, or its lease has ended; and what is handed out again comes before whatever was published after it.
        """
        ...
