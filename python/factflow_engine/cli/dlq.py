"""`factflow dlq`: list, show and requeue dead letters."""

from typing import Final

import click

from factflow_engine.cli.lazy import LazyCommand, LazyGroup

_COMMANDS: Final = {
    "list": LazyCommand(
        target="factflow_engine.cli.dlq_list:list_command",
        summary="List the dead letters of a queue with what became of each.",
    ),
    "show": LazyCommand(
        target="factflow_engine.cli.dlq_show:show_command",
        summary="Show one dead letter in full.",
    ),
    "requeue": LazyCommand(
        target="factflow_engine.cli.dlq_requeue:requeue_command",
        summary="Put dead letters back where they came from.",
    ),
}


@click.group(
    "dlq",
    cls=LazyGroup,
    commands_by_name=_COMMANDS,
    short_help="List, show and put back dead letters.",
)
def dlq_group() -> None:
    """List, show and put back dead letters of durable queues."""
