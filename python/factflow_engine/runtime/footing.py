"""Cancel scopes and nurseries that an adapter enters in `process` and leaves open: noticed, and undone.

Kept separate from `containment`, which gives a whole call a task of its own: `process` runs in the worker's task, where a
task for each message would cost more than the engine does.

trio ties a scope to the task that enters it. A scope that is left open there goes around whatever the task does next: its
deadline cancels other messages, and a nursery's end takes the worker's own nursery along. So a worker runs in a scope of
its own, and asks after each call whether that is still its innermost one: natively, two lengths are read. If it is not,
what was entered is detached from the tree as trio detaches scopes that are left in the wrong order: cancelled, without
effect on the task, and harmless when it is left later, wherever that happens. Tasks of a nursery have ended before the
message fails.

The tree is private to trio. tests/runtime/test_left_open.py pins what is used of it.
"""

import math
from collections.abc import Awaitable, Callable
from typing import Any, Final, Protocol, TypeVar

import trio

from factflow_engine.native import Worker
from factflow_engine.runtime.containment import POLL_SECONDS, is_cancelled, parts

Given = TypeVar("Given")
Value = TypeVar("Value")

SUPPORTED: Final = all(hasattr(trio.lowlevel.Task, name) for name in ("_cancel_status", "_child_nurseries"))
"""False for a trio that keeps its tree elsewhere: then what an adapter leaves open ends its execution."""

REMEDY: Final = (
    "use `with` and `async with`, and `async with aclosing(...)` around the iteration of a generator that uses them"
)


class Where(Protocol):
    """The stage that a message is at."""

    @property
    def route(self) -> str: ...  # noqa: D102
    @property
    def stage(self) -> str: ...  # noqa: D102


class LeftOpenError(Exception):
    """An adapter entered a cancel scope or a nursery and did not leave it. What ran in it was cancelled, and has ended.

    Attributes:
        what: "cancel scope" or "nursery".
    """

    def __init__(self, where: Where, what: str, entered_in: str = "process()") -> None:
        self.what = what
        super().__init__(
            f"stage {where.route}/{where.stage} left a {what} open that it entered in {entered_in}: {REMEDY}"
        )


class LeftEarlyError(Exception):
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

    def leave(self) -> None:
        """Leave the task as it was before `enter`; does nothing where others have done so."""
        if not SUPPORTED or trio.lowlevel.current_task()._cancel_status is self._status:
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
    while current is not status:
        outermost, current = current, current.parent
        outermost._scope.cancel("left open by its stage")
        outermost._scope.deadline = math.inf  # nobody is to be woken for it
    if outermost is not None:
        outermost._mark_abandoned()  # so that whoever leaves one of them later changes nothing and is told nothing
        task._activate_cancel_status(status)
    open_nurseries = task._child_nurseries
    what = "nursery" if len(open_nurseries) > nurseries else "cancel scope"
    left: list[Any] = []
    while len(open_nurseries) > nurseries:
        nursery: Any = open_nurseries.pop()
        nursery.cancel_scope.cancel("left open by its stage")
        # As trio does with nurseries of a task that has ended. A generator that is finalised, now or later, leaves its
        # nursery all the same; that must neither wait nor count for this task, which has others then.
        nursery._closed = True
        nursery._parent_task = _Past(nursery)
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


def keep_to_their_task(task: trio.lowlevel.Task) -> None:
    """Let nobody but this task, the running one, wait for the nurseries that it has open now.

    A generator that is forgotten with a nursery open is closed by trio in another task: there trio would wait for the
    nursery's tasks, but wake the task that has entered it, which waits for something else, and stop the whole program.
    Here their end is waited for in that other task, and the one that has entered the nursery is cancelled.
    """
    if not SUPPORTED:
        return
    nurseries: list[Any] = task._child_nurseries
    for nursery in nurseries:
        nursery._nested_child_finished = _finisher(task, nursery, nursery._nested_child_finished)


def _finisher(
    task: trio.lowlevel.Task, nursery: Any, finish: Callable[[BaseException | None], Awaitable[Value]]
) -> Callable[[BaseException | None], Awaitable[Value]]:
    async def finished(error: BaseException | None) -> Value:
        if trio.lowlevel.current_task() is not task and nursery in task._child_nurseries:
            task._child_nurseries.remove(nursery)
            nursery.cancel_scope.cancel("left by another task than the one that entered it")
            with trio.CancelScope(shield=True):
                while nursery.child_tasks:  # noqa: ASYNC110 - see POLL_SECONDS
                    await trio.sleep(POLL_SECONDS)
            nursery._closed = True
            nursery._parent_task = _Past(nursery)
        return await finish(error)

    return finished


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
    """What a call has raised that also left something open: its own error, unless that is a cancellation by what it left."""
    if isinstance(error, trio.Cancelled) and not is_cancelled():
        return failure
    error.add_note(str(failure))
    return error


def _caused(error: Exception, cause: BaseException | None) -> Exception:
    error.__cause__ = cause
    return error


class _Past:
    """Stands for the task of a nursery that was left open, when the nursery is left late."""

    def __init__(self, nursery: object) -> None:
        self._child_nurseries = [nursery]
