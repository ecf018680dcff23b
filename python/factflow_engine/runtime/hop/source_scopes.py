"""Cancel scopes and nurseries that a source keeps open between two of its elements, set aside while others work.

Kept separate from `open_scopes`, where what stays open is a mistake: here it is what the author of a generator means with

    with trio.fail_after(60):
        async for row in rows:
            yield row

trio would have such a scope go around whatever its task does between two elements, which is to carry children: a time
limit of the source would interrupt the stages after it. So between two elements the worker's task steps out of what the
source has entered, and in again for the next one. The scopes live on meanwhile: their deadlines run, tasks of their
nurseries work, and what is cancelled notices at its next checkpoint. Time that consumers take counts, therefore, but
interrupts the source alone.

An engine's scope around one pull (a time-out) is above the source's scopes for that pull only: they are moved below it,
as trio moves them when `nursery.start` returns. A source without scopes pays for a comparison an element.
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
        task: That task.
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
        """Go into what was set aside, wherever the task is now."""
        task = self.task
        self._outermost.parent = task._cancel_status
        task._activate_cancel_status(self._innermost)
        task._child_nurseries.extend(nursery for nursery in self._open if not is_retired(nursery))
        self._innermost = self._outermost = None
        self._open = []
        self.is_empty = True

    def step_out(self, status: Any) -> None:
        """Set aside what the source has entered, and go back to where the task was.

        Raises:
            LeftEarlyError: The task is not within that.
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
            let_others_leave(nursery)  # those of a generator that the source has forgotten: nobody finds them here

    async def undo(self, status: Any) -> Exception:
        """Undo what a source has left open that is at its end; the error to raise."""
        return await undo(self.task, status, self._nurseries, self._where, ENTERED_IN)

    async def end(self, status: Any, call: Callable[[], Awaitable[object]]) -> None:
        """Let the source clean up, within what was set aside.

        Raises:
            LeftOpenError: It has not left all of that.
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
    """Stands for a task of a trio that does not say where its tasks are."""

    _cancel_status: Any = None
    _child_nurseries: tuple[Any, ...] = ()
