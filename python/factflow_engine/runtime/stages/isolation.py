"""Calling an adapter's `open`, `finish` and `close` so that what they raise or leave ends their execution and no other.

Kept separate from the route and from completion because both call, and a nursery of the manager's is above both: whatever got
past them would end every execution there is.
"""

import math
from collections.abc import Awaitable, Callable
from typing import TypeVar

import trio

from factflow_engine.runtime.stages.forgotten import POLL_SECONDS, SUPPORTED, unwatch, watch
from factflow_protocols import FactflowError

Value = TypeVar("Value")


class FaultError(FactflowError):
    """Something was raised that was no cancellation.

    Attributes:
        error: It, of any class; without the cancellations that a nursery put beside it.
    """

    def __init__(self, error: BaseException) -> None:
        super().__init__(str(type(error).__name__))
        self.error = error


class NotLeftError(FactflowError):
    """A nursery or a cancel scope was entered and not left. What ran in it was cancelled, and has ended."""

    def __init__(self, reason: str | None) -> None:
        text = "a nursery or cancel scope that it entered was not left in the same task, innermost first"
        super().__init__(text if reason is None else f"{text}; it had been cancelled: {reason}")


def is_cancelled() -> bool:
    """True if the running task really is being cancelled."""
    return trio.current_effective_deadline() == -math.inf


def descends_from(ancestor: trio.lowlevel.Task) -> bool:
    """True if the running task is this one, or was started below it."""
    task: trio.lowlevel.Task | None = trio.lowlevel.current_task()
    while task is not None and task is not ancestor:
        task = None if task.parent_nursery is None else task.parent_nursery.parent_task
    return task is not None


async def contained(call: Awaitable[Value]) -> Value:
    """Await what an adapter does.

    Raises:
        FaultError: It raised. So it is with a cancellation that is nobody's: one that was kept from elsewhere.

    Cancellation: passed on if there is nothing beside it; else the fault is raised, and the next checkpoint cancels.
    """
    try:
        return await call
    except BaseException as error:
        cancelled, fault = parts(error)
        if cancelled is not None and fault is None and is_cancelled():
            raise
        raise FaultError(fault or error) from error


async def apart(call: Callable[[], Awaitable[Value]], bounds: trio.CancelScope) -> Value | None:
    """Await what an adapter does in a task of its own, so that what it enters and never leaves is in nobody's way.

    Args:
        call: Awaited once.
        bounds: Entered in that task, around the call. None is returned if it has caught a cancellation.

    Raises:
        FaultError: As in `contained`; or it entered what it did not leave.

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
        except RuntimeError as corrupted:  # by leaving `bounds`: there is something in it that is not left
            fault = fault or FaultError(NotLeftError(reason))
            fault.__context__ = corrupted
        finally:
            if SUPPORTED:
                unwatch(task)

    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(alone)
    except BaseException:  # of a fault: trio's own word on it, or a cancellation, which the next checkpoint repeats
        if fault is None:
            raise
    if fault is not None:
        raise fault
    return value


async def _end_what_is_not_left() -> None:
    """Let no task outlive the one that entered its nursery: trio itself would not wait."""
    with trio.CancelScope(shield=True):
        for nursery in reversed(trio.lowlevel.current_task().child_nurseries):
            nursery.cancel_scope.cancel()
            while nursery.child_tasks:  # noqa: ASYNC110 - see POLL_SECONDS
                await trio.sleep(POLL_SECONDS)


def parts(error: BaseException) -> tuple[BaseException | None, BaseException | None]:
    """Return the part of an error that is a cancellation, and the part that is not."""
    if isinstance(error, BaseExceptionGroup):
        return error.split(trio.Cancelled)
    return (error, None) if isinstance(error, trio.Cancelled) else (None, error)
