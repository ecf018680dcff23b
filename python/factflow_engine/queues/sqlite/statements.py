"""SQL statements over many rows.

Python's sqlite3 releases the interpreter's lock around every step of a statement, and must acquire it again afterwards:
beside a busy event loop that costs up to 5 ms *each*. So work on many rows is one statement here, in both directions:
an insert has a row of placeholders for each row, and SQLite concatenates the results of a read into one text.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Any, Final

ROWS_AT_A_TIME: Final = 500
"""Rows of one statement; SQLite's bound on placeholders is 32,766 and rows here have at most six."""

_FEW_RUNS: Final = 4

_STEPS: Final = (64, 8, 1)


@lru_cache(maxsize=2048)
def _repeated(head: str, row: str, count: int, tail: str) -> str:
    return head + ",".join([row] * count) + tail


def insert_rows(
    connection: sqlite3.Connection,
    head: str,
    rows: Sequence[Sequence[Any]],
    *,
    tail: str = "",
    after: Sequence[Any] = (),
) -> int:
    """Insert rows and return the number of rows inserted or changed.

    Args:
        connection: Connection in a transaction.
        head: `INSERT INTO ... VALUES `.
        rows: Rows of equal length.
        tail: SQL after the rows.
        after: Values of placeholders in the tail.
    """
    changed = 0
    for start in range(0, len(rows), ROWS_AT_A_TIME):
        part = rows[start : start + ROWS_AT_A_TIME]
        row = "(" + ",".join("?" * len(part[0])) + ")"
        values = [value for values in part for value in values]
        changed += connection.execute(_repeated(head, row, len(part), tail), [*values, *after]).rowcount
    return changed


def parts_of(count: int) -> Iterator[slice]:
    """Parts of that many rows, of few different lengths: to compile a statement of a new length takes longer than to run it."""
    start = 0
    for step in _STEPS:
        while count - start >= step:
            length = min(ROWS_AT_A_TIME, (count - start) // step * step)
            yield slice(start, start + length)
            start += length


@lru_cache(maxsize=512)
def rows_beside(head: str, row: str, shared: int, count: int, tail: str = "") -> str:
    """Return a statement of many rows that share some parameters, each of which is bound once, before those of the rows.

    Args:
        head: `INSERT INTO ... VALUES `.
        row: Of one row: `?1`, `?2`, ... for what is shared, `{row}` for its place, and `{}` for each parameter of its own.
        shared: How many parameters are.
        count: Of rows.
        tail: What follows the rows.
    """
    # A parameter without a number gets the next one. To have them all numbered would have SQLite search a list for each.
    width = row.count("{}")
    first = row.format(*(f"?{shared + 1 + place}" for place in range(width)), row=0)
    rest = row.format(*"?" * width, row="{row}")
    return head + ",".join([first, *(rest.replace("{row}", str(place)) for place in range(1, count))]) + tail


def where_in(column: str, values: Sequence[Any]) -> Iterator[tuple[str, Sequence[Any]]]:
    """Yield conditions that together select the rows with these values, each with its parameters."""
    for start in range(0, len(values), ROWS_AT_A_TIME):
        part = values[start : start + ROWS_AT_A_TIME]
        yield _repeated(f"{column} IN (", "?", len(part), ")"), part


def where_within(column: str, runs: Sequence[tuple[int, int]]) -> Iterator[tuple[str, Sequence[int]]]:
    """Yield conditions that together select the rows within these ranges, ends included."""
    if len(runs) <= _FEW_RUNS:
        for run in runs:
            yield f"{column} BETWEEN ? AND ?", run
    else:
        yield from where_in(column, [number for low, high in runs for number in range(low, high + 1)])


def numbers(
    connection: sqlite3.Connection, columns: Sequence[str], rest: str, parameters: Sequence[Any] = ()
) -> list[tuple[int, ...]]:
    """Return rows of integers, none of them null.

    Args:
        connection: Connection to the file.
        columns: Expressions to select.
        rest: `FROM ...`; its order and limit apply.
        parameters: Values of the placeholders in `rest`.
    """
    names = [f"c{position}" for position in range(len(columns))]
    inner = ", ".join(f"{column} AS {name}" for column, name in zip(columns, names, strict=True))
    joined = "||','||".join(names)
    statement = f"SELECT group_concat({joined}, ';') FROM (SELECT {inner} {rest})"  # noqa: S608 - no input is in the text
    [text] = connection.execute(statement, parameters).fetchone()
    return [tuple(map(int, row.split(","))) for row in text.split(";")] if text else []


def blobs(
    connection: sqlite3.Connection, number: str, blob: str, rest: str, parameters: Sequence[Any] = ()
) -> dict[int, bytes]:
    """Return a map from an integer column to a blob column; the text in between is twice as long: bound the query."""
    text = connection.execute(
        f"SELECT group_concat({number}||':'||hex({blob})) {rest}",
        parameters,
    ).fetchone()[0]
    found: dict[int, bytes] = {}
    for pair in text.split(",") if text else ():
        key, _, value = pair.partition(":")
        found[int(key)] = bytes.fromhex(value)
    return found


def runs_of(sequence: Iterable[int]) -> list[tuple[int, int]]:
    """Return the ranges that ascending numbers form, ends included."""
    sequence = list(sequence)
    if sequence and sequence == list(range(sequence[0], sequence[0] + len(sequence))):
        return [(sequence[0], sequence[-1])]
    runs: list[tuple[int, int]] = []
    low = high = None
    for number in sequence:
        if high is not None and number == high + 1:
            high = number
            continue
        if low is not None and high is not None:
            runs.append((low, high))
        low = high = number
    if low is not None and high is not None:
        runs.append((low, high))
    return runs
