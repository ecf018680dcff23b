"""`factflow lineage list` and `failures`: rows that are selected, newest first."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from operator import attrgetter
from pathlib import Path

import click
from rich.text import Text

from factflow_engine.cli.console import output
from factflow_engine.cli.exit_status import ExitStatus
from factflow_engine.cli.json_output import print_document
from factflow_engine.cli.lineage_store import (
    error_of,
    reason_of,
    row_document,
    selection_options,
    store_options,
    visit_selection_options,
    with_lineage,
)
from factflow_engine.cli.options import debug_option, table_output_option
from factflow_engine.cli.settings import Layout, Settings
from factflow_engine.cli.tables import Cell, Column, Kind, Table, names, numbers, prose
from factflow_engine.cli.text import clean
from factflow_engine.cli.times import duration, when
from factflow_protocols import LineageEntry, LineageReader, LineageSelection, OutcomeEntry

STYLES = {"failed": "red", "dead_lettered": "red", "cancelled": "yellow", "pending": "yellow", "skipped": "dim"}
"""Styles of states and outcomes on a terminal."""

_limit_option = click.option(
    "--limit",
    type=click.IntRange(min=1, max=100_000),
    default=20,
    show_default=True,
    help="Rows to list, newest first.",
)


@click.command(
    "list",
    short_help="List visits of messages to stages.",
    epilog="""\b
Examples:
  factflow lineage list --status failed --since 2h
  factflow lineage list --route parse --output plain | cut -f1 | sort -u""",
)
@visit_selection_options
@_limit_option
@store_options
@table_output_option
@debug_option
@click.pass_obj
def list_command(
    settings: Settings,
    *,
    home: Path | None,
    url: str | None,
    selection: LineageSelection,
    limit: int,
) -> int:
    """List visits of messages to stages, those of the newest messages first.

    With --output plain: message, time (UTC), execution, route, stage, attempt, status, nanoseconds, nanoseconds of waiting,
    what was waited for, and the error or the reason.
    """
    newest = replace(selection, newest_first=True)

    async def read(reader: LineageReader) -> list[LineageEntry]:
        return list(await reader.visits(newest, limit=limit + 1))

    found = with_lineage(home, url, read)
    rows, more = found[:limit], len(found) > limit
    if settings.as_json:
        print_document({"visits": [row_document(row) for row in rows], "more": more}, settings)
        return ExitStatus.OK
    console = output()
    if settings.layout is Layout.TEXT:
        for line in _visit_lines(rows):
            console.print(line, soft_wrap=True)
    else:
        _visits_table(rows).print(console, settings.layout)
    _say_more(len(rows), "visit", more=more)
    return ExitStatus.OK


@click.command(
    "failures",
    short_help="List messages that failed or were dead-lettered.",
    epilog="""\b
Examples:
  factflow lineage failures --since 1d
  factflow lineage failures --execution 018f3c2a9b7c4d5e8f90a1b2c3d4e5f6 --output json""",
)
@selection_options
@_limit_option
@store_options
@table_output_option
@debug_option
@click.pass_obj
def failures_command(
    settings: Settings,
    *,
    home: Path | None,
    url: str | None,
    selection: LineageSelection,
    limit: int,
) -> int:
    """List messages that failed or were dead-lettered, the newest messages first.

    With --output plain: message, time (UTC), execution, route, outcome, attempts and error.
    """
    newest = replace(selection, outcomes=frozenset({"failed", "dead_lettered"}), newest_first=True)

    async def read(reader: LineageReader) -> list[OutcomeEntry]:
        return list(await reader.outcomes(newest, limit=limit + 1))

    found = with_lineage(home, url, read)
    rows, more = found[:limit], len(found) > limit
    if settings.as_json:
        print_document({"failures": [row_document(row) for row in rows], "more": more}, settings)
        return ExitStatus.OK
    is_wide = settings.layout is not Layout.TEXT
    table = Table(
        *names("message", *(("time", "execution") if is_wide else ()), "route", "outcome"),
        Column(title="attempts", kind=Kind.NUMBER),
        *prose("error"),
    )
    for row in rows:
        table.add(
            row.message_id.hex(),
            *((when(row.ended_ns), row.execution_id) if is_wide else ()),
            row.route,
            Cell(row.outcome, STYLES.get(row.outcome, "")),
            row.attempts,
            Cell(error_of(row), "red"),
        )
    table.print(output(), settings.layout)
    _say_more(len(rows), "failure", more=more)
    return ExitStatus.OK


def _visit_lines(rows: Sequence[LineageEntry]) -> Iterator[Text]:
    """Yield the visits for people, those of one message in the order in which they were made."""
    places = {row: clean(f"{row.route}/{row.stage}") for row in rows}
    width = max(map(len, places.values()), default=0)
    for _, same in groupby(rows, key=attrgetter("message_id", "execution_id")):
        for row in sorted(same, key=attrgetter("started_ns", "attempt", "position")):
            took = duration(row.duration_ns) if row.duration_ns else ""
            style = STYLES.get(row.status, "")
            line = Text.assemble(
                f"{row.message_id.hex()}  {places[row]:<{width}}  ", (f"{row.status:<9}", style), f"  {took:>8}"
            )
            line.rstrip()
            yield line
            waited = f"waited {duration(row.waited_ns)} for {row.waited_for or 'something'}" if row.waited_ns else ""
            attempt = f"attempt {row.attempt}" if row.attempt > 1 else ""
            said = error_of(row) or reason_of(row)
            if waited or attempt or said:
                yield Text(f"    {clean(', '.join(filter(None, [attempt, waited, said])))}", style=style)


def _visits_table(rows: Sequence[LineageEntry]) -> Table:
    table = Table(
        *names("message", "time", "execution", "route", "stage"),
        *numbers("attempt"),
        *names("status"),
        *numbers("took ns", "waited ns"),
        *names("waited for"),
        *prose("error or reason"),
    )
    for row in rows:
        style = STYLES.get(row.status, "")
        table.add(
            row.message_id.hex(),
            when(row.started_ns),
            row.execution_id,
            row.route,
            row.stage,
            row.attempt,
            Cell(row.status, style),
            row.duration_ns,
            row.waited_ns,
            row.waited_for or "",
            Cell(error_of(row) or reason_of(row), style),
        )
    return table


def _say_more(count: int, noun: str, *, more: bool) -> None:
    if not count:
        click.echo(f"factflow: no {noun} is recorded that is selected", err=True)
    elif more:
        click.echo(f"factflow: the {count:,} newest {noun}s listed; --limit lists more", err=True)
