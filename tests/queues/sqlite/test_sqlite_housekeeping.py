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


async def test_ids_are_forgotten_as_fast_as_they_come_however_many_share_a_transaction(autojump_clock, tmp_path):
    queue = simulated(tmp_path / "q.db", dedup_seconds=2)

    async def publish(publisher):
        for turn in range(40):
            first = (turn * 20 + publisher) * 500
            await queue.publish_batch(QUEUE, [message(first + number) for number in range(500)])
            await trio.sleep_until(turn + 1)

    async with trio.open_nursery() as nursery:
        for publisher in range(20):
            nursery.start_soon(publish, publisher)
    remembered = (await queue.administration.statistics()).remembered_ids
    assert remembered < 8 * 10_000, "a round takes less than two windows, beside the windows of 2 s"
    await queue.stop()


async def test_settled_messages_are_deleted_as_fast_as_they_come_also_one_by_one(autojump_clock, tmp_path):
    queue = simulated(tmp_path / "q.db", dedup_seconds=0, retention_seconds=2, lease_seconds=600)
    async with queue.subscribe(QUEUE, "s", 1_000) as subscription:
        for turn in range(30):
            await queue.publish_batch(QUEUE, [message(turn * 1_000 + number) for number in range(1_000)])
            deliveries = await subscription.receive(1_000)
            await subscription.settle(deliveries[::2])
            await subscription.settle(deliveries[1::2])
            await trio.sleep_until(turn + 1)
    [line] = (await queue.administration.statistics()).lines
    assert line.settled <= 4_000
    assert await queue.administration.check() == []
    await queue.stop()
