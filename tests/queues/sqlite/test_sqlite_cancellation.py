"""Cancellation at every step: what was said stays true, and nothing is lost or doubled."""

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import trio
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from factflow_engine.queues.sqlite import SqliteQueue
from factflow_engine.testing import in_virtual_time
from factflow_engine.testing.virtual_time import SimulatedClock
from factflow_protocols import MessageStatus, Nack, QueueClosedError
from support.sqlite_queues import message, settings, simulated, values

QUEUE = "/queue/q"
STEPS = range(24)


class SlowThreads:
    """Takes a second before and a second after, so that every moment can be hit."""

    async def run(self, function):
        await trio.sleep(1)
        result = function()
        await trio.sleep(1)
        return result


def slow(path):
    return SqliteQueue(settings(path, lease_seconds=1000), threads=SlowThreads(), clock=SimulatedClock())


async def everything(queue):
    """All that is there, taken and settled."""
    got = []
    async with queue.subscribe(QUEUE, "check", 1000) as subscription:
        with trio.move_on_after(60):
            while True:
                deliveries = await subscription.receive(100)
                got += values(deliveries)
                await subscription.settle(deliveries)
    return got


async def cancelled_after(step, function, *arguments):
    """Call it, cancel it after so many half seconds; whether it returned, and what."""
    with trio.move_on_after(step / 2 + 0.25):
        return True, await function(*arguments)
    return False, None


@pytest.mark.parametrize("company", [0, 3])
@pytest.mark.parametrize("step", STEPS)
async def test_a_cancelled_publish_is_stored_whole_or_not_at_all(step, company, autojump_clock, tmp_path):
    queue = slow(tmp_path / "q.db")
    async with trio.open_nursery() as nursery:
        for number in range(company):
            nursery.start_soon(queue.publish, QUEUE, message(100 + number))
        await trio.testing.wait_all_tasks_blocked()
        returned, result = await cancelled_after(step, queue.publish_batch, QUEUE, [message(1), message(2)])
    again = await queue.publish_batch(QUEUE, [message(1), message(2)])
    if returned:
        assert list(result.statuses) == [MessageStatus.ACCEPTED] * 2
        assert list(again.statuses) == [MessageStatus.DUPLICATE] * 2
    else:
        assert len(set(again.statuses)) == 1
    assert sorted(await everything(queue)) == [1, 2, *range(100, 100 + company)]
    await queue.stop()


@pytest.mark.parametrize("step", STEPS)
async def test_a_cancelled_receive_hands_out_nothing(step, autojump_clock, tmp_path):
    queue = slow(tmp_path / "q.db")
    await queue.publish_batch(QUEUE, [message(number) for number in range(6)])
    async with queue.subscribe(QUEUE, "s", 10) as subscription, trio.open_nursery() as nursery:
        nursery.start_soon(queue.publish, QUEUE, message(6))
        await trio.testing.wait_all_tasks_blocked()
        _, first = await cancelled_after(step, subscription.receive, 3)
        first = list(first or ())
        assert subscription.statistics().unsettled == len(first)
        got = list(first)
        while len(got) < 7:
            got += await subscription.receive(10)
        assert values(got) == list(range(7))
    await queue.stop()


@pytest.mark.parametrize("step", STEPS)
async def test_a_cancelled_settlement_settles_all_or_nothing(step, autojump_clock, tmp_path):
    queue = slow(tmp_path / "q.db")
    await queue.publish_batch(QUEUE, [message(number) for number in range(6)])
    async with queue.subscribe(QUEUE, "s", 10) as subscription, trio.open_nursery() as nursery:
        held = await subscription.receive(6)
        nursery.start_soon(queue.publish, QUEUE, message(6))
        await trio.testing.wait_all_tasks_blocked()
        batch = held[:4], [Nack(held[4]), Nack(held[5])]
        returned, _ = await cancelled_after(step, subscription.settle, *batch)
        assert subscription.statistics().unsettled == (0 if returned else 6)
        await subscription.settle(*batch)
        came = await subscription.receive(10)
        assert [(*values([delivery]), delivery.message.attempt) for delivery in came][:2] == [(4, 2), (5, 2)]
    assert await everything(queue) == [4, 5, 6]
    await queue.stop()


@pytest.mark.parametrize("step", STEPS)
async def test_a_subscription_left_by_cancellation_gives_back(step, autojump_clock, tmp_path):
    queue = slow(tmp_path / "q.db")
    await queue.publish_batch(QUEUE, [message(number) for number in range(4)])
    with trio.move_on_after(step / 2 + 0.25):
        async with queue.subscribe(QUEUE, "s", 10) as subscription:
            await subscription.receive(2)
            await subscription.receive(2)
            await trio.sleep_forever()
    assert await everything(queue) == [0, 1, 2, 3], "the lease of a thousand seconds was given up"
    await queue.stop()


async def test_stopping_wakes_those_who_wait(autojump_clock, tmp_path):
    queue = simulated(tmp_path / "q.db")
    told = []

    async def told_of_the_end(function, *arguments):
        with pytest.raises(QueueClosedError):
            await function(*arguments)
        told.append(function.__name__)

    async with queue.subscribe(QUEUE, "s", 10, 1) as subscription, trio.open_nursery() as nursery:
        await queue.publish(QUEUE, message(1))
        held = await subscription.receive(1)
        nursery.start_soon(told_of_the_end, subscription.receive, 1)
        nursery.start_soon(told_of_the_end, queue.publish, QUEUE, message(2))
        await trio.sleep(1)
        await queue.stop()
        await subscription.settle(held)
    assert sorted(told) == ["publish", "receive"]
    again = simulated(tmp_path / "q.db")
    assert await everything(again) == [1], "it was given back when the provider stopped"
    await again.stop()


@hypothesis_settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32))
def test_any_schedule_with_any_cancellations_keeps_the_account(seed):
    """Publishers, consumers and openings that are cancelled at random: accepted means delivered and settled once."""

    async def run(simulation):
        uniform = simulation.randomness.uniform
        accepted, maybe, settled, maybe_settled = set(), set(), [], set()
        with TemporaryDirectory() as folder:
            queues = [simulated(Path(folder) / "q.db", seed=seed + place, lease_seconds=5) for place in range(2)]

            async def publish(publisher):
                for turn in range(12):
                    numbers = [publisher * 1000 + turn * 10 + place for place in range(int(uniform(1, 6)))]
                    maybe.update(numbers)
                    with trio.move_on_after(uniform(0.0001, 0.05)):
                        result = await queues[publisher % 2].publish_batch(
                            QUEUE, [message(number) for number in numbers]
                        )
                        accepted.update(numbers)
                        assert set(result.statuses) == {MessageStatus.ACCEPTED}

            async def consume(consumer, until):
                while not until.is_set():
                    with trio.move_on_after(uniform(0.001, 0.3)):
                        async with queues[consumer % 2].subscribe(QUEUE, "s", 7, 20) as subscription:
                            while True:
                                deliveries = await subscription.receive(int(uniform(1, 6)))
                                nacks = [Nack(each, uniform(0, 0.01)) for each in deliveries if uniform(0, 1) < 0.2]
                                mine = [each for each in deliveries if each not in [nack.delivery for nack in nacks]]
                                maybe_settled.update(values(mine))
                                await subscription.settle(mine, nacks)
                                settled.extend(values(mine))

            async with trio.open_nursery() as consumers:
                done = trio.Event()
                for consumer in range(3):
                    consumers.start_soon(consume, consumer, done)
                async with trio.open_nursery() as publishers:
                    for publisher in range(4):
                        publishers.start_soon(publish, publisher)
                done.set()
            left = await everything(queues[0])
            assert await queues[1].administration.check() == []
            for queue in queues:
                await queue.stop()
        assert len(settled) == len(set(settled)), "settled twice"
        assert len(left) == len(set(left))
        assert not set(left) & set(settled), "settled, and back"
        assert accepted <= set(left) | maybe_settled, "lost"
        assert set(left) | set(settled) <= maybe, "spurious"

    in_virtual_time(run, seed=seed)
