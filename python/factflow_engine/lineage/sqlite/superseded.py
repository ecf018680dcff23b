"""Rows of which another segment has a later form.

Two segments can have rows of one key only where their ranges of ids overlap: at the turn from one segment to the next,
and as long as a long-lived family goes on. These ranges alone are read, side by side, in the order of the key.

Kept separate from statistics because SQL leaves the same rows out. Everything here blocks.
"""

import heapq
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from factflow_engine.lineage.sqlite.merging import Rows
from factflow_engine.lineage.sqlite.pool import Pool, open_read_only

_AT_ONCE: Final = 1_000

Stage = tuple[str, str, str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Overlap:
    """A range of ids that several segments have, both ends included.

    Attributes:
        low: First id.
        high: Last id.
        names: The segments, oldest first.
    """

    low: bytes
    high: bytes
    names: tuple[str, ...]


def overlaps(pool: Pool, rows: Rows) -> list[Overlap]:
    """Return the ranges of ids that more than one segment has, without gaps that none has."""
    ranges = [
        (low, high, name)
        for name, (low, high) in pool.ask(
            lambda connection: connection.execute(
                f"SELECT min(message_id), max(message_id) FROM {rows.table}"
            ).fetchone()
        )
        if isinstance(low, bytes) and isinstance(high, bytes)
    ]
    found: list[Overlap] = []
    group: list[tuple[bytes, bytes, str]] = []
    for each in sorted(ranges):
        if group and each[0] > max(high for _, high, _ in group):
            found += _shared(group)
            group = []
        group.append(each)
    return found + _shared(group)


def _shared(group: Sequence[tuple[bytes, bytes, str]]) -> list[Overlap]:
    """Return the part of overlapping ranges that at least two have: from the second lowest id to the second highest."""
    if len(group) < 2:
        return []
    low = sorted(low for low, _, _ in group)[1]
    high = sorted(high for _, high, _ in group)[-2]
    return [Overlap(low=low, high=high, names=tuple(sorted(name for *_, name in group)))] if low <= high else []


def superseded(
    pool: Pool, rows: Rows, condition: str, values: Sequence[Any], columns: str, check: Callable[[], None]
) -> Iterator[tuple[Stage, Sequence[Any]]]:
    """Yield stage and columns of the rows that meet a condition and are not the latest of their key.

    Args:
        pool: The segments.
        rows: Kind of the rows.
        condition: SQL on `row` and `place`.
        values: Its values.
        columns: SQL of the columns to yield.
        check: Called now and then; raises to stop.
    """
    for name, key, stage in superseded_keys(pool, rows, check):
        query = (
            f"SELECT {columns} FROM {rows.table} AS row CROSS JOIN place ON place.id = row.place "
            f"WHERE {' AND '.join(f'{rows.columns[field]} = ?' for field in rows.key)} AND ({condition})"
        )

        def question(
            connection: sqlite3.Connection, query: str = query, key: Sequence[Any] = key
        ) -> list[tuple[Any, ...]]:
            return connection.execute(query, (*key, *values)).fetchall()

        for _, found in pool.ask(question, only=name):
            for row in found:
                yield stage, row


def superseded_keys(pool: Pool, rows: Rows, check: Callable[[], None]) -> Iterator[tuple[str, tuple[Any, ...], Stage]]:
    """Yield segment, key and stage of each row that is not the latest of its key."""
    for overlap in overlaps(pool, rows):
        paths = dict(pool.readable())
        connections: dict[str, sqlite3.Connection] = {}
        try:
            for name in overlap.names:
                if name not in paths:
                    continue
                try:
                    connections[name] = open_read_only(paths[name])
                except sqlite3.Error as error:
                    pool.note(name, paths[name], error)
            yield from _losers(pool, paths, connections, rows, overlap, check)
        finally:
            for connection in connections.values():
                connection.close()


def _losers(
    pool: Pool,
    paths: dict[str, Path],
    connections: dict[str, sqlite3.Connection],
    rows: Rows,
    overlap: Overlap,
    check: Callable[[], None],
) -> Iterator[tuple[str, tuple[Any, ...], Stage]]:
    order = ", ".join(rows.columns[field] for field in rows.key)
    query = rows.select("row.message_id BETWEEN ? AND ?", order, -1)

    def stream(age: int, name: str) -> Iterator[tuple[tuple[Any, ...], int, str, Any]]:
        try:
            cursor = connections[name].execute(query, (overlap.low, overlap.high))
            while part := cursor.fetchmany(_AT_ONCE):
                check()
                for row in part:
                    yield rows.key_of(row), age, name, row
        except sqlite3.Error as error:  # it is named, and counted as far as it was read
            pool.note(name, paths[name], error)

    best: tuple[tuple[Any, ...], str, Any] | None = None
    streams = [stream(age, name) for age, name in enumerate(sorted(connections))]
    for key, _, name, row in heapq.merge(*streams, key=lambda each: each[:2]):
        if best is None or best[0] != key:
            best = (key, name, row)
            continue
        is_later = rows.recency_of(row) >= rows.recency_of(best[2])
        lost_name, lost = (best[1], best[2]) if is_later else (name, row)
        fields = dict(zip(rows.columns, lost, strict=True))
        yield (
            lost_name,
            key,
            (fields["execution_id"], fields["route"], fields.get("stage", ""), fields.get("position", -1)),
        )
        if is_later:
            best = (key, name, row)
