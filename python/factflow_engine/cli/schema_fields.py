"""Fields of a JSON Schema object, in words for a table.

Read from the schema rather than from pydantic's fields: the schema is what `validate_config` applies, and is plain
data.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

_BOUNDS: Final = {
    "minimum": ">=",
    "exclusiveMinimum": ">",
    "maximum": "<=",
    "exclusiveMaximum": "<",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaField:
    """One field of an adapter's config.

    Attributes:
        name: As the configuration has it.
        type: In words: `number >= 0`, `list of string`.
        required: True if it must be given.
        default: As JSON; empty if there is none to show.
        description: What the author wrote; line ends removed.
    """

    name: str
    type: str
    required: bool
    default: str
    description: str


def fields_of(schema: Mapping[str, Any]) -> tuple[SchemaField, ...]:
    """Return the fields of an object's schema, in their order."""
    required = schema.get("required", ())
    return tuple(
        SchemaField(
            name=name,
            type=type_text(field, schema),
            required=name in required,
            default=json.dumps(field["default"], ensure_ascii=False) if "default" in field else "",
            description=" ".join(str(field.get("description", "")).split()),
        )
        for name, field in schema.get("properties", {}).items()
    )


def resolve(schema: Mapping[str, Any], root: Mapping[str, Any]) -> Mapping[str, Any]:
    """Follow a local `$ref`; keep the keys beside it."""
    reference = schema.get("$ref")
    if not isinstance(reference, str) or not reference.startswith("#/"):
        return schema
    target: Any = root
    for part in reference[2:].split("/"):
        target = target[part.replace("~1", "/").replace("~0", "~")]
    return {**target, **{key: value for key, value in schema.items() if key != "$ref"}}


def type_text(schema: Mapping[str, Any], root: Mapping[str, Any]) -> str:
    """Return a field's type in words."""
    schema = resolve(schema, root)
    if "const" in schema:
        return json.dumps(schema["const"])
    if "enum" in schema:
        return " | ".join(json.dumps(value) for value in schema["enum"])
    for key in ("anyOf", "oneOf"):
        if key in schema:
            return " | ".join(dict.fromkeys(type_text(option, root) for option in schema[key]))
    kind = schema.get("type")
    if kind == "array":
        items = schema.get("items")
        return f"list of {type_text(items, root)}" if items else "list"
    if kind == "object":
        return _object_text(schema, root)
    bounds = [f"{sign} {schema[key]}" for key, sign in _BOUNDS.items() if key in schema]
    return " ".join([str(kind) if kind else "anything", *bounds])


def _object_text(schema: Mapping[str, Any], root: Mapping[str, Any]) -> str:
    if schema.get("properties"):
        return "map of " + ", ".join(schema["properties"])
    values = schema.get("additionalProperties")
    return f"map of {type_text(values, root)}" if isinstance(values, Mapping) and values else "map"
