"""Invalid numbers in columns: find and repair them.

Kept separate from `examining`, which calculates with a line's numbers: SQLite stores texts in columns of numbers.
"""

import sqlite3
from typing import Final, NamedTuple

from factflow_engine.queues.sqlite.claiming import MOST_ATTEMPTS


class _Column(NamedTuple):
    """A column of numbers.

    Attributes:
        table: Table of the column.
        name: Name of the column.
        change: Repair of a row with an invalid value, after which `examining` finds the rest.
        right: Condition for valid integers.
    """

    table: str
    name: str
    change: str
    right: str = "TRUE"

    @property
    def wrong(self) -> str:
        """Condition for rows with an invalid value; the tables define which columns may be null."""
        return f"WHERE {self.name} NOT NULL AND NOT (typeof({self.name}) = 'integer' AND {self.right})"


_NEWEST: Final = "(SELECT coalesce(max(seq) - (id << 44), 0) FROM message WHERE seq >> 44 = id)"

_COLUMNS: Final = (
    _Column("line", "tail", f"SET tail = {_NEWEST}"),
    _Column("line", "cursor", "SET cursor = tail"),  # messages that are neither held nor settled are then found to wait
    _Column("line", "held", "SET held = 0"),
    _Column("line", "token", "SET token = :now_ns"),
    _Column("line", "quarantined", "SET quarantined = 0"),
    _Column("line", "capacity", "SET capacity = NULL", "capacity > 0"),
    _Column("hold", "high", "SET high = low"),
    _Column("hold", "line", "SET line = low >> 44"),
    _Column("hold", "due", "SET due = 0"),
    _Column("hold", "token", "SET token = 0"),
    _Column("hold", "attempts", "SET attempts = 0", f"attempts BETWEEN 0 AND {MOST_ATTEMPTS}"),
    _Column("settled", "high", "SET high = low"),
    _Column("settled", "until", "SET until = 0", "until >= 0"),
    _Column("seen", "until", "SET until = 0", "until >= 0"),
    _Column("stage_state", "owner", "SET owner = 0, until = 0"),
    _Column("stage_state", "since", "SET since = 0"),
    _Column("stage_state", "until", "SET until = 0", "until >= 0"),
    _Column("stage_state", "touched", "SET touched = 1", "touched BETWEEN 0 AND 2"),
    _Column("run", "ended", "SET ended = 0", "ended >= 0"),
)


def wrong_values(connection: sqlite3.Connection) -> list[str]:
    """Return the problems, in words."""
    texts = []
    for column in _COLUMNS:
        [count] = connection.execute(f"SELECT count(*) FROM {column.table} {column.wrong}").fetchone()  # noqa: S608 - constants
        if count:
            texts.append(f"the table {column.table} has {count} values of {column.name} that there cannot be")
    return texts


def change_wrong_values(connection: sqlite3.Connection, now_ns: int) -> None:
    """Replace invalid values by valid ones, in the current transaction."""
    for column in _COLUMNS:
        statement = f"UPDATE {column.table} {column.change} {column.wrong}"
        connection.execute(statement, {"now_ns": now_ns})
