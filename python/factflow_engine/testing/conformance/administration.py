"""Checks for providers that offer their administration (`AdministeredQueue`).

Used like `durable`: opening twice gives the same queues. Kept separate because administration is optional.
"""

from collections.abc import Awaitable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Final

from factflow_engine.frames import Frame, pack
from factflow_engine.queues.dead_letters import write_dead_letter
from factflow_engine.testing.conformance.expectations import (
    QUEUE,
    Check,
    ConformanceError,
    OpenQueue,
    expect,
    message,
    take,
    values,
)
from factflow_protocols import (
    AdministeredQueue,
    Deleted,
    LettersLeftError,
    LineStatistics,
    MessageState,
    QueueAdministration,
    QueueError,
    QueueProtocol,
    Requeued,
    RequeueStoppedError,
    StoredMessage,
    StoredName,
)

DEAD: Final = "/queue/conformance.dead"
MISSING: Final = "/queue/conformance.missing"


async def messages_are_looked_at_and_not_taken(open_queue: OpenQueue) -> None:
    """Check that `browse` yields all messages in order with their states, `find` and `one` agree, and none is taken."""
    async with open_queue() as queue:
        await queue.publish_batch(QUEUE, [message(number) for number in range(300)])
        async with queue.subscribe(QUEUE, "s", 10, 1000) as subscription:
            held = await take(subscription, 1)
            async with _administration(queue) as queues:
                stored = await _browse(queues, QUEUE)
                expect([Frame.decode(each.frame).value() for each in stored], list(range(300)), "what is stored")
                expect([each.message_id for each in stored[:2]], [bytes(16), (1).to_bytes(16)], "their ids")
                expect([each.state for each in stored[:2]], [MessageState.LEASED, MessageState.WAITING], "their states")
                numbers = [each.seq for each in stored]
                expect(numbers, sorted(set(numbers)), "their numbers, in the queue's order")
                [named] = await queues.find(QUEUE, (7).to_bytes(16))
                expect(named.seq, stored[7].seq, "the number that an id is found under")
                expect(len(await queues.find(QUEUE, bytes(12))), 100, "how many of many are found")
                expect(await queues.one(QUEUE, stored[7].seq), stored[7], "one message by its number")
                expect(await queues.one(QUEUE, numbers[-1] + 1), None, "a message that is not there")
            await subscription.settle(held)
        async with queue.subscribe(QUEUE, "s", 1000, 1000) as subscription:
            expect(values(await take(subscription, 299)), list(range(1, 300)), "what is handed out afterwards")


async def messages_are_looked_at_from_the_newest_on(open_queue: OpenQueue) -> None:
    """Check that `newest_first` reverses the order, and that the beginning of a frame is read where that is enough."""
    async with open_queue() as queue, _administration(queue) as queues:
        await queue.publish_batch(QUEUE, [message(number) for number in range(300)])
        stored = await _browse(queues, QUEUE)
        newest = [each async for each in queues.browse(QUEUE, newest_first=True, most_bytes=4)]
        expect([each.seq for each in newest], [each.seq for each in reversed(stored)], "their numbers, newest first")
        one = await queues.one(QUEUE, stored[7].seq, most_bytes=4)
        parts = [part.frame for part in (*reversed(newest), one) if part is not None]
        wholes = [whole.frame for whole in (*stored, stored[7])]
        expect([whole.startswith(part) for whole, part in zip(wholes, parts, strict=True)], [True] * 301, "beginnings")
        expect(min(map(len, parts)) >= 4, True, "at least as many bytes as were asked for")


async def statistics_count_what_there_is(open_queue: OpenQueue) -> None:
    """Check that statistics count waiting and leased messages by queue."""
    async with open_queue() as queue:
        await queue.publish_batch(QUEUE, [message(number) for number in range(5)])
        async with queue.subscribe(QUEUE, "s", 2, 100) as subscription, _administration(queue) as queues:
            await take(subscription, 2)
            statistics = await queues.statistics()
            line = _line(statistics.lines, QUEUE)
            expect((line.waiting, line.leased, line.accepted, line.subscription), (3, 2, 5, ""), "counts of a queue")
            if "\n" in statistics.summary:
                raise ConformanceError("expected a summary of one line, got several")


async def a_purge_deletes_what_nobody_has(open_queue: OpenQueue) -> None:
    """Check that a consumer keeps its deliveries during a purge, and that deleted ids are accepted again."""
    async with open_queue() as queue:
        await queue.publish_batch(QUEUE, [message(number) for number in range(5)])
        async with queue.subscribe(QUEUE, "s", 2, 100) as subscription, _administration(queue) as queues:
            held = await take(subscription, 2)
            expect((await queues.purge(QUEUE)).messages, 3, "how many were deleted")
            expect(len(await _browse(queues, QUEUE)), 2, "how many are left")
            await subscription.settle(held)
            await queue.publish(QUEUE, message(4))
            expect(values(await take(subscription, 1)), [4], "a message of an id that was deleted")


async def the_messages_named_are_deleted_and_no_others(open_queue: OpenQueue) -> None:
    """Check that `delete` takes only waiting messages of this number and id, tells each batch, and may be repeated."""
    async with open_queue() as queue:
        await queue.publish_batch(QUEUE, [message(number) for number in range(9)])
        async with queue.subscribe(QUEUE, "s", 2, 100) as subscription, _administration(queue) as queues:
            held = await take(subscription, 2)
            names = [StoredName(each.seq, each.message_id) for each in await _browse(queues, QUEUE)]
            chosen = [names[1], names[7], names[3], names[4]._replace(message_id=bytes(15) + b"x")]
            await queue.publish(QUEUE, message(9))
            told: list[Deleted] = []
            deleted = await queues.delete(QUEUE, chosen, progress=told.append)
            expect(deleted, Deleted(deleted=2, leased=1, gone=1), "counts of what was to be deleted")
            expect(told[-1:], [deleted], "what was told last")
            left = [Frame.decode(each.frame).value() for each in await _browse(queues, QUEUE)]
            expect(left, [0, 1, 2, 4, 5, 6, 8, 9], "what is left")
            expect(await queues.delete(QUEUE, chosen[1:3]), Deleted(gone=2), "counts of a repetition")
            await subscription.settle(held)
            await queue.publish(QUEUE, message(7))
        async with queue.subscribe(QUEUE, "s", 10, 100) as subscription:
            expect(sorted(values(await take(subscription, 7))), [2, 4, 5, 6, 7, 8, 9], "what is handed out afterwards")


async def a_queue_that_somebody_uses_is_not_forgotten(open_queue: OpenQueue) -> None:
    """Check that nothing is removed while a delivery is out; without one, the queue and its messages are deleted."""
    async with open_queue() as queue:
        await queue.publish_batch(QUEUE, [message(1), message(2)])
        async with _administration(queue) as queues:
            async with queue.subscribe(QUEUE, "s", 1, 100) as subscription:
                await take(subscription, 1)
                await _refused(queues.forget(QUEUE), "forgetting a queue that a consumer has messages of")
                expect(len(await _browse(queues, QUEUE)), 2, "how many messages are left")
            forgotten = await queues.forget(QUEUE)
            expect((forgotten.lines, forgotten.purged.messages), (1, 2), "what was removed")
            expect([line for line in (await queues.statistics()).lines if line.queue == QUEUE], [], "what is left")


async def what_is_not_there_is_an_error(open_queue: OpenQueue) -> None:
    """Check that an unknown queue is an error rather than an empty answer, because its name is mistyped."""
    async with open_queue() as queue:
        await queue.publish(QUEUE, message(1))
        async with _administration(queue) as queues:
            await _refused(_browse(queues, MISSING), "browsing a queue that is not there")
            await _refused(queues.purge(MISSING), "purging a queue that is not there")
            await _refused(queues.delete(MISSING, [StoredName(1, bytes(16))]), "deleting of a queue that is not there")
            await _refused(queues.forget(MISSING), "forgetting a queue that is not there")
            await _refused(queues.forget_execution("missing"), "forgetting an execution that is not there")
            await _refused(queues.forget_stage("missing", "r", "s"), "forgetting a stage that is not there")


async def a_dead_letter_goes_back_once(open_queue: OpenQueue) -> None:
    """Check that a dead letter is published unchanged and settled, a second time is a duplicate, and others stay."""
    async with open_queue() as queue, _administration(queue) as queues:
        await queue.publish_batch(DEAD, [_letter(1), message(2), _letter(3)])
        numbers = [stored.seq for stored in await _browse(queues, DEAD)]
        told: list[Requeued] = []
        try:
            await queues.requeue(DEAD, numbers, progress=told.append)
        except LettersLeftError as error:
            expect(error.counts, Requeued(requeued=2, left=1), "counts of letters and of a message that is none")
        else:
            raise ConformanceError("a message that is no dead letter was put back")
        expect(told[-1:], [Requeued(requeued=2, left=1)], "what was told last")
        expect([each.seq for each in await _browse(queues, DEAD)], numbers[1:2], "what is left")
        expect(await queues.requeue(DEAD, numbers[:1]), Requeued(gone=1), "counts of a letter that is gone")
        async with queue.subscribe(QUEUE, "s", 10, 100) as subscription:
            deliveries = await take(subscription, 2)
            expect(values(deliveries), [1, 3], "what came back")
            headers = [dict(delivery.message.headers) for delivery in deliveries]
            expect(headers, [{"mine": 1}, {"mine": 1}], "their headers")
            await subscription.settle(deliveries)


async def a_dead_letter_goes_to_no_queue_that_is_not_there(open_queue: OpenQueue) -> None:
    """Check that a letter goes to a missing queue only if `create` is set: a typing error must not hide letters."""
    async with open_queue() as queue, _administration(queue) as queues:
        await queue.publish(DEAD, _letter(1))
        [stored] = await _browse(queues, DEAD)
        try:
            await queues.requeue(DEAD, [stored.seq], to=MISSING)
        except RequeueStoppedError as error:
            expect(error.counts, Requeued(), "counts")
        else:
            raise ConformanceError("a dead letter went to a queue that is not there")
        expect([each.seq for each in await _browse(queues, DEAD)], [stored.seq], "what is left")
        counts = await queues.requeue(DEAD, [stored.seq], to=MISSING, create=True)
        expect((counts, len(await _browse(queues, MISSING))), (Requeued(requeued=1), 1), "what was made")


async def a_sound_store_has_no_problems(open_queue: OpenQueue) -> None:
    """Check that a sound store has no problems, before and after checking and repairing."""
    async with open_queue() as queue, queue.subscribe(QUEUE, "s", 2, 100) as subscription:
        await queue.publish_batch(QUEUE, [message(number) for number in range(5)])
        await take(subscription, 2)
        async with _administration(queue) as queues:
            expect(list(await queues.check()), [], "problems of a store that is sound")
            expect(list(await queues.repair()), [], "what was mended")
            expect(await queues.purge_quarantine(), 0, "what was in quarantine")
            expect(len(await _browse(queues, QUEUE)), 5, "what is stored afterwards")


ADMINISTRATION_CHECKS: Final[tuple[Check, ...]] = (
    messages_are_looked_at_and_not_taken,
    messages_are_looked_at_from_the_newest_on,
    statistics_count_what_there_is,
    a_purge_deletes_what_nobody_has,
    the_messages_named_are_deleted_and_no_others,
    a_queue_that_somebody_uses_is_not_forgotten,
    what_is_not_there_is_an_error,
    a_dead_letter_goes_back_once,
    a_dead_letter_goes_to_no_queue_that_is_not_there,
    a_sound_store_has_no_problems,
)


def _administration(queue: QueueProtocol) -> AbstractAsyncContextManager[QueueAdministration]:
    if not isinstance(queue, AdministeredQueue):
        raise ConformanceError(f"expected an AdministeredQueue, got {type(queue).__name__}")
    return queue.open_administration()


async def _browse(queues: QueueAdministration, queue: str) -> list[StoredMessage]:
    return [stored async for stored in queues.browse(queue)]


def _line(lines: Sequence[LineStatistics], queue: str) -> LineStatistics:
    found = [line for line in lines if line.queue == queue]
    if len(found) != 1:
        raise ConformanceError(f"expected one line of statistics for {queue}, got {lines!r}")
    return found[0]


def _letter(number: int) -> Frame:
    frame = Frame.create(pack(number), message_id=number.to_bytes(16), headers={"mine": 1})
    return write_dead_letter(
        frame, route="r", stage="s", queue=QUEUE, error_type="ValueError", error="boom", place="s.py:1", time_ns=1,
        config_hash="0" * 64, renames=False,
    )  # fmt: skip


async def _refused(awaited: Awaitable[object], what: str) -> None:
    try:
        await awaited
    except QueueError:
        return
    raise ConformanceError(f"expected a QueueError for {what}, got none")
