"""Facts of a simulated run that a test expects something of: outputs, ends, failures, calls, places that were reached.

Kept separate from the expectations because recorded tests are written from the same facts.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from factflow_engine.testing.simulation.report import SimulationReport
from factflow_engine.testing.simulation.trace import Trace
from factflow_protocols import LineageEntry

OUTCOMES: Final = ("completed", "filtered", "dead_lettered", "failed")


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftMessage:
    """A message that left the pipeline, or that a stage was called with.

    Attributes:
        payload: Its value.
        key: Its key.
        headers: Its headers.
        at: Virtual seconds.
    """

    payload: Any
    key: str | None
    headers: Mapping[str, Any]
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedMessage:
    """A message that failed for good.

    Attributes:
        route: Route in which it failed.
        outcome: `failed` or `dead_lettered`.
        type: Name of the error's class; `unrouted` if no outbound took it.
        error: Text of the error.
    """

    route: str
    outcome: str
    type: str
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """Facts of one run.

    Attributes:
        outputs: Messages that left, by queue, in order.
        outcomes: Ends by route. On a queue that outlives processes a message counts once, by its last end: it may have
            been delivered again.
        failures: Messages that failed for good, in order.
        calls: Messages that stages were called with, for those that were to be recorded.
        reached: Routes, and stages as `route/stage`, that some message reached; a skipped stage was not.
        seconds: Virtual seconds that the run took.
        status: Status of the last execution; None if every process died.
        error: Why that failed.
    """

    outputs: Mapping[str, Sequence[LeftMessage]]
    outcomes: Mapping[str, Mapping[str, int]]
    failures: Sequence[FailedMessage]
    calls: Mapping[str, Sequence[LeftMessage]]
    reached: frozenset[str]
    seconds: float
    status: str | None
    error: str | None


def observed(report: SimulationReport) -> Observed:
    """Return what a run did."""
    last = report.executions[-1] if report.executions else None
    ends = _ends(report)
    return Observed(
        outputs={
            queue: [
                LeftMessage(payload=each.payload, key=each.key, headers=each.headers, at=each.at) for each in messages
            ]
            for queue, messages in report.outputs.items()
        },
        outcomes=_outcomes(ends, report.config.routes),
        failures=[_failure(row) for row in ends if row[5] in {"failed", "dead_lettered"}],
        calls={
            stage: [LeftMessage(payload=call.message, key=None, headers={}, at=call.at) for call in calls]
            for stage, calls in report.calls.items()
        },
        reached=_reached(report.trace),
        seconds=report.seconds,
        status=None if last is None else str(last.status),
        error=None if last is None else last.error,
    )


def _ends(report: SimulationReport) -> list[Sequence[Any]]:
    rows = report.trace.outcomes()
    if report.queue == "memory://":
        return list(rows)
    return list({(row[1], row[2]): row for row in rows}.values())


def _outcomes(ends: Sequence[Sequence[Any]], routes: Mapping[str, Any]) -> dict[str, dict[str, int]]:
    counted = Counter((row[1], row[5]) for row in ends)
    return {route: {outcome: counted[route, outcome] for outcome in OUTCOMES} for route in routes}


def _failure(row: Sequence[Any]) -> FailedMessage:
    detail: dict[str, Any] = json.loads(row[9]) if row[9] else {}
    return FailedMessage(
        route=row[1],
        outcome=row[5],
        type=detail.get("type", detail.get("reason", "")),
        error=detail.get("error", detail.get("reason", "")),
    )


def _reached(trace: Trace) -> frozenset[str]:
    found: set[str] = set()
    for _, row in trace.rows():
        found.add(row.route)
        if isinstance(row, LineageEntry) and row.status != "skipped":
            found.add(f"{row.route}/{row.stage}")
    return frozenset(found)
