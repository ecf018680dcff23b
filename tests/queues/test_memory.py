"""The in-process provider through its protocol: order, bounds, redelivery, delays, topics, cancellation."""

import pytest
import trio

from factflow_engine.frames import Frame, pack
from factflow_engine.queues.memory import MemoryQueue
from factflow_protocols import MessageStatus, Nack, QueueClosedError, QueueFullError, QueueProtocol


def message(number):
    return Frame.create(pack(number), message_id=number.to_bytes(16))


def values(deliveries):
    return [delivery.message.value() for delivery in deliveries]


def conforms(queue: MemoryQueue) -> QueueProtocol:
    return queue


async def test_messages_come_in_order_and_are_gone_when_acked():
    queue = conforms(MemoryQueue())
    for number in range(5):
        assert await queue.publish("/queue/q", message(number)) is MessageStatus.ACCEPTED
    async with queue.subscribe("/queue/q", "s", 10, 100) as subscription:
        first = await subscription.receive(2)
        assert values(first) == [0, 1]
        await subscription.settle(first)
        assert values(await subscription.receive(10)) == [2, 3, 4]
    async with queue.subscribe("/queue/q", "s", 10, 100) as subscription:
        assert values(await subscription.receive(10)) == [2, 3, 4], "what was unsettled came back in its order"


async def test_prefetch_bounds_what_is_unsettled():
    queue = MemoryQueue()
    await queue.publish_batch("/queue/q", [message(number) for number in range(5)])
    async with queue.subscribe("/queue/q", "s", 2, 100) as subscription:
        deliveries = await subscription.receive(10)
        assert values(deliveries) == [0, 1]
        with trio.move_on_after(0.01) as scope:
            await subscription.receive(1)
        assert scope.cancelled_caught
        assert subscription.statistics().unsettled == 2
        await subscription.settle(deliveries[:1])
        assert values(await subscription.receive(10)) == [2]


async def test_a_nack_counts_an_attempt_unless_told_otherwise():
    queue = MemoryQueue()
    await queue.publish("/queue/q", message(1))
    async with queue.subscribe("/queue/q", "s", 2, 100) as subscription:
        [delivery] = await subscription.receive(1)
        await subscription.settle([], [Nack(delivery)])
        [delivery] = await subscription.receive(1)
        assert delivery.message.attempt == 2
        await subscription.settle([], [Nack(delivery, counts=False)])
        [delivery] = await subscription.receive(1)
        assert delivery.message.attempt == 2
        assert subscription.statistics().redelivered == 2
        await subscription.settle([delivery, delivery])
        await subscription.settle([], [Nack(delivery)])
        assert subscription.statistics().waiting == 0, "settling twice does nothing"


async def test_a_delayed_nack_comes_back_when_it_is_due(autojump_clock):
    queue = MemoryQueue()
    await queue.publish_batch("/queue/q", [message(1), message(2)])
    async with queue.subscribe("/queue/q", "s", 5, 100) as subscription:
        [first] = await subscription.receive(1)
        await subscription.settle([], [Nack(first, delay_seconds=10)])
        start = trio.current_time()
        assert values(await subscription.receive(1)) == [2]
        assert trio.current_time() == start
        assert values(await subscription.receive(1)) == [1]
        assert trio.current_time() - start == 10


async def test_a_full_queue_holds_up_its_publishers_and_nobody_else():
    queue = MemoryQueue()
    order = []
    async with queue.subscribe("/queue/full", "s", 100, 2) as subscription, trio.open_nursery() as nursery:
        for number in range(2):
            queue.publish_nowait("/queue/full", message(number))
        with pytest.raises(QueueFullError, match="holds 2 messages"):
            queue.publish_nowait("/queue/full", message(9))

        async def publish(number):
            await queue.publish("/queue/full", message(number))
            order.append(number)

        for number in range(2, 8):
            nursery.start_soon(publish, number)
        await trio.testing.wait_all_tasks_blocked()
        assert order == []
        await queue.publish("/queue/other", message(1))
        got = []
        while len(got) < 8:
            deliveries = await subscription.receive(3)
            got += values(deliveries)
            await subscription.settle(deliveries)
        assert sorted(got) == list(range(8))


async def test_a_cancelled_publisher_leaves_room_for_the_next():
    queue = MemoryQueue()
    async with queue.subscribe("/queue/q", "s", 100, 1) as subscription, trio.open_nursery() as nursery:
        queue.publish_nowait("/queue/q", message(0))
        with trio.move_on_after(0.01):
            await queue.publish("/queue/q", message(1))
        nursery.start_soon(queue.publish, "/queue/q", message(2))
        await trio.testing.wait_all_tasks_blocked()
        assert values(await subscription.receive(5)) == [0]
        assert values(await subscription.receive(5)) == [2]


async def test_each_subscription_of_a_topic_gets_every_message_and_consumers_of_one_share():
    queue = MemoryQueue()
    await queue.publish("/topic/t", message(0))
    async with (
        queue.subscribe("/topic/t", "x", 10, 10) as x_one,
        queue.subscribe("/topic/t", "x", 1, 10) as x_two,
        queue.subscribe("/topic/t", "y", 10, 10) as y,
    ):
        await queue.publish_batch("/topic/t", [message(1), message(2)])
        assert values(await y.receive(10)) == [1, 2]
        assert values(await x_two.receive(10)) == [1]
        assert values(await x_one.receive(10)) == [2]


async def test_a_receive_that_is_cancelled_takes_nothing():
    queue = MemoryQueue()
    async with queue.subscribe("/queue/q", "s", 10, 10) as subscription:
        with trio.move_on_after(0.01):
            await subscription.receive(1)
        await queue.publish("/queue/q", message(1))
        assert values(await subscription.receive(1)) == [1]


async def test_a_stopped_provider_takes_nothing_more():
    queue = MemoryQueue()
    await queue.stop()
    await queue.stop()
    with pytest.raises(QueueClosedError, match="was stopped"):
        await queue.publish("/queue/q", message(1))
    with pytest.raises(QueueClosedError):
        async with queue.subscribe("/queue/q", "s", 1, 1):
            pass


async def test_an_error_in_the_body_of_a_subscription_comes_out_as_it_was():
    queue = MemoryQueue()
    with pytest.raises(KeyError):
        async with queue.subscribe("/queue/q", "s", 1, 1):
            raise KeyError("mine")


async def test_impossible_sizes_are_refused():
    queue = MemoryQueue()
    with pytest.raises(ValueError, match="prefetch of at least 1"):
        async with queue.subscribe("/queue/q", "s", 0, 1):
            pass
    async with queue.subscribe("/queue/q", "s", 1, 1) as subscription:
        with pytest.raises(ValueError, match="max_messages=0"):
            await subscription.receive(0)


async def test_what_one_consumer_gives_back_another_one_that_waits_gets():
    queue = MemoryQueue()
    await queue.publish("/queue/q", message(1))
    async with queue.subscribe("/queue/q", "s", 1, 10) as one, queue.subscribe("/queue/q", "s", 1, 10) as two:
        [delivery] = await one.receive(1)
        got = []

        async def receive():
            got.extend(values(await two.receive(1)))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(receive)
            await trio.testing.wait_all_tasks_blocked()
            assert got == []
            await one.settle([], [Nack(delivery)])
        assert got == [1]


async def test_a_queue_that_is_discarded_holds_up_none_of_its_publishers():
    queue = MemoryQueue()
    async with queue.subscribe("exec:1:/queue/q", "s", 1, 1):
        queue.publish_nowait("exec:1:/queue/q", message(0))
        async with trio.open_nursery() as nursery:
            for number in range(1, 4):
                nursery.start_soon(queue.publish, "exec:1:/queue/q", message(number))
            await trio.testing.wait_all_tasks_blocked()
            queue.discard("exec:1:")


@pytest.mark.parametrize("full", ["x", "y"])
async def test_a_message_that_one_subscription_of_a_topic_has_no_room_for_goes_to_none(full):
    queue = MemoryQueue()
    async with (
        queue.subscribe("/topic/t", "x", 10, 1 if full == "x" else 5) as x,
        queue.subscribe("/topic/t", "y", 10, 1 if full == "y" else 5) as y,
    ):
        queue.publish_nowait("/topic/t", message(1))
        with pytest.raises(QueueFullError):
            queue.publish_nowait("/topic/t", message(2))
        with trio.move_on_after(0.01) as scope:
            await queue.publish("/topic/t", message(3))
        assert scope.cancelled_caught
        assert values(await x.receive(10)) == [1]
        assert values(await y.receive(10)) == [1]
