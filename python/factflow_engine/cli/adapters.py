"""`factflow adapters`: the adapter types that a configuration may use."""

from typing import Final

import click

from factflow_engine.cli.lazy import LazyCommand, LazyGroup

_COMMANDS: Final = {
    "list": LazyCommand(
        target="factflow_engine.cli.adapters_list:list_command",
        summary="List the adapter types with a line on each.",
    ),
    "show": LazyCommand(
        target="factflow_engine.cli.adapters_show:show_command",
        summary="Describe one adapter type: its fields, and an example.",
    ),
}


@click.group(
    "adapters",
    cls=LazyGroup,
    commands_by_name=_COMMANDS,
    short_help="List and describe the adapters that are installed.",
)
def adapters_group() -> None:
    """List and describe the adapters that are installed."""
