"""Publishing and settling in one transaction: all of it or nothing, whatever happens on the way."""

import sqlite3
from contextlib import contextmanager

import pytest
import trio

from factflow_engine.frames import Frame
from factflow_engine.queues.sqlite import QueueFileError, SqliteQueue
from factflow_engine.testing.virtual_time import SimulatedClock
from factflow_protocols import QueueError
from support.internals import store_of
from support.sqlite_queues import message, settings, simulated, values

SOURCE, ONWARD, OTHER = "/queue/source", "/queue/onward", "/queue/other"


class SlowThreads:
    """Takes a second before and a second after, so that every moment can be hit."""

    async def run(self, function):
        await trio.sleep(1)
        result = function()
        await trio.sleep(1)
        return result


async def everything(queue, name):
    """All that is there, taken and settled."""
    found = []
    async with queue.subscribe(name, "check", 1000) as subscription:
        with trio.move_on_after(60):
            while True:
                deliveries = await subscription.receive(100)
                found += values(deliveries)
                await subscription.settle(deliveries)
    return found


@pytest.mark.parametrize("company", [False, True])
@pytest.mark.parametrize("step", range(12))
async def test_a_cancelled_transaction_is_done_whole_or_not_at_all(step, company, autojump_clock, tmp_path):
    queue = SqliteQueue(settings(tmp_path / "q.db", lease_seconds=1000), threads=SlowThreads(), clock=SimulatedClock())
    await queue.publish_batch(SOURCE, [message(1), message(2)])
    done = None
    async with queue.subscribe(SOURCE, "s", 10) as source, trio.open_nursery() as nursery:
        deliveries = await source.receive(2)
        if company:
            nursery.start_soon(queue.publish, OTHER, message(3))
            await trio.testing.wait_all_tasks_blocked()
        with trio.move_on_after(step / 2 + 0.25):
            done = await source.publish_and_settle([(ONWARD, [message(11), message(12)])], deliveries)
    left, onward = await everything(queue, SOURCE), await everything(queue, ONWARD)
    assert (left, onward) in [([1, 2], []), ([], [11, 12])]
    assert done is None or (done, left) == (True, [])
    assert await queue.administration.check() == []
    await queue.stop()


async def test_what_was_lost_is_not_settled_and_everything_is_published(tmp_path, caplog):
    clock = SteppedClock()
    first, second = (SqliteQueue(settings(tmp_path / "q.db", lease_seconds=30), clock=clock) for _ in range(2))
    await first.publish_batch(SOURCE, [message(1), message(2)])
    async with first.subscribe(SOURCE, "s", 10) as one, second.subscribe(SOURCE, "s", 10) as two:
        deliveries = await one.receive(2)
        clock.now_ns += 40 * 10**9
        [lost] = await two.receive(1)
        assert await one.publish_and_settle([(ONWARD, [message(11), message(12)])], deliveries)
        assert "1 messages that a consumer had are no longer its own" in caplog.text
        assert await two.publish_and_settle([(ONWARD, [message(11)])], [lost]), "its repeat is a duplicate"
        assert await one.depth() == 0
    assert await first.administration.check() == []
    async with first.subscribe(ONWARD, "s", 10) as onward:
        assert values(await onward.receive(10)) == [11, 12]
    await first.stop()
    await second.stop()


async def test_a_locked_file_leaves_everything_as_it_was(tmp_path):
    queue = SqliteQueue(settings(tmp_path / "q.db", busy_seconds=0.05, lease_seconds=1000))
    await queue.publish(SOURCE, message(1))
    async with queue.subscribe(SOURCE, "s", 10) as source:
        deliveries = await source.receive(1)
        with locked(tmp_path / "q.db"), pytest.raises(QueueFileError, match="has kept it locked"):
            await source.publish_and_settle([(ONWARD, [message(11)])], deliveries)
        assert await source.publish_and_settle([(ONWARD, [message(11)])], deliveries)
        assert await source.depth() == 0
    async with queue.subscribe(ONWARD, "s", 10) as onward:
        assert values(await onward.receive(10)) == [11]
    await queue.stop()


async def test_a_full_disk_leaves_everything_as_it_was(tmp_path):
    queue = SqliteQueue(settings(tmp_path / "q.db", lease_seconds=1000))
    await queue.publish(SOURCE, message(1))
    async with queue.subscribe(SOURCE, "s", 10) as source:
        deliveries = await source.receive(1)
        connection = store_of(queue).connection
        [pages] = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count = {pages}")
        big = Frame.create(b"\xc6" + (1 << 20).to_bytes(4) + bytes(1 << 20), message_id=bytes(16))
        with pytest.raises(QueueFileError, match="the disk is full"):
            await source.publish_and_settle([(ONWARD, [big])], deliveries)
        connection.execute("PRAGMA max_page_count = 1000000")
        assert await source.depth() == 1
        assert await source.publish_and_settle([(ONWARD, [message(11)])], deliveries)
        assert await source.depth() == 0
    assert await queue.administration.check() == []
    await queue.stop()


async def test_duplicates_are_accepted_and_need_no_second_try(autojump_clock, tmp_path):
    queue = simulated(tmp_path / "q.db")
    await queue.publish_batch(SOURCE, [message(1), message(2)])
    await queue.publish(ONWARD, message(11))
    async with queue.subscribe(SOURCE, "s", 10) as source, queue.subscribe(ONWARD, "s", 10) as onward:
        deliveries = await source.receive(2)
        publications = [(ONWARD, [message(11), message(12)]), (ONWARD, [message(12), message(13)])]
        assert await source.publish_and_settle(publications, deliveries)
        assert await source.depth() == 0
        assert values(await onward.receive(10)) == [11, 12, 13]
    await queue.stop()


async def test_what_is_too_much_for_one_transaction_is_declined(autojump_clock, tmp_path):
    queue = simulated(tmp_path / "q.db", capacity=10_000)
    await queue.publish(SOURCE, message(1))
    async with queue.subscribe(SOURCE, "s", 10) as source:
        deliveries = await source.receive(1)
        many = [message(number) for number in range(4_001)]
        long = Frame.create(b"\xc6" + (4 << 20).to_bytes(4) + bytes(4 << 20), message_id=bytes(16))
        assert not await source.publish_and_settle([(ONWARD, many)], deliveries)
        assert not await source.publish_and_settle([(ONWARD, [long])], deliveries)
        assert await source.publish_and_settle([(ONWARD, many[:4_000])], deliveries)
        assert await source.depth() == 0
    async with queue.subscribe(ONWARD, "s", 10) as onward:
        assert await onward.depth() == 4_000
    await queue.stop()


async def test_a_message_that_cannot_be_stored_leaves_everything_as_it_was(autojump_clock, tmp_path):
    class Foreign:
        message_id = bytes(16)

        def encode(self):
            return b"no frame"

    queue = simulated(tmp_path / "q.db")
    await queue.publish(SOURCE, message(1))
    async with queue.subscribe(SOURCE, "s", 10) as source:
        deliveries = await source.receive(1)
        with pytest.raises(QueueError, match="does not encode to a frame"):
            await source.publish_and_settle([(OTHER, [message(2)]), (ONWARD, [Foreign()])], deliveries)
        assert await source.depth() == 1
        async with queue.subscribe(OTHER, "s", 10) as other:
            assert await other.depth() == 0
    await queue.stop()


class SteppedClock:
    """A wall clock that is put forward by hand."""

    now_ns = 1_800_000_000_000_000_000

    def monotonic_ns(self):
        return self.now_ns

    def wall_ns(self):
        return self.now_ns


@contextmanager
def locked(path):
    """Another process keeps the file to itself."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        connection.close()
