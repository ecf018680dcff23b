"""What every writing transaction does a little of: forgetting old ids and settled messages that were kept long enough.

A little at a time and paid by those who write, so that nothing needs a task of its own and no transaction becomes long.
"""

import sqlite3
from typing import Final

from factflow_engine.queues.sqlite.location import SqliteSettings

_IDS: Final = 2_000
"""Ids looked at in one step; more than a transaction adds, so that the sweep keeps ahead."""

_RANGES: Final = 64
"""Ranges of settled messages deleted in one step."""

_START: Final = (-1, b"")

_ROUND_SECONDS: Final = 150
"""Between the beginnings of sweeps by a process that remembers no ids itself."""


class Housekeeping:
    """A sweep that goes round all ids, and the deletion of what was retained long enough."""

    def __init__(self, settings: SqliteSettings) -> None:
        self._round_seconds = max(1, round(settings.dedup_seconds) // 4) if settings.dedup_seconds else _ROUND_SECONDS
        self._position: tuple[int, bytes] = _START  # the sweep has passed all keys up to here
        self._next_round = 0  # seconds of wall time before which no sweep begins
        self._next_settled = 0

    def step(self, connection: sqlite3.Connection, now_ns: int) -> None:
        """Do a bounded amount of it, in the transaction under way."""
        now = now_ns // 1_000_000_000
        if self._position != _START or now >= self._next_round:
            self._sweep_ids(connection, now)
        if now >= self._next_settled:
            self._delete_settled(connection, now)

    def _sweep_ids(self, connection: sqlite3.Connection, now: int) -> None:
        if self._position == _START:
            self._next_round = now + self._round_seconds
        end = connection.execute(
            "SELECT line, message_id FROM seen WHERE (line, message_id) > (?, ?) ORDER BY line, message_id "
            "LIMIT 1 OFFSET ?",
            (*self._position, _IDS),
        ).fetchone()
        condition = "(line, message_id) > (?, ?)" + (" AND (line, message_id) <= (?, ?)" if end else "")
        connection.execute(
            f"DELETE FROM seen WHERE {condition} AND until < ?",  # noqa: S608 - constants
            (*self._position, *(end or ()), now),
        )
        self._position = tuple(end) if end else _START

    def _delete_settled(self, connection: sqlite3.Connection, now: int) -> None:
        ranges = connection.execute(
            "SELECT low, high FROM settled WHERE until < ? ORDER BY until LIMIT ?", (now, _RANGES)
        ).fetchall()
        for low, high in ranges:
            connection.execute("DELETE FROM message WHERE seq BETWEEN ? AND ?", (low, high))
            connection.execute("DELETE FROM settled WHERE low = ?", (low,))
        if len(ranges) < _RANGES:
            self._next_settled = now + 1
