"""`factflow execution get`: one recorded execution."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from factflow_engine.cli.console import output
from factflow_engine.cli.execution_routes import routes_table
from factflow_engine.cli.home import home_option
from factflow_engine.cli.home_store import execution_of
from factflow_engine.cli.json_output import print_document
from factflow_engine.cli.options import debug_option, table_output_option
from factflow_engine.cli.settings import Settings
from factflow_engine.cli.stored import age_of, counts_of, execution_document, time_of
from factflow_engine.cli.text import clean
from factflow_engine.executions import StoredExecution

_MOST_SHOWN = 10
"""Most failures and held messages that are shown to people."""


@click.command("get", short_help="Show an execution and its report.")
@click.argument("execution", metavar="ID")
@home_option
@table_output_option
@debug_option
@click.pass_obj
def get_command(settings: Settings, *, execution: str, home: Path | None) -> None:
    """Show the execution ID: its state, its origin, and its report, or its latest counts if it has none.

    With --output json also its snapshot, the configuration that it runs.
    """
    found = execution_of(home, execution)
    if settings.as_json:
        print_document(execution_document(found), settings)
        return
    console = output()
    for title, value in _lines(found):
        console.print(f"{title + ':':<15}{clean(value)}", soft_wrap=True)
    counts = counts_of(found)
    if counts:
        console.print()
        routes_table(counts).print(console, settings.layout)
    failures: list[dict[str, Any]] = counts.get("failures", [])
    for failure in failures[:_MOST_SHOWN]:
        place = "/".join(str(failure[part]) for part in ("route", "stage") if failure.get(part))
        text = f"{place}: {failure.get('error_type')}: {failure.get('error')}  message {failure.get('message_id')}"
        console.print(clean(text), style="red", soft_wrap=True)
    more = len(failures) + int(counts.get("failures_omitted", 0)) - _MOST_SHOWN
    if more > 0:
        console.print(f"... and {more:,} more failures (--output json has those that are stored)")


def _lines(found: StoredExecution) -> Iterator[tuple[str, str]]:
    yield "execution", found.id
    if found.scope != found.id:
        yield "runs as", found.scope
    yield "pipeline", found.name
    yield "status", f"{found.status}{', asked to cancel' if found.cancel_requested and found.ended_ns is None else ''}"
    if found.error:
        yield "error", found.error
    if found.config_id is not None:
        yield "configuration", f"{found.config_id} version {found.config_version}"
    yield "hash", found.config_hash
    for title, value in (
        ("tag", found.tag),
        ("parent", found.parent),
        ("recovered by", found.recovered_by),
        ("key", found.idempotency_key),
        ("queue", found.queue),
    ):
        if value:
            yield title, value
    for name, item in found.metadata.items():
        yield "metadata", f"{name} = {item}"
    yield "started", f"{time_of(found.started_ns)} on {found.host}, process {found.pid}"
    if found.ended_ns is None:
        yield "last seen", time_of(found.seen_ns)
    else:
        yield "ended", f"{time_of(found.ended_ns)}, after {age_of(found.started_ns, found.ended_ns)}"
