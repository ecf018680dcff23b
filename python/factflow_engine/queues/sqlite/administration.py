"""Operators' work on a queue's file: inspect, purge, forget, check, and requeue dead letters.

Each operation is a request to the writer like any other, so that it may run while the file is in use.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Final

import trio

from factflow_engine.queues.naming import prefix_of
from factflow_engine.queues.sqlite.browsing import browse, by_seq, find
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
from factflow_engine.queues.sqlite.stats import FileStatistics, statistics
from factflow_engine.queues.sqlite.store import Call, Close, Look, Store, Survey
from factflow_engine.queues.sqlite.writer import Writer
from factflow_engine.seams import Clock, SystemClock, Threads, TrioThreads
from factflow_protocols import (
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

    async def browse(self, queue: str) -> AsyncIterator[StoredMessage]:
        """Yield every unsettled message of a queue, in order, without taking it; for a topic, of all subscriptions.

        A snapshot page by page: concurrent changes may or may not be seen.
        """
        after = 0
        while True:
            page = await self._writer.submit(Survey(partial(browse, queue=queue, after=after, limit=PAGE), queue))
            if not page:
                return
            for stored in page:
                yield stored
            after = page[-1].seq

    async def find(self, queue: str, beginning: bytes) -> Sequence[StoredName]:
        """Return the unsettled messages of a queue whose ids begin with these bytes, a hundred at most."""
        return await self._writer.submit(Survey(partial(find, queue=queue, beginning=beginning), queue))

    async def one(self, queue: str, seq: int) -> StoredMessage | None:
        """Return an unsettled message of a queue; None if there is none of that number."""
        return await self._writer.submit(Survey(partial(by_seq, queue=queue, seq=seq), queue))

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
        """Requeue dead letters to their original queue, or to another, and settle them: one transaction each.

        One that goes to a topic reaches every subscription of it, also those that had no part in the failure. One that
        cannot be requeued is left, and the next is tried.

        Args:
            queue: The dead-letter queue.
            seqs: `StoredMessage.seq` of each letter.
            to: Name of a queue or topic; None for the one that the dead letter names.
            create: True to make the queue `to` if it is not in the file; otherwise its absence is an error.
            progress: Called after each letter with the counts so far.

        Raises:
            RequeueStoppedError: The target queue is full or does not exist; the error counts what was done before.
            LettersLeftError: All were tried, and some were left; the error counts both.
        """
        counts = Requeued()
        first: LetterStaysError | None = None
        for seq in seqs:
            call = Call(partial(requeue, queue=queue, seq=seq, to=to, create=create), queue)
            try:
                counts = counts.plus(await self._writer.submit(call))
            except LetterStaysError as error:
                counts, first = counts.plus(Requeued(left=1)), first or error
            except QueueError as error:
                raise RequeueStoppedError(queue, counts, error) from error
            if progress is not None:
                progress(counts)
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
