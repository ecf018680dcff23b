"""`factflow adapters list`: the adapter types with a line on each."""

import click
from rich.text import Text

from factflow_engine.adapters import AdapterSpec
from factflow_engine.cli.building import app_for
from factflow_engine.cli.console import output, table_for
from factflow_engine.cli.exit_status import ExitStatus
from factflow_engine.cli.json_output import print_document
from factflow_engine.cli.options import adapters_option, debug_option, output_option
from factflow_engine.cli.settings import Settings
from factflow_engine.cli.text import clean


@click.command("list", short_help="List the adapter types with a line on each.")
@adapters_option
@output_option
@debug_option
@click.pass_obj
def list_command(settings: Settings, *, adapter_modules: tuple[str, ...]) -> int:
    """List the adapter types: built in, of installed plug-ins, and of the modules named."""
    registry = app_for(adapter_modules).registry
    specs = [registry.get(name) for name in registry.types()]
    if settings.as_json:
        print_document({"adapters": [spec_document(spec) for spec in specs]}, settings)
        return ExitStatus.OK
    console = output()
    table = table_for(console)
    table.add_column("type", no_wrap=True)
    table.add_column("what it does", overflow="fold")
    table.add_column("needs", overflow="fold")
    for spec in specs:
        table.add_row(Text(clean(spec.type), style="bold"), Text(clean(spec.summary)), Text(needs_text(spec)))
    console.print(table)
    return ExitStatus.OK


def needs_text(spec: AdapterSpec) -> str:
    """Return the extra that the adapter needs; empty if it needs none."""
    return f"factflow-engine[{clean(spec.requires_extra)}]" if spec.requires_extra else ""


def spec_document(spec: AdapterSpec) -> dict[str, object]:
    """Return the JSON form of an adapter type."""
    return {
        "type": spec.type,
        "summary": spec.summary,
        "class": f"{spec.adapter_class.__module__}.{spec.adapter_class.__qualname__}",
        "takes_config": spec.config_model is not None,
        "is_sync": spec.is_sync,
        "is_stateful": spec.is_stateful,
        "requires_extra": spec.requires_extra,
    }
