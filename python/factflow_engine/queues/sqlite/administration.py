"""Operations of operators on a queue's file: look, purge, forget, check, and put dead letters back.

Each is a request to the writer like any other, so that it may be done while the file is in use.
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
"""Messages read at a time, at most, while a queue is looked through."""


class SqliteAdministration:
    """Operations on a file, beside its use; see `factflow_protocols.QueueAdministration` for the contract.

    Get one from `SqliteQueue.administration` or `open_administration`. All methods raise `QueueFileError` if the file
    cannot be used.
    """

    def __init__(self, writer: Writer) -> None:
        self._writer = writer

    async def statistics(self) -> FileStatistics:
        """Return what the file holds, by queue."""
        return await self._writer.submit(Survey(statistics))

    async def browse(self, queue: str) -> AsyncIterator[StoredMessage]:
        """Yield every message of a queue that is not settled, in order, without taking it; for a topic, of all subscriptions.

        A snapshot by pages: what changes meanwhile may or may not be seen.
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
        """Return a message of a queue, if it is not settled."""
        return await self._writer.submit(Survey(partial(by_seq, queue=queue, seq=seq), queue))

    async def purge(self, queue: str, *, subscription: str | None = None) -> Purged:
        """Delete the messages that no consumer has at the moment, and forget which ids were seen.

        Those that are kept for the retention's sake and those in quarantine go, too.

        Args:
            queue: Name of the queue or topic.
            subscription: One of the topic's; None for all.
        """
        purged = await self._writer.submit(Call(lambda store: clear_cursor(store, queue, subscription), queue))
        while await self._writer.submit(Call(delete_purged, queue)):
            pass
        return purged

    async def forget(self, queue: str, *, subscription: str | None = None) -> Forgotten:
        """Remove a queue or a topic's subscriptions, with all they hold; publishers wait for them no longer.

        The next `receive` of a consumer that has nothing at the moment raises `QueueError`. Who publishes to a queue, or
        subscribes, makes it anew. With the last queue of an execution goes what its stages keep.

        Args:
            queue: Name of the queue or topic.
            subscription: One of the topic's; None for all.

        Raises:
            QueueError: A consumer has messages of it; or there is none of that name; or it is the last one of an execution
                whose stages keep state in a process that lives.
        """
        purged = await self._writer.submit(Call(lambda store: clear_unleased(store, queue, subscription), queue))
        while await self._writer.submit(Call(delete_purged, queue)):
            pass
        forgotten = await self._writer.submit(Call(lambda store: forget(store, queue, subscription), queue))
        return forgotten._replace(purged=purged)

    async def forget_execution(self, execution_id: str) -> Forgotten:
        """Remove everything of an execution: its queues, its subscriptions to topics, and what its stages keep.

        Raises:
            QueueError: A process runs it, or the file knows nothing of it.
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
        """Return what the stages of an execution that keep something are made of, each with its route id and name."""
        execution = prefix_of(execution_id)
        return await self._writer.submit(Look(lambda store: shapes_of(store, execution), execution))

    async def forget_stage(self, execution_id: str, route: str, stage: str) -> int:
        """Delete what one stage of an execution keeps, and what it has made of messages that are not acknowledged.

        Returns:
            How many states that were: one for each process that kept something.

        Raises:
            QueueError: A process runs it, or nothing is kept of that stage.
        """
        execution = prefix_of(execution_id)
        call = Call(lambda store: forget_stage(store, execution, (route, stage)), execution)
        return await self._writer.submit(call)

    async def purge_quarantine(self, queue: str | None = None, *, subscription: str | None = None) -> int:
        """Delete the messages that could not be read, and nothing else.

        Args:
            queue: Name of the queue or topic; None for all in the file, and for those of no queue.
            subscription: One of the topic's; None for all.

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
        """Put dead letters back where they came from, or elsewhere, and settle them: in one transaction each.

        One that goes to a topic reaches every subscription of it, also those that had no part in its failure. One that
        cannot be put back, whatever becomes of others, is left, and the next is tried.

        Args:
            queue: The dead-letter queue.
            seqs: `StoredMessage.seq` of each.
            to: Name of a queue or topic; None for the one that the dead letter names.
            create: True if that queue is made if it is not in the file, rather than taken for a mistake.
            progress: Called after each with what was done so far.

        Raises:
            RequeueStoppedError: Where one should go there is no room, or nothing of that name; the error counts what was
                done before.
            LettersLeftError: All were tried, and some were left; the error counts them, and those that were not.
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
        """Read all of the file and return everything that is wrong with it.

        Other processes go on meanwhile. What this one asks for waits, the renewal of leases too: check a large file from
        a process of its own.
        """
        return await self._writer.submit(Survey(check))

    async def repair(self) -> Sequence[StoreProblem]:
        """Mend what can be mended, in one transaction, and say what it was.

        Nothing where pages are damaged, or tables of another shape: what they say is not to be trusted.
        """
        if await self._writer.submit(Survey(damage)):
            return []
        return await self._writer.submit(Call(repair))


@asynccontextmanager
async def open_administration(
    settings: SqliteSettings, *, threads: Threads | None = None, clock: Clock | None = None
) -> AsyncIterator[SqliteAdministration]:
    """Work on a file that exists; it is closed on exit."""
    store = Store(settings, clock=clock or SystemClock(), create=False)
    writer = Writer(store, threads=threads or TrioThreads(limit=1))
    try:
        yield SqliteAdministration(writer)
    finally:
        with trio.CancelScope(shield=True):
            await writer.submit(Close())
