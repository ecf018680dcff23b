"""`factflow execution routes`: the routes of an execution, live or final."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from factflow_engine.cli.console import output
from factflow_engine.cli.home import home_option
from factflow_engine.cli.home_store import execution_of
from factflow_engine.cli.json_output import print_document
from factflow_engine.cli.options import debug_option, table_output_option
from factflow_engine.cli.settings import Settings
from factflow_engine.cli.stored import counts_of
from factflow_engine.cli.tables import Column, Table, names, numbers

_COUNTS = (
    "received", "completed", "filtered", "dead_lettered", "failed", "in_flight", "retrying", "waiting", "emitted", "limit",
)  # fmt: skip


@click.command("routes", short_help="Print the routes of an execution, live or final.")
@click.argument("execution", metavar="ID")
@home_option
@table_output_option
@debug_option
@click.pass_obj
def routes_command(settings: Settings, *, execution: str, home: Path | None) -> None:
    """Print the counters of each route of execution ID, with its limit and the reasons why it is paused.

    Of a running execution they are about a second old; of one that has ended they are those of its report.
    """
    found = execution_of(home, execution)
    counts = counts_of(found)
    if settings.as_json:
        document = {"id": found.id, "status": str(found.status), "routes": counts.get("routes", {})}
        print_document(document, settings)
    elif counts:
        routes_table(counts).print(output(), settings.layout)
    else:
        click.echo(f"factflow: execution {found.id} has stored no counts", err=True)


def routes_table(counts: Mapping[str, Any]) -> Table:
    """Return the counters of the routes in a stored report, or in stored statistics."""
    titles = [name.replace("_", "-") for name in _COUNTS]
    table = Table(*names("route"), *numbers(*titles), Column(title="paused", optional=True))
    for route_id, route in counts.get("routes", {}).items():
        pauses = ", ".join(map(str, route.get("pauses", ())))
        table.add(route_id, *(int(route.get(name, 0)) for name in _COUNTS), pauses)
    return table
