"""`factflow config delete`: remove a configuration from the home."""

from pathlib import Path

import click

from factflow_engine.cli.confirmation import confirmed
from factflow_engine.cli.console import output
from factflow_engine.cli.exit_status import ExitStatus
from factflow_engine.cli.home import existing, home_of, home_option
from factflow_engine.cli.home_store import in_store
from factflow_engine.cli.json_output import print_document
from factflow_engine.cli.options import debug_option, output_option
from factflow_engine.cli.settings import Settings
from factflow_engine.cli.stored import config_document
from factflow_engine.cli.text import clean, plural
from factflow_engine.executions import Executions, StoredConfig


@click.command("delete", short_help="Remove a configuration from the home.")
@click.argument("name")
@click.option("--force", is_flag=True, help="Remove it although it is running: what runs goes on.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@home_option
@output_option
@debug_option
@click.pass_obj
def delete_command(settings: Settings, *, name: str, force: bool, yes: bool, home: Path | None) -> int:
    """Remove the configuration NAME with all its versions. Its executions stay, each with its own copy."""
    place = existing(home_of(home))

    async def look(executions: Executions) -> StoredConfig:
        return await executions.store.config(name)

    stored = in_store(place, look)
    question = f"Delete configuration {clean(stored.name)} with {plural(stored.latest, 'version')}?"
    if not yes and not confirmed(question, settings, asker="deleting"):
        return ExitStatus.FAILED

    async def delete(executions: Executions) -> None:
        await executions.store.delete_config(stored.id, force=force)

    in_store(place, delete)
    if settings.as_json:
        print_document({"status": "deleted", **config_document(stored)}, settings)
    else:
        output().print(f"deleted {clean(stored.name)}  {stored.id}", soft_wrap=True)
    return ExitStatus.OK
