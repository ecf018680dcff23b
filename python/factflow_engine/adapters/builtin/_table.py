"""A table of a SQLite file to which rows are added, one for each message id.

Blocking except `Table.check`. Kept separate from `write_sqlite` because names, shapes and transactions concern SQLite,
not messages. Names are quoted and values are bound, so neither can be taken for SQL.
"""

import contextlib
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from factflow_engine.adapters.builtin._staging import inode
from factflow_engine.sqlite_files import Connection, transaction
from factflow_protocols import FactflowError

ID_COLUMN: Final = "message_id"
BUSY_SECONDS: Final = 20.0
"""Longest wait for another program's transaction: shorter than the timeout of flush(), so that its error is seen."""

_VALUES_AT_A_TIME: Final = 900  # SQLite may be built to take no more than 999

Row = tuple[str | bytes | int | float | None, ...]
"""The message's id and the values of the columns."""


class TableError(FactflowError, OSError):
    """The file cannot be used; no row of the batch was stored."""

    def __init__(self, path: Path, problem: str) -> None:
        super().__init__(f"{path}: {problem}")


class Table:
    """An open table. Not safe for use by two threads at a time, except `check`."""

    def __init__(self, path: Path, connection: sqlite3.Connection, name: str, columns: Sequence[str]) -> None:
        self._path = path
        self._connection = connection
        listed = ", ".join(quoted(column) for column in (ID_COLUMN, *columns))
        self._into = f"INSERT INTO {quoted(name)} ({listed}) VALUES "  # noqa: S608 - names are quoted, values bound
        self._row = f"({','.join('?' * (1 + len(columns)))})"
        self._rows_at_a_time = max(1, _VALUES_AT_A_TIME // (1 + len(columns)))
        self._trial = _trial(connection, name)
        self._file = inode(path)  # data committed to a deleted file is lost with the process

    def check(self, row: Row) -> None:
        """Check the row against the table's constraints. Touches no file.

        Raises:
            sqlite3.Error: The constraints refuse the row.
        """
        if self._trial is not None:
            self._trial.execute("BEGIN")
            try:
                self._trial.execute(self._into + self._row, row)
            finally:
                self._trial.execute("ROLLBACK")

    def insert(self, rows: Sequence[Row]) -> None:
        """Add and commit rows, all or none; skip ids that are stored already.

        Raises:
            TableError: Nothing was stored.
        """
        if inode(self._path) != self._file:
            raise TableError(self._path, "was removed or replaced while it was in use; nothing more is stored in it")
        try:
            with transaction(self._connection):
                for start in range(0, len(rows), self._rows_at_a_time):
                    chunk = rows[start : start + self._rows_at_a_time]
                    values = ",".join([self._row] * len(chunk))
                    statement = f"{self._into}{values} ON CONFLICT({quoted(ID_COLUMN)}) DO NOTHING"
                    self._connection.execute(statement, [value for row in chunk for value in row])
        except sqlite3.Error as error:
            raise TableError(self._path, str(error)) from error

    def close(self) -> None:
        """Close the file."""
        self._connection.close()
        if self._trial is not None:
            self._trial.close()


def open_table(path: Path, name: str, columns: Sequence[str]) -> Table:
    """Open the file and make the table, or check that it fits.

    Raises:
        OSError: The file cannot exist there, is not SQLite's, or another program locks it for too long.
        ValueError: The table has another shape.
    """
    if path.is_dir():
        raise IsADirectoryError(f"path {str(path)!r} is a folder; name a file in it")
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = None
    try:
        connection = sqlite3.connect(
            path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False, factory=Connection
        )
        connection.execute("PRAGMA synchronous = FULL")
        listed = "".join(f", {quoted(column)}" for column in columns)
        connection.execute(f"CREATE TABLE IF NOT EXISTS {quoted(name)} ({ID_COLUMN} TEXT PRIMARY KEY NOT NULL{listed})")
        problem = _misfit(connection, name, columns)
        if problem:
            raise ValueError(f"table {name!r} of {path} {problem}; name another table, or change that one")
        return Table(path, connection, name, columns)
    except BaseException as error:
        if connection is not None:
            connection.close()
        if isinstance(error, sqlite3.Error):
            raise TableError(path, str(error)) from error
        raise


def quoted(name: str) -> str:
    """Return a name as SQL writes it."""
    return '"' + name.replace('"', '""') + '"'


def _misfit(connection: sqlite3.Connection, name: str, columns: Sequence[str]) -> str | None:
    """Return the reason why the table cannot hold these columns or distinguish their rows; None if it can."""
    [kind] = connection.execute("SELECT type FROM sqlite_master WHERE name = ? COLLATE NOCASE", (name,)).fetchone()
    if kind != "table":
        return f"is a {kind}"
    there = {row[1].lower(): row for row in connection.execute(f"PRAGMA table_xinfo({quoted(name)})")}
    for column in (ID_COLUMN, *columns):
        if column.lower() not in there:
            return f"has no column {column!r}"
        if there[column.lower()][6]:
            return f"computes column {column!r} by itself"
    if "INT" in str(there[ID_COLUMN][2]).upper():
        return f"has a column {ID_COLUMN!r} of integers; ids of messages are texts"
    wanted = {ID_COLUMN, *(column.lower() for column in columns)}
    for column, (_, spelled, _, not_null, default, key, hidden) in there.items():
        if column not in wanted and not_null and default is None and not hidden and not key:
            return f"needs a value for column {spelled!r}, which is none of the stage's columns"
    uniques = _uniques(connection, name, there)
    if (ID_COLUMN,) not in uniques:
        return f"does not have {ID_COLUMN!r} as its primary key or as a unique column, so a message could come twice"
    for unique in uniques - {(ID_COLUMN,)}:
        return f"wants ({', '.join(unique)}) to be unique, and could refuse a message that was already acknowledged"
    return None


def _uniques(connection: sqlite3.Connection, name: str, there: dict[str, Any]) -> set[tuple[str, ...]]:
    """Return the sets of columns that must be unique, except a key that SQLite numbers by itself."""
    found = set()
    for _, index, is_unique, _, is_partial in connection.execute(f"PRAGMA index_list({quoted(name)})").fetchall():
        if is_unique:
            columns = [row[2] for row in connection.execute(f"PRAGMA index_info({quoted(index)})")]
            if is_partial:
                columns.append("where ...")
            found.add(tuple("an expression" if column is None else column.lower() for column in columns))
    key = tuple(column for column, row in sorted(there.items(), key=lambda item: item[1][5]) if row[5])
    if key == (ID_COLUMN,):
        found.add(key)
    return found


def _trial(connection: sqlite3.Connection, name: str) -> sqlite3.Connection | None:
    """Return an empty copy of the table if it may refuse a row; None if it takes any."""
    [sql] = connection.execute("SELECT sql FROM sqlite_master WHERE name = ? COLLATE NOCASE", (name,)).fetchone()
    info = connection.execute(f"PRAGMA table_xinfo({quoted(name)})").fetchall()
    not_null = any(row[3] for row in info if row[1].lower() != ID_COLUMN)
    if not not_null and "check" not in sql.lower() and "strict" not in sql.lower():
        return None
    trial = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    with contextlib.ExitStack() as undo:
        undo.callback(trial.close)
        trial.execute(sql)
        undo.pop_all()
    return trial
