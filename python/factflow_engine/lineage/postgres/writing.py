"""Writing of one batch: `COPY` into a temporary table of the connection, then an upsert into the partitions.

Kept separate from the provider because it runs in a thread. A batch may be written again, also if it was committed
before: each row replaces itself. Within a batch the later row of a message's visit replaces the former, and so it does
within a day. A visit whose rows lie in two days (it was begun again after midnight) has a row in each: readers take the
one of the later batch.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Final

import psycopg

from factflow_engine.lineage.postgres.schema import (
    DAY_NS,
    OUTCOME_COLUMNS,
    OUTCOME_KEY,
    VISIT_COLUMNS,
    VISIT_KEY,
    Row,
    add_partitions,
    partitions,
    sql,
)
from factflow_protocols import LineageEntry, OutcomeEntry


class _Table:
    """Statements for one table."""

    def __init__(self, schema: str, name: str, columns: dict[str, str], key: tuple[str, ...], time: str) -> None:
        self.name = name
        self.types: Final = [kind.split()[0] for kind in columns.values()]
        listing = ", ".join(f"{column} {kind}" for column, kind in columns.items())
        names = ", ".join(columns)
        keys = ", ".join(key)
        news = ", ".join(f"{column} = excluded.{column}" for column in (*columns, "batch") if column not in key)
        temporary = f"factflow_new_{name}"
        self.stage = sql(
            f"CREATE TEMPORARY TABLE {temporary} (place integer GENERATED ALWAYS AS IDENTITY, {listing})"
            " ON COMMIT DELETE ROWS"
        )
        self.copy = sql(f"COPY {temporary} ({names}) FROM STDIN (FORMAT BINARY)")
        self.days = sql(f"SELECT DISTINCT {time} / {DAY_NS} FROM {temporary}")
        self.upsert = sql(
            f'INSERT INTO "{schema}".{name} ({names}, day, batch)'
            f" SELECT {names}, {time} / {DAY_NS}, %s"
            f" FROM (SELECT DISTINCT ON ({keys}) * FROM {temporary} ORDER BY {keys}, place DESC) newest"
            f" ON CONFLICT ({keys}, day) DO UPDATE SET {news}"
        )


class BatchWriter:
    """Statements of one schema, and what is known of its partitions."""

    def __init__(self, schema: str) -> None:
        self._schema = schema
        self._visits = _Table(schema, "visits", VISIT_COLUMNS, VISIT_KEY, "started_ns")
        self._outcomes = _Table(schema, "outcomes", OUTCOME_COLUMNS, OUTCOME_KEY, "ended_ns")
        self._next_batch = sql(f"SELECT nextval('\"{schema}\".lineage_batches')")

    def prepare(self, connection: psycopg.Connection[Row]) -> None:
        """Make the temporary tables of a new connection."""
        for table in (self._visits, self._outcomes):
            connection.execute(table.stage)

    def write(
        self,
        connection: psycopg.Connection[Row],
        entries: Sequence[LineageEntry],
        outcomes: Sequence[OutcomeEntry],
    ) -> None:
        """Store the rows, within the transaction that is open."""
        numbers = connection.execute(self._next_batch).fetchone()
        assert numbers is not None
        for table, rows in ((self._visits, entries), (self._outcomes, outcomes)):
            if rows:
                self._store(connection, table, rows, numbers[0])

    def _store(self, connection: psycopg.Connection[Row], table: _Table, rows: Sequence[Row], batch: int) -> None:
        try:
            with connection.transaction():
                _copy(connection, table, rows)
        except (psycopg.DataError, UnicodeEncodeError):  # text that PostgreSQL cannot hold
            _copy(connection, table, map(_storable, rows))
        days = {day for (day,) in connection.execute(table.days)}
        missing = days - set(partitions(connection, self._schema, table.name))
        if missing:
            add_partitions(connection, self._schema, table.name, missing)
        connection.execute(table.upsert, (batch,))


def _copy(connection: psycopg.Connection[Row], table: _Table, rows: Iterable[Sequence[Any]]) -> None:
    with connection.cursor() as cursor, cursor.copy(table.copy) as copy:
        copy.set_types(table.types)
        for row in rows:
            copy.write_row(row)


def _storable(row: Row) -> Row:
    """Return a row with `U+FFFD` for what PostgreSQL's text cannot hold: NUL, and surrogates without their half."""
    return tuple(
        value.encode("utf-8", "replace").decode().replace("\0", "\ufffd") if isinstance(value, str) else value
        for value in row
    )
