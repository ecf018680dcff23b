"""`factflow lineage`: read what happened to each message."""

from typing import Final

import click

from factflow_engine.cli.lazy import LazyCommand, LazyGroup

_COMMANDS: Final = {
    "list": LazyCommand(
        target="factflow_engine.cli.lineage_list:list_command",
        summary="List visits of messages to stages.",
    ),
    "chain": LazyCommand(
        target="factflow_engine.cli.lineage_family:chain_command",
        summary="Show where a message came from, up to its root.",
    ),
    "children": LazyCommand(
        target="factflow_engine.cli.lineage_family:children_command",
        summary="List what a message became.",
    ),
    "failures": LazyCommand(
        target="factflow_engine.cli.lineage_list:failures_command",
        summary="List messages that failed or were dead-lettered.",
    ),
    "stats": LazyCommand(
        target="factflow_engine.cli.lineage_stats:stats_command",
        summary="Count visits and time them, by stage.",
    ),
    "sql": LazyCommand(
        target="factflow_engine.cli.lineage_sql:sql_command",
        summary="Ask a question in SQL.",
    ),
    "export": LazyCommand(
        target="factflow_engine.cli.lineage_export:export_command",
        summary="Write rows as JSON lines or Parquet.",
    ),
}


@click.group(
    "lineage",
    cls=LazyGroup,
    commands_by_name=_COMMANDS,
    short_help="Read what happened to each message.",
)
def lineage_group() -> None:
    """Read what happened to each message, as pipelines with `lineage: {mode: full}` record it."""
