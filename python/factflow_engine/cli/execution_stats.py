"""`factflow execution stats`: the counts of an execution, live or final."""

from pathlib import Path

import click

from factflow_engine.cli.console import output
from factflow_engine.cli.home import home_option
from factflow_engine.cli.home_store import execution_of
from factflow_engine.cli.json_output import print_document
from factflow_engine.cli.options import debug_option, table_output_option
from factflow_engine.cli.settings import Settings
from factflow_engine.cli.stored import counts_of, time_of
from factflow_engine.cli.tables import Cell, Column, Kind, Table, names

_OUTCOMES = ("completed", "filtered", "dead_lettered", "failed")
_NOW = ("in_flight", "retrying", "waiting")


@click.command("stats", short_help="Print the counts of an execution, live or final.")
@click.argument("execution", metavar="ID")
@home_option
@table_output_option
@debug_option
@click.pass_obj
def stats_command(settings: Settings, *, execution: str, home: Path | None) -> None:
    """Print the counts of execution ID over all its routes, and what its messages wait for.

    Of a running execution they are about a second old; of one that has ended they are those of its report.
    """
    found = execution_of(home, execution)
    counts = counts_of(found)
    routes = list(counts.get("routes", {}).values())
    sums = {
        name: sum(int(route.get(name, 0)) for route in routes) for name in (*_OUTCOMES, *_NOW, "received", "emitted")
    }
    seconds = counts.get("elapsed_seconds", counts.get("duration_seconds"))
    if settings.as_json:
        document: dict[str, object] = {
            "id": found.id,
            "status": str(found.status),
            "is_final": found.report is not None,
            "seen": time_of(found.seen_ns),
            "seconds": seconds,
            "counts": sums,
            **{name: counts[name] for name in ("waits", "stalled", "limits", "lineage") if name in counts},
        }
        print_document(document, settings)
        return
    table = Table(*names("count"), Column(title="messages", kind=Kind.NUMBER))
    for name, count in sums.items():
        table.add(name.replace("_", "-"), Cell(count, "bold red" if name == "failed" and count else ""))
    console = output()
    final = "" if found.report is not None else f", as of {time_of(found.seen_ns)}"
    took = "" if seconds is None else f" after {float(seconds):.1f} s"
    console.print(f"{found.status}{took}{final}", soft_wrap=True)
    table.print(console, settings.layout)
