"""Tables of a segment, and the SQL that creates and checks them.

A segment is one SQLite file with the rows of some time. Its tables are ordered by message id, which begins with the
time of the family's root: rows arrive nearly in order, and those of a message, and of its family, lie side by side.
Later rows of one key replace earlier ones within a segment; between segments readers do that (see `merging`).

Rows are small and few values are bound for each, because that is most of their price: execution, route, stage and
position are a number of the table `place`, states are numbers, and the ids and hashes of a row lie in one blob, of 16
bytes each: parent, correlation, and of a visit the hashes before and after it, if there are any. A parent or hash that
is missing is zero. The views `visits` and `outcomes` show the rows as `LineageEntry` and `OutcomeEntry` have them.

Kept separate from writing and reading because both depend on it.
"""

import sqlite3
from typing import Final

from factflow_engine.sqlite_files import transaction
from factflow_protocols import LineageEntry, OutcomeEntry, StageStatus

APPLICATION_ID: Final = 0x6666_6C6E
"""Mark of a segment in SQLite's header: `ffln`."""

VERSION: Final = 1
"""Version of the tables, as `user_version`."""

STATUSES: Final[tuple[str, ...]] = (
    StageStatus.PENDING,
    StageStatus.COMPLETED,
    StageStatus.FAILED,
    StageStatus.SKIPPED,
    StageStatus.CANCELLED,
)
"""States of visits; the place is the number. Only ever added to."""

OUTCOMES: Final = ("completed", "filtered", "dead_lettered", "failed")
"""Outcomes; the place is the number. Only ever added to."""

TROUBLE: Final = "status IN (0, 2, 4)"
"""Condition of the index of visits that are pending, failed or cancelled; a query must contain it to use the index."""

UNDONE: Final = "outcome IN (2, 3)"
"""Condition of the index of messages that are dead-lettered or failed."""

ZERO: Final = bytes(16)
NO_STAGE: Final = ("", -1)
"""Stage and position in the place of an outcome."""

_ZERO: Final = f"x'{ZERO.hex()}'"


def _named(column: str, names: tuple[str, ...]) -> str:
    cases = " ".join(f"WHEN {number} THEN '{name}'" for number, name in enumerate(names))
    return f"CASE {column} {cases} END"


def _part(number: int) -> str:
    """Return the SQL of one of the ids and hashes of a row; NULL if it is zero or missing."""
    return f"nullif(nullif(substr(row.ids, {1 + 16 * number}, 16), {_ZERO}), x'')"


VISIT_COLUMNS: Final = {
    "execution_id": "place.execution_id",
    "route": "place.route",
    "stage": "place.stage",
    "position": "place.position",
    "message_id": "row.message_id",
    "parent_id": _part(0),
    "correlation_id": "substr(row.ids, 17, 16)",
    "attempt": "row.attempt",
    "status": _named("row.status", STATUSES),
    "started_ns": "row.started_ns",
    "duration_ns": "row.duration_ns",
    "waited_ns": "row.waited_ns",
    "waited_for": "nullif(row.waited_for, '')",
    "input_hash": _part(2),
    "output_hash": _part(3),
    "detail": "nullif(row.detail, '')",
}
"""Field of `LineageEntry` to its SQL, in the order of the fields."""

OUTCOME_COLUMNS: Final = {
    "execution_id": "place.execution_id",
    "route": "place.route",
    "message_id": "row.message_id",
    "parent_id": _part(0),
    "correlation_id": "substr(row.ids, 17, 16)",
    "outcome": _named("row.outcome", OUTCOMES),
    "ended_ns": "row.ended_ns",
    "attempts": "row.attempts",
    "emitted": "row.emitted",
    "detail": "nullif(row.detail, '')",
}
"""Field of `OutcomeEntry` to its SQL, in the order of the fields."""

assert tuple(VISIT_COLUMNS) == LineageEntry._fields
assert tuple(OUTCOME_COLUMNS) == OutcomeEntry._fields


def selected(table: str, columns: dict[str, str], *, schema: str = "main") -> str:
    """Return the query of all rows of a table, to which conditions may be added."""
    listed = ", ".join(f"{sql} AS {name}" for name, sql in columns.items())
    # CROSS JOIN: the rows lead, in their order, and the place is looked up for each.
    return f"SELECT {listed} FROM {schema}.{table} AS row CROSS JOIN {schema}.place AS place ON place.id = row.place"


_CREATE: Final = (
    """CREATE TABLE place (
        id INTEGER PRIMARY KEY, execution_id TEXT NOT NULL, route TEXT NOT NULL, stage TEXT NOT NULL,
        position INTEGER NOT NULL, UNIQUE (execution_id, route, stage, position))""",
    """CREATE TABLE visit (
        message_id BLOB NOT NULL, place INTEGER NOT NULL, attempt INTEGER NOT NULL, status INTEGER NOT NULL,
        started_ns INTEGER NOT NULL, duration_ns INTEGER NOT NULL, waited_ns INTEGER NOT NULL,
        waited_for TEXT NOT NULL, ids BLOB NOT NULL, detail TEXT NOT NULL,
        PRIMARY KEY (message_id, place, attempt)) WITHOUT ROWID""",
    """CREATE TABLE outcome (
        message_id BLOB NOT NULL, place INTEGER NOT NULL, outcome INTEGER NOT NULL, ended_ns INTEGER NOT NULL,
        attempts INTEGER NOT NULL, emitted INTEGER NOT NULL, ids BLOB NOT NULL, detail TEXT NOT NULL,
        PRIMARY KEY (message_id, place)) WITHOUT ROWID""",
    f"CREATE INDEX visit_trouble ON visit (message_id) WHERE {TROUBLE}",
    f"CREATE INDEX outcome_undone ON outcome (message_id) WHERE {UNDONE}",
    f"CREATE VIEW visits AS {selected('visit', VISIT_COLUMNS).replace('main.', '')}",
    f"CREATE VIEW outcomes AS {selected('outcome', OUTCOME_COLUMNS).replace('main.', '')}",
)

_TABLES: Final = frozenset({"place", "visit", "outcome"})


def create_tables(connection: sqlite3.Connection) -> None:
    """Create the tables in a new file, unless another process did so first.

    Raises:
        sqlite3.Error: The file cannot be written.
    """
    with transaction(connection):
        if not connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            for statement in _CREATE:
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {VERSION}")


def problem_of(connection: sqlite3.Connection) -> str | None:
    """Return what is wrong with a file that should be a segment of this version; None if nothing is.

    Raises:
        sqlite3.Error: The file cannot be read.
    """
    [application] = connection.execute("PRAGMA application_id").fetchone()
    [version] = connection.execute("PRAGMA user_version").fetchone()
    found = {str(name) for [name] in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if not found:
        return "is empty: its writer died before the first row, or has not written it yet"
    if application != APPLICATION_ID:
        return "is no lineage segment, but another program's SQLite file"
    if version > VERSION:
        return f"is of version {version}, this engine knows {VERSION}; read it with the engine that wrote it"
    missing = _TABLES - found
    return f"is damaged: it has no table {min(missing)!r}" if missing else None
