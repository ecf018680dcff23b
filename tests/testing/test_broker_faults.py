"""Each fault of the simulated broker does what it says, where it says, and is noted."""

import pytest
import trio

from factflow_engine.testing import Broker, in_virtual_time
from factflow_engine.testing.conformance.expectations import expect_quiet, message, take, values
from factflow_engine.testing.simulation.faults import (
    Crash,
    Delay,
    DropDelivery,
    Duplicate,
    FailQueue,
    FaultRates,
    LoseLease,
    Reorder,
)
from factflow_protocols import MessageStatus, Nack, QueueError

QUEUE, LEASE = "exec:e1:/queue/a", 5.0
NAME = "/queue/a"


def broken(faults, function, *, seed=1):
    """Run a function with a broker of these faults; return the broker, and the events that it told."""
    events = []

    async def run(simulation):
        broker = Broker(
            randomness=simulation.randomness,
            clock=simulation.seams.clock,
            faults=faults,
            trace=lambda *event: events.append(event),
            lease_seconds=LEASE,
        )
        await function(broker)
        return broker

    return in_virtual_time(run, seed=seed), events


async def received(broker, count, *, acks=True):
    """Receive so many messages; return their numbers and attempts, and the times of their arrival."""
    came = []
    async with broker.connect(0).subscribe(QUEUE, "s", 100) as subscription:
        while len(came) < count:
            for delivery in await take(subscription, 1):
                came.append((*values([delivery]), delivery.message.attempt, round(trio.current_time(), 1)))
                if acks:
                    await subscription.settle([delivery])
        await expect_quiet(subscription)
    return came


async def publish(broker, *numbers):
    result = await broker.connect(9).publish_batch(QUEUE, [message(number) for number in numbers])
    assert set(result.statuses) == {MessageStatus.ACCEPTED}


@pytest.mark.parametrize("fault", [Duplicate(queue=NAME, nth=2)])
def test_a_duplicate_is_handed_out_twice_and_accepted_once(fault):
    async def run(broker):
        await publish(broker, 1, 2, 3)
        assert [number for number, _, _ in await received(broker, 4)] == [1, 2, 2, 3]
        assert broker.accepted(QUEUE) == [message(number).message_id for number in (1, 2, 3)]

    broker, events = broken([fault], run)
    assert broker.fired == [fault]
    assert ("fault", NAME, message(2).message_id, repr(fault)) in events


def test_a_delayed_message_comes_later_and_holds_up_no_other():
    async def run(broker):
        await publish(broker, 1, 2, 3)
        assert broker.places(QUEUE) == {"fresh": 2, "ready": 0, "delayed": 1, "leased": 0}
        assert await received(broker, 3) == [(2, 1, 0.0), (3, 1, 0.0), (1, 1, 7.5)]

    broken([Delay(queue=NAME, nth=1, seconds=7.5)], run)


@pytest.mark.parametrize(
    ("behind", "order"), [(1, [2, 1, 3, 4, 5]), (3, [2, 3, 4, 1, 5]), (4, [2, 3, 4, 5, 1]), (9, [2, 3, 4, 5, 1])]
)
def test_a_reordered_message_lets_others_pass(behind, order):
    async def run(broker):
        await publish(broker, 1, 2, 3, 4, 5)
        assert [number for number, _, _ in await received(broker, 5)] == order

    broken([Reorder(queue=NAME, nth=1, behind=behind)], run)


def test_a_reordered_message_does_not_wait_for_ever():
    async def run(broker):
        await publish(broker, 1)
        assert await received(broker, 1) == [(1, 1, 1.0)]

    broken([Reorder(queue=NAME, nth=1, behind=3)], run)


def test_a_dropped_delivery_comes_again_after_its_lease_with_an_attempt_spent():
    async def run(broker):
        await publish(broker, 1, 2)
        assert await received(broker, 2) == [(2, 1, 0.0), (1, 2, 5.0)]

    _, events = broken([DropDelivery(queue=NAME, nth=1)], run)
    assert [event[0] for event in events if event[2] == message(1).message_id] == [
        "accepted",
        "delivered",
        "fault",
        "lease_expired",
        "delivered",
        "acked",
    ]


def test_a_lost_lease_lets_another_consumer_have_the_message():
    async def run(broker):
        await publish(broker, 1)
        async with (
            broker.connect(0).subscribe(QUEUE, "s", 1) as first,
            broker.connect(1).subscribe(QUEUE, "s", 1) as second,
        ):
            [mine] = await take(first, 1)
            [theirs] = await take(second, 1)
            assert (mine.message.attempt, theirs.message.attempt) == (1, 2)
            await first.settle([mine], [Nack(mine)])
            assert await second.depth() == 1
            await second.settle([theirs])
            assert await first.depth() == 0

    broken([LoseLease(queue=NAME, nth=1)], run)


@pytest.mark.parametrize("done", [True, False])
def test_a_failed_call_has_its_effect_only_if_done(done):
    faults = [FailQueue(operation=operation, nth=2, done=done) for operation in ("publish", "receive", "settle")]

    async def run(broker):
        connection = broker.connect(0)
        await connection.publish(QUEUE, message(1))
        with pytest.raises(QueueError, match=r"FailQueue\(operation='publish', nth=2"):
            await connection.publish(QUEUE, message(2))
        assert len(broker.accepted(QUEUE)) == 1 + done
        status = await connection.publish(QUEUE, message(2))
        assert status == (MessageStatus.DUPLICATE if done else MessageStatus.ACCEPTED)
        async with connection.subscribe(QUEUE, "s", 10) as subscription:
            [one] = await subscription.receive(1)
            with pytest.raises(QueueError, match="receive"):
                await subscription.receive(1)
            assert broker.places(QUEUE)["leased"] == 1 + done
            start = trio.current_time()
            [two] = await subscription.receive(1)
            assert (trio.current_time() - start > LEASE - 1) == done
            assert two.message.attempt == 1 + done
            await subscription.settle([one])
            with pytest.raises(QueueError, match="settle"):
                await subscription.settle([two])
            assert await subscription.depth() == 1 - done
            await subscription.settle([two])  # once more is safe
            assert await subscription.depth() == 0

    broker, _ = broken(faults, run)
    assert broker.fired == faults
    assert broker.unfired() == []


@pytest.mark.parametrize("done", [True, False])
def test_a_failed_step_publishes_and_settles_both_or_neither(done):
    async def run(broker):
        connection = broker.connect(0)
        await publish(broker, 1)
        async with connection.subscribe(QUEUE, "s", 10) as subscription:
            [one] = await subscription.receive(1)
            with pytest.raises(QueueError, match="settle"):
                await subscription.publish_and_settle([("/queue/b", [message(2)])], [one])
            assert (len(broker.messages("/queue/b")), await subscription.depth()) == (done, 1 - done)

    broken([FailQueue(operation="settle", nth=1, done=done)], run)


def test_faults_count_each_queue_by_itself_and_calls_together():
    async def run(broker):
        for queue in ("exec:e1:/queue/b", QUEUE, "exec:e2:/queue/a"):
            await broker.connect(0).publish(queue, message(1))

    fault = Duplicate(queue=NAME, nth=2)
    broker, _ = broken([fault, Crash(at=1.0), Duplicate(queue="/queue/b", nth=2)], run)
    assert broker.fired == [fault], "the second message of either execution's /queue/a"
    assert broker.unfired() == [Duplicate(queue="/queue/b", nth=2)]


def test_rates_stop_when_they_are_told_to():
    rates = FaultRates(duplicate=1.0, until=10.0)

    async def run(broker):
        await publish(broker, 1)
        await trio.sleep(9.9)
        await publish(broker, 2)
        await trio.sleep(1)
        await publish(broker, 3)
        assert len(broker.messages(QUEUE)) == 5

    broker, _ = broken([rates], run)
    assert broker.fired == [Duplicate(queue=NAME, nth=1), Duplicate(queue=NAME, nth=2)]


def test_what_rates_drew_is_the_same_run_as_a_plan():
    rates = FaultRates(duplicate=0.2, delay=0.2, reorder=0.2, drop_delivery=0.2, lose_lease=0.2, fail_queue=0.2)

    async def insist(call, *arguments):
        while True:
            try:
                return await call(*arguments)
            except QueueError:
                await trio.sleep(0.1)

    async def run(broker):
        connection = broker.connect(0)
        for number in range(60):
            await insist(connection.publish, QUEUE, message(number))
        async with connection.subscribe(QUEUE, "s", 7) as subscription:
            with trio.fail_after(1000):
                while broker.messages(QUEUE):
                    await insist(subscription.settle, await insist(subscription.receive, 3))

    drawn, events = broken([rates], run)
    assert {fault.kind for fault in drawn.fired} == {
        "duplicate", "delay", "reorder", "drop_delivery", "lose_lease", "fail_queue",
    }  # fmt: skip
    planned, again = broken(drawn.fired, run)
    assert again == events
    assert planned.fired == drawn.fired


def test_a_fault_of_its_own_and_a_rate_are_one_fault():
    async def run(broker):
        await publish(broker, 1)
        assert len(broker.messages(QUEUE)) == 2

    planned = Duplicate(queue=NAME)
    broker, _ = broken([planned, FaultRates(duplicate=1.0)], run)
    assert broker.fired == [planned]


def test_on_a_topic_each_subscription_has_the_fault():
    async def run(broker):
        connection = broker.connect(0)
        await connection.publish("/topic/t", message(0))  # for nobody: no fault can hit it
        async with (
            connection.subscribe("/topic/t", "x", 10) as x,
            connection.subscribe("/topic/t", "y", 10) as y,
        ):
            await connection.publish("/topic/t", message(1))
            assert [values(await take(each, 2)) for each in (x, y)] == [[1, 1], [1, 1]]

    broken([Duplicate(queue="/topic/t")], run)
