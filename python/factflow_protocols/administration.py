"""The contract of a queue provider of which operators can look into what it stores, and repair it.

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
    """Where a stored message is."""

    WAITING = "waiting"
    """It can be handed out."""
    DELAYED = "delayed"
    """It was given back, and is not due yet."""
    LEASED = "leased"
    """A consumer has it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredMessage:
    """A message that is stored and not settled.

    Attributes:
        seq: Number of the message at its provider: ascending in the queue's order, and never another message's.
        message_id: The id that it was accepted under.
        state: Where it is now.
        attempts: How many were spent.
        frame: What `QueueMessage.encode()` gave, as it is stored; may be damaged.
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
        settled: Settled messages that are kept for a while.
        quarantined: Messages that could not be read and were put aside.
        capacity: How many it may hold before publishers wait.
        accepted: Messages ever accepted.
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
    """Counts of what one stage of an execution keeps.

    Attributes:
        execution: Prefix of the names of the execution's queues.
        route: Route id.
        stage: Name of the stage.
        states: One for each process that has left and was not spoken for, or that lives.
        state_bytes: Bytes of all of them.
        answers: Results of the stage for messages that are not acknowledged.
    """

    execution: str
    route: str
    stage: str
    states: int
    state_bytes: int
    answers: int


class StoreStatistics(Protocol):
    """A snapshot of all that a provider stores. A dataclass with these attributes does."""

    @property
    def lines(self) -> Sequence[LineStatistics]:
        """Each queue and each subscription of a topic, ordered by name."""
        ...

    @property
    def stages(self) -> Sequence[StageStatistics]:
        """Stages that keep something, ordered by name; empty where states of stages are not stored."""
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
        messages: Those that waited, due or not.
        settled: Settled ones that were kept for a while.
        quarantined: Those that could not be read.
    """

    messages: int
    settled: int
    quarantined: int


class Forgotten(NamedTuple):
    """Counts of what was removed.

    Attributes:
        lines: Queues and subscriptions.
        purged: The messages that they held.
        states: States of stages.
    """

    lines: int
    purged: Purged
    states: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreProblem:
    """A fault in what is stored.

    Attributes:
        queue: Name of the queue; empty if the fault is the whole store's.
        text: Description of the fault.
        mendable: True if `repair` does something about it.
    """

    queue: str
    text: str
    mendable: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Requeued:
    """Counts of dead letters by what came of putting them back.

    Attributes:
        requeued: Published again, and settled.
        duplicates: Settled; their queue had taken them before.
        gone: Settled by somebody else meanwhile.
        leased: Left with the consumers that have them.
        left: Left where they are, since they cannot be put back.
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
    """A dead letter cannot be put back; others may be."""


class RequeueError(QueueError):
    """Not all dead letters were put back.

    Attributes:
        counts: Counts of those that were tried.
    """

    def __init__(self, queue: str, counts: Requeued, problem: str) -> None:
        self.counts = counts
        super().__init__(queue, problem)


class RequeueStoppedError(RequeueError):
    """The target takes no dead letter now; the one that was tried is where it was, as are those after it."""

    def __init__(self, queue: str, counts: Requeued, reason: QueueError) -> None:
        super().__init__(queue, counts, f"putting back stopped at a message: {reason}")


class LettersLeftError(RequeueError):
    """Dead letters that cannot be put back are where they were; the others were tried."""

    def __init__(self, queue: str, counts: Requeued, first: LetterStaysError) -> None:
        super().__init__(queue, counts, f"{counts.left} could not be put back, the first of them since: {first}")


class QueueAdministration(Protocol):
    """Operations on what a provider stores, beside its use: consumers and publishers, also of other processes, go on.

    Names are the provider's, those of an execution's own queues with their prefix (`exec:<id>:/queue/...`). The caller
    chooses messages from what `browse` and `find` return and passes their numbers, so that a choice by what messages
    say is written once, for every provider.

    Every method raises `QueueError` if the store cannot be used, has no such queue, or cannot do what is asked; the text
    says what to do instead, for it is printed. Cancellation: a method has done all or nothing, unless it says otherwise.
    """

    async def statistics(self) -> StoreStatistics:
        """Return counts of each queue and of the store; changes nothing."""
        ...

    def browse(self, queue: str) -> AsyncIterator[StoredMessage]:
        """Yield every message of a queue that is not settled, in order, without taking it; of a topic, of all subscriptions.

        What changes meanwhile may or may not be seen. Only a bounded part of the queue is in memory at a time.
        """
        ...

    async def find(self, queue: str, beginning: bytes) -> Sequence[StoredName]:
        """Return the messages of a queue that are not settled and whose ids begin with these bytes, a hundred at most."""
        ...

    async def one(self, queue: str, seq: int) -> StoredMessage | None:
        """Return one message of a queue; None if it is not there, or settled."""
        ...

    async def purge(self, queue: str, *, subscription: str | None = None) -> Purged:
        """Delete the messages that no consumer has, settled and quarantined ones included, and forget which ids were seen.

        Args:
            queue: Name of the queue or topic.
            subscription: One of the topic's; None for all.

        Cancellation: nothing is handed out that was to be deleted; space may be freed later.
        """
        ...

    async def purge_quarantine(self, queue: str | None = None, *, subscription: str | None = None) -> int:
        """Delete the messages that could not be read, and nothing else; return how many.

        Args:
            queue: Name of the queue or topic; None for the whole store.
            subscription: One of the topic's; None for all.
        """
        ...

    async def forget(self, queue: str, *, subscription: str | None = None) -> Forgotten:
        """Remove a queue or a topic's subscriptions, with all they hold. Publishing or subscribing makes it anew.

        With the last queue of an execution goes what its stages keep.

        Args:
            queue: Name of the queue or topic.
            subscription: One of the topic's; None for all.

        Raises:
            QueueError: A consumer has messages of it, and nothing was removed; or there is none of that name.

        Cancellation: it may be empty, and still there; call it again.
        """
        ...

    async def forget_execution(self, execution_id: str) -> Forgotten:
        """Remove everything of an execution: its queues, its subscriptions to topics, and what its stages keep.

        Raises:
            QueueError: A process runs it, or nothing is stored of it.

        Cancellation: part of it may be removed; call it again.
        """
        ...

    async def shapes(self, execution_id: str) -> Sequence[tuple[str, str, StageShape]]:
        """Return what the stages of an execution that keep something are made of, each with its route id and name."""
        ...

    async def forget_stage(self, execution_id: str, route: str, stage: str) -> int:
        """Delete what one stage of an execution keeps; return how many states that were, one a process.

        Raises:
            QueueError: A process runs it, or nothing is kept of that stage.
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
        """Put dead letters back where they came from, or elsewhere, and settle them: both or neither, letter by letter.

        `factflow_engine.queues.dead_letters` reads a letter's target and makes the message to publish.

        Args:
            queue: The dead-letter queue.
            seqs: `StoredMessage.seq` of each letter; one that a consumer has is left to it, one that is gone is counted.
            to: Name of a queue or topic; None for the one that the dead letter names.
            create: True to make that queue if there is none of that name, rather than refuse it as a mistake.
            progress: Called after each letter with the counts so far.

        Raises:
            RequeueStoppedError: The target has no room, or is not there; the error counts what was done before.
            LettersLeftError: All were tried, and some cannot be put back; the error counts both.

        Cancellation: the letters before are put back, as `progress` has counted; the others are where they were.
        """
        ...

    async def check(self) -> Sequence[StoreProblem]:
        """Read everything that is stored and return what is wrong with it; changes nothing."""
        ...

    async def repair(self) -> Sequence[StoreProblem]:
        """Mend what can be mended and return what it was. What can still be read is not thrown away."""
        ...


@runtime_checkable
class AdministeredQueue(Protocol):
    """A provider that offers its administration."""

    def open_administration(self) -> AbstractAsyncContextManager[QueueAdministration]:
        """Open what is stored; on exit it is closed again.

        Called on a provider that was just made of its URL and is used for nothing else, or beside its use. Creates
        nothing: that there is nothing yet is a `QueueError` of the first call.
        """
        ...
