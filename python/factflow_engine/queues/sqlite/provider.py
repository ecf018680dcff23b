"""`sqlite:///path`: queues and topics in one file, for the processes of one machine.

What was accepted is in the file and is handed out until it was settled, whichever process dies when; how much a power
cut may take is the durability's (see `durability`). Messages of one queue are handed out in the order in which they
were accepted, except for those that are given back.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import trio

from factflow_engine.queues.naming import memory_queue_name_problem
from factflow_engine.queues.sqlite.administration import SqliteAdministration, open_administration
from factflow_engine.queues.sqlite.bells import Bells
from factflow_engine.queues.sqlite.consumers import Consumers
from factflow_engine.queues.sqlite.dropping import discard
from factflow_engine.queues.sqlite.location import SqliteSettings
from factflow_engine.queues.sqlite.publisher import Publisher, encoded_message
from factflow_engine.queues.sqlite.starts import Begin, end, holdings
from factflow_engine.queues.sqlite.states import SqliteStates
from factflow_engine.queues.sqlite.store import Call, Close, Look, Store, Wait
from factflow_engine.queues.sqlite.subscription import SqliteSubscription
from factflow_engine.queues.sqlite.writer import Writer
from factflow_engine.seams import Clock, SystemClock, Threads, TrioThreads
from factflow_protocols import BatchResult, Begun, Holding, MessageStatus, QueueMessage


class SqliteQueue:
    """A durable provider. See `factflow_protocols.QueueProtocol` for the contract of its methods.

    Several may be open on one file, in one process or in many. The file is opened at the first call that needs it.

    Delays, leases and windows are counted in wall time, which is what processes share; keep the clock from stepping. If
    it is put forward by more than a lease, what living consumers have is handed out to others, too (they are told at
    their next renewal). If it is put back, what was delayed, or leased by a consumer that died, waits for as much longer.
    """

    outlives_process: bool = True

    def __init__(self, settings: SqliteSettings, *, threads: Threads | None = None, clock: Clock | None = None) -> None:
        """Prepare; nothing is opened.

        Args:
            settings: Where, and how durable; see `SqliteSettings.from_url`.
            threads: Where SQLite may block; a thread at a time of its own if None.
            clock: Its wall time is what delays and leases are counted in; the machine's if None. It is read in the thread,
                too.
        """
        self._settings = settings
        self._clock = clock or SystemClock()
        self._threads = threads or TrioThreads(limit=1)
        self._writer = Writer(Store(settings, clock=self._clock), threads=self._threads)
        self._bells = Bells()
        self._consumers = Consumers(
            self._writer,
            bells=self._bells,
            clock=self._clock,
            lease_seconds=settings.lease_seconds,
            is_stopped=lambda: self._stopped,
        )
        self._publisher = Publisher(self._writer, self._consumers, bells=self._bells)
        self._stopped = False

    @classmethod
    def from_url(
        cls, url: str, *, directory: Path | None = None, threads: Threads | None = None, clock: Clock | None = None
    ) -> "SqliteQueue":
        """Make one from `sqlite:///path?durability=power`; see `SqliteSettings.from_url`.

        Raises:
            QueueUrlError: The URL cannot be read.
        """
        return cls(SqliteSettings.from_url(url, directory=directory), threads=threads, clock=clock)

    @property
    def settings(self) -> SqliteSettings:
        """Where the file is, and how durable."""
        return self._settings

    @property
    def administration(self) -> SqliteAdministration:
        """Return the administration of the file."""
        return SqliteAdministration(self._writer)

    def open_administration(self) -> AbstractAsyncContextManager[SqliteAdministration]:
        """See `factflow_protocols.AdministeredQueue`; opens the file another time, and only if it is there."""
        return open_administration(self._settings, threads=self._threads, clock=self._clock)

    @property
    def states(self) -> SqliteStates:
        """Return the store of stages' states; see `factflow_protocols.StateProvider`."""
        return SqliteStates(self._writer, lease_seconds=self._settings.lease_seconds)

    def validate_name(self, queue: str) -> str | None:
        """See `QueueProtocol.validate_name`; names are those of the in-process provider."""
        return memory_queue_name_problem(queue)

    async def publish(self, queue: str, message: QueueMessage) -> MessageStatus:
        """See `QueueProtocol.publish`; returns once the message is as durable as promised.

        Raises:
            QueueClosedError: The provider was stopped.
            QueueFileError: The file cannot be used.
            QueueError: The message cannot be stored.
        """
        result = await self.publish_batch(queue, (message,))
        if result.errors:
            raise result.errors[0]
        return result.statuses[0]

    async def publish_batch(self, queue: str, messages: Sequence[QueueMessage]) -> BatchResult:
        """See `QueueProtocol.publish_batch`; parts of a thousand messages or 4 MiB are stored one after the other.

        Raises:
            QueueError: Nothing of the batch is stored. If only the rest could not be, the result says so.
        """
        return await self._publisher.publish_batch(queue, messages)

    @asynccontextmanager
    async def subscribe(
        self, queue: str, subscription: str, prefetch: int, capacity: int | None = None
    ) -> AsyncIterator[SqliteSubscription]:
        """See `QueueProtocol.subscribe`.

        A topic's subscription stays when its consumers leave, and gets every message from then on until it is
        forgotten (`discard`, or `factflow queue forget`). The capacity that the first consumer in a process names stays in
        the file.

        Raises:
            QueueClosedError: The provider was stopped.
            QueueFileError: The file cannot be used. On leaving: what was held could not be given back; only logged if the
                body raised something itself.
        """
        async with self._consumers.subscribed(queue, subscription, prefetch, capacity, in_order=False) as consumer:
            yield consumer

    @asynccontextmanager
    async def subscribe_in_order(
        self, queue: str, subscription: str, prefetch: int, capacity: int | None = None
    ) -> AsyncIterator[SqliteSubscription]:
        """See `OrderedQueueProtocol.subscribe_in_order`, and `subscribe`.

        Consumers that subscribe so take turns: one gets messages while no other has any. What a dead one had is handed
        out again when its lease has ended, and nothing before that. It is for all consumers of the subscription to ask
        for it.
        """
        async with self._consumers.subscribed(queue, subscription, prefetch, capacity, in_order=True) as consumer:
            yield consumer

    def instant_ns(self) -> int:
        """See `ExecutionStarts.instant_ns`."""
        return self._clock.wall_ns()

    async def begin(
        self,
        execution: str,
        reads: Sequence[tuple[str, str]],
        messages: Sequence[tuple[str, QueueMessage]],
        *,
        asked_ns: int,
        owner: int = 0,
    ) -> Begun:
        """See `ExecutionStarts.begin`."""
        self._consumers.refuse_if_stopped(execution)
        encoded = [(queue, encoded_message(queue, message)) for queue, message in messages]
        began = await self._writer.submit(Begin(execution, reads, encoded, asked_ns=asked_ns, owner=owner))
        self._consumers.tell_arrived(began.added)
        return began.begun

    async def end(self, execution: str, reads: Sequence[tuple[str, str]], *, failed: bool = False) -> int:
        """See `ExecutionStarts.end`."""
        self._consumers.refuse_if_stopped(execution)
        return await self._writer.submit(Call(lambda store: end(store, execution, reads, failed=failed), execution))

    async def holdings(self, execution: str) -> Sequence[Holding]:
        """See `ExecutionStarts.holdings`."""
        self._consumers.refuse_if_stopped(execution)
        return await self._writer.submit(Look(lambda store: holdings(store, execution), execution))

    async def discard(self, prefix: str) -> None:
        """Forget the queues and the topics' subscriptions whose names begin so, what they hold, and what stages keep.

        Their consumers' next `receive` raises `QueueError`.
        """
        self._consumers.refuse_if_stopped(prefix)
        await self._writer.submit(Call(lambda store: discard(store, prefix), prefix))
        self._bells.ring_all()

    async def forget_empty(self, prefix: str) -> None:
        """See `QueueProtocol.forget_empty`; what is quarantined is kept, with its queue."""
        self._consumers.refuse_if_stopped(prefix)
        await self._consumers.forget_empty(prefix)

    async def stop(self) -> None:
        """See `QueueProtocol.stop`: gives back what consumers hold, and closes the file.

        Those who wait for messages or room get `QueueClosedError`. Cancellation: the file is closed all the same.
        """
        if self._stopped:
            await trio.lowlevel.checkpoint()
            return
        self._stopped = True
        release = self._consumers.end()
        with trio.CancelScope(shield=True):
            try:
                await self._writer.submit(Wait())  # those who claimed before know what they got after this
                await trio.lowlevel.checkpoint()
                await release()
            finally:
                await self._writer.submit(Close())
