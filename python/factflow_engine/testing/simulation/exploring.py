"""Campaigns: many simulated runs that differ in their seed, and what they saw together.

A failing run is made smaller before it is reported. Kept separate from the run, which knows of no other.
"""

import inspect
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from factflow_engine.adapters import ValidatingAdapterRegistry
from factflow_engine.conditions import OperatorRegistry
from factflow_engine.error_texts import class_name, error_text
from factflow_engine.testing.simulation.arguments import AnyConfig, Inputs, faults_of, listed, settings_of
from factflow_engine.testing.simulation.assertions import CampaignTotals
from factflow_engine.testing.simulation.errors import SimulationError, SimulationFailedError
from factflow_engine.testing.simulation.faults import Fault
from factflow_engine.testing.simulation.inputs import inputs_of
from factflow_engine.testing.simulation.many import Played, play_all, play_forked
from factflow_engine.testing.simulation.models import StageChange
from factflow_engine.testing.simulation.oracle import Broken
from factflow_engine.testing.simulation.report import CHECK, SimulationCounts, SimulationReport
from factflow_engine.testing.simulation.run import play
from factflow_engine.testing.simulation.settings import RunSettings
from factflow_engine.testing.simulation.shrinking import MOST_RUNS, Shrinking
from factflow_engine.testing.simulation.values import is_count

Check = Callable[[SimulationReport], object]
"""Judge of a run: raises if it is not as it should be."""

_INDEPENDENT: Final = "runs are independent"
_SUSPICION: Final = (
    "adapters or the check keep something from run to run, in modules, classes or closures, reset it: setup=function"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Campaign:
    """Result of a campaign.

    Attributes:
        failures: Reports of failing runs, as small as they could be made; one for each way of failing.
        failed_seeds: Seeds of all runs that failed.
        counts: What all runs saw together.
        assertions: Counts of the assertions of all runs.
        unfired: What is to be said of each `sometimes` that never held, in a campaign without a failure.
    """

    failures: Sequence[SimulationReport]
    failed_seeds: Sequence[int]
    counts: SimulationCounts
    assertions: CampaignTotals
    unfired: Sequence[str]

    @property
    def ok(self) -> bool:
        """True if every run held, and every `sometimes` did once."""
        return not self.failures and not self.unfired

    def check(self) -> "Campaign":
        """Return the campaign, if it is as it should be.

        Raises:
            SimulationFailedError: A run failed, or a `sometimes` never held; the text has what was broken, and the line
                that reproduces it.
        """
        for failure in self.failures:
            failure.check()
        if self.unfired:
            raise SimulationFailedError("; ".join(self.unfired), "")
        return self


def explore(
    config: AnyConfig,
    *,
    seeds: Iterable[int] = range(100),
    jobs: int = 1,
    registry: ValidatingAdapterRegistry | None = None,
    inputs: Inputs | Callable[[int], Inputs] = (),
    faults: Sequence[Fault] | Callable[[int], Sequence[Fault]] = (),
    models: Sequence[StageChange] = (),
    until: float | None = None,
    queue: str = "memory://",
    processes: int = 1,
    operators: OperatorRegistry | None = None,
    check: Check | None = None,
    setup: Callable[[], object] | None = None,
    sometimes: Iterable[str] = (),
    stop_at: int = 1,
    shrinks: bool = True,
    progress: Callable[[int, int], object] | None = None,
) -> Campaign:
    """Run a pipeline once for each seed; see `simulate` for what is not described here.

    Args:
        config: The configuration.
        seeds: Seeds of the runs.
        jobs: Number of processes of the machine that run them, forked; what a run's adapters leave in this program's
            memory stays in theirs.
        registry: The adapters. Their classes are shared by all runs: what they keep must be in instances, or `setup`
            must reset it.
        inputs: Messages from outside, or a function that makes them from the seed.
        faults: Plan of faults, or a function that makes it from the seed.
        models: Models and changes of stages.
        until: See `simulate`.
        queue: See `simulate`.
        processes: Simulated processes of each run.
        operators: Operators of conditions.
        check: Called with each report; raises if the run is not as it should be. Returning False is a failure, too.
        setup: Called before each run, those of shrinking included: resets what adapters and `check` keep in modules,
            classes and closures, such as a list of payments.
        sometimes: Names of `sometimes` that must hold in a run at least, besides those that runs reach.
        stop_at: Number of failing runs after which the campaign stops.
        shrinks: True to make failing runs smaller.
        progress: Called now and then with the number of runs that were made and that of all, or of the runs that
            shrinking has made and may make.

    Raises:
        SimulationError: Arguments do not fit together.
        ConfigurationError: The configuration has errors.
    """
    for name, number in (("jobs", jobs), ("stop_at", stop_at)):
        if not is_count(number):
            raise SimulationError(f"{name}: expected a number from 1, got {number!r}")
    _check_functions(check=check, setup=setup, progress=progress)
    names_of_sometimes = listed("sometimes", sometimes, str, "names")
    base = settings_of(
        config,
        registry=registry,
        inputs=() if callable(inputs) else inputs,
        faults=() if callable(faults) else faults,
        models=models,
        until=until,
        queue=queue,
        processes=processes,
        operators=operators,
    )

    def settings_of_seed(seed: int) -> RunSettings:
        return replace(
            base,
            seed=seed,
            inputs=inputs_of(inputs(seed)) if callable(inputs) else base.inputs,
            faults=faults_of(faults(seed)) if callable(faults) else base.faults,
        )

    def judged(settings: RunSettings) -> SimulationReport:
        return _played(settings, check, setup)

    totals = CampaignTotals(sometimes=names_of_sometimes)
    seeds = listed("seeds", seeds, int, "whole numbers")
    if not seeds:
        raise SimulationError("seeds: expected one at least, got none")
    played = Played([], SimulationCounts(runs=0), totals)
    if jobs == 1:
        play_all(seeds, settings_of_seed, judged, played, stop_at, progress)
    else:
        play_forked(seeds, settings_of_seed, judged, played, stop_at, progress, jobs)
    failures: dict[frozenset[str], SimulationReport] = {}
    for seed in sorted(played.failed)[:stop_at]:
        settings = settings_of_seed(seed)
        report = judged(settings)
        names = frozenset(broken.name for broken in report.broken)
        if not names:
            report = report.with_broken([_unrepeatable(seed)])
            names = frozenset(broken.name for broken in report.broken)
        elif shrinks and names not in failures:
            told = None if progress is None else lambda runs: progress(runs, MOST_RUNS)
            report = _smallest(Shrinking(judged, names, progress=told), settings, report)
        failures.setdefault(names, report)
    return Campaign(
        failures=tuple(failures.values()),
        failed_seeds=tuple(sorted(played.failed)),
        counts=played.counts,
        assertions=totals,
        unfired=() if failures else tuple(violation.text for violation in totals.finish()),
    )


def shrink(
    report: SimulationReport,
    *,
    registry: ValidatingAdapterRegistry | None = None,
    models: Sequence[StageChange] = (),
    operators: OperatorRegistry | None = None,
    check: Check | None = None,
    setup: Callable[[], object] | None = None,
    progress: Callable[[int], object] | None = None,
) -> SimulationReport:
    """Return the report of the smallest run that was found to fail as a given one does.

    Args:
        report: Report of a run that failed.
        registry: The adapters that it ran with.
        models: Its models.
        operators: Its operators.
        check: Judge of runs, if its guarantees alone did not fail.
        setup: Called before each run; see `explore`.
        progress: Called after each run with their number.

    Raises:
        SimulationError: Run again, it does not fail; or an argument is of another type.
    """
    if not isinstance(report, SimulationReport):
        raise SimulationError(f"report: expected the report of a run, got {report!r}")
    _check_functions(check=check, setup=setup, progress=progress)
    settings = settings_of(
        report.config,
        registry=registry,
        inputs=report.inputs,
        seed=report.seed,
        faults=report.faults,
        models=models,
        until=report.until,
        queue=report.queue,
        processes=report.processes,
        schedule=report.schedule,
        operators=operators,
        is_smaller=report.is_smaller,
    )
    again = _played(settings, check, setup)
    if again.ok:
        raise SimulationError("expected a run that fails; run again, it does not: see check_determinism")
    names = frozenset(broken.name for broken in again.broken)
    search = Shrinking(lambda each: _played(each, check, setup), names, progress=progress)
    return _smallest(search, settings, again)


def _check_functions(**functions: object) -> None:
    """Refuse what cannot be called, and coroutine functions, of which a call would do nothing.

    Raises:
        SimulationError: One of them is something else.
    """
    for name, function in functions.items():
        if function is None:
            continue
        if not callable(function):
            raise SimulationError(f"{name}: expected a function, or None, got {function!r}")
        if inspect.iscoroutinefunction(function):
            raise SimulationError(f"{name}: expected a function that is not async, got {function!r}; write def")


def _played(settings: RunSettings, check: Check | None, setup: Callable[[], object] | None) -> SimulationReport:
    """Return the report of a run, with what the user's judge found."""
    if setup is not None:
        setup()
    return _judged(play(settings), check)


def _smallest(search: Shrinking, settings: RunSettings, report: SimulationReport) -> SimulationReport:
    """Return the smallest run that was found, and say so if it is suspiciously small."""
    smallest = search.smallest(settings, report)
    if settings.inputs and not smallest.inputs and not smallest.faults:
        smallest = smallest.with_broken(
            [Broken(name=_INDEPENDENT, text=f"this fails without an input; if {_SUSPICION}")]
        )
    return smallest


def _unrepeatable(seed: int) -> Broken:
    text = f"seed {seed} failed, and does not when it is run again: check_determinism may say why; if {_SUSPICION}"
    return Broken(name=_INDEPENDENT, text=text)


def _judged(report: SimulationReport, check: Check | None) -> SimulationReport:
    """Return a report with what the user's judge found."""
    if check is None:
        return report
    try:
        if check(report) is False:
            return report.with_broken([Broken(name=f"{CHECK}False", text="it returned False; raise what is wrong")])
    except SimulationFailedError:
        return report  # the report's own verdict, which it has
    except Exception as error:  # noqa: BLE001 - any exception of a judge is a verdict
        return report.with_broken([Broken(name=f"{CHECK}{class_name(error)}", text=error_text(error) or repr(error))])
    return report
