"""What the codec carries, what it refuses, and that its bytes are everybody's msgpack."""

import datetime as dt
import decimal
import math
import sys
from collections import OrderedDict
from enum import IntEnum, StrEnum
from types import MappingProxyType
from typing import Any, NamedTuple

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from factflow_engine.errors import CodecError, CorruptError, TruncatedError
from factflow_engine.frames import label_of, pack, unpack, validate
from factflow_protocols import Ext, Timestamp

INTEGERS = st.integers(-(2**63), 2**64 - 1)
TIMESTAMPS = st.builds(Timestamp, st.integers(-(2**63), 2**63 - 1), st.integers(0, 999_999_999))
EXTS = st.builds(Ext, st.integers(-128, 127).filter(lambda code: code != -1), st.binary(max_size=20))
LEAVES = st.one_of(
    st.none(), st.booleans(), INTEGERS, st.floats(allow_nan=False), st.text(max_size=40), st.binary(max_size=40)
)


def trees(leaves: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.recursive(
        leaves, lambda inner: st.lists(inner, max_size=20) | st.dictionaries(st.text(max_size=12), inner), max_leaves=30
    )


VALUES = trees(LEAVES | TIMESTAMPS | EXTS)


def refusal(data: bytes) -> CodecError:
    """The error of both decoders, which must be one."""
    with pytest.raises(CodecError) as unpacking:
        unpack(data)
    with pytest.raises(CodecError) as validating:
        validate(data)
    assert type(unpacking.value) is type(validating.value)
    assert str(unpacking.value) == str(validating.value)
    assert unpacking.value.offset == validating.value.offset
    return unpacking.value


def same(left: Any, right: Any) -> bool:
    """Equality that tells 1 from 1.0 and True, and 0.0 from -0.0."""
    if type(left) is not type(right):
        return False
    if isinstance(left, list):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, dict):
        return list(left) == list(right) and all(same(left[key], right[key]) for key in left)
    if isinstance(left, float):
        return left == right and math.copysign(1, left) == math.copysign(1, right)
    return bool(left == right)


@given(VALUES)
def test_what_is_packed_unpacks_to_itself(value: Any) -> None:
    data = pack(value)
    validate(data)
    assert same(unpack(data), value)


@given(trees(LEAVES))
def test_msgpack_reads_and_writes_the_same_bytes(value: Any) -> None:
    data = pack(value)
    assert data == msgpack.packb(value)
    assert same(msgpack.unpackb(data), value)


@given(TIMESTAMPS)
def test_timestamps_are_those_of_msgpack(value: Timestamp) -> None:
    theirs = msgpack.Timestamp(value.seconds, value.nanoseconds)
    assert pack(value) == msgpack.packb(theirs)
    assert msgpack.unpackb(pack(value)) == theirs


@given(VALUES)
@settings(max_examples=50)
def test_every_strict_prefix_is_truncated(value: Any) -> None:
    data = pack(value)
    for end in range(min(len(data), 200)):
        assert isinstance(refusal(data[:end]), TruncatedError)


@given(st.binary(max_size=100))
def test_any_bytes_are_a_value_or_refused_by_both_decoders_alike(data: bytes) -> None:
    try:
        validate(data)
    except CodecError:
        refusal(data)
    else:
        value = unpack(data)
        pack(value)


@given(VALUES, st.data())
def test_changed_bytes_are_a_value_or_refused_by_both_decoders_alike(value: Any, data: st.DataObject) -> None:
    changed = bytearray(pack(value))
    changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))
    try:
        validate(bytes(changed))
    except CodecError:
        refusal(bytes(changed))
    else:
        unpack(bytes(changed))


def test_nan_and_infinities_are_carried() -> None:
    carried = unpack(pack([math.inf, -math.inf, math.nan]))
    assert isinstance(carried, list)
    assert carried[:2] == [math.inf, -math.inf]
    assert math.isnan(carried[2])


class Colour(StrEnum):
    RED = "red"


class Level(IntEnum):
    HIGH = 7


class Ratio(float):
    pass


class Point(NamedTuple):
    x: int
    y: int


@pytest.mark.parametrize(
    ("value", "carried"),
    [
        (Colour.RED, "red"),
        ({Colour.RED: 1}, {"red": 1}),
        (Level.HIGH, 7),
        (Ratio(0.5), 0.5),
        ((1, (2,)), [1, [2]]),
        (Point(1, 2), [1, 2]),
        (OrderedDict(b=1, a=2), {"b": 1, "a": 2}),
        (bytearray(b"ab"), b"ab"),
        (memoryview(b"abcd")[::2], b"ac"),
        (dt.datetime(1970, 1, 2, tzinfo=dt.UTC), Timestamp(86_400, 0)),
        (dt.datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=dt.UTC), Timestamp(-1, 999_999_000)),
        (dt.datetime.fromisoformat("2024-02-29T12:00:00.000001+05:30"), Timestamp(1_709_188_200, 1_000)),
        (dt.datetime.max.replace(tzinfo=dt.UTC), Timestamp(253_402_300_799, 999_999_000)),
    ],
)
def test_subclasses_buffers_and_instants_are_carried_by_value(value: object, carried: object) -> None:
    assert same(unpack(pack(value)), carried)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({1, 2}, "message: cannot carry a set; use sorted(value)"),
        ((n for n in [1]), "message: cannot carry a generator; use AdapterResult(emitted=value)"),
        (decimal.Decimal(1), "message: cannot carry a Decimal; use str(value)"),
        (dt.datetime(2024, 1, 1), "message: cannot carry a datetime; use an aware one"),  # noqa: DTZ001 - on purpose
        (dt.date(2024, 1, 1), "message: cannot carry a date; use value.isoformat()"),
        (dt.timedelta(1), "message: cannot carry a timedelta; use value.total_seconds()"),
        (MappingProxyType({}), "message: cannot carry a mappingproxy; use dict(value)"),
        (object(), "message: cannot carry a object; use None, bool, int"),
        (2**64, "message: cannot carry an int above 2**64 - 1"),
        (-(2**63) - 1, "message: cannot carry an int below -2**63"),
        ("a\ud800", "message: cannot carry a str with a lone surrogate"),
        ({1: 2}, "message: expected str keys, got a key of type int; use str(key)"),
        (Timestamp(0, 10**9), "message: expected a Timestamp with 0 to 999999999 nanoseconds"),
        (Timestamp(2**63, 0), "message: expected a Timestamp of two integers"),
        (Ext(-1, b""), "message: cannot carry an Ext with code -1; use Timestamp"),
        (Ext(128, b""), "message: expected an Ext with a code of -128 to 127"),
        (Ext(1, "x"), "message: expected an Ext whose data is bytes"),  # type: ignore[arg-type] # on purpose
        ({"items": [0, 1, 2, {"when": {1}}]}, "message.items[3].when: cannot carry a set"),
        ({"two words": ({"a": 1j},)}, 'message["two words"][0].a: cannot carry a complex'),
        ({"\ud800": 1}, "message: cannot carry a str with a lone surrogate"),
    ],
)
def test_what_cannot_be_carried_is_named_with_its_place_and_a_remedy(value: object, text: str) -> None:
    with pytest.raises(CodecError) as caught:
        pack(value)
    assert str(caught.value).startswith(text)
    assert caught.value.offset is None


class Twin(str):
    """Equal as text to another, and yet another key."""

    __slots__ = ()
    __hash__ = object.__hash__

    def __eq__(self, other: object) -> bool:
        return self is other


def test_keys_that_differ_in_python_and_not_as_text_are_refused() -> None:
    with pytest.raises(CodecError, match="key of a map once"):
        pack({Twin("a"): 1, Twin("a"): 2})


def test_a_container_that_python_code_changes_while_it_is_packed_is_refused() -> None:
    victim: dict[str, object] = {}

    class Zone(dt.tzinfo):
        def utcoffset(self, _: dt.datetime | None) -> dt.timedelta:
            victim.clear()
            victim.update({str(number): number for number in range(100)})
            return dt.timedelta(0)

    victim.update(when=dt.datetime(2024, 1, 1, tzinfo=Zone()), then=1)
    with pytest.raises(CodecError, match="changed while it was packed"):
        pack(victim)


def test_what_python_code_raises_while_packing_passes_through() -> None:
    class Zone(dt.tzinfo):
        def utcoffset(self, _: dt.datetime | None) -> dt.timedelta:
            raise ZeroDivisionError("no such place")

    with pytest.raises(ZeroDivisionError, match="no such place"):
        pack([dt.datetime(2024, 1, 1, tzinfo=Zone())])


def nested(levels: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(levels - 1):
        value = [value]
    return value


def test_both_directions_have_the_same_limits() -> None:
    assert unpack(pack(nested(128))) == nested(128)
    with pytest.raises(CodecError, match="at most 128 nested containers"):
        pack(nested(129))
    assert refusal(b"\x91" * 128 + b"\x90").offset == 128

    elements = [0] * 1_000_000
    assert unpack(pack(elements)) == elements
    with pytest.raises(CodecError, match="at most 1000000 elements"):
        pack([0, *elements])
    refused = refusal(msgpack.packb([0, *elements]))
    assert isinstance(refused, CorruptError)
    assert "at most 1000000 elements" in str(refused)


def test_a_value_that_contains_itself_is_refused() -> None:
    value: dict[str, Any] = {}
    value["again"] = [value]
    with pytest.raises(CodecError, match=r"message\.again\[0\]\.again.*does it contain itself"):
        pack(value)


@pytest.mark.parametrize(
    ("data", "kind", "offset", "text"),
    [
        (b"", TruncatedError, 0, "at least 1 bytes"),
        (b"\x81\xa1a", TruncatedError, 3, "too early"),
        (b"\x91\xdd\xff\xff\xff\xff", TruncatedError, 1, "too early"),
        (b"\x92\x01\xc1", CorruptError, 2, "reserved byte 0xc1"),
        (b"\x01\x02\x03", CorruptError, 1, "got 2 more bytes"),
        (b"\x91\xa1\xff", CorruptError, 1, "UTF-8"),
        (b"\x82\xa1a\x01\xa1a\x02", CorruptError, 4, "second time"),
        (b"\x81\x01\x02", CorruptError, 1, "string as map key"),
        (b"\xd7\xff\xff\xff\xff\xff\x00\x00\x00\x00", CorruptError, 0, "999999999 nanoseconds"),
        (b"\xc7\x05\xff\x01\x02\x03\x04\x05", CorruptError, 0, "4, 8 or 12 bytes"),
    ],
)
def test_refused_bytes_are_named_with_their_offset(data: bytes, kind: type[CodecError], offset: int, text: str) -> None:
    error = refusal(data)
    assert type(error) is kind
    assert error.offset == offset
    assert text in str(error)


def test_repeated_keys_are_one_object_and_hostile_keys_are_only_slow() -> None:
    decoded = [unpack(pack({"quite_a_key": number})) for number in range(2)]
    first, second = (next(iter(value)) for value in decoded if isinstance(value, dict))
    assert first is second
    many = {f"{number:05}": number for number in range(20_000)}
    assert unpack(pack(many)) == many


def test_decoding_keeps_no_reference_to_what_it_made() -> None:
    value = "only here, and longer than any key that is remembered"
    data = pack([value])
    made = unpack(data)
    assert isinstance(made, list)
    references = sys.getrefcount(made[0])
    assert references == 2, "the list's and the call's"


def test_labels_are_stable_and_tell_texts_apart() -> None:
    assert label_of("parse/markdown") == 0x58B8_D71A_AFE1_C165
    assert len({label_of(str(number)) for number in range(10_000)}) == 10_000
