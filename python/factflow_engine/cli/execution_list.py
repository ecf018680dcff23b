"""`factflow execution list`: the recorded executions."""

from collections.abc import Sequence
from pathlib import Path

import click

from factflow_engine.cli.console import output
from factflow_engine.cli.home import home_of, home_option, is_there, nothing_there
from factflow_engine.cli.home_store import in_store
from factflow_engine.cli.json_output import print_document
from factflow_engine.cli.options import debug_option, table_output_option
from factflow_engine.cli.settings import Settings
from factflow_engine.cli.stored import age_of, execution_document, status_cell, time_of
from factflow_engine.cli.tables import Column, Table, names
from factflow_engine.executions import ExecutionFilter, Executions, ExecutionSummary
from factflow_engine.runtime.report import ExecutionStatus

_STATES = [str(status) for status in ExecutionStatus if status is not ExecutionStatus.STARTING]


@click.command(
    "list",
    short_help="List recorded executions, the latest first.",
    epilog="""\b
Examples:
  factflow execution list
  factflow execution list --status interrupted
  factflow execution list --config nightly --limit 5 --output json""",
)
@click.option("--status", type=click.Choice(_STATES), help="Only those in this state.")
@click.option("--config", "config_name", metavar="NAME", help="Only those of this configuration of the home.")
@click.option("--tag", metavar="TEXT", help="Only those with this tag.")
@click.option("--parent", metavar="ID", help="Only those that replay, fork or recover this one.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=20, show_default=True, help="Most to list.")
@click.option("--before", metavar="ID", help="Only those that are listed after this one: the next page.")
@home_option
@table_output_option
@debug_option
@click.pass_obj
def list_command(
    settings: Settings,
    *,
    status: str | None,
    config_name: str | None,
    tag: str | None,
    parent: str | None,
    limit: int,
    before: str | None,
    home: Path | None,
) -> None:
    """List the executions that the home has recorded, of all processes, the latest first.

    An execution whose process has died shows as `interrupted`, at most 15 seconds later.
    """
    place = home_of(home)

    async def look(executions: Executions) -> Sequence[ExecutionSummary]:
        store = executions.store
        chosen = ExecutionFilter(
            status=None if status is None else ExecutionStatus(status),
            config_id=None if config_name is None else (await store.config(config_name)).id,
            tag=tag,
            parent=None if parent is None else (await store.execution(parent)).id,
            limit=limit,
            before=None if before is None else (await store.execution(before)).id,
        )
        return await store.executions(chosen)

    found = in_store(place, look) if is_there(place) else []
    if settings.as_json:
        print_document({"executions": [execution_document(one) for one in found]}, settings)
        return
    table = Table(
        *names("id", "name", "status", "started", "took"),
        Column(title="tag", optional=True),
        Column(title="recovered by", optional=True),
    )
    for one in found:
        end_ns = one.seen_ns if one.ended_ns is None else one.ended_ns
        took = age_of(one.started_ns, end_ns)
        table.add(one.id, one.name, status_cell(one), time_of(one.started_ns), took, one.tag, one.recovered_by or "")
    if found:
        table.print(output(), settings.layout)
    else:
        said = f"no such execution in home {place.path}" if place.exists() else nothing_there(place)
        click.echo(f"factflow: {said}", err=True)
