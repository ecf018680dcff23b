"""Waiting for room in several channels at once."""

from functools import partial

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from factflow_engine.frames import Frame
from factflow_engine.queues.channel import MemoryChannel, wait_for_room


def full_channel(name):
    channel = MemoryChannel(name, 1)
    channel.listen(lambda: None)
    channel.append(Frame.create(b"\xc0", message_id=bytes(16)))
    return channel


def full_among(channels):
    return next((channel for channel in channels if channel.is_full), None)


async def test_room_that_a_publisher_cannot_use_yet_is_another_ones(autojump_clock):
    topic, queue = full_channel("topic"), full_channel("queue")
    went_on = []

    async def publish(name, channels):
        await wait_for_room(partial(full_among, channels))
        went_on.append(name)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(publish, "both", [topic, queue])
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(publish, "one", [topic])
        await trio.testing.wait_all_tasks_blocked()
        topic.take()  # there is room for one, and the first that waits for it is told
        await trio.testing.wait_all_tasks_blocked()
        assert went_on == ["one"]
        queue.take()
        await trio.testing.wait_all_tasks_blocked()
        assert went_on == ["one", "both"]


async def test_who_finds_room_everywhere_does_not_wait():
    room = MemoryChannel("room", 1)
    room.listen(lambda: None)
    with trio.testing.assert_no_checkpoints():
        await wait_for_room(partial(full_among, [room]))


@given(st.integers(0, 12), st.integers(0, 12), st.booleans(), st.lists(st.sampled_from("ab"), min_size=12, max_size=12))
def test_many_are_added_and_taken_as_one_after_the_other(waiting, most, ordered, keys):
    one, other = (MemoryChannel("q", 5) for _ in range(2))
    told = []
    one.listen(lambda: told.append(one.waiting))
    frames = [Frame.create(b"\xc0", message_id=number.to_bytes(16), key=keys[number]) for number in range(waiting)]
    for channel in (one, other):
        if ordered:
            channel.order_by_key()
    for frame in frames:
        other.append(frame)
    one.append_all(frames)
    assert told == [waiting] * bool(waiting), "consumers are told once, when all are there"
    by_one = [frame for _ in range(most) if (frame := other.take()) is not None]
    assert one.take_some(most) == by_one
    assert one.frames() == other.frames()


def test_a_publisher_that_fails_when_it_is_told_of_room_costs_no_message():
    channel = MemoryChannel("q", 3)
    for number in range(4):
        channel.append(Frame.create(b"\xc0", message_id=number.to_bytes(16)))
    before = channel.frames()

    def fail():
        raise OSError("no room after all")

    channel.watch(fail)
    with pytest.raises(OSError, match="no room after all"):
        channel.take_some(4)
    assert channel.frames() == before
