"""Tasks of trio that are put to sleep for good, and taken out of trio's bookkeeping later: a crash as trio sees it.

A dead task keeps its coroutine, suspended where it was, and gets another one in its place, which sleeps whatever wakes
it. So no `finally` runs, and nothing that the task holds is given back. All use of trio's private names for this is here;
they are those of trio 0.32 to 0.35, and the tests of `processes` show when they change.
"""

import ctypes
import gc
import logging
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import Context
from types import AsyncGeneratorType, CoroutineType
from typing import Any, Final

import outcome
import trio

from factflow_engine.testing.simulation.errors import AbandonedRunError

_CLOSINGS: Final = 100
"""Attempts to end a coroutine that goes on when it is closed."""

_ROUNDS: Final = 3
"""Rounds over generators: the end of one may let another go on."""

_UNENDING: Final[list[object]] = []
"""Coroutines that go on however often they are closed: held, because Python would close them once more."""


def tasks_of(root: trio.lowlevel.Task) -> list[trio.lowlevel.Task]:
    """Return a task and all below it, children before their parents, in the order in which they were started."""
    found, pending = [], [root]
    while pending:
        task = pending.pop()
        found.append(task)
        pending.extend(sorted(_children_of(task), key=lambda child: child._counter))
    return found[::-1]


def _children_of(task: trio.lowlevel.Task) -> Iterator[trio.lowlevel.Task]:
    for nursery in task.child_nurseries:
        yield from nursery.child_tasks


def abandon_run() -> None:
    """Let trio's run raise `trio.TrioInternalError` at its next turn, and keep all its tasks as they are, for good.

    For tasks that go on whatever they are told: they would do so when Python closes their coroutines, and never end.
    """
    root = trio.lowlevel.current_root_task()
    assert root is not None, "called by a task"
    for task in tasks_of(root):
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(task.coro))  # not even the end of the interpreter closes it
    root._runner.clock = _Abandoned()


class _Abandoned(trio.abc.Clock):
    """Clock of a run that is abandoned."""

    def start_clock(self) -> None:
        """See `trio.abc.Clock`."""

    def current_time(self) -> float:
        """See `trio.abc.Clock`."""
        raise AbandonedRunError("the run goes on whatever cancels it")

    def deadline_to_sleep_time(self, deadline: float) -> float:
        """See `trio.abc.Clock`."""
        del deadline
        return self.current_time()


class DeadTasks:
    """The tasks of one process, which take no further step.

    Must be made between two steps of these tasks: none of them is running.
    """

    def __init__(
        self, root: trio.lowlevel.Task, scope: trio.CancelScope, generators: list[AsyncGeneratorType[Any, Any]]
    ) -> None:
        """Put them to sleep.

        Args:
            root: The process's first task.
            scope: A scope around all that it does; deadlines of scopes in it no longer count.
            generators: Async generators that the tasks had begun and not ended.
        """
        self._tasks = tasks_of(root)
        self._kept: list[tuple[Any, Context]] = [(task.coro, task.context) for task in self._tasks]
        self._scope = scope
        self._generators = generators
        for task in self._tasks:
            _lay_down(task)
        _forget_deadlines(scope)
        for generator in generators:
            root._runner.asyncgens.alive.discard(generator)  # trio does not end it either

    async def settle(self) -> None:
        """Wait until those that were woken for nothing sleep again; `bury` must follow before anything else is done.

        Cancellation: none; it returns in the same instant.
        """
        with trio.CancelScope(shield=True):
            while any(task._next_send_fn is not None for task in self._tasks):
                await trio.lowlevel.checkpoint()

    def bury(self, begun: list[AsyncGeneratorType[Any, Any]]) -> None:
        """Take them out of trio's bookkeeping, end their coroutines where trio cannot be reached, and forget them.

        Code of `finally` blocks runs then, as it does whenever Python drops a coroutine: it can neither wait nor wake a
        task, and what it raises, warns of or logs is dropped.

        Args:
            begun: List to which each async generator is added that this code begins.
        """
        for task in self._tasks:
            task._child_nurseries.clear()
            task._runner.task_exited(task, outcome.Value(None))
            task.coro.close()
        self._tasks.clear()
        if self._scope._cancel_status is not None:
            self._scope._cancel_status.parent = None
        with _out_of_reach():
            _end_coroutines(self._kept)
            for _ in range(_ROUNDS):
                _end_awaited([*self._generators, *begun])
            self._kept.clear()
            self._generators.clear()  # they are dropped in here, without a step of their own
            begun.clear()
            gc.collect(0)  # most of what they held refers to itself


def _lay_down(task: trio.lowlevel.Task) -> None:
    abort, is_trios = task._abort_func, getattr(task._abort_func, "__module__", "").startswith("trio.")
    if abort is not None and is_trios:
        # Takes the task out of the queue of what it waits for, which living tasks may share. A function of the process
        # itself is its code, and no longer called.
        abort(_raise_cancelled)
    task._abort_func = None
    task.custom_sleep_data = None
    trio._core._parking_lot.GLOBAL_PARKING_LOT_BREAKER.pop(task, None)  # its end breaks no lock
    for nursery in task._child_nurseries:
        nursery._closed = True  # nobody starts a task in it
        nursery._parent_waiting_in_aexit = False
    sleep = _sleep()
    sleep.send(None)  # until it sleeps; trio goes on where it sleeps
    task.coro = sleep  # type: ignore[assignment]
    if task._next_send_fn is not None:  # it is to run in this round of trio's, which cannot be changed
        task._next_send_fn = sleep.send


async def _sleep() -> None:
    while True:
        with suppress(Exception, trio.Cancelled):
            await trio.lowlevel.wait_task_rescheduled(lambda _: trio.lowlevel.Abort.FAILED)


def _raise_cancelled() -> Any:
    raise trio.Cancelled._create(source="unknown", reason="its process is dead")


def _forget_deadlines(scope: trio.CancelScope) -> None:
    pending = [scope._cancel_status]
    deadlines: Any = None
    while pending:
        status = pending.pop()
        if status is None:
            continue
        pending.extend(status._children)
        each = status._scope
        if each._registered_deadline != float("inf"):
            deadlines = trio._core._run.GLOBAL_RUN_CONTEXT.runner.deadlines
            deadlines.remove(each._registered_deadline, each)
            each._registered_deadline = float("inf")
    if deadlines is not None:
        deadlines._prune()


@contextmanager
def _out_of_reach() -> Iterator[None]:
    """Let code run as if there were no trio, nor anybody who hears of it."""
    context = trio._core._run.GLOBAL_RUN_CONTEXT.__dict__
    kept, hook, disabled = dict(context), sys.unraisablehook, logging.root.manager.disable
    context.clear()
    sys.unraisablehook = lambda _: None
    logging.disable(sys.maxsize)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)
        sys.unraisablehook = hook
        context.update(kept)


def _end_coroutines(kept: list[tuple[Any, Context]]) -> None:
    for coroutine, context in kept:
        _end(coroutine, context.run)


def _end_awaited(generators: list[AsyncGeneratorType[Any, Any]]) -> None:
    for generator in generators:
        if generator.ag_await is not None:
            _end(generator.ag_await, _directly)


def _end(awaitable: Any, call: Callable[[Callable[[], object]], object]) -> None:
    """End what is awaited, innermost first: one that is left while it waits would be closed later, by the collector."""
    for _ in range(_CLOSINGS):
        inner = _awaited_by(awaitable)
        if inner is not None and not any(inner is each for each in _UNENDING):
            _end(inner, call)
        try:
            call(awaitable.close)
        except BaseException:  # noqa: BLE001 - the code is dead, and nobody hears of it
            if getattr(awaitable, "cr_frame", None) is None:
                return
        else:
            return
    _UNENDING.append(awaitable)


def _awaited_by(awaitable: Any) -> Any:
    """Return what can be closed of what a coroutine, generator or step of an async generator awaits; None if nothing."""
    found = awaitable
    for name in ("cr_await", "gi_yieldfrom"):
        if hasattr(awaitable, name):
            found = getattr(awaitable, name)
            break
    else:  # a step of an async generator, or an `__await__` of Python's own, which only refer to it
        held = [each for each in gc.get_referents(awaitable) if isinstance(each, (AsyncGeneratorType, CoroutineType))]
        found = next(iter(held), None)
        if isinstance(found, AsyncGeneratorType):
            found = found.ag_await
    return found if hasattr(found, "close") else None


def _directly(function: Callable[[], object]) -> None:
    function()
