"""Subscriptions to a queue that outlives the execution which fills it, until that has ended and nothing is left.

In memory a queue ends with its execution, and its consumers are told. A provider's does not; here they are told all the
same, so that a program reads its results in one way. Kept separate from `durable` because this is another party's end.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Final

import trio

from factflow_protocols import Delivery, Nack, QueueClosedError, Subscription, SubscriptionStatistics

POLL_SECONDS: Final = 0.25
"""How soon a consumer that waits notices, once the execution has ended, that nothing more will come."""


class Readers:
    """The consumers of an execution's queues from outside, as far as they wait for messages.

    Attributes:
        is_over: True if the execution has ended.
        receiving: Cancelled by its end.
    """

    def __init__(self) -> None:
        self.is_over = False
        self.receiving: Final[set[trio.CancelScope]] = set()

    def end(self) -> None:
        """Tell them that the execution has ended."""
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
            QueueClosedError: The execution has ended, and no message is left but what this consumer holds.
        """
        # Between the provider's return and this one there is no checkpoint: what it has handed out arrives, even if the
        # execution has ended, or the caller was cancelled, while it was on its way.
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
    """Subscribe, and be told of the execution's end."""
    async with subscribing as subscription:
        yield EndingSubscription(queue, subscription, readers)


@asynccontextmanager
async def unless_ended(
    subscribing: AbstractAsyncContextManager[Subscription], refuse: Callable[[], None]
) -> AsyncIterator[Subscription]:
    """Subscribe, unless the execution has ended since this was asked for; `refuse` raises then."""
    refuse()
    async with subscribing as subscription:
        yield subscription
