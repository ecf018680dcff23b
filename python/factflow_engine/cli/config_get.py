"""`factflow config get`: one configuration of the home."""

from pathlib import Path

import click

from factflow_engine.cli.building import app_for
from factflow_engine.cli.console import messages, output
from factflow_engine.cli.findings import print_findings
from factflow_engine.cli.home import existing, home_of, home_option
from factflow_engine.cli.home_store import in_store
from factflow_engine.cli.json_output import print_document
from factflow_engine.cli.options import adapters_option, debug_option, no_imports_option, output_option
from factflow_engine.cli.settings import Settings
from factflow_engine.cli.stored import checked_config, config_document, state_of, time_of
from factflow_engine.cli.streams import results
from factflow_engine.cli.text import clean
from factflow_engine.executions import Executions, StoredConfig


@click.command("get", short_help="Show a configuration of the home.")
@click.argument("name")
@click.option("--version", type=click.IntRange(min=1), help="Version; by default the latest.")
@click.option("--yaml", "as_yaml", is_flag=True, help="Print the text alone, as it was written.")
@adapters_option
@no_imports_option
@home_option
@output_option
@debug_option
@click.pass_obj
def get_command(
    settings: Settings,
    *,
    name: str,
    version: int | None,
    as_yaml: bool,
    adapter_modules: tuple[str, ...],
    no_imports: bool,
    home: Path | None,
) -> None:
    """Show the configuration NAME, a name or an id or an unambiguous beginning of one, with its present findings."""

    async def look(executions: Executions) -> StoredConfig:
        return await executions.store.config(name, version=version)

    stored = in_store(existing(home_of(home)), look)
    if as_yaml and not settings.as_json:
        click.echo(stored.text, file=results(), nl=not stored.text.endswith("\n"))
        return
    result = checked_config(app_for(adapter_modules, imports=not no_imports), stored, imports=not no_imports)
    if settings.as_json:
        print_document({**config_document(stored, result), "yaml": stored.text}, settings)
        return
    print_findings(result, messages())
    console = output()
    for title, value in (
        ("name", stored.name),
        ("id", stored.id),
        ("version", f"{stored.version} of {stored.latest}"),
        ("saved", time_of(stored.saved_ns)),
        ("file", stored.file),
        ("directory", stored.directory),
        ("active", "yes" if stored.active else "no"),
        ("hash", stored.hash or "none: it could not be built"),
        ("state", state_of(stored, result)),
    ):
        console.print(f"{title + ':':<11}{clean(value)}", soft_wrap=True)
    console.print()
    for line in stored.text.splitlines():
        console.print(clean(line.replace("\t", "    ")), soft_wrap=True)
