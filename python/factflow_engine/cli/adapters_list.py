"""`factflow adapters list`: the adapter types with a line on each."""

import click

from factflow_engine.adapters import AdapterSpec
from factflow_engine.cli.building import app_for
from factflow_engine.cli.console import output
from factflow_engine.cli.exit_status import ExitStatus
from factflow_engine.cli.json_output import print_document
from factflow_engine.cli.options import adapters_option, debug_option, table_output_option
from factflow_engine.cli.settings import Settings
from factflow_engine.cli.tables import Cell, Column, Table, names, prose


@click.command("list", short_help="List the adapter types with a line on each.")
@adapters_option
@table_output_option
@debug_option
@click.pass_obj
def list_command(settings: Settings, *, adapter_modules: tuple[str, ...]) -> int:
    """List the adapter types: built in, of installed plug-ins, and of the modules named.

    With --output plain: type, description, and the extra that it needs, if any, as in factflow-engine[http].
    """
    registry = app_for(adapter_modules).registry
    specs = [registry.get(name) for name in registry.types()]
    if settings.as_json:
        print_document({"adapters": [spec_document(spec) for spec in specs]}, settings)
        return ExitStatus.OK
    table = Table(*names("type"), *prose("description"), Column(title="extra", optional=True))
    for spec in specs:
        table.add(Cell(spec.type, "bold"), spec.summary, spec.requires_extra or "")
    table.print(output(), settings.layout)
    return ExitStatus.OK


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
