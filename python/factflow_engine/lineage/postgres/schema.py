"""Tables of lineage in PostgreSQL: their making, their version, and their partitions, one a day.

Kept separate from reading and writing because both begin here. A table's name is not a parameter in SQL, so statements
are put together from the schema's name, which `PostgresSettings` has checked.

A new partition is made as a table of its own and then attached, and an old one is detached before it is dropped: unlike
`CREATE TABLE ... PARTITION OF` and `DROP TABLE`, neither waits for, nor stops, the table's readers and writers.
"""

from collections.abc import Iterable
from datetime import date
from typing import Any, Final

import psycopg

from factflow_protocols import LineageError

VERSION: Final = 1

DAY_NS: Final = 86_400_000_000_000

Row = tuple[Any, ...]

LOCK_SECONDS: Final = 2
"""Longest wait for transactions that still use a day that is removed; it is tried again later."""

TABLES: Final = ("visits", "outcomes")

VISIT_COLUMNS: Final[dict[str, str]] = {
    "execution_id": 'text COLLATE "C" NOT NULL',
    "route": 'text COLLATE "C" NOT NULL',
    "stage": 'text COLLATE "C" NOT NULL',
    "position": "integer NOT NULL",
    "message_id": "bytea NOT NULL",
    "parent_id": "bytea",
    "correlation_id": "bytea NOT NULL",
    "attempt": "integer NOT NULL",
    "status": 'text COLLATE "C" NOT NULL',
    "started_ns": "bigint NOT NULL",
    "duration_ns": "bigint NOT NULL",
    "waited_ns": "bigint NOT NULL",
    "waited_for": "text",
    "input_hash": "bytea",
    "output_hash": "bytea",
    "detail": "text",
}
"""Fields of `LineageEntry`, in its order, with their types."""

OUTCOME_COLUMNS: Final[dict[str, str]] = {
    "execution_id": 'text COLLATE "C" NOT NULL',
    "route": 'text COLLATE "C" NOT NULL',
    "message_id": "bytea NOT NULL",
    "parent_id": "bytea",
    "correlation_id": "bytea NOT NULL",
    "outcome": 'text COLLATE "C" NOT NULL',
    "ended_ns": "bigint NOT NULL",
    "attempts": "integer NOT NULL",
    "emitted": "bigint NOT NULL",
    "detail": "text",
}
"""Fields of `OutcomeEntry`, likewise."""

VISIT_KEY: Final = ("message_id", "route", "stage", "attempt", "execution_id")
OUTCOME_KEY: Final = ("message_id", "route", "execution_id")
"""Columns that name a row, in the order of pages (see `LineageReader`)."""


def sql(text: str) -> bytes:
    """Return a statement that has no values of others in it, in the form that the driver takes from programs."""
    return text.encode()


def prepare(connection: psycopg.Connection[Row], schema: str, *, create: bool) -> bool:
    """Check the tables' version; make them if they are not there and `create` says so.

    Returns:
        True if there are tables.

    Raises:
        LineageError: The tables are another version's.
    """
    found = _version(connection, schema)
    if found is None and create:
        lock(connection, schema)
        found = _version(connection, schema)
        if found is None:
            _make(connection, schema)
            found = VERSION
    if found is not None and found != VERSION:
        newer = "use the newer factflow-engine that made it" if found > VERSION else "name another schema in the URL"
        raise LineageError(f"the lineage in schema {schema!r} has version {found}, this one reads {VERSION}; {newer}")
    return found is not None


def has_table(connection: psycopg.Connection[Row], schema: str, name: str) -> bool:
    """True if there is such a table now; `to_regclass` may remember that there was none."""
    found = connection.execute(
        "SELECT 1 FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace"
        " WHERE nspname = %s AND relname = %s AND relkind IN ('r', 'p')",
        (schema, name),
    )
    return found.fetchone() is not None


def lock(connection: psycopg.Connection[Row], schema: str) -> None:
    """Let one transaction at a time change the schema's tables, until it ends."""
    connection.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", (f"factflow.lineage.{schema}",))


def partitions(connection: psycopg.Connection[Row], schema: str, table: str) -> dict[int, str]:
    """Return the days that have a partition, since the epoch, with the partitions' names, the oldest first."""
    return {day: name for day, name, pending in _children(connection, schema, table) if not pending}


def half_detached(connection: psycopg.Connection[Row], schema: str, table: str) -> dict[int, str]:
    """Return the same of partitions whose detaching was interrupted: no statement sees their rows any more."""
    return {day: name for day, name, pending in _children(connection, schema, table) if pending}


def add_partitions(connection: psycopg.Connection[Row], schema: str, table: str, days: Iterable[int]) -> None:
    """Make the partitions of these days, unless another writer has.

    Raises:
        psycopg.errors.LockNotAvailable: The removal of such a day was broken off, and cannot be ended yet.
    """
    lock(connection, schema)
    there = partitions(connection, schema, table)
    half = half_detached(connection, schema, table)
    for day in sorted(set(days) - set(there)):
        name = f'"{schema}"."{partition_name(table, day)}"'
        if day in half:
            # It waits for every statement of the database that began before, a long report too.
            connection.execute(sql(f"SET LOCAL lock_timeout = '{LOCK_SECONDS}s'"))
            connection.execute(sql(f'ALTER TABLE "{schema}"."{table}" DETACH PARTITION {name} FINALIZE'))
        connection.execute(sql(f'CREATE TABLE IF NOT EXISTS {name} (LIKE "{schema}"."{table}" INCLUDING ALL)'))
        connection.execute(
            sql(f'ALTER TABLE "{schema}"."{table}" ATTACH PARTITION {name} FOR VALUES FROM ({day}) TO ({day + 1})')
        )


def _children(connection: psycopg.Connection[Row], schema: str, table: str) -> list[tuple[int, str, bool]]:
    found = connection.execute(
        "SELECT child.relname, inhdetachpending FROM pg_inherits JOIN pg_class child ON child.oid = inhrelid"
        " JOIN pg_class parent ON parent.oid = inhparent JOIN pg_namespace ON pg_namespace.oid = parent.relnamespace"
        " WHERE nspname = %s AND parent.relname = %s AND child.relname ~ %s",  # others are somebody else's
        (schema, table, f"^{table}_[0-9]{{8}}$"),
    )
    return sorted((day_of(table, name), name, pending) for name, pending in found)


def partition_name(table: str, day: int) -> str:
    """Return the name of a day's partition, such as `visits_20261130`."""
    return f"{table}_{date.fromordinal(_EPOCH + day):%Y%m%d}"


def day_of(table: str, name: str) -> int:
    """Return the day, since the epoch, of the partition with this name."""
    return date.fromisoformat(name.removeprefix(f"{table}_")).toordinal() - _EPOCH


_EPOCH: Final = date(1970, 1, 1).toordinal()


def _version(connection: psycopg.Connection[Row], schema: str) -> int | None:
    if not has_table(connection, schema, "lineage_version"):
        return None
    row = connection.execute(sql(f'SELECT version FROM "{schema}".lineage_version')).fetchone()
    return None if row is None else int(row[0])


def _make(connection: psycopg.Connection[Row], schema: str) -> None:
    there = connection.execute("SELECT 1 FROM pg_namespace WHERE nspname = %s", (schema,)).fetchone()
    if there is None:
        connection.execute(sql(f'CREATE SCHEMA "{schema}"'))
    for table, columns, key in (("visits", VISIT_COLUMNS, VISIT_KEY), ("outcomes", OUTCOME_COLUMNS, OUTCOME_KEY)):
        listing = ", ".join(f"{name} {kind}" for name, kind in columns.items())
        connection.execute(
            sql(
                f'CREATE TABLE "{schema}".{table} ({listing}, day integer NOT NULL, batch bigint NOT NULL,'
                f" PRIMARY KEY ({', '.join(key)}, day)) PARTITION BY RANGE (day)"
            )
        )
    for statement in (
        # One entry a message and route: the first stage's.
        'CREATE INDEX ON "{0}".visits (parent_id, message_id) WHERE position = 0',
        "CREATE INDEX ON \"{0}\".visits (message_id) WHERE status IN ('cancelled', 'failed', 'pending')",
        "CREATE INDEX ON \"{0}\".outcomes (message_id) WHERE outcome IN ('dead_lettered', 'failed')",
        'CREATE SEQUENCE "{0}".lineage_batches',
        'CREATE TABLE "{0}".lineage_version (version integer NOT NULL)',
    ):
        connection.execute(sql(statement.format(schema)))
    connection.execute(sql(f'INSERT INTO "{schema}".lineage_version VALUES (%s)'), (VERSION,))
