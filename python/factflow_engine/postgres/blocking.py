"""One connection that is opened when it is needed, and opened again when it broke. Blocks: for use in threads.

Kept separate from `connection`, which lets tasks share it, because a store may have threads of its own.
"""

import os
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, TypeVar

import psycopg
from psycopg.pq import TransactionStatus

from factflow_engine.postgres.errors import PostgresError
from factflow_engine.postgres.patience import PatientConnection
from factflow_engine.postgres.settings import PostgresSettings

T = TypeVar("T")
Row = tuple[Any, ...]
Work = Callable[[psycopg.Connection[Row]], T]

OLDEST_SERVER: Final = 140_000
"""PostgreSQL 14, the first to detach partitions without a lock that stops their readers."""

_ATTEMPTS: Final = 3
_AGAIN: Final = (psycopg.errors.DeadlockDetected, psycopg.errors.SerializationFailure)
_GONE: Final = (psycopg.OperationalError, psycopg.InterfaceError)


class BlockingConnection:
    """Connection for one caller at a time.

    Functions may run again after the connection broke, or after a deadlock.

    Attributes:
        settings: Server, database and schema.
        opened: Number of connections opened so far.
    """

    def __init__(
        self,
        settings: PostgresSettings,
        *,
        prepare: Work[None] | None = None,
        silence_seconds: float | None = None,
    ) -> None:
        """Note the settings; nothing is opened yet.

        Args:
            settings: Server, database and schema.
            prepare: Function for each new connection, in a transaction of its own.
            silence_seconds: Time after which a server that says nothing counts as gone; None waits for ever. Longer than
                any statement or wait for a lock may take.
        """
        self.settings = settings
        self._silence_seconds = silence_seconds
        self._is_ending = False  # the function has returned: its transaction may have been committed
        self.opened = 0
        self._prepare = prepare
        self._connection: PatientConnection | None = None
        self._process = 0  # the process that opened it: a forked child must not use it
        self._cancelled = False

    def run(self, work: Work[T], *, repeats_commit: bool = False) -> T:
        """Run a function in a transaction.

        Args:
            work: The function.
            repeats_commit: True if it is safe to repeat also after its transaction was committed and only the answer got
                lost.

        Raises:
            PostgresError: The server or the function's statements failed; the transaction was rolled back, or, if the
                connection broke at its end, possibly committed.
        """

        def transaction(connection: psycopg.Connection[Row]) -> T:
            with connection.transaction():
                result = work(connection)
                self._is_ending = True
            return result

        return self._explaining(transaction, repeats_commit=repeats_commit)

    def run_alone(self, work: Work[T]) -> T:
        """Run a function outside any transaction, for statements that permit none; otherwise as `run`."""
        return self._explaining(work, repeats_commit=True)

    def begin(self) -> None:
        """Forget a cancellation of an earlier call."""
        self._cancelled = False

    def note_cancelled(self) -> None:
        """Begin nothing more: the caller was cancelled. Does not block."""
        self._cancelled = True

    def cancel(self, timeout_seconds: float) -> None:
        """Cancel the statement that another thread runs, if it runs one."""
        connection = self._connection
        if connection is not None:
            with suppress(psycopg.Error):  # a server that does not answer: the caller cuts the connection
                connection.cancel_safe(timeout=timeout_seconds)

    def cut(self) -> None:
        """End the connection under the thread that waits for it. Does not block."""
        connection = self._connection
        if connection is not None:
            with suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(connection.pgconn.socket)) as ours:
                ours.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the connection; a later call opens another one."""
        connection, self._connection = self._connection, None
        if connection is not None and self._process == os.getpid():
            connection.close()

    def _explaining(self, work: Work[T], *, repeats_commit: bool) -> T:
        try:
            return self._attempt(work, repeats_commit=repeats_commit)
        except psycopg.Error as error:
            raise self._explained(error) from error

    def _attempt(self, work: Work[T], *, repeats_commit: bool) -> T:
        """Run a function, again on a new connection if the one that lay idle is gone. Blocks."""
        was_silent = False
        for left in reversed(range(_ATTEMPTS)):
            self._is_ending = False
            try:
                connection = self._open()
                if self._cancelled:
                    raise PostgresError(self.settings.place, "the caller was cancelled")
                return work(connection)
            except _AGAIN:
                self._close_unless_idle()
                if not left or self._cancelled:
                    raise
            except _GONE:
                if not self._is_gone():  # a statement that was cancelled, say
                    self._close_unless_idle()
                    raise
                is_silent = self._connection is not None and self._connection.was_silent
                self.close()
                if not left or self._cancelled or (self._is_ending and not repeats_commit):
                    raise
                if is_silent:
                    if was_silent:
                        raise
                    was_silent = True  # once may be the fault of a way on which an idle connection was forgotten
            except BaseException:
                self._close_unless_idle()
                raise
        raise AssertionError("the last attempt returns or raises")

    def _is_gone(self) -> bool:
        return self._connection is None or self._connection.broken or self._connection.closed

    def _close_unless_idle(self) -> None:
        """Close a connection that cannot serve another call: it is not open, or a transaction was left open.

        One is left if its caller's cancellation hit the `ROLLBACK` or `COMMIT` itself: `psycopg` then takes the next
        transaction for an inner one of it.
        """
        connection = self._connection
        if connection is None or self._is_gone() or connection.info.transaction_status is not TransactionStatus.IDLE:
            self.close()

    def _open(self) -> PatientConnection:
        if self._connection is not None and self._process != os.getpid():
            self._connection = None  # the parent's: not even closed here
        if self._connection is None or self._connection.closed:
            self._connection, self._process = self._connect(), os.getpid()
            self.opened += 1
            try:
                if self._connection.info.server_version < OLDEST_SERVER:
                    version = self._connection.info.server_version // 10_000
                    raise PostgresError(self.settings.place, f"it is version {version}; expected 14 or newer")
                if self._prepare is not None:
                    with self._connection.transaction():
                        self._prepare(self._connection)
            except BaseException:
                self.close()
                raise
        return self._connection

    def _connect(self) -> PatientConnection:
        try:
            connection = PatientConnection.connect(self.settings.url, autocommit=True, prepare_threshold=None)
        except psycopg.Error as error:
            raise PostgresError(self.settings.place, f"cannot connect: {_first_line(error)}", error.sqlstate) from error
        connection.silence_seconds = self._silence_seconds
        return connection

    def _explained(self, error: psycopg.Error) -> PostgresError:
        broke = isinstance(error, _GONE) and error.sqlstate is None
        problem = f"the connection broke: {_first_line(error)}" if broke else _first_line(error)
        return PostgresError(self.settings.place, problem, error.sqlstate)


def _first_line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
