"""Write the reference pages from what the engine itself reads: `python docs/generate.py [--check]`.

The models, the catalogue of codes, the adapters' models, the commands and the operators are the sources; a test fails
where a page says something else.
"""

import argparse
import inspect
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click
import limit_scores
import operators

from factflow_engine.adapters import ValidatingAdapterRegistry
from factflow_engine.cli.root import root
from factflow_engine.cli.schema_fields import SchemaField, fields_of
from factflow_engine.config.catalogue import CATALOGUE
from factflow_engine.config.codes import FAMILIES
from factflow_engine.config.codes_of_tests import FAMILY, TEST_CODES
from factflow_engine.config.schema import config_schema
from factflow_engine.config.secret_variables import PLAIN_ENDS, PLAIN_WORDS, WORDS

REFERENCE = Path(__file__).parent / "reference"

_SECTIONS = {
    "": "The document",
    "RouteConfig": "Route",
    "InboundConfig": "Inbound",
    "AdapterConfig": "Stage",
    "OutboundConfig": "Outbound",
    "ErrorHandlingConfig": "Error handling",
    "BackpressureConfig": "Backpressure",
    "CircuitBreakerConfig": "Circuit breaker",
    "OrchestratorConfig": "Orchestrator",
    "ProcessorConfig": "Processor",
    "StorageConfig": "Storage",
    "StoreConfig": "Stored output",
    "StorageMetadataConfig": "Stored metadata",
    "StorageMetadataField": "Metadata field",
    "LineageConfig": "Lineage",
    "OpenLineageConfig": "OpenLineage",
    "InitMessageConfig": "Init message",
}
"""Definitions of the schema, each a section of the page that the fields of others link to."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the pages, or with `--check` only compare; 1 if one was not up to date."""
    parser = argparse.ArgumentParser(prog="python docs/generate.py", description="The reference pages.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 if a page is not up to date")
    options = parser.parse_args(arguments)
    stale = [path for path, text in pages().items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    for path in stale:
        if options.check:
            print(f"{path} is not what the sources say; write it with: make docs", file=sys.stderr)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(pages()[path], encoding="utf-8")
    return int(options.check and bool(stale))


def pages() -> Mapping[Path, str]:
    """Return the text of every page."""
    registry = ValidatingAdapterRegistry()
    return {
        REFERENCE / f"{name}.md": "\n".join(lines) + "\n"
        for name, lines in (
            ("configuration", _configuration(registry)),
            ("adapters", _adapters(registry)),
            ("codes", _codes()),
            ("commands", _commands()),
            ("operators", _operators()),
            ("limit-scores", _limit_scores()),
        )
    }


def _heading(title: str, source: str) -> Iterator[str]:
    yield f"# {title}"
    yield ""
    yield f"<!-- Written by `make docs` from {source}. Do not edit. -->"


def _configuration(registry: ValidatingAdapterRegistry) -> Iterator[str]:
    schema = config_schema(registry)
    yield from _heading("Configuration", "the models of the loader")
    yield ""
    yield "Every section and field of a pipeline. `factflow config schema` prints the same for editors, as a JSON Schema. A"
    yield "value may come from the environment: `${NAME}` or `${NAME:default}`. What a run prints or stores shows the"
    yield "reference instead of the value where that is a secret:"
    yield ""
    yield f"- if the name has one of these words between underscores: {_listed(WORDS)};"
    yield "- if the name has `PASSWORD`, `SECRET`, `TOKEN`, `CREDENTIAL`, `APIKEY`, `CONNECTION_STRING`, `WEBHOOK` or the like"
    yield "  anywhere, or a word that ends in `PASS`, `PW` or `PWD`;"
    yield "- if the value has a password or a key in it that can be told from other text: in a URL, in a connection string, in"
    yield "  a query, or as a block of PEM;"
    yield "- wherever it is written `${secret:NAME}` or `${secret:NAME:default}`."
    yield ""
    yield f"A name that has one of the words {_listed(PLAIN_WORDS)}, or ends in one of"
    yield f"{_listed(PLAIN_ENDS)}, is none of a secret: `MAX_TOKENS`, `PASSWORD_FILE`."
    yield ""
    yield "Conditions are described in"
    yield "[Conditions](../conditions.md), what stands in a stage's `config` in [Adapters](adapters.md)."
    for name, title in _SECTIONS.items():
        section = schema["$defs"][name] if name else schema
        yield ""
        yield f"## {title}"
        yield ""
        yield " ".join(str(section.get("description", "")).split("\n\n")[0].split())
        yield ""
        yield from _table(fields_of(_linked({**section, "$defs": {}})))


def _listed(words: Collection[str]) -> str:
    return ", ".join(f"`{word}`" for word in sorted(words))


def _linked(schema: Any) -> Any:
    """Return a schema in which other sections are links to them, and references to the environment are left out."""
    if isinstance(schema, list):
        return [_linked(item) for item in schema if not (isinstance(item, dict) and item.get("pattern") == r"\$\{")]
    if not isinstance(schema, dict):
        return schema
    name = str(schema.get("$ref", "")).rpartition("/")[2]
    if name == "ConditionConfig":
        return {"type": "[condition](../conditions.md)"}
    if name and name in _SECTIONS:
        title = _SECTIONS[name].lower()
        return {**schema, "$ref": None, "type": f"[{title}](#{title.replace(' ', '-')})"}
    return {key: _linked(value) for key, value in schema.items()}


def _adapters(registry: ValidatingAdapterRegistry) -> Iterator[str]:
    yield from _heading("Adapters", "the built-in adapters")
    yield ""
    yield "What comes with the engine. Those of other packages are shown by `factflow adapters list` where they are installed."
    for name in registry.types():
        spec = registry.get(name)
        yield ""
        yield f"## `{name}`"
        yield ""
        yield spec.summary
        description = inspect.cleandoc(spec.adapter_class.__dict__.get("__doc__") or "")
        if description and description != spec.summary:
            yield ""
            yield description
        if spec.requires_extra:
            yield ""
            yield f"Needs `factflow-engine[{spec.requires_extra}]`."
        yield ""
        fields = fields_of(registry.schema(name))
        if fields:
            yield from _table(fields)
        else:
            yield "It takes no `config`."


def _codes() -> Iterator[str]:
    yield from _heading("Finding codes", "the catalogue of codes")
    yield ""
    yield "Codes are stable: none is ever used again for another meaning. E is an error, W a warning, the first digit the family."
    yield "T is an error in a file of [tests](../config-tests.md)."
    families = {
        family: [code for code in CATALOGUE.values() if code.code[1] == digit] for digit, family in FAMILIES.items()
    }
    for family, codes in {**families, FAMILY: [*TEST_CODES.values()]}.items():
        yield ""
        yield f"## {family}"
        yield ""
        yield "| code | what it is | what to do |"
        yield "|---|---|---|"
        for code in codes:
            yield f"| {code.code} | **{_cell(code.title)}**: {_cell(code.explanation)} | {_cell(code.remedy)} |"


def _operators() -> Iterator[str]:
    yield from _heading("Operators", "the engine's answers, and docs/operators.yaml")
    yield from operators.lines()


def _limit_scores() -> Iterator[str]:
    yield from _heading("Scores of concurrency limits", "the suite that `factflow bench limits` runs")
    yield from limit_scores.lines()


def _commands() -> Iterator[str]:
    yield from _heading("Commands", "the command line itself")
    for path, command in _below(("factflow",), root, click.Context(root, info_name="factflow")):
        context = click.Context(command, info_name=" ".join(path), terminal_width=80, max_content_width=80)
        yield ""
        yield f"## `{' '.join(path)}`"
        yield ""
        yield "```text"
        yield from (line.rstrip() for line in command.get_help(context).splitlines())
        yield "```"


def _below(
    path: tuple[str, ...], command: click.Command, context: click.Context
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            if child is not None:
                yield from _below((*path, name), child, click.Context(child, info_name=name, parent=context))


def _table(fields: Sequence[SchemaField]) -> Iterator[str]:
    yield "| field | type | default | what it is |"
    yield "|---|---|---|---|"
    for field in fields:
        default = "*required*" if field.required else f"`{_cell(field.default)}`" if field.default else ""
        yield f"| `{field.name}` | {_cell(field.type)} | {default} | {_cell(field.description)} |"


def _cell(text: Any) -> str:
    return " ".join(str(text).split()).replace("|", "\\|").replace("<", "&lt;")


if __name__ == "__main__":
    sys.exit(main())
