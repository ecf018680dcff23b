"""Consuming a queue that outlives the execution which fills it, until that has ended and nothing is left.

In memory a queue ends with its execution, and its consumers are told. A provider's does not; here they are told all the
same, so that a program reads its results in one way.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Final

import trio

from factflow_protocols import Delivery, Nack, QueueClosedError, QueueError, Subscription, SubscriptionStatistics

POLL_SECONDS: Final = 0.25
"""How soon a consumer that waits notices, once the execution has ended, that nothing more will come."""


class EndingSubscription:
    """See `factflow_protocols.Subscription` for the contract."""

    def __init__(self, queue: str, inner: Subscription, ended: trio.Event) -> None:
        self._queue = queue
        self._inner = inner
        self._ended = ended

    async def receive(self, max_messages: int) -> Sequence[Delivery]:
        """See `Subscription.receive`.

        Raises:
            QueueClosedError: The execution has ended, and no message is left but what this consumer holds.
        """
        while not self._ended.is_set():
            deliveries: Sequence[Delivery] = ()
            failure: QueueError | None = None
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._cancel_at_the_end, nursery.cancel_scope)
                try:
                    deliveries = await self._inner.receive(max_messages)
                except QueueError as error:
                    failure = error  # to be raised as it is, not in the nursery's group
                nursery.cancel_scope.cancel()
            if failure is not None:
                raise failure
            if deliveries:
                return deliveries
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

    async def _cancel_at_the_end(self, scope: trio.CancelScope) -> None:
        await self._ended.wait()
        scope.cancel()


@asynccontextmanager
async def until_ended(
    queue: str, subscribing: AbstractAsyncContextManager[Subscription], ended: trio.Event
) -> AsyncIterator[Subscription]:
    """Subscribe, and be told of the execution's end."""
    async with subscribing as subscription:
        yield EndingSubscription(queue, subscription, ended)
