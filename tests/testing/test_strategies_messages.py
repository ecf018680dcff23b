"""Messages drawn from a JSON Schema: valid by an independent validator, and such that a frame can carry them."""

from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import find as smallest
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from factflow_engine.frames import pack
from factflow_engine.testing.strategies import UnsupportedSchemaError, messages

SCHEMAS: dict[str, Any] = {
    "anything": True,
    "integer within bounds": {"type": "integer", "minimum": 3, "exclusiveMaximum": 9},
    "integer of 64 bits": {"type": "integer"},
    "multiple": {"type": "integer", "multipleOf": 7, "minimum": 1, "maximum": 100},
    "number within bounds": {"type": "number", "exclusiveMinimum": 0, "maximum": 1},
    "multiple of a fraction": {"type": "number", "multipleOf": 0.5},
    "text": {"type": "string", "minLength": 2, "maxLength": 4},
    "pattern": {"type": "string", "pattern": "^[a-z]{2,3}[0-9]$", "maxLength": 3},
    "date": {"type": "string", "format": "date"},
    "moment": {"type": "string", "format": "date-time"},
    "address": {"type": "string", "format": "ipv4"},
    "enum": {"enum": ["a", 1, None]},
    "enum with a type": {"enum": ["a", 1, None], "type": ["string", "null"]},
    "const": {"const": {"a": 1}},
    "types": {"type": ["integer", "null"]},
    "list": {"type": "array", "items": {"type": "integer"}, "minItems": 1, "maxItems": 3, "uniqueItems": True},
    "tuple": {"type": "array", "prefixItems": [{"type": "integer"}, {"type": "string"}], "items": False, "minItems": 2},
    "map": {
        "type": "object",
        "properties": {"id": {"type": "integer"}, "name": {"type": "string"}},
        "required": ["id"],
        "additionalProperties": False,
    },
    "map of numbers": {"type": "object", "additionalProperties": {"type": "number"}, "minProperties": 1},
    "map of named fields": {
        "type": "object",
        "propertyNames": {"pattern": "^x-[a-z]$"},
        "additionalProperties": {"type": "integer"},
        "maxProperties": 2,
    },
    "required and unnamed": {"type": "object", "required": ["a"]},
    "any of": {"type": "object", "properties": {"a": {"type": "integer"}}, "anyOf": [{"required": ["a"]}, {"required": ["b"]}]},
    "one of": {"oneOf": [{"type": "integer", "minimum": 0}, {"type": "integer", "maximum": 5}]},
    "all of": {"allOf": [{"type": "number", "minimum": 1}, {"type": "integer", "maximum": 4}]},
    "all of maps": {
        "allOf": [
            {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]},
            {"properties": {"a": {"minimum": 3}, "b": {"type": "null"}}, "required": ["b"]},
        ]
    },
    "reference to an element": {"properties": {"a": {"$ref": "#/$defs/any/anyOf/1"}}, "required": ["a"], "type": "object", "$defs": {"any": {"anyOf": [True, {"type": "null"}]}}},
    "reference": {"$ref": "#/$defs/name", "$defs": {"name": {"type": "string", "minLength": 1}}},
    "tree": {
        "$ref": "#/$defs/node",
        "$defs": {
            "node": {
                "type": "object",
                "properties": {"value": {"type": "integer"}, "children": {"type": "array", "items": {"$ref": "#/$defs/node"}}},
                "required": ["value"],
                "additionalProperties": False,
            }
        },
    },
    "keywords without a type": {"minLength": 3},
}  # fmt: skip


@pytest.mark.parametrize("name", SCHEMAS)
@settings(max_examples=30, suppress_health_check=[HealthCheck.filter_too_much])
@given(data=st.data())
def test_a_message_is_what_its_schema_allows_and_a_frame_carries_it(name: str, data: st.DataObject) -> None:
    schema = SCHEMAS[name]
    message = data.draw(messages(schema))
    assert [error.message for error in Draft202012Validator(schema).iter_errors(message)] == []
    assert pack(message)


TICKET = {
    "type": "object",
    "properties": {"priority": {"type": "integer", "minimum": 0, "maximum": 10}, "title": {"type": "string"}},
    "required": ["priority"],
}


def test_a_message_that_violates_a_bound_shrinks_to_the_bound() -> None:
    few = settings(max_examples=500, database=None, derandomize=True, phases=[Phase.generate, Phase.shrink])
    assert smallest(messages(TICKET), lambda ticket: ticket["priority"] > 7, settings=few) == {"priority": 8}


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        ({"type": "object", "patternProperties": {}}, "/ of the JSON Schema: expected keywords among .*'patternProperties'"),
        ({"properties": {"a": {"least": 1}}}, "/properties/a of the JSON Schema: .* got 'least'"),
        ({"type": "text"}, "expected a type among null, .* got 'text'"),
        ({"$ref": "https://example.org"}, r"expected a \$ref to a part of this schema"),
        ({"$ref": "#/$defs/a"}, r"expected a \$ref to a part of this schema"),
        ({"type": "string", "pattern": "("}, "expected a pattern that Python can read"),
        ({"allOf": [{"pattern": "a"}, {"pattern": "b"}]}, "/allOf/1 of the JSON Schema: expected one pattern, got two"),
        ({"$ref": "#/anyOf/2", "anyOf": [True]}, r"expected a \$ref to a part of this schema"),
        ({"$ref": "#/anyOf/-1", "anyOf": [True]}, r"expected a \$ref to a part of this schema"),
        ({"$ref": "#/anyOf/last", "anyOf": [True]}, r"expected a \$ref to a part of this schema"),
        ({"$ref": "#"}, "expected one that allows a value"),
        ({"$ref": "#", "type": "integer"}, "got one that comes back to itself"),
        ({"$defs": {"a": {"anyOf": [{"type": "null"}, {"$ref": "#/$defs/a"}]}}, "$ref": "#/$defs/a"}, "got one that comes back to itself"),
        (False, "expected one that allows a value"),
        ({"enum": [1], "type": "string"}, "expected one that allows a value"),
        ({"type": "integer", "minimum": 2, "maximum": 1}, "expected one that allows a value"),
        ({"items": 5}, "/items of the JSON Schema: expected a mapping, true or false, got 5"),
    ],
)  # fmt: skip
def test_a_schema_that_nothing_can_be_built_from_is_refused_at_once(schema: Any, said: str) -> None:
    with pytest.raises(UnsupportedSchemaError, match=said):
        messages(schema)
