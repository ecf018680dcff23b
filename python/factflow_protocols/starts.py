"""Protocol of providers at which several processes may start one execution at the same time.

Kept separate from `queue` because it is optional: without it the engine checks first and publishes then.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from factflow_protocols.queue import QueueMessage


@dataclass(frozen=True, slots=True)
class Begun:
    """Result of an execution's start.

    Attributes:
        published: True if this start published its init messages; False if it resumes an earlier one.
        left: Work left at the start, without what was just published: messages of its routes, and stages with a state
        that had not finished.
        unfinished: Number of stages in `left`.
        is_first: True if no process had started it before: its stages must finish, whether they get a message or not.
    """

    published: bool
    left: int
    unfinished: int = 0
    is_first: bool = False


@dataclass(frozen=True, slots=True)
class Holding:
    """A queue, or a topic's subscription, with messages.

    Attributes:
        queue: Name of the queue or topic.
        subscription: Name of the topic's subscription; empty for a queue.
        messages: Number of its messages: waiting, delayed, or unsettled by any consumer.
    """

    queue: str
    subscription: str
    messages: int


@runtime_checkable
class ExecutionStarts(Protocol):
    """Provider at which several processes may start one execution at the same time.

    An execution is open from the `begin` that publishes its init messages until an `end` that finds nothing left. A
    start that finds it open resumes it, and so does a start that was requested while it was open, however late it
    arrives. Without these methods the engine checks first and publishes then, which two processes may do at once.
    """

    def instant_ns(self) -> int:
        """Return the present time, for `begin`; nanoseconds on a clock that all processes share."""
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
        """Publish all init messages of an execution, or none if it is resumed, in one step.

        In the same step the first process of the execution notes that its stages must finish.

        Args:
            execution: Prefix of the names of everything that is the execution's own.
            reads: Queue and subscription of each of its routes.
            messages: Queue and init message, in order; capacities do not apply to them.
            asked_ns: The `instant_ns` at which the start was requested.
            owner: The process's number at the provider of stages' states (`Joined.owner`), 0 without one.

        Raises:
            QueueError: Nothing was published.

        Cancellation: everything was done, or nothing.
        """
        ...

    async def end(self, execution: str, reads: Sequence[tuple[str, str]], *, failed: bool = False) -> int:
        """Close an execution if nothing is left to do; return the work left, as in `Begun`.

        The routes are the ones given, and all that were given since it was begun.

        Args:
            execution: Prefix of the names of everything that is the execution's own.
            reads: Queue and subscription of each of its routes.
            failed: True if it has failed: if no message and no effect of a stage is left, its stages need not finish.
            The next start begins it anew.
        """
        ...

    async def holdings(self, execution: str) -> Sequence[Holding]:
        """Return the queues, and the topics' subscriptions, with this prefix that hold messages."""
        ...


@runtime_checkable
class ResumableStarts(Protocol):
    """Provider that tells whether an execution which died can go on there, before it is started again.

    Without it, a recovery trusts the operator that the queue is the one that the execution ran on; on another one, it
    begins anew.
    """

    @property
    def url(self) -> str:
        """URL that names this store from every working directory, without secrets. Constant; for records and people."""
        ...

    async def can_resume(self, execution: str, *, asked_ns: int) -> bool:
        """True if a `begin` that was requested at that time would resume the execution rather than begin it.

        Changes nothing, and makes no store where none is.

        Args:
            execution: Prefix of the names of everything that is the execution's own.
            asked_ns: See `ExecutionStarts.begin`.

        Raises:
            QueueError: The store cannot be read.
        """
        ...
