"""Waiting for room in several channels at once."""

from functools import partial

import trio
import trio.testing

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
