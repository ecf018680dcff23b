"""Calling an adapter's `open`, `finish` and `close` so that what they raise ends their execution and no other.

Apart from the route and from completion because both call, and a nursery of the manager's is above both: whatever got
past them would end every execution there is.
"""

import math
from collections.abc import Awaitable
from typing import TypeVar

import trio

Value = TypeVar("Value")


class FaultError(Exception):
    """Something was raised that was no cancellation.

    Attributes:
        error: It, of any class; without the cancellations that a nursery put beside it.
    """

    def __init__(self, error: BaseException) -> None:
        super().__init__(str(type(error).__name__))
        self.error = error


def is_cancelled() -> bool:
    """Whether the running task really is being cancelled."""
    return trio.current_effective_deadline() == -math.inf


def descends_from(ancestor: trio.lowlevel.Task) -> bool:
    """Whether the running task is this one, or was started below it."""
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
        cancelled, fault = _parts(error)
        if cancelled is not None and fault is None and is_cancelled():
            raise
        raise FaultError(fault or error) from error


def _parts(error: BaseException) -> tuple[BaseException | None, BaseException | None]:
    """What of it is a cancellation, and what is not."""
    if isinstance(error, BaseExceptionGroup):
        return error.split(trio.Cancelled)
    return (error, None) if isinstance(error, trio.Cancelled) else (None, error)
