"""A simulated run: the whole engine in one trio run, in virtual time, as a function of its arguments.

Each part has a module of its own: arguments (`settings`), inputs (`inputs`), faults (`faults`), stages (`staging`), queues
(`worlds`), processes (`playing`), what is noted (`trace`), what must hold (`oracle`), what comes out (`report`).
"""

import gc
from collections.abc import Callable, Collection, Sequence
from functools import cache, partial

import trio

from factflow_engine.adapters import ValidatingAdapterRegistry
from factflow_engine.conditions import OperatorRegistry
from factflow_engine.testing.schedule import Schedule, scheduled
from factflow_engine.testing.simulation.arguments import AnyConfig, Inputs, settings_of
from factflow_engine.testing.simulation.assertions import observed
from factflow_engine.testing.simulation.faults import Fault
from factflow_engine.testing.simulation.models import StageChange
from factflow_engine.testing.simulation.oracle import Broken, Conservation
from factflow_engine.testing.simulation.playing import Run
from factflow_engine.testing.simulation.report import SimulationCounts, SimulationReport
from factflow_engine.testing.simulation.settings import RunSettings
from factflow_engine.testing.simulation.trace import Trace, logged


def simulate(
    config: AnyConfig,
    *,
    registry: ValidatingAdapterRegistry | None = None,
    inputs: Inputs = (),
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
    settings = settings_of(
        config,
        registry=registry,
        inputs=inputs,
        seed=seed,
        faults=faults,
        models=models,
        until=until,
        queue=queue,
        processes=processes,
        schedule=schedule,
        operators=operators,
    )
    return play(settings)


def play(settings: RunSettings) -> SimulationReport:
    """Run what the settings say, and return the report.

    Raises:
        Exception: What the start of the execution raised, outside of any group.
    """
    schedule = Schedule(settings.seed, settings.schedule)
    run = Run(settings)
    collects = gc.isenabled()
    gc.disable()  # the time at which garbage is collected differs from run to run, and finalizers could be seen
    try:
        with scheduled(schedule), observed(run.assertions), logged(run.trace):
            trio.run(run.main, clock=run.virtual)
    except trio.TrioInternalError:
        if not run.is_abandoned:
            raise
        run.remove_files()
    except BaseExceptionGroup as group:
        error: BaseException = group
        while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
            error = error.exceptions[0]
        raise error from None
    finally:
        if collects:
            gc.enable()
    return _report(settings, run, run.trace.end(), schedule.decisions)


def _queued(run: Run, trace: Trace) -> Collection[bytes]:
    return trace.queued().union(*run.accepted.values())


def _deliveries(run: Run, trace: Trace) -> Callable[[bytes, bytes], bool]:
    """Return whether a message was delivered again after the last end of another; the trace is read at the first call."""

    @cache
    def times() -> tuple[dict[bytes, int], dict[bytes, int]]:
        routes = run.config.routes.items()
        return trace.last_times({(route, each.adapters[0].name) for route, each in routes if each.adapters})

    def delivered_again(message_id: bytes, ended_id: bytes) -> bool:
        began, ended = times()
        return began.get(message_id, 0) > ended.get(ended_id, 0)

    return delivered_again


def _report(settings: RunSettings, run: Run, trace: Trace, decisions: int) -> SimulationReport:
    broken = list(run.broken)
    if run.has_ended and not (settings.queue == "memory://" and run.counted["cancelled"]):  # whose messages go with it
        judge = Conservation(
            run.config,
            run.accepted,
            run.left,
            redelivers=settings.queue != "memory://",
            delivered_again=None if settings.queue == "memory://" else _deliveries(run, trace),
            queued=partial(_queued, run, trace)
            if len(run.executions) > settings.processes or run.counted["crashed"]
            else None,
        )
        broken += judge.broken(trace.outcomes())
    broken += [
        Broken(name=f"{violation.kind} {violation.name!r}", text=violation.text, at=violation.seconds)
        for violation in run.assertions.finish(is_complete=run.has_ended)
    ]
    fired = tuple(run.fired)
    visits, retries, ends = trace.totals()
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
        seconds=run.seconds,
        ended=run.has_ended,
        executions=tuple(run.executions),
        outputs={queue: tuple(found) for queue, found in run.outputs.items()},
        calls={stage: tuple(calls) for stage, calls in run.staging.calls.items()},
        assertions=run.assertions.counts,
        broken=tuple(broken),
        counts=SimulationCounts(
            inputs=sum(map(len, run.accepted.values())),
            visits=visits,
            ends=len(ends),
            retries=retries,
            duplicates=len(ends) - len(set(ends)),
            breaker_openings=run.counted["breaker_openings"],
            cancellations=run.counted["cancelled"],
            crashes=run.counted["crashed"],
            faults=len(fired),
            decisions=decisions,
        ),
        is_smaller=settings.is_smaller,
        given=settings.given,
        trace=trace,
    )
