"""The loop: where a message's life is.

A pool of workers serves all routes of an execution from one ready list. Per message there is no spawned task, no
cancel scope and no checkpoint: a worker takes from a lane, awaits the adapters' coroutines (which costs next to
nothing while they do not block), publishes and settles without an await in between, and goes on. trio sees a worker
only when an adapter suspends, when nothing is left to do, or when a time quantum has passed. Measured, that is more
than ten times cheaper than a task or a channel operation a message; the idea is that of run-to-completion loops in
event-driven servers, with trio's cancellation kept whole.

Invariants (each has a test in tests/runtime/test_loop_invariants.py):

 1. No await between an adapter's result and publish + settle. Therefore a queue's capacity is soft by what was in
    flight when it filled; backpressure holds a lane back *before its next take*, never in between.
 2. Cancellation lands inside an adapter, or while waiting for room for the next child, or while a worker holds no
    message. Whatever interrupts a message gives it back to its queue, returns its permit, books no outcome, and is
    raised again.
 3. At most one wake-up is under way. A worker wakes another before it may suspend, and only if work remains; so a
    suspended adapter delays nobody, and a busy pool is not woken at all.
 4. A worker yields by time (and by a count, for clocks that stand still), so that a flood, or a route that publishes
    to itself, does not starve the rest of the program.
 5. A lane is in the ready list at most once and goes to its tail after each message: turns are per route, whatever
    the depth of its queue.
 6. A message that emits lends its permit to its children: a child is handed to another worker if a permit is free,
    else its driver runs it. So children never wait for a permit that their parent holds.
 7. Workers are protected from KeyboardInterrupt (trio raises it in the main task instead). An adapter that never
    returns to trio can therefore not be interrupted by Ctrl-C; a second, harder signal is the way out.
 8. Whether everything is done is read from the lanes' books when a worker runs out of work, not kept beside them.
"""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import trio

from factflow_engine.frames import Frame, pack
from factflow_engine.runtime.context import MessageContext
from factflow_engine.runtime.emission import EXHAUSTED, Emission, emission_of
from factflow_engine.runtime.lane import Child, Cycle, Family, Lane, Outlet
from factflow_engine.runtime.report import HeldMessage, Outcome
from factflow_engine.runtime.stage import Stage
from factflow_engine.seams import Clock
from factflow_protocols import AdapterResult, QueueFullError

MAX_TURNS: Final = 4096
"""How many messages a worker takes before it yields even if the clock says that no time has passed."""

DETACHED: Final = Family(Frame.create(b"\xc0", message_id=bytes(16)), None)
"""The family of messages that come from no queue and no parent: what stateful stages say at the end."""

FORWARD: Final = AdapterResult.forward()


class UnroutedError(Exception):
    """No outbound's condition held, and the route says that such a message fails."""

    def __init__(self) -> None:
        super().__init__("no outbound took the message and the route has `unrouted: fail`")


class Worker:
    """What one worker is doing, for those who ask who holds what."""

    __slots__ = ("context", "lane", "since_ns")

    def __init__(self) -> None:
        self.lane: Lane | None = None
        self.context: MessageContext | None = None
        self.since_ns = 0


class Loop:
    """Carries the messages of one execution. Owned by its orchestrator, whose nursery the workers run in."""

    def __init__(
        self,
        lanes: Sequence[Lane],
        *,
        clock: Clock,
        quantum_ns: int,
        on_failure: Callable[[Lane, Stage | None, Frame, bytes, Exception], None],
        on_death: Callable[[Lane | None, BaseException], None],
    ) -> None:
        self._lanes = tuple(lanes)
        self._now = clock.monotonic_ns
        self._quantum_ns = quantum_ns  # how long a worker goes on before the program's other tasks get their turn
        self._on_failure = on_failure
        self._on_death = on_death
        self._ready: deque[Lane] = deque()
        self._workers: list[Worker] = []
        self._parked: list[trio.lowlevel.Task] = []  # a stack: the worker that ran last runs next
        self._nursery: trio.Nursery | None = None
        self._max_workers = sum(lane.limit for lane in lanes)
        self._at_work = False  # a worker's own code is running now and will look at the ready list after it
        self._waking = False  # a worker was woken or started and has not run yet
        self._yielding = 0  # workers that gave trio its turn and will go on
        self._stopped = False
        self._idle = trio.lowlevel.ParkingLot()
        for lane in lanes:
            lane.notify = self._notifier(lane)
            lane.inbox.listeners.append(lane.notify)

    # -- what the orchestrator and routes call ---------------------------------------------------------------------

    def start(self, nursery: trio.Nursery) -> None:
        """Begin to take messages; workers are started in this nursery as they are needed."""
        self._nursery = nursery
        for lane in self._lanes:
            lane.notify()

    def stop(self) -> None:
        """Take and wake no more; what children still waited are given up with their parents."""
        self._stopped = True
        for lane in self._lanes:
            if lane.notify in lane.inbox.listeners:
                lane.inbox.listeners.remove(lane.notify)
            for outlet in lane.outlets:
                for channel in outlet.channels:
                    if lane.notify in channel.watchers:
                        channel.watchers.remove(lane.notify)
            while lane.children:
                child = lane.children.popleft()
                self._interrupt(lane, child.frame, child.family)

    def pause(self, lane: Lane, reason: str) -> None:
        """Take nothing more from this lane until every reason is resumed; what is in flight goes on."""
        lane.pauses.add(reason)

    def resume(self, lane: Lane, reason: str) -> None:
        """Withdraw a reason; unknown ones do nothing."""
        lane.pauses.discard(reason)
        if not lane.pauses:
            lane.notify()

    def inject(self, lane: Lane, frame: Frame, index: int, result: AdapterResult) -> None:
        """Go on with what the stage at `index` said at the end, as if it had said it of a message."""
        lane.received += 1
        lane.children.append(Child(frame, None, index, DETACHED, result))
        lane.notify()

    @property
    def is_idle(self) -> bool:
        """Whether no lane has anything waiting or in flight."""
        return all(lane.is_idle for lane in self._lanes)

    async def wait_idle(self) -> None:
        """Return when nothing waits and nothing is in flight; new messages may change that at any time."""
        await trio.lowlevel.checkpoint()
        while not self.is_idle:
            await self._idle.park()

    async def wait_quiet(self) -> None:
        """Return when nothing is in flight, whatever waits; for lanes that are paused."""
        await trio.lowlevel.checkpoint()
        while any(lane.in_flight for lane in self._lanes):
            await self._idle.park()

    def held(self) -> tuple[HeldMessage, ...]:
        """What is in adapters now, and for how long."""
        now = self._now()
        return tuple(
            HeldMessage(
                route=worker.context.route,
                stage=worker.context.stage,
                message_id=worker.context.message_id,
                seconds=(now - worker.since_ns) / 1e9,
            )
            for worker in self._workers
            if worker.context is not None
        )

    # -- waking ----------------------------------------------------------------------------------------------------

    def _notifier(self, lane: Lane) -> Callable[[], None]:
        def notify() -> None:
            self._list(lane)
            if lane.drivers:
                self._wake_drivers(lane)
            if not self._at_work and not self._waking:
                self._wake()

        return notify

    def _list(self, lane: Lane) -> None:
        if not lane.listed:
            lane.listed = True
            self._ready.append(lane)

    def _wake(self) -> None:
        if self._stopped or self._nursery is None:
            return
        if self._parked:
            self._waking = True
            trio.lowlevel.reschedule(self._parked.pop())
        elif len(self._workers) < self._max_workers:
            self._waking = True
            worker = Worker()
            self._workers.append(worker)
            self._nursery.start_soon(self._run_worker, worker)

    def _wake_drivers(self, lane: Lane) -> None:
        while lane.drivers:
            trio.lowlevel.reschedule(lane.drivers.popleft())

    # -- workers ---------------------------------------------------------------------------------------------------

    @trio.lowlevel.enable_ki_protection
    async def _run_worker(self, worker: Worker) -> None:
        try:
            await self._work(worker)
        except trio.Cancelled:
            raise
        except BaseException as error:  # noqa: BLE001 - what kills a worker must fail its route, not vanish
            cancelled, fault = error.split(trio.Cancelled) if isinstance(error, BaseExceptionGroup) else (None, error)
            if fault is not None:
                self._on_death(worker.lane, fault)
            if cancelled is not None:
                raise cancelled from None
        finally:
            self._workers.remove(worker)
            self._at_work = False

    async def _work(self, worker: Worker) -> None:
        now = self._now
        self._waking = False
        # A worker that is started while everything is being cancelled must not take what others have just given back.
        await trio.lowlevel.checkpoint_if_cancelled()
        self._at_work = True
        turns, time = MAX_TURNS, now()
        until = time + self._quantum_ns
        while True:
            lane = self._next_lane()
            if lane is None:
                await self._park()
                turns, time = MAX_TURNS, now()
                until = time + self._quantum_ns
                continue
            worker.lane = lane
            worker.since_ns = time
            if lane.children:
                child = lane.children.popleft()
                frame, headers, index = child.frame, child.headers, child.index
                family, result = child.family, child.result
            else:
                frame, headers, index, family, result = lane.inbox.take(), None, 0, None, None
                lane.received += 1
            lane.busy += 1
            if lane.children or lane.inbox.ready:
                self._list(lane)
            try:
                await self._run(worker, lane, frame, headers, index, family, result)
            finally:
                worker.context = None
                lane.busy -= 1
                self._after(lane)
            turns -= 1
            time = now()
            if time > until or not turns:
                await self._yield()
                turns, time = MAX_TURNS, now()
                until = time + self._quantum_ns

    def _next_lane(self) -> Lane | None:
        ready = self._ready
        while ready:
            lane = ready.popleft()
            lane.listed = False
            if lane.runnable():
                return lane
        return None

    def _after(self, lane: Lane) -> None:
        """A permit came back: whoever waited for it, or for what it reserved, is asked again."""
        if lane.children or lane.inbox.ready:
            self._list(lane)
        if lane.drivers:
            self._wake_drivers(lane)
        if lane.cycle is not None:
            self._relieve(lane.cycle)

    def _relieve(self, cycle: Cycle) -> None:
        """If the cycle is stuck, let those who wait in it look again; `runnable` then says yes to one of them."""
        if cycle.is_stuck():
            for member in cycle.lanes:
                if member.has_work or member.drivers:
                    member.notify()

    def _wake_backup(self) -> None:
        """Called before anything that may suspend: somebody else takes what remains."""
        if self._ready and not self._waking:
            self._wake()
        self._at_work = False

    async def _park(self) -> None:
        """Wait, holding nothing, until there is work."""
        task = trio.lowlevel.current_task()
        parked = self._parked

        def abort(_: Any) -> trio.lowlevel.Abort:
            if task in parked:
                parked.remove(task)
            return trio.lowlevel.Abort.SUCCEEDED

        while True:
            self._at_work = False
            parked.append(task)
            if self._idle and not any(lane.in_flight for lane in self._lanes):
                self._idle.unpark_all()
            await trio.lowlevel.wait_task_rescheduled(abort)
            self._waking, self._at_work = False, True
            # A worker that merely yielded will go on by itself: two would only double the time between yields.
            if self._ready and not self._yielding:
                return

    async def _yield(self) -> None:
        self._at_work = False
        self._yielding += 1
        try:
            await trio.lowlevel.checkpoint()
        finally:
            self._yielding -= 1
        self._at_work = True

    # -- one message -----------------------------------------------------------------------------------------------

    async def _run(
        self,
        worker: Worker,
        lane: Lane,
        frame: Frame,
        headers: Mapping[str, Any] | None,
        index: int,
        family: Family | None,
        result: AdapterResult | None,
    ) -> None:
        """Carry one message from a stage to its end. Raises only what interrupts it, after giving it back."""
        stages, payload = lane.stages, frame.payload
        stage: Stage | None = stages[index] if result is not None else None
        outcome: Outcome | None = None  # stays None for a message that emits
        try:
            while True:
                if result is None:
                    if index == len(stages):
                        stage = None
                        outcome = self._publish(lane, frame, payload, headers)
                        break
                    stage = stages[index]
                    if stage.condition is not None and not stage.condition.matches(payload):
                        lane.skipped += 1
                        index += 1
                        continue
                    if stage.stateful is not None:
                        stage.touched = True
                    worker.context = context = MessageContext(frame, payload, headers, stage)
                    self._wake_backup()
                    result = await stage.call(context)
                    self._at_work = True
                    if result is None:
                        outcome = Outcome.FILTERED
                        break
                if result is not FORWARD:
                    if type(result) is not AdapterResult:
                        raise TypeError(_not_a_result(result))
                    if result.headers is not None:
                        headers = _merged(frame.headers if headers is None else headers, result.headers)
                    if result.emitted is not None:
                        break
                    payload = pack(result.message)
                index += 1
                result = None
        except Exception as error:  # noqa: BLE001 - whatever an adapter raises fails its message and nothing else
            self._at_work = True
            self._on_failure(lane, stage, frame, payload, error)
            outcome = Outcome.FAILED
        except BaseException:
            self._at_work = True
            self._interrupt(lane, frame, family)
            raise
        if outcome is not None:
            self._end(lane, family, outcome)
        elif stage is not None and result is not None:
            await self._fan_out(worker, lane, frame, headers, index, family, stage, result)

    def _publish(self, lane: Lane, frame: Frame, payload: bytes, headers: Mapping[str, Any] | None) -> Outcome:
        """Append the message to every outlet that takes it: all of them, or none and an exception."""
        chosen: list[tuple[Outlet, Frame]] = []
        for outlet in lane.outlets:
            if outlet.condition is None or outlet.condition.matches(payload):
                chosen.append((outlet, frame.child(outlet.label, 0, payload=payload, headers=headers)))
                if lane.first_only:
                    break
        if not chosen:
            if not lane.outlets:
                return Outcome.COMPLETED
            if lane.unrouted_fails:
                raise UnroutedError
            return Outcome.FILTERED
        for outlet, _ in chosen:
            for channel in outlet.channels:
                if not channel.listeners and channel.is_full:
                    raise QueueFullError(
                        outlet.queue, f"holds {len(channel.ready)} messages, which is its capacity, and nobody reads it"
                    )
        for outlet, child in chosen:
            for channel in outlet.channels:
                channel.append(child)
        lane.emitted += len(chosen)
        return Outcome.COMPLETED

    # -- endings ---------------------------------------------------------------------------------------------------

    def _end(self, lane: Lane, family: Family | None, outcome: Outcome) -> None:
        """Book an outcome and settle: the queue's message is acknowledged, a child's parent is told."""
        lane.count(outcome)
        if family is None:
            lane.inbox.unsettled -= 1
        elif family is not DETACHED:
            family.open -= 1
            self._end_family(lane, family)

    def _interrupt(self, lane: Lane, frame: Frame, family: Family | None) -> None:
        """Un-begin a message: it goes back to its queue, or takes its parent back with it."""
        lane.received -= 1
        if family is None:
            lane.inbox.give_back(frame)
        elif family is not DETACHED:
            family.open -= 1
            family.interrupted = True
            self._end_family(lane, family)

    def _end_family(self, lane: Lane, family: Family) -> None:
        """End the parent if nothing of it is left to do."""
        if family.open or not family.exhausted:
            return
        if family.interrupted:
            self._interrupt(lane, family.frame, family.above)
        elif family.error is not None:
            error, stage = family.error
            self._on_failure(lane, stage, family.frame, family.frame.payload, error)
            self._end(lane, family.above, Outcome.FAILED)
        else:
            self._end(lane, family.above, Outcome.COMPLETED)

    # -- fan-out ---------------------------------------------------------------------------------------------------

    async def _fan_out(
        self,
        worker: Worker,
        lane: Lane,
        frame: Frame,
        headers: Mapping[str, Any] | None,
        index: int,
        above: Family | None,
        stage: Stage,
        result: AdapterResult,
    ) -> None:
        """Drive what a stage emitted: pull a child when there is room for it, hand it on or run it.

        Does not wait for the children that other workers run: the last of them to end ends the parent.
        """
        family = Family(frame, above)
        emission: Emission | None = None
        ordinal = 0
        parent = worker.context
        try:
            until = self._now() + self._quantum_ns
            emission = emission_of(result.emitted, stage)
            while True:
                if lane.pauses or not lane.has_room(lane.busy - len(lane.drivers) - 1):
                    await self._wait_for_room(lane)
                self._wake_backup()
                value = await emission.pull()
                self._at_work = True
                if value is EXHAUSTED:
                    break
                child = frame.child(stage.label, ordinal, payload=pack(value), headers=headers)
                ordinal += 1
                family.open += 1
                lane.received += 1
                if lane.busy + len(lane.children) < lane.limit and not lane.pauses:
                    lane.children.append(Child(child, None, index + 1, family))
                    self._list(lane)
                else:
                    await self._run(worker, lane, child, None, index + 1, family, None)
                    worker.context = parent
                if self._now() > until:
                    await self._yield()
                    until = self._now() + self._quantum_ns
        except Exception as error:  # noqa: BLE001 - what a source raises fails its parent, whatever it is
            self._at_work = True
            family.error = (error, stage)
        except BaseException:
            family.interrupted = True
            raise
        finally:
            await self._end_emission(lane, family, stage, emission)

    async def _end_emission(self, lane: Lane, family: Family, stage: Stage, emission: Emission | None) -> None:
        try:
            if emission is not None:
                self._wake_backup()
                await emission.close()
        except Exception as error:  # noqa: BLE001 - the source's clean-up is part of the source
            family.error = family.error or (error, stage)
        except BaseException:
            family.interrupted = True
            raise
        finally:
            self._at_work = True
            family.exhausted = True
            self._end_family(lane, family)

    async def _wait_for_room(self, lane: Lane) -> None:
        """Wait, as a driver, until a child of this lane has somewhere to go."""
        task = trio.lowlevel.current_task()

        def abort(_: Any) -> trio.lowlevel.Abort:
            if task in lane.drivers:
                lane.drivers.remove(task)
            return trio.lowlevel.Abort.SUCCEEDED

        while lane.pauses or not lane.has_room(lane.busy - len(lane.drivers) - 1):
            lane.drivers.append(task)
            if lane.cycle is not None and lane.cycle.is_stuck():
                if not lane.cycle.has_taker():
                    lane.drivers.remove(task)
                    return  # nobody else can move: this one goes over the capacity
                for member in lane.cycle.lanes:
                    if member.has_work:
                        self._list(member)
            self._wake_backup()
            await trio.lowlevel.wait_task_rescheduled(abort)
            self._at_work = True


def _merged(headers: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in {**headers, **changes}.items() if value is not None}


def _not_a_result(value: object) -> str:
    return (
        f"process() returned {type(value).__name__}; expected AdapterResult or None: "
        "return AdapterResult(message=...), AdapterResult(emitted=[...]) or AdapterResult.forward()"
    )
