"""Removal of whole days from the tables, the oldest first.

Kept separate from writing because it needs no transaction: `DETACH PARTITION ... CONCURRENTLY` makes two of its own, so
that neither readers nor writers wait. A removal that was interrupted between them is ended by the next.
"""

from typing import Any, LiteralString

import psycopg

from factflow_engine.lineage.postgres.schema import (
    DAY_NS,
    LOCK_SECONDS,
    TABLES,
    Row,
    day_of,
    half_detached,
    partition_name,
    partitions,
    sql,
)
from factflow_engine.lineage.retention import Retention


def expire(connection: psycopg.Connection[Row], schema: str, retention: Retention, *, now_ns: int) -> list[str]:
    """Remove the days that ended too long ago, and the oldest as long as all weigh too much, indexes included.

    The day of `now_ns` and later ones stay, whatever they weigh.

    Returns:
        Names of the removed partitions.

    Raises:
        psycopg.errors.LockNotAvailable: A transaction uses such a day for long; other days may have been removed.
    """
    days, most_bytes = retention.days, retention.total_bytes
    if not _first(connection, "SELECT pg_try_advisory_lock(hashtextextended(%s, 0))", f"factflow.retention.{schema}"):
        return []  # another process is at it
    try:
        connection.execute(sql(f"SET lock_timeout = '{LOCK_SECONDS}s'"))
        removed = _end_interrupted(connection, schema, today=now_ns // DAY_NS)
        weights = _weights(connection, schema)
        total = sum(weights.values())
        for (day, table), weight in sorted(weights.items()):
            too_old = days is not None and (day + 1) * DAY_NS < now_ns - days * DAY_NS
            too_much = most_bytes is not None and total > most_bytes
            if day < now_ns // DAY_NS and (too_old or too_much):
                removed.append(_remove(connection, schema, table, day))
                total -= weight
        return removed
    finally:
        if not connection.broken:
            connection.execute("RESET lock_timeout")
            connection.execute("SELECT pg_advisory_unlock(hashtextextended(%s, 0))", (f"factflow.retention.{schema}",))


def _weights(connection: psycopg.Connection[Row], schema: str) -> dict[tuple[int, str], int]:
    """Return the bytes of each day of each table, indexes included; 0 for one that another process removed."""
    return {
        (day, table): _first(connection, "SELECT pg_total_relation_size(to_regclass(%s))", f'"{schema}"."{name}"') or 0
        for table in TABLES
        for day, name in partitions(connection, schema, table).items()
    }


def _remove(connection: psycopg.Connection[Row], schema: str, table: str, day: int) -> str:
    name = partition_name(table, day)
    connection.execute(sql(f'ALTER TABLE "{schema}"."{table}" DETACH PARTITION "{schema}"."{name}" CONCURRENTLY'))
    connection.execute(sql(f'DROP TABLE IF EXISTS "{schema}"."{name}"'))
    return name


def _end_interrupted(connection: psycopg.Connection[Row], schema: str, *, today: int) -> list[str]:
    """Drop the days whose removal was interrupted while they were detached, or after."""
    for table in TABLES:
        for name in half_detached(connection, schema, table).values():
            connection.execute(sql(f'ALTER TABLE "{schema}"."{table}" DETACH PARTITION "{schema}"."{name}" FINALIZE'))
    names = connection.execute(
        "SELECT relname FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace"
        " WHERE nspname = %s AND relkind = 'r' AND relname ~ '^(visits|outcomes)_[0-9]{8}$' AND NOT relispartition"
        " ORDER BY 1",
        (schema,),
    ).fetchall()
    dropped = []
    for (name,) in names:
        if day_of(name.partition("_")[0], name) < today:
            connection.execute(sql(f'DROP TABLE IF EXISTS "{schema}"."{name}"'))
            dropped.append(name)
    return dropped


def _first(connection: psycopg.Connection[Row], query: LiteralString, *arguments: str) -> Any:
    row = connection.execute(query, arguments).fetchone()
    return None if row is None else row[0]
