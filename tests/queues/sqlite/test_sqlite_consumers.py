"""Consumers in awkward moments: their queue is forgotten, the provider stops, the file is locked when they leave."""

import sqlite3
from contextlib import closing

import pytest
import trio

from factflow_engine.queues.sqlite import QueueFileError, SqliteQueue
from factflow_engine.testing.virtual_time import SimulatedClock
from factflow_protocols import QueueClosedError, QueueError
from support.internals import store_of
from support.sqlite_queues import message, settings, simulated, values

QUEUE = "/queue/q"


class SlowThreads:
    """Takes a second, so that others can come meanwhile."""

    async def run(self, function):
        await trio.sleep(1)
        return function()


class FailingThreads:
    """Does not even start while there is an error to raise."""

    error: Exception | None = None

    async def run(self, function):
        await trio.lowlevel.checkpoint()
        if self.error is not None:
            raise self.error
        return function()


def slow(path):
    return SqliteQueue(settings(path, lease_seconds=100), threads=SlowThreads(), clock=SimulatedClock())


async def test_a_consumer_is_told_that_its_queue_was_forgotten_though_another_has_its_number(autojump_clock, tmp_path):
    queue, other = (simulated(tmp_path / "q.db") for _ in range(2))

    async def consume(subscription):
        with pytest.raises(QueueError, match="was forgotten"), trio.fail_after(10):
            await subscription.receive(1)

    async with queue.subscribe(QUEUE, "s", 10) as subscription, trio.open_nursery() as nursery:
        nursery.start_soon(consume, subscription)
        await trio.sleep(5)  # it is idle, and only peeks
        await other.forget_empty(QUEUE)
        assert await subscription.depth() == 0
        async with other.subscribe("/queue/new", "s", 1):
            await other.publish(QUEUE, message(1))
            assert await subscription.depth() == 1, "what the queue holds that was made anew"
    await queue.stop()
    await other.stop()


@pytest.mark.parametrize("step", range(8))
async def test_what_is_empty_is_forgotten_also_if_its_consumer_leaves_meanwhile(step, autojump_clock, tmp_path):
    queue = slow(tmp_path / "q.db")
    async with trio.open_nursery() as nursery, queue.subscribe("/topic/t", "exec:1:s", 10):
        nursery.start_soon(queue.publish, "/queue/kept", message(1))
        await trio.sleep(0.1)
        nursery.start_soon(queue.forget_empty, "exec:1:")
        await trio.sleep(step / 2)
    assert [line.queue for line in (await queue.administration.statistics()).lines] == ["/queue/kept"]
    async with queue.subscribe("/topic/t", "exec:2:s", 10):
        pass
    assert len((await queue.administration.statistics()).lines) == 2, "nothing is left that would forget another"
    await queue.stop()


async def test_a_line_is_not_forgotten_because_one_was_that_had_its_number(autojump_clock, tmp_path):
    queue, other = (simulated(tmp_path / "q.db") for _ in range(2))
    left = trio.Event()

    async def audit(*, task_status):
        async with queue.subscribe("/topic/t", "audit", 10):
            task_status.started()
            await left.wait()

    async with trio.open_nursery() as nursery:
        async with queue.subscribe("exec:1:/queue/x", "s", 10):
            await queue.forget_empty("exec:1:")
            await other.discard("exec:1:")
            await nursery.start(audit)
        left.set()
    [line] = (await queue.administration.statistics()).lines
    assert (line.queue, line.subscription) == ("/topic/t", "audit")
    await queue.stop()
    await other.stop()


async def test_a_queue_that_is_consumed_anew_is_not_forgotten_for_those_who_left(autojump_clock, tmp_path):
    queue = simulated(tmp_path / "q.db", busy_seconds=0)
    await queue.publish(QUEUE, message(1))
    with closing(sqlite3.connect(tmp_path / "q.db", isolation_level=None)) as lock:
        with pytest.raises(QueueFileError, match="kept it locked"):
            async with queue.subscribe(QUEUE, "s", 10) as subscription:
                await subscription.receive(1)
                await queue.forget_empty(QUEUE)
                lock.execute("BEGIN IMMEDIATE")
        lock.execute("ROLLBACK")
    await trio.sleep(2)  # the lease is over
    async with queue.subscribe(QUEUE, "s", 10) as subscription:
        await subscription.settle(await subscription.receive(1))
    assert len((await queue.administration.statistics()).lines) == 1
    await queue.stop()


@pytest.mark.parametrize("step", range(6))
async def test_a_queue_is_not_forgotten_while_a_consumer_comes(step, autojump_clock, tmp_path):
    queue = slow(tmp_path / "q.db")
    received = []

    async def consume():
        async with queue.subscribe("exec:1:/queue/x", "s", 10) as subscription:
            received.extend(values(await subscription.receive(1)))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(queue.publish, "/queue/other", message(1))
        await trio.sleep(0.1)
        nursery.start_soon(consume)
        await trio.sleep(step / 2)
        nursery.start_soon(queue.forget_empty, "exec:1:")
        await trio.sleep(5)
        await queue.publish("exec:1:/queue/x", message(2))
    assert received == [2]
    await queue.stop()


async def test_an_idle_consumer_does_not_turn_in_circles_over_a_range_without_messages(autojump_clock, tmp_path):
    queue = simulated(tmp_path / "q.db")
    async with queue.subscribe(QUEUE, "s", 10) as subscription:
        with closing(sqlite3.connect(tmp_path / "q.db")) as connection, connection:
            connection.execute("INSERT INTO hold SELECT (id << 44) + 1, (id << 44) - 5, id, 0, 0, 0 FROM line")
        statements = []
        store_of(queue).connection.set_trace_callback(statements.append)
        with trio.move_on_after(1):
            await subscription.receive(1)
        assert statements.count("BEGIN IMMEDIATE") <= 101
    await queue.stop()


@pytest.mark.parametrize("error", [RuntimeError("can't start new thread"), QueueError(QUEUE, "the disk is gone")])
async def test_a_consumer_is_told_why_its_leases_are_not_renewed(error, autojump_clock, tmp_path, caplog):
    threads = FailingThreads()
    queue = SqliteQueue(settings(tmp_path / "q.db"), threads=threads, clock=SimulatedClock())
    await queue.publish(QUEUE, message(1))
    with pytest.raises(QueueError, match=str(error)) as raised:
        async with queue.subscribe(QUEUE, "s", 10) as subscription:
            await subscription.receive(1)
            threads.error = error
            await trio.sleep(1.9)
            threads.error = None
            await subscription.receive(1)
    assert error in (raised.value, raised.value.__cause__)
    assert "renewed" in caplog.text
    await queue.stop()


async def test_what_a_consumer_raised_is_told_also_if_it_was_cancelled_then(autojump_clock, tmp_path):
    queue = simulated(tmp_path / "q.db")
    with pytest.raises(KeyError, match="mine"), trio.CancelScope() as scope:
        async with queue.subscribe(QUEUE, "s", 10):
            scope.cancel()
            raise KeyError("mine")
    await queue.stop()


@pytest.mark.parametrize("step", range(6))
async def test_nobody_consumes_from_a_provider_that_was_stopped_meanwhile(step, autojump_clock, tmp_path):
    queue = slow(tmp_path / "q.db")
    await queue.publish(QUEUE, message(1))

    async def consume():
        with pytest.raises(QueueClosedError):
            async with queue.subscribe(QUEUE, "s", 10) as subscription:
                while True:
                    await subscription.receive(1)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(consume)
        await trio.sleep(step / 2)
        await queue.stop()
    again = simulated(tmp_path / "q.db")
    async with again.subscribe(QUEUE, "s", 10) as subscription:
        with trio.fail_after(1):
            assert values(await subscription.receive(1)) == [1]
    await again.stop()


async def test_a_stopped_provider_does_not_open_its_file_again(tmp_path):
    queue = simulated(tmp_path / "q.db")
    async with queue.subscribe(QUEUE, "s", 10) as subscription:
        await queue.stop()
        with pytest.raises(QueueClosedError, match="was stopped"):
            await subscription.depth()
        with pytest.raises(QueueClosedError, match="was stopped"):
            await queue.administration.statistics()
    assert [file.name for file in tmp_path.iterdir()] == ["q.db"]


async def test_why_a_consumer_left_is_not_hidden_by_a_file_that_is_locked(autojump_clock, tmp_path, caplog):
    queue = simulated(tmp_path / "q.db", busy_seconds=0)
    await queue.publish(QUEUE, message(1))
    with closing(sqlite3.connect(tmp_path / "q.db", isolation_level=None)) as lock:
        with pytest.raises(KeyError, match="mine"):
            async with queue.subscribe(QUEUE, "s", 10) as subscription:
                await subscription.receive(1)
                lock.execute("BEGIN IMMEDIATE")
                raise KeyError("mine")
        assert "could not give back what it held: " in caplog.text
        lock.execute("ROLLBACK")
        with trio.CancelScope() as scope:
            async with queue.subscribe(QUEUE, "s", 10) as subscription:
                await trio.sleep(1.1)
                await subscription.receive(1)
                lock.execute("BEGIN IMMEDIATE")
                scope.cancel()
                await trio.sleep_forever()
        assert scope.cancelled_caught
        lock.execute("ROLLBACK")
        with pytest.raises(QueueFileError, match="kept it locked"):
            async with queue.subscribe(QUEUE, "s", 10) as subscription:
                await trio.sleep(1.1)
                await subscription.receive(1)
                lock.execute("BEGIN IMMEDIATE")
    await queue.stop()
