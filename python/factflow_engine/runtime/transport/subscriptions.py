"""Outside subscriptions to a queue that outlives the execution which fills it.

In memory a queue ends with its execution, and its consumers are notified. A provider's queue does not; this module ends
its subscriptions all the same, so that a program reads its results in one way. Kept separate from `durable` because a
subscription's end is another party's.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Final

import trio

from factflow_protocols import Delivery, Nack, QueueClosedError, Subscription, SubscriptionStatistics

POLL_SECONDS: Final = 0.25
"""Interval in which a waiting consumer notices, after the execution's end, that nothing more will come."""


class Readers:
    """Outside consumers of an execution's queues, for as long as they wait for messages.

    Attributes:
        is_over: True if the execution has ended.
        receiving: Scopes of waits, cancelled by the end.
    """

    def __init__(self) -> None:
        self.is_over = False
        self.receiving: Final[set[trio.CancelScope]] = set()

    def end(self) -> None:
        """Notify the consumers that the execution has ended."""
        self.is_over = True
        for scope in self.receiving:
            scope.cancel()


class EndingSubscription:
    """See `factflow_protocols.Subscription` for the contract."""

    def __init__(self, queue: str, inner: Subscription, readers: Readers) -> None:
        self._queue = queue
        self._inner = inner
        self._readers = readers

    async def receive(self, max_messages: int) -> Sequence[Delivery]:
        """See `Subscription.receive`.

        Raises:
            QueueClosedError: The execution has ended, and no messages are left except those of this consumer.
        """
        # Between the provider's return and this one there is no checkpoint: deliveries reach the caller even if the
        # execution has ended, or the caller was cancelled, in between.
        if not self._readers.is_over:
            with trio.CancelScope() as receiving:
                self._readers.receiving.add(receiving)
                try:
                    return await self._inner.receive(max_messages)
                finally:
                    self._readers.receiving.discard(receiving)
        while True:
            if await self._inner.depth() <= self._inner.statistics().unsettled:
                raise QueueClosedError(self._queue, "its execution has ended; nothing more will come")
            with trio.move_on_after(POLL_SECONDS):
                return await self._inner.receive(max_messages)

    async def settle(self, acks: Sequence[Delivery], nacks: Sequence[Nack] = ()) -> None:
        """See `Subscription.settle`."""
        await self._inner.settle(acks, nacks)

    def statistics(self) -> SubscriptionStatistics:
        """See `Subscription.statistics`."""
        return self._inner.statistics()

    async def depth(self) -> int:
        """See `Subscription.depth`."""
        return await self._inner.depth()


@asynccontextmanager
async def until_ended(
    queue: str, subscribing: AbstractAsyncContextManager[Subscription], readers: Readers
) -> AsyncIterator[Subscription]:
    """Subscribe, ending with the execution."""
    async with subscribing as subscription:
        yield EndingSubscription(queue, subscription, readers)


@asynccontextmanager
async def unless_ended(
    subscribing: AbstractAsyncContextManager[Subscription], refuse: Callable[[], None]
) -> AsyncIterator[Subscription]:
    """Subscribe, unless the execution has ended meanwhile; `refuse` raises then."""
    refuse()
    async with subscribing as subscription:
        yield subscription
