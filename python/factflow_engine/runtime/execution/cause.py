"""Cause of an execution's end: its failure, what kept it from completing, and errors on the way.

Kept separate from `lifecycle` because several errors may be reported for one end, in any order, and one rule decides
what the report says.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from factflow_engine.errors import ClosedReason
from factflow_engine.runtime.report import ExecutionStatus


class Cause:
    """Cause of one execution's end, as far as it is known.

    Attributes:
        error: The first failure, without secrets; None if there is none.
        left: Reason why it did not complete although it was allowed to; None if its budgets were the reason.
    """

    def __init__(self, redacted: Callable[[str], str]) -> None:
        self.error: str | None = None
        self.left: str | None = None
        self._redacted = redacted
        self._noted: Final[list[str]] = []

    def fail(self, text: str) -> None:
        """Make the execution fail, unless it has failed already."""
        if self.error is None:
            self.error = self._redacted(text)

    def note(self, text: str) -> None:
        """Note an error that changes nothing."""
        self._noted.append(text)

    def note_lost(self, unaccepted: Mapping[str, int], unsaid: Iterable[str]) -> None:
        """Note what an execution leaves behind besides held messages.

        Args:
            unaccepted: Number of messages that a provider has not accepted, by queue.
            unsaid: Stages that were not asked to finish, as `route/stage`.
        """
        for queue, count in unaccepted.items():
            self.note(
                f"queue {queue!r} has not confirmed {count} messages; what led to them is not acknowledged and comes again"
            )
        for where in unsaid:
            self.note(f"{where}: was not asked to finish; its state in memory is lost")

    @property
    def status(self) -> ExecutionStatus:
        """Status of an execution that has not completed."""
        return ExecutionStatus.CANCELLED if self.error is None else ExecutionStatus.FAILED

    def closed_reason(self, status: ExecutionStatus, *, is_draining: bool) -> ClosedReason:
        """Return the reason why an execution in this status takes no more messages."""
        if self.error is not None or status is ExecutionStatus.FAILED:
            return ClosedReason.FAILED
        if status is ExecutionStatus.COMPLETED:
            return ClosedReason.COMPLETED
        return ClosedReason.DRAINING if is_draining else ClosedReason.CANCELLED

    def error_of(self, status: ExecutionStatus, budgets: str) -> str | None:
        """Return the error of a report of this status; `budgets` is the reason given for a cancelled one."""
        if self.error is None and status is ExecutionStatus.CANCELLED:
            return self.left or budgets
        return self.error

    def noted(self, others: Iterable[str]) -> tuple[str, ...]:
        """Return all errors that changed nothing, those in `others` too, without secrets."""
        return tuple(self._redacted(text) for text in (*self._noted, *others))
