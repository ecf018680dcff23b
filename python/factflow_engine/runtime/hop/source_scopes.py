"""Cancel scopes and nurseries that a source keeps open between two of its elements, set aside meanwhile.

Kept separate from `open_scopes`, where an open scope is a mistake: here it is what the author of a generator intends by

    with trio.fail_after(60):
        async for row in rows:
            yield row

trio would let such a scope enclose whatever its task does between two elements, which is to carry children: a time
limit of the source would interrupt the stages after it. So between two elements the worker's task leaves the source's
scopes, and enters them again for the next element. The scopes stay alive meanwhile: their deadlines run, tasks of their
nurseries run, and a cancelled source notices at its next checkpoint. The consumers' time counts, therefore, but only
the source is interrupted.

An engine's scope around one pull (a timeout) is above the source's scopes only for that pull: they are moved below it,
as trio moves them when `nursery.start` returns. A source without scopes costs one comparison for each element.
"""

from collections.abc import Awaitable, Callable
from typing import Any, Final

import trio

from factflow_engine.runtime.stages.forgotten import SUPPORTED, is_retired, let_others_leave
from factflow_engine.runtime.stages.open_scopes import LeftEarlyError, Where, replaced, undo

ENTERED_IN: Final = "what it emitted"


class SourceScopes:
    """Scopes that one source has open. Made, and used, in the task of the worker that pulls.

    Attributes:
        task: Task of the worker.
        is_empty: True if the source had nothing open at its last element.
    """

    __slots__ = ("_innermost", "_nurseries", "_open", "_outermost", "_status", "_where", "is_empty", "task")

    def __init__(self, where: Where) -> None:
        self.task: Any = trio.lowlevel.current_task() if SUPPORTED else _Silent()
        self._where = where
        self._status = self.task._cancel_status
        self._nurseries = len(self.task._child_nurseries)
        self._innermost: Any = None
        self._outermost: Any = None
        self._open: list[Any] = []
        self.is_empty = True

    def step_in(self) -> None:
        """Enter the scopes that were set aside, wherever the task is now."""
        task = self.task
        self._outermost.parent = task._cancel_status
        task._activate_cancel_status(self._innermost)
        task._child_nurseries.extend(nursery for nursery in self._open if not is_retired(nursery))
        self._innermost = self._outermost = None
        self._open = []
        self.is_empty = True

    def step_out(self, status: Any) -> None:
        """Set aside the scopes that the source has entered, and return to the task's former position.

        Raises:
            LeftEarlyError: The task is not within its former scope.
        """
        task = self.task
        current = innermost = task._cancel_status
        if not status.encloses(current):
            raise LeftEarlyError(self._where)
        while current is not status:
            self._outermost, current = current, current.parent
        self._innermost, self.is_empty = innermost, False
        task._activate_cancel_status(status)
        self._outermost.parent = self._status
        self._open = task._child_nurseries[self._nurseries :]
        del task._child_nurseries[self._nurseries :]
        for nursery in self._open:
            let_others_leave(nursery)  # nurseries of a generator that the source has dropped are not found here

    async def undo(self, status: Any) -> Exception:
        """Clean up scopes of an exhausted source; return the error to raise."""
        return await undo(self.task, status, self._nurseries, self._where, ENTERED_IN)

    async def end(self, status: Any, call: Callable[[], Awaitable[object]]) -> None:
        """Let the source clean up, inside its scopes.

        Raises:
            LeftOpenError: It has not left all of them.
        """
        if not self.is_empty:
            self.step_in()
        try:
            await call()
        except BaseException as error:
            if self.task._cancel_status is status:
                raise
            raise replaced(error, await self.undo(status)) from error
        if self.task._cancel_status is not status:
            raise await self.undo(status)


class _Silent:
    """Stand-in for the task of a trio with another internal task tree."""

    _cancel_status: Any = None
    _child_nurseries: tuple[Any, ...] = ()
