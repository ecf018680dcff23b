"""Two JSON Schemas as one that allows the values that both allow.

Kept separate from `schemas` because it knows no strategies.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from factflow_engine.testing.strategies.errors import UnsupportedSchemaError

ANNOTATIONS: Final = frozenset(
    {
        "title", "description", "default", "examples", "deprecated", "readOnly", "writeOnly", "discriminator",
        "$schema", "$id", "$comment", "$defs", "definitions", "contentMediaType", "contentEncoding",
    }
)  # fmt: skip
"""Keywords that allow and forbid nothing."""

COMBINING: Final = ("allOf", "anyOf", "oneOf")


def types_of(schema: Mapping[str, Any]) -> list[str] | None:
    """Return the types that a schema names; None if it names none."""
    named = schema.get("type")
    return [named] if isinstance(named, str) else None if named is None else list(named)


def merged(one: Any, other: Any, path: str) -> Any:
    """Return one schema for two.

    Raises:
        UnsupportedSchemaError: They have a keyword with two values that cannot be made one.
    """
    if one is False or other is False:
        return False
    if one is True or other is True:
        return other if one is True else one
    result = dict(one)
    for key, value in other.items():
        if key == "properties" or (key == "additionalProperties" and "properties" in one):
            result["properties"] = _merged_properties(one, other, path)
        if key == "properties":
            continue
        if key not in result or result[key] == value or key in ANNOTATIONS:
            result[key] = value
        elif key in _RULES:
            result[key] = _RULES[key](result[key], value, path)
        else:
            raise UnsupportedSchemaError(path, f"expected one {key}, got two: {result[key]!r:.60} and {value!r:.60}")
    return result


def _common_types(one: Any, other: Any, path: str) -> Any:
    del path
    ours, theirs = types_of({"type": one}) or [], types_of({"type": other}) or []
    both = [kind for kind in ours if kind in theirs or (kind == "integer" and "number" in theirs)]
    return both + [kind for kind in theirs if kind == "integer" and "number" in ours and kind not in both]


def _merged_properties(one: Mapping[str, Any], other: Mapping[str, Any], path: str) -> dict[str, Any]:
    """Return the properties of both; of one that only one of them names, the other's `additionalProperties` decides."""
    ours, theirs = one.get("properties", {}), other.get("properties", {})
    rest_of_ours, rest_of_theirs = one.get("additionalProperties", True), other.get("additionalProperties", True)
    return {
        name: merged(ours.get(name, rest_of_ours), theirs.get(name, rest_of_theirs), path)
        for name in [*ours, *(name for name in theirs if name not in ours)]
    }


def _larger(one: Any, other: Any, path: str) -> Any:
    del path
    return max(one, other)


def _smaller(one: Any, other: Any, path: str) -> Any:
    del path
    return min(one, other)


_RULES: Final[Mapping[str, Callable[[Any, Any, str], Any]]] = {
    **dict.fromkeys(("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties"), _larger),
    **dict.fromkeys(("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties"), _smaller),
    **dict.fromkeys(("items", "additionalProperties", "propertyNames"), merged),
    "uniqueItems": lambda one, other, _path: one or other,
    "required": lambda one, other, _path: list(dict.fromkeys([*one, *other])),
    "enum": lambda one, other, _path: [value for value in one if value in other],
    "allOf": lambda one, other, _path: [*one, *other],
    "type": _common_types,
}
