"""Rows of several segments as one: each key in its latest form.

A visit that was `pending` in one segment may have ended in the next, and a message that came back after a crash is
written again. Two rows of one key are told apart by what they say, not by when they were written, because two processes
may have written them: the visit that began later counts; of one visit, its end; else the row of the later segment.

Kept separate from the queries because every answer is merged in the same way.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, Final

from factflow_engine.lineage.sqlite.schema import (
    OUTCOME_COLUMNS,
    OUTCOMES,
    STATUSES,
    TROUBLE,
    UNDONE,
    VISIT_COLUMNS,
    selected,
)
from factflow_protocols import LineageEntry, LineageSelection, OutcomeEntry


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """One of the two kinds of rows.

    Attributes:
        table: Its table.
        columns: Field to its SQL.
        key: Fields of the key, in the order of pages.
        key_of: Returns the key of a row.
        recency_of: Returns what is greater for the later one of two rows of a key.
        make: Makes a row of its values.
        time: Column of the time that selections compare.
        state: Column of the state, as a number.
        states: The states.
        index: Condition of the partial index.
        indexed: States in that index.
    """

    table: str
    columns: dict[str, str]
    key: tuple[str, ...]
    key_of: Callable[[Any], tuple[Any, ...]]
    recency_of: Callable[[Any], tuple[int, bool]]
    make: Callable[[Iterable[Any]], Any]
    time: str
    state: str
    states: tuple[str, ...]
    index: str
    indexed: frozenset[str]

    def select(self, condition: str, order: str, limit: int) -> str:
        """Return a query of rows."""
        return f"{selected(self.table, self.columns)} WHERE {condition} ORDER BY {order} LIMIT {limit}"


def _keyed(row: type[Any], key: tuple[str, ...]) -> Callable[[Any], tuple[Any, ...]]:
    fields: tuple[str, ...] = row._fields
    return itemgetter(*map(fields.index, key))


_VISIT_KEY: Final = ("message_id", "route", "stage", "attempt", "execution_id")
_OUTCOME_KEY: Final = ("message_id", "route", "execution_id")

VISITS: Final = Rows(
    table="visit",
    columns=VISIT_COLUMNS,
    key=_VISIT_KEY,
    key_of=_keyed(LineageEntry, _VISIT_KEY),
    recency_of=lambda row: (row[9], row[8] != "pending"),
    make=LineageEntry._make,
    time="row.started_ns",
    state="row.status",
    states=STATUSES,
    index=f"row.{TROUBLE}",
    indexed=frozenset({"pending", "failed", "cancelled"}),
)
ENDS: Final = Rows(
    table="outcome",
    columns=OUTCOME_COLUMNS,
    key=_OUTCOME_KEY,
    key_of=_keyed(OutcomeEntry, _OUTCOME_KEY),
    recency_of=lambda row: (row[6], True),
    make=OutcomeEntry._make,
    time="row.ended_ns",
    state="row.outcome",
    states=OUTCOMES,
    index=f"row.{UNDONE}",
    indexed=frozenset({"dead_lettered", "failed"}),
)


def latest(rows: Rows, parts: Iterable[Sequence[Any]]) -> dict[tuple[Any, ...], Any]:
    """Return the latest row of each key; `parts` are the rows of each segment, those of the oldest one first."""
    found: dict[tuple[Any, ...], Any] = {}
    for part in parts:
        for row in part:
            key = rows.key_of(row)
            other = found.get(key)
            if other is None or rows.recency_of(row) >= rows.recency_of(other):
                found[key] = row
    return found


def conditions(rows: Rows, selection: LineageSelection, states: frozenset[str]) -> tuple[list[str], list[Any]]:
    """Return the SQL conditions of a selection, and their values."""
    found: list[str] = []
    values: list[Any] = []
    named = {"place.execution_id": selection.execution_id, "place.route": selection.route}
    if rows is VISITS:
        named["place.stage"] = selection.stage
    for column, value in named.items():
        if value is not None:
            found.append(f"{column} = ?")
            values.append(value)
    if selection.correlation_id is not None:
        # A family shares the time in its root's id.
        low, high = family(selection.correlation_id)
        found += ["row.message_id >= ?", "row.message_id <= ?", "substr(row.ids, 17, 16) = ?"]
        values += [low, high, selection.correlation_id]
    if states:
        numbers = [rows.states.index(state) for state in sorted(states) if state in rows.states]
        found.append(f"{rows.state} IN ({', '.join(map(str, numbers))})")
        if states <= rows.indexed:
            found.append(rows.index)
    if selection.since_ns is not None:
        found.append(f"{rows.time} >= ?")
        values.append(selection.since_ns)
    if selection.until_ns is not None:
        found.append(f"{rows.time} < ?")
        values.append(selection.until_ns)
    return found, values


def is_by_key(selection: LineageSelection, states: frozenset[str]) -> bool:
    """True if a selection takes all rows of a key or none, so that the latest one is among them."""
    return not states and selection.since_ns is None and selection.until_ns is None


def family(message_id: bytes) -> tuple[bytes, bytes]:
    """Return the least and the greatest id that a message's relatives can have; see `rust/core/src/ids.rs`."""
    return message_id[:6] + bytes(10), message_id[:6] + b"\xff" * 10
