"""Leases: from when they count, what happens when they cannot be renewed, and when somebody else got the messages."""

import math
import sqlite3
import time
from contextlib import contextmanager

import pytest
import trio

from factflow_engine.queues.sqlite import QueueFileError, SqliteQueue
from factflow_protocols import LeasedElsewhere, Nack
from support.internals import store_of
from support.sqlite_queues import message, settings, simulated, values

QUEUE = "/queue/q"


class Watch:
    """A clock that is put forward by hand."""

    monotonic_ns = staticmethod(time.perf_counter_ns)

    def __init__(self):
        self.now_ns = 1_800_000_000_000_000_000

    def wall_ns(self):
        return self.now_ns

    def forward(self, seconds):
        self.now_ns += round(seconds * 1e9)


@contextmanager
def locked(path):
    """Another process keeps the file to itself."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        connection.close()


async def figures(queue):
    """How many messages wait, are delayed, and are leased."""
    [line] = (await queue.administration.statistics()).lines
    return line.waiting, line.delayed, line.leased


async def test_a_lease_counts_from_when_the_file_was_free(tmp_path):
    watch = Watch()
    first, second = (SqliteQueue(settings(tmp_path / "q.db", lease_seconds=30), clock=watch) for _ in range(2))
    await first.publish_batch(QUEUE, [message(1), message(2)])

    def wait_for_the_lock(sql):
        if sql.startswith("BEGIN IMMEDIATE"):
            watch.forward(40)  # as if another process had it for so long

    async with first.subscribe(QUEUE, "s", 10) as one, second.subscribe(QUEUE, "s", 10) as two:
        store_of(first).connection.set_trace_callback(wait_for_the_lock)
        assert values(await one.receive(1)) == [1]
        store_of(first).connection.set_trace_callback(None)
        assert values(await two.receive(10)) == [2]
    await first.stop()
    await second.stop()


async def test_what_was_done_is_settled_also_after_a_renewal_failed(autojump_clock, tmp_path, caplog):
    queue = simulated(tmp_path / "q.db", lease_seconds=3, busy_seconds=0)
    await queue.publish_batch(QUEUE, [message(number) for number in range(3)])
    async with queue.subscribe(QUEUE, "s", 10) as subscription:
        done, later, kept = await subscription.receive(3)
        with locked(tmp_path / "q.db"):
            await trio.sleep(1.5)
        assert "leases of a consumer were not renewed" in caplog.text
        await subscription.settle([done], [Nack(later, 3600)])
        assert await figures(queue) == (0, 1, 1)
        await trio.sleep(10)
        assert await figures(queue) == (0, 1, 1), "it was renewed again"
        await subscription.settle([kept])
    await queue.stop()


async def test_a_subscription_ends_loudly_when_its_leases_are_over(autojump_clock, tmp_path):
    queue = simulated(tmp_path / "q.db", lease_seconds=3, busy_seconds=0)
    await queue.publish_batch(QUEUE, [message(1), message(2)])
    async with queue.subscribe(QUEUE, "s", 2) as subscription:
        done, _ = await subscription.receive(2)

        async def told():
            with pytest.raises(QueueFileError, match="kept it locked"):
                await subscription.receive(1)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(told)
            with locked(tmp_path / "q.db"):
                await trio.sleep(4)
        await subscription.settle([done])
    assert await figures(queue) == (1, 0, 0)
    await queue.stop()


async def test_a_consumer_is_told_what_another_got_while_it_was_blocked(autojump_clock, tmp_path, caplog):
    watch = Watch()
    queue, other = (simulated(tmp_path / "q.db", clock=watch, lease_seconds=30) for _ in range(2))
    await queue.publish_batch(QUEUE, [message(number) for number in range(4)])
    async with queue.subscribe(QUEUE, "s", 4) as subscription, other.subscribe(QUEUE, "s", 10) as thief:
        held = await subscription.receive(4)
        watch.forward(31)
        stolen = await thief.receive(2)
        await subscription.settle([held[0]])
        assert "1 messages that a consumer had are no longer its own" in caplog.text
        assert subscription.statistics().unsettled == 3
        caplog.clear()
        await trio.sleep(11)
        assert f"queue {QUEUE!r}: 1 messages that a consumer had are no longer its own" in caplog.text
        assert subscription.statistics().unsettled == 2, "the others nobody else had got"
        await subscription.settle(held)
        await thief.settle(stolen)
        assert await subscription.depth() == 0
        caplog.clear()
        await trio.sleep(100)
        assert not caplog.text
    await queue.stop()
    await other.stop()


async def test_a_saturated_consumer_that_lost_everything_goes_on(autojump_clock, tmp_path):
    watch = Watch()
    queue, other = (simulated(tmp_path / "q.db", clock=watch, lease_seconds=30) for _ in range(2))
    await queue.publish_batch(QUEUE, [message(1), message(2)])
    async with queue.subscribe(QUEUE, "s", 1) as subscription:
        await subscription.receive(1)
        async with other.subscribe(QUEUE, "s", 10) as thief:
            watch.forward(31)
            assert values(await thief.receive(1)) == [1]
            with trio.fail_after(60):
                assert values(await subscription.receive(1)) == [2]
    await queue.stop()
    await other.stop()


async def test_a_consumer_that_gets_its_own_messages_again_is_told(autojump_clock, tmp_path, caplog):
    watch = Watch()
    queue = simulated(tmp_path / "q.db", clock=watch, lease_seconds=30)
    await queue.publish(QUEUE, message(1))
    async with queue.subscribe(QUEUE, "s", 10) as subscription:
        await subscription.receive(1)
        watch.forward(31)
        await subscription.receive(1)
        assert "1 messages that a consumer had are no longer its own" in caplog.text
        assert subscription.statistics().unsettled == 1
    await queue.stop()


async def test_settling_beside_a_renewal_is_not_taken_for_a_loss(autojump_clock, tmp_path, caplog):
    class SlowThreads:
        async def run(self, function):
            await trio.sleep(0.2)
            return function()

    queue = SqliteQueue(settings(tmp_path / "q.db", lease_seconds=3), threads=SlowThreads())
    async with queue.subscribe(QUEUE, "s", 10) as subscription:
        for turn in range(10):
            await queue.publish(QUEUE, message(turn))
            held = await subscription.receive(1)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(subscription.renew)  # asks in a second
                await trio.sleep(0.9)
                for number in range(2):  # the second leads the transaction of the other two, who go on in any order
                    nursery.start_soon(queue.publish, "/queue/other", message(2 * turn + number))
                    await trio.testing.wait_all_tasks_blocked()
                nursery.start_soon(subscription.settle, held)
                await trio.sleep(0.8)
                nursery.cancel_scope.cancel()
    assert not caplog.text
    await queue.stop()


@pytest.mark.parametrize(
    ("delay", "expected"), [(math.inf, (0, 1, 0)), (1e11, (0, 1, 0)), (math.nan, (1, 0, 0)), (-math.inf, (1, 0, 0))]
)
async def test_any_delay_is_settled_with_the_rest_of_its_batch(delay, expected, tmp_path):
    queue = simulated(tmp_path / "q.db", lease_seconds=3)
    await queue.publish_batch(QUEUE, [message(1), message(2)])
    async with queue.subscribe(QUEUE, "s", 10) as subscription:
        done, again = await subscription.receive(2)
        await subscription.settle([done], [Nack(again, delay)])
        assert await figures(queue) == expected
    await queue.stop()


async def test_a_consumer_can_ask_what_others_have_and_for_how_long(autojump_clock, tmp_path):
    queue = simulated(tmp_path / "q.db", lease_seconds=30)
    async with queue.subscribe("/queue/x", "", 10) as first, queue.subscribe("/queue/x", "", 10) as second:
        await queue.publish_batch("/queue/x", [message(number) for number in range(1, 4)])
        assert await second.leased_elsewhere() == LeasedElsewhere(0, None)
        had = await first.receive(2)
        leased = await second.leased_elsewhere()
        assert leased.messages == 2
        assert 25 < leased.next_seconds <= 30
        assert await first.leased_elsewhere() == LeasedElsewhere(0, None)
        await second.receive(2)
        leased = await second.leased_elsewhere()
        assert leased == LeasedElsewhere(2, None), "the next lease to end may be its own"
        await first.settle(had)
        assert (await second.leased_elsewhere()).messages == 0
    await queue.stop()


async def test_what_was_given_back_and_may_be_handed_out_is_not_elsewhere(autojump_clock, tmp_path):
    queue = simulated(tmp_path / "q.db", lease_seconds=30)
    async with queue.subscribe("/queue/x", "", 10) as first, queue.subscribe("/queue/x", "", 10) as second:
        await queue.publish_batch("/queue/x", [message(number) for number in range(1, 4)])
        one, two, _ = await first.receive(3)
        await first.settle([], [Nack(one)])
        leased = await second.leased_elsewhere()
        assert leased.messages == 2
        assert 25 < leased.next_seconds <= 30
        await first.settle([], [Nack(two, delay_seconds=5)])
        leased = await second.leased_elsewhere()
        assert (leased.messages, round(leased.next_seconds)) == (2, 5)
        await trio.sleep(6)
        assert (await second.leased_elsewhere()).messages == 1
    await queue.stop()
