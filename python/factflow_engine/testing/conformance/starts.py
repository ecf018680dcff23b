"""Checks for providers at which several processes may start one execution at the same time (`ExecutionStarts`).

Used like `durable`. Kept separate because `ExecutionStarts` is optional.
"""

from typing import Final

import trio

from factflow_engine.testing.conformance.expectations import (
    Check,
    ConformanceError,
    OpenQueue,
    expect,
    expect_quiet,
    message,
    take,
    values,
)
from factflow_protocols import Begun, ExecutionStarts, QueueProtocol, ResumableStarts

EXECUTION: Final = "exec:conformance:"
FIRST: Final = EXECUTION + "/queue/first"
SECOND: Final = EXECUTION + "/queue/second"
READS: Final = ((FIRST, "first"), (SECOND, "second"))


async def init_messages_are_published_until_an_end_that_finds_nothing_left(open_queue: OpenQueue) -> None:
    """Check that messages are published once, in order, and that a start resumes an execution with work left."""
    async with open_queue() as queue:
        expect(await _begin(queue), Begun(published=True, left=0, is_first=True), "the first start")
        expect(await _begin(queue), Begun(published=False, left=3), "the second start")
        expect(await _starts(queue).end(EXECUTION, READS), 3, "what an early end finds left")
    async with open_queue() as queue:
        expect(await _begin(queue), Begun(published=False, left=3), "a start after reopening")
        async with queue.subscribe(FIRST, "first", 10, 100) as subscription:
            deliveries = await take(subscription, 2)
            expect(values(deliveries), [1, 3], "init messages of one route")
            await expect_quiet(subscription)
            await subscription.settle(deliveries)
        expect(await _begin(queue), Begun(published=False, left=1), "a start with one message left")
        async with queue.subscribe(SECOND, "second", 10, 100) as subscription:
            await subscription.settle(await take(subscription, 1))
        expect(await _begin(queue), Begun(published=False, left=0), "a start of what was not ended")
        expect(await _starts(queue).end(EXECUTION, READS), 0, "what the end finds left")
        expect((await _begin(queue, numbers=(4, 5, 6))).published, True, "whether it is begun anew after its end")


async def an_end_that_finds_something_left_closes_nothing(open_queue: OpenQueue) -> None:
    """Check that a process that dies without an `end` leaves the execution open, so that it does not begin anew."""
    async with open_queue() as queue:
        await _begin(queue)
        expect(await _starts(queue).end(EXECUTION, READS), 3, "what an early end finds left")
        for place, subscription_name, count in ((FIRST, "first", 2), (SECOND, "second", 1)):
            async with queue.subscribe(place, subscription_name, 10, 100) as subscription:
                await subscription.settle(await take(subscription, count))
        await trio.sleep(0.01)
        expect(await _begin(queue), Begun(published=False, left=0), "a start of what was not ended")


async def a_start_that_was_asked_for_before_the_end_joins(open_queue: OpenQueue) -> None:
    """Check that a start requested before the end joins, however late it arrives, so that it does not publish again."""
    async with open_queue() as queue:
        asked = _starts(queue).instant_ns()
        await trio.sleep(0.01)
        expect((await _begin(queue, numbers=())).published, True, "whether the first start publishes")
        expect(await _starts(queue).end(EXECUTION, READS), 0, "what the end finds left")
        late = await _begin(queue, asked_ns=asked)
        expect(late, Begun(published=False, left=0), "a start that was asked for before")
        await trio.sleep(0.01)
        expect((await _begin(queue)).published, True, "whether one that is asked for after the end publishes")


async def of_those_that_start_together_one_publishes(open_queue: OpenQueue) -> None:
    """Check that of several starts at one time, from any opening, one publishes."""
    began: list[Begun] = []

    async def start(queue: QueueProtocol) -> None:
        began.append(await _begin(queue))

    async with open_queue() as one, open_queue() as other:
        async with trio.open_nursery() as nursery:
            for queue in (one, other) * 4:
                nursery.start_soon(start, queue)
        expect(sorted(each.published for each in began), [False] * 7 + [True], "who published")
        expect(await _starts(one).end(EXECUTION, READS), 3, "messages")


async def what_was_read_before_is_left_too(open_queue: OpenQueue) -> None:
    """Check that a start with fewer routes resumes an execution with messages of its former routes."""
    async with open_queue() as queue:
        await _begin(queue)
        begun = await _starts(queue).begin(EXECUTION, READS[:1], (), asked_ns=_starts(queue).instant_ns())
        expect(begun, Begun(published=False, left=3), "a start with one route")
        expect(await _starts(queue).end(EXECUTION, READS[:1]), 3, "what its end finds left")


async def what_holds_messages_is_named(open_queue: OpenQueue) -> None:
    """Check that `holdings` lists the queues of this execution only, with their numbers of messages."""
    async with open_queue() as queue:
        await _begin(queue)
        await queue.publish(EXECUTION + "/queue/third", message(9))
        await queue.publish("exec:conformance2:/queue/first", message(9))
        found = [(each.queue, each.messages) for each in await _starts(queue).holdings(EXECUTION)]
        expect(sorted(found), [(FIRST, 2), (SECOND, 1), (EXECUTION + "/queue/third", 1)], "what holds messages")
        expect(list(await _starts(queue).holdings("exec:nobody:")), [], "what an unknown execution holds")


async def of_those_that_start_one_is_the_first(open_queue: OpenQueue) -> None:
    """Check that one start is the first, even if there were messages before it, and without init messages."""
    async with open_queue() as queue:
        await queue.publish(FIRST, message(1))
        expect(await _begin(queue), Begun(published=False, left=1, is_first=True), "the first start")
        expect(await _begin(queue), Begun(published=False, left=1), "the second start")


async def what_would_be_resumed_is_known_before(open_queue: OpenQueue) -> None:
    """Check that `can_resume`, of a provider that has it, says what a start would do."""
    async with open_queue() as queue:
        if not isinstance(queue, ResumableStarts):
            return
        before = _starts(queue).instant_ns()
        expect(await queue.can_resume(EXECUTION, asked_ns=before), False, "whether one is known that was never begun")
        await trio.sleep(0.01)
        await _begin(queue, numbers=(1,))
        expect(await queue.can_resume(EXECUTION, asked_ns=before), True, "whether one with a message left is known")
        expect(await queue.can_resume("exec:nobody:", asked_ns=before), False, "whether another one is known")
        async with queue.subscribe(FIRST, "first", 10, 100) as subscription:
            await subscription.settle(await take(subscription, 1))
        expect(await queue.can_resume(EXECUTION, asked_ns=before), True, "whether one that was not ended is known")
        expect(await _starts(queue).end(EXECUTION, READS), 0, "what the end finds left")
        await trio.sleep(0.01)
        after = _starts(queue).instant_ns()
        expect(await queue.can_resume(EXECUTION, asked_ns=before), True, "whether one that ended since is known")
        expect(await queue.can_resume(EXECUTION, asked_ns=after), False, "whether one that had ended is known")
        await queue.publish(FIRST, message(2))
        expect(await queue.can_resume(EXECUTION, asked_ns=after), True, "whether one with a new message is known")
        expect((await _begin(queue, asked_ns=after)).published, False, "whether a start publishes then")


def _starts(queue: QueueProtocol) -> ExecutionStarts:
    if not isinstance(queue, ExecutionStarts):
        raise ConformanceError(f"{type(queue).__name__} is no ExecutionStarts: it lacks one of its methods")
    return queue


async def _begin(queue: QueueProtocol, *, numbers: tuple[int, ...] = (1, 2, 3), asked_ns: int | None = None) -> Begun:
    starts = _starts(queue)
    places = (FIRST, SECOND, FIRST)
    messages = [(place, message(number)) for place, number in zip(places, numbers, strict=False)]
    return await starts.begin(
        EXECUTION, READS, messages, asked_ns=starts.instant_ns() if asked_ns is None else asked_ns
    )


START_CHECKS: Final[tuple[Check, ...]] = (
    init_messages_are_published_until_an_end_that_finds_nothing_left,
    an_end_that_finds_something_left_closes_nothing,
    a_start_that_was_asked_for_before_the_end_joins,
    of_those_that_start_together_one_publishes,
    what_was_read_before_is_left_too,
    what_holds_messages_is_named,
    of_those_that_start_one_is_the_first,
    what_would_be_resumed_is_known_before,
)
"""Every check of this module."""
