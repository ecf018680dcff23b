"""Checks for providers that keep a queue's order among several consumers (`OrderedQueueProtocol`).

Used like `durable`. Kept separate because `OrderedQueueProtocol` is optional.
"""

from contextlib import AbstractAsyncContextManager
from typing import Final

from factflow_engine.testing.conformance.expectations import (
    QUEUE,
    Check,
    ConformanceError,
    OpenQueue,
    expect,
    expect_quiet,
    message,
    take,
    values,
)
from factflow_protocols import Nack, OrderedQueueProtocol, QueueProtocol, Subscription


async def nothing_is_handed_out_beside_another_consumer(open_queue: OpenQueue) -> None:
    """Check that a consumer waits while another one has a delivery, and goes on when that is settled."""
    async with open_queue() as queue:
        await queue.publish_batch(QUEUE, [message(number) for number in range(4)])
        async with _in_order(queue, 10) as one, _in_order(queue, 10) as other:
            held = await take(one, 2)
            await expect_quiet(other)
            await one.settle(held[:1])
            await expect_quiet(other)
            await one.settle(held[1:])
            expect(values(await take(other, 2)), [2, 3], "what the other one got then")
            await expect_quiet(one)


async def one_consumer_goes_on_beside_its_own(open_queue: OpenQueue) -> None:
    """Check that a consumer gets more messages, in order, while it has some."""
    async with open_queue() as queue, _in_order(queue, 3) as one:
        await queue.publish_batch(QUEUE, [message(number) for number in range(5)])
        held = await take(one, 2)
        held += await take(one, 1)
        await expect_quiet(one)
        await one.settle(held[1:2])
        expect(values([*held, *await take(one, 1)]), [0, 1, 2, 3], "what it got")


async def what_was_given_back_comes_before_later_ones(open_queue: OpenQueue) -> None:
    """Check that a consumer's unsettled and nacked messages come first, in order, whoever gets them."""
    async with open_queue() as queue:
        await queue.publish_batch(QUEUE, [message(number) for number in range(5)])
        async with _in_order(queue, 10) as other:
            async with _in_order(queue, 3) as one:
                held = await take(one, 3)
                await one.settle([held[1]], [Nack(held[0])])
            expect(values(await take(other, 4)), [0, 2, 3, 4], "what comes after the consumer has left")


ORDER_CHECKS: Final[tuple[Check, ...]] = (
    nothing_is_handed_out_beside_another_consumer,
    one_consumer_goes_on_beside_its_own,
    what_was_given_back_comes_before_later_ones,
)
"""Every check of this module."""


def _in_order(queue: QueueProtocol, prefetch: int) -> AbstractAsyncContextManager[Subscription]:
    if not isinstance(queue, OrderedQueueProtocol):
        raise ConformanceError(f"{type(queue).__name__} is no OrderedQueueProtocol: it has no `subscribe_in_order`")
    return queue.subscribe_in_order(QUEUE, "s", prefetch, 100)
