"""One process's connection to the file, and the execution of requests in transactions.

Blocking and synchronous: the writer calls it in a thread, one call at a time. A request is one caller's operation;
requests that arrive together run in one transaction.
"""

import os
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Final, Generic, TypeVar

from factflow_engine.queues.sqlite.housekeeping import Housekeeping
from factflow_engine.queues.sqlite.location import QueueFileError, SqliteSettings
from factflow_engine.queues.sqlite.reading import READ_ONLY, is_read_only, open_to_look
from factflow_engine.queues.sqlite.schema import open_file
from factflow_engine.queues.sqlite.watching import LostFileError, Watch
from factflow_engine.seams import Clock
from factflow_engine.sqlite_files import is_busy, primary_code, transaction
from factflow_protocols import FactflowError, QueueClosedError, QueueError

T = TypeVar("T")

_LOOKS: Final = 10
"""Attempts to check that a file is whole while others write to it."""

_SAYINGS: Final = {
    sqlite3.SQLITE_FULL: "the disk is full; make room and try again",
    sqlite3.SQLITE_READONLY: f"the file {READ_ONLY}",
    sqlite3.SQLITE_CORRUPT: "it is damaged; `factflow queue fsck` says how",
    sqlite3.SQLITE_NOTADB: "it is no longer an SQLite file",
    sqlite3.SQLITE_IOERR: "the disk failed to read or write it",
    sqlite3.SQLITE_TOOBIG: "a message is too large for SQLite",
}


class Again(FactflowError):  # noqa: N818 - an instruction
    """Instruction of a request that must take a more careful way: the transaction starts again."""


class _Shortened(FactflowError):  # noqa: N818 - an instruction
    """Instruction not to commit the transaction before it is known why a file became shorter."""


class Request(ABC, Generic[T]):
    """Operation of one caller.

    Attributes:
        queue: Name of the queue, for errors.
        weight: Approximate bytes that it moves; bounds the size of a transaction.
        reads_only: True if it needs no transaction.
        uses_file: True if it reads the file at all.
        alone: True if it needs a transaction of its own.
    """

    queue: str = ""
    weight: int = 0
    reads_only: bool = False
    uses_file: bool = True
    alone: bool = False

    @abstractmethod
    def apply(self, store: "Store") -> T:
        """Run the operation, within a transaction unless it only reads. May be called again after a rollback."""


class Outcome:
    """Outcome of a request: a result or an error."""

    __slots__ = ("error", "result")

    def __init__(self, result: object = None, error: Exception | None = None) -> None:
        self.result = result
        self.error = error


class Store:
    """The file, opened at the first request.

    Attributes:
        settings: Path and settings of the file.
        now_ns: Wall time of the current transaction, read after it got the lock: the wait may be as long as a lease.
        connection: Connection, open while requests are applied.
    """

    def __init__(self, settings: SqliteSettings, *, clock: Clock, create: bool = True) -> None:
        self.settings = settings
        self.now_ns = 0
        self._clock = clock
        self._create = create
        self._connection: sqlite3.Connection | None = None
        self._closed = False
        self._path = settings.path  # absolute once it was opened
        self._watch: Watch | None = None  # its files, while it is open
        self._saved = False  # the content of a log that was lost is in the file
        self._process = 0  # the process that opened it; a forked child may not even close it
        self._housekeeping = Housekeeping(settings)

    @property
    def connection(self) -> sqlite3.Connection:
        """The open connection.

        Raises:
            QueueClosedError: It was closed for good.
        """
        if self._closed:
            raise QueueClosedError(str(self.settings.path), "its provider was stopped")
        if self._connection is None:
            self._path = self.settings.path.absolute()
            if self._path.is_symlink():  # the log lies beside the file itself
                self._path = self._path.resolve()
                self.settings = replace(self.settings, path=self._path)
            if is_read_only(self._path):
                connection = self._opened_to_look()
            else:
                connection = open_file(self.settings, create=self._create)
                try:
                    self._watch = Watch(self._path)
                except BaseException:
                    connection.close()
                    raise
            self._connection, self._process = connection, os.getpid()
        return self._connection

    def _opened_to_look(self) -> sqlite3.Connection:
        if self._create:  # to put messages into it
            raise QueueFileError(self.settings.path, READ_ONLY)
        return open_to_look(self.settings)

    def run(self, requests: Sequence[Request[Any]]) -> list[Outcome]:
        """Run requests in one transaction; if that fails, each in its own, so that only the faulty one fails."""
        try:
            return [Outcome(result) for result in self._together(requests)]
        except Exception as error:  # noqa: BLE001 - it is handed to the callers
            if len(requests) > 1 and not is_busy(error):
                return [outcome for request in requests for outcome in self.run([request])]
            return [Outcome(error=self._explained(error, request)) for request in requests]

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Read one state of the file throughout, whatever other processes write meanwhile."""
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
        """Close the file for good."""
        self._closed = True
        self._give_up()

    def _give_up(self) -> None:
        """Close the file; the next use opens it again."""
        if self._is_inherited:
            return
        connection, self._connection = self._connection, None
        self._watch = None
        if connection is not None:
            connection.close()

    @property
    def _is_inherited(self) -> bool:
        return self._connection is not None and self._process != os.getpid()

    def _together(self, requests: Sequence[Request[Any]]) -> list[Any]:
        if self._is_inherited:
            raise QueueFileError(
                self.settings.path,
                f"was opened by process {self._process}, of which this process is a forked child; SQLite does not allow "
                "that: open the queue again here, or start the child with multiprocessing's `spawn`",
            )
        if any(request.uses_file for request in requests):
            self._require_same_files()
        if all(request.reads_only for request in requests):
            self.now_ns = self._clock.wall_ns()
            return [request.apply(self) for request in requests]
        connection = self.connection
        while True:
            try:
                with transaction(connection):
                    self.now_ns = self._clock.wall_ns()
                    changes = connection.total_changes
                    results = [request.apply(self) for request in requests]
                    self._housekeeping.step(connection, self.now_ns, connection.total_changes - changes)
                    self._look_again()
            except Again:
                continue
            except _Shortened:
                self._require_whole_files(connection)
            except BaseException:
                if connection.in_transaction:  # not even rolled back
                    self._give_up()
                raise
            else:
                if self._watch is not None:
                    self._watch.look()  # a file may have gone since: messages that nobody else can read must not count as stored
                return results

    def _require_same_files(self) -> None:
        """Check that the open files are still those of their names: data written to others would be lost.

        Must be called outside a transaction.

        Raises:
            LostFileError: A file was removed or replaced.
            QueueFileError: A file was truncated.
        """
        if self._connection is not None and self._watch is not None:
            self._watch.look()
            if self._watch.is_shorter:
                self._require_whole_files(self._connection)

    def _look_again(self) -> None:
        """Check the files again, before a commit."""
        if self._watch is not None:
            self._watch.look()
            if self._watch.is_shorter:
                raise _Shortened

    def _require_whole_files(self, connection: sqlite3.Connection) -> None:
        """Find out why a file is shorter: SQLite truncates a log that is completely in the file, and a vacuumed file.

        A log that another program truncated cannot be read to its end, and a file that another program truncated has
        fewer pages than the log's index says.

        Raises:
            QueueFileError: Another program truncated it.
        """
        cause: sqlite3.Error | None = None
        for _ in range(_LOOKS):
            try:
                connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
                [pages] = connection.execute("PRAGMA page_count").fetchone()
                [size] = connection.execute("PRAGMA page_size").fetchone()
            except sqlite3.Error as error:
                cause = error
                if is_busy(error):
                    continue
                break
            if self._path.stat().st_size >= pages * size:
                if self._watch is not None:
                    self._watch.is_shorter = False
                return
        raise QueueFileError(
            self.settings.path,
            "or its log was cut short while it was in use, so that nothing more is stored; stop what uses it, and see with "
            "`factflow queue fsck` what is left",
        ) from cause

    def _save_log(self) -> None:
        """Copy a removed log into the file: only this process still has it open."""
        connection = self._connection
        if connection is None or self._saved:
            return
        try:
            _, logged, done = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        except sqlite3.Error:
            return  # the error that is being raised says that it is not
        self._saved = logged == done

    def _explained(self, error: Exception, request: Request[Any]) -> Exception:
        """Return the error for the caller; errors that are not SQLite's pass unchanged."""
        if isinstance(error, LostFileError):
            return self._lost(error)
        if isinstance(error, UnicodeEncodeError):
            problem = "its name, or its subscription's, has half a character (a lone surrogate); write another"
            failure = QueueError(request.queue, problem)
            failure.__cause__ = error
            return failure
        if isinstance(error, QueueError) or not isinstance(error, (sqlite3.Error, sqlite3.Warning, OverflowError)):
            return error
        if is_busy(error):
            problem = f"another process has kept it locked for {self.settings.busy_seconds:g} s; see what holds it"
        else:
            problem = _SAYINGS.get(primary_code(error), "SQLite refused")
        failure = QueueFileError(self.settings.path, f"queue {request.queue!r}: {problem} ({error})")
        failure.__cause__ = error
        return failure

    def _lost(self, error: LostFileError) -> QueueFileError:
        if error.is_log:
            self._save_log()
        saved = "what had been accepted before is in the file; " if error.is_log and self._saved else ""
        return QueueFileError(
            error.path,
            f"was removed or replaced while it was in use, so that nothing more is stored; {saved}start again once the "
            "right file is in its place, and remove or replace it only when no process uses it",
        )


class Call(Request[T]):
    """A function as a request, run in a transaction."""

    def __init__(self, function: Callable[[Store], T], queue: str = "") -> None:
        self.queue = queue
        self._function = function

    def apply(self, store: Store) -> T:
        """See `Request`."""
        return self._function(store)


class Look(Call[T]):
    """A function that only reads, as a request."""

    reads_only = True


class Survey(Look[T]):
    """A long read, as a request: run separately, because beside a writing request it would extend the lock."""

    alone = True


class Wait(Request[None]):
    """An empty request, which ends after all requests before it."""

    reads_only = True
    uses_file = False

    def apply(self, store: Store) -> None:
        """See `Request`."""


class Close(Request[None]):
    """Close the file; later requests are refused."""

    reads_only = True
    uses_file = False
    alone = True

    def apply(self, store: Store) -> None:
        """See `Request`."""
        store.close()
