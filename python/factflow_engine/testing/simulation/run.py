"""A simulated run: the whole engine in one trio run, in virtual time, as a function of its arguments.

Each part has a module of its own: what is published (`inputs`), what goes wrong (`faults`), how stages behave (`staging`),
what is noted (`trace`), what must hold (`oracle`), what comes out (`report`). This one runs executions in processes.
"""

import gc
import math
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final

import trio
import trio.testing

from factflow_engine.adapters import ValidatingAdapterRegistry
from factflow_engine.conditions import OperatorRegistry
from factflow_engine.config import PipelineGlobalConfig
from factflow_engine.errors import ExecutionClosedError
from factflow_engine.frames import unpack
from factflow_engine.queues.memory import MemoryQueue
from factflow_engine.resilience.circuit_events import CircuitEvent
from factflow_engine.resilience.circuit_state import CircuitState
from factflow_engine.runtime.execution.manager import OrchestratorManager
from factflow_engine.runtime.execution.orchestrator import PipelineOrchestrator
from factflow_engine.runtime.report import ExecutionReport, ExecutionStatus
from factflow_engine.runtime.transport.frame_factory import FrameFactory
from factflow_engine.runtime.transport.scoped_queue import ExecutionScopedQueue
from factflow_engine.storages.memory import MemoryStorage
from factflow_engine.testing.schedule import Schedule, scheduled
from factflow_engine.testing.simulation.errors import SimulationError
from factflow_engine.testing.simulation.faults import Fault
from factflow_engine.testing.simulation.inputs import Input, inputs_of
from factflow_engine.testing.simulation.loading import load_for_simulation
from factflow_engine.testing.simulation.models import StageChange
from factflow_engine.testing.simulation.oracle import Broken, Conservation, unbalanced
from factflow_engine.testing.simulation.report import Output, SimulationCounts, SimulationReport
from factflow_engine.testing.simulation.staging import Call, Staging
from factflow_engine.testing.simulation.trace import Trace, TraceLog
from factflow_engine.testing.virtual_time import SimulatedClock, Simulation
from factflow_protocols import QueueClosedError, QueueMessage

EXECUTION_ID: Final = "simulated"
"""Id of the execution of every simulated run."""

LONGEST_SECONDS: Final = 6 * 3600.0
"""Virtual seconds after the last input and fault in which a run without `until` must end."""

QUEUES: Final = ("memory://",)
"""URLs of queues that a run may have."""

_MOST_OUTPUTS: Final = 1 << 20


def simulate(
    config: PipelineGlobalConfig | Path | str,
    *,
    registry: ValidatingAdapterRegistry | None = None,
    inputs: Mapping[str, Iterable[Any]] | Iterable[Input | tuple[Any, ...]] = (),
    seed: int = 0,
    faults: Sequence[Fault] = (),
    models: Sequence[StageChange] = (),
    until: float | None = None,
    queue: str = "memory://",
    processes: int = 1,
    schedule: Collection[int] | None = None,
    operators: OperatorRegistry | None = None,
) -> SimulationReport:
    """Run a pipeline in virtual time, with the whole engine, as a function of these arguments.

    Time passes only while every task waits, and then at once. Stores that the configuration names are replaced by ones in
    memory, so that nothing outside is touched by the engine; adapters are the registry's own, unless `models` replace them.

    Args:
        config: A loaded configuration, the path of a file, or a text (which has a line end).
        registry: The adapters; the built-in ones by default.
        inputs: Messages from outside: `Input`, tuples of its arguments, or payloads by route. Init messages of the
            configuration come before them.
        seed: Seed of the schedule and of all that is drawn.
        faults: Plan of what goes wrong.
        models: Models and changes of stages.
        until: Virtual seconds at which the run is stopped; by default it must end by itself, within six hours of the
            last input and fault.
        queue: `memory://`, the engine's own channels; `broker://`, a simulated broker; `sqlite://`, the SQLite queue on
            files of the run's own. The last two outlive processes.
        processes: Number of processes that run the execution together.
        schedule: Numbers of the decisions of the schedule that are shuffled, as in a report; all by default.
        operators: Operators of conditions, if not only the built-in ones.

    Returns:
        The report, whose `check` raises if a guarantee was broken.

    Raises:
        ConfigurationError: The configuration has errors.
        AdapterNotFoundError: A stage without a model is of a type that is not registered.
        SimulationError: Arguments do not fit together, such as an input for a route that is not there.
        ExecutionStartError: The execution cannot be started.
    """
    loaded, known = load_for_simulation(config, registry, models, operators)
    settings = RunSettings(
        config=loaded,
        registry=known,
        inputs=inputs_of(inputs),
        seed=seed,
        faults=tuple(faults),
        models=tuple(models),
        until=until,
        queue=queue,
        processes=processes,
        schedule=None if schedule is None else tuple(sorted(schedule)),
        operators=operators,
    )
    return settings.play()


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSettings:
    """Arguments of a simulated run, checked; see `simulate`."""

    config: PipelineGlobalConfig
    registry: ValidatingAdapterRegistry
    inputs: tuple[Input, ...] = ()
    seed: int = 0
    faults: tuple[Fault, ...] = ()
    models: tuple[StageChange, ...] = ()
    until: float | None = None
    queue: str = "memory://"
    processes: int = 1
    schedule: tuple[int, ...] | None = None
    operators: OperatorRegistry | None = None

    def __post_init__(self) -> None:
        """Check what does not need a run.

        Raises:
            SimulationError: Arguments do not fit together.
        """
        for place, each in enumerate(self.inputs, 1):
            if each.route not in self.config.routes:
                raise SimulationError(
                    f"input {place}: expected a route of the configuration ({', '.join(self.config.routes)}), "
                    f"got {each.route!r}"
                )
        if self.queue not in QUEUES:
            raise SimulationError(f"queue: expected {', '.join(QUEUES)}, got {self.queue!r}")
        if self.until is not None and not (math.isfinite(self.until) and self.until >= 0):
            raise SimulationError(f"until: expected seconds, 0 or more, or None, got {self.until!r}")
        if self.processes < 1:
            raise SimulationError(f"processes: expected a number from 1, got {self.processes}")
        if self.queue == "memory://" and self.processes > 1:
            raise SimulationError(
                f"processes={self.processes}: messages in memory belong to one process; write queue='broker://'"
            )

    def play(self) -> SimulationReport:
        """Run, and return the report."""
        schedule = Schedule(self.seed, self.schedule)
        run = _Run(self)
        collects = gc.isenabled()
        gc.disable()  # the time at which garbage is collected differs from run to run, and finalizers could be seen
        try:
            with scheduled(schedule):
                trio.run(run.main, clock=run.virtual)
        finally:
            if collects:
                gc.enable()
        return run.report(schedule.decisions)


class _Nowhere:
    """Store of lineage for configurations that record some; the trace has the rows."""

    async def write(self, entries: Sequence[Any], outcomes: Sequence[Any]) -> None:
        """Drop the rows."""

    async def close(self) -> None:
        """Do nothing."""


class _ProcessHooks:
    """Hooks of one process's execution."""

    def __init__(self, run: "_Run", process: int) -> None:
        self._run = run
        self._process = process

    def stage_call(self, route: str, stage: str, call: Call) -> Call:
        """See `Hooks`."""
        return self._run.staging.around(self._process, route, stage, call)

    def breaker(self, name: str, subscribe: Callable[[Callable[[Any], None]], object]) -> None:
        """See `Hooks`."""
        route, _, stage = name.partition("/")
        subscribe(partial(self._breaker_changed, route, stage))

    def rows(self, execution_id: str, drain: Any) -> None:
        """See `Hooks`."""
        del execution_id
        self._run.trace.follow(self._process, drain)

    def _breaker_changed(self, route: str, stage: str, event: CircuitEvent) -> None:
        if event.to_state is None:
            return
        if event.to_state is CircuitState.OPEN:
            self._run.counted["breaker_openings"] += 1
        self._run.trace.note(
            "~ breaker", f"{event.from_state} -> {event.to_state}", process=self._process, route=route, stage=stage
        )


class _Run:
    """One run while it goes on."""

    def __init__(self, settings: RunSettings) -> None:
        config = settings.config
        self.settings = settings
        self.virtual = trio.testing.MockClock(autojump_threshold=0)
        self.simulation = Simulation(settings.seed, self.virtual)
        self.clock = SimulatedClock(self.virtual)
        self.trace = TraceLog(self.clock)
        self.counted: Counter[str] = Counter()
        self.staging = Staging(
            settings.models,
            settings.faults,
            seed=settings.seed,
            clock=self.clock,
            trace=self.trace,
            stages=[f"{route}/{stage.name}" for route, section in config.routes.items() for stage in section.adapters],
        )
        self.executions: list[ExecutionReport] = []
        self.outputs: dict[str, list[Output]] = {}
        self.accepted: dict[str, list[bytes]] = {route: [] for route in config.routes}
        self.broken: list[Broken] = []
        self.has_ended = False
        self.seconds = 0.0
        self._provider = MemoryQueue()
        self._frames = FrameFactory(self.simulation.seams)
        self._config = _detached(config)

    # -- in trio ----------------------------------------------------------------------------------------------------

    async def main(self) -> None:
        """Run the execution to its end, or until it is stopped."""
        until = self.settings.until
        last = max([each.at for each in self.settings.inputs], default=0.0)
        async with trio.open_nursery() as outside:
            for queue in _leaving(self._config):
                await outside.start(self._collect, queue)
            async with OrchestratorManager(
                registry=self.settings.registry,
                operators=self.settings.operators,
                queue=self._provider,
                storage=MemoryStorage(),
                lineage=_Nowhere(),
                seams=replace(self.simulation.seams, hooks=_ProcessHooks(self, 0)),
            ) as manager:
                execution = await manager.start(self._config, execution_id=EXECUTION_ID)
                self.trace.note("> started", process=0)
                with trio.move_on_at(last + LONGEST_SECONDS if until is None else until) as scope:
                    await self._feed(execution)
                    execution.let_complete()
                    await execution.wait_ended()
                if scope.cancelled_caught:
                    self._stopped(execution)
                    await execution.cancel()
                report = execution.report
                assert report is not None, "it has ended"
                self._ended(report, process=0)
                self.has_ended = not scope.cancelled_caught and report.status is ExecutionStatus.COMPLETED
            await trio.testing.wait_all_tasks_blocked()
            outside.cancel_scope.cancel()
        self.seconds = self.virtual.current_time()

    async def _feed(self, execution: PipelineOrchestrator) -> None:
        for each in self.settings.inputs:
            if each.at > self.virtual.current_time():
                await trio.sleep_until(each.at)
            frame = self._frames.frame(each.payload, each.headers, each.key)
            self.trace.note("> published", repr(each.payload), route=each.route, message_id=frame.message_id)
            try:
                await execution.publish_frames(each.route, [frame])
            except ExecutionClosedError as error:
                self.trace.note("> refused", str(error), route=each.route, message_id=frame.message_id)
                return
            self.accepted[each.route].append(frame.message_id)

    async def _collect(self, queue: str, *, task_status: trio.TaskStatus[None]) -> None:
        name = ExecutionScopedQueue(self._provider, EXECUTION_ID).scope_queue(queue)
        async with self._provider.subscribe(name, "simulation", _MOST_OUTPUTS) as subscription:
            task_status.started()
            while True:
                try:
                    deliveries = await subscription.receive(_MOST_OUTPUTS)
                except QueueClosedError:
                    return
                for delivery in deliveries:
                    self.left(queue, delivery.message)
                await subscription.settle(deliveries)

    # -- what is noted ----------------------------------------------------------------------------------------------

    def left(self, queue: str, message: QueueMessage) -> None:
        """Note a message that has left the pipeline."""
        payload = unpack(message.payload)
        self.outputs.setdefault(queue, []).append(
            Output(
                at=self.virtual.current_time(),
                payload=payload,
                key=message.key,
                headers=dict(message.headers),
                message_id=message.message_id.hex(),
            )
        )
        self.trace.note(
            "< left", repr(payload), route=queue, message_id=message.message_id, parent_id=message.parent_id
        )

    def _ended(self, report: ExecutionReport, *, process: int) -> None:
        self.executions.append(report)
        self.broken += unbalanced(report)
        text = str(report.status) + (f": {report.error}" if report.error else "")
        self.trace.note("> ended", text, process=process)

    def _stopped(self, execution: PipelineOrchestrator) -> None:
        """Note that the run is stopped; one that had to end by itself is broken."""
        self.trace.note("> stopped")
        if self.settings.until is None:
            statistics = execution.statistics()
            held = [
                f"{each.route}/{each.stage}: {each.message_id} for {each.seconds:.0f} s, {each.by}"
                for each in statistics.held[:5]
            ]
            waits = [str(wait) for wait in statistics.waits[:5]]
            what = "; ".join([*statistics.stalled, *waits, *held]) or "nothing is held"
            self.broken.append(
                Broken(
                    name="everything ends",
                    text=f"it had not ended {LONGEST_SECONDS:g} s after the last input and fault: {what}",
                    at=self.virtual.current_time(),
                )
            )

    # -- afterwards -------------------------------------------------------------------------------------------------

    def report(self, decisions: int) -> SimulationReport:
        """Return the report."""
        settings, trace = self.settings, self.trace.end()
        if self.has_ended:
            self.broken += Conservation(self._config, self.accepted).broken(trace.outcomes())
        fired = tuple(self.staging.fired)
        return SimulationReport(
            config=settings.config,
            seed=settings.seed,
            queue=settings.queue,
            processes=settings.processes,
            inputs=settings.inputs,
            faults=settings.faults,
            fired=fired,
            schedule=settings.schedule,
            decisions=decisions,
            until=settings.until,
            seconds=self.seconds,
            ended=self.has_ended,
            executions=tuple(self.executions),
            outputs={queue: tuple(found) for queue, found in self.outputs.items()},
            calls={stage: tuple(calls) for stage, calls in self.staging.calls.items()},
            broken=tuple(self.broken),
            counts=self._counts(trace, decisions),
            trace=trace,
        )

    def _counts(self, trace: Trace, decisions: int) -> SimulationCounts:
        visits, retries, ends = trace.totals()
        return SimulationCounts(
            inputs=sum(map(len, self.accepted.values())),
            visits=visits,
            ends=len(ends),
            retries=retries,
            duplicates=len(ends) - len(set(ends)),
            breaker_openings=self.counted["breaker_openings"],
            faults=len(self.staging.fired),
            decisions=decisions,
        )


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
