"""Example of an adapter's config; it is validated before it is shown.

The author's own examples come first. Without them, values are made up from the JSON Schema; if the model refuses one,
the next candidate of that type is tried. Validators can ask for anything, so the search may fail; the command then says
so.
"""

import itertools
from collections.abc import Iterator, Mapping
from io import StringIO
from typing import Any, Final

from pydantic import ValidationError
from ruamel.yaml import YAML

from factflow_engine.adapters import ValidatingAdapterRegistry
from factflow_engine.cli.schema_fields import resolve

_MOST_TRIES: Final = 400
_DEEPEST: Final = 6

_STRINGS: Final = ("name", "text", "data", "json:dumps", "trio:sleep", "https://example.org", "*.txt", "1")
_OBJECTS: Final[tuple[dict[str, Any], ...]] = (
    {"name": "value"},
    {"old_name": "new_name"},
    {"field": "name", "operator": "exists", "value": True},
    {},
)


def example_config(registry: ValidatingAdapterRegistry, type_name: str) -> dict[str, Any] | None:
    """Return a config with the fields that the type requires; None if none could be found.

    Raises:
        AdapterNotFoundError: The type is not registered.
    """
    for candidate in itertools.islice(_candidates(registry.schema(type_name)), _MOST_TRIES):
        try:
            registry.validate_config(type_name, candidate)
        except ValidationError:
            continue
        return candidate
    return None


def example_stanza(registry: ValidatingAdapterRegistry, type_name: str) -> str | None:
    """Return the example as an item of a route's `adapters`, in YAML; None if there is no example."""
    config = example_config(registry, type_name)
    if config is None:
        return None
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]  # ruamel annotates it by its default, None
    text = StringIO()
    yaml.dump([{"type": type_name, **({"config": config} if config else {})}], text)
    return text.getvalue()


def _candidates(schema: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield configs to try: the author's examples, then the required fields with made-up values, then more fields."""
    for example in schema.get("examples", ()):
        if isinstance(example, dict):
            yield example
    properties = schema.get("properties", {})
    required = [name for name in properties if name in schema.get("required", ())]
    yield from _combinations({name: properties[name] for name in required}, schema)
    # Some models want one of several optional fields.
    for name in properties:
        if name not in required:
            yield from _combinations({**{key: properties[key] for key in required}, name: properties[name]}, schema)


def _combinations(fields: Mapping[str, Any], root: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    choices = [list(itertools.islice(_values(field, root, 0), 12)) for field in fields.values()]
    for values in itertools.product(*choices):
        yield dict(zip(fields, values, strict=True))


def _values(schema: Mapping[str, Any], root: Mapping[str, Any], depth: int) -> Iterator[Any]:
    """Yield values of a schema, the most telling first."""
    schema = resolve(schema, root)
    yield from schema.get("examples", ())
    if depth > _DEEPEST:
        return
    if "const" in schema:
        yield schema["const"]
    yield from schema.get("enum", ())
    for key in ("anyOf", "oneOf", "allOf"):
        for option in schema.get(key, ()):
            yield from _values(option, root, depth + 1)
    match schema.get("type"):
        case "string":
            yield from _STRINGS
        case "integer" | "number":
            yield from _numbers(schema)
        case "boolean":
            yield True
        case "array":
            for item in itertools.islice(_values(schema.get("items", {}), root, depth + 1), 12):
                yield [item] * max(1, int(schema.get("minItems", 1)))
        case "object":
            yield from _objects(schema, root, depth)
        case None if not schema.keys() & {"anyOf", "oneOf", "allOf", "const", "enum"}:
            yield "value"


def _numbers(schema: Mapping[str, Any]) -> Iterator[int | float]:
    lowest = schema.get("minimum", schema.get("exclusiveMinimum"))
    highest = schema.get("maximum", schema.get("exclusiveMaximum"))
    for number in (1, 10, lowest, highest, None if lowest is None else lowest + 1):
        if number is not None:
            yield number


def _objects(schema: Mapping[str, Any], root: Mapping[str, Any], depth: int) -> Iterator[dict[str, Any]]:
    properties = schema.get("properties")
    if not properties:
        yield from _OBJECTS
        return
    names = [name for name in properties if name in schema.get("required", ())]
    choices = [list(itertools.islice(_values(properties[name], root, depth + 1), 4)) for name in names]
    for values in itertools.product(*choices):
        yield dict(zip(names, values, strict=True))
