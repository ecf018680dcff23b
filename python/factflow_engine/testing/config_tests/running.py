"""Running of tests: each is one simulated run of its pipeline, under one seed or several.

Kept separate from the command, so that a program can run tests of configurations itself.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from factflow_engine.config import PipelineGlobalConfig
from factflow_engine.config.hiding import Hiding
from factflow_engine.error_texts import sole_cause
from factflow_engine.testing.config_tests.expectations import Problem, problems_of
from factflow_engine.testing.config_tests.models import TestModel
from factflow_engine.testing.config_tests.observed import observed
from factflow_engine.testing.config_tests.payloads import from_written
from factflow_engine.testing.config_tests.stubs import Probe, changes, with_stubs
from factflow_engine.testing.config_tests.suites import Suite
from factflow_engine.testing.simulation.inputs import Input
from factflow_engine.testing.simulation.models import Record
from factflow_engine.testing.simulation.report import SimulationReport
from factflow_engine.testing.simulation.run import simulate
from factflow_protocols import FactflowError


class Verdict(StrEnum):
    """Result of a test."""

    PASS = "pass"  # noqa: S105 - no password
    FAIL = "fail"
    """An expectation was not met, or a guarantee was broken."""
    ERROR = "error"
    """The pipeline could not be run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TestResult:
    """Result of one test under one seed.

    Attributes:
        file: Path of the test file.
        name: Name of the test.
        seed: The seed.
        verdict: The verdict.
        problems: Expectations that were not met; texts show no secret.
        notes: Remarks for whoever reads the problems.
        seconds: Virtual seconds that it took.
        trace: What happened, a line each.
    """

    __test__ = False

    file: str
    name: str
    seed: int
    verdict: Verdict
    problems: tuple[Problem, ...]
    notes: tuple[str, ...]
    seconds: float
    trace: str = field(repr=False)

    @property
    def passed(self) -> bool:
        """True if every expectation was met."""
        return self.verdict is Verdict.PASS

    def text(self) -> str:
        """Return the problems as text: a line for each, and its diff."""
        return "\n\n".join(map(str, self.problems))


def run_test(suite: Suite, test: TestModel, *, seed: int | None = None) -> TestResult:
    """Run one test.

    Args:
        suite: Its file and pipeline.
        test: The test.
        seed: A seed in the place of the test's own.
    """
    seed = test.seed if seed is None else seed
    hidden = Hiding(suite.config.secrets)
    unexpected: list[tuple[str, Any]] = []
    try:
        report = play(suite, test, seed, unexpected=unexpected)
    except Exception as error:
        cause = sole_cause(error)
        if not isinstance(cause, FactflowError):
            raise
        return _not_run(suite, test, seed, hidden(str(cause)))
    problems = [
        *problems_of(test.expect, observed(report), suite.config, is_stopped=test.until is not None),
        *_unexpected(unexpected),
        *(Problem(what=broken.name, expected="it holds\n", actual=f"{broken.text}\n") for broken in report.broken),
    ]
    notes: tuple[str, ...] = ()
    if problems and suite.is_changed:
        notes = (f"{suite.pipeline} is not the snapshot that was recorded ({str(suite.file.model.recorded)[:12]})",)
    return TestResult(
        file=str(suite.file.path),
        name=test.name,
        seed=seed,
        verdict=Verdict.FAIL if problems else Verdict.PASS,
        problems=tuple(_hiding(problem, hidden) for problem in problems),
        notes=notes,
        seconds=report.seconds,
        trace=hidden(str(report.trace)),
    )


def run_tests(suite: Suite, *, only: str | None = None, seeds: int = 1) -> Iterator[TestResult]:
    """Run the tests of a file, in order, and yield each result.

    Args:
        suite: The file and its pipeline.
        only: Name of the one test to run, or a part of names.
        seeds: Number of seeds of each test: its own, and the following ones. One result for each.
    """
    for test in chosen(suite, only):
        for more in range(seeds):
            yield run_test(suite, test, seed=test.seed + more)


def chosen(suite: Suite, only: str | None) -> list[TestModel]:
    """Return the tests of this name; if there is none, those whose names contain it."""
    if only is None:
        return list(suite.tests)
    exact = [test for test in suite.tests if test.name == only]
    return exact or [test for test in suite.tests if only in test.name]


def play(
    suite: Suite,
    test: TestModel,
    seed: int,
    *,
    unexpected: list[tuple[str, Any]] | None = None,
    probes: Mapping[tuple[str, int], Probe] | None = None,
) -> SimulationReport:
    """Run the pipeline as a test says.

    Args:
        suite: The file and its pipeline.
        test: The test.
        seed: The seed.
        unexpected: List that calls without an answer are added to.
        probes: See `with_stubs`.

    Raises:
        FactflowError: The pipeline cannot be run.
    """
    stubs = suite.stubs(test)
    given = [] if unexpected is None else unexpected
    config, registry = with_stubs(_init(suite.config, test), suite.registry, stubs, given, probes)
    return simulate(
        config,
        registry=registry,
        inputs=[_input(each) for each in test.inputs],
        seed=seed,
        faults=suite.faults[test.name],
        models=[*changes(stubs), *(Record(stage) for stage in test.expect.calls)],
        until=test.until,
        queue=test.queue,
        processes=test.processes,
    )


def _init(config: PipelineGlobalConfig, test: TestModel) -> PipelineGlobalConfig:
    publishes = not test.inputs if test.init is None else test.init
    return config if publishes else config.model_copy(update={"init_message": ()})


def _input(given: Any) -> Input:
    headers = {name: from_written(value) for name, value in given.headers.items()}
    return Input(given.route, from_written(given.payload), key=given.key, headers=headers or None, at=given.at)


def _unexpected(calls: list[tuple[str, Any]]) -> Iterator[Problem]:
    for stage in dict.fromkeys(stage for stage, _ in calls):
        messages = [message for name, message in calls if name == stage]
        shown = "".join(f"{message!r}\n" for message in messages[:5])
        more = f"and {len(messages) - 5} more\n" if len(messages) > 5 else ""
        yield Problem(what=f"calls of {stage} for which the test has no answer", expected="", actual=shown + more)


def _hiding(problem: Problem, hidden: Hiding) -> Problem:
    return Problem(what=problem.what, expected=hidden(problem.expected), actual=hidden(problem.actual))


def _not_run(suite: Suite, test: TestModel, seed: int, text: str) -> TestResult:
    return TestResult(
        file=str(suite.file.path),
        name=test.name,
        seed=seed,
        verdict=Verdict.ERROR,
        problems=(Problem(what="the pipeline could not be run", expected="", actual=f"{text}\n"),),
        notes=(),
        seconds=0.0,
        trace="",
    )
