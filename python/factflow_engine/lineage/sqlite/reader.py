"""Reader of a folder of segments. See `factflow_protocols.LineageReader` for the contract of its methods.

Kept separate from the answers because this is where threads, time and cancellation come in.
"""

import sqlite3
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

import trio

from factflow_engine.lineage.sqlite import pages
from factflow_engine.lineage.sqlite.errors import store_error
from factflow_engine.lineage.sqlite.location import SqliteLineageSettings
from factflow_engine.lineage.sqlite.merging import ENDS, VISITS
from factflow_engine.lineage.sqlite.pool import Pool
from factflow_engine.lineage.sqlite.query import run_query
from factflow_engine.lineage.sqlite.statistics import statistics
from factflow_engine.seams import Seams
from factflow_protocols import (
    FactflowError,
    LineageEntry,
    LineageError,
    LineageSelection,
    LineageStatistics,
    MessageLineage,
    OutcomeEntry,
    QueryResult,
)

T = TypeVar("T")


class _StoppedError(FactflowError):
    """Work whose caller was cancelled."""


class SqliteLineageReader:
    """Reader of all segments of a folder, or of one segment. Opens files when it is first asked, and only to read."""

    def __init__(self, settings: SqliteLineageSettings, *, seams: Seams | None = None) -> None:
        """Prepare; nothing is opened.

        Args:
            settings: The folder; the rest does not matter to a reader.
            seams: Threads for blocking calls, and the monotonic time that ends queries, which is also read in a thread;
            the machine's own if None.
        """
        self._pool = Pool(settings.path)
        seams = seams or Seams.real()
        self._threads = seams.store_threads(1)
        self._clock = seams.clock
        self._turn = trio.Lock()  # held while a thread uses the connections

    async def find(self, prefix: str, *, limit: int) -> Sequence[bytes]:
        """See `LineageReader.find`.

        Raises:
            LineageError: The prefix is no text of 1 to 32 hexadecimal digits, or the folder cannot be read.
        """
        return await self._run(partial(pages.find, self._pool, prefix, limit))

    async def messages(self, message_ids: Sequence[bytes]) -> MessageLineage:
        """See `LineageReader.messages`.

        Raises:
            LineageError: The folder cannot be read.
        """
        return await self._run(partial(pages.messages, self._pool, message_ids))

    async def children(self, message_id: bytes, *, after: bytes | None = None, limit: int) -> Sequence[bytes]:
        """See `LineageReader.children`; in a very large family, an unfinished child may be missing (see `pages`).

        Raises:
            LineageError: The folder cannot be read.
        """
        return await self._run(partial(pages.children, self._pool, message_id, after, limit))

    async def visits(
        self, selection: LineageSelection, *, after: LineageEntry | None = None, limit: int
    ) -> Sequence[LineageEntry]:
        """See `LineageReader.visits`.

        Raises:
            LineageError: The folder cannot be read.
        """
        return await self._run(partial(pages.page, self._pool, VISITS, selection, selection.statuses, after, limit))

    async def outcomes(
        self, selection: LineageSelection, *, after: OutcomeEntry | None = None, limit: int
    ) -> Sequence[OutcomeEntry]:
        """See `LineageReader.outcomes`.

        Raises:
            LineageError: The folder cannot be read.
        """
        return await self._run(partial(pages.page, self._pool, ENDS, selection, selection.outcomes, after, limit))

    async def statistics(self, selection: LineageSelection) -> LineageStatistics:
        """See `LineageReader.statistics`; reads every row that is selected.

        Raises:
            LineageError: The folder cannot be read.
        """
        return await self._stoppable(lambda check: statistics(self._pool, selection, check))

    async def sql(self, query: str, *, limit: int, seconds: float) -> QueryResult:
        """See `LineageReader.sql`.

        Raises:
            LineageError: It is no query, would change something, is wrong, or took longer.
        """
        deadline = self._clock.monotonic_ns() + round(seconds * 1e9)

        def work(check: Callable[[], None]) -> QueryResult:
            def check_time() -> None:
                check()
                if self._clock.monotonic_ns() > deadline:
                    raise LineageError(f"the query took longer than {seconds:g} s; narrow it, or allow more")

            return run_query(self._pool, query, limit, check_time)

        return await self._stoppable(work)

    async def problems(self) -> Sequence[str]:
        """See `LineageReader.problems`.

        Raises:
            LineageError: The folder cannot be read.
        """

        def look() -> Sequence[str]:
            self._pool.readable()  # notes those that cannot even be opened
            return self._pool.told()

        return await self._run(look)

    async def close(self) -> None:
        """Close the files.

        Cancellation: none; it waits for the question that is being answered.
        """
        with trio.CancelScope(shield=True):
            async with self._turn:
                await self._threads.run(self._pool.close)

    async def _stoppable(self, work: Callable[[Callable[[], None]], T]) -> T:
        """Run work in a thread that stops early if the caller is cancelled.

        Args:
            work: Gets a function that it has to call now and then, and that raises once it is to stop.
        """
        is_stopped = False

        def check() -> None:
            if is_stopped:
                raise _StoppedError

        async def watch() -> None:
            nonlocal is_stopped
            try:
                await trio.sleep_forever()
            finally:
                is_stopped = True

        results: list[T] = []
        errors: list[Exception] = []
        async with trio.open_nursery() as nursery:
            nursery.start_soon(watch)
            try:
                results.append(await self._run(partial(work, check)))
            except _StoppedError:
                await trio.lowlevel.checkpoint()  # raises the cancellation
            except Exception as error:  # noqa: BLE001 - raised below, outside the nursery
                errors.append(error)
            nursery.cancel_scope.cancel()
        if errors:
            raise errors[0]
        return results[0]

    async def _run(self, work: Callable[[], T]) -> T:
        async with self._turn:
            try:
                return await self._threads.run(work)
            except (OSError, sqlite3.Error) as error:
                raise store_error(self._pool.folder, error) from error
