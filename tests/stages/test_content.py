"""Contents of objects: whatever a message is, it comes back from its object exactly as it was."""

import base64
from copy import deepcopy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from factflow_engine.errors import StageStorageError
from factflow_engine.frames import pack
from factflow_engine.stages.content import MAX_ENVELOPE_BYTES, ContentRule, message_of
from factflow_engine.testing import FakeContext
from support.message_values import TEXTS, VALUES

HEADERS = st.dictionaries(TEXTS.filter(bool), VALUES.filter(lambda value: value is not None), max_size=3)


def custom_of(content):
    custom = {"provenance": {}}
    if content.problem is not None:
        custom["provenance"]["envelope_left_out"] = content.problem
    if content.envelope is not None:
        custom["envelope"] = content.envelope
    return custom


@given(message=VALUES, headers=HEADERS, key=st.none() | TEXTS)
def test_a_message_comes_back(message, headers, key):
    context = FakeContext(message, headers=headers, key=key)
    content = ContentRule().content_of(context)
    assert content.data == context.payload
    assert content.content_type == "application/vnd.msgpack"
    assert (content.envelope is None) == (key is None and not headers), "metadata only where it says something"
    assert message_of("0", content.data, custom_of(content)) == (context.payload, headers, key)


@given(
    rest=st.dictionaries(TEXTS, VALUES, max_size=4),
    value=TEXTS | st.binary(max_size=20),
    headers=HEADERS,
    key=st.none() | TEXTS,
    inside=st.booleans(),
)
def test_a_message_comes_back_from_one_field_of_it(rest, value, headers, key, inside):
    message = {**rest, "page": {"first": 1, "html": value}} if inside else {**rest, "html": value}
    context = FakeContext(message, headers=headers, key=key)
    rule = ContentRule(content_field="page.html" if inside else "html")
    before = deepcopy(context.message)
    content = rule.content_of(context)
    assert context.message == before, "the stage may need it, too"
    assert content.data == (value.encode() if isinstance(value, str) else value)
    assert message_of("0", content.data, custom_of(content)) == (context.payload, headers, key)


@pytest.mark.parametrize(
    ("field", "message", "problem"),
    [
        ("html", {"text": "x"}, "the message lacks it"),
        ("html", {"html": None}, "expected bytes or a text, got null"),
        ("html", {"html": {"a": 1}}, "expected bytes or a text, got a map"),
        ("html", {"html": 7}, "expected bytes or a text, got an integer"),
        ("a[1].b", {"a": [1]}, "the message lacks it"),
        ("html", [1, 2], "the message lacks it"),
    ],
)
def test_a_field_that_is_no_content(field, message, problem):
    with pytest.raises(StageStorageError) as caught:
        ContentRule(content_field=field).content_of(FakeContext(message, message_id="ab" * 16))
    assert caught.value.problem == problem
    assert (caught.value.field, caught.value.source) == ("content_field", field)
    assert str(caught.value) == f"message {'ab' * 16} cannot be stored: the content is read from {field!r}: {problem}"


@pytest.mark.parametrize(
    ("options", "value", "expected"),
    [
        ({}, "x", "text/plain; charset=utf-8"),
        ({}, b"x", "application/octet-stream"),
        ({"extension": "html"}, "x", "text/html; charset=utf-8"),
        ({"extension": "html"}, b"x", "text/html"),
        ({"extension": "tar.gz"}, b"x", "application/gzip"),
        ({"extension": "PNG"}, b"x", "image/png"),
        ({"extension": "unknown"}, b"x", "application/octet-stream"),
        ({"extension": "html", "content_type": "text/x-own; charset=latin1"}, "x", "text/x-own; charset=latin1"),
    ],
)
def test_the_media_type(options, value, expected):
    rule = ContentRule(content_field="f", **options)
    assert rule.content_of(FakeContext({"f": value})).content_type == expected
    assert rule.extension == options.get("extension", "")


def test_what_does_not_fit_beside_the_content_is_left_out_and_a_replay_is_told():
    rule = ContentRule(content_field="f")
    content = rule.content_of(FakeContext({"f": "x", "rest": "r" * MAX_ENVELOPE_BYTES}))
    assert content.data == b"x"
    assert content.envelope is None
    with pytest.raises(StageStorageError, match=r"the rest was not stored: it has 16,\d+ bytes"):
        message_of("0", content.data, custom_of(content))


@pytest.mark.parametrize("where", ["headers", "key", "rest"])
def test_a_value_of_the_environment_is_not_put_into_metadata(where):
    context = {
        "headers": FakeContext({"f": "x"}, headers={"token": {"deep": ["a secret here"]}}),
        "key": FakeContext({"f": "x"}, key="secret"),
        "rest": FakeContext({"f": "x", "blob": b"secret"}),
    }[where]
    rule = ContentRule(content_field="f", redacted=lambda text: text.replace("secret", "${S}"))
    content = rule.content_of(context)
    assert content.envelope is None
    with pytest.raises(StageStorageError, match="it holds a value of the environment"):
        message_of("0", content.data, custom_of(content))


@pytest.mark.parametrize(
    "envelope",
    [
        "not base64!",
        base64.b64encode(b"\xc1").decode(),
        base64.b64encode(pack([1, 2])).decode(),
        base64.b64encode(pack([None, {}, {"path": "a", "text": True}])).decode(),
        base64.b64encode(pack([None, {}, {"path": "a..b", "text": True, "message": {}}])).decode(),
        base64.b64encode(pack([None, 7, None])).decode(),
        base64.b64encode(pack([None, {}, {"path": "a[0]", "text": True, "message": {}}])).decode(),
        base64.b64encode(pack([None, {}, "x"])).decode(),
        base64.b64encode(pack([7, {}, None])).decode(),
        base64.b64encode(pack([None, [["a", 1]], None])).decode(),
        7,
    ],
)
def test_a_damaged_envelope_is_one_clear_error(envelope):
    with pytest.raises(StageStorageError, match="its envelope is damaged"):
        message_of("0", b"\xff", {"envelope": envelope})


def test_a_text_that_is_no_longer_utf8_is_one_clear_error():
    content = ContentRule(content_field="f").content_of(FakeContext({"f": "x"}))
    with pytest.raises(StageStorageError, match="its envelope is damaged"):
        message_of("0", b"\xff", custom_of(content))
