"""Checks for providers whose subscriptions publish and acknowledge in one step (`TransactionalSubscription`).

Used like `durable`. Kept separate because `TransactionalSubscription` is optional.
"""

from typing import Final

import trio

from factflow_engine.testing.conformance.expectations import (
    QUEUE,
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
from factflow_protocols import QueueClosedError, Subscription, TransactionalSubscription

ONWARD: Final = QUEUE + ".onward"
OTHER: Final = QUEUE + ".other"


async def messages_and_acknowledgements_change_places_at_once(open_queue: OpenQueue) -> None:
    """Check that messages arrive in their queues in order, behind those before, and that acknowledged ones are gone."""
    async with open_queue() as queue:
        await queue.publish_batch(QUEUE, [message(number) for number in range(4)])
        await queue.publish(ONWARD, message(10))
        async with queue.subscribe(QUEUE, "s", 10, 100) as source, queue.subscribe(TOPIC, "t", 10, 100) as topic:
            deliveries = await take(source, 4)
            publications = [(ONWARD, [message(11), message(12)]), (OTHER, [message(13)]), (TOPIC, [message(14)])]
            done = await _transactional(source).publish_and_settle(publications, deliveries[:3])
            expect(done, True, "what publish_and_settle() returned")
            expect(await source.depth(), 1, "messages that are left of four, three of which were acknowledged")
            expect(values(await take(topic, 1)), [14], "what the topic got")
        async with (
            queue.subscribe(QUEUE, "s", 10, 100) as source,
            queue.subscribe(ONWARD, "s", 10, 100) as onward,
            queue.subscribe(OTHER, "s", 10, 100) as other,
        ):
            expect(values(await take(source, 1)), [3], "what comes back")
            expect(values(await take(onward, 3)), [10, 11, 12], "what one queue got")
            expect(values(await take(other, 1)), [13], "what the other queue got")


async def without_room_for_all_nothing_is_done(open_queue: OpenQueue) -> None:
    """Check that the call neither waits for room in one queue nor publishes to another, and acknowledges nothing."""
    async with open_queue() as queue, queue.subscribe(QUEUE, "s", 10, 100) as source:
        await queue.publish_batch(QUEUE, [message(1), message(2)])
        async with queue.subscribe(ONWARD, "s", 1, 2) as onward, queue.subscribe(OTHER, "s", 1, 100) as other:
            await queue.publish(ONWARD, message(10))
            deliveries = await take(source, 2)
            publications = [(OTHER, [message(13)]), (ONWARD, [message(11), message(12)])]
            with trio.move_on_after(SOON_SECONDS):
                done = await _transactional(source).publish_and_settle(publications, deliveries)
                expect(done, False, "what publish_and_settle() returned without room for all")
                expect(await source.depth(), 2, "messages of the source")
                expect(await onward.depth(), 1, "messages of the full queue")
                await expect_quiet(other)
                publications = [(OTHER, [message(13)]), (ONWARD, [message(11)])]
                done = await _transactional(source).publish_and_settle(publications, deliveries)
                expect(done, True, "what publish_and_settle() returned with room for all")
                expect(await source.depth(), 0, "messages of the source")
                expect(values(await take(other, 1)), [13], "what the other queue got")
                return
            raise ConformanceError("publish_and_settle() waited for room, or for something else")


async def a_waiting_consumer_gets_what_is_published(open_queue: OpenQueue) -> None:
    """Check that a consumer that waits for messages, and a publisher that waits for room, go on."""
    came: list[object] = []

    async def receive(onward: Subscription) -> None:
        came.extend(values(await take(onward, 1)))

    async with open_queue() as queue, queue.subscribe(QUEUE, "s", 10, 2) as source:
        await queue.publish_batch(QUEUE, [message(1), message(2)])
        async with queue.subscribe(ONWARD, "s", 10, 100) as onward:
            deliveries = await take(source, 2)
            with trio.move_on_after(2 * SOON_SECONDS) as scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(receive, onward)
                    nursery.start_soon(queue.publish, QUEUE, message(3))
                    await trio.sleep(0.05)
                    await _transactional(source).publish_and_settle([(ONWARD, [message(11)])], deliveries)
            expect(scope.cancelled_caught, False, "whether a publisher still waits for room that there is")
            expect(came, [11], "what a consumer got that was waiting")
            expect(values(await take(source, 1)), [3], "what a publisher published that was waiting")


async def either_part_may_be_empty(open_queue: OpenQueue) -> None:
    """Check that publishing alone, acknowledging alone and doing nothing are done, too, and acknowledging again nothing."""
    async with open_queue() as queue:
        await queue.publish(QUEUE, message(1))
        async with queue.subscribe(QUEUE, "s", 10, 100) as source:
            transactional = _transactional(source)
            [delivery] = await take(source, 1)
            expect(await transactional.publish_and_settle([], []), True, "doing nothing")
            expect(await transactional.publish_and_settle([(QUEUE, [message(2)])], []), True, "publishing alone")
            expect(await transactional.publish_and_settle([], [delivery]), True, "acknowledging alone")
            expect(await transactional.publish_and_settle([(QUEUE, [message(3)])], [delivery]), True, "doing it again")
            expect(values(await take(source, 2)), [2, 3], "what is left")


async def after_its_end_a_subscription_does_nothing(open_queue: OpenQueue) -> None:
    """Check that a closed subscription refuses, so that nothing is published of deliveries that it has given back."""
    async with open_queue() as queue:
        await queue.publish(QUEUE, message(1))
        async with queue.subscribe(QUEUE, "s", 10, 100) as source:
            deliveries = await take(source, 1)
        try:
            await _transactional(source).publish_and_settle([(ONWARD, [message(11)])], deliveries)
        except QueueClosedError:
            pass
        else:
            raise ConformanceError("publish_and_settle() of a closed subscription did not raise QueueClosedError")
        async with queue.subscribe(QUEUE, "s", 10, 100) as source, queue.subscribe(ONWARD, "s", 10, 100) as onward:
            expect(values(await take(source, 1)), [1], "what comes back")
            await expect_quiet(onward)


def _transactional(subscription: Subscription) -> TransactionalSubscription:
    if not isinstance(subscription, TransactionalSubscription):
        name = type(subscription).__name__
        raise ConformanceError(f"{name} is no TransactionalSubscription: it has no `publish_and_settle`")
    return subscription


TRANSACTION_CHECKS: Final[tuple[Check, ...]] = (
    messages_and_acknowledgements_change_places_at_once,
    without_room_for_all_nothing_is_done,
    a_waiting_consumer_gets_what_is_published,
    either_part_may_be_empty,
    after_its_end_a_subscription_does_nothing,
)
"""Every check of this module."""
