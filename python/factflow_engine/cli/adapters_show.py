"""`factflow adapters show`: one adapter type, its fields, and a stanza to start from."""

import inspect
from collections.abc import Iterator

import click
from rich.text import Text

from factflow_engine.adapters import AdapterSpec, ValidatingAdapterRegistry
from factflow_engine.cli.adapter_example import example_config, example_stanza
from factflow_engine.cli.adapters_list import spec_document
from factflow_engine.cli.building import app_for
from factflow_engine.cli.console import output
from factflow_engine.cli.exit_status import ExitStatus
from factflow_engine.cli.guard import InvalidInputError
from factflow_engine.cli.json_output import print_document
from factflow_engine.cli.options import adapters_option, debug_option, table_output_option
from factflow_engine.cli.schema_fields import SchemaField, fields_of
from factflow_engine.cli.settings import Layout, Settings
from factflow_engine.cli.tables import Cell, Table, names, prose
from factflow_engine.cli.text import clean
from factflow_engine.errors import AdapterNotFoundError


@click.command("show", short_help="Describe one adapter type: its fields, and an example.")
@click.argument("type_name", metavar="TYPE")
@adapters_option
@table_output_option
@debug_option
@click.pass_obj
def show_command(settings: Settings, *, type_name: str, adapter_modules: tuple[str, ...]) -> int:
    """Describe the adapter TYPE: what it does, the fields of its `config`, and a stanza to start from.

    With --output plain only the fields are printed: field, type, default or `required`, and description.
    """
    registry = app_for(adapter_modules).registry
    try:
        spec = registry.get(type_name)
    except AdapterNotFoundError as error:
        raise InvalidInputError(f"{error}; `factflow adapters list` names all") from error
    if settings.as_json:
        print_document(_document(registry, spec), settings)
    else:
        _print(registry, spec, settings.layout)
    return ExitStatus.OK


def _document(registry: ValidatingAdapterRegistry, spec: AdapterSpec) -> dict[str, object]:
    return {
        **spec_document(spec),
        "description": _description(spec),
        "config_schema": registry.schema(spec.type),
        "example_config": example_config(registry, spec.type),
    }


def _print(registry: ValidatingAdapterRegistry, spec: AdapterSpec, layout: Layout) -> None:
    console = output()
    fields = fields_of(registry.schema(spec.type))
    if layout is Layout.PLAIN:
        _fields_table(fields).print(console, layout)
        return
    for paragraph in _text_lines(spec):
        console.print(paragraph, soft_wrap=True)
    if not fields:
        console.print("It takes no config.")
    else:
        _fields_table(fields).print(console, layout)
    stanza = example_stanza(registry, spec.type)
    if stanza is None:
        console.print("No example: what its fields need cannot be guessed from their types.")
        return
    console.print(Text("Example", style="bold"))
    for line in stanza.splitlines():
        console.print(Text(f"  {clean(line)}"), soft_wrap=True)


def _text_lines(spec: AdapterSpec) -> Iterator[Text]:
    yield Text.assemble((clean(spec.type), "bold"), f"  {clean(spec.summary)}")
    description = _description(spec)
    if description and description != spec.summary:
        yield Text()
        yield from (Text(clean(line)) for line in description.splitlines())
    yield Text()
    if spec.is_sync:
        yield Text("Runs in a worker thread.")
    if spec.is_stateful:
        yield Text("Has state: opened, finished and closed with the execution.")
    if spec.requires_extra:
        yield Text(f"Needs factflow-engine[{clean(spec.requires_extra)}].")


def _description(spec: AdapterSpec) -> str:
    own = spec.adapter_class.__dict__.get("__doc__")  # an inherited one describes the base class
    return inspect.cleandoc(own) if own else ""


def _fields_table(fields: tuple[SchemaField, ...]) -> Table:
    table = Table(*names("field"), *prose("type", "default", "description"))
    for field in fields:
        default = Cell("required", "yellow") if field.required else field.default
        table.add(Cell(field.name, "bold"), field.type, default, field.description)
    return table
