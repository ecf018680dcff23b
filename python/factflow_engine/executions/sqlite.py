"""The store in an SQLite file: one machine, several processes.

Its clock is the machine's monotonic one, which all processes share and nobody can set, named by the boot: it stands still
while the machine sleeps, and a lease of an earlier boot has run out. Write-ahead logging needs a local disk, which makes
this clock the same for all that open the file.
"""

import os
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, TypeVar

from factflow_engine.executions.database import MIGRATIONS, Instant, Session, storable
from factflow_engine.executions.errors import ExecutionStoreError, ExecutionStoreUrlError
from factflow_engine.seams import Seams
from factflow_engine.sqlite_files import (
    Connection,
    is_busy,
    is_damage,
    primary_code,
    reading_mode,
    transaction,
    write_ahead,
)
from factflow_engine.url_options import split_url

T = TypeVar("T")

APPLICATION_ID: Final = 0x46465831
"""Application id that marks a file as a store of executions ("FFX1")."""

_SCHEME: Final = "sqlite:///"
_FORM: Final = "write sqlite:///relative/file.db, or sqlite:////absolute/file.db, without options"

_PROBLEMS: Final = {
    sqlite3.SQLITE_FULL: "the disk is full; make room and try again",
    sqlite3.SQLITE_READONLY: "it is read-only here; look at its permissions, its folder's, and how its disk is mounted",
    sqlite3.SQLITE_CORRUPT: (
        "it is damaged; stop what uses it, keep the file, and recover what can be into a new one with "
        "`sqlite3 FILE .recover | sqlite3 NEW`"
    ),
    sqlite3.SQLITE_NOTADB: "it is no SQLite file; move it away, or name another",
    sqlite3.SQLITE_IOERR: "the disk failed to read or write it",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened; look at its permissions and its folder's",
}


class SqliteDatabase:
    """An SQLite file as a `Database`, which documents the methods. Opened at the first call.

    Args:
        path: The file; its folder must exist.
        busy_seconds: Longest wait for another process's transaction.
        read_only: True to change nothing, and to leave the folder as it was.
        seams: The clock of leases; the machine's own by default.
    """

    def __init__(
        self, path: Path, *, busy_seconds: float = 10.0, read_only: bool = False, seams: Seams | None = None
    ) -> None:
        self._path = path.absolute()
        self._instant = (seams or Seams.real()).machine_instant
        self._only_reads = read_only
        self._busy_seconds = busy_seconds
        self._connection: sqlite3.Connection | None = None
        self._opened: tuple[int, int, int] = (0, 0, 0)  # process, device and inode while it is open
        self._is_read_only = False

    @classmethod
    def from_url(cls, url: str, *, directory: Path | None = None, seams: Seams | None = None) -> "SqliteDatabase":
        """Read `sqlite:///relative/path`, or `sqlite:////absolute/path`.

        Raises:
            ExecutionStoreUrlError: The URL is malformed.
        """
        path, query = split_url(url, _SCHEME, _FORM, ExecutionStoreUrlError)
        if query or not path or path.endswith("/"):
            raise ExecutionStoreUrlError(url, _FORM)
        return cls((directory or Path()) / path, seams=seams)

    @property
    def name(self) -> str:
        """Path of the file."""
        return str(self._path)

    def transact(
        self,
        work: Callable[[Session], T],
        *,
        writes: bool,
        durable: bool = True,
        repeatable: bool = False,  # noqa: ARG002 - a commit in this process never lacks an answer
    ) -> T:
        """See `Database`."""
        try:
            return self._transact(work, writes=writes, durable=durable)
        except (sqlite3.Error, sqlite3.Warning, OSError) as error:
            raise self._explained(error) from error

    def examine(self) -> Sequence[str]:
        """See `Database`."""
        try:
            connection = self._open()
            rows = connection.execute("PRAGMA integrity_check(20)").fetchall()
            return [f"{self._path}: {row[0]}" for row in rows if row[0] != "ok"]
        except (sqlite3.Error, OSError) as error:
            raise self._explained(error) from error

    def close(self) -> None:
        """See `Database`."""
        connection, self._connection = self._connection, None
        if connection is not None and self._opened[0] == os.getpid():  # a forked child may not even close it
            with suppress(sqlite3.Error):
                connection.close()

    def _transact(self, work: Callable[[Session], T], *, writes: bool, durable: bool) -> T:
        connection = self._open()
        if writes and self._is_read_only:
            raise ExecutionStoreError(self.name, _PROBLEMS[sqlite3.SQLITE_READONLY])
        if writes:
            # Without it a commit is in the log, which a dying process leaves to the others, and not yet on the disk.
            connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
        try:
            with transaction(connection, "IMMEDIATE" if writes else "DEFERRED"):
                return work(_Transaction(connection, self._instant()))
        finally:
            if connection.in_transaction:  # not even rolled back
                self.close()

    def _open(self) -> sqlite3.Connection:
        """Return the connection to the file that has the name now: another one may have taken its place."""
        if self._connection is not None and self._opened == self._identity():
            return self._connection
        if self._connection is not None and self._opened[0] != os.getpid():
            self._connection = None  # of the parent process
        self.close()
        self._require_file()
        is_writable = os.access(self._path, os.W_OK) and os.access(self._path.parent, os.W_OK)
        self._is_read_only = self._only_reads or not is_writable
        mode = "ro" if not is_writable else reading_mode(self._path) if self._only_reads else "rw"
        connection = sqlite3.connect(
            f"{self._path.as_uri()}?mode={mode}",
            uri=True,
            timeout=self._busy_seconds,
            isolation_level=None,
            check_same_thread=False,
            factory=Connection,
        )
        try:
            self._prepare(connection)
        except BaseException:
            connection.close()
            raise
        self._connection, self._opened = connection, self._identity()
        return connection

    def _identity(self) -> tuple[int, int, int]:
        try:
            found = self._path.stat()
        except FileNotFoundError:
            return os.getpid(), 0, 0
        return os.getpid(), found.st_dev, found.st_ino

    def _require_file(self) -> None:
        """Make an empty file that its owner alone can read, unless there is one."""
        if self._path.is_dir():
            raise ExecutionStoreError(self.name, "is a folder; name a file in it")
        if not self._path.parent.is_dir():
            raise ExecutionStoreError(self.name, f"its folder {str(self._path.parent)!r} does not exist; make it first")
        if not self._path.exists() and not self._only_reads:
            os.close(os.open(self._path, os.O_CREAT | os.O_RDWR, 0o600))
        elif not self._path.is_file():
            raise ExecutionStoreError(self.name, "is not a regular file; name one, or a path where none is yet")

    def _prepare(self, connection: sqlite3.Connection) -> None:
        [application] = connection.execute("PRAGMA application_id").fetchone()
        [tables] = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if application != APPLICATION_ID and (application or tables):
            raise ExecutionStoreError(self.name, "is an SQLite file of another program; name another path")
        if self._is_read_only:
            connection.execute("PRAGMA query_only = ON")
        else:
            if write_ahead(connection) != "wal":
                raise ExecutionStoreError(self.name, "cannot write ahead here; name a file on a local disk")
            self._migrate(connection)
        [version] = connection.execute("PRAGMA user_version").fetchone()
        if version != len(MIGRATIONS):
            raise ExecutionStoreError(
                self.name,
                f"has tables of version {version}, this engine knows {len(MIGRATIONS)}; use the engine that made it"
                if version > len(MIGRATIONS)
                else f"has tables of version {version} and is read-only here; open it once where it can be written to",
            )

    def _migrate(self, connection: sqlite3.Connection) -> None:
        """Make the tables that are missing, unless another process was faster."""
        [version] = connection.execute("PRAGMA user_version").fetchone()
        if version >= len(MIGRATIONS):
            return
        with transaction(connection):
            [version] = connection.execute("PRAGMA user_version").fetchone()
            for statements in MIGRATIONS[version:]:
                for statement in statements:
                    connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {max(version, len(MIGRATIONS))}")

    def _explained(self, error: Exception) -> ExecutionStoreError:
        if isinstance(error, OSError) and not isinstance(error, sqlite3.Error):
            return ExecutionStoreError(self.name, f"cannot be opened: {error.strerror or error}")
        if is_busy(error):
            problem = f"another process has kept it locked for {self._busy_seconds:g} s; see what holds it"
        else:
            problem = f"{_PROBLEMS.get(primary_code(error), 'SQLite refused')} ({error})"
        if is_damage(error):
            self.close()
        return ExecutionStoreError(self.name, problem)


class _Transaction:
    """A transaction of a connection, as `Session` documents it."""

    def __init__(self, connection: sqlite3.Connection, now: tuple[str, int]) -> None:
        self._connection = connection
        self.now: Final = Instant(*now)

    def rows(self, statement: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        return self._connection.execute(statement, storable(parameters)).fetchall()

    def change(self, statement: str, parameters: Sequence[Any] = ()) -> int:
        return self._connection.execute(statement, storable(parameters)).rowcount
