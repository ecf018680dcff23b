"""Many frames into bytes and back in one call, beside the same one by one."""

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from factflow_engine.errors import CodecError
from factflow_engine.frames import Frame, pack
from factflow_engine.native import LeasedFrame, encoded_frames, leased_frames

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
