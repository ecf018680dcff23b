"""The workers of one execution: which of them runs, which waits for work, and who wakes one.

Kept separate from the loop, which says what a worker does, because everything that publishes, ends or releases a message
wakes workers, and knows nothing else of the loop.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from contextvars import Context, copy_context
from typing import TYPE_CHECKING, Any, Final, Protocol

import trio

from factflow_engine.native import Worker, WorkerPool
from factflow_engine.runtime.stages.open_scopes import Footing

if TYPE_CHECKING:
    from factflow_engine.runtime.hop.route_state import RouteState

MAX_TURNS: Final = 4096
"""How many messages a worker takes before it yields even if the clock says that no time has passed."""


class Bystander(Protocol):
    """The part of `Progress` that a worker speaks to."""

    def note_parking(self, *, is_last: bool) -> None:
        """Note that a worker found nothing to do; `is_last`: no other worker runs or waits in an adapter."""
        ...


class Workers:
    """Starts, wakes and parks workers, which take routes from one ready list.

    Made before the routes, each of which is given its `notifier`; started after them.

    Args:
        now: The loop's time, in nanoseconds.
        quantum_ns: How long a worker goes on before the program's other tasks get their turn.
        most: How many workers there may be: as many as messages may be in flight.

    Attributes:
        ready: Routes with work, each at most once.
        all: Workers that have not ended.
        pool: The worker that runs, natively.
        first: The context variables that each message begins with: those of whoever has started the execution.
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
        self._footings: dict[Worker, Footing] = {}  # of those that run
        self._nursery: trio.Nursery | None = None
        self._serve: Callable[[Worker], Awaitable[None]] | None = None
        self._waking = False  # a worker was woken or started and has not run yet
        self._stopped = False
        self.yielding = 0
        """Number of workers that gave trio its turn and will go on by themselves."""

    def start(self, nursery: trio.Nursery, serve: Callable[[Worker], Awaitable[None]]) -> None:
        """Start workers in this nursery as they are needed, in copies of the caller's context.

        Args:
            nursery: Where.
            serve: What a worker does until it is cancelled; begins with `begin` and ends with `end`.
        """
        self._nursery, self._serve, self.first = nursery, serve, copy_context()

    def stop(self) -> None:
        """Start and wake no more workers; those that run are left to end."""
        self._stopped = True

    @property
    def is_stopped(self) -> bool:
        """True after `stop`."""
        return self._stopped

    # -- waking ----------------------------------------------------------------------------------------------------

    def notifier(self, route: RouteState) -> Callable[[], None]:
        """Return what to call when this route may have become runnable."""

        def notify() -> None:
            self.attend(route)
            if route.drivers:
                route.wake_drivers()
            if self.pool.active is None:
                self._wake()

        return notify

    def attend(self, route: RouteState) -> None:
        """Put the route at the tail of the ready list, unless it is listed."""
        if not route.listed:
            route.listed = True
            route.inbound.armed = route.inbound.shared
            self.ready.append(route)

    def rouse(self) -> None:
        """Wake a worker, unless one runs that will look at the ready list."""
        if self.pool.active is None:
            self._wake()

    def _wake(self) -> None:
        """Wake or start a worker, unless one will look at the ready list anyway."""
        if self._waking or self.yielding or self._stopped or self._nursery is None:
            return
        if self._parked:
            self._waking = True
            trio.lowlevel.reschedule(self._parked.pop())
        elif len(self.all) < self._most:
            assert self._serve is not None
            self._waking = True
            worker = Worker(quantum_ns=self._quantum_ns, quantum_turns=MAX_TURNS)
            self.all.append(worker)
            # Not in the context of whoever wakes it, who may be handling a message.
            self.first.copy().run(self._nursery.start_soon, self._serve, worker)

    # -- a worker, from its first step to its last -------------------------------------------------------------------

    def begin(self, worker: Worker) -> None:
        """Note that the worker's task, the running one, has begun."""
        self._waking = False
        footing = self._footings[worker] = Footing(worker)
        footing.enter()

    def enter(self, worker: Worker) -> None:
        """Note that this worker runs, and that trio has given everybody else a turn."""
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
            # A worker that merely yielded will go on by itself: two would only double the time between yields.
            if self.ready and not self.yielding:
                break
        self.enter(worker)

    async def give_way(self, worker: Worker) -> None:
        """Let everybody else have a turn, and go on with a new quantum."""
        self.pool.active = None
        self.yielding += 1
        try:
            await trio.lowlevel.checkpoint()
        finally:
            self.yielding -= 1
        self.enter(worker)

    async def switch(self, worker: Worker, context: Context | None) -> None:
        """Go on with other context variables: those of this context, or those that a message begins with.

        trio runs a task in its context for as long as the task does not wait, so everybody else has a turn. Is not
        cancelled: what is next to be done by the worker comes to a checkpoint of its own.
        """
        task = trio.lowlevel.current_task()
        task.context = self.first.copy() if context is None else context
        worker.begin_in(task.context, self.first)
        self.pool.active = None
        self.yielding += 1
        try:
            await trio.lowlevel.cancel_shielded_checkpoint()
        finally:
            self.yielding -= 1
        self.enter(worker)

    def footing_of(self, worker: Worker) -> Footing:
        """Return where the task of a running worker stands in trio's tree of cancel scopes."""
        return self._footings[worker]

    def leave_dead(self, worker: Worker) -> None:
        """Hand what a dead worker was woken for to another worker."""
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
        """Since when adapters have what they have, by route, in the loop's time; it changes with whatever they take."""
        turns: dict[RouteState, list[int]] = {}
        for worker in self.all:
            if worker.context is not None:
                turns.setdefault(worker.route, []).append(worker.since_ns)
        return turns
