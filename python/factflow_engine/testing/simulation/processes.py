"""Simulated processes in one run of trio, which end, are cancelled or crash at a step of a chosen number.

A process is a task and all tasks below it. A crash is no cancellation: none of its tasks takes another step, so no
`finally` of it has an effect; deadlines of its scopes do nothing; other tasks go on. Kept separate from what runs in the
processes, because any program can: an execution, a consumer, a test's own.

A step is what a task does between two of its waits. Steps of a process are counted over all of its tasks, from 1, so
that a crash or a cancellation can follow any of them.
"""

import enum
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from types import AsyncGeneratorType, TracebackType
from typing import Any, Final, Generic, TypeVar
from weakref import WeakKeyDictionary

import trio

from factflow_engine.testing.simulation.dead_tasks import DeadTasks
from factflow_engine.testing.simulation.watched_generators import WatchedGenerators
from factflow_protocols import FactflowError

T = TypeVar("T")


class SimulatedProcessError(FactflowError, RuntimeError):
    """Impossible use of simulated processes; the text says what to write instead."""


class Crashed(enum.Enum):
    """Type of `CRASHED`."""

    CRASHED = "crashed"

    def __repr__(self) -> str:
        return "CRASHED"


CRASHED: Final = Crashed.CRASHED
"""Result of a process that crashed."""


@dataclass(frozen=True, slots=True)
class Ended(Generic[T]):
    """Result of a process that ended by itself.

    Attributes:
        value: What its function returned; None if it was cancelled before it returned.
        was_cancelled: True if its cancellation ended it.
    """

    value: T | None
    was_cancelled: bool = False


class SimulatedProcess:
    """One life of a process.

    Attributes:
        number: Number of the process.
        life: Number of its lives before this one: a process that is run again has the same number.
        steps: Steps of its tasks so far; 0 while nobody counts them.
        is_dead: True once it has crashed.
        on_death: Functions to call at a crash, in this order: the other end of its connections. They are called without
            waiting, when no task of it takes a step any more; what one raises is raised by `SimulatedProcesses.run`.
    """

    def __init__(self, number: int, life: int) -> None:
        self.number = number
        self.life = life
        self.steps = 0
        self.is_dead = False
        self.on_death: list[Callable[[], object]] = []
        self._root: trio.lowlevel.Task | None = None
        self._scope = trio.CancelScope()
        self._ended = trio.Event()
        self._dies = False  # when the running step ends
        self._crash_step: int | None = None
        self._cancel_step: int | None = None
        self._result: Ended[Any] | Crashed = CRASHED
        self._error: BaseException | None = None
        # Those that it has begun; in their order, so that they are dropped in the same order in every run.
        self._generators: WeakKeyDictionary[AsyncGeneratorType[Any, Any], None] = WeakKeyDictionary()

    @property
    def is_cancelled(self) -> bool:
        """True once all that it does has been cancelled, though it may go on with its ends."""
        return self._scope.cancel_called

    def cancel(self) -> None:
        """Cancel all that it does, as the end of the scope that owns it would."""
        self._scope.cancel("the process is cancelled")

    def _outcome(self) -> Ended[Any] | Crashed:
        error, self._error = self._error, None
        try:
            if error is not None:
                raise error
        finally:
            del error  # with its traceback, it refers to itself
        return self._result

    def __repr__(self) -> str:
        return f"<process {self.number}, life {self.life}{', dead' if self.is_dead else ''}>"


class SimulatedProcesses:
    """The processes of one simulated run.

    Use it as an async context manager around all calls of `run`. Where it is left, it buries the dead; what their
    `finally` blocks do then can neither wait nor reach trio, but it can change files and objects: read those before.

    Args:
        counts_steps: True to count the steps of every process, to learn how many there are; else they are counted only
            for a process with a `crash_step` or a `cancel_step`. Counting makes a step that does nothing half as long again.

    Example:
        async def program(process: SimulatedProcess) -> str:
            process.on_death.append(lambda: print("its connection is cut"))
            for _ in range(5):
                await trio.lowlevel.checkpoint()
            return "done"

        async with SimulatedProcesses() as processes:
            if await processes.run(0, program, crash_step=3) is CRASHED:
                assert await processes.run(0, program) == Ended("done")
    """

    def __init__(self, *, counts_steps: bool = False) -> None:
        self._counts_steps = counts_steps
        self._running: dict[int, SimulatedProcess] = {}
        self._lives: dict[int, int] = {}
        self._roots: dict[trio.lowlevel.Task, SimulatedProcess] = {}  # of processes that run or are not buried yet
        self._dead: list[tuple[SimulatedProcess, DeadTasks]] = []
        self._generators = WatchedGenerators(self._take_generator)
        self._counter = _StepCounter(self._count_step)
        self._counting = 0  # reasons for which the instrument is installed
        self._stack = AsyncExitStack()
        self._nursery: trio.Nursery | None = None

    async def __aenter__(self) -> "SimulatedProcesses":
        """Begin. From here on, async generators are told apart by process, to the end of trio's run."""
        # Whatever cancels a process does so through the caller of its `run`.
        self._stack.enter_context(trio.CancelScope(shield=True))
        self._nursery = await self._stack.enter_async_context(trio.open_nursery())
        self._generators.watch()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Wait for the end of the processes that run, cancelling them if the block has failed, and bury the dead.

        Cancellation: none; that of a caller of `run` ends its process.
        """
        while self._running:
            for process in self.running:
                if error is not None:
                    process.cancel()
                await process._ended.wait()
        await self.bury()
        await self._stack.aclose()  # not with the block's error: the nursery would wrap it

    @property
    def running(self) -> tuple[SimulatedProcess, ...]:
        """Processes that run, in the order in which they were started."""
        return tuple(self._running.values())

    def process_of(self, task: trio.lowlevel.Task | None = None) -> SimulatedProcess | None:
        """Return the process to which a task belongs, the running task by default; None if it belongs to none."""
        found = task or trio.lowlevel.current_task()
        while (process := self._roots.get(found)) is None:
            if (nursery := found.parent_nursery) is None:
                return None
            found = nursery.parent_task
        return process

    async def run(
        self,
        number: int,
        function: Callable[[SimulatedProcess], Awaitable[T]],
        *,
        crash_step: int | None = None,
        cancel_step: int | None = None,
    ) -> Ended[T] | Crashed:
        """Run an async function as the first task of a process; return when it has ended or crashed.

        Args:
            number: Number of the process; no other of this number may run.
            function: Called with the process.
            crash_step: Number of the step after which it crashes, unless it has ended by then.
            cancel_step: Number of the step after which all that it does is cancelled.

        Returns:
            `CRASHED`, or `Ended` with the function's value.

        Raises:
            SimulatedProcessError: It cannot be run; the text says why.
            BaseException: What the function raised, or a function of `on_death`.

        Cancellation: cancels the process, and waits for its end.
        """
        for name, step in (("crash_step", crash_step), ("cancel_step", cancel_step)):
            if step is not None and step < 1:
                raise SimulatedProcessError(f"{name}: expected a number from 1, or None, got {step}")
        if self._nursery is None:
            raise SimulatedProcessError("expected a call within `async with SimulatedProcesses() as processes:`")
        if (caller := self.process_of()) is not None:  # its death would leave nobody who waits for the end
            raise SimulatedProcessError(
                f"process {number}: expected a call from outside, got one of process {caller.number}"
            )
        if number in self._running:
            raise SimulatedProcessError(f"process {number}: expected it to have ended, but it runs; use another number")
        process = SimulatedProcess(number, self._lives.get(number, 0))
        process._crash_step, process._cancel_step = crash_step, cancel_step
        self._lives[number] = process.life + 1
        self._running[number] = process
        before = self._nursery.child_tasks
        self._nursery.start_soon(self._live, process, function, name=f"process {number}")
        [process._root] = self._nursery.child_tasks - before
        self._roots[process._root] = process
        with self._counted(self._counts_steps or crash_step is not None or cancel_step is not None):
            try:
                await process._ended.wait()
            except trio.Cancelled:
                process.cancel()
                with trio.CancelScope(shield=True):
                    await process._ended.wait()
                raise
        if not process.is_dead:
            del self._roots[process._root]
        return process._outcome()

    def crash_nowait(self, number: int) -> bool:
        """Crash a process; return False if none of this number runs.

        Called by a task of the process itself, it takes effect where that task's step ends: at its next wait.
        """
        process = self._running.get(number)
        if process is None:
            return False
        if self.process_of() is not process:
            self._crash(process)
        elif not process._dies:
            process._dies = True
            self._count(1)
        return True

    async def crash(self, number: int) -> bool:
        """Crash a process; return False if none of this number runs. Called by the process itself, it never returns."""
        crashed = self.crash_nowait(number)
        process = self.process_of()
        if process is not None and process._dies:
            await trio.lowlevel.wait_task_rescheduled(lambda _: trio.lowlevel.Abort.FAILED)
        await trio.lowlevel.checkpoint()
        return crashed

    async def bury(self) -> None:
        """Free what the dead held. Done where the block is left; a long run may do it before.

        Cancellation: none; it returns in the same instant.
        """
        dead, self._dead = self._dead, []
        for process, tasks in dead:
            await tasks.settle()
            with self._generators.of_the_dead() as begun:
                tasks.bury(begun)
            if process._root is not None:
                del self._roots[process._root]

    # -- a process, from its first step to its last ----------------------------------------------------------------

    async def _live(self, process: SimulatedProcess, function: Callable[[SimulatedProcess], Awaitable[T]]) -> None:
        try:
            result: Ended[T] = Ended(None, was_cancelled=True)
            with process._scope:
                result = Ended(await function(process))
            process._result = result
        except BaseException as error:
            if process.is_dead:  # it is being buried
                raise
            process._error = error  # `run` raises it
        if process._dies:
            await trio.lowlevel.wait_task_rescheduled(lambda _: trio.lowlevel.Abort.FAILED)
        del self._running[process.number]
        process._ended.set()

    def _crash(self, process: SimulatedProcess) -> None:
        assert process._root is not None
        process.is_dead = True
        generators = self._generators.leave_to_the_dead(process._generators)
        self._dead.append((process, DeadTasks(process._root, process._scope, generators)))
        del self._running[process.number]
        errors = []
        for function in process.on_death:
            try:
                function()
            except BaseException as error:  # noqa: BLE001 - `run` raises it
                errors.append(error)
        process._result = CRASHED
        process._error = (
            BaseExceptionGroup("errors of on_death", errors) if len(errors) > 1 else next(iter(errors), None)
        )
        process._ended.set()

    # -- steps -----------------------------------------------------------------------------------------------------

    def _count_step(self, task: trio.lowlevel.Task) -> None:
        process = self.process_of(task)
        if process is None or process.is_dead:
            return
        process.steps += 1
        if process.steps == process._cancel_step:
            process.cancel()
        if process._dies:
            self._count(-1)
        if (process._dies or process.steps == process._crash_step) and not process._ended.is_set():
            self._crash(process)

    @contextmanager
    def _counted(self, counts: bool) -> Iterator[None]:  # noqa: FBT001 - a condition
        self._count(int(counts))
        try:
            yield
        finally:
            self._count(-int(counts))

    def _count(self, change: int) -> None:
        before = self._counting
        self._counting += change
        if not before and self._counting:
            trio.lowlevel.add_instrument(self._counter)
        elif before and not self._counting:
            trio.lowlevel.remove_instrument(self._counter)

    def _take_generator(self, generator: AsyncGeneratorType[Any, Any]) -> None:
        if (process := self.process_of()) is not None:
            process._generators[generator] = None


class _StepCounter(trio.abc.Instrument):
    """Calls a function after each step of a task."""

    def __init__(self, count: Callable[[trio.lowlevel.Task], None]) -> None:
        self._count = count

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        """See `trio.abc.Instrument`."""
        self._count(task)
