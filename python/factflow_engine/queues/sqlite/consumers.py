"""Consumers of one process on one file: opening, closing, and notifications; their lines are kept while wanted.

Kept separate from `subscription`, which is one consumer and knows no other.
"""

import logging
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial

import trio

from factflow_engine.queues.sqlite.bells import Bells
from factflow_engine.queues.sqlite.dropping import Name, forget_empty, forget_named_if_empty
from factflow_engine.queues.sqlite.lines import line_id, subscription_key
from factflow_engine.queues.sqlite.store import Call, Store
from factflow_engine.queues.sqlite.subscription import SqliteSubscription
from factflow_engine.queues.sqlite.writer import Writer
from factflow_engine.seams import Clock
from factflow_protocols import QueueClosedError, QueueError

logger = logging.getLogger("factflow_engine.queues")


class Consumers:
    """All consumers of a provider."""

    def __init__(
        self,
        writer: Writer,
        *,
        bells: Bells,
        clock: Clock,
        lease_seconds: float,
        is_stopped: Callable[[], bool],
    ) -> None:
        """Prepare.

        Args:
            writer: Serial access to the file.
            bells: Notifications of new messages in a line, and of room in a queue.
            clock: Clock of delays and leases.
            lease_seconds: Duration of a lease.
            is_stopped: Returns True if the provider was stopped: then it gives back unsettled messages.
        """
        self._writer = writer
        self._bells = bells
        self._clock = clock
        self._lease_seconds = lease_seconds
        self._is_stopped = is_stopped
        self._subscriptions: dict[int, list[SqliteSubscription]] = {}  # by line
        self._sized: set[int] = set()  # lines whose capacity a consumer of this process set
        self._wanted: Counter[Name] = Counter()  # present and arriving consumers; none is 0
        self._forgettable: set[Name] = set()  # wanted ones to be forgotten, if they are empty, when nobody wants them

    @asynccontextmanager
    async def subscribed(
        self, queue: str, subscription: str, prefetch: int, capacity: int | None, *, in_order: bool
    ) -> AsyncIterator[SqliteSubscription]:
        """See `SqliteQueue.subscribe`, and `subscribe_in_order`."""
        if prefetch < 1:
            raise ValueError(f"subscribe() needs a prefetch of at least 1, got {prefetch}")
        if capacity is not None and capacity < 1:
            raise ValueError(f"subscribe() needs a capacity of at least 1, got {capacity}")
        self.refuse_if_stopped(queue)
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
                nursery.cancel_scope.shield = True  # else a cancellation may replace the exception
                nursery.cancel_scope.cancel()
            if raised is not None:
                raise raised
        except BaseException as error:
            raised = error
            raise
        finally:
            self._wanted[name] -= 1
            self._wanted += Counter()  # drops those at 0
            try:
                if consumer is not None:
                    await self._close(consumer)
                await self._forget_left(name)
            except QueueError as error:
                if raised is None:
                    raise
                # The reason why the consumer left matters more; its messages come back when the lease expires.
                logger.warning("queue %r: a consumer that left could not give back what it held: %s", queue, error)

    def refuse_if_stopped(self, queue: str) -> None:
        """Raise if the provider was stopped.

        Raises:
            QueueClosedError: The provider was stopped.
        """
        if self._is_stopped():
            raise QueueClosedError(queue, "the SQLite provider was stopped")

    def tell_arrived(self, added: Mapping[int, int]) -> None:
        """Notify the consumers of this process of the numbers of new messages, by line."""
        for line, count in added.items():
            self._bells.arrived(line)
            for consumer in self._subscriptions.get(line, ()):
                consumer.added(count)

    async def forget_empty(self, prefix: str) -> None:
        """See `SqliteQueue.forget_empty`."""
        while True:
            wanted = frozenset(self._wanted)
            spared = await self._writer.submit(Call(partial(forget_empty, prefix=prefix, wanted=wanted), prefix))
            self._forgettable |= spared & self._wanted.keys()
            if spared <= self._wanted.keys():  # else a consumer left meanwhile, and did not know
                break
        self._bells.ring_all()

    def end(self) -> Callable[[], Awaitable[None]]:
        """End all consumers; return the function that gives back their messages, to be called when no claim runs."""
        ended = [consumer for consumers in self._subscriptions.values() for consumer in consumers]
        for consumer in ended:
            consumer.end("the SQLite provider was stopped")
        self._bells.ring_all()

        async def release() -> None:
            for consumer in ended:
                await consumer.release()

        return release

    def _want(self, name: Name) -> None:
        """Protect a line before it is requested: `forget_empty` may run in between."""
        if name not in self._wanted:
            self._forgettable.discard(name)  # that was asked for earlier, by consumers that have left
        self._wanted[name] += 1

    async def _open(
        self, queue: str, subscription: str, prefetch: int, capacity: int | None, *, in_order: bool
    ) -> SqliteSubscription:
        line = await self._writer.submit(Call(_line_for(queue, subscription, capacity, self._sized), queue))
        self.refuse_if_stopped(queue)  # it may have been stopped meanwhile, without this consumer
        if capacity is not None:
            self._sized.add(line)
            self._bells.left(queue)  # there may be more room now
        consumer = SqliteSubscription(
            queue,
            subscription,
            line,
            prefetch,
            in_order=in_order,
            lease_seconds=self._lease_seconds,
            writer=self._writer,
            bells=self._bells,
            clock=self._clock,
            tell_arrived=self.tell_arrived,
        )
        self._subscriptions.setdefault(line, []).append(consumer)
        return consumer

    async def _close(self, consumer: SqliteSubscription) -> None:
        self._subscriptions[consumer.line].remove(consumer)
        if not self._subscriptions[consumer.line]:
            del self._subscriptions[consumer.line]
        if not self._is_stopped():
            await consumer.release()

    async def _forget_left(self, name: Name) -> None:
        """Finish what `forget_empty` postponed, once no consumer here wants the line any more."""
        if name in self._forgettable and name not in self._wanted:
            self._forgettable.discard(name)
            if not self._is_stopped():
                with trio.CancelScope(shield=True):
                    await self._writer.submit(Call(lambda store: forget_named_if_empty(store, name), name[0]))


def _line_for(queue: str, subscription: str, capacity: int | None, sized: set[int]) -> Callable[[Store], int]:
    def find(store: Store) -> int:
        line = line_id(store.connection, queue, subscription, store.now_ns)
        if capacity is not None:
            # A line without a name is new, though its number may have been another's.
            store.connection.execute(
                "UPDATE line SET capacity = ?1 WHERE id = ?2 AND (capacity IS NULL OR ?3)",
                (capacity, line, line not in sized),
            )
        return line

    return find
