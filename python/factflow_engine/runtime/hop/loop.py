"""The loop, which carries every message of an execution.

A pool of workers serves all routes of an execution from one ready list. A message costs no spawned task, no cancel
scope and no checkpoint. A worker's turn at a route is one native call (`Carrier.carry`): take, evaluate conditions,
start the adapters' coroutines by hand, publish, count, read the clock, take the next. Python continues where that stops
(`carrying`): an adapter has to wait, returned something unusual or raised. trio runs only then, when no work is left,
or when a time quantum has passed. Measured, that is more than ten times cheaper than a task or a channel operation for
each message; the idea is that of run-to-completion loops in event-driven servers, with trio's cancellation kept whole.

Invariants (each has a test in tests/runtime/hop/test_loop_invariants.py, 8 in test_context_variables.py):

 1. No await between an adapter's result and publish + settle. Therefore a queue may exceed its capacity by the messages
    that were in flight when it filled; backpressure delays a route *before its next take*, never in between.
 2. Cancellation lands inside an adapter, or while waiting for room for the next child, or while a worker holds no
    message. Whatever interrupts a message gives it back to its queue, returns its permit, counts no outcome, and is
    raised again. Where that may happen, `worker.context` is the message's state.
 3. At most one wake-up is pending, and none while a worker runs that will check the ready list before it stops
    (`WorkerPool.active`). A worker that really has to wait wakes another one if a route is listed; so a suspended
    adapter delays no other message, and adapters that do not wait keep one worker busy and wake no other.
 4. A worker yields by time (and by a count, for clocks that stand still), so that a flood, or a route that publishes to
    itself, does not starve the rest of the program.
 5. A route is in the ready list at most once and goes to its tail after a short turn (`route.TURN` messages at most):
    turns are per route, whatever the depth of its queue. A channel need not notify of arrivals (`armed` is off) only
    while its route is listed, or has work that an event will make it check: a permit, room, a resume.
 6. A message that emits lends its permit to its children: a child is handed to other workers while they have permits,
    or soon will (as many may wait as there are other permits), else its driver carries it. So children never wait for a
    permit that their parent holds, and a slow child of the driver's own does not leave the others idle. A turn takes
    children that wait before messages of the queue, natively too, and Python ends only their parent. See `fan_out`.
    An adaptive limit (`limiting`) counts messages in adapters alone, and has permits of its own: who waits for room, for
    children or for a retry holds none, so that a permit is always given back.
 7. Workers are protected from KeyboardInterrupt (trio raises it in the main task instead). An adapter that never
    returns to trio can therefore not be interrupted by Ctrl-C; a second signal ends the process.
 8. Each message, children too, begins with the context variables of the starter of the execution, and its stages see
    the values that earlier stages have set. Contexts are compared, not made: a worker whose task has other values than
    it began with restores them, and yields for that, before it begins another message.
 9. The end of all work is read from the routes' counters when a worker runs out of work, not counted separately.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import trio

from factflow_engine.frames import Frame
from factflow_engine.native import ATTEMPT_IGNORED, STEP_LAST_CHILD, STEP_SUSPENDED, Worker
from factflow_engine.runtime.hop.carrying import Carrying
from factflow_engine.runtime.hop.circuits import Circuits
from factflow_engine.runtime.hop.cycles import Cycle
from factflow_engine.runtime.hop.dead_letters import DeadLetters
from factflow_engine.runtime.hop.errors import DeliveriesExhaustedError
from factflow_engine.runtime.hop.held import held_by, waits_of
from factflow_engine.runtime.hop.limiting import Limiting
from factflow_engine.runtime.hop.progress import Progress
from factflow_engine.runtime.hop.relief import Relief
from factflow_engine.runtime.hop.route_state import RouteState
from factflow_engine.runtime.hop.settlement import OnFailure, Settlement
from factflow_engine.runtime.hop.timers import Timers
from factflow_engine.runtime.hop.work import Child
from factflow_engine.runtime.hop.workers import Workers
from factflow_engine.runtime.report import HeldMessage, Wait
from factflow_engine.runtime.stages.isolation import is_cancelled, parts
from factflow_engine.seams import Seams


class Loop:
    """Loop that carries the messages of one execution. Its workers run in the nursery of the lifecycle.

    Attributes:
        workers: Workers that carry messages.
        progress: Detection that no work is left.
        settlement: Ends attempts.
    """

    def __init__(
        self,
        routes: Sequence[RouteState],
        workers: Workers,
        *,
        seams: Seams,
        on_failure: OnFailure,
        on_death: Callable[[RouteState | None, BaseException], None],
        cycles: Sequence[Cycle],
        outlives: bool,
        redacted: Callable[[str], str],
        config_hash: str,
    ) -> None:
        """Prepare.

        Args:
            routes: All routes of the execution, in any order, made with these workers.
            workers: Workers, not started yet.
            seams: Time, randomness, ids and threads.
            on_failure: Called with each message that ends `failed`.
            on_death: Called with the error of a dead task, and its route; None for the engine.
            cycles: Routes that can reach each other through bounded queues.
            outlives: True if messages outlive the process: then work may be left when none is left here.
            redacted: Removes secrets from a text.
            config_hash: Hash of the configuration, for dead letters.
        """
        self._routes = tuple(routes)
        self._now = seams.clock.monotonic_ns
        self._on_death = on_death
        self._has_cycles = bool(cycles)
        self.workers: Final = workers
        self.progress: Final = Progress(self._routes, outlives=outlives)
        self._timers = Timers(on_death=on_death)
        self._relief = Relief(cycles, workers, self._timers, on_death=on_death)
        self._dead_letters = DeadLetters(self._routes, self._relief, self.progress)
        self.settlement: Final = Settlement(
            self._timers,
            self._dead_letters,
            seams=seams,
            on_failure=on_failure,
            redacted=redacted,
            config_hash=config_hash,
        )
        Circuits(self._routes, self.settlement, self._timers)
        self._limiting = Limiting(self._routes, self._timers, now=self._now)
        self._carrying = Carrying(workers, self.settlement, self.progress, self._relief, now=self._now)
        for route in routes:
            route.inbound.listen(route.notify)

    # -- called by the orchestrator and routes ---------------------------------------------------------------------

    def start(self, nursery: trio.Nursery) -> None:
        """Begin to take messages; workers start in this nursery on demand."""
        self.workers.start(nursery, self._run_worker)
        self._timers.start(nursery)
        self._dead_letters.start(nursery)
        for route in self._routes:
            route.notify()

    def stop(self) -> None:
        """Take and wake no more; waiting children are given back with their parents."""
        self.workers.stop()
        for route in self._routes:
            route.inbound.unlisten(route.notify)
            for outbound in route.outbounds:
                for channel in outbound.channels:
                    channel.unwatch(route.notify)
            self.settlement.give_back_waiting(route)

    def pause(self, route: RouteState, reason: str) -> None:
        """Take nothing more from this route until every reason is resumed; in-flight messages go on."""
        route.pauses.add(reason)

    def resume(self, route: RouteState, reason: str) -> None:
        """Withdraw a reason; unknown reasons do nothing."""
        route.pauses.discard(reason)
        if not route.pauses:
            route.notify()
            self._relief.look_at(route)  # its pause may have been what the others waited for

    def inject(self, route: RouteState, child: Child) -> None:
        """Carry a message that was not published, from a stage's `finish`."""
        route.counters.received += 1
        child.since_ns = self._now()
        route.children.append(child)
        route.notify()

    def take_in(self, route: RouteState, frames: Sequence[Frame]) -> None:
        """Add messages that an external provider delivered; fail those that were delivered too often."""
        most = route.settings.error_handling.max_deliveries
        if most is None or self.workers.is_stopped:
            route.inbound.append_all(frames)
            return
        route.inbound.append_all([frame for frame in frames if frame.attempt <= most])
        for frame in frames:
            if frame.attempt > most:
                self.settlement.refuse(route, frame, DeliveriesExhaustedError(frame.attempt, most))
                self.progress.note_end()

    def held(self, most: int | None = None) -> tuple[HeldMessage, ...]:
        """Return the messages that have begun and not ended, what they wait for, and how long (see `held_by`)."""
        return held_by(self.workers.all, self._routes, self._now(), most)

    def waits(self, route: RouteState | None = None) -> tuple[Wait, ...]:
        """Return what messages wait for, by route, stage and reason; outside of trio without times (see `waits_of`)."""
        now_ns, now = self._now(), trio.current_time() if trio.lowlevel.in_trio_run() else None
        routes = self._routes if route is None else (route,)
        return tuple(wait for route in routes for wait in waits_of(route, now_ns, now))

    # -- a worker --------------------------------------------------------------------------------------------------

    @trio.lowlevel.enable_ki_protection
    async def _run_worker(self, worker: Worker) -> None:
        # One function, not two: every value that an adapter waits for passes through each frame above it, twice.
        workers, relief, carrying, progress = self.workers, self._relief, self._carrying, self.progress
        ready, pool = workers.ready, workers.pool
        workers.begin(worker)
        try:
            # A worker that starts while everything is being cancelled must not take messages that others have given
            # back.
            await trio.lowlevel.checkpoint_if_cancelled()
            worker.begin_in(trio.lowlevel.current_task().context, workers.first)
            workers.enter(worker)
            while True:
                if not ready:
                    if relief.strained:
                        relief.look()
                    if not ready:
                        await workers.park(worker, progress)
                    continue
                route = ready.popleft()
                route.notify.listed = False
                turns = route.carrier.takable(route.turn)
                if turns <= 0 and not (turns := self._takable(route)):
                    route.inbound.armed = (
                        not route.inbound.ready or route.inbound.shared
                    )  # events make the waiting messages proceed
                    continue
                if len(route.children) + route.inbound.ready > 1:
                    route.notify.attend()  # others may take from it while this worker is suspended in an adapter
                else:
                    route.inbound.armed = True
                carrier = route.carrier
                worker.route = route
                worker.turns -= turns
                worker.left = turns
                carrier.busy += 1
                waited = False
                try:
                    while True:
                        try:
                            step = carrier.carry(worker, waited)
                            if not (step or worker.left or worker.has_set):
                                break  # as nearly always: the turn is over, and has read the clock at its end
                            while step == STEP_SUSPENDED:
                                if progress.is_watched:
                                    progress.stir()
                                step = await carrier.waited(worker, pool, False)
                        except BaseException as raised:  # noqa: BLE001 - `fail` raises what interrupts
                            await carrying.fail(worker, route, worker.take_child(), raised)
                        else:
                            if step == STEP_LAST_CHILD:
                                carrying.end_parent(worker, route)
                            elif step:
                                await carrying.carry_on(worker, route, worker.take_child(), step)
                        if worker.has_set:
                            worker.context = None  # its message has ended
                            await workers.switch(worker, None)
                        worker.since_ns = self._now()
                        if not worker.left or worker.since_ns > worker.until_ns:
                            break
                        waited = True
                except BaseException:
                    carrier.end_attempt(worker, ATTEMPT_IGNORED)  # the worker is dying
                    raise
                finally:
                    worker.context = None
                    carrier.busy -= 1
                    self._after(route)
                if worker.turns <= 0 or worker.since_ns > worker.until_ns:
                    await workers.give_way(worker)
                    if workers.yielding:
                        # Others do as well: one of them is enough until an adapter suspends.
                        await workers.park(worker, progress)
        except trio.Cancelled as error:
            if is_cancelled():
                raise
            self._note_death(worker, error)  # a foreign cancellation, stored and raised here
        except BaseException as error:  # noqa: BLE001 - what kills a worker must fail its route, not vanish
            cancelled, fault = parts(error)
            if fault is not None or not is_cancelled():
                self._note_death(worker, fault or error)
            if cancelled is not None and is_cancelled():
                raise cancelled from None
        finally:
            workers.end(worker)

    def _takable(self, route: RouteState) -> int:
        """Return the number of messages that one turn may take from a route without room, or beyond a capacity."""
        return route.takable() or (self._relief.takable(route) if self._has_cycles else 0)

    def _after(self, route: RouteState) -> None:
        """Check the route again, for messages that waited for the returned permit or for its reserved room."""
        if route.children or route.inbound.ready:
            route.notify.attend()
        elif not route.notify.listed:
            route.inbound.armed = True  # it may have been off while every permit was in use
        if route.drivers:
            route.drivers.wake_all()
        if route.has_deadlines:
            self._limiting.attend(route)
        if self._has_cycles:
            self._relief.note_permit(route)

    def _note_death(self, worker: Worker, error: BaseException) -> None:
        """Fail the route of a worker that is about to end; hand its pending wake-ups to another worker."""
        route: RouteState | None = worker.route
        self._on_death(route, error)
        self.progress.note_end()  # it may have had the last message in flight
        self.workers.leave_dead(worker)
