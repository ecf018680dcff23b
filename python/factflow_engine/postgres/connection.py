"""One connection that is opened when it is needed, serves one caller at a time, and is opened again when it broke.

A caller's function runs in a thread, in one transaction. Cancelling the caller cancels the statement on the server (as
libpq's `PQcancel` does), and cuts the connection if the server does not answer that: so a server that hangs delays a
cancelled caller by twice `patience_seconds`, or by the time-out of connecting. The function's transaction is then
rolled back, or was committed as a whole before.
"""

import os
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, TypeVar

import psycopg
import trio

from factflow_engine.postgres.errors import PostgresError
from factflow_engine.postgres.settings import PostgresSettings
from factflow_engine.seams import Threads, TrioThreads

T = TypeVar("T")
Row = tuple[Any, ...]
Work = Callable[[psycopg.Connection[Row]], T]

OLDEST_SERVER: Final = 140_000
"""PostgreSQL 14, the first to detach partitions without a lock that stops their readers."""

_ATTEMPTS: Final = 3
_AGAIN: Final = (psycopg.errors.DeadlockDetected, psycopg.errors.SerializationFailure)
_GONE: Final = (psycopg.OperationalError, psycopg.InterfaceError)


class PostgresConnection:
    """Serial access to one connection for all callers.

    Functions may run again after the connection broke, or after a deadlock: they must be safe to repeat, also if their
    transaction was committed and only the answer got lost.

    Attributes:
        settings: Server, database and schema.
        opened: Number of connections opened so far.
    """

    def __init__(
        self,
        settings: PostgresSettings,
        *,
        prepare: Work[None] | None = None,
        threads: Threads | None = None,
        patience_seconds: float = 1.0,
    ) -> None:
        """Note the settings; nothing is opened yet.

        Args:
            settings: Server, database and schema.
            prepare: Function for each new connection, in a transaction of its own.
            threads: Runner of the blocking driver.
            patience_seconds: Time that the server has to take a cancellation, and again to obey it, before the
                connection is cut.
        """
        self.settings = settings
        self.opened = 0
        self._prepare = prepare
        self._threads = threads if threads is not None else TrioThreads(limit=2)  # one works, one cancels it
        self._patience_seconds = patience_seconds
        self._turn = trio.Lock()
        self._connection: psycopg.Connection[Row] | None = None
        self._process = 0  # the process that opened it: a forked child must not use it
        self._cancelled = False

    async def run(self, work: Work[T]) -> T:
        """Run a function in a transaction.

        Raises:
            PostgresError: The server or the function's statements failed; the transaction was rolled back, or, if the
                connection broke at its end, possibly committed.

        Cancellation: cancels the statement; the transaction is rolled back, or was already committed.
        """
        return await self._serve(lambda: self._transact(work))

    async def run_alone(self, work: Work[T]) -> T:
        """Run a function outside any transaction, for statements that permit none; otherwise as `run`."""
        return await self._serve(lambda: self._attempt(work))

    async def close(self) -> None:
        """Close the connection; a later call opens another one."""
        with trio.CancelScope(shield=True):
            async with self._turn:
                await self._threads.run(self._discard)

    async def _serve(self, function: Callable[[], T]) -> T:
        async with self._turn:
            self._cancelled = False
            done = trio.Event()
            result: list[T] = []
            raised: list[BaseException] = []
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._watch, done)
                try:
                    result.append(await self._threads.run(function))
                except BaseException as error:  # noqa: BLE001 - it is raised below, outside the nursery
                    raised.append(error)
                finally:
                    done.set()
            if self._cancelled:
                await trio.lowlevel.checkpoint_if_cancelled()
            if raised:
                raise self._explained(raised.pop())
            return result[0]

    async def _watch(self, done: trio.Event) -> None:
        """Stop the work of the thread when its caller is cancelled; return when it is done."""
        try:
            await done.wait()
        except trio.Cancelled:  # the caller's next checkpoint raises it again
            self._cancelled = True
            with trio.CancelScope(shield=True):
                await self._stop(done)

    async def _stop(self, done: trio.Event) -> None:
        """Cancel statements until the thread is done, for it may be between two; then cut the connection."""
        pause = 0.01
        with trio.move_on_after(2 * self._patience_seconds):
            while not done.is_set():
                if self._connection is not None:
                    await self._threads.run(self._cancel)
                with trio.move_on_after(pause):
                    await done.wait()
                pause = min(2 * pause, 0.5)
        if not done.is_set() and self._connection is not None:
            _cut(self._connection)

    def _cancel(self) -> None:
        connection = self._connection
        if connection is not None:
            with suppress(psycopg.Error):  # a server that does not answer: the connection is cut
                connection.cancel_safe(timeout=self._patience_seconds)

    def _transact(self, work: Work[T]) -> T:
        def transaction(connection: psycopg.Connection[Row]) -> T:
            with connection.transaction():
                return work(connection)

        return self._attempt(transaction)

    def _attempt(self, work: Work[T]) -> T:
        """Run a function, again on a new connection if the one that lay idle is gone. Blocks."""
        for left in reversed(range(_ATTEMPTS)):
            try:
                connection = self._open()
                if self._cancelled:
                    raise PostgresError(self.settings.place, "the caller was cancelled")
                return work(connection)
            except _AGAIN:
                if not left or self._cancelled:
                    raise
            except _GONE:
                if not self._is_gone():
                    raise
                self._discard()
                if not left or self._cancelled:
                    raise
            except BaseException:
                if self._is_gone():
                    self._discard()
                raise
        raise AssertionError("the last attempt returns or raises")

    def _is_gone(self) -> bool:
        return self._connection is None or self._connection.broken or self._connection.closed

    def _open(self) -> psycopg.Connection[Row]:
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
                self._discard()
                raise
        return self._connection

    def _connect(self) -> psycopg.Connection[Row]:
        try:
            return psycopg.connect(self.settings.url, autocommit=True, prepare_threshold=None)
        except psycopg.Error as error:
            raise PostgresError(self.settings.place, f"cannot connect: {_first_line(error)}", error.sqlstate) from error

    def _discard(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None and self._process == os.getpid():
            connection.close()

    def _explained(self, error: BaseException) -> BaseException:
        if not isinstance(error, psycopg.Error):
            return error
        broke = isinstance(error, _GONE) and error.sqlstate is None
        problem = f"the connection broke: {_first_line(error)}" if broke else _first_line(error)
        explained = PostgresError(self.settings.place, problem, error.sqlstate)
        explained.__cause__ = error
        return explained


def _cut(connection: psycopg.Connection[Row]) -> None:
    """End the connection under the thread that waits for it."""
    with suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(connection.pgconn.socket)) as ours:
        ours.shutdown(socket.SHUT_RDWR)


def _first_line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
