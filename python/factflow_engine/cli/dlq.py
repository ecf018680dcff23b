"""`factflow dlq`: list, show, requeue and purge dead letters."""

from typing import Final

import click

from factflow_engine.cli.lazy import LazyCommand, LazyGroup

_COMMANDS: Final = {
    "list": LazyCommand(
        target="factflow_engine.cli.dlq_list:list_command",
        summary="List the dead letters of a queue and count them by error.",
    ),
    "show": LazyCommand(
        target="factflow_engine.cli.dlq_show:show_command",
        summary="Show one dead letter in full.",
    ),
    "requeue": LazyCommand(
        target="factflow_engine.cli.dlq_requeue:requeue_command",
        summary="Put dead letters back where they came from.",
    ),
    "purge": LazyCommand(
        target="factflow_engine.cli.dlq_purge:purge_command",
        summary="Delete dead letters.",
    ),
}


@click.group(
    "dlq",
    cls=LazyGroup,
    commands_by_name=_COMMANDS,
    short_help="List, show, put back and delete dead letters.",
)
def dlq_group() -> None:
    """List, show, put back and delete dead letters of durable queues."""
