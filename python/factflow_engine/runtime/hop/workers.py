"""Workers of one execution: the running ones, the parked ones, and their wake-ups.

Kept separate from the loop, which defines the work of a worker, because everything that publishes, ends or releases a
message wakes workers, and needs nothing else of the loop.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from contextvars import Context, copy_context
from typing import TYPE_CHECKING, Any, Final, Protocol

import trio

from factflow_engine.native import Notifier, Worker, WorkerPool
from factflow_engine.runtime.stages.open_scopes import Footing

if TYPE_CHECKING:
    from factflow_engine.runtime.hop.route_state import RouteState

MAX_TURNS: Final = 4096
"""Most messages that a worker takes before it yields even if the clock stands still."""


class Bystander(Protocol):
    """Method of `Progress` that a worker calls."""

    def note_parking(self, *, is_last: bool) -> None:
        """Note that a worker found no work; `is_last` is True if no other worker runs or waits in an adapter."""
        ...


class Workers:
    """Starts, wakes and parks workers, which take routes from one ready list.

    Made before the routes, each of which gets its `notifier`; started after them.

    Args:
        now: Clock of the loop, in nanoseconds.
        quantum_ns: Time for which a worker runs before the program's other tasks get their turn.
        most: Most workers: as many as messages may be in flight.

    Attributes:
        ready: Routes with work, each at most once.
        all: Workers that have not ended.
        pool: The running worker, natively.
        first: Context variables that each message begins with: those of the starter of the execution.
    """

    def __init__(self, now: Callable[[], int], *, quantum_ns: int, most: int) -> None:
        self._now = now
        self._quantum_ns = quantum_ns
        self._most = most
        self.ready: Final[deque[RouteState]] = deque()
        self.all: Final[list[Worker]] = []
        self._parked: list[trio.lowlevel.Task] = []  # a stack: the worker that ran last runs next
        self.pool: Final = WorkerPool(
            ready=self.ready, parked=self._parked, workers=self.all, most=most, wake=self._wake
        )
        self.first = Context()
        self._footings: dict[Worker, Footing] = {}  # of running workers
        self._nursery: trio.Nursery | None = None
        self._serve: Callable[[Worker], Awaitable[None]] | None = None
        self._waking = False  # a worker was woken or started and has not run yet
        self._stopped = False
        self.yielding = 0
        """Number of workers that have yielded to trio and will continue by themselves."""

    def start(self, nursery: trio.Nursery, serve: Callable[[Worker], Awaitable[None]]) -> None:
        """Start workers in this nursery on demand, in copies of the caller's context.

        Args:
            nursery: Nursery of the workers.
            serve: Runs a worker until it is cancelled; begins with `begin` and ends with `end`.
        """
        self._nursery, self._serve, self.first = nursery, serve, copy_context()

    def stop(self) -> None:
        """Start and wake no more workers; running ones end by themselves."""
        self._stopped = True

    @property
    def is_stopped(self) -> bool:
        """True after `stop`."""
        return self._stopped

    # -- waking ----------------------------------------------------------------------------------------------------

    def notifier(self, route: RouteState) -> Notifier:
        """Return the function to call when this route may have become runnable."""
        return Notifier(pool=self.pool, route=route, inbound=route.inbound, drivers=route.drivers)

    def rouse(self) -> None:
        """Wake a worker, unless one runs that will check the ready list."""
        if self.pool.active is None:
            self._wake()

    def _wake(self) -> None:
        """Wake or start a worker, unless one will check the ready list anyway."""
        if self._waking or self.yielding or self._stopped or self._nursery is None:
            return
        # Calls that raise in a thread without trio come first, before anything is noted.
        if self._parked:
            trio.lowlevel.reschedule(self._parked[-1])
            self._parked.pop()
            self._waking = True
        elif len(self.all) < self._most:
            assert self._serve is not None
            worker = Worker(quantum_ns=self._quantum_ns, quantum_turns=MAX_TURNS)
            # Not in the context of the waking task, which may be processing a message.
            self.first.copy().run(self._nursery.start_soon, self._serve, worker)
            self.all.append(worker)
            self._waking = True

    # -- a worker, from its first step to its last -----------------------------------------------------------------

    def begin(self, worker: Worker) -> None:
        """Note that the worker's task, the running one, has begun."""
        self._waking = False
        footing = self._footings[worker] = Footing(worker)
        footing.enter()

    def enter(self, worker: Worker) -> None:
        """Note that this worker runs, after trio has run all other tasks."""
        self.pool.active = worker
        worker.enter(self._now())

    async def park(self, worker: Worker, bystander: Bystander) -> None:
        """Wait, holding nothing, until a route is ready."""
        task = trio.lowlevel.current_task()
        parked = self._parked

        def abort(_: Any) -> trio.lowlevel.Abort:
            if task in parked:
                parked.remove(task)
            return trio.lowlevel.Abort.SUCCEEDED

        self.pool.active = None
        while True:
            parked.append(task)
            bystander.note_parking(is_last=len(parked) == len(self.all))
            await trio.lowlevel.wait_task_rescheduled(abort)
            self._waking = False
            # A worker that merely yielded will continue by itself: two would only double the time between yields.
            if self.ready and not self.yielding:
                break
        self.enter(worker)

    async def give_way(self, worker: Worker) -> None:
        """Yield to all other tasks, and continue with a new quantum."""
        self.pool.active = None
        self.yielding += 1
        try:
            await trio.lowlevel.checkpoint()
        finally:
            self.yielding -= 1
        self.enter(worker)

    async def switch(self, worker: Worker, context: Context | None) -> None:
        """Switch context variables: to those of this context, or to those that a message begins with.

        trio runs a task in its context for as long as the task does not wait, so this yields to all other tasks. It is
        not cancelled: the worker's next step reaches a checkpoint of its own. A driver serves no other route before its
        source has ended, so another worker is woken for those.
        """
        task = trio.lowlevel.current_task()
        task.context = self.first.copy() if context is None else context
        worker.begin_in(task.context, self.first)
        route: RouteState = worker.route
        if worker in route.driving:
            self.pool.leave()
            await trio.lowlevel.cancel_shielded_checkpoint()
        else:
            self.pool.active = None
            self.yielding += 1
            try:
                await trio.lowlevel.cancel_shielded_checkpoint()
            finally:
                self.yielding -= 1
        self.enter(worker)

    def footing_of(self, worker: Worker) -> Footing:
        """Return the position of a running worker's task in trio's tree of cancel scopes."""
        return self._footings[worker]

    def leave_dead(self, worker: Worker) -> None:
        """Hand a dead worker's pending wake-ups to another worker."""
        if self.pool.active is worker:
            self.pool.active = None
        if self.ready:
            self._wake()

    def end(self, worker: Worker) -> None:
        """Note that the worker's task, the running one, is about to end."""
        self._footings.pop(worker).leave()
        self.all.remove(worker)
        if self.pool.active is worker:
            self.pool.active = None

    def turns(self) -> Mapping[RouteState, list[int]]:
        """Return the times since which adapters have their messages, by route, by the loop's clock."""
        turns: dict[RouteState, list[int]] = {}
        for worker in self.all:
            if worker.context is not None:
                turns.setdefault(worker.route, []).append(worker.since_ns)
        return turns
