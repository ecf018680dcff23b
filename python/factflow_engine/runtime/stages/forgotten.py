"""Async generators that an adapter drops with an open nursery, and that trio then closes in another task.

Kept separate from `open_scopes`, which cleans up when a call returns: here the call goes on. trio closes a dropped
generator in a task of its own. A nursery that is left there waits for its children in that task, but wakes the task
that entered it, which waits for something else by then: trio stops the whole program. So before a generator is closed,
each open nursery of an adapter is changed so that any task may leave it: the leaving task then waits for its end, and
the task that entered it is cancelled, which fails the message by name.

This costs nothing until a generator is dropped: trio's finalizer hook is called through one that first makes this
change. A generator belongs to the hooks of its first iteration; those before the run's first worker are trio's.
"""

import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import suppress
from typing import Any, Final, TypeVar
from weakref import WeakSet

import trio
import trio.lowlevel

Value = TypeVar("Value")

POLL_SECONDS: Final = 0.01
"""Interval for polling the end of an abandoned nursery's tasks: trio notifies only the task that leaves a nursery."""

SUPPORTED: Final = all(hasattr(trio.lowlevel.Task, name) for name in ("_cancel_status", "_child_nurseries"))
"""False for a trio with another internal task tree: an adapter that leaves something open then ends its execution."""

_WATCHED: Final[trio.lowlevel.RunVar[set[trio.lowlevel.Task]]] = trio.lowlevel.RunVar("tasks of adapters")

_LEFT_ELSEWHERE: Final[WeakSet[trio.CancelScope]] = WeakSet()  # scopes of nurseries


class Past:
    """Stand-in for the task of a nursery that was left open, for when the nursery is left late."""

    def __init__(self, nursery: object) -> None:
        self._child_nurseries = [nursery]


def watch(task: trio.lowlevel.Task) -> None:
    """Protect this task, in which adapters run, from the closing of their generators, until `unwatch`."""
    try:
        watched = _WATCHED.get()
    except LookupError:
        watched = set()
        _WATCHED.set(watched)
        _prepare_finalizer(watched)
    watched.add(task)


def unwatch(task: trio.lowlevel.Task) -> None:
    """Undo `watch`; does nothing where it was undone."""
    _WATCHED.get().discard(task)


def _prepare_finalizer(watched: set[trio.lowlevel.Task]) -> None:
    """Install the finalizer for the rest of trio's run, which restores the former hooks at its end."""
    finalize = sys.get_asyncgen_hooks().finalizer
    token = trio.lowlevel.current_trio_token()
    if finalize is None:
        return  # not reached: trio sets one

    @trio.lowlevel.enable_ki_protection
    def prepared(generator: AsyncGenerator[Any, Any]) -> None:
        with suppress(trio.RunFinishedError):  # trio closes it after its last task then
            token.run_sync_soon(_let_others_leave, watched)  # in order: before trio closes it
        finalize(generator)

    sys.set_asyncgen_hooks(finalizer=prepared)


def _let_others_leave(watched: set[trio.lowlevel.Task]) -> None:
    for task in watched:
        for nursery in _nurseries_below(task):
            let_others_leave(nursery)


def _nurseries_below(task: Any) -> Iterator[Any]:
    found = list(task._child_nurseries)
    while found:
        nursery = found.pop()
        yield nursery
        for child in nursery.child_tasks:
            found.extend(child._child_nurseries)


def let_others_leave(nursery: Any) -> None:
    """Let a task leave this nursery without having entered it; it then waits for the nursery's tasks itself."""
    if "_nested_child_finished" not in vars(nursery):
        nursery._nested_child_finished = _finisher(nursery, nursery._nested_child_finished)


def _finisher(
    nursery: Any, finish: Callable[[BaseException | None], Awaitable[Value]]
) -> Callable[[BaseException | None], Awaitable[Value]]:
    async def finished(error: BaseException | None) -> Value:
        parent = nursery._parent_task
        if trio.lowlevel.current_task() is not parent and type(parent) is not Past:
            if nursery in parent._child_nurseries:  # else it was set aside
                parent._child_nurseries.remove(nursery)
            _LEFT_ELSEWHERE.add(nursery.cancel_scope)
            nursery.cancel_scope.cancel("left by another task than the one that entered it")
            with trio.CancelScope(shield=True):
                while nursery.child_tasks:  # noqa: ASYNC110 - see POLL_SECONDS
                    await trio.sleep(POLL_SECONDS)
            retire(nursery)
        return await finish(error)

    return finished


def retire(nursery: Any) -> None:
    """Let any task leave this nursery, which has no tasks, without waiting for the task that entered it."""
    nursery._closed = True
    nursery._parent_task = Past(nursery)


def is_retired(nursery: Any) -> bool:
    """True if `retire` was called for the nursery."""
    return type(nursery._parent_task) is Past


def is_of_nursery_left_elsewhere(scope: trio.CancelScope) -> bool:
    """True if the scope's nursery was left by another task than the one that entered it."""
    return scope in _LEFT_ELSEWHERE
