"""Operators' work on a queue's file: inspect, purge, forget, check, and requeue dead letters.

Each operation is a request to the writer like any other, so that it may run while the file is in use.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import Final

import trio

from factflow_engine.queues.naming import prefix_of
from factflow_engine.queues.sqlite.browsing import Page, browse, by_seq, find
from factflow_engine.queues.sqlite.deleting import delete
from factflow_engine.queues.sqlite.forgetting import shapes_of
from factflow_engine.queues.sqlite.fsck import check, damage, repair
from factflow_engine.queues.sqlite.location import SqliteSettings
from factflow_engine.queues.sqlite.purging import (
    clear_cursor,
    clear_unleased,
    delete_purged,
    forget,
    forget_rest,
    forget_stage,
    lines_of,
    purge_quarantine,
)
from factflow_engine.queues.sqlite.requeueing import requeue
from factflow_engine.queues.sqlite.statements import ROWS_AT_A_TIME
from factflow_engine.queues.sqlite.stats import FileStatistics, statistics
from factflow_engine.queues.sqlite.store import Call, Close, Look, Store, Survey
from factflow_engine.queues.sqlite.writer import Writer
from factflow_engine.seams import Clock, SystemClock, Threads, TrioThreads
from factflow_protocols import (
    Deleted,
    Forgotten,
    LettersLeftError,
    LetterStaysError,
    Purged,
    QueueError,
    Requeued,
    RequeueStoppedError,
    StageShape,
    StoredMessage,
    StoredName,
    StoreProblem,
)

PAGE: Final = 200
"""Most messages read at a time while a queue is browsed."""

LETTERS: Final = 100
"""Most dead letters requeued in one transaction."""


class SqliteAdministration:
    """Administration of a file, also while it is in use; see `factflow_protocols.QueueAdministration` for the contract.

    Get one from `SqliteQueue.administration` or `open_administration`. All methods raise `QueueFileError` if the file
    cannot be used.
    """

    def __init__(self, writer: Writer) -> None:
        self._writer = writer

    async def statistics(self) -> FileStatistics:
        """Return the contents of the file, by queue."""
        return await self._writer.submit(Survey(statistics))

    async def browse(
        self, queue: str, *, newest_first: bool = False, most_bytes: int | None = None
    ) -> AsyncIterator[StoredMessage]:
        """Yield every unsettled message of a queue, in order, without taking it; for a topic, of all subscriptions.

        A snapshot page by page: concurrent changes may or may not be seen.

        Args:
            queue: Name of the queue or topic.
            newest_first: True for the reverse order.
            most_bytes: Bytes to read of each frame, from its beginning; None for all.
        """
        page = Page(queue=queue, limit=PAGE, newest_first=newest_first, most_bytes=most_bytes)
        while messages := await self._writer.submit(Survey(partial(browse, page=page), queue)):
            for stored in messages:
                yield stored
            page = replace(page, passed=messages[-1].seq)

    async def find(self, queue: str, beginning: bytes) -> Sequence[StoredName]:
        """Return the unsettled messages of a queue whose ids begin with these bytes, a hundred at most."""
        return await self._writer.submit(Survey(partial(find, queue=queue, beginning=beginning), queue))

    async def one(self, queue: str, seq: int, *, most_bytes: int | None = None) -> StoredMessage | None:
        """Return an unsettled message of a queue, or the beginning of its frame; None if there is none of that number."""
        look = partial(by_seq, queue=queue, seq=seq, most_bytes=most_bytes)
        return await self._writer.submit(Survey(look, queue))

    async def purge(self, queue: str, *, subscription: str | None = None) -> Purged:
        """Delete the messages that no consumer has leased, and forget the ids that were seen.

        Retained messages and those in quarantine are deleted, too.

        Args:
            queue: Name of the queue or topic.
            subscription: A subscription of the topic; None for all.
        """
        purged = await self._writer.submit(Call(lambda store: clear_cursor(store, queue, subscription), queue))
        while await self._writer.submit(Call(delete_purged, queue)):
            pass
        return purged

    async def delete(
        self, queue: str, messages: Sequence[StoredName], *, progress: Callable[[Deleted], object] | None = None
    ) -> Deleted:
        """Delete these unsettled messages, and nothing else, and forget their ids; retention does not apply.

        Args:
            queue: Name of the queue or topic.
            messages: Number and id of each; a leased one is left alone.
            progress: Called after each batch, which is one transaction, with the counts so far.

        Raises:
            QueueError: There is no such queue.

        Cancellation: earlier batches are deleted; call it again with the same messages.
        """
        counts = Deleted()
        ascending = sorted(set(messages))
        for start in range(0, len(ascending), ROWS_AT_A_TIME):
            batch = ascending[start : start + ROWS_AT_A_TIME]
            call = Call(partial(delete, queue=queue, messages=batch), queue)
            counts = counts.plus(await self._writer.submit(call))
            if progress is not None:
                progress(counts)
        return counts

    async def forget(self, queue: str, *, subscription: str | None = None) -> Forgotten:
        """Remove a queue or a topic's subscriptions, with all messages; release publishers that wait for room in them.

        The next `receive` of a consumer without messages raises `QueueError`. Publishing to the queue, or subscribing,
        makes it anew. The last queue of an execution takes with it what the execution's stages keep.

        Args:
            queue: Name of the queue or topic.
            subscription: A subscription of the topic; None for all.

        Raises:
            QueueError: A consumer has messages of it; or there is none of that name; or it is the last one of an
            execution whose stages keep state in a running process.
        """
        purged = await self._writer.submit(Call(lambda store: clear_unleased(store, queue, subscription), queue))
        while await self._writer.submit(Call(delete_purged, queue)):
            pass
        forgotten = await self._writer.submit(Call(lambda store: forget(store, queue, subscription), queue))
        return forgotten._replace(purged=purged)

    async def forget_execution(self, execution_id: str) -> Forgotten:
        """Remove everything of an execution: its queues, its subscriptions to topics, and what its stages keep.

        Raises:
            QueueError: A process runs it, or the file has nothing of it.
        """
        execution = prefix_of(execution_id)
        names = await self._writer.submit(Call(lambda store: lines_of(store, execution), execution))
        parts = [await self.forget(queue, subscription=subscription) for queue, subscription in names]
        states = await self._writer.submit(Call(lambda store: forget_rest(store, execution), execution))
        return Forgotten(
            sum(part.lines for part in parts),
            Purged(*(sum(counts) for counts in zip(*(part.purged for part in parts), strict=True)))
            if parts
            else Purged(0, 0, 0),
            states + sum(part.states for part in parts),
        )

    async def shapes(self, execution_id: str) -> Sequence[tuple[str, str, StageShape]]:
        """Return the shapes of an execution's stages that keep state, each with its route id and name."""
        execution = prefix_of(execution_id)
        return await self._writer.submit(Look(lambda store: shapes_of(store, execution), execution))

    async def forget_stage(self, execution_id: str, route: str, stage: str) -> int:
        """Delete the state of one stage of an execution, and its answers to unacknowledged messages.

        Returns:
            Number of states deleted: one for each process that kept something.

        Raises:
            QueueError: A process runs it, or there is no state of that stage.
        """
        execution = prefix_of(execution_id)
        call = Call(lambda store: forget_stage(store, execution, (route, stage)), execution)
        return await self._writer.submit(call)

    async def purge_quarantine(self, queue: str | None = None, *, subscription: str | None = None) -> int:
        """Delete the messages that could not be read, and nothing else.

        Args:
            queue: Name of the queue or topic; None for the whole file, messages of no queue included.
            subscription: A subscription of the topic; None for all.

        Returns:
            How many messages were deleted.
        """
        call = Call(lambda store: purge_quarantine(store, queue, subscription), queue or "")
        return await self._writer.submit(call)

    async def requeue(
        self,
        queue: str,
        seqs: Sequence[int],
        *,
        to: str | None = None,
        create: bool = False,
        progress: Callable[[Requeued], object] | None = None,
    ) -> Requeued:
        """Requeue dead letters to their original queue, or to another, and settle them.

        A batch of them is one transaction. One that goes to a topic reaches every subscription of it, also those that had no part in the failure. One that
        cannot be requeued is left, and the next is tried.

        Args:
            queue: The dead-letter queue.
            seqs: `StoredMessage.seq` of each letter.
            to: Name of a queue or topic; None for the one that the dead letter names.
            create: True to make the queue `to` if it is not in the file; otherwise its absence is an error.
            progress: Called after each batch with the counts so far.

        Raises:
            RequeueStoppedError: The target queue is full or does not exist; the error counts what was done before.
            LettersLeftError: All were tried, and some were left; the error counts both.

        Cancellation: earlier batches are requeued; call it again with the others.
        """
        counts = Requeued()
        first: LetterStaysError | None = None
        tried = 0
        while tried < len(seqs):
            batch = seqs[tried : tried + LETTERS]
            call = Call(partial(requeue, queue=queue, seqs=batch, to=to, create=create), queue)
            try:
                done = await self._writer.submit(call)
            except QueueError as error:
                raise RequeueStoppedError(queue, counts, error) from error
            counts, first, tried = counts.plus(done.counts), first or done.left, tried + done.tried
            if progress is not None:
                progress(counts)
            if done.stopped is not None:
                raise RequeueStoppedError(queue, counts, done.stopped) from done.stopped
        if first is not None:
            raise LettersLeftError(queue, counts, first) from first
        return counts

    async def check(self) -> Sequence[StoreProblem]:
        """Read the whole file and return everything that is wrong with it.

        Other processes continue meanwhile. Other requests of this process wait, lease renewals included: check a large
        file in a process of its own.
        """
        return await self._writer.submit(Survey(check))

    async def repair(self) -> Sequence[StoreProblem]:
        """Repair what can be repaired, in one transaction, and return it.

        Does nothing if pages are damaged, or tables have another shape: their contents cannot be trusted.
        """
        if await self._writer.submit(Survey(damage)):
            return []
        return await self._writer.submit(Call(repair))


@asynccontextmanager
async def open_administration(
    settings: SqliteSettings, *, threads: Threads | None = None, clock: Clock | None = None
) -> AsyncIterator[SqliteAdministration]:
    """Open an existing file for administration; close it on exit."""
    store = Store(settings, clock=clock or SystemClock(), create=False)
    writer = Writer(store, threads=threads or TrioThreads(limit=1))
    try:
        yield SqliteAdministration(writer)
    finally:
        with trio.CancelScope(shield=True):
            await writer.submit(Close())
