"""`factflow config list`: the configurations in the home."""

from collections.abc import Sequence
from pathlib import Path

import click

from factflow_engine.cli.building import app_for
from factflow_engine.cli.console import output
from factflow_engine.cli.home import home_of, home_option, is_there, nothing_there
from factflow_engine.cli.home_store import in_store
from factflow_engine.cli.json_output import print_document
from factflow_engine.cli.options import adapters_option, debug_option, no_imports_option, table_output_option
from factflow_engine.cli.settings import Settings
from factflow_engine.cli.stored import checked_config, config_document, state_of, time_of
from factflow_engine.cli.tables import Cell, Table, names, numbers, prose
from factflow_engine.executions import Executions, StoredConfig


@click.command("list", short_help="List the configurations in the home.")
@click.option("--active/--inactive", default=None, help="Only those that may be run, or only those that may not.")
@adapters_option
@no_imports_option
@home_option
@table_output_option
@debug_option
@click.pass_obj
def list_command(
    settings: Settings, *, active: bool | None, adapter_modules: tuple[str, ...], no_imports: bool, home: Path | None
) -> None:
    """List the latest version of each configuration in the home, and what is wrong with it now.

    The state is computed anew, with the adapters that are installed or named with --adapters: a configuration that was
    saved without errors may have some by now.
    """
    place = home_of(home)

    async def look(executions: Executions) -> Sequence[StoredConfig]:
        return await executions.store.configs(active=active)

    found = in_store(place, look) if is_there(place) else []
    app = app_for(adapter_modules, imports=not no_imports)
    results = [(stored, checked_config(app, stored, imports=not no_imports)) for stored in found]
    if settings.as_json:
        print_document({"configs": [config_document(stored, result) for stored, result in results]}, settings)
        return
    table = Table(*names("name", "id"), *numbers("version"), *names("active", "saved"), *prose("state"))
    for stored, result in results:
        state = Cell(state_of(stored, result), "" if result.is_valid else "bold red")
        table.add(
            stored.name, stored.id, stored.version, "yes" if stored.active else "no", time_of(stored.saved_ns), state
        )
    if results:
        table.print(output(), settings.layout)
    else:
        said = f"no configuration in home {place.path}" if place.exists() else nothing_there(place)
        click.echo(f"factflow: {said}", err=True)
