"""Processes at the simulated broker that die, stop or are cancelled at any moment of a call."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from factflow_engine.testing import (
    CRASHED,
    Broker,
    DeadProcessError,
    SimulatedProcesses,
    in_virtual_time,
)
from factflow_engine.testing.conformance.expectations import expect_quiet, message, take, values
from factflow_engine.testing.simulation.faults import FaultRates
from factflow_protocols import Nack, QueueClosedError
from testing import test_broker_executions as executions

QUEUE, LEASE = "/queue/a", 6.0


def simulated(function, *, seed=1, **options):
    async def run(simulation):
        broker = Broker(randomness=simulation.randomness, clock=simulation.seams.clock, lease_seconds=LEASE, **options)
        with trio.fail_after(10_000):
            return await function(broker)

    return in_virtual_time(run, seed=seed)


def test_calls_of_the_dead_have_no_effect():
    async def run(broker):
        dead = broker.connect(0)
        await dead.publish(QUEUE, message(1))
        async with dead.subscribe(QUEUE, "s", 5) as subscription:
            [delivery] = await subscription.receive(1)
            dead.die()
            dead.die()
            for call in (
                lambda: dead.publish(QUEUE, message(2)),
                lambda: subscription.settle([delivery]),
                lambda: subscription.settle([], [Nack(delivery)]),
                lambda: subscription.publish_and_settle([(QUEUE, [message(3)])], [delivery]),
                lambda: subscription.receive(1),
                subscription.depth,
                lambda: dead.states.join("exec:x:", [("r", "s")]),
                lambda: dead.begin("exec:x:", [], [(QUEUE, message(4))], asked_ns=0),
                lambda: dead.forget_empty("/"),
            ):
                with pytest.raises(DeadProcessError, match="process 0 has died"):
                    await call()
            await dead.stop()
            dead.detach()
        assert broker.places(QUEUE) == {"fresh": 0, "ready": 0, "delayed": 0, "leased": 1}
        assert broker.accepted(QUEUE) == [message(1).message_id]

    simulated(run)


def test_coroutines_of_the_dead_do_nothing_when_they_are_closed():
    async def run(broker):
        dead = broker.connect(0)
        await dead.publish(QUEUE, message(1))

        async def consume():
            async with dead.subscribe(QUEUE, "s", 5) as subscription:
                deliveries = await subscription.receive(1)
                try:
                    await trio.sleep_forever()
                finally:
                    with pytest.raises(DeadProcessError):
                        await subscription.settle(deliveries)

        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(consume)
                await trio.sleep(1)
                dead.die()
                scope.cancel()
        assert broker.places(QUEUE)["leased"] == 1
        async with broker.connect(1).subscribe(QUEUE, "s", 5) as subscription:
            [delivery] = await take(subscription, 1)
            assert delivery.message.attempt == 2
            assert 1 + LEASE * 2 / 3 - 0.1 < trio.current_time() <= 1 + LEASE

    simulated(run)


@pytest.mark.parametrize("seconds", [0.0, 1.0, 1.9, 2.1, 5.0, 60.0])
def test_a_lease_ends_one_lease_after_the_last_of_three_renewals(seconds):
    async def run(broker):
        dead, other = broker.connect(0), broker.connect(1)
        async with other.subscribe(QUEUE, "s", 5) as second, dead.subscribe(QUEUE, "s", 5) as first:
            opened = trio.current_time()
            await other.publish(QUEUE, message(1))
            await take(first, 1)
            taken = trio.current_time()
            await trio.sleep(seconds)
            dead.die()
            renewed = opened + (trio.current_time() - opened) // (LEASE / 3) * (LEASE / 3)
            await take(second, 1)
            assert trio.current_time() == pytest.approx(max(taken, renewed) + LEASE, abs=0.03)

    simulated(run)


def test_the_dead_count_as_consumers_until_their_lease_ends():
    async def run(broker):
        dead, other = broker.connect(0), broker.connect(1)
        async with dead.subscribe(QUEUE, "s", 5):
            await trio.sleep(3)
            dead.die()
            await other.forget_empty("/")
            assert sum(broker.places(QUEUE).values()) == 0
            await other.publish(QUEUE, message(1))
            async with other.subscribe(QUEUE, "s", 5) as subscription:
                await subscription.settle(await take(subscription, 1))
            await other.forget_empty("/")
            assert str(await other.publish(QUEUE, message(1))) == "duplicate", "it is remembered"
            await trio.sleep(LEASE)
            await other.forget_empty("/")
            assert str(await other.publish(QUEUE, message(1))) == "accepted", "it was forgotten"

    simulated(run)


def test_in_order_nothing_comes_before_what_a_dead_consumer_had():
    async def run(broker):
        dead, other = broker.connect(0), broker.connect(1)
        await other.publish_batch(QUEUE, [message(number) for number in range(4)])
        async with (
            dead.subscribe_in_order(QUEUE, "s", 2) as first,
            other.subscribe_in_order(QUEUE, "s", 5) as second,
        ):
            await take(first, 2)
            dead.die()
            await expect_quiet(second)
            deliveries = await take(second, 4)
            assert values(deliveries) == [0, 1, 2, 3]
            assert [delivery.message.attempt for delivery in deliveries] == [2, 2, 1, 1]

    simulated(run)


def test_an_orderly_end_gives_back_at_once_and_wakes_who_waits():
    async def run(broker):
        leaving, other = broker.connect(0), broker.connect(1)
        closed = []

        async def wait_for(call):
            with pytest.raises(QueueClosedError):
                await call()
            closed.append(call)

        async with leaving.subscribe(QUEUE, "s", 2, 2) as first, trio.open_nursery() as nursery:
            await other.publish_batch(QUEUE, [message(1), message(2)])
            await take(first, 2)
            nursery.start_soon(wait_for, lambda: first.receive(1))
            nursery.start_soon(wait_for, lambda: leaving.publish(QUEUE, message(3)))
            await trio.sleep(1)
            leaving.detach()
            async with other.subscribe(QUEUE, "s", 5) as second:
                deliveries = await take(second, 2)
                assert [delivery.message.attempt for delivery in deliveries] == [1, 1]
            await trio.sleep(1)
        assert len(closed) == 2

    simulated(run)


STEPS = st.lists(st.tuples(st.sampled_from(["publish", "receive", "settle", "carry", "nack"]), st.floats(0, 0.02)))


@settings(max_examples=40, deadline=None)
@given(STEPS, st.integers(0, 2**16))
def test_whatever_is_cancelled_is_done_or_not_and_nothing_is_lost(steps, seed):
    async def run(broker):
        connection, number, held = broker.connect(0), 0, []
        async with connection.subscribe(QUEUE, "s", 1000) as subscription:
            for kind, seconds in steps:
                with trio.move_on_after(seconds):
                    if kind == "publish":
                        number += 3
                        await connection.publish_batch(QUEUE, [message(number + each) for each in range(3)])
                    elif kind == "receive":
                        held += await subscription.receive(2)
                    elif kind == "settle":
                        await subscription.settle(held[:2])
                        del held[:2]
                    elif kind == "nack":
                        await subscription.settle([], [Nack(each) for each in held[:1]])
                        del held[:1]
                    else:
                        number += 3
                        await subscription.publish_and_settle([("/queue/b", [message(number)])], held[:1])
                        del held[:1]
                held = [each for each in held if each.entry.lease is each.lease]
                places = broker.places(QUEUE)
                assert places["leased"] == len(held), "what a cancelled receive took is given back"
                counts, onward = broker.counts(QUEUE), broker.counts("/queue/b")
                assert counts.accepted == counts.acked + sum(places.values())
                assert onward.accepted == len(broker.messages("/queue/b"))
            await subscription.settle([], [Nack(each, counts=False) for each in held])
            left = len(broker.messages(QUEUE))
            if left:
                await subscription.settle(await take(subscription, left))
        assert broker.messages(QUEUE) == []

    simulated(run, seed=seed)


async def crash_and_finish(world, crash_step):
    """Run two processes of an execution, one of which crashes after a step; then run others until one completes."""
    world.publish()
    async with SimulatedProcesses() as processes:

        async def live(process):
            connection = world.broker.connect(process.number)
            process.on_death.append(connection.die)
            return await world.live(process.number, connection=connection)

        async with trio.open_nursery() as nursery:
            died = []

            async def first():
                died.append(await processes.run(0, live, crash_step=crash_step))

            nursery.start_soon(first)
            nursery.start_soon(processes.run, 1, live)
        await world.complete(2)
    return died == [CRASHED]


@pytest.mark.parametrize("plan", ["none", "duplicate", "reorder", "drop_delivery", "lose_lease", "rates"])
@pytest.mark.parametrize("crash_step", [30, 120, 300])
def test_nothing_is_lost_when_a_process_crashes(crash_step, plan):
    crashed = []

    async def lives(world):
        crashed.append(await crash_and_finish(world, crash_step))

    executions.simulated(lives, executions.PLANS[plan], seed=1)
    assert crashed == [True]


PROGRAM = """
import hashlib, sys
from testing import test_broker_executions as executions
world = executions.simulated(executions.half_dead, executions.PLANS["rates"], 3)
print(hashlib.sha256(repr((world.events, world.broker.fired)).encode()).hexdigest())
"""


def test_a_run_does_not_depend_on_the_hash_seed():
    def run(hash_seed):
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(Path(__file__).parent.parent)}
        return subprocess.run(
            [sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, check=True
        ).stdout

    assert len({run(hash_seed) for hash_seed in ("1", "2")}) == 1


def test_a_process_that_stays_dead_leaves_its_rates_alone():
    """What a dead process would have drawn is drawn by nobody: its calls are not counted."""

    async def run(broker):
        dead = broker.connect(0)
        dead.die()
        for _ in range(5):
            with pytest.raises(DeadProcessError):
                await dead.publish(QUEUE, message(1))
        assert broker.fired == []

    simulated(run, faults=[FaultRates(fail_queue=1.0)])
