"""Look-ups by id and pages of selected rows, over all segments.

Kept separate from statistics and SQL because these need no more than a few rows of each segment. Everything here
blocks.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, Final

from factflow_engine.lineage.sqlite.merging import ENDS, VISITS, Rows, conditions, family, is_by_key, latest
from factflow_engine.lineage.sqlite.pool import Pool
from factflow_engine.lineage.sqlite.schema import TROUBLE
from factflow_protocols import LineageEntry, LineageError, LineageSelection, MessageLineage, OutcomeEntry

_IDS_AT_ONCE: Final = 500

MOST_SCANNED: Final = 200_000
"""Visits of a family that are searched for children that have neither ended nor failed."""


def find(pool: Pool, prefix: str, limit: int) -> list[bytes]:
    """See `LineageReader.find`."""
    text = prefix.lower()
    if not 1 <= len(text) <= 32 or not set(text) <= set("0123456789abcdef"):
        raise LineageError(f"{prefix!r} begins no message id: expected 1 to 32 hexadecimal digits")
    low, high = bytes.fromhex(text.ljust(32, "0")), bytes.fromhex(text.ljust(32, "f"))

    def question(connection: sqlite3.Connection) -> set[bytes]:
        found: set[bytes] = set()
        for rows in (VISITS, ENDS):
            query = (
                f"SELECT DISTINCT message_id FROM {rows.table} WHERE message_id BETWEEN ? AND ? "
                "ORDER BY message_id LIMIT ?"
            )
            found.update(_id(each) for [each] in connection.execute(query, (low, high, limit)))
        return found

    every: set[bytes] = set()
    for _, found in pool.ask(question):
        every |= found
    return sorted(every)[:limit]


def messages(pool: Pool, message_ids: Sequence[bytes]) -> MessageLineage:
    """See `LineageReader.messages`."""
    visits = current(pool, VISITS, message_ids).values()
    ends = current(pool, ENDS, message_ids).values()
    return MessageLineage(
        visits=sorted(
            map(LineageEntry._make, visits),
            key=lambda row: (row.message_id, row.execution_id, row.started_ns, row.position, row.attempt, row.route),
        ),
        outcomes=sorted(
            map(OutcomeEntry._make, ends), key=lambda row: (row.message_id, row.execution_id, row.ended_ns, row.route)
        ),
    )


def current(pool: Pool, rows: Rows, message_ids: Sequence[bytes]) -> dict[tuple[Any, ...], Any]:
    """Return the latest row of each key of some messages."""
    found: dict[tuple[Any, ...], Any] = {}
    ids = list(dict.fromkeys(message_ids))
    for start in range(0, len(ids), _IDS_AT_ONCE):
        part = ids[start : start + _IDS_AT_ONCE]
        query = rows.select(f"row.message_id IN ({', '.join('?' * len(part))})", "row.message_id", -1)
        answers = pool.ask(partial(_rows, query=query, values=part))
        found |= latest(rows, (answer for _, answer in answers))
    return found


def children(pool: Pool, message_id: bytes, after: bytes | None, limit: int) -> list[bytes]:
    """See `LineageReader.children`.

    There is no index of parents, which would cost every row: children share the time in their parent's id, and lie
    beside it. Those that ended, failed or are pending are all found; in a family of more than `MOST_SCANNED` visits, one
    that is between two stages may not be.
    """
    low, high = family(message_id)
    low = max(low, after + b"\0" if after is not None else low)
    of = "message_id BETWEEN ? AND ? AND substr(ids, 1, 16) = ?"
    scanned = (
        f"SELECT message_id, ids FROM visit WHERE message_id BETWEEN ? AND ? ORDER BY message_id LIMIT {MOST_SCANNED}"
    )
    tables = f"outcome WHERE {of}", f"visit WHERE {of} AND {TROUBLE}", f"({scanned}) WHERE substr(ids, 1, 16) = ?"
    queries = [f"SELECT DISTINCT message_id FROM {table} ORDER BY message_id LIMIT {limit}" for table in tables]

    def question(connection: sqlite3.Connection) -> set[bytes]:
        return {
            _id(each) for query in queries for [each] in connection.execute(query, (low, high, message_id)).fetchall()
        }

    every: set[bytes] = set()
    for _, found in pool.ask(question):
        every |= found
    return sorted(every)[:limit]


def page(
    pool: Pool, rows: Rows, selection: LineageSelection, states: frozenset[str], after: Any | None, limit: int
) -> list[Any]:
    """Return a page of rows in the order of their keys; see `LineageReader.visits`."""
    found: list[Any] = []
    while len(found) < limit:
        taken, is_last = _merged(pool, rows, selection, states, after, limit - len(found))
        if not taken:
            break
        after = taken[-1]
        found += taken if is_by_key(selection, states) else _still(pool, rows, taken)
        if is_last:
            break
    return [rows.make(row) for row in found]


def _merged(
    pool: Pool, rows: Rows, selection: LineageSelection, states: frozenset[str], after: Any | None, limit: int
) -> tuple[list[Any], bool]:
    """Return the next rows, and True if there are no others."""
    wanted, values = conditions(rows, selection, states)
    sign, direction = ("<", " DESC") if selection.newest_first else (">", "")
    columns = [rows.columns[name] for name in rows.key]
    if after is not None:
        wanted += [f"row.message_id {sign}= ?", f"({', '.join(columns)}) {sign} ({', '.join('?' * len(columns))})"]
        key = rows.key_of(after)
        values += [key[0], *key]
    query = rows.select(" AND ".join(wanted) or "TRUE", ", ".join(f"{column}{direction}" for column in columns), limit)
    parts = [answer for _, answer in pool.ask(lambda connection: _rows(connection, query, values))]
    merged = latest(rows, parts)
    keys = sorted(merged, reverse=selection.newest_first)
    return [merged[key] for key in keys[:limit]], len(keys) <= limit and all(len(part) < limit for part in parts)


def _still(pool: Pool, rows: Rows, taken: Sequence[Any]) -> Iterator[Any]:
    """Yield the rows that no other segment has a later form of."""
    now = current(pool, rows, [row[tuple(rows.columns).index("message_id")] for row in taken])
    return (row for row in taken if now.get(rows.key_of(row)) == row)


def _rows(connection: sqlite3.Connection, query: str, values: Sequence[Any]) -> list[Any]:
    return connection.execute(query, values).fetchall()


def _id(value: object) -> bytes:
    return bytes(value) if isinstance(value, (bytes, bytearray)) else str(value).encode()
