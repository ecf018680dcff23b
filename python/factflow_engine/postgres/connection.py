"""One connection that tasks share: serial, in threads, and cancelled with its caller.

Kept separate from `blocking`, which knows no tasks. Cancelling a caller cancels the statement on the server (as libpq's
`PQcancel` does), and cuts the connection if the server does not answer that: so a server that hangs delays a cancelled
caller by twice `patience_seconds`, or by the time-out of connecting. The function's transaction is then rolled back, or
was committed as a whole before.
"""

from collections.abc import Callable
from typing import TypeVar

import trio

from factflow_engine.postgres.blocking import BlockingConnection, Work
from factflow_engine.postgres.settings import PostgresSettings
from factflow_engine.seams import Seams

T = TypeVar("T")


class PostgresConnection:
    """Serial access to one connection for all callers.

    Functions may run again after the connection broke, or after a deadlock: they must be safe to repeat, also if their
    transaction was committed and only the answer got lost.

    Attributes:
        settings: Server, database and schema.
    """

    def __init__(
        self,
        settings: PostgresSettings,
        *,
        prepare: Work[None] | None = None,
        seams: Seams | None = None,
        patience_seconds: float = 1.0,
    ) -> None:
        """Note the settings; nothing is opened yet.

        Args:
            settings: Server, database and schema.
            prepare: Function for each new connection, in a transaction of its own.
            seams: Threads for the blocking driver; the machine's own if None.
            patience_seconds: Time that the server has to take a cancellation, and again to obey it, before the
                connection is cut.
        """
        self.settings = settings
        self._blocking = BlockingConnection(settings, prepare=prepare)
        self._threads = (seams or Seams.real()).store_threads(2)  # one works, one cancels it
        self._patience_seconds = patience_seconds
        self._turn = trio.Lock()
        self._cancelled = False

    async def run(self, work: Work[T]) -> T:
        """Run a function in a transaction.

        Raises:
            PostgresError: See `BlockingConnection.run`.

        Cancellation: cancels the statement; the transaction is rolled back, or was already committed.
        """
        return await self._serve(lambda: self._blocking.run(work, repeats_commit=True))

    async def run_alone(self, work: Work[T]) -> T:
        """Run a function outside any transaction, for statements that permit none; otherwise as `run`."""
        return await self._serve(lambda: self._blocking.run_alone(work))

    async def close(self) -> None:
        """Close the connection; a later call opens another one."""
        with trio.CancelScope(shield=True):
            async with self._turn:
                await self._threads.run(self._blocking.close)

    async def _serve(self, function: Callable[[], T]) -> T:
        async with self._turn:
            self._cancelled = False
            self._blocking.begin()
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
                raise raised.pop()
            return result[0]

    async def _watch(self, done: trio.Event) -> None:
        """Stop the work of the thread when its caller is cancelled; return when it is done."""
        try:
            await done.wait()
        except trio.Cancelled:  # the caller's next checkpoint raises it again
            self._cancelled = True
            self._blocking.note_cancelled()
            with trio.CancelScope(shield=True):
                await self._stop(done)

    async def _stop(self, done: trio.Event) -> None:
        """Cancel statements until the thread is done, for it may be between two; then cut the connection."""
        pause = 0.01
        with trio.move_on_after(2 * self._patience_seconds):
            while not done.is_set():
                await self._threads.run(lambda: self._blocking.cancel(self._patience_seconds))
                with trio.move_on_after(pause):
                    await done.wait()
                pause = min(2 * pause, 0.5)
        if not done.is_set():
            self._blocking.cut()
