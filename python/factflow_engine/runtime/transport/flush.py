"""Flush of one route: what it has emitted is published, and the deliveries that led to it are acknowledged.

Both happen in one step of the provider where it has one (`TransactionalSubscription`) and does not decline; otherwise
everything is published first, and acknowledged when it was accepted. Until a flush that is due takes them, messages wait
in the channels of the route's senders, which publish by themselves whatever no flush is due for: children of a message
that goes on emitting, or messages for which there was no room.

Kept separate from `receiver`, which decides when something is acknowledged.
"""

from collections.abc import Callable, Sequence
from typing import Final, cast

from factflow_engine.runtime.transport.sender import Sender
from factflow_protocols import Delivery, StateChange, StateSubscription, Subscription, TransactionalSubscription


class Flush:
    """Flush of one route, again and again."""

    def __init__(self, senders: Sequence[Sender], *, is_due: Callable[[], bool]) -> None:
        """Prepare; `begin` follows.

        Args:
            senders: Senders of the queues that the route publishes to.
            is_due: Returns True if messages of the route have ended that are not acknowledged: another flush follows.
        """
        self._senders: Final = tuple(senders)
        self._is_due = is_due
        self._takes = False  # True if the next flush takes what waits in the senders' channels
        self._subscription: Subscription | None = None
        self._transaction: TransactionalSubscription | None = None  # the same, if it can do both in one step
        for sender in self._senders:
            sender.leave_to(self._takes_all)

    @property
    def is_published(self) -> bool:
        """True if everything that was emitted is accepted."""
        return all(sender.is_empty for sender in self._senders)

    def begin(self, subscription: Subscription, *, takes: bool) -> None:
        """Acknowledge deliveries of this subscription from now on.

        Args:
            subscription: The route's subscription.
            takes: True if every flush is one of `publish_and_settle`, and nothing is awaited before it once it is due.
        """
        self._subscription = subscription
        if isinstance(subscription, TransactionalSubscription):
            self._transaction, self._takes = subscription, takes

    async def publish_and_settle(self, deliveries: Sequence[Delivery]) -> None:
        """Publish everything that was emitted by now, and acknowledge deliveries.

        Raises:
            QueueError: The provider failed.

        Cancellation: nothing is acknowledged whose messages were not accepted; some messages may have been accepted.
        """
        if not await self._at_once(deliveries):
            await self.publish()
            await self.settle(deliveries)

    async def publish(self) -> None:
        """Wait until everything that was emitted by now was accepted."""
        takes, self._takes = self._takes, False  # this may take long, and messages of other routes must not wait
        self.wake_senders()
        for sender in self._senders:
            await sender.flush()
        self._takes = takes

    async def settle(self, deliveries: Sequence[Delivery], change: StateChange | None = None) -> None:
        """Acknowledge deliveries, with a change of states if the provider stores any.

        Raises:
            QueueError: The provider failed.
        """
        subscription = self._subscription
        assert subscription is not None
        if change is None:
            await subscription.settle(deliveries)
        else:
            await cast("StateSubscription", subscription).settle(deliveries, change=change)

    def wake_senders(self) -> None:
        """Have the senders publish what no flush is due for."""
        for sender in self._senders:
            sender.wake()

    def _takes_all(self) -> bool:
        return self._takes and self._is_due()

    async def _at_once(self, deliveries: Sequence[Delivery]) -> bool:
        """Publish and acknowledge in one step; return False if nothing was done."""
        if self._transaction is None or any(sender.is_publishing for sender in self._senders):
            return False
        lent = [(sender, sender.lend()) for sender in self._senders if not sender.is_empty]
        done = False
        try:
            publications = [(sender.queue, frames) for sender, frames in lent]
            done = await self._transaction.publish_and_settle(publications, deliveries)
        finally:
            for sender, frames in lent:
                sender.end_loan(frames, accepted=done)
        return done
