"""Frames never change, share their payload, derive their children's ids, and survive the wire."""

import copy
import pickle
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from factflow_engine.errors import CodecError, CorruptError, TruncatedError
from factflow_engine.frames import Frame, label_of, pack
from factflow_protocols import Ext

ID = bytes(range(16))
IDS = st.binary(min_size=16, max_size=16)
ORDINALS = st.integers(0, 2**64 - 1)
HEADERS = st.dictionaries(st.text(max_size=10), st.text(max_size=20) | st.integers(0, 9) | st.lists(st.booleans()))


@st.composite
def frames(draw: st.DrawFn) -> Frame:
    return Frame.create(
        pack(draw(st.dictionaries(st.text(max_size=8), st.integers(0, 2**64 - 1), max_size=8))),
        message_id=draw(IDS),
        correlation_id=draw(st.none() | IDS),
        parent_id=draw(st.none() | IDS),
        attempt=draw(st.integers(1, 2**32 - 1)),
        time_ns=draw(st.integers(-(2**63), 2**63 - 1)),
        key=draw(st.none() | st.text(max_size=20)),
        headers=draw(st.none() | HEADERS),
    )


def fields(frame: Frame) -> dict[str, Any]:
    names = ("message_id", "correlation_id", "parent_id", "attempt", "time_ns", "key", "payload")
    return {name: getattr(frame, name) for name in names} | {"headers": dict(frame.headers)}


@given(frames())
def test_the_wire_form_says_everything(frame: Frame) -> None:
    data = frame.encode()
    back = Frame.decode(data)
    assert fields(back) == fields(frame)
    assert back == frame
    assert hash(back) == hash(frame)
    assert back.encode() == data


@given(frames(), ORDINALS, ORDINALS)
def test_a_child_is_named_by_its_origin_and_its_payload(frame: Frame, label: int, ordinal: int) -> None:
    child = frame.child(label, ordinal)
    back = Frame.decode(frame.encode())
    again = back.child(label, ordinal, payload=bytes(bytearray(frame.payload)), headers={"a": 1}, time_ns=5)
    assert child.message_id == again.message_id
    assert child.message_id[:6] == frame.message_id[:6]
    assert child.message_id != frame.child(label, ordinal ^ 1).message_id
    assert child.message_id != frame.child(label ^ 1, ordinal).message_id
    assert (child.parent_id, child.correlation_id) == (frame.message_id, frame.correlation_id)
    assert (child.key, child.attempt, child.time_ns) == (frame.key, 1, frame.time_ns)
    assert child.headers == frame.headers
    assert (again.headers, again.time_ns, again.payload) == ({"a": 1}, 5, frame.payload)


@given(frames(), ORDINALS, ORDINALS, st.binary(max_size=300), st.binary(max_size=300))
def test_children_that_say_something_else_have_other_ids(
    frame: Frame, label: int, ordinal: int, one: bytes, other: bytes
) -> None:
    said = {data: frame.child(label, ordinal, payload=pack(data)).message_id for data in (one, other)}
    assert len(set(said.values())) == len(said)
    assert frame.child(label, ordinal, payload=pack(one)).message_id == said[one]
    assert frame.child(label, ordinal ^ 1, payload=pack(one)).message_id not in said.values()
    assert frame.child(label ^ 1, ordinal, payload=pack(one)).message_id not in said.values()
    assert frame.child(label, ordinal).message_id not in said.values() or frame.payload in map(pack, said)


@given(frames())
def test_restamping_changes_the_stamps_and_nothing_else(frame: Frame) -> None:
    before = fields(frame)
    retried = frame.restamp(attempt=9, time_ns=-1)
    assert fields(retried) == before | {"attempt": 9, "time_ns": -1}
    marked = frame.restamp(headers={"reason": "again"})
    assert fields(marked) == before | {"headers": {"reason": "again"}}
    assert fields(frame.restamp(headers={})) == before | {"headers": {}}
    assert frame.restamp() == frame
    assert fields(frame) == before


def test_a_childs_id_is_the_one_that_is_stored_already() -> None:
    child = Frame.create(b"\xc0", message_id=ID).child(1, 2)
    assert child.message_id.hex() == "000102030405e7ceec3792d2760f1f43"
    other = Frame.create(b"\xc0", message_id=ID).child(1, 2, payload=pack({"url": "https://example.org"}))
    assert other.message_id.hex() == "000102030405aba818b833cb5c4c49fd"


def test_forwarding_shares_the_payload() -> None:
    payload = pack({"text": "x" * 1000})
    frame = Frame.create(payload, message_id=ID)
    assert frame.payload is payload
    assert frame.child(label_of("stage"), 0).payload is payload
    assert frame.restamp(attempt=2).payload is payload


def test_a_root_is_its_own_correlation_and_has_no_parent() -> None:
    frame = Frame.create(b"\xc0", message_id=ID)
    assert (frame.message_id, frame.correlation_id, frame.parent_id) == (ID, ID, None)
    assert (frame.attempt, frame.time_ns, frame.key, frame.headers) == (1, 0, None, {})


def test_a_frame_cannot_be_changed() -> None:
    frame = Frame.create(pack([1]), message_id=ID, headers={"list": [1]})
    for name in ("payload", "attempt", "headers", "message_id", "anything"):
        with pytest.raises(AttributeError):
            setattr(frame, name, None)
    with pytest.raises(TypeError, match="does not support item assignment"):
        frame.headers["list"] = 1  # type: ignore[index] # on purpose
    with pytest.raises(TypeError):
        Frame()  # type: ignore[call-arg, unused-ignore] # on purpose


def test_what_a_reader_does_to_a_value_or_header_no_other_reader_sees() -> None:
    frame = Frame.create(pack([1]), message_id=ID, headers={"list": [1]})
    value, header = frame.value(), frame.headers["list"]
    assert isinstance(value, list)
    assert isinstance(header, list)
    value.append(2)
    header.append(2)
    assert frame.value() == [1]
    assert frame.headers == {"list": [1]}
    assert frame.child(1, 1).headers == {"list": [1]}


@pytest.mark.parametrize("headers", [{"a": 1}, MappingProxyType({"a": 1})])
def test_headers_are_any_mapping(headers: Mapping[str, object]) -> None:
    assert Frame.create(b"\xc0", message_id=ID, headers=headers).headers == {"a": 1}


def test_frames_differ_if_anything_in_them_does() -> None:
    frame = Frame.create(b"\xc0", message_id=ID, headers={"a": 1})
    others = [
        frame.restamp(attempt=2),
        frame.restamp(time_ns=1),
        frame.restamp(headers={"a": 2}),
        Frame.create(b"\xc0", message_id=ID, headers={"a": 1}, key=""),
        Frame.create(b"\xc2", message_id=ID, headers={"a": 1}),
        Frame.create(b"\xc0", message_id=ID[::-1], correlation_id=ID, headers={"a": 1}),
        Frame.create(b"\xc0", message_id=ID, parent_id=ID, headers={"a": 1}),
    ]
    assert frame not in others
    assert len({frame, *others}) == 8
    assert frame != frame.encode()


def test_the_text_of_a_frame_shows_ids_and_sizes_and_no_content() -> None:
    frame = Frame.create(pack("secret"), message_id=ID, key="secret", headers={"secret": "secret"}).child(1, 1)
    text = repr(frame)
    assert frame.message_id.hex() in text
    assert ID.hex() in text
    assert "payload=7B" in text
    assert "secret" not in text


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"message_id": b"short"}, "message_id: expected 16 bytes, got 5"),
        ({"correlation_id": b""}, "correlation_id: expected 16 bytes, got 0"),
        ({"parent_id": ID + b"x"}, "parent_id: expected 16 bytes, got 17"),
        ({"attempt": 0}, "attempt: expected 1 for the first try, or more, got 0"),
        ({"attempt": 2**32}, "attempt: expected 1"),
        ({"key": "\ud800"}, "key: cannot carry a str with a lone surrogate"),
        ({"headers": {"tags": {1}}}, "headers.tags: cannot carry a set"),
        ({"headers": {1: 1}}, "headers: expected str keys"),
    ],
)
def test_what_no_frame_can_carry_is_named(arguments: dict[str, Any], text: str) -> None:
    with pytest.raises(CodecError) as caught:
        Frame.create(b"\xc0", **({"message_id": ID} | arguments))
    assert str(caught.value).startswith(text)


def test_headers_as_deep_as_a_value_may_be_survive_the_wire() -> None:
    header: list[Any] = []
    for _ in range(126):
        header = [header]
    frame = Frame.create(b"\xc0", message_id=ID, headers={"deep": header})
    assert Frame.decode(frame.encode()).headers == {"deep": header}


@given(frames(), st.data())
def test_no_flipped_bit_passes(frame: Frame, data: st.DataObject) -> None:
    wire = bytearray(frame.encode())
    bit = data.draw(st.integers(0, len(wire) * 8 - 1))
    wire[bit // 8] ^= 1 << bit % 8
    with pytest.raises(CodecError):
        Frame.decode(bytes(wire))


@given(frames())
def test_a_torn_tail_is_truncated_and_not_corrupt(frame: Frame) -> None:
    wire = frame.encode()
    for end in range(len(wire)):
        with pytest.raises(TruncatedError):
            Frame.decode(wire[:end])
    with pytest.raises(CorruptError, match="got 1 more bytes") as caught:
        Frame.decode(wire + b"\x00")
    assert caught.value.offset == len(wire)


def test_the_size_limit_is_the_callers() -> None:
    wire = Frame.create(pack("x" * 100), message_id=ID).encode()
    assert Frame.decode(wire, max_bytes=len(wire)).value() == "x" * 100
    with pytest.raises(CorruptError, match=f"at most {len(wire) - 1} bytes, got one of {len(wire)}"):
        Frame.decode(wire, max_bytes=len(wire) - 1)


def test_a_payload_that_is_no_value_is_refused_behind_its_checksum() -> None:
    wire = Frame.create(b"\xc1", message_id=ID).encode()
    with pytest.raises(CorruptError, match="reserved byte 0xc1") as caught:
        Frame.decode(wire)
    assert caught.value.offset == len(wire) - 1


@pytest.mark.parametrize("duplicate", [pickle.dumps, copy.deepcopy])
def test_frames_have_one_serial_form(duplicate: Any) -> None:
    with pytest.raises(TypeError, match="cannot pickle"):
        duplicate(Frame.create(b"\xc0", message_id=ID))


def test_what_can_be_made_can_be_read() -> None:
    payload = pack(bytes((62 << 20) - 5))
    headers = {"a": "x" * ((512 << 10) - 8)}
    frame = Frame.create(
        payload, message_id=ID, correlation_id=ID[::-1], parent_id=ID, key="k" * (64 << 10), headers=headers
    )
    letter = frame.restamp(
        attempt=9, headers={**headers, "dead_letter": {"error": "\u20ac" * 2000, "route": "r" * 128}}
    )
    assert Frame.decode(letter.encode()) == letter


@pytest.mark.parametrize(
    ("text", "make"),
    [
        ("payload: expected at most 65011712 bytes, got 65011713", lambda: Frame.create(bytes((62 << 20) + 1), message_id=ID)),
        ("headers: expected at most 524288 bytes", lambda: Frame.create(b"\xc0", message_id=ID, headers={"a": "x" * 524288})),
        ("key: expected at most 65536 bytes", lambda: Frame.create(b"\xc0", message_id=ID, key="\u20ac" * 30_000)),
        # A hundred gigabytes, were they written.
        (r"message.a\[61\]: expected at most 65011712 bytes", lambda: pack({"a": ["x" * (1 << 20)] * 100_000})),
        ("message: expected at most 65011712 bytes", lambda: pack(["x" * (59 << 20)] + [2.5] * 600_000)),
        (r"message\[1\]: expected at most", lambda: pack([b"x" * (60 << 20), Ext(1, b"x" * (3 << 20))])),
    ],
)  # fmt: skip
def test_what_would_be_too_long_to_be_read_cannot_be_made(text: str, make: Callable[[], object]) -> None:
    with pytest.raises(CodecError, match=text):
        make()
