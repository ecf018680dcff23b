"""Errors and transactions of SQLite, and its write-ahead logging.

Kept separate because queues, lineage, executions and adapters all keep SQLite files. Everything here blocks.
"""

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Literal

_SWITCHES: Final = 100
"""Attempts to switch a new file to write-ahead logging while other processes do the same."""


class Connection(sqlite3.Connection):
    """Connection that raises an `sqlite3.Error` whatever its file holds; for `sqlite3.connect(factory=)`.

    SQLite's words for damaged tables quote them. Python raises a `UnicodeDecodeError` if they are no text any more. A
    damaged number of bytes may be more than there is memory, for which it raises a `MemoryError`.
    """

    def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
        """See `sqlite3.Connection.execute`."""
        try:
            return self.cursor(_Cursor).execute(sql, parameters)
        except UnicodeDecodeError as error:
            damage = sqlite3.DatabaseError(f"its tables are named in bytes that are no text: {error}")
            damage.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
            raise damage from error
        except MemoryError as error:
            raise _no_memory() from error

    def executemany(self, sql: str, parameters: Iterable[Any], /) -> sqlite3.Cursor:
        """See `sqlite3.Connection.executemany`."""
        try:
            return super().executemany(sql, parameters)
        except MemoryError as error:
            raise _no_memory() from error


class _Cursor(sqlite3.Cursor):
    """Cursor of a `Connection`."""

    def fetchone(self) -> Any:
        try:
            return super().fetchone()
        except MemoryError as error:
            raise _no_memory() from error

    def fetchmany(self, size: int | None = None) -> list[Any]:
        try:
            return super().fetchmany(self.arraysize if size is None else size)
        except MemoryError as error:
            raise _no_memory() from error

    def fetchall(self) -> list[Any]:
        try:
            return super().fetchall()
        except MemoryError as error:
            raise _no_memory() from error

    def __next__(self) -> Any:
        try:
            return super().__next__()
        except MemoryError as error:
            raise _no_memory() from error


def _no_memory() -> sqlite3.OperationalError:
    error = sqlite3.OperationalError("SQLite asked for more memory than there is, as it does where a file is damaged")
    error.sqlite_errorcode = sqlite3.SQLITE_NOMEM
    return error


def primary_code(error: BaseException) -> int:
    """Return SQLite's primary result code, such as `sqlite3.SQLITE_FULL`; 0 if the error is not SQLite's."""
    code = getattr(error, "sqlite_errorcode", None)
    return code & 0xFF if isinstance(code, int) else 0


def is_busy(error: BaseException) -> bool:
    """True if SQLite's wait for another connection timed out."""
    return primary_code(error) in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}


def is_damage(error: BaseException) -> bool:
    """True if SQLite found that the file is not as it wrote it."""
    return primary_code(error) in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


@contextmanager
def transaction(connection: sqlite3.Connection, kind: Literal["DEFERRED", "IMMEDIATE"] = "IMMEDIATE") -> Iterator[None]:
    """Commit what the block does, or roll all of it back if it raises.

    A transaction that cannot be rolled back leaves the connection `in_transaction`: it must be closed.

    Raises:
        sqlite3.Error: It could not be begun or committed; nothing was stored.
    """
    connection.execute(f"BEGIN {kind}")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException as error:
        try:
            if connection.in_transaction:  # some errors end it
                connection.execute("ROLLBACK")
        except sqlite3.Error as failure:  # the first error says why
            error.add_note(f"SQLite could not roll back either: {failure}")
        raise


def reading_mode(path: Path) -> Literal["ro", "rw"]:
    """Return the mode in which a file is to be opened so that reading it leaves its folder as it was.

    A connection with `ro` leaves behind the empty log and the index that it needed, where there were none; one with `rw`
    removes them at its end. But that one would also move a log that was there into the file. So a file is opened with
    `rw` only if it has no log; the connection must be told not to write (`PRAGMA query_only = ON`).
    """
    return "ro" if Path(f"{path}-wal").exists() else "rw"


def write_ahead(connection: sqlite3.Connection) -> str:
    """Switch to write-ahead logging; return the journal mode that the file then has: `wal`, unless it cannot have it.

    SQLite fails at once if two processes switch the same new file. A lock that it does wait for shows when the other
    one has finished. The mode is read first, because a file that is locked for long is then waited for once.

    Raises:
        sqlite3.Error: The file cannot be used, or another process keeps it locked.
    """
    [mode] = connection.execute("PRAGMA journal_mode").fetchone()
    for _ in range(_SWITCHES):
        if mode == "wal":
            break
        try:
            [mode] = connection.execute("PRAGMA journal_mode = WAL").fetchone()
        except sqlite3.OperationalError as error:
            if not is_busy(error):
                raise
            connection.execute("BEGIN EXCLUSIVE")  # waits for all others, those that only read included
            connection.execute("ROLLBACK")
            [mode] = connection.execute("PRAGMA journal_mode").fetchone()
        else:
            break
    return str(mode)
