"""The cause of an execution's end: what made it fail, what kept it from completing, and what went wrong on the way.

Kept separate from `lifecycle` because several things may be told of one end, in any order, and one rule says what the report
makes of them.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from factflow_engine.errors import ClosedReason
from factflow_engine.runtime.report import ExecutionStatus


class Cause:
    """The cause of one execution's end, as far as it is known.

    Attributes:
        error: The first thing that made it fail, without secrets; None while nothing did.
        left: Reason for which it did not complete although it was left to; None: its budgets.
    """

    def __init__(self, redacted: Callable[[str], str]) -> None:
        self.error: str | None = None
        self.left: str | None = None
        self._redacted = redacted
        self._noted: Final[list[str]] = []

    def fail(self, text: str) -> None:
        """Fail it for this, unless it fails for something before."""
        if self.error is None:
            self.error = self._redacted(text)

    def note(self, text: str) -> None:
        """Tell of something that went wrong and changes nothing."""
        self._noted.append(text)

    def note_lost(self, unaccepted: Mapping[str, int], unsaid: Iterable[str]) -> None:
        """Tell of what an execution leaves behind where no message is held for it.

        Args:
            unaccepted: How many messages a provider has not taken, by queue.
            unsaid: The stages that were not asked for their last words, as `route/stage`.
        """
        for queue, count in unaccepted.items():
            self.note(
                f"queue {queue!r} has not confirmed {count} messages; what led to them is not acknowledged and comes again"
            )
        for where in unsaid:
            self.note(f"{where}: was not asked for its last words; what it kept in memory is lost")

    @property
    def status(self) -> ExecutionStatus:
        """The status of an execution that has not completed."""
        return ExecutionStatus.CANCELLED if self.error is None else ExecutionStatus.FAILED

    def closed_reason(self, status: ExecutionStatus, *, is_draining: bool) -> ClosedReason:
        """Return why an execution in this status takes no more messages."""
        if self.error is not None or status is ExecutionStatus.FAILED:
            return ClosedReason.FAILED
        if status is ExecutionStatus.COMPLETED:
            return ClosedReason.COMPLETED
        return ClosedReason.DRAINING if is_draining else ClosedReason.CANCELLED

    def error_of(self, status: ExecutionStatus, budgets: str) -> str | None:
        """Return the error of a report of this status; `budgets` is what budgets say of a cancelled one."""
        if self.error is None and status is ExecutionStatus.CANCELLED:
            return self.left or budgets
        return self.error

    def noted(self, others: Iterable[str]) -> tuple[str, ...]:
        """Return everything that went wrong and changed nothing, `others` too; without secrets."""
        return tuple(self._redacted(text) for text in (*self._noted, *others))
