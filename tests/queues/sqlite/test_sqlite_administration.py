"""What operators do with a file while it is in use."""

import pytest
import trio

from factflow_engine.queues.sqlite.statements import ROWS_AT_A_TIME
from factflow_protocols import Deleted, QueueError, StoredName
from support.internals import store_of
from support.sqlite_queues import message, simulated


@pytest.mark.parametrize("name", ["check", "statistics"])
async def test_looking_through_the_file_holds_no_lock_whoever_writes_meanwhile(name, autojump_clock, tmp_path):
    queue = simulated(tmp_path / "q.db")
    await queue.publish("/queue/q", message(0))
    statements = []
    store_of(queue).connection.set_trace_callback(statements.append)
    async with trio.open_nursery() as nursery:
        for number in range(1, 10):
            nursery.start_soon(queue.publish, "/queue/q", message(number))
        nursery.start_soon(getattr(queue.administration, name))
        for number in range(10, 20):
            nursery.start_soon(queue.publish, "/queue/q", message(number))
    looked, *_ = [
        place
        for place, sql in enumerate(statements)
        if sql.startswith(("PRAGMA integrity", "SELECT count(*) FROM seen"))
    ]
    begun = [sql for sql in statements[:looked] if sql.startswith(("BEGIN", "COMMIT", "ROLLBACK"))]
    assert begun[-1] == "BEGIN"
    await queue.stop()


async def test_forgetting_a_full_subscription_lets_the_publishers_of_its_topic_go_on(autojump_clock, tmp_path):
    queue, other = (simulated(tmp_path / "q.db", capacity=2) for _ in range(2))
    async with queue.subscribe("/topic/t", "gone", 5):
        pass
    async with queue.subscribe("/topic/t", "here", 5) as subscription, trio.open_nursery() as nursery:
        nursery.start_soon(queue.publish_batch, "/topic/t", [message(number) for number in range(4)])
        await subscription.settle(await subscription.receive(5))
        with trio.move_on_after(5):
            await subscription.receive(1)
            pytest.fail("there was no room for it")
        forgotten, purged, _ = await other.administration.forget("/topic/t", subscription="gone")
        assert (forgotten, purged.messages) == (1, 2)
        with trio.fail_after(5):
            await subscription.settle(await subscription.receive(5))
    await queue.stop()
    await other.stop()


async def test_a_deletion_that_is_cancelled_has_deleted_whole_batches_and_may_be_repeated(autojump_clock, tmp_path):
    queue = simulated(tmp_path / "q.db")
    await queue.publish_batch("/queue/q", [message(number) for number in range(2 * ROWS_AT_A_TIME + 1)])
    names = [StoredName(each.seq, each.message_id) async for each in queue.administration.browse("/queue/q")]
    told = []
    with trio.CancelScope() as scope:

        def progress(counts):
            told.append(counts.deleted)
            scope.cancel()

        await queue.administration.delete("/queue/q", list(reversed(names)), progress=progress)
    assert scope.cancelled_caught
    assert told == [ROWS_AT_A_TIME]
    left = [each.seq async for each in queue.administration.browse("/queue/q")]
    assert left == [name.seq for name in names[ROWS_AT_A_TIME:]]
    deleted = await queue.administration.delete("/queue/q", names)
    assert deleted == Deleted(deleted=ROWS_AT_A_TIME + 1, gone=ROWS_AT_A_TIME)
    assert await queue.administration.check() == []
    await queue.stop()


async def test_only_messages_of_the_queue_are_deleted(autojump_clock, tmp_path):
    queue = simulated(tmp_path / "q.db")
    async with queue.subscribe("/topic/t", "a", 1), queue.subscribe("/topic/t", "b", 1):
        pass
    for name in ("/queue/q", "/queue/other", "/topic/t"):
        await queue.publish_batch(name, [message(1), message(2)])
    queues = queue.administration
    names = [
        StoredName(each.seq, each.message_id)
        for name in ("/queue/q", "/queue/other", "/topic/t")
        async for each in queues.browse(name)
    ]
    assert await queues.delete("/queue/q", names) == Deleted(deleted=2, gone=6)
    assert await queues.delete("/topic/t", names[::2]) == Deleted(deleted=2, gone=2)
    assert [line.waiting for line in (await queues.statistics()).lines] == [2, 0, 1, 1]
    assert await queues.check() == []
    await queue.stop()


async def test_nothing_is_forgotten_while_a_consumer_has_messages(autojump_clock, tmp_path):
    queue = simulated(tmp_path / "q.db")
    await queue.publish_batch("/queue/q", [message(1), message(2)])
    async with queue.subscribe("/queue/q", "s", 1) as subscription:
        deliveries = await subscription.receive(1)
        with pytest.raises(QueueError, match="has consumers, who have 1 of its messages"):
            await queue.administration.forget("/queue/q")
        assert await subscription.depth() == 2
        await subscription.settle(deliveries)
        assert (await queue.administration.forget("/queue/q"))[0] == 1
        with pytest.raises(QueueError, match="was forgotten"), trio.fail_after(5):
            await subscription.receive(1)
    assert (await queue.administration.statistics()).lines == ()
    await queue.stop()
