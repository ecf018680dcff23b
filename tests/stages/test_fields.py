"""Declared metadata: read from the message, checked, and one clear error for what is wrong."""

import json
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from factflow_engine.errors import StageStorageError
from factflow_engine.frames import pack
from factflow_engine.stages.fields import FIELD_TYPES, DeclaredMetadata, nanoseconds_text, timestamp_text
from factflow_protocols import Ext, Timestamp
from support.message_values import VALUES


@dataclass
class Declared:
    name: str
    source: str | None = None
    type: str = "any"
    required: bool = False
    default: object = None
    description: str = ""


def of(fields, message, **options):
    return DeclaredMetadata(fields, **options).of(pack(message), "ab" * 16)


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        (Declared("url"), {"url": "https://a"}),
        (Declared("link", "url"), {"link": "https://a"}),
        (Declared("first", "list[0].n"), {"first": 1}),
        (Declared("lang", default="en"), {"lang": "en"}),
        (Declared("lang"), {}),
        (Declared("nothing"), {}),
        (Declared("nothing", default=0), {"nothing": 0}),
        (Declared("at"), {"at": "1970-01-01T00:00:01.000000005Z"}),
        (Declared("list", type="list", required=True), {"list": [{"n": 1}]}),
        (Declared("big", type="integer"), {"big": 2**64 - 1}),
    ],
)
def test_a_field_is_read_from_the_message(field, expected):
    message = {"url": "https://a", "list": [{"n": 1}], "nothing": None, "at": Timestamp(1, 5), "big": 2**64 - 1}
    assert of([field], message) == expected


@pytest.mark.parametrize(
    ("field", "message", "problem"),
    [
        (Declared("lang", "meta.lang", required=True), {}, "the message lacks it"),
        (Declared("lang", "meta.lang", required=True), {"meta": {"lang": None}}, "the message lacks it"),
        (Declared("lang", "meta.lang", required=True), 7, "the message lacks it"),
        (Declared("lang", "meta.lang", type="string"), {"meta": {"lang": 7}}, "expected a string, got an integer"),
        (Declared("lang", "meta.lang", type="integer"), {"meta": {"lang": True}}, "expected an integer, got a boolean"),
        (Declared("lang", "meta.lang", type="map"), {"meta": {"lang": []}}, "expected a map, got a list"),
        (Declared("lang", "meta.lang", type="any"), {"meta": {"lang": b"x"}}, "JSON cannot hold bytes; name a field with text or numbers as its source"),
        (Declared("lang", "meta.lang", type="list"), {"meta": {"lang": [[Ext(1, b"")]]}}, "JSON cannot hold an extension value; name a field with text or numbers as its source"),
        (Declared("lang", "meta.lang", type="number"), {"meta": {"lang": float("inf")}}, "JSON cannot hold inf"),
    ],
)  # fmt: skip
def test_a_failure_names_field_source_and_message(field, message, problem):
    with pytest.raises(StageStorageError) as caught:
        of([field], message)
    error = caught.value
    assert (error.field, error.source, error.message_id, error.problem) == ("lang", "meta.lang", "ab" * 16, problem)
    where = "metadata field 'lang' is read from 'meta.lang'"
    assert str(error) == f"message {'ab' * 16} cannot be stored: {where}: {problem}"


@given(message=st.fixed_dictionaries({"f": VALUES}), kind=st.sampled_from([*FIELD_TYPES]))
def test_what_is_returned_is_json_and_valid_by_the_schema(message, kind):
    declared = DeclaredMetadata([Declared("f", type=kind)])
    try:
        values = declared.of(pack(message), "0")
    except StageStorageError:
        return
    assert json.loads(json.dumps(values, allow_nan=False)) == values
    Draft202012Validator.check_schema(declared.schema)
    assert Draft202012Validator(declared.schema).is_valid(values)
    assert Draft202012Validator(declared.schema).is_valid({**values, "unknown": 1}), "other fields are kept"


def test_of_two_declarations_of_a_name_the_stages_own_counts():
    assert of([Declared("f", "a"), Declared("f", "b")], {"a": 1, "b": 2}) == {"f": 2}


def test_texts_of_the_environment_are_hidden():
    fields = [Declared("f", default="secret"), Declared("g", "deep")]
    values = of(fields, {"deep": {"a secret": ["secret"]}}, redacted=lambda text: text.replace("secret", "${S}"))
    assert values == {"f": "${S}", "g": {"a ${S}": ["${S}"]}}


@pytest.mark.parametrize(
    ("time", "text"),
    [
        (Timestamp(0), "1970-01-01T00:00:00.000000000Z"),
        (Timestamp(-1, 999_999_999), "1969-12-31T23:59:59.999999999Z"),
        (Timestamp(2**50), "1125899906842624.000000000"),
    ],
)
def test_times_as_text(time, text):
    assert timestamp_text(time) == text


def test_nanoseconds_as_text():
    assert nanoseconds_text(1_700_000_000_123_456_789) == "2023-11-14T22:13:20.123456789Z"
