"""Reader of lineage in PostgreSQL: `factflow_protocols.LineageReader` over one connection.

Kept separate from the sink because it makes nothing: a schema without tables reads as an empty store.
"""

import math
import re
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any, Final, TypeVar

import psycopg

from factflow_engine.lineage.postgres.schema import OUTCOME_COLUMNS, VISIT_COLUMNS, Row, prepare, sql
from factflow_engine.lineage.postgres.selecting import OUTCOMES, VISITS, latest, page
from factflow_engine.lineage.postgres.statistics import statistics
from factflow_engine.postgres import PostgresConnection, PostgresError, PostgresSettings
from factflow_engine.seams import Seams
from factflow_protocols import (
    LineageEntry,
    LineageError,
    LineageSelection,
    LineageStatistics,
    MessageLineage,
    OutcomeEntry,
    QueryResult,
)

T = TypeVar("T")

_PREFIX: Final = re.compile(r"[0-9a-f]{1,32}", re.IGNORECASE)

_QUERY_CANCELED: Final = "57014"


class PostgresLineageReader:
    """Reader of one schema; see `factflow_protocols.LineageReader` for the contract of its methods."""

    def __init__(self, settings: PostgresSettings, *, seams: Seams | None = None) -> None:
        """Note the settings; nothing is opened yet.

        Args:
            settings: Server, database and schema.
            seams: Threads for the blocking driver; the machine's own if None.
        """
        self.settings = settings
        self._has_tables = False  # on the present connection
        self._connection = PostgresConnection(settings, prepare=self._prepare, seams=seams)

    async def find(self, prefix: str, *, limit: int) -> Sequence[bytes]:
        """See `LineageReader.find`."""
        if not _PREFIX.fullmatch(prefix):
            raise LineageError(
                f"{prefix[:64]!r} is no beginning of a message's id: expected 1 to 32 hexadecimal digits"
            )
        bounds = (bytes.fromhex(prefix.ljust(32, "0")), bytes.fromhex(prefix.ljust(32, "f")))
        return await self._ids("message_id BETWEEN %s AND %s", bounds, limit)

    async def children(self, message_id: bytes, *, after: bytes | None = None, limit: int) -> Sequence[bytes]:
        """See `LineageReader.children`."""
        return await self._ids(
            "parent_id = %s AND {first} message_id > %s", (message_id, b"" if after is None else after), limit
        )

    async def messages(self, message_ids: Sequence[bytes]) -> MessageLineage:
        """See `LineageReader.messages`."""
        ids = list(message_ids)
        queries = [
            sql(
                f'SELECT {", ".join(kind.columns)} FROM "{self.settings.schema}".{kind.name}'
                " WHERE message_id = ANY(%s) ORDER BY batch"
            )
            for kind in (VISITS, OUTCOMES)
        ]

        def read(connection: psycopg.Connection[Row]) -> list[list[Row]]:
            return [connection.execute(query, (ids,)).fetchall() for query in queries]

        none: list[list[Row]] = [[], []]
        visits, ends = await self._read(read, none)
        latest_visits = {
            tuple(getattr(row, name) for name in VISITS.key): row for row in map(LineageEntry._make, visits)
        }
        latest_ends = {tuple(getattr(row, name) for name in OUTCOMES.key): row for row in map(OutcomeEntry._make, ends)}
        return MessageLineage(
            sorted(
                latest_visits.values(),
                key=lambda row: (
                    row.message_id,
                    row.execution_id,
                    row.started_ns,
                    row.position,
                    row.attempt,
                    row.route,
                ),
            ),
            sorted(latest_ends.values(), key=lambda row: (row.message_id, row.execution_id, row.ended_ns, row.route)),
        )

    async def visits(
        self, selection: LineageSelection, *, after: LineageEntry | None = None, limit: int
    ) -> Sequence[LineageEntry]:
        """See `LineageReader.visits`."""
        query, values = page(self.settings.schema, VISITS, selection, after, limit)
        rows = await self._rows(query, values)
        return [LineageEntry(*row) for row in rows]

    async def outcomes(
        self, selection: LineageSelection, *, after: OutcomeEntry | None = None, limit: int
    ) -> Sequence[OutcomeEntry]:
        """See `LineageReader.outcomes`."""
        query, values = page(self.settings.schema, OUTCOMES, selection, after, limit)
        rows = await self._rows(query, values)
        return [OutcomeEntry(*row) for row in rows]

    async def statistics(self, selection: LineageSelection) -> LineageStatistics:
        """See `LineageReader.statistics`."""
        return await self._read(
            lambda connection: statistics(connection, self.settings.schema, selection), LineageStatistics([], [])
        )

    async def sql(self, query: str, *, limit: int, seconds: float) -> QueryResult:
        """See `LineageReader.sql`.

        The query may call the server's functions with the rights of the URL's user: give that user no more than it
        needs.
        """
        if "\0" in query:
            raise LineageError("the query has a NUL character; expected text")
        milliseconds = max(1, math.ceil(seconds * 1000))

        def run(connection: psycopg.Connection[Row]) -> QueryResult:
            connection.execute("SET TRANSACTION READ ONLY")
            connection.execute("SELECT set_config('statement_timeout', %s, true)", (str(milliseconds),))
            with connection.cursor() as cursor:
                # As binary, the driver sends one statement alone; a cursor takes nothing but a query.
                declaration = f"DECLARE answer NO SCROLL CURSOR FOR {query}".encode("utf-8", "replace")
                cursor.execute(declaration, binary=True)
                cursor.execute(sql(f"FETCH FORWARD {limit + 1} FROM answer"))
                rows = [tuple(map(_plain, row)) for row in cursor.fetchall()]
                columns = [column.name for column in cursor.description or ()]
            return QueryResult(columns, rows[:limit], len(rows) > limit)

        try:
            return await self._read(run, None)
        except LineageError as error:
            cause = error.__cause__
            if isinstance(cause, PostgresError) and cause.code == _QUERY_CANCELED:
                raise LineageError(f"the query took longer than {seconds:g} s, and was stopped") from error
            raise

    async def problems(self) -> Sequence[str]:
        """Return nothing: a database is read as a whole or not at all."""
        await self._read(lambda _: True, empty=True)
        return ()

    async def close(self) -> None:
        """Close the connection."""
        await self._connection.close()

    async def _ids(self, condition: str, values: Sequence[Any], limit: int) -> list[bytes]:
        parts = [
            f'(SELECT DISTINCT message_id FROM "{self.settings.schema}".{kind.name}'
            f" WHERE {condition.format(first='position = 0 AND' if kind is VISITS else '')}"
            " ORDER BY message_id LIMIT %s)"
            for kind in (VISITS, OUTCOMES)
        ]
        query = sql(f"{' UNION '.join(parts)} ORDER BY message_id LIMIT %s")
        return [row[0] for row in await self._rows(query, [*values, limit, *values, limit, limit])]

    async def _rows(self, query: bytes, values: Sequence[Any]) -> list[Row]:
        none: list[Row] = []
        return await self._read(lambda connection: connection.execute(query, values).fetchall(), none)

    async def _read(self, work: Callable[[psycopg.Connection[Row]], T], empty: T | None) -> T:
        """Run a function in a transaction, or return `empty`, unless that is None, if there are no tables."""

        def read(connection: psycopg.Connection[Row]) -> T:
            if not self._has_tables:
                self._prepare(connection)
            return work(connection) if self._has_tables or empty is None else empty

        try:
            return await self._connection.run(read)
        except PostgresError as error:
            raise LineageError(str(error)) from error

    def _prepare(self, connection: psycopg.Connection[Row]) -> None:
        self._has_tables = prepare(connection, self.settings.schema, create=False)
        connection.execute("SET jit = off")  # compiling costs more than these queries do
        connection.execute("SET work_mem = '64MB'")
        for kind, columns in ((VISITS, VISIT_COLUMNS), (OUTCOMES, OUTCOME_COLUMNS)):
            nothing = ", ".join(f"NULL::{types.split()[0]} AS {column}" for column, types in columns.items())
            view = latest(self.settings.schema, kind) if self._has_tables else f"SELECT {nothing} WHERE FALSE"
            connection.execute(sql(f"DROP VIEW IF EXISTS pg_temp.{kind.name}"))
            connection.execute(sql(f"CREATE TEMPORARY VIEW {kind.name} AS {view}"))


def _plain(value: Any) -> object:
    """Return a value as JSON or a table can show it."""
    if value is None or isinstance(value, bool | int | float | str | bytes):
        return value
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    return str(value)
