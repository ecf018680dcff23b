"""Queries for pages of rows, each row in its latest form.

Kept separate from the reader because this only builds text and parameters. Within a day a key has one row; of rows of
one key in two days the one of the later batch counts. There are two ways to find it: reading all rows in the order of
keys and taking each key's first (`page` does, if only keys narrow it), which streams but reads all; and leaving out rows that have a later one
elsewhere (`latest`), which lets indexes find rows by their state first.
"""

from dataclasses import dataclass
from typing import Any, Final

from factflow_engine.lineage.postgres.schema import (
    DAY_NS,
    OUTCOME_COLUMNS,
    OUTCOME_KEY,
    VISIT_COLUMNS,
    VISIT_KEY,
    sql,
)
from factflow_protocols import LineageSelection


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One of the two tables.

    Attributes:
        name: Name of the table.
        columns: Its columns, as the protocol has them.
        key: Columns that name a row, in the order of pages.
        time: Column of its time, in nanoseconds.
        state: Column of its state.
    """

    name: str
    columns: tuple[str, ...]
    key: tuple[str, ...]
    time: str
    state: str


VISITS: Final = Kind(name="visits", columns=tuple(VISIT_COLUMNS), key=VISIT_KEY, time="started_ns", state="status")
OUTCOMES: Final = Kind(
    name="outcomes", columns=tuple(OUTCOME_COLUMNS), key=OUTCOME_KEY, time="ended_ns", state="outcome"
)


def latest(schema: str, kind: Kind, conditions: str = "TRUE") -> str:
    """Return a query for the latest form of the rows that fulfil conditions on `found`."""
    same = " AND ".join(f"later.{column} = found.{column}" for column in kind.key)
    return (
        f'SELECT {", ".join(f"found.{column}" for column in kind.columns)} FROM "{schema}".{kind.name} found'
        f' WHERE {conditions} AND NOT EXISTS (SELECT 1 FROM "{schema}".{kind.name} later'
        f" WHERE {same} AND later.day <> found.day AND later.batch > found.batch)"
    )


def narrowed(kind: Kind, selection: LineageSelection) -> tuple[str, list[Any]]:
    """Return the conditions of a selection on `found`, and their parameters."""
    names = ["execution_id", "route", "correlation_id", *(["stage"] if kind is VISITS else [])]
    found = [(name, value) for name in names if (value := getattr(selection, name)) is not None]
    conditions = " AND ".join(["TRUE", *(f"found.{name} = %s" for name, _ in found)])
    values: list[Any] = [_storable(value) for _, value in found]
    states, time = _states(kind, selection), f"found.{kind.time}"
    if states:
        conditions += f" AND found.{kind.state} IN ({', '.join(['%s'] * len(states))})"
        values += states
    if selection.since_ns is not None:  # the day, too, so that other days are not even read
        conditions += f" AND {time} >= %s AND found.day >= %s"
        values += [selection.since_ns, selection.since_ns // DAY_NS]
    if selection.until_ns is not None:
        conditions += f" AND {time} < %s AND found.day <= %s"
        values += [selection.until_ns, selection.until_ns // DAY_NS + 1]
    return conditions, values


def page(
    schema: str, kind: Kind, selection: LineageSelection, after: Any | None, limit: int
) -> tuple[bytes, list[Any]]:
    """Return the query for a page of a selection, and its parameters."""
    others = (selection.correlation_id, selection.since_ns, selection.until_ns)
    streams = not _states(kind, selection) and all(value is None for value in others)
    conditions, values = narrowed(kind, selection)
    direction = " DESC" if selection.newest_first else ""
    keys = [f"found.{column}" for column in kind.key]
    if after is not None:
        conditions += f" AND ({', '.join(keys)}) {'<' if direction else '>'} ({', '.join(['%s'] * len(keys))})"
        values += [getattr(after, column) for column in kind.key]
    order = ", ".join(f"{key}{direction}" for key in keys)
    if streams:
        columns = ", ".join(f"found.{column}" for column in kind.columns)
        query = (
            f'SELECT DISTINCT ON ({", ".join(keys)}) {columns} FROM "{schema}".{kind.name} found'
            f" WHERE {conditions} ORDER BY {order}, found.batch DESC LIMIT %s"
        )
    else:
        query = f"{latest(schema, kind, conditions)} ORDER BY {order} LIMIT %s"
    return sql(query), [*values, limit]


def _states(kind: Kind, selection: LineageSelection) -> list[str]:
    return sorted(map(_storable, selection.statuses if kind is VISITS else selection.outcomes))


def _storable(value: Any) -> Any:
    """Return a value to compare with, without the characters that no stored text has."""
    return value.encode("utf-8", "replace").decode().replace("\0", "\ufffd") if isinstance(value, str) else value
