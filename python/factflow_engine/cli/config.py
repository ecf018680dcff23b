"""`factflow config`: check and describe configurations without running them."""

from typing import Final

import click

from factflow_engine.cli.lazy import LazyCommand, LazyGroup

_COMMANDS: Final = {
    "validate": LazyCommand(
        target="factflow_engine.cli.config_validate:validate_command",
        summary="Check a configuration, or all in a folder.",
    ),
    "schema": LazyCommand(
        target="factflow_engine.cli.config_schema:schema_command",
        summary="Print the JSON Schema of configurations.",
    ),
    "codes": LazyCommand(
        target="factflow_engine.cli.config_codes:codes_command",
        summary="Print the catalogue of finding codes.",
    ),
}


@click.group(
    "config",
    cls=LazyGroup,
    commands_by_name=_COMMANDS,
    short_help="Check configurations and print their schema.",
)
def config_group() -> None:
    """Check configurations and print their schema."""
