"""Detection and clean-up of cancel scopes and nurseries that an adapter's `process` leaves open.

Kept separate from `isolation`, which runs a whole call in a task of its own: `process` runs in the worker's task,
because a task for each message would cost more than the engine does.

trio ties a scope to the task that enters it. A scope left open encloses whatever the task does next: its deadline
cancels other messages, and a nursery's end cancels the worker's own nursery. So a worker runs in a scope of its own,
and checks after each call that this is still its innermost one: natively, two lengths are read. If it is not, the open
scopes are detached from the tree as trio detaches scopes that are left in the wrong order: cancelled, without effect on
the task, and harmless when they are left later, wherever that happens. Tasks of a nursery have ended before the message
fails.

The tree is private to trio. tests/runtime/stages/test_open_scopes.py pins the parts that are used.
"""

import math
from collections.abc import Awaitable, Callable
from typing import Any, Final, Protocol, TypeVar

import trio

from factflow_engine.error_texts import noted, set_context
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
    """A cancel scope or nursery that an adapter entered and did not leave. Its tasks were cancelled, and have ended.

    Attributes:
        what: "cancel scope" or "nursery".
    """

    def __init__(self, where: Where, what: str, entered_in: str = "process()") -> None:
        self.what = what
        super().__init__(
            f"stage {where.route}/{where.stage} left a {what} open that it entered in {entered_in}: {REMEDY}"
        )


class LeftEarlyError(FactflowError):
    """A cancel scope that an adapter left, though it was not its own."""

    def __init__(self, where: Where) -> None:
        super().__init__(
            f"stage {where.route}/{where.stage} left a cancel scope in process() that it had not entered: "
            "only what entered a scope may leave it, in the same call"
        )


class Footing:
    """Position of a worker's task in trio's tree while no adapter runs: in a scope of its own."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._scope = trio.CancelScope()
        self._status: Any = None

    def enter(self) -> None:
        """Enter the worker's scope in the running task."""
        self._scope.__enter__()
        if SUPPORTED:
            task = trio.lowlevel.current_task()
            self._status = task._cancel_status
            self._worker.stand(self._status._tasks, task._child_nurseries)
            watch(task)

    def leave(self) -> None:
        """Restore the task as before `enter`; does nothing if others have done so."""
        task = trio.lowlevel.current_task()
        if SUPPORTED:
            unwatch(task)
        if not SUPPORTED or task._cancel_status is self._status:
            self._scope.__exit__(None, None, None)

    async def recover(self, where: Where) -> Exception:
        """Return to the task's position; return the stage's fault, to be raised.

        Cancellation: waits for the end of tasks that the stage started in a nursery, however long; they are cancelled.

        Raises:
            LeftEarlyError: A scope around other tasks than this one was left. They are being cancelled.
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
    """Detach scopes that the running task has entered below this status, and end the nurseries beyond a number.

    Returns:
        The kind of the open scope, and the exceptions of the nurseries' tasks that are not cancellations.

    Cancellation: see `Footing.recover`.
    """
    outermost = None
    current: Any = task._cancel_status
    has_nursery = len(task._child_nurseries) > nurseries
    while current is not status:
        outermost, current = current, current.parent
        has_nursery |= is_of_nursery_left_elsewhere(outermost._scope)
        outermost._scope.cancel("left open by its stage")
        outermost._scope.deadline = math.inf  # nobody must be woken for it
    if outermost is not None:
        outermost._mark_abandoned()  # so that leaving one of them later changes and raises nothing
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
    """Return a call whose open scopes are cleaned up before a scope around it is left.

    A worker detects scopes that a call leaves open only if no scope of the engine is in between, such as a timeout's.
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
    """Clean up as `return_to`; return the error that names the stage's fault."""
    if not status.encloses(task._cancel_status):
        return LeftEarlyError(where)
    what, fault = await return_to(task, status, nurseries)
    return _caused(LeftOpenError(where, what, entered_in), fault)


def replaced(error: BaseException, failure: Exception) -> BaseException:
    """Return the error of a call that also left something open, without the cancellations that this caused."""
    if not is_cancelled():
        cancelled, fault = parts(error)
        if fault is None:
            return failure
        if cancelled is not None:
            set_context(fault, error)
            error = fault
    return noted(error, failure)


def _caused(error: Exception, cause: BaseException | None) -> Exception:
    error.__cause__ = cause
    return error
