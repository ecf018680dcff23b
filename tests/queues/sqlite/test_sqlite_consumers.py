"""Consumers in awkward moments: their queue is forgotten, the provider stops, the file is locked when they leave."""

import pytest
import trio

from factflow_protocols import QueueError
from support.sqlite_queues import message, simulated

QUEUE = "/queue/q"


async def test_a_consumer_is_told_that_its_queue_was_forgotten_though_another_has_its_number(autojump_clock, tmp_path):
    queue, other = (simulated(tmp_path / "q.db") for _ in range(2))

    async def consume(subscription):
        with pytest.raises(QueueError, match="was forgotten"), trio.fail_after(10):
            await subscription.receive(1)

    async with queue.subscribe(QUEUE, "s", 10) as subscription, trio.open_nursery() as nursery:
        nursery.start_soon(consume, subscription)
        await trio.sleep(5)  # it is idle, and only glances
        await other.forget_empty(QUEUE)
        assert await subscription.depth() == 0
        async with other.subscribe("/queue/new", "s", 1):
            await other.publish(QUEUE, message(1))
            assert await subscription.depth() == 1, "what the queue holds that was made anew"
    await queue.stop()
    await other.stop()
