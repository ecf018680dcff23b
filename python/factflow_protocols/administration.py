"""Contract of a queue provider whose store operators can inspect and repair.

Kept separate from `queue` because no execution calls it: the commands `factflow queue` and `factflow dlq` do, and
programs of operators.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, Protocol, runtime_checkable

from factflow_protocols.errors import QueueError
from factflow_protocols.states import StageShape


class MessageState(StrEnum):
    """State of a stored message."""

    WAITING = "waiting"
    """Ready to be handed out."""
    DELAYED = "delayed"
    """Given back, and not due yet."""
    LEASED = "leased"
    """Handed out to a consumer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredMessage:
    """A message that is stored and not settled.

    Attributes:
        seq: Number of the message at its provider: ascending in the queue's order, and unique.
        message_id: The id under which it was accepted.
        state: Its present state.
        attempts: Number of attempts spent.
        frame: Stored result of `QueueMessage.encode()`, or its beginning if only that was asked for; may be damaged.
    """

    seq: int
    message_id: bytes
    state: MessageState
    attempts: int
    frame: bytes


class StoredName(NamedTuple):
    """Number and id of a stored message."""

    seq: int
    message_id: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class LineStatistics:
    """Counts of a queue, or of one subscription of a topic.

    Attributes:
        queue: Name of the queue or topic.
        subscription: Name of the topic's subscription; empty for a queue.
        waiting: Messages that could be handed out now, those of expired leases included.
        delayed: Messages given back that are not due yet.
        leased: Messages that consumers have.
        settled: Settled messages that are retained for a while.
        quarantined: Unreadable messages that were put aside.
        capacity: Number of messages at which publishers wait.
        accepted: Total number of messages accepted.
    """

    queue: str
    subscription: str
    waiting: int
    delayed: int
    leased: int
    settled: int
    quarantined: int
    capacity: int
    accepted: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StageStatistics:
    """Counts of the states of one stage of an execution.

    Attributes:
        execution: Prefix of the names of the execution's queues.
        route: Route id.
        stage: Name of the stage.
        states: Number of states: one for each running process, and for each that left without `finish`.
        state_bytes: Bytes of all states.
        answers: Stored results of the stage for unacknowledged messages.
    """

    execution: str
    route: str
    stage: str
    states: int
    state_bytes: int
    answers: int


class StoreStatistics(Protocol):
    """Statistics of a provider's store. A dataclass with these attributes is enough."""

    @property
    def lines(self) -> Sequence[LineStatistics]:
        """Statistics of each queue and each subscription of a topic, ordered by name."""
        ...

    @property
    def stages(self) -> Sequence[StageStatistics]:
        """Statistics of stages with states, ordered by name; empty if the provider stores none."""
        ...

    @property
    def figures(self) -> Mapping[str, int | str]:
        """The store's own figures by name, such as its size in bytes: keys of `factflow queue stats --output json`."""
        ...

    @property
    def summary(self) -> str:
        """The figures in one line, for people."""
        ...


class Purged(NamedTuple):
    """Counts of deleted messages.

    Attributes:
        messages: Waiting messages, due or not.
        settled: Settled messages that were retained for a while.
        quarantined: Unreadable messages.
    """

    messages: int
    settled: int
    quarantined: int


class Forgotten(NamedTuple):
    """Counts of removed items.

    Attributes:
        lines: Queues and subscriptions.
        purged: Their messages.
        states: States of stages.
    """

    lines: int
    purged: Purged
    states: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreProblem:
    """A fault in the store.

    Attributes:
        queue: Name of the queue; empty if the fault concerns the whole store.
        text: Description of the fault.
        mendable: True if `repair` fixes it.
    """

    queue: str
    text: str
    mendable: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Deleted:
    """Counts of messages by the result of deleting them.

    Attributes:
        deleted: Deleted.
        gone: Settled or deleted by another process meanwhile.
        leased: Left with the consumers that have them.
    """

    deleted: int = 0
    gone: int = 0
    leased: int = 0

    def plus(self, other: "Deleted") -> "Deleted":
        """Return the sums of both."""
        return Deleted(
            deleted=self.deleted + other.deleted, gone=self.gone + other.gone, leased=self.leased + other.leased
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Requeued:
    """Counts of dead letters by the result of requeueing them.

    Attributes:
        requeued: Published again, and settled.
        duplicates: Settled; their queue had accepted them before.
        gone: Settled by another process meanwhile.
        leased: Left with the consumers that have them.
        left: Left in place, because they cannot be requeued.
    """

    requeued: int = 0
    duplicates: int = 0
    gone: int = 0
    leased: int = 0
    left: int = 0

    def plus(self, other: "Requeued") -> "Requeued":
        """Return the sums of both."""
        return Requeued(
            requeued=self.requeued + other.requeued,
            duplicates=self.duplicates + other.duplicates,
            gone=self.gone + other.gone,
            leased=self.leased + other.leased,
            left=self.left + other.left,
        )


class LetterStaysError(QueueError):
    """Dead letter that cannot be requeued; others may be."""


class RequeueError(QueueError):
    """Incomplete requeueing of dead letters.

    Attributes:
        counts: Counts of the letters that were tried.
    """

    def __init__(self, queue: str, counts: Requeued, problem: str) -> None:
        self.counts = counts
        super().__init__(queue, problem)


class RequeueStoppedError(RequeueError):
    """Target that accepts no dead letter now; the one that was tried stays in place, as do those after it."""

    def __init__(self, queue: str, counts: Requeued, reason: QueueError) -> None:
        super().__init__(queue, counts, f"putting back stopped at a message: {reason}")


class LettersLeftError(RequeueError):
    """Dead letters that cannot be requeued and stay in place; the others were tried."""

    def __init__(self, queue: str, counts: Requeued, first: LetterStaysError) -> None:
        super().__init__(queue, counts, f"{counts.left} could not be put back, the first of them since: {first}")


class QueueAdministration(Protocol):
    """Administration of a provider's store during its use: consumers and publishers, also of other processes, continue.

    Names are the provider's; those of an execution's own queues have their prefix (`exec:<id>:/queue/...`). The caller
    selects messages from the results of `browse` and `find` and passes their numbers, so that selection by content is
    written once, for every provider.

    Every method raises `QueueError` if the store cannot be used, has no such queue, or refuses the operation; the text
    contains the remedy, because it is printed. Cancellation: a method has done all or nothing, unless documented
    otherwise.
    """

    async def statistics(self) -> StoreStatistics:
        """Return counts of each queue and of the store; changes nothing."""
        ...

    def browse(
        self, queue: str, *, newest_first: bool = False, most_bytes: int | None = None
    ) -> AsyncIterator[StoredMessage]:
        """Yield every unsettled message of a queue, in order, without taking it; of a topic, of all subscriptions.

        Concurrent changes may or may not be seen. Only a bounded part of the queue is in memory at a time.

        Args:
            queue: Name of the queue or topic.
            newest_first: True for the reverse order.
            most_bytes: Bytes to read of each frame, from its beginning; None for all. A store that can read the whole
            frame only gives the whole.
        """
        ...

    async def find(self, queue: str, beginning: bytes) -> Sequence[StoredName]:
        """Return the unsettled messages of a queue whose ids begin with these bytes, a hundred at most."""
        ...

    async def one(self, queue: str, seq: int, *, most_bytes: int | None = None) -> StoredMessage | None:
        """Return one message of a queue; None if it does not exist, or is settled.

        Args:
            queue: Name of the queue or topic.
            seq: `StoredMessage.seq` of the message.
            most_bytes: As of `browse`.
        """
        ...

    async def purge(self, queue: str, *, subscription: str | None = None) -> Purged:
        """Delete the messages that no consumer has, settled and quarantined ones included, and forget the ids seen.

        Args:
            queue: Name of the queue or topic.
            subscription: A subscription of the topic; None for all.

        Cancellation: messages to be deleted are not handed out any more; space may be freed later.
        """
        ...

    async def delete(
        self, queue: str, messages: Sequence[StoredName], *, progress: Callable[[Deleted], object] | None = None
    ) -> Deleted:
        """Delete these unsettled messages, and nothing else, and forget their ids: in batches, each whole or not at all.

        Args:
            queue: Name of the queue or topic.
            messages: Number and id of each. A leased one is left alone. One that does not exist is counted, also if
            another message has its number now.
            progress: Called after each batch with the counts so far.

        Cancellation: earlier batches are deleted, as counted by `progress`; call it again with the same messages.
        """
        ...

    async def purge_quarantine(self, queue: str | None = None, *, subscription: str | None = None) -> int:
        """Delete the unreadable messages, and nothing else; return their number.

        Args:
            queue: Name of the queue or topic; None for the whole store.
            subscription: A subscription of the topic; None for all.
        """
        ...

    async def forget(self, queue: str, *, subscription: str | None = None) -> Forgotten:
        """Remove a queue or a topic's subscriptions, with all messages. Publishing or subscribing makes it anew.

        The last queue of an execution takes with it what the execution's stages keep.

        Args:
            queue: Name of the queue or topic.
            subscription: A subscription of the topic; None for all.

        Raises:
            QueueError: A consumer has messages of it, and nothing was removed; or there is none of that name.

        Cancellation: it may be empty, and still there; call it again.
        """
        ...

    async def forget_execution(self, execution_id: str) -> Forgotten:
        """Remove everything of an execution: its queues, its subscriptions to topics, and the states of its stages.

        Raises:
            QueueError: A process runs it, or nothing of it is stored.

        Cancellation: part of it may be removed; call it again.
        """
        ...

    async def shapes(self, execution_id: str) -> Sequence[tuple[str, str, StageShape]]:
        """Return the shapes of an execution's stages with states, each with its route id and name."""
        ...

    async def forget_stage(self, execution_id: str, route: str, stage: str) -> int:
        """Delete the states of one stage of an execution; return their number, one a process.

        Raises:
            QueueError: A process runs it, or no state of that stage is stored.
        """
        ...

    async def requeue(
        self,
        queue: str,
        seqs: Sequence[int],
        *,
        to: str | None = None,
        create: bool = False,
        progress: Callable[[Requeued], object] | None = None,
    ) -> Requeued:
        """Requeue dead letters to their original queue, or to another, and settle them: both or neither for each.

        They are published in the order given, in batches, each whole or not at all.

        `factflow_engine.queues.dead_letters` reads a letter's target and makes the message to publish.

        Args:
            queue: The dead-letter queue.
            seqs: `StoredMessage.seq` of each letter; a leased one is left alone, a missing one is counted.
            to: Name of a queue or topic; None for the one that the dead letter names.
            create: True to make that queue if it does not exist; otherwise its absence is an error.
            progress: Called after each batch with the counts so far.

        Raises:
            RequeueStoppedError: The target is full, or does not exist; the error counts what was done before.
            LettersLeftError: All were tried, and some cannot be requeued; the error counts both.

        Cancellation: earlier batches are requeued, as counted by `progress`; the others stay in place.
        """
        ...

    async def check(self) -> Sequence[StoreProblem]:
        """Read the whole store and return everything that is wrong with it; changes nothing."""
        ...

    async def repair(self) -> Sequence[StoreProblem]:
        """Repair what can be repaired and return it. No readable message is deleted."""
        ...


@runtime_checkable
class AdministeredQueue(Protocol):
    """A provider that offers its administration."""

    def open_administration(self) -> AbstractAsyncContextManager[QueueAdministration]:
        """Open the store; close it on exit.

        Called on a provider that was just made from its URL and has no other use, or during its use. Creates nothing: a
        missing store is a `QueueError` of the first call.
        """
        ...
