"""What is kept for a while and then forgotten: ids by which duplicates are told, and settled messages."""

import trio

from factflow_protocols import MessageStatus
from support.sqlite_queues import message, simulated

QUEUE = "/queue/q"


async def test_a_process_with_shorter_windows_leaves_what_another_keeps(autojump_clock, tmp_path):
    queue = simulated(tmp_path / "q.db", dedup_seconds=10_000, retention_seconds=20_000)
    other = simulated(tmp_path / "q.db", dedup_seconds=10, retention_seconds=0)
    await queue.publish_batch(QUEUE, [message(1), message(2)])
    async with queue.subscribe(QUEUE, "s", 10) as subscription:
        await subscription.settle(await subscription.receive(10))

    async def kept(seconds):
        """How many settled messages there are after so long, and whether their ids are refused."""
        await trio.sleep(seconds)
        await other.publish("/queue/elsewhere", message(int(trio.current_time())))
        statuses = {await each.publish(QUEUE, message(number)) for number, each in [(1, queue), (2, other)]}
        [line, *_] = [line for line in (await queue.administration.statistics()).lines if line.queue == QUEUE]
        return line.settled, statuses

    assert await kept(9_000) == (2, {MessageStatus.DUPLICATE})
    assert await kept(2_000) == (2, {MessageStatus.ACCEPTED})
    assert await kept(11_000) == (0, {MessageStatus.ACCEPTED})
    await queue.stop()
    await other.stop()
