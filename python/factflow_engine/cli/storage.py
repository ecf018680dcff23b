"""`factflow storage`: look into an object store, copy from it, and check it."""

from typing import Final

import click

from factflow_engine.cli.lazy import LazyCommand, LazyGroup

_COMMANDS: Final = {
    "list": LazyCommand(
        target="factflow_engine.cli.storage_list:list_command",
        summary="List the keys of objects.",
    ),
    "get": LazyCommand(
        target="factflow_engine.cli.storage_get:get_command",
        summary="Print an object.",
    ),
    "metadata": LazyCommand(
        target="factflow_engine.cli.storage_metadata:metadata_command",
        summary="Print what is known of an object.",
    ),
    "download": LazyCommand(
        target="factflow_engine.cli.storage_download:download_command",
        summary="Copy objects into a folder.",
    ),
    "verify": LazyCommand(
        target="factflow_engine.cli.storage_verify:verify_command",
        summary="Read every object and say what is wrong.",
    ),
}


@click.group(
    "storage",
    cls=LazyGroup,
    commands_by_name=_COMMANDS,
    short_help="Look into object stores, copy from them and check them.",
)
def storage_group() -> None:
    """Look into object stores, copy from them and check them, also while pipelines use them."""
