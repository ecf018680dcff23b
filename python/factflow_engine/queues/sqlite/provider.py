"""`sqlite:///path`: queues and topics in one file, for the processes of one machine.

An accepted message stays in the file and is handed out until it is settled, whichever process dies when; the durability
decides how much a power cut may undo (see `durability`). Messages of a queue are handed out in the order of acceptance,
except those that are given back.
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
from factflow_engine.queues.sqlite.encoding import encoded_message
from factflow_engine.queues.sqlite.location import SqliteSettings
from factflow_engine.queues.sqlite.publisher import Publisher
from factflow_engine.queues.sqlite.resuming import can_resume
from factflow_engine.queues.sqlite.starts import Begin, end, holdings
from factflow_engine.queues.sqlite.states import SqliteStates
from factflow_engine.queues.sqlite.store import Call, Close, Look, Store, Wait
from factflow_engine.queues.sqlite.subscription import SqliteSubscription
from factflow_engine.queues.sqlite.writer import Writer
from factflow_engine.seams import Clock, SystemClock, Threads, TrioThreads
from factflow_protocols import BatchResult, Begun, Holding, MessageStatus, QueueMessage


class SqliteQueue:
    """Durable provider. See `factflow_protocols.QueueProtocol` for the contract of its methods.

    Several may be open on one file, in one process or in many. The first call that needs the file opens it.

    Delays, leases and windows are counted in wall time, which processes share; keep the clock from stepping. If the
    clock jumps ahead by more than a lease, messages of running consumers are handed out to others, too (they notice at
    their next renewal). If it jumps back, delayed messages, and those leased by a dead consumer, wait longer by as
    much.
    """

    outlives_process: bool = True

    def __init__(self, settings: SqliteSettings, *, threads: Threads | None = None, clock: Clock | None = None) -> None:
        """Prepare; nothing is opened.

        Args:
            settings: Path and durability; see `SqliteSettings.from_url`.
            threads: Threads for blocking SQLite calls; one thread at a time of its own if None.
            clock: Its wall time decides delays and leases; the machine's clock if None. It is also read in the thread.
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
        """Path and durability of the file."""
        return self._settings

    @property
    def administration(self) -> SqliteAdministration:
        """Return the administration of the file."""
        return SqliteAdministration(self._writer)

    def open_administration(self) -> AbstractAsyncContextManager[SqliteAdministration]:
        """See `factflow_protocols.AdministeredQueue`; opens another connection, and only to an existing file."""
        return open_administration(self._settings, threads=self._threads, clock=self._clock)

    @property
    def states(self) -> SqliteStates:
        """Return the store of stages' states; see `factflow_protocols.StateProvider`."""
        return SqliteStates(self._writer, lease_seconds=self._settings.lease_seconds)

    def validate_name(self, queue: str) -> str | None:
        """See `QueueProtocol.validate_name`; the rules are those of the in-process provider."""
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
        """See `QueueProtocol.publish_batch`; stores parts of a thousand messages or 4 MiB, one after the other.

        Raises:
            QueueError: Nothing of the batch is stored. If only the rest failed, the result says so instead.
        """
        return await self._publisher.publish_batch(queue, messages)

    @asynccontextmanager
    async def subscribe(
        self, queue: str, subscription: str, prefetch: int, capacity: int | None = None
    ) -> AsyncIterator[SqliteSubscription]:
        """See `QueueProtocol.subscribe`.

        A topic's subscription stays when its consumers leave, and gets every message from then on until it is forgotten
        (`discard`, or `factflow queue forget`). The capacity that the first consumer in a process sets is kept in the
        file.

        Raises:
            QueueClosedError: The provider was stopped.
            QueueFileError: The file cannot be used. On exit: unsettled messages could not be given back; only logged if
            the body raised an exception itself.
        """
        async with self._consumers.subscribed(queue, subscription, prefetch, capacity, in_order=False) as consumer:
            yield consumer

    @asynccontextmanager
    async def subscribe_in_order(
        self, queue: str, subscription: str, prefetch: int, capacity: int | None = None
    ) -> AsyncIterator[SqliteSubscription]:
        """See `OrderedQueueProtocol.subscribe_in_order`, and `subscribe`.

        Such consumers take turns: one gets messages while no other has any. Messages of a dead consumer are handed out
        again when its lease has expired, and no others before. All consumers of the subscription must subscribe this
        way.
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

    @property
    def url(self) -> str:
        """See `ResumableStarts.url`."""
        return self._settings.url

    async def can_resume(self, execution: str, *, asked_ns: int) -> bool:
        """See `ResumableStarts.can_resume`.

        Raises:
            QueueFileError: The file cannot be read.
        """
        return await self._threads.run(lambda: can_resume(self._settings, execution, asked_ns=asked_ns))

    async def discard(self, prefix: str) -> None:
        """Delete the queues and the topics' subscriptions with this prefix, their messages, and what stages keep.

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
        """See `QueueProtocol.stop`: give back consumers' messages, and close the file.

        Tasks that wait for messages or room get `QueueClosedError`. Cancellation: the file is closed all the same.
        """
        if self._stopped:
            await trio.lowlevel.checkpoint()
            return
        self._stopped = True
        release = self._consumers.end()
        with trio.CancelScope(shield=True):
            try:
                await self._writer.submit(Wait())  # earlier claims have returned after this
                await trio.lowlevel.checkpoint()
                await release()
            finally:
                await self._writer.submit(Close())
