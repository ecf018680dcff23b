"""One process's connection to the file, and running requests in a transaction.

Blocking and synchronous: the writer calls it in a thread, one call at a time. A request is one caller's wish; those
that come together are granted together, in one transaction.
"""

import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, Generic, TypeVar

from factflow_engine.queues.sqlite.housekeeping import Housekeeping
from factflow_engine.queues.sqlite.location import QueueFileError, SqliteSettings
from factflow_engine.queues.sqlite.schema import is_busy, open_file
from factflow_protocols import QueueError

T = TypeVar("T")

_SAYINGS: Final = {
    sqlite3.SQLITE_FULL: "the disk is full; make room and try again",
    sqlite3.SQLITE_READONLY: "it cannot be written to; look at its permissions and its folder's",
    sqlite3.SQLITE_CORRUPT: "it is damaged; `factflow queue fsck` says how",
    sqlite3.SQLITE_NOTADB: "it is no longer an SQLite file",
    sqlite3.SQLITE_IOERR: "the disk failed to read or write it",
    sqlite3.SQLITE_TOOBIG: "a message is too large for SQLite",
}


class Again(Exception):  # noqa: N818 - an instruction
    """Raised by a request that must take a more careful way: the transaction begins anew."""


class Request(ABC, Generic[T]):
    """What one caller wants done.

    Attributes:
        queue: For errors.
        weight: Bytes that it moves, roughly; bounds what one transaction holds.
        reads_only: Whether it needs no transaction.
        alone: Whether it is granted apart from others.
    """

    queue: str = ""
    weight: int = 0
    reads_only: bool = False
    alone: bool = False

    @abstractmethod
    def apply(self, store: "Store") -> T:
        """Do it, within a transaction unless it reads only. May be called again after a rollback."""


class Outcome:
    """What came of a request: a result or an error."""

    __slots__ = ("error", "result")

    def __init__(self, result: object = None, error: Exception | None = None) -> None:
        self.result = result
        self.error = error


class Store:
    """The file, opened at the first request.

    Attributes:
        settings: Where it is and what is asked of it.
        now_ns: Wall time of the transaction under way.
        connection: Open while requests are applied.
    """

    def __init__(self, settings: SqliteSettings, *, create: bool = True) -> None:
        self.settings = settings
        self.now_ns = 0
        self._create = create
        self._connection: sqlite3.Connection | None = None
        self._opened: tuple[int, int] | None = None  # the file that the connection is to: device and inode
        self._housekeeping = Housekeeping(settings)

    @property
    def connection(self) -> sqlite3.Connection:
        """The open file."""
        if self._connection is None:
            self._connection = open_file(self.settings, create=self._create)
            self._opened = self._found()
        return self._connection

    def run(self, requests: Sequence[Request[Any]], now_ns: int) -> list[Outcome]:
        """Grant requests, all in one transaction; if that fails, each in its own, so that only the guilty one fails."""
        self.now_ns = now_ns
        try:
            return [Outcome(result) for result in self._together(requests)]
        except Exception as error:  # noqa: BLE001 - it is handed to the callers
            if len(requests) > 1 and not is_busy(error):
                return [outcome for request in requests for outcome in self.run([request], now_ns)]
            return [Outcome(error=self._explained(error, request)) for request in requests]

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """See one state of the file throughout, whatever other processes write meanwhile."""
        connection = self.connection
        if connection.in_transaction:
            yield
            return
        connection.execute("BEGIN")
        try:
            yield
        finally:
            connection.execute("ROLLBACK")

    def close(self) -> None:
        """Close the file; it opens again if it is used again."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _found(self) -> tuple[int, int] | None:
        """Which file is at the path now."""
        try:
            status = self.settings.path.stat()
        except OSError:
            return None
        return status.st_dev, status.st_ino

    def _see_that_it_is_there(self) -> None:
        """SQLite goes on with a file that has no name any more, and what it stores there is gone with the process.

        Raises:
            QueueFileError: The file was removed, or another put in its place.
        """
        if self._connection is not None and self._found() != self._opened:
            raise QueueFileError(
                self.settings.path, "was removed or replaced while in use; put it back, or stop what uses it"
            )

    def _together(self, requests: Sequence[Request[Any]]) -> list[Any]:
        if not requests[0].alone:  # what needs no file goes on without one
            self._see_that_it_is_there()
        if all(request.reads_only for request in requests):
            return [request.apply(self) for request in requests]
        connection = self.connection
        while True:
            connection.execute("BEGIN IMMEDIATE")
            try:
                results = [request.apply(self) for request in requests]
                self._housekeeping.step(connection, self.now_ns)
                connection.execute("COMMIT")
            except Again:
                self._roll_back(connection)
            except BaseException:
                self._roll_back(connection)
                raise
            else:
                return results

    def _roll_back(self, connection: sqlite3.Connection) -> None:
        """Undo; a connection that cannot even do that is given up."""
        try:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
        except sqlite3.Error:
            self.close()
            raise

    def _explained(self, error: Exception, request: Request[Any]) -> Exception:
        """The error that a caller sees; what is not SQLite's passes as it is."""
        if isinstance(error, QueueError) or not isinstance(error, (sqlite3.Error, sqlite3.Warning, OverflowError)):
            return error
        path, code = self.settings.path, getattr(error, "sqlite_errorcode", None)
        if is_busy(error):
            problem = f"another process has kept it locked for {self.settings.busy_seconds:g} s; see what holds it"
        else:
            problem = _SAYINGS.get(code & 0xFF, "SQLite refused") if isinstance(code, int) else "SQLite refused"
        failure = QueueFileError(path, f"queue {request.queue!r}: {problem} ({error})")
        failure.__cause__ = error
        return failure


class Call(Request[T]):
    """A function as a request, granted in a transaction."""

    def __init__(self, function: Callable[[Store], T], queue: str = "") -> None:
        self.queue = queue
        self._function = function

    def apply(self, store: Store) -> T:
        """See `Request`."""
        return self._function(store)


class Look(Call[T]):
    """A function that only reads, as a request."""

    reads_only = True


class Pass(Request[None]):
    """Nothing; who asked before has been answered after it."""

    reads_only = True
    alone = True

    def apply(self, store: Store) -> None:
        """See `Request`."""


class Close(Request[None]):
    """Close the file; whoever asks for something afterwards opens it again."""

    reads_only = True
    alone = True

    def apply(self, store: Store) -> None:
        """See `Request`."""
        store.close()
