"""Publishing: duplicates where there is no room, and names that cannot be stored."""

import trio

from factflow_protocols import MessageStatus
from support.sqlite_queues import message, simulated

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
