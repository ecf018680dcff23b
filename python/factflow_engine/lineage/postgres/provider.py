"""Sink of lineage rows in PostgreSQL.

Kept separate from the statements, which block: this is the part that tasks call.
"""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, TypeVar

import psycopg

from factflow_engine.error_texts import describe
from factflow_engine.lineage.postgres.reader import PostgresLineageReader
from factflow_engine.lineage.postgres.retention import expire
from factflow_engine.lineage.postgres.schema import Row, prepare
from factflow_engine.lineage.postgres.writing import BatchWriter
from factflow_engine.lineage.retention import KEEP_ALL, Retention
from factflow_engine.postgres import PostgresConnection, PostgresError, PostgresSettings, PostgresUrlError
from factflow_engine.seams import Seams
from factflow_protocols import LineageEntry, LineageError, LineageUrlError, OutcomeEntry

T = TypeVar("T")

logger = logging.getLogger("factflow_engine.lineage")

_RETENTION_PAUSE_NS: Final = 600_000_000_000
"""Time between two removals of old days, 10 minutes."""


class PostgresLineage:
    """Lineage rows in one schema of a PostgreSQL database, partitioned by day. Needs PostgreSQL 14 or newer.

    Any number of processes may write to one schema at once. The tables are made by the first write. A connection that
    broke is opened again by the next write; one that broke while it lay idle, within the write. Poolers between the
    sink and the server must keep a session's server ("session pooling"): temporary tables live in it.

    Attributes:
        settings: Server, database and schema.

    Example:
        sink = PostgresLineage.from_url("postgresql://user@host/database?schema=lineage")
        async with OrchestratorManager(registry=registry, lineage=sink) as manager: ...
        await sink.close()
    """

    def __init__(
        self,
        settings: PostgresSettings,
        *,
        seams: Seams | None = None,
    ) -> None:
        """Note the settings; nothing is opened yet.

        Args:
            settings: Server, database and schema.
            seams: Threads for the blocking driver, and the time of retention; the machine's own if None.
        """
        self.settings = settings
        self._retention: Retention | None = None  # None: nobody has said how much to keep
        self._seams = seams or Seams.real()
        self._writer = BatchWriter(settings.schema)
        self._connection = PostgresConnection(settings, prepare=self._prepare, seams=self._seams)
        self._expired_ns: int | None = None  # time of the last removal, on the monotonic clock

    @classmethod
    def from_url(
        cls,
        url: str,
        *,
        directory: Path | None = None,  # noqa: ARG003 - of a protocol
        seams: Seams | None = None,
    ) -> "PostgresLineage":
        """Return the sink that a URL names; see `PostgresSettings.from_url`.

        Raises:
            LineageUrlError: The URL is malformed; the text says what to write instead.
        """
        try:
            return cls(PostgresSettings.from_url(url), seams=seams)
        except PostgresUrlError as error:
            raise LineageUrlError(error.url, error.problem) from None

    def retain(self, *, days: float | None, total_bytes: int | None) -> None:
        """See `factflow_protocols.RetainingLineage`; whole days (UTC) are removed, and never the present one."""
        self._retention = Retention(days=days, total_bytes=total_bytes).widened(self._retention)
        self._expired_ns = None

    def reader(self) -> PostgresLineageReader:
        """See `factflow_protocols.ReadableLineage`."""
        return PostgresLineageReader(self.settings, seams=self._seams)

    async def write(self, entries: Sequence[LineageEntry], outcomes: Sequence[OutcomeEntry]) -> None:
        """Store the rows, or none of them; see `LineageSink.write`. A repeated batch replaces itself.

        Raises:
            LineageError: The server failed; if the connection broke at the very end, the rows may be stored.

        Cancellation: cancels the statement; all rows are stored, or none.
        """
        await self._run(lambda connection: self._writer.write(connection, entries, outcomes))
        now = self._seams.clock.monotonic_ns()
        if self._expired_ns is None or now - self._expired_ns >= _RETENTION_PAUSE_NS:
            self._expired_ns = now
            try:
                await self._expire()
            except LineageError as error:  # the rows are stored, and it is tried again
                logger.warning("old lineage was not removed: %s", error)

    async def _expire(self) -> list[str]:
        """Remove the days that retention no longer keeps.

        Returns:
            Names of the removed partitions.

        Raises:
            LineageError: The server failed, or a long transaction uses an old day; other days may have been removed.

        Cancellation: what was removed stays removed; a removal that was begun is ended by the next.
        """
        retention = self._retention
        if retention is None or retention == KEEP_ALL:
            return []
        now_ns = self._seams.clock.wall_ns()
        try:
            return await self._connection.run_alone(
                lambda connection: expire(connection, self.settings.schema, retention, now_ns=now_ns)
            )
        except PostgresError as error:
            raise LineageError(str(error)) from error

    async def close(self) -> None:
        """Close the connection; a later write opens another one. Rows stay."""
        await self._connection.close()

    async def _run(self, work: Callable[[psycopg.Connection[Row]], T]) -> T:
        try:
            return await self._connection.run(work)
        except PostgresError as error:
            raise LineageError(str(error)) from error
        except (OverflowError, TypeError, ValueError) as error:  # of the driver, about one value
            raise LineageError(f"a row cannot be stored: {describe(error)}") from error

    def _prepare(self, connection: psycopg.Connection[Row]) -> None:
        prepare(connection, self.settings.schema, create=True)
        self._writer.prepare(connection)
