"""Checks for every queue provider, for authors of one.

Each check is an async function that takes a function to open a provider, and raises `ConformanceError` with the
expected and the actual value. They are free of any test framework; `check_queue_provider` runs all that apply, and this
makes each a test of its own:

    from factflow_engine.testing.conformance.expectations import check_name

    @pytest.mark.parametrize("check", QUEUE_CHECKS, ids=check_name)
    async def test_conformance(check):
        await check(lambda: open_my_provider())

Times are measured by trio's clock and are short; under an autojump clock they take no time at all, if the provider's
seams are simulated, too. Checks for providers that outlive their process are in `durable`.
"""

from typing import Any, Final

import trio

from factflow_engine.frames import Frame, pack
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
from factflow_protocols import MessageStatus, Nack, QueueClosedError


async def messages_come_in_order_and_are_gone_when_acked(open_queue: OpenQueue) -> None:
    """Check that messages come first in, first out, acks are final, and unacknowledged messages return in order."""
    async with open_queue() as queue:
        for number in range(5):
            expect(await queue.publish(QUEUE, message(number)), MessageStatus.ACCEPTED, "status of a new message")
        async with queue.subscribe(QUEUE, "s", 10, 100) as subscription:
            first = await take(subscription, 2)
            expect(values(first), [0, 1], "the first two")
            await subscription.settle(first)
            expect(values(await take(subscription, 3)), [2, 3, 4], "the others")
        async with queue.subscribe(QUEUE, "s", 10, 100) as subscription:
            expect(values(await take(subscription, 3)), [2, 3, 4], "what the consumer before left unsettled")


async def batches_have_a_status_for_each_message(open_queue: OpenQueue) -> None:
    """Check that `publish_batch` keeps the order and returns a status for each message."""
    async with open_queue() as queue:
        result = await queue.publish_batch(QUEUE, [message(number) for number in range(50)])
        expect(list(result.statuses), [MessageStatus.ACCEPTED] * 50, "statuses")
        expect(dict(result.errors), {}, "errors")
        empty = await queue.publish_batch(QUEUE, [])
        expect(list(empty.statuses), [], "statuses of no messages")
        async with queue.subscribe(QUEUE, "s", 100, 100) as subscription:
            expect(values(await take(subscription, 50, at_a_time=7)), list(range(50)), "the messages")


async def frames_arrive_as_they_were(open_queue: OpenQueue) -> None:
    """Check that ids, time, key, headers and payload are unchanged."""
    sent = Frame.create(
        pack({"a": [1, None, "x"]}),
        message_id=bytes(range(16)),
        correlation_id=b"c" * 16,
        parent_id=b"p" * 16,
        time_ns=5,
        key="k",
        headers={"h": {"deep": [1]}},
    )
    async with open_queue() as queue:
        await queue.publish(QUEUE, sent)
        async with queue.subscribe(QUEUE, "s", 1, 100) as subscription:
            [delivery] = await take(subscription, 1)
            expect(delivery.message.encode(), sent.encode(), "the bytes")


async def prefetch_bounds_what_is_unsettled(open_queue: OpenQueue) -> None:
    """Check that at most `prefetch` deliveries are out, and settling one makes room for one."""
    async with open_queue() as queue:
        await queue.publish_batch(QUEUE, [message(number) for number in range(5)])
        async with queue.subscribe(QUEUE, "s", 2, 100) as subscription:
            held = await take(subscription, 2)
            await expect_quiet(subscription)
            expect(subscription.statistics().unsettled, 2, "unsettled by the statistics")
            await subscription.settle(held[:1])
            expect(values(await take(subscription, 1)), [2], "what came for the one settled")
            await expect_quiet(subscription)


async def a_saturated_consumer_goes_on_when_others_settle_for_it(open_queue: OpenQueue) -> None:
    """Check that a `receive` that waits because everything is unsettled wakes when another task settles."""
    async with open_queue() as queue:
        await queue.publish_batch(QUEUE, [message(number) for number in range(6)])
        async with queue.subscribe(QUEUE, "s", 3, 100) as subscription, trio.open_nursery() as nursery:
            held = await take(subscription, 3)

            async def settle_later() -> None:
                await trio.sleep(QUIET_SECONDS)
                await subscription.settle(held)

            nursery.start_soon(settle_later)
            expect(values(await take(subscription, 3)), [3, 4, 5], "what came after the settlement")


async def a_nack_counts_an_attempt_unless_told_otherwise(open_queue: OpenQueue) -> None:
    """Check that a failure spends an attempt, an interruption does not, and both bring the same id back."""
    async with open_queue() as queue:
        await queue.publish(QUEUE, message(1))
        async with queue.subscribe(QUEUE, "s", 2, 100) as subscription:
            for counts, attempt in ((True, 2), (False, 2), (True, 3)):
                [delivery] = await take(subscription, 1)
                await subscription.settle([], [Nack(delivery, counts=counts)])
                [delivery] = await take(subscription, 1)
                expect(delivery.message.attempt, attempt, f"attempt after a nack with counts={counts}")
                expect(delivery.message.message_id, message(1).message_id, "id of what came back")
                await subscription.settle([], [Nack(delivery, counts=False)])
            await subscription.settle(await take(subscription, 1))
            expect(subscription.statistics().redelivered, 6, "redelivered by the statistics")
            expect(subscription.statistics().unsettled, 0, "unsettled by the statistics")


async def settling_twice_does_nothing(open_queue: OpenQueue) -> None:
    """Check that a second ack, a nack after an ack, and an ack after the subscription closed do nothing."""
    async with open_queue() as queue:
        await queue.publish_batch(QUEUE, [message(1), message(2)])
        async with queue.subscribe(QUEUE, "s", 5, 100) as subscription:
            one, two = await take(subscription, 2)
            await subscription.settle([one, one])
            await subscription.settle([one], [Nack(one)])
            await expect_quiet(subscription)
            expect(subscription.statistics().unsettled, 1, "unsettled by the statistics")
        await subscription.settle([two])
        async with queue.subscribe(QUEUE, "s", 5, 100) as subscription:
            expect(values(await take(subscription, 1)), [2], "what was settled too late")
            await expect_quiet(subscription)


async def a_delayed_nack_comes_back_when_it_is_due(open_queue: OpenQueue) -> None:
    """Check that a message is not handed out before its delay has passed, and blocks no other meanwhile."""
    async with open_queue() as queue:
        await queue.publish_batch(QUEUE, [message(1), message(2)])
        async with queue.subscribe(QUEUE, "s", 5, 100) as subscription:
            [first] = await take(subscription, 1)
            await subscription.settle([], [Nack(first, delay_seconds=1.5)])
            start = trio.current_time()
            expect(values(await take(subscription, 1)), [2], "what came meanwhile")
            expect(values(await take(subscription, 1)), [1], "what was delayed")
            waited = trio.current_time() - start
            if not 1.4 < waited < 1.5 + SOON_SECONDS / 4:
                raise ConformanceError(f"a message delayed by 1.5 s came back after {waited:.3f} s")


async def out_of_order_settlements_leave_exactly_the_rest(open_queue: OpenQueue) -> None:
    """Check that of ten messages, settled out of order, the unacknowledged ones return once each, in order."""
    async with open_queue() as queue:
        await queue.publish_batch(QUEUE, [message(number) for number in range(10)])
        async with queue.subscribe(QUEUE, "s", 20, 100) as subscription:
            held = await take(subscription, 10)
            await subscription.settle([held[7], held[2], held[3]])
            await subscription.settle([held[0]], [Nack(held[4], counts=False), Nack(held[5], counts=False)])
            expect(values(await take(subscription, 2)), [4, 5], "those given back")
        async with queue.subscribe(QUEUE, "s", 20, 100) as subscription:
            expect(values(await take(subscription, 6)), [1, 4, 5, 6, 8, 9], "those not acked")
            await expect_quiet(subscription)


async def a_full_queue_holds_up_its_publishers_and_nobody_else(open_queue: OpenQueue) -> None:
    """Check that publishers wait while `capacity` messages are there, and that other queues are unaffected."""
    async with open_queue() as queue, queue.subscribe(QUEUE, "s", 100, 2) as subscription:
        published: list[int] = []

        async def publish(number: int) -> None:
            await queue.publish(QUEUE, message(number))
            published.append(number)

        async with trio.open_nursery() as nursery:
            for number in range(8):
                nursery.start_soon(publish, number)
            await trio.sleep(QUIET_SECONDS)
            expect(len(published), 2, "messages that a queue of capacity 2 took")
            await queue.publish(QUEUE + ".other", message(1))
            got: list[Any] = []
            while len(got) < 8:
                deliveries = await take(subscription, 1)
                got += values(deliveries)
                await subscription.settle(deliveries)
        expect(sorted(got), list(range(8)), "what came through")


async def a_cancelled_publisher_leaves_room_for_the_next(open_queue: OpenQueue) -> None:
    """Check that a publisher that stops waiting for room takes none."""
    async with open_queue() as queue, queue.subscribe(QUEUE, "s", 100, 1) as subscription:
        await queue.publish(QUEUE, message(0))
        with trio.move_on_after(QUIET_SECONDS) as scope:
            await queue.publish(QUEUE, message(1))
        expect(scope.cancelled_caught, True, "that a publisher waited")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(queue.publish, QUEUE, message(2))
            for number in (0, 2):
                deliveries = await take(subscription, 1)
                expect(values(deliveries), [number], "what came")
                await subscription.settle(deliveries)


async def a_receive_that_is_cancelled_takes_nothing(open_queue: OpenQueue) -> None:
    """Check that messages not returned by a cancelled `receive` are handed out next, whenever it is cancelled."""
    async with open_queue() as queue, queue.subscribe(QUEUE, "s", 100, 100) as subscription:
        with trio.move_on_after(QUIET_SECONDS) as scope:
            await subscription.receive(1)
        expect(scope.cancelled_caught, True, "that an empty queue lets its consumer wait")
        await queue.publish_batch(QUEUE, [message(number) for number in range(20)])
        got: list[Any] = []
        for step in range(200):
            with trio.move_on_after(step * 0.0005):
                deliveries = await subscription.receive(1)
                got += values(deliveries)
                with trio.CancelScope(shield=True):
                    await subscription.settle(deliveries)
            if len(got) == 20:
                break
        expect(got, list(range(20)), "what came in spite of cancellations")


async def a_waiting_consumer_hears_of_a_message(open_queue: OpenQueue) -> None:
    """Check that a `receive` that began before a message was published returns it."""
    async with (
        open_queue() as queue,
        queue.subscribe(QUEUE, "s", 1, 100) as subscription,
        trio.open_nursery() as nursery,
    ):

        async def publish_later() -> None:
            await trio.sleep(QUIET_SECONDS)
            await queue.publish(QUEUE, message(7))

        nursery.start_soon(publish_later)
        expect(values(await take(subscription, 1)), [7], "what came")


async def consumers_of_a_queue_share_it(open_queue: OpenQueue) -> None:
    """Check that each message of a queue goes to one of its consumers."""
    async with open_queue() as queue:
        await queue.publish_batch(QUEUE, [message(number) for number in range(10)])
        async with queue.subscribe(QUEUE, "a", 5, 100) as one, queue.subscribe(QUEUE, "b", 5, 100) as two:
            got = values(await take(one, 5)) + values(await take(two, 5))
            expect(sorted(got), list(range(10)), "what both got")
            await expect_quiet(one)


async def each_subscription_of_a_topic_gets_every_message(open_queue: OpenQueue) -> None:
    """Check that consumers of a subscription share, subscriptions do not, and a topic without any stores nothing."""
    async with open_queue() as queue:
        expect(await queue.publish(TOPIC, message(0)), MessageStatus.ACCEPTED, "status of a message nobody wants")
        async with (
            queue.subscribe(TOPIC, "x", 10, 10) as x_one,
            queue.subscribe(TOPIC, "x", 1, 10) as x_two,
            queue.subscribe(TOPIC, "y", 10, 10) as y,
        ):
            await queue.publish_batch(TOPIC, [message(1), message(2)])
            expect(values(await take(y, 2)), [1, 2], "what y got")
            expect(values(await take(x_two, 1)), [1], "what one consumer of x got")
            expect(values(await take(x_one, 1)), [2], "what the other got")


async def names_are_judged(open_queue: OpenQueue) -> None:
    """Check that a good name passes, and that a bad one is refused with a remedy."""
    async with open_queue() as queue:
        for name in ("/queue/a", "/topic/a.b", QUEUE, TOPIC):
            expect(queue.validate_name(name), None, f"verdict on {name!r}")
        if queue.validate_name("") is None:
            raise ConformanceError("an empty name was found good")


async def it_says_whether_messages_outlive_the_process(open_queue: OpenQueue) -> None:
    """Check that `outlives_process` is a bool, the same before and after use."""
    async with open_queue() as queue:
        said: object = queue.outlives_process
        if not isinstance(said, bool):
            raise ConformanceError(f"outlives_process: expected True or False, got {said!r}")
        await queue.publish(QUEUE, message(1))
        expect(queue.outlives_process, said, "outlives_process after a message was published")


async def impossible_sizes_are_refused(open_queue: OpenQueue) -> None:
    """Check that a prefetch or a batch of less than one message is refused."""
    async with open_queue() as queue:
        try:
            async with queue.subscribe(QUEUE, "s", 0, 1):
                pass
        except ValueError:
            pass
        else:
            raise ConformanceError("a prefetch of 0 was taken")
        async with queue.subscribe(QUEUE, "s", 1, 1) as subscription:
            try:
                await subscription.receive(0)
            except ValueError:
                return
            raise ConformanceError("receive(0) was taken")


async def an_error_in_the_body_of_a_subscription_comes_out_as_it_was(open_queue: OpenQueue) -> None:
    """Check that an exception in a subscription's body propagates unchanged, in no group."""
    mine = KeyError("mine")
    async with open_queue() as queue:
        try:
            async with queue.subscribe(QUEUE, "s", 1, 1):
                raise mine
        except Exception as error:
            if error is not mine:
                raise ConformanceError(f"an error in the body: expected the same KeyError, got {error!r}") from error
        else:
            raise ConformanceError("an error in the body: expected the same KeyError, got none")


async def a_stopped_provider_takes_nothing_more(open_queue: OpenQueue) -> None:
    """Check that `stop` may be called again, and that publishing and subscribing then raise `QueueClosedError`."""
    async with open_queue() as queue:
        await queue.stop()
        await queue.stop()
        try:
            await queue.publish(QUEUE, message(1))
        except QueueClosedError:
            pass
        else:
            raise ConformanceError("a stopped provider took a message")
        try:
            async with queue.subscribe(QUEUE, "s", 1, 1):
                pass
        except QueueClosedError:
            return
        raise ConformanceError("a stopped provider took a consumer")


async def the_depth_counts_what_nobody_has_settled(open_queue: OpenQueue) -> None:
    """Check that waiting, unsettled and delayed messages count, and acknowledged ones do not."""
    async with open_queue() as queue, queue.subscribe(QUEUE, "s", 10, 100) as subscription:
        expect(await subscription.depth(), 0, "depth of an empty queue")
        await queue.publish_batch(QUEUE, [message(number) for number in range(5)])
        expect(await subscription.depth(), 5, "depth of what waits")
        first, second, *_ = await take(subscription, 3)
        expect(await subscription.depth(), 5, "depth with three handed out")
        async with queue.subscribe(QUEUE, "s", 10, 100) as other:
            expect(await other.depth(), 5, "depth as another consumer sees it")
        await subscription.settle([first], [Nack(second, 60)])
        expect(await subscription.depth(), 4, "depth with one acked and one delayed")


async def forgetting_what_is_empty_keeps_what_is_not(open_queue: OpenQueue) -> None:
    """Check that `forget_empty` keeps queues with messages or consumers, and those of other prefixes."""
    async with open_queue() as queue:
        for name in ("exec:a:/queue/empty", "exec:a:/queue/full", "exec:b:/queue/full"):
            await queue.publish(name, message(1))
        async with queue.subscribe("exec:a:/queue/empty", "s", 10, 100) as subscription:
            await subscription.settle(await take(subscription, 1))
        async with queue.subscribe("exec:a:/queue/consumed", "s", 10, 100) as subscription:
            await queue.forget_empty("exec:a:")
            await queue.publish("exec:b:/queue/new", message(1))  # could reuse what was forgotten
            await queue.publish("exec:a:/queue/consumed", message(3))
            expect(values(await take(subscription, 1)), [3], "what was published to a queue that is consumed")
        for name in ("exec:a:/queue/full", "exec:b:/queue/full"):
            async with queue.subscribe(name, "s", 10, 100) as subscription:
                expect(values(await take(subscription, 1)), [1], f"what {name} held")
        await queue.publish("exec:a:/queue/empty", message(2))
        async with queue.subscribe("exec:a:/queue/empty", "s", 10, 100) as subscription:
            expect(values(await take(subscription, 1)), [2], "what was published to a forgotten queue")


QUEUE_CHECKS: Final[tuple[Check, ...]] = (
    messages_come_in_order_and_are_gone_when_acked,
    batches_have_a_status_for_each_message,
    frames_arrive_as_they_were,
    prefetch_bounds_what_is_unsettled,
    a_saturated_consumer_goes_on_when_others_settle_for_it,
    a_nack_counts_an_attempt_unless_told_otherwise,
    settling_twice_does_nothing,
    a_delayed_nack_comes_back_when_it_is_due,
    out_of_order_settlements_leave_exactly_the_rest,
    a_full_queue_holds_up_its_publishers_and_nobody_else,
    a_cancelled_publisher_leaves_room_for_the_next,
    a_receive_that_is_cancelled_takes_nothing,
    a_waiting_consumer_hears_of_a_message,
    consumers_of_a_queue_share_it,
    each_subscription_of_a_topic_gets_every_message,
    names_are_judged,
    it_says_whether_messages_outlive_the_process,
    impossible_sizes_are_refused,
    an_error_in_the_body_of_a_subscription_comes_out_as_it_was,
    a_stopped_provider_takes_nothing_more,
    the_depth_counts_what_nobody_has_settled,
    forgetting_what_is_empty_keeps_what_is_not,
)
"""Every check of this module."""
