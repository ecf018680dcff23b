"""A simulated run while it goes on: processes of the execution, their crashes, and the outside.

Kept separate from `run`, which checks arguments and makes the report, and from the worlds of queues: this module only
lets processes live and die, publishes inputs, and gathers what a report needs.
"""

import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from typing import Any, Final

import trio
import trio.testing

from factflow_engine.config import PipelineGlobalConfig
from factflow_engine.config.graph import build_graph
from factflow_engine.errors import ExecutionClosedError, ExecutionStartError
from factflow_engine.frames import Frame, unpack
from factflow_engine.queues.naming import is_topic
from factflow_engine.runtime.execution.manager import OrchestratorManager
from factflow_engine.runtime.execution.orchestrator import PipelineOrchestrator
from factflow_engine.runtime.execution.redaction import Redaction
from factflow_engine.runtime.report import ExecutionReport, ExecutionStatus
from factflow_engine.runtime.transport.frame_factory import FrameFactory
from factflow_engine.seams import Seams
from factflow_engine.testing.simulation.assertions import Assertions, RoundPolling
from factflow_engine.testing.simulation.dead_tasks import abandon_run
from factflow_engine.testing.simulation.endings import Ending, Endings
from factflow_engine.testing.simulation.faults import (
    FailStorage,
    Fault,
    FaultRates,
    PowerCut,
    SkewClock,
    StepClock,
)
from factflow_engine.testing.simulation.faulty_storage import FaultyStorage, StorageFaults
from factflow_engine.testing.simulation.hooks import Nowhere, ProcessHooks
from factflow_engine.testing.simulation.inputs import Input
from factflow_engine.testing.simulation.limit_notes import LimitNotes, has_moving_limits
from factflow_engine.testing.simulation.oracle import Broken, unbalanced
from factflow_engine.testing.simulation.outside_waits import REMEDY, ThreadPolling, outside_waits
from factflow_engine.testing.simulation.process_seams import ProcessClock, seams_of_process
from factflow_engine.testing.simulation.processes import CRASHED, SimulatedProcess, SimulatedProcesses
from factflow_engine.testing.simulation.report import Output
from factflow_engine.testing.simulation.run_clock import (
    MOST_READINGS,
    MOST_READINGS_OF_AN_INPUT,
    MOST_WORK,
    MOST_WORK_OF_AN_INPUT,
    RunClock,
)
from factflow_engine.testing.simulation.settings import LONGEST_SECONDS, RunSettings
from factflow_engine.testing.simulation.staging import Staging
from factflow_engine.testing.simulation.trace import TraceLog
from factflow_engine.testing.simulation.worlds import EXECUTION_ID, World, world_of
from factflow_engine.testing.virtual_time import SimulatedRandomness, Simulation
from factflow_protocols import ExecutionStarts, QueueError, QueueMessage, StorageError, StorageProtocol

RESTART_SECONDS: Final = 1.0
"""Seconds after which a process whose execution has failed by a fault is started again."""

GRACE_SECONDS: Final = 600.0
"""Virtual seconds for which a run that is stopped waits for the ends of its executions."""

LIVELOCK_GRACE_SECONDS: Final = 5.0
"""The same where time passes only as the clock is read, some thousand times a second."""

_MOST_HELD: Final = 5
_MANY_RETRIES: Final = 100


class Run:
    """One run: `main` plays it, and what it has gathered is read afterwards.

    Attributes:
        virtual: Clock of its trio run.
        trace: Its trace.
        assertions: Judge of what its code asserts.
        staging: Changes of its stages.
        counted: Numbers of breakers' openings, of cancellations and of crashes.
        executions: Reports of the executions that have ended.
        outputs: Messages that have left, by queue.
        left: Their ids, and those of their parents, by queue.
        accepted: Ids of the messages that were published from outside, by route.
        broken: What did not hold so far.
        config: The configuration as it is run, without stores outside.
        has_ended: True if every process has completed.
        is_abandoned: True if it could not be ended: trio's run has raised, and its tasks are kept as they were.
        seconds: Virtual time of the end.
    """

    def __init__(self, settings: RunSettings) -> None:
        config = settings.config
        self._settings = settings
        self.virtual: Final = trio.testing.MockClock(autojump_threshold=0)
        simulation = Simulation(settings.seed, self.virtual)
        self._simulation = simulation
        most_readings = (settings.most_readings or MOST_READINGS) + MOST_READINGS_OF_AN_INPUT * len(settings.inputs)
        self._clock = clock = RunClock(
            self.virtual,
            stands=self._livelocked,
            most=most_readings,
            goes_on=self._goes_on,
            most_work=(settings.most_work or MOST_WORK) + MOST_WORK_OF_AN_INPUT * len(settings.inputs),
        )
        self._wrong_clocks = [fault for fault in settings.faults if isinstance(fault, (StepClock, SkewClock))]
        self.trace: Final = TraceLog(clock)
        if config.secrets:
            self.trace.hide(Redaction(config))
        self.assertions: Final = Assertions(now=self._now)
        self.counted: Final[Counter[str]] = Counter()
        self.staging: Final = Staging(
            settings.models,
            settings.faults,
            seed=settings.seed,
            clock=clock,
            trace=self.trace,
            stages=settings.stages,
        )
        self.executions: Final[list[ExecutionReport]] = []
        self.outputs: Final[dict[str, list[Output]]] = {}
        self.left: Final[dict[str, set[bytes]]] = {}
        self.accepted: Final[dict[str, list[bytes]]] = {route: [] for route in config.routes}
        self.broken: Final[list[Broken]] = []
        self.has_ended = False
        self.is_abandoned = False
        self.seconds = 0.0
        self.config: Final = _detached(config)
        self._frames = FrameFactory(replace(simulation.seams, clock=clock))
        self._storage_faults = StorageFaults(
            settings.faults,
            randomness=SimulatedRandomness(f"{settings.seed}, storage"),
            seconds=self._now,
            note=lambda key, fault: self.trace.note("! fault", f"{fault!r} of {key}"),
        )
        self._endings = Endings(settings.faults, settings.seed)
        self._fed = trio.Event()
        self._subscribed = trio.Event()
        self._stop = trio.Event()
        self._livelock = trio.Event()
        self._asked_ns: int | None = None
        self._live: dict[int, PipelineOrchestrator] = {}
        self._completed: set[int] = set()
        self._cut: list[PowerCut] = []
        self._files: Final = ExitStack()
        self._world: World
        self._processes: SimulatedProcesses
        self._fired_before: dict[int, int] = {}
        self._failures: dict[int, str | None] = {}

    @property
    def fired(self) -> list[Fault]:
        """Faults that have happened, none of them a rate."""
        return [
            *self._world.fired,
            *self.staging.fired,
            *self._endings.fired,
            *self._storage_faults.fired,
            *self._wrong_clocks,
        ]

    # -- in trio ----------------------------------------------------------------------------------------------------

    async def main(self) -> None:
        """Run the execution to its end, or until it is stopped."""
        trio.lowlevel.add_instrument(RoundPolling(self.assertions))
        trio.lowlevel.add_instrument(ThreadPolling(self._waits_outside))
        if has_moving_limits(self.config):
            trio.lowlevel.add_instrument(LimitNotes(lambda: self._live, self.trace))
        settings = self._settings
        with self._files:
            self._world = self._files.enter_context(
                world_of(settings.queue, self._simulation, settings.faults, self.trace)
            )
            await self._play()

    def remove_files(self) -> None:
        """Remove the files of a run that is abandoned, of which `main` never ends."""
        self._files.close()

    async def _play(self) -> None:
        async with trio.open_nursery() as outside:
            await self._world.open(outside, _leaving(self.config), self._have_left)
            async with SimulatedProcesses() as processes, trio.open_nursery() as helpers:
                self._processes = processes
                helpers.start_soon(self._stop_in_time, processes)
                if self._world.outlives_processes:
                    helpers.start_soon(self._feed_world)
                async with trio.open_nursery() as lives:
                    for number in range(self._settings.processes):
                        lives.start_soon(self._lives_of, processes, number)
                        for rates in self._endings.rates:
                            helpers.start_soon(self._end_at_random, processes, number, rates)
                    for ending in self._endings.timed:
                        helpers.start_soon(self._end_at, processes, ending)
                self.has_ended = len(self._completed) == self._settings.processes
                for number, error in self._failures.items():
                    if error is not None and number not in self._completed:
                        self.broken.append(Broken(name="executions complete", text=f"process {number} failed: {error}"))
                helpers.cancel_scope.cancel()
            self.seconds = self._now()
            await self._world.close()
            outside.cancel_scope.cancel()

    async def _lives_of(self, processes: SimulatedProcesses, number: int) -> None:
        """Let a process live, and start it again after each crash and cancellation, as its plan says."""
        for life in itertools.count():
            crash_step, cancel_step = self._endings.steps_of(number, life)
            result = await processes.run(
                number, partial(self._life, number), crash_step=crash_step, cancel_step=cancel_step
            )
            self._live.pop(number, None)
            if result is not CRASHED and not result.was_cancelled:
                if number in self._completed or not self._failed_by_a_fault(number):
                    return
                restart_after: float | None = RESTART_SECONDS
            else:
                if result is not CRASHED:
                    self._died(number, "cancelled")
                restart_after = self._endings.restart_after(number)
            if self._stop.is_set() or restart_after is None:
                return
            with trio.move_on_after(restart_after):
                await self._stop.wait()
                return

    async def _life(self, number: int, process: SimulatedProcess) -> None:
        seams = self._world.seams(self._seams_of(process))
        queue, die = self._world.connect(number, seams)
        process.on_death += [die, partial(self._crashed, process)]
        first = self._asked_ns is None
        if first and isinstance(queue, ExecutionStarts):
            self._asked_ns = queue.instant_ns()
        execution: PipelineOrchestrator | None = None
        try:
            async with OrchestratorManager(
                registry=self._settings.registry,
                operators=self._settings.operators,
                queue=queue,
                storage=self._storage(seams),
                lineage=Nowhere(),
                seams=replace(
                    seams,
                    hooks=ProcessHooks(number, self.trace, self.counted, hashes_payloads=self._settings.hashes),
                    around_call=partial(self.staging.around, number),
                ),
            ) as manager:
                # One that is started again was asked for at the beginning: it resumes what has ended meanwhile.
                execution = await manager.start(self.config, execution_id=EXECUTION_ID, asked_ns=self._asked_ns)
                self._live[number] = execution
                if execution.status is ExecutionStatus.RUNNING:  # else it may have failed before it subscribed
                    self._subscribed.set()
                self.trace.note("> started", process=number)
                async with trio.open_nursery() as feeding:
                    feeding.start_soon(self._complete, execution)
                    await execution.wait_ended()  # it may fail before all is published
                    feeding.cancel_scope.cancel()
            if self._world.outlives_processes:
                await queue.stop()
        except (QueueError, StorageError, ExecutionStartError) as error:
            if execution is not None or not self._settings.faults:
                raise
            self._failures[number] = f"{type(error).__name__}: {error}"
            self.trace.note("> not started", self._failures[number] or "", process=number)
        finally:
            if execution is not None and execution.report is not None and not process.is_dead:
                self._ended(execution.report, number)

    async def _stop_in_time(self, processes: SimulatedProcesses) -> None:
        until = self._settings.until
        if until is None:
            times = [each.at for each in self._settings.inputs] + [self._endings.last]
            until = max(times) + self._settings.patience
        with trio.move_on_at(until):
            await self._stop.wait()
        is_late = not self._stop.is_set()
        self._stop.set()
        self.trace.note("> stopped")
        async with trio.open_nursery() as nursery:
            for number, execution in self._live.items():
                if is_late and self._settings.until is None:
                    self.broken.append(self._unended(number, execution))
                nursery.start_soon(execution.cancel)
            await self._wait_for_ends(GRACE_SECONDS)
            for process in processes.running:
                process.cancel()
            await self._wait_for_ends(LONGEST_SECONDS)  # a stage may be shielded for long
            self._abandon()

    async def _wait_for_ends(self, seconds: float) -> None:
        with trio.move_on_after(seconds):
            await self._livelock.wait()
            await trio.sleep(LIVELOCK_GRACE_SECONDS)

    def _abandon(self) -> None:
        """Leave a run that goes on whatever cancels it; this task takes no further step."""
        held = [each for execution in self._live.values() for each in execution.statistics().held[:_MOST_HELD]]
        named = "; ".join(f"{each.route}/{each.stage} goes on with {each.message_id}" for each in held)
        text = f"{named or 'something goes on'} although it was cancelled: let `trio.Cancelled` pass, and bound what is shielded from it"
        self.broken.append(Broken(name="everything ends", text=text, at=self._now()))
        self.is_abandoned, self.seconds = True, self._now()
        abandon_run()

    def _seams_of(self, process: SimulatedProcess) -> Seams:
        seams = seams_of_process(self._simulation, process.number, life=process.life)
        if not self._wrong_clocks:
            return replace(seams, clock=self._clock)
        return replace(seams, clock=ProcessClock(self._clock, process.number, self._wrong_clocks))

    def _storage(self, seams: Seams) -> StorageProtocol:
        storage = self._world.storage(seams)
        fails = any(
            isinstance(fault, FailStorage) or (isinstance(fault, FaultRates) and fault.fail_storage)
            for fault in self._settings.faults
        )
        return FaultyStorage(storage, self._storage_faults) if fails else storage

    # -- the outside ------------------------------------------------------------------------------------------------

    async def _complete(self, execution: PipelineOrchestrator) -> None:
        """Let an execution end once all inputs are published."""
        if self._world.outlives_processes:
            await self._fed.wait()
        else:
            await self._feed(execution)
        execution.let_complete()

    async def _feed(self, execution: PipelineOrchestrator) -> None:
        for route, together in _together(self._settings.inputs):
            frames = await self._made(together)
            try:
                await execution.publish_frames(route, frames)
            except ExecutionClosedError as error:
                self.trace.note("> refused", str(error), route=route)
                return
            self.accepted[route] += [frame.message_id for frame in frames]

    async def _feed_world(self) -> None:
        for route, together in _together(self._settings.inputs):
            queue, frames = self.config.routes[route].inbound.queue, await self._made(together)
            if is_topic(queue):
                await self._subscribed.wait()  # a topic keeps nothing for subscriptions to come
            for frame in frames:
                await self._world.publish(queue, frame)
                self.accepted[route].append(frame.message_id)
        self._fed.set()

    async def _made(self, together: Sequence[Input]) -> list[Frame]:
        """Wait until the time of inputs has come, and return their frames."""
        if together[0].at > self._now():
            await trio.sleep_until(together[0].at)
        frames = [self._frames.frame(each.payload, each.headers, each.key) for each in together]
        self.trace.gather()
        for each, frame in zip(together, frames, strict=True):
            self.trace.note("> published", repr(each.payload), route=each.route, message_id=frame.message_id)
        return frames

    def _have_left(self, queue: str, messages: Sequence[QueueMessage], at: float) -> None:
        self.trace.note_messages("< left", queue, messages)
        ids = self.left.setdefault(queue, set())
        outputs = self.outputs.setdefault(queue, [])
        for message in messages:
            message_id = message.message_id
            ids.add(message_id)
            if message.parent_id is not None:
                ids.add(message.parent_id)
            payload, headers = unpack(message.payload), dict(message.headers)
            outputs.append(Output(at, payload, message.key, headers, message_id.hex()))

    # -- ends of processes --------------------------------------------------------------------------------------------

    async def _end_at(self, processes: SimulatedProcesses, ending: Ending) -> None:
        assert ending.at is not None, "it has a time"
        await trio.sleep_until(ending.at)
        self._end(processes, ending)

    async def _end_at_random(self, processes: SimulatedProcesses, number: int, rates: Any) -> None:
        for delay, ending in self._endings.drawn(number, rates, self._now):
            await trio.sleep(delay)
            if rates.until is not None and self._now() > rates.until:
                return
            if number in self._live:
                self._end(processes, replace(ending, at=self._now()))

    def _end(self, processes: SimulatedProcesses, ending: Ending) -> None:
        for process in processes.running:
            if process.is_cancelled and not self._endings.crashes(ending):
                continue  # it ends by another one
            if self._endings.ends(ending, process.number):
                if self._endings.crashes(ending):
                    processes.crash_nowait(process.number)
                else:
                    process.cancel()

    def _crashed(self, process: SimulatedProcess) -> None:
        if process.is_cancelled:
            self._endings.happened(process.number, crashed=False)  # it was about to end
        self._died(process.number, "crashed")

    def _died(self, number: int, how: str) -> None:
        """Note that a process has died, or was cancelled."""
        fault = self._endings.happened(number, crashed=how == "crashed")
        self.counted[how] += 1
        self._live.pop(number, None)
        self.staging.process_died(number)
        if how == "crashed":
            self.trace.leave(number)
        if isinstance(fault, PowerCut):
            self._cut_power(fault)
        self.trace.note("! " + how, "" if fault is None else repr(fault), process=number)

    def _cut_power(self, fault: PowerCut) -> None:
        """Let all processes die with the first that has died of a power cut, and then their files."""
        if fault in self._cut:
            return
        self._cut.append(fault)
        for process in self._processes.running:
            self._endings.ends(fault, process.number)
            self._processes.crash_nowait(process.number)
        self._world.cut_power()
        self.trace.note("! power cut")

    def _failed_by_a_fault(self, number: int) -> bool:
        """True if faults have happened since the last failure of the process, and messages outlive it."""
        fired = len(self.fired)
        before, self._fired_before[number] = self._fired_before.get(number, 0), fired
        return self._world.outlives_processes and fired > before

    def _livelocked(self) -> None:
        text = (
            "work goes round without end and without time: a circle of routes, retries without a delay, "
            "or a stage that polls, or goes on after it was cancelled"
        )
        self.broken.append(Broken(name="time passes", text=text, at=self._now()))
        self._stop.set()
        self._livelock.set()

    def _goes_on(self) -> None:
        if self._settings.until is not None or not _may_go_round(self.config):
            return  # it has an end, though it is far away
        text = "work goes on without end: a circle of routes, or a message that is tried again and again; for a run that is to take so long, write until="
        self.broken.append(Broken(name="everything ends", text=text, at=self._now()))
        self._stop.set()

    def _waits_outside(self, waits: list[str]) -> None:
        text = "; ".join([*waits, REMEDY])
        self.broken.append(Broken(name="nothing waits outside", text=text, at=self._now()))
        self._stop.set()

    # -- what is noted ------------------------------------------------------------------------------------------------

    def _now(self) -> float:
        return self.virtual.current_time()

    def _ended(self, report: ExecutionReport, number: int) -> None:
        self.executions.append(report)
        self.broken.extend(unbalanced(report))
        if report.status is ExecutionStatus.COMPLETED:
            self._completed.add(number)
        self._failures[number] = report.error if report.status is ExecutionStatus.FAILED else None
        text = str(report.status) + (f": {report.error}" if report.error else "")
        self.trace.note("> ended", text, process=number)

    def _unended(self, number: int, execution: PipelineOrchestrator) -> Broken:
        statistics = execution.statistics()
        held = [
            f"{each.route}/{each.stage} holds {each.message_id} for {each.seconds:.0f} s ({each.by})"
            for each in statistics.held[:_MOST_HELD]
        ]
        waits = [str(wait) for wait in statistics.waits[:5]]
        outside = outside_waits()
        what = "; ".join([*statistics.stalled, *waits, *held, *outside, *([REMEDY] if outside else [])])
        return Broken(
            name="everything ends",
            text=f"process {number} had not ended {self._settings.patience:g} s after the last input and fault: {what or 'nothing is held'}",
            at=self._now(),
        )


def _may_go_round(config: PipelineGlobalConfig) -> bool:
    retries = [route.error_handling.max_retries for route in config.routes.values()]
    return bool(build_graph(config).cycles) or max(retries, default=0) > _MANY_RETRIES


def _together(inputs: Sequence[Input]) -> Iterator[tuple[str, list[Input]]]:
    """Yield the inputs that follow each other, at one time, to one route."""
    for (route, _), group in itertools.groupby(inputs, key=lambda each: (each.route, each.at)):
        yield route, list(group)


def _leaving(config: PipelineGlobalConfig) -> list[str]:
    """Return the queues that no route reads, and messages leave through."""
    read = {route.inbound.queue for route in config.routes.values()}
    named = [
        queue
        for route in config.routes.values()
        for queue in (*(outbound.queue for outbound in route.outbound), route.error_handling.dead_letter_queue)
    ]
    return [queue for queue in dict.fromkeys(named) if queue is not None and queue not in read]


def _detached(config: PipelineGlobalConfig) -> PipelineGlobalConfig:
    """Return the configuration without stores and receivers outside."""
    update: dict[str, Any] = {}
    if config.storage is not None and config.storage.url is not None:
        update["storage"] = config.storage.model_copy(update={"url": None})
    if config.lineage is not None and (config.lineage.url is not None or config.lineage.openlineage is not None):
        update["lineage"] = config.lineage.model_copy(update={"url": None, "openlineage": None})
    return config.model_copy(update=update) if update else config
