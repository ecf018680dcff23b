"""Consumers that want the queue's order: they take turns, and what a dead one had comes first."""

import tempfile
from pathlib import Path

import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st

from factflow_engine.frames import Frame, pack
from factflow_protocols import Nack, OrderedQueueProtocol
from support.sqlite_queues import message, simulated, values

QUEUE = "/queue/q"


class Watch:
    """Wall time that is put forward by hand."""

    def __init__(self):
        self.now_ns = 1_800_000_000_000_000_000

    def monotonic_ns(self):
        return self.now_ns

    def wall_ns(self):
        return self.now_ns

    def forward(self, seconds):
        self.now_ns += round(seconds * 1e9)


async def received(subscription, most=10):
    """What it gets within a second; nothing, if it has to wait."""
    with trio.move_on_after(1):
        return await subscription.receive(most)
    return []


async def test_it_says_that_it_keeps_the_order(tmp_path):
    assert isinstance(simulated(tmp_path / "q.db"), OrderedQueueProtocol)


async def test_nothing_is_handed_out_while_another_consumer_holds_something(autojump_clock, tmp_path):
    queue, other = (simulated(tmp_path / "q.db", lease_seconds=30) for _ in range(2))
    await queue.publish_batch(QUEUE, [message(number) for number in range(6)])
    async with (
        queue.subscribe_in_order(QUEUE, "s", 2) as one,
        queue.subscribe_in_order(QUEUE, "s", 10) as near,
        other.subscribe_in_order(QUEUE, "s", 10) as far,
    ):
        held = list(await received(one))
        assert values(held) == [0, 1]
        assert await received(near) == await received(far) == []
        await one.settle(held[:1])
        assert await received(near) == await received(far) == []
        held += await received(one)
        assert values(held[1:]) == [1, 2], "it goes on beside what it has itself"
        await one.settle(held[1:])
        taken = await received(far)
        assert values(taken) == [3, 4, 5]
        assert await received(one) == []
        await far.settle(taken)
        assert await one.depth() == 0
    await queue.stop()
    await other.stop()


async def test_who_leaves_gives_the_turn_on_and_what_it_had_comes_first(autojump_clock, tmp_path):
    queue = simulated(tmp_path / "q.db", lease_seconds=30)
    await queue.publish_batch(QUEUE, [message(number) for number in range(6)])
    async with queue.subscribe_in_order(QUEUE, "s", 10) as next_one:
        async with queue.subscribe_in_order(QUEUE, "s", 3) as first:
            held = await received(first)
            await first.settle([held[1]], [Nack(held[0])])
        assert values(await received(next_one)) == [0, 2, 3, 4, 5]
    await queue.stop()


async def test_what_a_dead_consumer_had_is_handed_out_in_order_after_its_leases(autojump_clock, tmp_path):
    watch = Watch()
    queue, other = (simulated(tmp_path / "q.db", clock=watch, lease_seconds=30) for _ in range(2))
    await queue.publish_batch(QUEUE, [message(number) for number in range(8)])
    async with (
        queue.subscribe_in_order(QUEUE, "s", 10) as dead,
        other.subscribe_in_order(QUEUE, "s", 10) as living,
    ):
        first = await received(dead, 2)
        watch.forward(5)
        await received(dead, 2)
        await dead.settle(first[1:])
        watch.forward(26)
        # The first lease is over and the second is not: what is free comes after what is not.
        assert await received(living) == []
        watch.forward(5)
        taken = await received(living)
        assert values(taken) == [0, 2, 3, 4, 5, 6, 7]
        await living.settle(taken)
    await queue.stop()
    await other.stop()


async def test_what_comes_back_later_is_before_what_came_after_it(autojump_clock, tmp_path):
    watch = Watch()
    queue = simulated(tmp_path / "q.db", clock=watch, lease_seconds=30)
    await queue.publish_batch(QUEUE, [message(number) for number in range(3)])
    async with queue.subscribe_in_order(QUEUE, "s", 10) as consumer:
        held = await received(consumer, 2)
        await consumer.settle([], [Nack(held[0], 5), Nack(held[1])])
        watch.forward(6)
        assert values(await received(consumer)) == [0, 1, 2]
    await queue.stop()


async def test_what_was_given_back_is_before_what_somebody_may_have_died_of(autojump_clock, tmp_path):
    watch = Watch()
    queue, other = (simulated(tmp_path / "q.db", clock=watch, lease_seconds=30) for _ in range(2))
    await queue.publish_batch(QUEUE, [message(number) for number in range(4)])
    async with (
        queue.subscribe_in_order(QUEUE, "s", 10) as dead,
        other.subscribe_in_order(QUEUE, "s", 10) as living,
    ):
        living.isolate_suspects()
        held = await received(dead, 3)
        await dead.settle([], [Nack(held[0])])
        watch.forward(31)
        for expected in ([0], [1], [2], [3]):
            taken = await received(living)
            assert values(taken) == expected
            await living.settle(taken)
    await queue.stop()
    await other.stop()


async def test_a_topics_subscriptions_do_not_wait_for_each_other(autojump_clock, tmp_path):
    queue = simulated(tmp_path / "q.db", lease_seconds=30)
    async with (
        queue.subscribe_in_order("/topic/t", "a", 10) as one,
        queue.subscribe_in_order("/topic/t", "b", 10) as other,
    ):
        await queue.publish("/topic/t", Frame.create(pack(1), message_id=bytes(range(16))))
        assert values(await received(one)) == values(await received(other)) == [1]
    await queue.stop()


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["publish", "receive", "receive", "receive", "settle", "settle all", "leave", "die", "wait"]),
        st.integers(0, 2),
        st.integers(1, 4),
    ),
    max_size=40,
)


@given(steps=STEPS, isolates=st.booleans())
@settings(max_examples=60, deadline=None)
def test_no_message_is_handed_out_before_all_that_came_before_it_are_settled_or_held_by_the_same(steps, isolates):
    async def main(path):
        watch = Watch()
        queue = simulated(path, clock=watch, lease_seconds=30)
        published, settled = 0, set()
        consumers, held, leaving, ends = {}, {}, {}, {}

        async def live(who, task_status=trio.TASK_STATUS_IGNORED):
            async with queue.subscribe_in_order(QUEUE, "s", 5) as consumer:
                consumers[who], held[who], leaving[who] = consumer, {}, trio.Event()
                if isolates:
                    consumer.isolate_suspects()
                ended = trio.Event()
                task_status.started(ended)
                await leaving[who].wait()
            ended.set()

        async def leave(who):
            leaving[who].set()
            await ends[who].wait()

        async with trio.open_nursery() as nursery:

            async def join(who):
                ends[who] = await nursery.start(live, who)

            for who in range(3):
                await join(who)
            for what, who, count in steps:
                if what == "publish":
                    await queue.publish_batch(QUEUE, [message(published + number) for number in range(count)])
                    published += count
                elif what == "receive":
                    for delivery in await received(consumers[who], count):
                        number = delivery.message.value()
                        assert all(before in settled or before in held[who] for before in range(number))
                        assert number not in settled
                        held[who][number] = delivery
                elif what == "settle" and held[who]:
                    number = sorted(held[who])[count % len(held[who])]
                    await consumers[who].settle([held[who].pop(number)])
                    settled.add(number)
                elif what == "settle all":
                    await consumers[who].settle(list(held[who].values()))
                    settled |= held[who].keys()
                    held[who] = {}
                elif what == "leave":
                    await leave(who)
                    await join(who)
                elif what == "die":
                    consumers[who]._unsettled.clear()  # nothing is renewed, settled or given back any more
                    await leave(who)
                    await join(who)
                elif what == "wait":
                    for _ in range(4):  # the leases of the living are renewed meanwhile
                        watch.forward(10)
                        await trio.sleep(10.1)
            # Whatever became of consumers, what is left is still handed out, in order.
            for who in range(3):
                await leave(who)
            watch.forward(31)
            async with queue.subscribe_in_order(QUEUE, "s", 1000) as last:
                left = values(await received(last, 1000))
                assert left == [number for number in range(published) if number not in settled]
        await queue.stop()

    with tempfile.TemporaryDirectory() as directory:
        trio.run(main, Path(directory) / "q.db", clock=trio.testing.MockClock(autojump_threshold=0))
