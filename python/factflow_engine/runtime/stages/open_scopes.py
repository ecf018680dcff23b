"""Cancel scopes and nurseries that an adapter enters in `process` and leaves open: noticed, and undone.

Kept separate from `isolation`, which gives a whole call a task of its own: `process` runs in the worker's task, where a
task for each message would cost more than the engine does.

trio ties a scope to the task that enters it. A scope that is left open there goes around whatever the task does next: its
deadline cancels other messages, and a nursery's end takes the worker's own nursery along. So a worker runs in a scope of
its own, and asks after each call whether that is still its innermost one: natively, two lengths are read. If it is not,
what was entered is detached from the tree as trio detaches scopes that are left in the wrong order: cancelled, without
effect on the task, and harmless when it is left later, wherever that happens. Tasks of a nursery have ended before the
message fails.

The tree is private to trio. tests/runtime/stages/test_open_scopes.py pins what is used of it.
"""

import math
from collections.abc import Awaitable, Callable
from typing import Any, Final, Protocol, TypeVar

import trio

from factflow_engine.native import Worker
from factflow_engine.runtime.stages.forgotten import (
    POLL_SECONDS,
    SUPPORTED,
    is_of_nursery_left_elsewhere,
    retire,
    unwatch,
    watch,
)
from factflow_engine.runtime.stages.isolation import is_cancelled, parts
from factflow_protocols import FactflowError

Given = TypeVar("Given")
Value = TypeVar("Value")

REMEDY: Final = (
    "use `with` and `async with`, and `async with aclosing(...)` around the iteration of a generator that uses them"
)


class Where(Protocol):
    """The stage that a message is at."""

    @property
    def route(self) -> str: ...  # noqa: D102
    @property
    def stage(self) -> str: ...  # noqa: D102


class LeftOpenError(FactflowError):
    """An adapter entered a cancel scope or a nursery and did not leave it. What ran in it was cancelled, and has ended.

    Attributes:
        what: "cancel scope" or "nursery".
    """

    def __init__(self, where: Where, what: str, entered_in: str = "process()") -> None:
        self.what = what
        super().__init__(
            f"stage {where.route}/{where.stage} left a {what} open that it entered in {entered_in}: {REMEDY}"
        )


class LeftEarlyError(FactflowError):
    """An adapter left a cancel scope that was not its own."""

    def __init__(self, where: Where) -> None:
        super().__init__(
            f"stage {where.route}/{where.stage} left a cancel scope in process() that it had not entered: "
            "only what entered a scope may leave it, in the same call"
        )


class Footing:
    """Where a worker's task stands in trio's tree while no adapter runs: in a scope of its own."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._scope = trio.CancelScope()
        self._status: Any = None

    def enter(self) -> None:
        """Stand where the running task is now."""
        self._scope.__enter__()
        if SUPPORTED:
            task = trio.lowlevel.current_task()
            self._status = task._cancel_status
            self._worker.stand(self._status._tasks, task._child_nurseries)
            watch(task)

    def leave(self) -> None:
        """Leave the task as it was before `enter`; does nothing where others have done so."""
        task = trio.lowlevel.current_task()
        if SUPPORTED:
            unwatch(task)
        if not SUPPORTED or task._cancel_status is self._status:
            self._scope.__exit__(None, None, None)

    async def recover(self, where: Where) -> Exception:
        """Return to where the task stood; what the stage has done wrong, to be raised.

        Cancellation: waits for tasks that the stage has started in a nursery to end, however long; they are cancelled.

        Raises:
            LeftEarlyError: A scope was left that is around other tasks than this one. They are being cancelled.
        """
        task = trio.lowlevel.current_task()
        if not self._status.encloses(task._cancel_status):
            nursery = task.parent_nursery
            outside: Any = None if nursery is None else nursery._cancel_status
            if outside is None or not outside.encloses(task._cancel_status):
                raise LeftEarlyError(where)
            await return_to(task, outside)
            self._scope = trio.CancelScope()
            self.enter()
            return LeftEarlyError(where)
        what, fault = await return_to(task, self._status)
        return _caused(LeftOpenError(where, what), fault)


async def return_to(task: trio.lowlevel.Task, status: Any, nurseries: int = 0) -> tuple[str, BaseException | None]:
    """Detach the scopes that the running task has entered below this status, and end the nurseries beyond so many.

    Returns:
        What was open, and what tasks of the nurseries have raised that is no cancellation.

    Cancellation: see `Footing.recover`.
    """
    outermost = None
    current: Any = task._cancel_status
    has_nursery = len(task._child_nurseries) > nurseries
    while current is not status:
        outermost, current = current, current.parent
        has_nursery |= is_of_nursery_left_elsewhere(outermost._scope)
        outermost._scope.cancel("left open by its stage")
        outermost._scope.deadline = math.inf  # nobody is to be woken for it
    if outermost is not None:
        outermost._mark_abandoned()  # so that whoever leaves one of them later changes nothing and is told nothing
        task._activate_cancel_status(status)
    open_nurseries = task._child_nurseries
    what = "nursery" if has_nursery else "cancel scope"
    left: list[Any] = []
    while len(open_nurseries) > nurseries:
        nursery: Any = open_nurseries.pop()
        nursery.cancel_scope.cancel("left open by its stage")
        # As trio does with nurseries of a task that has ended. A generator that is finalised, now or later, leaves its
        # nursery all the same; that must neither wait nor count for this task, which has others then.
        retire(nursery)
        left.append(nursery)
    if any(nursery.child_tasks for nursery in left):
        with trio.CancelScope(shield=True):
            while any(nursery.child_tasks for nursery in left):  # noqa: ASYNC110 - see POLL_SECONDS
                await trio.sleep(POLL_SECONDS)
    if outermost is not None:
        outermost.close()
    faults: list[BaseException] = []
    for nursery in left:
        for error in getattr(nursery, "_pending_excs", ()):  # gone if it was left meanwhile
            _, fault = parts(error)
            if fault is not None and not isinstance(fault, GeneratorExit):
                faults.append(fault)
        nursery._pending_excs = []
    if len(faults) > 1:
        return what, BaseExceptionGroup("tasks of nurseries that were left open", faults)
    return what, faults[0] if faults else None


def guarded(call: Callable[[Given], Awaitable[Value]], where: Where) -> Callable[[Given], Awaitable[Value]]:
    """A call in which what is left open is undone before a scope around it is left.

    A worker sees what a call leaves open only where nothing of the engine is in between: a time-out's scope is.
    """
    if not SUPPORTED:
        return call

    async def checked(given: Given) -> Value:
        task = trio.lowlevel.current_task()
        status, nurseries = task._cancel_status, len(task._child_nurseries)
        try:
            value = await call(given)
        except BaseException as error:
            if task._cancel_status is status and len(task._child_nurseries) == nurseries:
                raise
            failure = await undo(task, status, nurseries, where)
            raise replaced(error, failure) from error
        if task._cancel_status is not status or len(task._child_nurseries) != nurseries:
            raise await undo(task, status, nurseries, where)
        return value

    return checked


async def undo(
    task: trio.lowlevel.Task, status: Any, nurseries: int, where: Where, entered_in: str = "process()"
) -> Exception:
    """Do as `return_to`; the error that says what the stage has done wrong."""
    if not status.encloses(task._cancel_status):
        return LeftEarlyError(where)
    what, fault = await return_to(task, status, nurseries)
    return _caused(LeftOpenError(where, what, entered_in), fault)


def replaced(error: BaseException, failure: Exception) -> BaseException:
    """Return the error of a call that also left something open, without the cancellations by what it left."""
    if not is_cancelled():
        cancelled, fault = parts(error)
        if fault is None:
            return failure
        if cancelled is not None:
            fault.__context__ = error
            error = fault
    error.add_note(str(failure))
    return error


def _caused(error: Exception, cause: BaseException | None) -> Exception:
    error.__cause__ = cause
    return error
