"""Access to an execution from outside: open, closed, or ended, and the errors of calls that arrive too late.

Kept separate from `lifecycle`, which decides when an execution closes: this module only stores it and refuses calls.
"""

from __future__ import annotations

from collections.abc import Callable

import trio

from factflow_engine.errors import CallFromInsideError, ExecutionClosedError
from factflow_engine.runtime.execution.trio_only import require_trio
from factflow_engine.runtime.stages.isolation import descends_from


class Access:
    """State of an execution for callers from outside."""

    def __init__(
        self, execution_id: str, *, is_discarded: Callable[[], bool], closed_error: Callable[[], ExecutionClosedError]
    ) -> None:
        """Prepare; the execution is open.

        Args:
            execution_id: Id of the execution.
            is_discarded: Returns True if the execution's queues were deleted.
            closed_error: Makes the error for a call that arrives too late.
        """
        self._id = execution_id
        self._is_discarded = is_discarded
        self._closed_error = closed_error
        self._is_closed = False
        self._ended = trio.Event()
        self._task: trio.lowlevel.Task | None = None  # ancestor of all tasks of the execution while it lives

    def enter(self) -> None:
        """Note that the running task is the ancestor of all tasks of the execution, until `end`."""
        self._task = trio.lowlevel.current_task()

    def close(self) -> None:
        """Take nothing more from outside."""
        self._is_closed = True

    def end(self) -> None:
        """Note the end of the execution, and wake the tasks that wait for it."""
        self._is_closed = True
        self._task = None
        self._ended.set()

    async def wait_ended(self) -> None:
        """Wait for `end`."""
        await self._ended.wait()

    def refuse_if_closed(self) -> None:
        """Raise if nothing more is taken from outside.

        Raises:
            ExecutionClosedError: It is draining, or has ended.
        """
        if self._is_closed:
            raise self._closed_error()

    def refuse_if_ended(self) -> None:
        """Raise if nothing can be consumed any more.

        Raises:
            ExecutionClosedError: It has ended.
        """
        if self._ended.is_set() or self._is_discarded():
            raise self._closed_error()

    def refuse_from_inside(self, call: str, instead: str = "call let_complete()") -> None:
        """Raise if a task of the execution calls a method that waits for the execution's end.

        Raises:
            CallFromInsideError: The caller is such a task; the error names the method to call instead.
            NotInTrioError: This thread does not run trio.
        """
        require_trio(f"{call}()")
        if self._task is not None and descends_from(self._task):
            raise CallFromInsideError(self._id, call, instead)
