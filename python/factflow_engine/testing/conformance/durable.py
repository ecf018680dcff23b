"""Further checks for durable queue providers: they survive being reopened, end leases, refuse duplicates.

Used like `conformance`. The provider must be opened with a lease of a second or less.
"""

from typing import Any, Final

import trio

from factflow_engine.testing.conformance.expectations import (
    QUEUE,
    QUIET_SECONDS,
    SOON_SECONDS,
    TOPIC,
    Check,
    ConformanceError,
    OpenQueue,
    expect,
    expect_quiet,
    message,
    take,
    values,
)
from factflow_protocols import LeasingSubscription, MessageStatus, Nack

LONGEST_LEASE_SECONDS: Final = 1.0
"""Longest lease that the provider under test may have."""


async def what_was_accepted_is_there_after_reopening(open_queue: OpenQueue) -> None:
    """Check that accepted messages are there after reopening, in order, without settled ones, with their attempts."""
    async with open_queue() as queue:
        expect(queue.outlives_process, True, "outlives_process of a provider that keeps messages")
        await queue.publish_batch(QUEUE, [message(number) for number in range(6)])
        async with queue.subscribe(QUEUE, "s", 10, 100) as subscription:
            held = await take(subscription, 4)
            await subscription.settle([held[1]], [Nack(held[0])])
    async with open_queue() as queue, queue.subscribe(QUEUE, "s", 10, 100) as subscription:
        deliveries = await take(subscription, 5)
        expect(values(deliveries), [0, 2, 3, 4, 5], "what was there")
        expect([delivery.message.attempt for delivery in deliveries], [2, 1, 1, 1, 1], "attempts")
        await subscription.settle(deliveries)
    async with open_queue() as queue, queue.subscribe(QUEUE, "s", 10, 100) as subscription:
        await expect_quiet(subscription)


async def a_delay_survives_reopening(open_queue: OpenQueue) -> None:
    """Check that reopening the provider does not shorten the delay of a message that was given back."""
    async with open_queue() as queue:
        await queue.publish(QUEUE, message(1))
        async with queue.subscribe(QUEUE, "s", 10, 100) as subscription:
            [delivery] = await take(subscription, 1)
            await subscription.settle([], [Nack(delivery, delay_seconds=2)])
            start = trio.current_time()
    async with open_queue() as queue, queue.subscribe(QUEUE, "s", 10, 100) as subscription:
        expect(values(await take(subscription, 1)), [1], "what was delayed")
        if trio.current_time() - start < 1.5:
            raise ConformanceError("a message delayed by 2 s came back before, after reopening")


async def duplicates_are_refused_by_id(open_queue: OpenQueue) -> None:
    """Check that duplicates are refused: in one batch, the next one, after settling, and after reopening."""
    async with open_queue() as queue:
        first = await queue.publish_batch(QUEUE, [message(1), message(2), message(1)])
        expect(
            list(first.statuses),
            [MessageStatus.ACCEPTED, MessageStatus.ACCEPTED, MessageStatus.DUPLICATE],
            "statuses of a batch that repeats itself",
        )
        expect(await queue.publish(QUEUE, message(2)), MessageStatus.DUPLICATE, "status of a repeat")
        async with queue.subscribe(QUEUE, "s", 10, 100) as subscription:
            deliveries = await take(subscription, 2)
            expect(values(deliveries), [1, 2], "what came")
            await subscription.settle(deliveries)
            again = await queue.publish_batch(QUEUE, [message(2), message(3)])
            expect(list(again.statuses), [MessageStatus.DUPLICATE, MessageStatus.ACCEPTED], "statuses after settlement")
    async with open_queue() as queue, queue.subscribe(QUEUE, "s", 10, 100) as subscription:
        expect(await queue.publish(QUEUE, message(1)), MessageStatus.DUPLICATE, "status of a repeat after reopening")
        expect(await queue.publish(QUEUE + ".other", message(1)), MessageStatus.ACCEPTED, "status in another queue")
        expect(values(await take(subscription, 1)), [3], "what came")
        await expect_quiet(subscription)


async def a_living_consumer_keeps_what_it_has(open_queue: OpenQueue) -> None:
    """Check that a slow consumer's lease is renewed, and that leaving gives back at once, without an attempt."""
    async with open_queue() as queue:
        await queue.publish_batch(QUEUE, [message(1), message(2)])
        async with queue.subscribe(QUEUE, "s", 10, 100) as living:
            held = await take(living, 2)
            await trio.sleep(3 * LONGEST_LEASE_SECONDS)
            async with open_queue() as other, other.subscribe(QUEUE, "s", 10, 100) as second:
                await expect_quiet(second)
            await living.settle(held[:1])
        async with queue.subscribe(QUEUE, "s", 10, 100) as again:
            [delivery] = await take(again, 1)
            expect(values([delivery]), [2], "what a consumer that left gave back")
            expect(delivery.message.attempt, 1, "its attempt")


async def what_one_opening_publishes_another_receives(open_queue: OpenQueue) -> None:
    """Check that a consumer of one opening receives messages that another opening publishes."""
    async with open_queue() as one, open_queue() as other:  # noqa: SIM117 - read as two steps
        async with other.subscribe(QUEUE, "s", 100, 100) as subscription, trio.open_nursery() as nursery:

            async def publish() -> None:
                for number in range(30):
                    await one.publish(QUEUE, message(number))

            nursery.start_soon(publish)
            got: list[Any] = []
            with trio.fail_after(SOON_SECONDS):
                while len(got) < 30:
                    deliveries = await subscription.receive(10)
                    got += values(deliveries)
                    await subscription.settle(deliveries)
            expect(got, list(range(30)), "what came")


async def room_that_another_opening_makes_is_noticed(open_queue: OpenQueue) -> None:
    """Check that a publisher that waits for room continues when a consumer of another opening settles."""
    async with open_queue() as one, open_queue() as other:  # noqa: SIM117 - read as two steps
        async with other.subscribe(QUEUE, "s", 100, 1) as subscription, trio.open_nursery() as nursery:
            await one.publish(QUEUE, message(0))
            nursery.start_soon(one.publish, QUEUE, message(1))
            await trio.sleep(QUIET_SECONDS)  # so that the publisher waits before there is room
            for number in (0, 1):
                deliveries = await take(subscription, 1)
                expect(values(deliveries), [number], "what came")
                await subscription.settle(deliveries)


async def a_topics_subscription_outlives_its_consumers(open_queue: OpenQueue) -> None:
    """Check that a subscription gets messages that were published while it had no consumer."""
    async with open_queue() as queue:
        async with queue.subscribe(TOPIC, "x", 10, 10):
            pass
        await queue.publish(TOPIC, message(1))
    async with open_queue() as queue:
        await queue.publish(TOPIC, message(2))
        async with queue.subscribe(TOPIC, "x", 10, 10) as x, queue.subscribe(TOPIC, "new", 10, 10) as new:
            expect(values(await take(x, 2)), [1, 2], "what the old subscription got")
            await expect_quiet(new)


async def what_other_consumers_have_is_told(open_queue: OpenQueue) -> None:
    """Check that a subscription tells what others have and for how long, if it is a `LeasingSubscription`.

    Its own messages are left out, and those that wait for a time count; what has been settled does not.
    """
    async with (
        open_queue() as queue,
        queue.subscribe(QUEUE, "s", 10, 100) as first,
        queue.subscribe(QUEUE, "s", 10, 100) as second,
    ):
        if not isinstance(second, LeasingSubscription) or not isinstance(first, LeasingSubscription):
            return
        expect((await second.leased_elsewhere()).messages, 0, "what others have of an empty queue")
        await queue.publish_batch(QUEUE, [message(number) for number in range(3)])
        expect((await second.leased_elsewhere()).messages, 0, "what others have before anything was received")
        held = await take(first, 3)
        expect((await first.leased_elsewhere()).messages, 0, "what others have of what the consumer itself has")
        leased = await second.leased_elsewhere()
        expect(leased.messages, 3, "what others have of three messages that one of them received")
        if leased.next_seconds is not None and not 0 <= leased.next_seconds <= LONGEST_LEASE_SECONDS:
            raise ConformanceError(
                f"expected next_seconds of 0 to {LONGEST_LEASE_SECONDS:g}, the lease, or None; got {leased.next_seconds}"
            )
        await first.settle(held[:1], [Nack(held[1], delay_seconds=60)])
        expect((await second.leased_elsewhere()).messages, 2, "what others have when one is settled and one delayed")
        await first.settle(held[2:])
        leased = await second.leased_elsewhere()
        expect(leased.messages, 1, "what others have when only a delayed one is left")
        if leased.next_seconds is not None and not 50 <= leased.next_seconds <= 60:
            raise ConformanceError(f"expected next_seconds of almost 60, the delay, or None; got {leased.next_seconds}")


DURABLE_QUEUE_CHECKS: Final[tuple[Check, ...]] = (
    what_was_accepted_is_there_after_reopening,
    a_delay_survives_reopening,
    duplicates_are_refused_by_id,
    a_living_consumer_keeps_what_it_has,
    what_one_opening_publishes_another_receives,
    room_that_another_opening_makes_is_noticed,
    a_topics_subscription_outlives_its_consumers,
    what_other_consumers_have_is_told,
)
"""Every check of this module."""
