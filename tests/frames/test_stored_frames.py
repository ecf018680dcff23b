"""Many frames into bytes and back in one call, beside the same one by one."""

import sys
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from factflow_engine.errors import CodecError, TruncatedError
from factflow_engine.frames import Frame, pack
from factflow_engine.native import LeasedFrame, encoded_frames, leased_frames, peeked_frame

FRAMES = st.lists(
    st.builds(
        lambda payload, number, attempt, key: Frame.create(
            pack(payload), message_id=number.to_bytes(16), attempt=attempt, key=key
        ),
        st.none() | st.integers().filter(lambda value: -(2**63) <= value < 2**64) | st.text() | st.binary(),
        st.integers(0, 2**128 - 1),
        st.integers(1, 2**32 - 1),
        st.none() | st.text(max_size=8),
    ),
    max_size=20,
)
NUMBERS = st.integers(-(2**62), 2**62)


@given(FRAMES)
def test_encoding_many_is_encoding_each(frames):
    assert encoded_frames(frames) == ([frame.message_id for frame in frames], [frame.encode() for frame in frames])


@given(FRAMES, NUMBERS, NUMBERS)
def test_reading_many_is_reading_each_under_one_lease_with_ascending_numbers(frames, first, token):
    leased = leased_frames(b"".join(frame.encode() for frame in frames), first, token)
    assert [(each.message, each.seq, each.token) for each in leased] == [
        (frame, first + place, token) for place, frame in enumerate(frames)
    ]


@given(FRAMES.filter(bool), st.data())
def test_what_is_no_sequence_of_frames_is_refused(frames, data):
    whole = bytearray(b"".join(frame.encode() for frame in frames))
    ends = {sum(len(frame.encode()) for frame in frames[:count]) for count in range(len(frames) + 1)}
    if data.draw(st.booleans()):
        cut = data.draw(st.integers(0, len(whole)).filter(lambda length: length not in ends))
        del whole[cut:]
    else:
        whole[data.draw(st.integers(0, len(whole) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(CodecError):
        leased_frames(bytes(whole), 1, 1)


def test_only_frames_are_encoded():
    frame = Frame.create(pack(1), message_id=bytes(16))
    with pytest.raises(TypeError):
        encoded_frames([frame, object()])


def test_a_leased_frame_does_not_change_and_keeps_its_frame():
    frame = Frame.create(pack(1), message_id=bytes(16))
    before = sys.getrefcount(frame)
    leased = LeasedFrame(frame, 2, 3)
    assert (leased.message, leased.seq, leased.token) == (frame, 2, 3)
    assert sys.getrefcount(frame) == before + 1
    with pytest.raises(AttributeError):
        leased.seq = 4
    assert leased != LeasedFrame(frame, 2, 3), "each delivery is one of its own"


@given(FRAMES)
def test_the_header_of_a_frame_is_read_without_its_payload(frames):
    for frame in [frame.restamp(headers={"why": ["so"]}) for frame in frames]:
        data = frame.encode()
        header = len(data) - len(frame.payload)
        for length in range(header, len(data) + 1):
            peeked, size = peeked_frame(data[:length])
            assert size == len(frame.payload)
            assert peeked.payload == pack(None)
            assert (peeked.message_id, peeked.attempt, peeked.key, peeked.headers) == (
                frame.message_id, frame.attempt, frame.key, frame.headers,
            )  # fmt: skip
        for length in range(header):
            with pytest.raises(TruncatedError):
                peeked_frame(data[:length])


@given(st.binary(max_size=40), st.integers(0, 100), st.integers(0, 255))
def test_peeking_at_damaged_bytes_is_an_error_or_a_frame(payload, place, byte):
    data = bytearray(Frame.create(pack(payload), message_id=bytes(16), headers={"why": [1, {"a": "so"}]}).encode())
    data[place % len(data)] = byte
    for length in (len(data), len(data) // 2):
        with suppress(CodecError):
            peeked, size = peeked_frame(bytes(data[:length]))
            assert isinstance(peeked, Frame)
            assert size >= 0
