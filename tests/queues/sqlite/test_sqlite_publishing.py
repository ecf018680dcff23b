"""Publishing: duplicates where there is no room, and names and places that cannot be used."""

import pytest
import trio

from factflow_engine.queues.sqlite import QueueFileError
from factflow_protocols import MessageStatus, QueueError
from support.internals import store_of
from support.sqlite_queues import message, simulated, values

QUEUE = "/queue/q"


async def test_a_duplicate_does_not_wait_for_room(autojump_clock, tmp_path):
    queue = simulated(tmp_path / "q.db", capacity=2)
    await queue.publish_batch(QUEUE, [message(1), message(2)])
    with trio.fail_after(60):
        assert await queue.publish(QUEUE, message(1)) is MessageStatus.DUPLICATE
        batch = await queue.publish_batch(QUEUE, [message(2), message(1), message(2)])
        assert list(batch.statuses) == [MessageStatus.DUPLICATE] * 3
    with trio.move_on_after(60) as waiting:
        await queue.publish_batch(QUEUE, [message(1), message(3)])
    assert waiting.cancelled_caught, "what is new does"
    await queue.stop()


async def test_a_duplicate_of_some_of_a_topics_subscriptions_waits_for_room_in_the_others(autojump_clock, tmp_path):
    queue = simulated(tmp_path / "q.db")
    async with queue.subscribe("/topic/t", "one", 10, 1):
        await queue.publish("/topic/t", message(1))
        async with queue.subscribe("/topic/t", "other", 10, 1):
            with trio.move_on_after(60) as waiting:
                await queue.publish("/topic/t", message(1))
            assert waiting.cancelled_caught
    await queue.stop()


async def test_a_process_that_refuses_no_duplicates_waits_for_room(autojump_clock, tmp_path):
    queue, other = (simulated(tmp_path / "q.db", capacity=1, dedup_seconds=seconds) for seconds in (600, 0))
    await queue.publish(QUEUE, message(1))
    with trio.move_on_after(60) as waiting:
        await other.publish(QUEUE, message(1))
    assert waiting.cancelled_caught
    await queue.stop()
    await other.stop()


async def test_a_name_that_is_no_text_is_refused_alone(autojump_clock, tmp_path):
    queue = simulated(tmp_path / "q.db")
    statuses = []

    async def publish(number):
        statuses.append(await queue.publish(QUEUE, message(number)))

    async with trio.open_nursery() as nursery:
        for number in range(3):
            nursery.start_soon(publish, number)
        with pytest.raises(QueueError, match="lone surrogate"):
            await queue.publish("/queue/\ud800", message(1))
    with pytest.raises(QueueError, match="lone surrogate"):
        async with queue.subscribe("/topic/t", "\udfff", 1):
            pass
    assert statuses == [MessageStatus.ACCEPTED] * 3
    await queue.stop()


@pytest.mark.parametrize("instead", ["file", "loop"])
async def test_a_folder_that_cannot_be_looked_into_any_more_is_said_of_the_file(instead, autojump_clock, tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    queue = simulated(folder / "q.db")
    await queue.publish_batch(QUEUE, [message(1), message(2)])
    with pytest.raises(QueueFileError, match=r"was removed or replaced|cannot be looked at"):
        async with queue.subscribe(QUEUE, "s", 10) as subscription:
            await subscription.receive(1)
            folder.rename(tmp_path / "moved")
            if instead == "file":
                folder.touch()
            else:
                folder.symlink_to(folder)
            with pytest.raises(QueueFileError, match=r"was removed or replaced|cannot be looked at"):
                await queue.publish(QUEUE, message(3))
            await trio.sleep(10)  # the leases cannot be renewed either
    await queue.stop()


async def test_a_batch_that_is_whole_is_read_at_once_and_one_with_a_gap_one_by_one(autojump_clock, tmp_path):
    queue = simulated(tmp_path / "q.db")
    await queue.publish_batch("/queue/q", [message(number) for number in range(40)])
    statements = []
    connection = store_of(queue).connection
    connection.set_trace_callback(statements.append)
    async with queue.subscribe("/queue/q", "s", 100) as subscription:
        received = await subscription.receive(20)
        assert not any("hex(frame)" in statement for statement in statements)
        connection.execute("DELETE FROM message WHERE seq = ?", (received[-1].seq + 5,))
        received = [*received, *await subscription.receive(20)]
        assert any("hex(frame)" in statement for statement in statements)
    assert values(received) == [number for number in range(40) if number != 24]
    await queue.stop()
