"""The loop: where a message's life is.

A pool of workers serves all routes of an execution from one ready list. Per message there is no spawned task, no
cancel scope and no checkpoint. A worker's turn at a route is one native call (`Carrier.carry`): take, ask conditions,
start the adapters' coroutines by hand, publish, count, look at the clock, take the next. Python goes on where that
stops: an adapter has to wait, returned something unusual or raised. trio sees a worker only then, when nothing is left
to do, or when a time quantum has passed. Measured, that is more than ten times cheaper than a task or a channel
operation a message; the idea is that of run-to-completion loops in event-driven servers, with trio's cancellation kept
whole.

Invariants (each has a test in tests/runtime/test_loop_invariants.py, 8 in test_context_variables.py):

 1. No await between an adapter's result and publish + settle. Therefore a queue's capacity is soft by what was in
    flight when it filled; backpressure holds a route back *before its next take*, never in between.
 2. Cancellation lands inside an adapter, or while waiting for room for the next child, or while a worker holds no
    message. Whatever interrupts a message gives it back to its queue, returns its permit, counters no outcome, and is
    raised again. Where that may happen, `worker.context` is the message's state.
 3. At most one wake-up is under way, and none is while a worker runs that will look at the ready list before it stops
    (`WorkerPool.active`). A worker that really has to wait wakes another one if something is listed; so a suspended adapter
    delays nobody, and adapters that do not wait keep one worker busy and wake no other.
 4. A worker yields by time (and by a count, for clocks that stand still), so that a flood, or a route that publishes
    to itself, does not starve the rest of the program.
 5. A route is in the ready list at most once and goes to its tail after a short turn (`route.TURN` messages at most):
    turns are per route, whatever the depth of its queue. A channel need not tell of arrivals (`armed` is off) only
    while its route is listed, or holds work that an event will have it asked about: a permit, room, a resume.
 6. A message that emits lends its permit to its children: a child is handed to other workers while they have permits,
    or soon will (as many may wait as there are other permits), else its driver runs it. So children never wait for a
    permit that their parent holds, and a slow child of the driver's own does not leave the others idle. See `fan_out`.
 7. Workers are protected from KeyboardInterrupt (trio raises it in the main task instead). An adapter that never
    returns to trio can therefore not be interrupted by Ctrl-C; a second, harder signal is the way out.
 8. Each message, children too, begins with the context variables of whoever has started the execution, and its stages
    see what those before them have set. Contexts are compared, not made: a worker whose task has others than it began
    with changes them, and yields for that, before it begins another message.
 9. Whether everything is done is read from the routes' counters when a worker runs out of work, not kept beside them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextvars import Context, copy_context
from itertools import chain, islice
from typing import Any, Final, TypeVarTuple

import trio

from factflow_engine.frames import Frame, pack
from factflow_engine.native import (
    STEP_LEFT_OPEN,
    STEP_RETURNED,
    STEP_STRANDED,
    STEP_SUSPENDED,
    Worker,
    WorkerPool,
)
from factflow_engine.runtime.hop.context import MessageContext
from factflow_engine.runtime.hop.cycles import Cycle
from factflow_engine.runtime.hop.dead_letters import DeadLetters
from factflow_engine.runtime.hop.fan_out import FanOut
from factflow_engine.runtime.hop.relief import Relief
from factflow_engine.runtime.hop.route_state import RouteState
from factflow_engine.runtime.hop.settlement import DeliveriesExhaustedError, OnFailure, Settlement, stranded
from factflow_engine.runtime.hop.timers import Timers
from factflow_engine.runtime.hop.work import Child
from factflow_engine.runtime.report import HeldMessage
from factflow_engine.runtime.stages.isolation import is_cancelled
from factflow_engine.runtime.stages.open_scopes import Footing, replaced
from factflow_engine.runtime.stages.results import not_a_result
from factflow_engine.seams import Seams
from factflow_protocols import AdapterResult

Arguments = TypeVarTuple("Arguments")

MAX_TURNS: Final = 4096
"""How many messages a worker takes before it yields even if the clock says that no time has passed."""


class Loop:
    """Carries the messages of one execution. Owned by its orchestrator, whose nursery the workers run in."""

    def __init__(
        self,
        routes: Sequence[RouteState],
        *,
        seams: Seams,
        quantum_ns: int,
        on_failure: OnFailure,
        on_death: Callable[[RouteState | None, BaseException], None],
        cycles: Sequence[Cycle],
        outlives: bool,
        redacted: Callable[[str], str],
        config_hash: str,
    ) -> None:
        """Prepare.

        Args:
            routes: All of the execution, in any order.
            seams: Time, randomness, ids and threads.
            quantum_ns: How long a worker goes on before the program's other tasks get their turn.
            on_failure: Told of each message that ends `failed`.
            on_death: Told what has died of a route, or of the engine if that is None.
            cycles: Routes that can reach each other through queues with a bound.
            outlives: True if messages outlive the process: then something may be left to do when nothing is left here.
            redacted: Takes secrets out of a text.
            config_hash: Names the configuration in dead letters.
        """
        self._routes = tuple(routes)
        self.now: Final = seams.clock.monotonic_ns
        self._quantum_ns = quantum_ns  # how long a worker goes on before the program's other tasks get their turn
        self.settlement: Final = Settlement(
            seams=seams,
            on_failure=on_failure,
            on_wait=self._set_timer,
            on_letter=self._serve_dead_letters,
            redacted=redacted,
            config_hash=config_hash,
        )
        self._on_death = on_death
        self._ready: deque[RouteState] = deque()
        self._workers: list[Worker] = []
        self._footings: dict[Worker, Footing] = {}  # of those that run
        self._parked: list[trio.lowlevel.Task] = []  # a stack: the worker that ran last runs next
        self._nursery: trio.Nursery | None = None
        self._first = (
            Context()
        )  # what each message begins with: the context variables of whoever has started the execution
        self._outlives = outlives  # then what is done here may not be done yet where it came from or goes
        self._max_workers = sum(route.carrier.limit for route in routes)
        self.pool: Final = WorkerPool(
            ready=self._ready,
            parked=self._parked,
            workers=self._workers,
            most=self._max_workers,
            wake=self._wake,
        )
        self._asking: trio.lowlevel.Task | None = None  # a driver that is about to wait
        self._waking = False  # a worker was woken or started and has not run yet
        self._yielding = 0  # workers that gave trio its turn and will go on
        self._stopped = False
        self._closing = False  # nothing is taken from inbounds any more
        self._idle = trio.lowlevel.ParkingLot()
        self._stirred = trio.lowlevel.ParkingLot()  # who waits for `wait_stirred`
        self._is_watched = False  # whether somebody does; asked for each adapter that has to wait
        self._timers = Timers(self._routes, self.settlement, on_ring=self._look, on_death=on_death)
        self._dead_letters = DeadLetters(
            self._routes,
            self.settlement,
            on_death=on_death,
            on_posted=self._posted,
            on_full=self._look_at,
        )
        self._has_cycles = bool(cycles)
        self._relief = Relief(
            cycles, self, post_now=self._dead_letters.post_now, post_beyond=self._dead_letters.post_beyond
        )
        for route in routes:
            route.carrier.ordered = route.inbound.ordered
            route.notify = self._notifier(route)
            route.inbound.listen(route.notify)

    # -- what the orchestrator and routes call ---------------------------------------------------------------------

    def start(self, nursery: trio.Nursery) -> None:
        """Begin to take messages; workers are started in this nursery as they are needed."""
        self._nursery, self._first = nursery, copy_context()
        self._timers.start(nursery)
        self._dead_letters.start(nursery)
        for route in self._routes:
            route.notify()

    def wake_no_more(self) -> None:
        """Start and wake no more workers, whoever tells of messages; those that run are left to end."""
        self._stopped = True

    def stop(self) -> None:
        """Take and wake no more; what children still waited are given up with their parents."""
        self.wake_no_more()
        for route in self._routes:
            route.inbound.unlisten(route.notify)
            for outbound in route.outbounds:
                for channel in outbound.channels:
                    channel.unwatch(route.notify)
            self.settlement.give_back_waiting(route)

    def pause(self, route: RouteState, reason: str) -> None:
        """Take nothing more from this route until every reason is resumed; what is in flight goes on."""
        route.pauses.add(reason)

    def resume(self, route: RouteState, reason: str) -> None:
        """Withdraw a reason; unknown ones do nothing."""
        route.pauses.discard(reason)
        if not route.pauses:
            route.notify()
            self._relief.look_at(route)  # its pause may have been what the others waited for

    def inject(self, route: RouteState, child: Child) -> None:
        """Carry a message that was not published: what a stage has said at its end."""
        route.counters.received += 1
        child.since_ns = self.now()
        route.children.append(child)
        route.notify()

    def take_in(self, route: RouteState, frame: Frame) -> None:
        """Add a message that was handed out from elsewhere; one that was too often is given up, once and for all."""
        most = route.settings.error_handling.max_deliveries
        if most is None or frame.attempt <= most or self._stopped:
            route.inbound.append(frame)
        else:
            self.settlement.refuse(route, frame, DeliveriesExhaustedError(frame.attempt, most))
            self._idle.unpark_all()

    @property
    def is_idle(self) -> bool:
        """True if no route has anything waiting or in flight."""
        return all(route.is_idle for route in self._routes)

    async def wait_idle(self) -> None:
        """Return when nothing waits and nothing is in flight; new messages may change that at any time."""
        await trio.lowlevel.checkpoint()
        while not self.is_idle:
            await self._idle.park()

    async def wait_quiet(self) -> None:
        """Return when nothing is in flight, whatever waits; or nothing that does not wait for a route whose intake is closed."""
        await trio.lowlevel.checkpoint()
        inbounds = frozenset(id(route.inbound) for route in self._routes if route.carrier.intake_closed)
        while any(route.counters.in_flight for route in self._routes) and not self.waits_for(inbounds):
            await self._idle.park()

    def waits_for(self, channels: frozenset[int]) -> bool:
        """True if nothing has begun that does not wait for room in these channels, by identity: if they get none, for ever."""
        return all(route.waits_for(channels) for route in self._routes)

    @property
    def given_back(self) -> tuple[HeldMessage, ...]:
        """Messages that were interrupted, with their holders and for how many seconds each was held."""
        return tuple(self.settlement.given_back)

    def close_intake(self) -> None:
        """Take nothing more from any inbound queue; what has begun goes on."""
        self._closing = True
        for route in self._routes:
            route.carrier.intake_closed = True

    def held(self, most: int | None = None) -> tuple[HeldMessage, ...]:
        """Return what has begun and not ended, who holds it, and for how long: in adapters, then what waits.

        Args:
            most: How many messages to name, at the most; then no cost grows with how many wait, and those of a route that
                wait are in no order. None: all of them, the longest wait first by kind.
        """
        now = self.now()
        in_adapters = [
            HeldMessage(
                route=worker.context.route,
                stage=worker.context.stage,
                message_id=worker.context.message_id,
                seconds=(now - worker.since_ns) / 1e9,
            )
            for worker in self._workers
            if worker.context is not None
        ]
        waiting = (held for route in self._routes for held in self.settlement.waiting(route, in_order=most is None))
        return tuple(islice(chain(in_adapters, waiting), most))

    async def wait_stirred(self) -> None:
        """Return when an adapter has to wait, or a worker has no more to do and something is left all the same."""
        self._is_watched = True
        await self._stirred.park()

    def stir(self) -> None:
        """Let `wait_stirred` return."""
        self._is_watched = False
        self._stirred.unpark_all()

    def turns(self) -> Mapping[RouteState, list[int]]:
        """Since when adapters have what they have, by route, in the loop's time; it changes with whatever they take."""
        turns: dict[RouteState, list[int]] = {}
        for worker in self._workers:
            if worker.context is not None:
                turns.setdefault(worker.route, []).append(worker.since_ns)
        return turns

    # -- waking ----------------------------------------------------------------------------------------------------

    def _notifier(self, route: RouteState) -> Callable[[], None]:
        def notify() -> None:
            self.attend(route)
            if route.drivers:
                self.wake_drivers(route)
            if self.pool.active is None:
                self._wake()

        return notify

    def attend(self, route: RouteState) -> None:
        """Have a worker look at the route, in its turn."""
        if not route.listed:
            route.listed = True
            route.inbound.armed = route.inbound.shared
            self._ready.append(route)

    def _wake(self) -> None:
        """See to it that a worker looks at the ready list, unless one will anyway."""
        if self._waking or self._yielding or self._stopped or self._nursery is None:
            return
        if self._parked:
            self._waking = True
            trio.lowlevel.reschedule(self._parked.pop())
        elif len(self._workers) < self._max_workers:
            self._waking = True
            worker = Worker(quantum_ns=self._quantum_ns, quantum_turns=MAX_TURNS)
            self._workers.append(worker)
            # Not in the context of whoever wakes it, who may be handling a message.
            self._first.copy().run(self._nursery.start_soon, self._run_worker, worker)

    def rouse(self) -> None:
        """See to it that a worker looks at the ready list, unless one runs that will."""
        if self.pool.active is None:
            self._wake()

    def wake_drivers(self, route: RouteState) -> None:
        """Have the drivers of this route that wait look again."""
        while route.drivers:
            task = route.drivers.popleft()
            if task is not self._asking:  # which runs, and sees that it is no longer among them
                trio.lowlevel.reschedule(task)

    def wake_driver(self, route: RouteState, task: trio.lowlevel.Task) -> None:
        """Have this one of the drivers of this route that wait look again; not the one that is asking."""
        route.drivers.remove(task)
        trio.lowlevel.reschedule(task)

    def _set_timer(self, route: RouteState, due: float) -> None:
        self._timers.set(route, due)

    def _serve_dead_letters(self, route: RouteState) -> None:
        self._dead_letters.serve(route)
        self._relief.note_blocked(route)

    def look_soon(self) -> None:
        """Look at cycles that may stand still in trio's next step, if no worker does so before."""
        self._timers.ring_soon()

    def _look(self) -> None:
        self._relief.look()

    def _look_at(self, route: RouteState) -> None:
        self._relief.look_at(route)

    def _posted(self, route: RouteState) -> None:
        self._idle.unpark_all()  # what was given up has ended without a worker
        self._relief.look_at(route)

    # -- workers ---------------------------------------------------------------------------------------------------

    @trio.lowlevel.enable_ki_protection
    async def _run_worker(self, worker: Worker) -> None:
        # One function, not two: whatever an adapter waits for passes through every frame above it, twice.
        ready = self._ready
        self._waking = False
        footing = self._footings[worker] = Footing(worker)
        footing.enter()
        try:
            # A worker that is started while everything is being cancelled must not take what others have given back.
            await trio.lowlevel.checkpoint_if_cancelled()
            worker.begin_in(trio.lowlevel.current_task().context, self._first)
            self.enter(worker)
            while True:
                if not ready:
                    if self._relief.strained:
                        self._relief.look()
                    if not ready:
                        await self._park(worker)
                    continue
                route = ready.popleft()
                route.listed = False
                turns = route.takable() or (self._relief.takable(route) if self._has_cycles else 0)
                if not turns:
                    route.inbound.armed = (
                        not route.inbound.ready or route.inbound.shared
                    )  # what waits is asked for by events
                    continue
                child = route.children.popleft() if route.children else None
                if route.children or route.inbound.ready > (child is None):
                    self.attend(route)  # others may take from it while this worker is suspended in an adapter
                else:
                    route.inbound.armed = True
                worker.route = route
                worker.turns -= turns
                route.carrier.busy += 1
                try:
                    if child is None:
                        worker.left = turns
                        await self._carry(worker, route, None, route.carrier.carry, worker, False)
                    else:
                        await self.carry_child(worker, route, child)
                        worker.since_ns = self.now()
                finally:
                    worker.context = None
                    route.carrier.busy -= 1
                    self._after(route)
                if worker.turns <= 0 or worker.since_ns > worker.until_ns:
                    await self.give_way(worker)
                    if self._yielding:
                        await self._park(worker)  # others do as well: one of them is enough until an adapter suspends
        except trio.Cancelled as error:
            if is_cancelled():
                raise
            self._on_death(_route_of(worker), error)  # somebody else's cancellation, kept and raised here: nobody's own
            self._leave_dead(worker)
        except BaseException as error:  # noqa: BLE001 - what kills a worker must fail its route, not vanish
            cancelled, fault = error.split(trio.Cancelled) if isinstance(error, BaseExceptionGroup) else (None, error)
            if fault is not None or not is_cancelled():
                self._on_death(_route_of(worker), fault or error)
                self._leave_dead(worker)
            if cancelled is not None and is_cancelled():
                raise cancelled from None
        finally:
            footing.leave()
            del self._footings[worker]
            self._workers.remove(worker)
            if self.pool.active is worker:
                self.pool.active = None

    def _leave_dead(self, worker: Worker) -> None:
        """Hand the dead worker's pending wake-ups to another worker."""
        if self.pool.active is worker:
            self.pool.active = None
        self._idle.unpark_all()  # it may have had the last message in flight
        if self._ready:
            self._wake()

    def enter(self, worker: Worker) -> None:
        """Note that this worker runs, and that trio has given everybody else a turn."""
        self.pool.active = worker
        worker.enter(self.now())

    def _after(self, route: RouteState) -> None:
        """A permit came back: whoever waited for it, or for what it reserved, is asked again."""
        if route.children or route.inbound.ready:
            self.attend(route)
        elif not route.listed:
            route.inbound.armed = True  # it may have been off while every permit was in use
        if route.drivers:
            self.wake_drivers(route)
        if self._has_cycles:
            self._relief.note_permit(route)

    async def _park(self, worker: Worker) -> None:
        """Wait, holding nothing, until there is work."""
        task = trio.lowlevel.current_task()
        parked = self._parked

        def abort(_: Any) -> trio.lowlevel.Abort:
            if task in parked:
                parked.remove(task)
            return trio.lowlevel.Abort.SUCCEEDED

        self.pool.active = None
        while True:
            parked.append(task)
            # While it closes, what is still in flight may wait for what nobody takes any more. Else the last worker to
            # park looks, for each of the others has a message or will park, too: there may be thousands of routes.
            if self._idle and (self._closing or (len(parked) == len(self._workers) and not self._is_any_in_flight)):
                self._idle.unpark_all()
            if self._is_watched and (self._outlives or not self.is_idle):
                self.stir()
            await trio.lowlevel.wait_task_rescheduled(abort)
            self._waking = False
            # A worker that merely yielded will go on by itself: two would only double the time between yields.
            if self._ready and not self._yielding:
                break
        self.enter(worker)

    def may_exceed(self, route: RouteState) -> bool:
        """True if a driver of this route, the running task, may go ahead beyond a capacity; it is about to wait.

        What that lets others do may have it look again: then it is taken out of the route's drivers.
        """
        self._asking = task = trio.lowlevel.current_task()
        try:
            return self._relief.may_drive(route, task)
        finally:
            self._asking = None

    @property
    def _is_any_in_flight(self) -> bool:
        return any(route.counters.in_flight for route in self._routes)

    def stand_still(self) -> None:
        """A message that has begun waits for others: whoever waits for the end of it all may not have to any more."""
        if self._closing:
            self._idle.unpark_all()

    async def give_way(self, worker: Worker) -> None:
        """Let everybody else have a turn, and go on with a new quantum."""
        self.pool.active = None
        self._yielding += 1
        try:
            await trio.lowlevel.checkpoint()
        finally:
            self._yielding -= 1
        self.enter(worker)

    async def switch(self, worker: Worker, context: Context | None) -> None:
        """Go on with other context variables: those of this context, or those that a message begins with.

        trio runs a task in its context for as long as the task does not wait, so everybody else has a turn. Is not
        cancelled: what is next to be done by the worker comes to a checkpoint of its own.
        """
        task = trio.lowlevel.current_task()
        task.context = self._first.copy() if context is None else context
        worker.begin_in(task.context, self._first)
        self.pool.active = None
        self._yielding += 1
        try:
            await trio.lowlevel.cancel_shielded_checkpoint()
        finally:
            self._yielding -= 1
        self.enter(worker)

    # -- one message -----------------------------------------------------------------------------------------------

    async def carry_child(self, worker: Worker, route: RouteState, child: Child) -> None:
        """Carry a message that does not begin with its being taken from the inbound."""
        carrier = route.carrier
        worker.since_ns = self.now()
        if child.result is None:
            await self._carry(worker, route, child, carrier.begin, worker, child.frame, child.index)
        else:
            await self._carry(worker, route, child, carrier.answer, worker, child.frame, child.index, child.result)

    async def _recover(self, worker: Worker) -> Exception:
        """Undo what the worker's adapter has left open in its task; the error to fail its message with.

        Raises:
            LeftEarlyError: It has left what the engine had entered.
        """
        self.stir()
        self.pool.leave()
        try:
            return await self._footings[worker].recover(_context_of(worker))
        finally:
            self.enter(worker)

    async def _carry(
        self,
        worker: Worker,
        route: RouteState,
        child: Child | None,
        begin: Callable[[*Arguments], int],
        *arguments: *Arguments,
    ) -> None:
        """Carry a child, or, without one, what `worker.left` lets take from the inbound queue, to their ends.

        Raises only what interrupts a message, after giving it back.
        """
        carrier, pool, settlement = route.carrier, self.pool, self.settlement
        alone = child is not None
        parent = None if child is None else child.parent
        while True:
            emitting: AdapterResult | None = None
            try:
                step = begin(*arguments)
                while step:
                    if step == STEP_SUSPENDED:
                        if self._is_watched:
                            self.stir()
                        step = await carrier.waited(worker, pool, alone)
                    elif step == STEP_RETURNED:
                        result, worker.value = worker.value, None  # not for as long as the worker is idle
                        if type(result) is not AdapterResult:
                            raise TypeError(not_a_result(result))
                        context = _context_of(worker)
                        headers = None if result.headers is None else context.merged(result.headers)
                        if result.emitted is not None:
                            if headers is not None:
                                worker.context = context.with_headers(headers)
                            emitting = result
                            break
                        step = carrier.change(worker, pack(result.message), headers)
                    elif step == STEP_STRANDED:
                        raise stranded(route)
                    elif step == STEP_LEFT_OPEN:
                        raise await self._recover(worker)
                    else:
                        self.stir()
                        self.pool.leave()
                        pending, worker.pending = worker.pending, None
                        try:
                            result = await pending
                        finally:
                            self.enter(worker)
                        step = carrier.proceed(worker, result)
            except BaseException as raised:
                held, error = worker.context, raised
                if held is None:
                    raise  # nothing was taken: the engine's own failure
                try:
                    if worker.is_astray:
                        error = replaced(raised, await self._recover(worker))
                    if not isinstance(error, Exception):
                        raise
                    if is_cancelled():
                        await trio.lowlevel.checkpoint_if_cancelled()  # raises: an error made of it is still no outcome
                except BaseException:
                    settlement.interrupt(worker, route, held, parent)
                    raise
                else:
                    settlement.fail(route, held, child, error)
                finally:
                    del error  # its traceback holds this frame: a cycle of references
            else:
                if emitting is not None:
                    if self._is_watched:
                        self.stir()
                    await FanOut(self, worker, route, _context_of(worker), child).drive(emitting)
                elif parent is not None:
                    settlement.end_child(route, parent)
            if worker.has_set:
                worker.context = None  # it has ended
                await self.switch(worker, None)
            if alone:
                return
            worker.since_ns = self.now()
            if not worker.left or worker.since_ns > worker.until_ns:
                return
            begin, arguments = carrier.carry, (worker, True)  # type: ignore[assignment]  # another function's


def _route_of(worker: Worker) -> RouteState | None:
    route: RouteState | None = worker.route
    return route


def _context_of(worker: Worker) -> MessageContext:
    context = worker.context
    if context is None:
        raise AssertionError("a message on its way has a context")  # pragma: no cover - the carrier's promise
    return context
