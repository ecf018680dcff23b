"""`sqlite:///path`: queues and topics in one file, for the processes of one machine.

What was accepted is in the file and is handed out until it was settled, whichever process dies when; how much a power
cut may take is the durability's (see `durability`). Messages of one queue are handed out in the order in which they
were accepted, except for those that are given back.
"""

import logging
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Final, TypeAlias

import trio

from factflow_engine.errors import CodecError
from factflow_engine.frames import Frame
from factflow_engine.queues.naming import memory_queue_name_problem
from factflow_engine.queues.sqlite.administration import SqliteAdministration, open_administration
from factflow_engine.queues.sqlite.bells import Bell, Bells
from factflow_engine.queues.sqlite.forgetting import discard_states
from factflow_engine.queues.sqlite.lines import forget_line, line_id, subscription_key
from factflow_engine.queues.sqlite.location import SqliteSettings
from factflow_engine.queues.sqlite.looking import room_of
from factflow_engine.queues.sqlite.publishing import Encoded, Publish
from factflow_engine.queues.sqlite.starts import Begin, end, holdings
from factflow_engine.queues.sqlite.states import SqliteStates
from factflow_engine.queues.sqlite.store import Call, Close, Look, Store, Wait
from factflow_engine.queues.sqlite.subscription import (
    FIRST_POLL_SECONDS,
    LONGEST_POLL_SECONDS,
    SqliteSubscription,
)
from factflow_engine.queues.sqlite.writer import Writer
from factflow_engine.seams import Clock, SystemClock, Threads, TrioThreads
from factflow_protocols import BatchResult, Begun, Holding, MessageStatus, QueueClosedError, QueueError, QueueMessage

logger = logging.getLogger("factflow_engine.queues")

MOST_MESSAGES: Final = 1_000
MOST_BYTES: Final = 4 << 20
"""Of one request to the writer; longer batches are published in parts."""

_LONGEST_FRAME: Final = 64 << 20
"""What `Frame.decode` takes."""

_Name: TypeAlias = tuple[str, str]
"""A queue and the `subscription_key`. Of a line it is the name that stays: numbers are used again."""


class SqliteQueue:
    """A durable provider. See `factflow_protocols.QueueProtocol` for the contract of its methods.

    Several may be open on one file, in one process or in many. The file is opened at the first call that needs it.

    Delays, leases and windows are counted in wall time, which is what processes share; keep the clock from stepping. If
    it is put forward by more than a lease, what living consumers have is handed out to others, too (they are told at
    their next renewal). If it is put back, what was delayed, or leased by a consumer that died, waits for as much longer.
    """

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
        self._subscriptions: dict[int, list[SqliteSubscription]] = {}  # by line
        self._sized: set[int] = set()  # lines whose capacity a consumer of this process named
        self._wanted: Counter[_Name] = Counter()  # consumers that are here or just coming; none is 0
        self._forgettable: set[_Name] = set()  # wanted ones to be forgotten, if they are empty, when nobody wants them
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
        self._refuse_if_stopped(queue)
        statuses = [MessageStatus.REFUSED] * len(messages)
        errors: dict[int, Exception] = {}
        places, encoded = [], []
        for place, message in enumerate(messages):
            try:
                encoded.append(_encoded(queue, message))
                places.append(place)
            except QueueError as error:
                errors[place] = error
        done = 0
        try:
            if not encoded:
                await trio.lowlevel.checkpoint()
            while done < len(encoded):
                published = await self._publish(queue, encoded[done : done + _part(encoded, done)])
                for place, status in zip(places[done:], published, strict=False):
                    statuses[place] = status
                done += len(published)
        except QueueError as error:
            if done == 0:
                raise
            errors.update(dict.fromkeys(places[done:], error))
        return BatchResult(statuses=statuses, errors=errors)

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
        async with self._subscribed(queue, subscription, prefetch, capacity, in_order=False) as consumer:
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
        async with self._subscribed(queue, subscription, prefetch, capacity, in_order=True) as consumer:
            yield consumer

    @asynccontextmanager
    async def _subscribed(
        self, queue: str, subscription: str, prefetch: int, capacity: int | None, *, in_order: bool
    ) -> AsyncIterator[SqliteSubscription]:
        if prefetch < 1:
            raise ValueError(f"subscribe() needs a prefetch of at least 1, got {prefetch}")
        if capacity is not None and capacity < 1:
            raise ValueError(f"subscribe() needs a capacity of at least 1, got {capacity}")
        self._refuse_if_stopped(queue)
        name = queue, subscription_key(queue, subscription)
        consumer: SqliteSubscription | None = None
        raised: BaseException | None = None
        self._want(name)
        try:
            consumer = await self._open(queue, subscription, prefetch, capacity, in_order=in_order)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(consumer.renew)
                try:
                    yield consumer
                except BaseException as error:  # noqa: BLE001 - raised below: here a group would be made of it
                    raised = error
                nursery.cancel_scope.shield = True  # else a cancellation may take the place of what was raised
                nursery.cancel_scope.cancel()
            if raised is not None:
                raise raised
        except BaseException as error:
            raised = error
            raise
        finally:
            self._wanted[name] -= 1
            self._wanted += Counter()  # without those at 0
            try:
                if consumer is not None:
                    await self._close(consumer)
                await self._forget_left(name)
            except QueueError as error:
                if raised is None:
                    raise
                # Why the consumer left is the better reason; what it held comes back when its lease is over.
                logger.warning("queue %r: a consumer that left could not give back what it held: %s", queue, error)

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
        self._refuse_if_stopped(execution)
        encoded = [(queue, _encoded(queue, message)) for queue, message in messages]
        began = await self._writer.submit(Begin(execution, reads, encoded, asked_ns=asked_ns, owner=owner))
        self._tell_arrived(began.added)
        return began.begun

    async def end(self, execution: str, reads: Sequence[tuple[str, str]], *, failed: bool = False) -> int:
        """See `ExecutionStarts.end`."""
        self._refuse_if_stopped(execution)
        return await self._writer.submit(Call(lambda store: end(store, execution, reads, failed=failed), execution))

    async def holdings(self, execution: str) -> Sequence[Holding]:
        """See `ExecutionStarts.holdings`."""
        self._refuse_if_stopped(execution)
        return await self._writer.submit(Look(lambda store: holdings(store, execution), execution))

    async def discard(self, prefix: str) -> None:
        """Forget the queues and the topics' subscriptions whose names begin so, what they hold, and what stages keep.

        Their consumers' next `receive` raises `QueueError`.
        """
        self._refuse_if_stopped(prefix)
        await self._writer.submit(Call(lambda store: _discard(store, prefix), prefix))
        self._bells.ring_all()

    async def forget_empty(self, prefix: str) -> None:
        """See `QueueProtocol.forget_empty`; what is quarantined is kept, with its queue."""
        self._refuse_if_stopped(prefix)
        while True:
            wanted = frozenset(self._wanted)
            spared = await self._writer.submit(Call(partial(_forget_empty, prefix=prefix, wanted=wanted), prefix))
            self._forgettable |= spared & self._wanted.keys()
            if spared <= self._wanted.keys():  # else a consumer left meanwhile, and did not know
                break
        self._bells.ring_all()

    async def stop(self) -> None:
        """See `QueueProtocol.stop`: gives back what consumers hold, and closes the file.

        Those who wait for messages or room get `QueueClosedError`. Cancellation: the file is closed all the same.
        """
        if self._stopped:
            await trio.lowlevel.checkpoint()
            return
        self._stopped = True
        consumers = [consumer for consumers in self._subscriptions.values() for consumer in consumers]
        for consumer in consumers:
            consumer.end("the SQLite provider was stopped")
        self._bells.ring_all()
        with trio.CancelScope(shield=True):
            try:
                await self._writer.submit(Wait())  # those who claimed before know what they got after this
                await trio.lowlevel.checkpoint()
                for consumer in consumers:
                    await consumer.release()
            finally:
                await self._writer.submit(Close())

    def _want(self, name: _Name) -> None:
        """Have a line spared, before it is asked for: `forget_empty` may come in between."""
        if name not in self._wanted:
            self._forgettable.discard(name)  # that was asked for before, of those who have left
        self._wanted[name] += 1

    async def _open(
        self, queue: str, subscription: str, prefetch: int, capacity: int | None, *, in_order: bool
    ) -> SqliteSubscription:
        line = await self._writer.submit(Call(_line_for(queue, subscription, capacity, self._sized), queue))
        self._refuse_if_stopped(queue)  # it may have been meanwhile, and knows nothing of this consumer
        if capacity is not None:
            self._sized.add(line)
            self._bells.left(queue)  # there may be more room now
        consumer = SqliteSubscription(
            queue,
            subscription,
            line,
            prefetch,
            in_order=in_order,
            lease_seconds=self._settings.lease_seconds,
            writer=self._writer,
            bells=self._bells,
            clock=self._clock,
        )
        self._subscriptions.setdefault(line, []).append(consumer)
        return consumer

    async def _close(self, consumer: SqliteSubscription) -> None:
        self._subscriptions[consumer.line].remove(consumer)
        if not self._subscriptions[consumer.line]:
            del self._subscriptions[consumer.line]
        if not self._stopped:
            await consumer.release()

    async def _forget_left(self, name: _Name) -> None:
        """Do what `forget_empty` left undone, once nobody here wants the line any more."""
        if name in self._forgettable and name not in self._wanted:
            self._forgettable.discard(name)
            if not self._stopped:
                with trio.CancelScope(shield=True):
                    await self._writer.submit(Call(lambda store: _forget_named_if_empty(store, name), name[0]))

    async def _publish(self, queue: str, messages: Sequence[Encoded]) -> Sequence[MessageStatus]:
        """Store at least the first of the messages, waiting for room."""
        poll_seconds = FIRST_POLL_SECONDS
        bell = Bell()
        self._bells.want_room(queue, bell)
        try:
            while True:
                self._refuse_if_stopped(queue)
                rings = bell.rings
                published = await self._writer.submit(Publish(queue, messages))
                self._tell_arrived(published.added)
                if published.statuses:
                    return published.statuses
                while not await bell.wait(rings, poll_seconds):
                    if await self._writer.submit(Look(lambda store: room_of(store, queue), queue)):
                        break
                    poll_seconds = min(2 * poll_seconds, LONGEST_POLL_SECONDS)
        finally:
            self._bells.unwant_room(queue, bell)

    def _tell_arrived(self, added: Mapping[int, int]) -> None:
        """Tell the consumers of this process how many messages their lines got."""
        for line, count in added.items():
            self._bells.arrived(line)
            for consumer in self._subscriptions.get(line, ()):
                consumer.added(count)

    def _refuse_if_stopped(self, queue: str) -> None:
        if self._stopped:
            raise QueueClosedError(queue, "the SQLite provider was stopped")


def _encoded(queue: str, message: QueueMessage) -> Encoded:
    """The bytes to store; another implementation's message is checked first.

    Raises:
        QueueError: They are no frame, or longer than a consumer would take.
    """
    frame = message.encode()
    if len(frame) > _LONGEST_FRAME:
        raise QueueError(queue, f"a message of {len(frame):,} bytes is longer than the {_LONGEST_FRAME:,} that fit")
    if isinstance(message, Frame):
        return Encoded(message.message_id, frame)
    try:
        return Encoded(Frame.decode(frame).message_id, frame)
    except CodecError as error:
        raise QueueError(queue, f"a message does not encode to a frame: {error}") from error


def _part(messages: Sequence[Encoded], start: int) -> int:
    """Return the number of messages that go into one request."""
    size = 0
    for count, message in enumerate(messages[start : start + MOST_MESSAGES]):
        size += len(message.frame)
        if size > MOST_BYTES and count:
            return count
    return min(MOST_MESSAGES, len(messages) - start)


def _line_for(queue: str, subscription: str, capacity: int | None, sized: set[int]) -> Callable[[Store], int]:
    def find(store: Store) -> int:
        line = line_id(store.connection, queue, subscription, store.now_ns)
        if capacity is not None:
            # A line without one is new, though its number may have been another's.
            store.connection.execute(
                "UPDATE line SET capacity = ?1 WHERE id = ?2 AND (capacity IS NULL OR ?3)",
                (capacity, line, line not in sized),
            )
        return line

    return find


def _discard(store: Store, prefix: str) -> None:
    for line in _lines_named(store, prefix).values():
        forget_line(store.connection, line)
    discard_states(store, prefix)
    store.connection.execute("DELETE FROM run WHERE substr(execution, 1, ?1) = ?2", (len(prefix), prefix))


def _forget_empty(store: Store, prefix: str, wanted: frozenset[_Name]) -> frozenset[_Name]:
    """Forget those that hold nothing and that nobody wants; gives the names of the wanted ones."""
    lines = _lines_named(store, prefix)
    for name in lines.keys() - wanted:
        _forget_if_empty(store, lines[name])
    return wanted & lines.keys()


def _forget_named_if_empty(store: Store, name: _Name) -> None:
    row = store.connection.execute("SELECT id FROM line WHERE queue = ? AND subscription = ?", name).fetchone()
    if row is not None:
        _forget_if_empty(store, row[0])


def _forget_if_empty(store: Store, line: int) -> None:
    row = store.connection.execute(
        "SELECT tail - cursor + held + quarantined FROM line WHERE id = ?", (line,)
    ).fetchone()
    if row == (0,):
        forget_line(store.connection, line)


def _lines_named(store: Store, prefix: str) -> dict[_Name, int]:
    rows = store.connection.execute(
        "SELECT queue, subscription, id FROM line WHERE substr(queue, 1, ?1) = ?2 OR substr(subscription, 1, ?1) = ?2",
        (len(prefix), prefix),
    )
    return {(queue, subscription): line for queue, subscription, line in rows}
