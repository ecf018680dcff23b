"""Any bytes as a value and as a frame in Python: what `msgpack` reads, it reads the same or refuses for a reason."""

# ruff: noqa: PT017 - a check is no test, and looks at errors as they come

import math
import random

import msgpack

from factflow_engine.errors import CodecError, TruncatedError
from factflow_engine.frames import Frame, FrameDecoder, pack, unpack, validate
from factflow_engine.native import leased_frames, peeked_frame
from factflow_engine.queues.dead_letters import read_dead_letter, write_dead_letter
from factflow_protocols import Ext, LetterStaysError, Timestamp
from fuzz.campaign import Target

MESSAGE = Frame.create(pack({"a": [1, 2.5, "x", b"y", None, True]}), message_id=bytes(16), headers={"h": 1}, key="k")
LETTER = write_dead_letter(
    MESSAGE, route="r", stage="s", queue="/queue/q", error_type="E", error="e", place="p:1", time_ns=1, config_hash="c",
    renames=False,
)  # fmt: skip
AGAIN = write_dead_letter(
    LETTER, route="r", stage=None, queue=None, error_type="E", error="e", place="", time_ns=1, config_hash="c",
    renames=True,
)  # fmt: skip
VALUES = [
    None,
    1,
    -1,
    2**64 - 1,
    -(2**63),
    0.5,
    "text",
    b"data",
    [1, [2]],
    {"a": {"b": 1}},
    Timestamp(1, 2),
    Ext(5, b"x"),
]
SEEDS = [
    *(b"\x00" + frame.encode() for frame in (MESSAGE, LETTER, AGAIN)),
    *(b"\x01" + frame.encode()[10:] for frame in (MESSAGE, LETTER, AGAIN)),
    *(b"\x02" + pack(value) for value in [*VALUES, VALUES, {str(n): n for n in range(40)}]),
    *(b"\x03" + pack(dict(frame.headers["dead_letter"])) for frame in (LETTER, AGAIN)),
]
WORDS = [
    *(
        b"\xc0",
        b"\xc1",
        b"\xc3",
        b"\x90",
        b"\x80",
        b"\x91",
        b"\x81\xa1a",
        b"\xd9\x01a",
        b"\xdb\0\0\0\x01a",
        b"\xc4\0",
        b"\xa2\xc3\x28",
    ),
    *(
        b"\xca\x7f\xc0\0\0",
        b"\xcb\x7f\xf8\0\0\0\0\0\0",
        b"\xcf" + b"\xff" * 8,
        b"\xd3\x80" + b"\0" * 7,
        b"\xd6\xff\0\0\0\0",
    ),
    *(
        b"\xd7\xff" + b"\xff" * 8,
        b"\xc7\x0c\xff" + b"\0" * 12,
        b"\xc7\0\x05",
        b"\xdd\xff\xff\xff\xff",
        b"\xdf\0\0\0\x02",
    ),
    *(pack(name) for name in ("dead_letter", "queue", "route", "stage", "attempts", "time_ns", "first", "place")),
]


def check(data):
    how, rest = data[:1], data[1:]
    if how == b"\x02":
        return check_value(rest)
    if how == b"\x03":
        return check_letter(rest)
    return check_frame(rest if how == b"\x00" else sealed(rest))


def sealed(body):
    """A frame of a body: of another one, the prefix is taken, and the checksum, which its error says, is put right."""
    frame = b"\xc1\0" + len(body).to_bytes(4, "big") + bytes(4) + body
    try:
        Frame.decode(frame)
    except CodecError as error:
        said = str(error)
        if "with checksum" not in said:
            return frame
        computed = said.split("got bytes with ")[1][:8]
        return frame[:6] + bytes.fromhex(computed) + body
    return frame


def check_value(data):
    try:
        value = unpack(data)
    except CodecError as error:
        refused = str(error)
        try:
            validate(data)
        except CodecError as other:
            assert str(other) == refused
        else:
            raise AssertionError("validate takes it, unpack does not") from error
        try:
            msgpack.unpackb(data, strict_map_key=False, timestamp=0, ext_hook=Ext)
        except (ValueError, msgpack.UnpackException, TypeError):
            return refused.split(" (at")[0][:20]
        reasons = ("as map key", "each key of a map once", "nested containers", "elements", "nanoseconds")
        assert any(reason in refused for reason in reasons), refused
        return refused.split(" (at")[0][:20]
    validate(data)
    theirs = msgpack.unpackb(data, strict_map_key=True, timestamp=0, ext_hook=Ext)
    assert same(value, theirs), (value, theirs)
    assert same(unpack(pack(value)), theirs)
    return type(value).__name__, len(data).bit_length()


def same(ours, theirs):
    if isinstance(theirs, msgpack.Timestamp):
        return ours == Timestamp(theirs.seconds, theirs.nanoseconds)
    if type(ours) is not type(theirs):
        return False
    if isinstance(ours, list):
        return len(ours) == len(theirs) and all(map(same, ours, theirs))
    if isinstance(ours, dict):
        return list(ours) == list(theirs) and all(same(ours[key], theirs[key]) for key in ours)
    if isinstance(ours, float) and math.isnan(ours):
        return math.isnan(theirs)
    return ours == theirs


def check_frame(data):
    decoder, streamed = FrameDecoder(), None
    try:
        decoder.feed(data[:7])
        decoder.feed(data[7:])
        streamed = decoder.next()
    except CodecError as error:
        streamed = error
    for read in (lambda: leased_frames(data, 1, 1), lambda: peeked_frame(data)):
        try:
            read()
        except CodecError as error:
            assert str(error)
    try:
        frame = Frame.decode(data)
    except CodecError as error:
        if isinstance(error, TruncatedError):
            assert streamed is None
        return str(error)[:30]
    assert streamed == frame
    assert Frame.decode(frame.encode()) == frame
    return check_frames_letter(frame)


def check_letter(data):
    """Any map as the header of a dead letter."""
    try:
        header = unpack(data)
    except CodecError:
        return None
    return check_frames_letter(MESSAGE.restamp(headers={"dead_letter": header}))


def check_frames_letter(frame):
    try:
        letter = read_dead_letter("/queue/dlq", frame)
    except LetterStaysError as error:
        return str(error)[-30:]
    restored = letter.restored(random.Random(1).randrange(2**40))
    assert restored.payload == frame.payload
    assert "dead_letter" not in restored.headers
    again = write_dead_letter(
        frame,
        route="r",
        stage=None,
        queue=None,
        error_type="",
        error="",
        place="",
        time_ns=1,
        config_hash="",
        renames=True,
    )
    first = read_dead_letter("/queue/dlq", again).first
    assert first is not None
    try:
        assert letter.target(None) == letter.queue
    except LookupError:
        assert letter.queue is None
    return "letter", letter.queue is None, letter.first is None, bool(letter.stage)


TARGET = Target(name="frames", check=check, seeds=SEEDS, words=WORDS)
