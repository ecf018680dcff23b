"""A consumer at a simulated broker: receives, settles, and publishes together with that.

Its leases have no end while its process lives, which stands for a renewal three times in each lease; when the process
dies, they end one lease after the last renewal. So an idle consumer costs no step of the simulation. Kept separate from
the connection, which has many of them.
"""

from collections.abc import Sequence
from typing import Final

import trio

from factflow_engine.frames import Frame
from factflow_engine.testing.simulation.broker.calls import Caller
from factflow_engine.testing.simulation.broker.line import Entry, Lease, Line
from factflow_engine.testing.simulation.broker.states import Owners
from factflow_engine.testing.simulation.broker.store import BrokerDelivery, Store
from factflow_protocols import (
    Delivery,
    LeasedElsewhere,
    Nack,
    QueueClosedError,
    QueueError,
    QueueMessage,
    StateChange,
    SubscriptionStatistics,
)

LEAST_PAUSE_SECONDS: Final = 1e-6
"""Shortest wait for a due message, so that rounding cannot make a consumer spin."""


class BrokerSubscription:
    """See `factflow_protocols.Subscription` for the contract; also leasing, isolating, transactional, with states."""

    def __init__(
        self,
        line: Line,
        prefetch: int,
        *,
        store: Store,
        caller: Caller,
        owners: Owners,
    ) -> None:
        self._line = line
        self._prefetch = prefetch
        self._store = store
        self._caller = caller
        self._owners = owners
        self._opened_ns = store.now_ns()
        self._unsettled: dict[int, BrokerDelivery] = {}
        self._over: QueueError | None = None  # the reason why nothing can be received any more
        self._is_attached = True
        self._isolates = False
        self._alone = False  # True if unsettled messages must be settled before the next claim
        self._redelivered = 0
        self._arrival = trio.lowlevel.ParkingLot()

    # -- the protocol ----------------------------------------------------------------------------------------------

    async def receive(self, max_messages: int) -> Sequence[BrokerDelivery]:
        """See `Subscription.receive`."""
        if max_messages < 1:
            raise ValueError(f"receive() needs room for at least one message, got max_messages={max_messages}")
        call = self._caller.call("receive", self._line.queue)
        await call.requested()
        while not (deliveries := self._claim(max_messages)):
            await self._wait()
            await call.unless_dead()
        if not call.is_answered:
            self._lose([delivery.entry for delivery in deliveries])
        try:
            await call.answered()
        except trio.Cancelled:
            if self._caller.died_ns is None:
                mine = [delivery.entry for delivery in deliveries if delivery.entry.lease is delivery.lease]
                self._store.undo(self._line, mine)
            raise
        if self._over is not None:
            raise self._over  # and what was on its way is given back
        self._redelivered += sum(delivery.entry.deliveries > 1 for delivery in deliveries)
        self._unsettled.update((delivery.entry.seq, delivery) for delivery in deliveries)
        return deliveries

    async def settle(
        self, acks: Sequence[Delivery], nacks: Sequence[Nack] = (), *, change: StateChange | None = None
    ) -> None:
        """See `StateSubscription.settle`; without a change, messages of ended leases are skipped."""
        if not (acks or nacks or change):
            await trio.lowlevel.checkpoint()
            return
        call = self._caller.call("settle", self._line.queue)
        await call.requested()
        if change is not None:
            self._require_mine((*acks, *change.covered))
            self._owners.change(change)
        self._ack(acks)
        for nack in nacks:
            if (delivery := self._taken(nack.delivery)) is not None:
                self._store.nack(self._line, delivery.entry, nack)
        self.ring()
        await call.answered()

    async def publish_and_settle(
        self, publications: Sequence[tuple[str, Sequence[QueueMessage]]], acks: Sequence[Delivery]
    ) -> bool:
        """See `TransactionalSubscription.publish_and_settle`."""
        if self._over is not None:
            await trio.lowlevel.checkpoint()
            raise self._over
        by_queue: dict[str, list[Frame]] = {}
        for queue, messages in publications:
            by_queue.setdefault(queue, []).extend(self._store.frames(queue, messages))
        call = self._caller.call("settle", self._line.queue)
        await call.requested()
        if self._over is not None:
            raise self._over
        done = all(self._store.fits(queue, len(frames)) for queue, frames in by_queue.items())
        if done:
            for queue, frames in by_queue.items():
                for frame in frames:
                    status = self._store.accept(queue, frame)
                    assert status is not None
            self._ack(acks)
            self.ring()
        await call.answered()
        return done

    def statistics(self) -> SubscriptionStatistics:
        """See `Subscription.statistics`."""
        return SubscriptionStatistics(
            waiting=self._store.waiting(self._line), unsettled=len(self._unsettled), redelivered=self._redelivered
        )

    async def depth(self) -> int:
        """See `Subscription.depth`."""
        call = self._caller.call(None, self._line.queue)
        await call.requested()
        depth = self._store.depth(self._line.queue, self._line.subscription)
        await call.answered()
        return depth

    async def leased_elsewhere(self) -> LeasedElsewhere:
        """See `LeasingSubscription.leased_elsewhere`."""
        call = self._caller.call(None, self._line.queue)
        await call.requested()
        now = self._store.now_ns()
        self._line.promote(now)
        own = sum(delivery.entry.lease is delivery.lease for delivery in self._unsettled.values())
        messages = len(self._line.entries) - self._store.waiting(self._line) - own
        leases = [lease for lease in self._line.leases() if isinstance(lease.holder, BrokerSubscription)]
        due = [
            lease.holder.lease_end_ns(lease, now) for lease in leases if isinstance(lease.holder, BrokerSubscription)
        ]
        if (timer := self._line.next_due_ns()) is not None:
            due.append(timer)
        await call.answered()
        next_seconds = None if own or not due else max(0, min(due) - now) / 1e9
        return LeasedElsewhere(messages, next_seconds)

    def isolate_suspects(self) -> None:
        """See `IsolatingSubscription.isolate_suspects`."""
        self._isolates = True

    # -- the broker's side -----------------------------------------------------------------------------------------

    @property
    def process(self) -> int:
        """Number of its process."""
        return self._caller.process

    @property
    def line(self) -> Line:
        """The line that it consumes."""
        return self._line

    def ring(self) -> None:
        """Look at the line again."""
        self._arrival.unpark_all()

    def is_there(self, now_ns: int) -> bool:
        """See `Consumer.is_there`."""
        died = self._caller.died_ns
        return self._is_attached and (died is None or now_ns < self._renewed_ns(died) + self._store.lease_ns)

    def lease_end_ns(self, lease: Lease, now_ns: int) -> int:
        """Return the time at which a lease ends that is not renewed from now on."""
        return max(lease.since_ns, self._renewed_ns(now_ns)) + self._store.lease_ns

    def close(self, problem: str) -> None:
        """Give back what is unsettled; receive nothing any more."""
        if not self._is_attached:
            return
        self._is_attached = False
        self._over = self._over or QueueClosedError(self._line.queue, problem)
        self._unsettled.clear()
        self._store.release(self._line, [entry for lease in self._leases() for entry in lease.entries.values()])
        self._store.detach(self._line, self)
        self.ring()

    def die(self, now_ns: int) -> None:
        """Renew no lease any more."""
        for lease in self._leases():
            self._store.orphan(self._line, list(lease.entries.values()), self.lease_end_ns(lease, now_ns))

    # -- helpers ---------------------------------------------------------------------------------------------------

    def _claim(self, max_messages: int) -> list[BrokerDelivery]:
        """Take what is there; nothing if the consumer must wait."""
        if self._over is not None:
            raise self._over
        if self._line.is_forgotten:
            raise QueueError(self._line.queue, "was forgotten while it was consumed; subscribe again")
        if not self._room:
            return []
        deliveries, self._alone = self._store.claim(
            self._line,
            self,
            min(max_messages, self._room),
            isolates=self._isolates,
            has_others=bool(self._unsettled),
        )
        return deliveries

    @property
    def _room(self) -> int:
        """Number of messages that it may take now."""
        if self._alone and self._unsettled:
            return 0
        return max(0, self._prefetch - len(self._unsettled))

    async def _wait(self) -> None:
        """Wait until the line has changed, or something in it is due."""
        due = self._line.next_due_ns()
        if due is None or not self._room:
            await self._arrival.park()
            return
        with trio.move_on_after(max(LEAST_PAUSE_SECONDS, (due - self._store.now_ns()) / 1e9)):
            await self._arrival.park()

    def _lose(self, entries: Sequence[Entry]) -> None:
        """Hand out again what was lost on its way, when its lease has ended."""
        mine = [entry for entry in entries if entry.lease is not None and entry.lease.holder is self]
        self._store.orphan(self._line, mine, self._store.now_ns() + self._store.lease_ns)

    def _mine(self, delivery: Delivery) -> BrokerDelivery | None:
        """Return the delivery if this consumer has it; None if it is settled, or its lease has ended."""
        if (
            isinstance(delivery, BrokerDelivery)
            and self._unsettled.get(delivery.entry.seq) is delivery
            and delivery.entry.lease is delivery.lease
        ):
            return delivery
        return None

    def _taken(self, delivery: Delivery) -> BrokerDelivery | None:
        """Return the delivery if this consumer has it, and drop it."""
        mine = self._mine(delivery)
        if isinstance(delivery, BrokerDelivery) and self._unsettled.get(delivery.entry.seq) is delivery:
            del self._unsettled[delivery.entry.seq]  # also if its lease has ended
        return mine

    def _ack(self, acks: Sequence[Delivery]) -> None:
        for each in acks:
            if (delivery := self._taken(each)) is not None:
                self._store.ack(self._line, delivery.entry)

    def _require_mine(self, deliveries: Sequence[Delivery]) -> None:
        lost = sum(self._mine(delivery) is None for delivery in deliveries)
        if lost:
            raise QueueError(
                self._line.queue,
                f"{lost} messages whose effects a stage keeps are not this process's any more; nothing is stored",
            )

    def _leases(self) -> list[Lease]:
        return [lease for lease in self._line.leases() if lease.holder is self]

    def _renewed_ns(self, now_ns: int) -> int:
        """Return the time of the last renewal."""
        interval = max(1, self._store.lease_ns // 3)
        return self._opened_ns + (now_ns - self._opened_ns) // interval * interval
