"""`factflow lineage stats`: counts, durations and waits by stage."""

from pathlib import Path

import click

from factflow_engine.cli.console import output
from factflow_engine.cli.exit_status import ExitStatus
from factflow_engine.cli.json_output import print_document
from factflow_engine.cli.lineage_store import store_options, visit_selection_options, with_lineage
from factflow_engine.cli.options import debug_option, table_output_option
from factflow_engine.cli.settings import Layout, Settings
from factflow_engine.cli.tables import Cell, Column, Kind, Table, names, numbers
from factflow_engine.cli.times import duration
from factflow_protocols import LineageReader, LineageSelection, LineageStatistics


@click.command(
    "stats",
    short_help="Count visits and time them, by stage.",
    epilog="""\b
Examples:
  factflow lineage stats --since 1d
  factflow lineage stats --route parse --output json""",
)
@visit_selection_options
@store_options
@table_output_option
@debug_option
@click.pass_obj
def stats_command(
    settings: Settings,
    *,
    home: Path | None,
    url: str | None,
    selection: LineageSelection,
) -> int:
    """Count visits by stage and state, with median and 99th percentile of the adapter's durations, and messages by outcome.

    Reads every selected row: a second or two for a million of them. With --output plain the stages alone are printed:
    execution, route, stage, completed, failed, skipped, cancelled, pending, retried, p50, p99 and longest nanoseconds,
    nanoseconds of waiting, and what was waited for.
    """

    async def read(reader: LineageReader) -> LineageStatistics:
        return await reader.statistics(selection)

    found = with_lineage(home, url, read)
    if settings.as_json:
        document = {
            "stages": [each._asdict() for each in found.stages],
            "routes": [each._asdict() for each in found.routes],
        }
        print_document(document, settings)
        return ExitStatus.OK
    _stages_table(found, settings.layout).print(output(), settings.layout)
    if settings.layout is not Layout.PLAIN and found.routes:
        click.echo()
        _routes_table(found).print(output(), settings.layout)
    if not found.stages and not found.routes:
        click.echo("factflow: nothing is recorded that is selected", err=True)
    return ExitStatus.OK


def _counts(*titles: str) -> list[Column]:
    return [Column(title=title, kind=Kind.NUMBER, optional=True) for title in titles]


def _stages_table(found: LineageStatistics, layout: Layout) -> Table:
    several = len({each.execution_id for each in found.stages}) > 1 or layout is not Layout.TEXT
    table = Table(
        Column(title="execution", optional=True),
        *names("route", "stage"),
        *numbers("completed"),
        *_counts("failed", "skipped", "cancelled", "pending", "retried"),
        *(numbers("p50", "p99", "longest")),
        Column(title="waited", kind=Kind.NUMBER, optional=True),
        Column(title="for", optional=True),
    )
    for each in found.stages:
        times: list[str | int] = [each.p50_ns, each.p99_ns, each.most_ns, each.waited_ns]
        if layout is not Layout.PLAIN:
            times = [duration(int(time)) if time else "" for time in times]
        table.add(
            each.execution_id if several else "",
            each.route,
            each.stage,
            each.statuses.get("completed", 0),
            Cell(each.statuses.get("failed", 0), "red"),
            each.statuses.get("skipped", 0),
            each.statuses.get("cancelled", 0),
            each.statuses.get("pending", 0),
            each.retried,
            *times,
            ", ".join(list(each.waits)[:3]),
        )
    return table


def _routes_table(found: LineageStatistics) -> Table:
    several = len({each.execution_id for each in found.routes}) > 1
    table = Table(
        Column(title="execution", optional=True),
        *names("route"),
        *numbers("completed"),
        *_counts("filtered", "dead-lettered", "failed"),
    )
    for each in found.routes:
        table.add(
            each.execution_id if several else "",
            each.route,
            each.outcomes.get("completed", 0),
            each.outcomes.get("filtered", 0),
            Cell(each.outcomes.get("dead_lettered", 0), "red"),
            Cell(each.outcomes.get("failed", 0), "red"),
        )
    return table
