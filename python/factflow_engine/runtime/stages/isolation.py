"""Isolated calls of an adapter's `open`, `finish` and `close`: their faults end their execution and no other.

Kept separate from the route and from completion because both use it, below the manager's nursery: an exception that
escaped would end every execution.
"""

import math
from collections.abc import Awaitable, Callable
from typing import TypeVar

import trio

from factflow_engine.error_texts import class_name, is_group
from factflow_engine.runtime.stages.forgotten import POLL_SECONDS, SUPPORTED, unwatch, watch
from factflow_protocols import FactflowError

Value = TypeVar("Value")


class FaultError(FactflowError):
    """An exception that is not a cancellation.

    Attributes:
        error: The exception, of any class; without the cancellations that a nursery grouped with it.
    """

    def __init__(self, error: BaseException) -> None:
        super().__init__(class_name(error))
        self.error = error


class NotLeftError(FactflowError):
    """A nursery or a cancel scope that was entered and not left. Its tasks were cancelled, and have ended."""

    def __init__(self, reason: str | None) -> None:
        text = "a nursery or cancel scope that it entered was not left in the same task, innermost first"
        super().__init__(text if reason is None else f"{text}; it had been cancelled: {reason}")


def is_cancelled() -> bool:
    """True if the running task is being cancelled."""
    return trio.current_effective_deadline() == -math.inf


def descends_from(ancestor: trio.lowlevel.Task) -> bool:
    """True if the running task is this one, or was started below it."""
    task: trio.lowlevel.Task | None = trio.lowlevel.current_task()
    while task is not None and task is not ancestor:
        task = None if task.parent_nursery is None else task.parent_nursery.parent_task
    return task is not None


async def contained(call: Awaitable[Value]) -> Value:
    """Await an adapter's call.

    Raises:
        FaultError: The call raised, possibly a stored cancellation from elsewhere.

    Cancellation: propagates if nothing else was raised; otherwise the fault is raised, and the next checkpoint cancels.
    """
    try:
        return await call
    except BaseException as error:
        cancelled, fault = parts(error)
        if cancelled is not None and fault is None and is_cancelled():
            raise
        raise FaultError(fault or error) from error


async def in_own_task(call: Callable[[], Awaitable[Value]], bounds: trio.CancelScope) -> Value | None:
    """Await an adapter's call in a task of its own, so that scopes that it never leaves disturb no other task.

    Args:
        call: Called and awaited once.
        bounds: Scope around the call in that task. The result is None if the scope has caught a cancellation.

    Raises:
        FaultError: As in `contained`; or it entered a scope and did not leave it.

    Cancellation: as in `contained`.
    """
    value: Value | None = None
    fault: FaultError | None = None
    reason: str | None = None

    @trio.lowlevel.enable_ki_protection
    async def alone() -> None:
        nonlocal value, fault, reason
        task = trio.lowlevel.current_task()
        if SUPPORTED:
            watch(task)
        try:
            with bounds:
                try:
                    value = await contained(call())
                except FaultError as raised:
                    fault = raised
                except trio.Cancelled as cancelled:
                    reason = cancelled.reason
                    raise
                finally:
                    await _end_what_is_not_left()
        except RuntimeError as corrupted:  # by leaving `bounds`: a scope inside it was not left
            fault = fault or FaultError(NotLeftError(reason))
            fault.__context__ = corrupted
        finally:
            if SUPPORTED:
                unwatch(task)

    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(alone)
    except BaseException:  # of a fault: trio's own error about it, or a cancellation, which the next checkpoint repeats
        if fault is None:
            raise
    if fault is not None:
        raise fault
    return value


async def _end_what_is_not_left() -> None:
    """Cancel the tasks of nurseries that were not left: trio itself would not wait for them."""
    with trio.CancelScope(shield=True):
        for nursery in reversed(trio.lowlevel.current_task().child_nurseries):
            nursery.cancel_scope.cancel()
            while nursery.child_tasks:  # noqa: ASYNC110 - see POLL_SECONDS
                await trio.sleep(POLL_SECONDS)


def parts(error: BaseException) -> tuple[BaseException | None, BaseException | None]:
    """Split an error into the part that is a cancellation and the rest; a group that refuses is all rest."""
    if is_group(error):
        try:
            return BaseExceptionGroup.split(error, trio.Cancelled)
        except BaseException:  # noqa: BLE001 - it makes its parts by the group's own class
            return None, error
    return (error, None) if type(error) is trio.Cancelled else (None, error)
