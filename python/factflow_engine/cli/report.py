"""The report of a run, for people and for programs.

Kept separate from the command because tests read both forms and both must say the same.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Final

from rich.console import Console
from rich.text import Text

from factflow_engine.cli.failure_groups import (
    ERROR_LIMIT,
    MOST_SHOWN,
    PREVIEW_LIMIT,
    FailureGroups,
    failure_key,
    group_lines,
)
from factflow_engine.cli.limits import history_lines, limit_document
from factflow_engine.cli.session import SessionEnd
from factflow_engine.cli.settings import Layout
from factflow_engine.cli.tables import Cell, Column, Kind, Table, names, numbers
from factflow_engine.cli.text import clean, plural
from factflow_engine.lineage.counts import LineageCounts
from factflow_engine.runtime.report import (
    Blocker,
    ExecutionReport,
    ExecutionStatus,
    FailureRecord,
    HeldMessage,
    Holder,
    RouteStatistics,
)

_STATUS_STYLE: Final = {ExecutionStatus.COMPLETED: "bold green", ExecutionStatus.FAILED: "bold red"}
_HOLDERS: Final = {
    Holder.RETRY: ", waiting to be tried again",
    Holder.CIRCUIT_OPEN: ", waiting for its circuit breaker",
    Holder.DEAD_LETTER_QUEUE: ", waiting for room in the dead-letter queue",
    Holder.PERMIT: ", waiting for its turn",
    Holder.STAGE_PERMIT: ", waiting for a permit",
}
_COUNTS: Final = ("received", "completed", "filtered", "dead_lettered", "failed", "emitted")


def print_report(
    end: SessionEnd, console: Console, *, layout: Layout = Layout.TEXT, rows: Console | None = None
) -> None:
    """Write the report for people: status, routes, failures by name, limits that adapt, messages still held, and blockers.

    Args:
        end: End of the session.
        console: Console that it is written to.
        layout: Layout of the table of routes.
        rows: Console of that table, if another one.
    """
    report = end.report
    if report is None:
        console.print(Text("cancelled before it had started", style="bold yellow"))
        return
    console.print(
        Text.assemble(
            (str(report.status), _STATUS_STYLE.get(report.status, "bold yellow")),
            f"  {clean(report.name)} in {report.duration_seconds:.2f} s",
            (f"  execution {clean(report.execution_id)}", "dim"),
        )
    )
    if report.error:
        console.print(Text(f"  {clean(report.error)}", style="red"))
    _routes_table(report.routes).print(rows or console, layout)
    for line in (
        *_failure_lines(report),
        *map(Text, history_lines(report.limits)),
        *_held_lines(report),
        *_blocker_lines(report),
        *_orphan_lines(report),
        *_close_lines(report),
        *_lineage_lines(report),
    ):
        console.print(line, soft_wrap=True)


def _routes_table(routes: Mapping[str, RouteStatistics]) -> Table:
    left = Column(title="left", kind=Kind.NUMBER, optional=True)
    table = Table(*names("route"), *numbers(*(count.replace("_", "-") for count in _COUNTS)), left)
    for name, route in routes.items():
        counts = (_count(count, getattr(route, count)) for count in _COUNTS)
        table.add(name, *counts, Cell(route.waiting, "yellow"))
    return table


def _count(name: str, number: int) -> Cell:
    loud = number and name in {"failed", "dead_lettered"}
    return Cell(number, "bold red" if loud else "" if number else "dim")


def _failure_lines(report: ExecutionReport) -> Iterator[Text]:
    total = len(report.failures) + report.failures_omitted
    if not total:
        return
    yield Text(f"{plural(total, 'message')} failed", style="bold red")
    groups = FailureGroups[FailureRecord]()
    for failure in report.failures:
        groups.add(failure_key(failure), failure)
    shown = groups.largest(MOST_SHOWN)
    yield from group_lines(shown, sample="first")
    more = total - sum(group.count for group in shown)
    if more:
        yield Text(f"  ... and {more:,} more (--output json has {_recorded(report)})")


def _recorded(report: ExecutionReport) -> str:
    return f"the first {len(report.failures):,}" if report.failures_omitted else "all"


def _held_lines(report: ExecutionReport) -> Iterator[Text]:
    if not report.held:
        return
    yield Text(f"{plural(len(report.held), 'message')} still held, and given back", style="bold yellow")
    longest = sorted(report.held, key=lambda held: -held.seconds)
    for held in longest[:MOST_SHOWN]:
        place = f"{held.route}/{held.stage}" if held.stage else held.route
        reason = f": {clean(held.reason, limit=PREVIEW_LIMIT)}" if held.reason else ""
        yield Text(
            f"  {clean(place)}  message {clean(held.message_id)} for {held.seconds:.1f} s"
            f"{_HOLDERS.get(held.by, '')}{reason}"
        )
    if len(longest) > MOST_SHOWN:
        yield Text(f"  ... and {len(longest) - MOST_SHOWN:,} more (--output json has all)")


def _blocker_lines(report: ExecutionReport) -> Iterator[Text]:
    longest = sorted(report.blockers, key=lambda blocker: -blocker.longest_seconds)
    for blocker in longest[:MOST_SHOWN]:
        yield Text(clean(str(blocker), limit=ERROR_LIMIT), style="bold yellow")
    if len(longest) > MOST_SHOWN:
        yield Text(
            f"... and {plural(len(longest) - MOST_SHOWN, 'more stage')} that held the loop (--output json has all)"
        )


def _orphan_lines(report: ExecutionReport) -> Iterator[Text]:
    for orphan in report.orphans:
        of = f"subscription {orphan.subscription} of {orphan.queue}" if orphan.subscription else orphan.queue
        yield Text(
            f"{plural(orphan.messages, 'message')} in {clean(of)}, which no route reads; a warning above says what to do",
            style="bold yellow",
        )


def _close_lines(report: ExecutionReport) -> Iterator[Text]:
    for error in report.close_errors:
        yield Text(f"while closing: {clean(error, limit=ERROR_LIMIT)}", style="yellow")


def _lineage_lines(report: ExecutionReport) -> Iterator[Text]:
    lineage = report.lineage
    if lineage is None or not (lineage.lost or lineage.errors):
        return
    failed = f", {plural(lineage.errors, 'write')} failed" if lineage.errors else ""
    last = f", last with {clean(lineage.last_error, limit=ERROR_LIMIT)}" if lineage.last_error else ""
    text = f"lineage: {lineage.lost:,} of {plural(lineage.recorded, 'row')} lost{failed}{last}"
    yield Text(text, style="bold yellow" if lineage.lost else "yellow")


def _lineage_document(counts: LineageCounts | None) -> dict[str, object] | None:
    return None if counts is None else asdict(counts)


def report_document(end: SessionEnd) -> dict[str, object]:
    """Return the JSON form of the report. Keys are only ever added."""
    interrupted_by = end.interrupted_by.name if end.interrupted_by else None
    report = end.report
    if report is None:
        return {
            "status": str(ExecutionStatus.CANCELLED),
            "error": "interrupted before it had started",
            "interrupted_by": interrupted_by,
        }
    return {
        "status": str(report.status),
        "error": report.error,
        "interrupted_by": interrupted_by,
        "execution_id": report.execution_id,
        "name": report.name,
        "config_hash": report.config_hash,
        "duration_seconds": report.duration_seconds,
        "outcomes": {str(outcome): count for outcome, count in report.outcomes.items()},
        "routes": {name: _route_document(route) for name, route in report.routes.items()},
        "failures": [_failure_document(failure) for failure in report.failures],
        "failures_omitted": report.failures_omitted,
        "held": [_held_document(held) for held in report.held],
        "close_errors": list(report.close_errors),
        "orphans": [
            {"queue": orphan.queue, "subscription": orphan.subscription, "messages": orphan.messages}
            for orphan in report.orphans
        ],
        "limits": {name: limit_document(limit) for name, limit in report.limits.items()},
        "blockers": [_blocker_document(blocker) for blocker in report.blockers],
        "lineage": _lineage_document(report.lineage),
    }


def _route_document(route: RouteStatistics) -> dict[str, object]:
    return {
        "name": route.name,
        "outcomes": {str(outcome): count for outcome, count in route.outcomes.items()},
        "received": route.received,
        "emitted": route.emitted,
        "skipped": route.skipped,
        "redelivered": route.redelivered,
        "waiting": route.waiting,
        "limit": route.limit,
    }


def _failure_document(failure: FailureRecord) -> dict[str, object]:
    return {
        "route": failure.route,
        "stage": failure.stage,
        "error_type": failure.error_type,
        "error": failure.error,
        "message_id": failure.message_id,
        "correlation_id": failure.correlation_id,
        "attempts": failure.attempts,
        "place": failure.place,
        "payload_preview": failure.payload_preview,
    }


def _held_document(held: HeldMessage) -> dict[str, object]:
    return {
        "route": held.route,
        "stage": held.stage,
        "message_id": held.message_id,
        "seconds": held.seconds,
        "by": str(held.by),
        "reason": held.reason,
    }


def _blocker_document(blocker: Blocker) -> dict[str, object]:
    return {
        "route": blocker.route,
        "stage": blocker.stage,
        "call": blocker.call,
        "place": blocker.place,
        "longest_seconds": blocker.longest_seconds,
        "times": blocker.times,
        "remedy": blocker.remedy,
    }
