"""Housekeeping in small steps in every writing transaction: delete old ids, and settled messages after their retention.

Writers pay for it in proportion to what they write, so that it needs no task of its own, no transaction becomes much
longer, and old rows do not accumulate.
"""

import sqlite3
from itertools import accumulate
from typing import Final

from factflow_engine.queues.sqlite.location import SqliteSettings
from factflow_engine.queues.sqlite.statements import numbers, where_in, where_within

_LEAST: Final = 2_000
"""Ids examined, and settled messages deleted, in one step, plus the number of rows that the transaction changed.

Publishing a message adds two rows, itself and its id, so that a sweep is faster than new ids.
"""

_MOST: Final = 100_000
"""Bound on a step: twice the rows of a transaction that only publishes. A purge may change any number of rows."""

_START: Final = (-1, b"")

_ROUND_SECONDS: Final = 150
"""Time between the starts of sweeps by a process that remembers no ids itself."""


class Housekeeping:
    """A cyclic sweep over all ids, and the deletion of messages after their retention."""

    def __init__(self, settings: SqliteSettings) -> None:
        self._round_seconds = max(1, round(settings.dedup_seconds) // 4) if settings.dedup_seconds else _ROUND_SECONDS
        self._position: tuple[int, bytes] = _START  # the sweep has passed all keys up to here
        self._next_round = 0  # seconds of wall time before which no sweep begins
        self._next_settled = 0

    def step(self, connection: sqlite3.Connection, now_ns: int, changes: int) -> None:
        """Do a bounded step, in the current transaction.

        Args:
            connection: Connection of the transaction.
            now_ns: Time of the transaction.
            changes: Number of rows that it has changed.
        """
        now = now_ns // 1_000_000_000
        count = min(_LEAST + changes, _MOST)
        if self._position != _START or now >= self._next_round:
            self._sweep_ids(connection, now, count)
        if now >= self._next_settled:
            self._delete_settled(connection, now, count)

    def _sweep_ids(self, connection: sqlite3.Connection, now: int, count: int) -> None:
        if self._position == _START:
            self._next_round = now + self._round_seconds
        end = connection.execute(
            "SELECT line, message_id FROM seen WHERE (line, message_id) > (?, ?) ORDER BY line, message_id "
            "LIMIT 1 OFFSET ?",
            (*self._position, count),
        ).fetchone()
        condition = "(line, message_id) > (?, ?)" + (" AND (line, message_id) <= (?, ?)" if end else "")
        connection.execute(
            f"DELETE FROM seen WHERE {condition} AND until < ?",  # noqa: S608 - constants
            (*self._position, *(end or ()), now),
        )
        self._position = tuple(end) if end else _START

    def _delete_settled(self, connection: sqlite3.Connection, now: int, count: int) -> None:
        found = numbers(
            connection, ("low", "high"), "FROM settled WHERE until < ? ORDER BY until, low LIMIT ?", (now, count)
        )
        if not found:
            self._next_settled = now + 1
            return
        sizes = accumulate(high - low + 1 for low, high in found)
        fitting = max(1, sum(size <= count for size in sizes))
        runs = [(low, high) for low, high in found[:fitting]]
        for condition, values in where_within("seq", runs):
            connection.execute(f"DELETE FROM message WHERE {condition}", values)  # noqa: S608 - placeholders
        for condition, values in where_in("low", [low for low, _ in runs]):
            connection.execute(f"DELETE FROM settled WHERE {condition}", values)  # noqa: S608 - placeholders
