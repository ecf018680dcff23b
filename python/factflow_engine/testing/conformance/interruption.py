"""Calls that are cancelled at a chosen checkpoint, and measurements of the steps between checkpoints.

Kept separate from the checks of adapters because it reaches into trio's scheduler.
"""

import types
from collections.abc import Awaitable, Callable, Coroutine, Generator
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

import trio

from factflow_engine.seams import SystemClock
from factflow_engine.testing.conformance.limits import descendants

T = TypeVar("T")

MOST_CHECKPOINTS: Final = 100
"""Number of checkpoints of one call that are tried."""


@dataclass(slots=True)
class Interrupted(Generic[T]):
    """End of a call that was to be cancelled.

    Attributes:
        reached: True if the call had as many checkpoints.
        delivered: True if `trio.Cancelled` was raised in it.
        returned: True if it returned.
        result: The result, if it returned.
        error: The exception that it raised, other than `trio.Cancelled`.
    """

    reached: bool = False
    delivered: bool = False
    returned: bool = False
    result: T | None = None
    error: Exception | None = None


async def interrupted(
    call: Callable[[], Coroutine[Any, Any, T]],
    checkpoint: int,
    *,
    if_returned: Callable[[], Awaitable[None]] | None = None,
) -> Interrupted[T]:
    """Call a function, and cancel it when it is at its nth checkpoint, those of its child tasks included.

    Args:
        call: The function.
        checkpoint: Number of the checkpoint, from 1.
        if_returned: Called if it returned, inside contexts that it may have entered, and not cancelled.
    """
    ended = Interrupted[T]()
    scope, shield = trio.CancelScope(), trio.CancelScope()
    watcher = _Interrupting(scope, checkpoint)
    try:
        with scope, shield:
            trio.lowlevel.add_instrument(watcher)
            try:
                ended.result = await _noting(call(), scope, ended)
                ended.returned = True
            finally:
                trio.lowlevel.remove_instrument(watcher)
            if if_returned is not None:
                shield.shield = True
                await if_returned()
    except Exception as error:  # noqa: BLE001 - judged by the checks
        ended.error = error
    ended.reached = watcher.steps >= checkpoint
    return ended


@types.coroutine
def _noting(
    coroutine: Coroutine[Any, Any, T], scope: trio.CancelScope, ended: Interrupted[T]
) -> Generator[Any, Any, T]:
    """Run a coroutine in the same task, and note when trio resumes it with the `Cancelled` of this scope."""
    send: Callable[[Any], Any] = coroutine.send
    value: Any = None
    while True:
        try:
            trap = send(value)
        except StopIteration as stop:
            result: T = stop.value
            return result
        try:
            value, send = (yield trap), coroutine.send
        except BaseException as error:  # noqa: BLE001 - handed on
            value, send = error, coroutine.throw
        if isinstance(getattr(value, "error", value), trio.Cancelled) and _is_visible(scope):
            ended.delivered = True


def _is_visible(scope: trio.CancelScope) -> bool:
    """True if the scope was cancelled, and the current task is not shielded from that: a time limit may cancel, too."""
    status: Any = trio.lowlevel.current_task()._cancel_status
    while scope.cancel_called and status is not None:
        if status._scope is scope:
            return True
        if status._scope.shield:
            return False
        status = status._parent
    return False


class _Interrupting(trio.abc.Instrument):
    def __init__(self, scope: trio.CancelScope, checkpoint: int) -> None:
        self._scope = scope
        self._checkpoint = checkpoint
        self._main = trio.lowlevel.current_task()
        self.steps = 0

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        if is_below(task, self._main):
            self.steps += 1
            if self.steps == self._checkpoint:
                self._scope.cancel()


class LongestStep(trio.abc.Instrument):
    """Measurement of the longest time between two checkpoints of the current task and its children, in nanoseconds."""

    def __init__(self) -> None:
        self._main = trio.lowlevel.current_task()
        self._is_own = True  # of the step that runs
        self._since = SystemClock.monotonic_ns()
        self.nanoseconds = 0

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        """Note the beginning of a step."""
        self._is_own = is_below(task, self._main)  # a child that ends in it is in no nursery afterwards
        self._since = SystemClock.monotonic_ns()

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        """Note the end of a step."""
        del task
        self.end()

    def end(self) -> None:
        """Note the end of a step, also without a checkpoint."""
        if self._is_own:
            self.nanoseconds = max(self.nanoseconds, SystemClock.monotonic_ns() - self._since)


def is_below(task: trio.lowlevel.Task, main: trio.lowlevel.Task) -> bool:
    """True if the task is the main one, or in a nursery below it."""
    return any(task is each for each in descendants(main))
