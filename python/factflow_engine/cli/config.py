"""`factflow config`: check configurations, and keep them in the home, to be run by name."""

from typing import Final

import click

from factflow_engine.cli.lazy import LazyCommand, LazyGroup

_COMMANDS: Final = {
    "create": LazyCommand(
        target="factflow_engine.cli.config_create:create_command",
        summary="Save a configuration in the home.",
    ),
    "list": LazyCommand(
        target="factflow_engine.cli.config_list:list_command",
        summary="List the configurations in the home.",
    ),
    "get": LazyCommand(
        target="factflow_engine.cli.config_get:get_command",
        summary="Show a configuration of the home.",
    ),
    "edit": LazyCommand(
        target="factflow_engine.cli.config_edit:edit_command",
        summary="Save another version of a configuration.",
    ),
    "delete": LazyCommand(
        target="factflow_engine.cli.config_delete:delete_command",
        summary="Remove a configuration from the home.",
    ),
    "run": LazyCommand(
        target="factflow_engine.cli.config_run:run_command",
        summary="Run a configuration of the home to its end.",
    ),
    "validate": LazyCommand(
        target="factflow_engine.cli.config_validate:validate_command",
        summary="Check a configuration, or all in a folder.",
    ),
    "check": LazyCommand(
        target="factflow_engine.cli.config_check:check_command",
        summary="Prove or refute properties of a pipeline's routing.",
    ),
    "diff": LazyCommand(
        target="factflow_engine.cli.config_diff:diff_command",
        summary="Show messages that two versions of a pipeline treat differently.",
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
    short_help="Check configurations, and keep them by name.",
)
def config_group() -> None:
    """Check configurations, keep them in the home, run them by name, and print their schema."""
