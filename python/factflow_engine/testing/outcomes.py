"""Assertion on the outcomes of an execution, with a text that names the failures.

Kept separate from the fakes because it reads reports of real and simulated executions alike.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from factflow_engine.runtime.report import ExecutionReport, ExecutionStatistics, FailureRecord, Outcome
from factflow_engine.testing.simulation.report import SimulationReport
from factflow_protocols import FactflowError

_SHOWN_FAILURES: Final = 5


AnyReport = ExecutionReport | ExecutionStatistics | SimulationReport


class OutcomesError(FactflowError, AssertionError):
    """Outcomes that are not those that a test expects; the text has the counts, the failures and what is held."""


def assert_outcomes(
    report: AnyReport,
    route: str | None = None,
    *,
    completed: int = 0,
    filtered: int = 0,
    dead_lettered: int = 0,
    failed: int = 0,
) -> None:
    """Check how many messages ended in which way; an outcome that is not given must not have happened.

    Args:
        report: The report of an execution, its statistics, or the report of a simulated run.
        route: Id of the route whose messages are counted; None for those of all routes.
        completed: Number of messages with this outcome.
        filtered: The same.
        dead_lettered: The same.
        failed: The same.

    Raises:
        OutcomesError: The counts are others, or there is no such route.

    Example:
        async def main(simulation: Simulation) -> ExecutionReport:
            async with OrchestratorManager(registry=registry, seams=simulation.seams) as manager:
                return await (await manager.start(config)).complete()

        report = in_virtual_time(main, seed=1)
        assert_outcomes(report, completed=report.outcomes["completed"])
        assert_outcomes(simulate(config, registry=registry, inputs={"shout": [{"text": "a"}]}), completed=1)
    """
    by_route = _by_route(report)
    if route is not None and route not in by_route:
        raise OutcomesError(f"expected the id of a route, got {route!r}; the routes are {', '.join(by_route)}")
    counts = report.outcomes if route is None else by_route[route]
    expected = {
        Outcome.COMPLETED: completed,
        Outcome.FILTERED: filtered,
        Outcome.DEAD_LETTERED: dead_lettered,
        Outcome.FAILED: failed,
    }
    if all(counts[outcome] == expected[outcome] for outcome in Outcome):
        return
    place = "all routes" if route is None else f"route {route!r}"
    lines = [f"outcomes of {place}: expected {_written(expected)}; got {_written(counts)}"]
    if route is None and len(by_route) > 1:
        lines += [f"  {name}: {_written(each)}" for name, each in by_route.items()]
    if isinstance(report, SimulationReport):
        lines += [line for each in report.executions for line in _circumstances(each, route)]
        lines += [f"  broken: {broken}" for broken in report.broken[:_SHOWN_FAILURES]]
        lines.append(f"reproduce: {report.reproducer}")
    else:
        lines += _circumstances(report, route)
    raise OutcomesError("\n".join(lines))


def _by_route(report: AnyReport) -> dict[str, Mapping[Outcome, int]]:
    if not isinstance(report, SimulationReport):
        return {name: route.outcomes for name, route in report.routes.items()}
    found: dict[str, Mapping[Outcome, int]] = {}
    for route in report.config.routes:
        ends = Counter({end.message_id: end.outcome for end in report.ends(route)}.values())  # the last end of each
        found[route] = {outcome: ends[outcome] for outcome in Outcome}
    return found


def _written(counts: Mapping[Outcome, int]) -> str:
    """Return the counts that are not zero, as arguments of `assert_outcomes`."""
    return ", ".join(f"{outcome}={counts[outcome]}" for outcome in Outcome if counts[outcome]) or "no message"


def _circumstances(report: Any, route: str | None) -> Iterator[str]:
    """Yield what a reader asks next: how it ended, what failed, what is held."""
    error = getattr(report, "error", None)
    if error:
        yield f"the execution is {getattr(report, 'status', 'over')}: {error}"
    failures: Sequence[FailureRecord] = getattr(report, "failures", ())
    chosen = [failure for failure in failures if route in {None, failure.route}]
    for failure in chosen[:_SHOWN_FAILURES]:
        place = f" at {failure.place}" if failure.place else ""
        stage = f"{failure.route}/{failure.stage}" if failure.stage else failure.route
        attempts = f"attempt {failure.attempts}"
        yield f"  {stage}: {failure.error_type}: {failure.error}{place} ({attempts}), of {failure.payload_preview}"
    omitted = len(chosen) - _SHOWN_FAILURES
    if omitted > 0:
        yield f"  and {omitted} more failures: report.failures"
    for held in [each for each in getattr(report, "held", ()) if route in {None, each.route}][:_SHOWN_FAILURES]:
        yield f"  held at {held.route}/{held.stage} by {held.by} for {held.seconds:g} s {held.reason}".rstrip()
