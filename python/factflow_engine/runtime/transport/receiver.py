"""Receiver of frames from one queue of an external provider for one route, and of acknowledgements back to it.

A delivery is acknowledged once its message has ended and everything that had been published by then was accepted, or in
one step with that (see `flush`): if the process dies before, the message is delivered again, and the messages it leads to
have the same ids. Each message costs an entry in a journal (native) and in a table; receiving and acknowledging work in batches, which grow by
themselves while the provider is busy.

Kept separate from `durable`, which has all routes of an execution: a receiver serves one.
"""

from collections.abc import Callable, Sequence
from itertools import repeat
from operator import attrgetter
from typing import Final, NamedTuple, cast

import trio

from factflow_engine.frames import Frame
from factflow_engine.native import Journal
from factflow_engine.queues.channel import MemoryChannel, as_frame
from factflow_engine.runtime.transport.flush import Flush
from factflow_engine.runtime.transport.route_states import KeptStates
from factflow_engine.runtime.transport.sender import Sender
from factflow_protocols import (
    Delivery,
    IsolatingSubscription,
    LeasedElsewhere,
    LeasingSubscription,
    OrderedQueueProtocol,
    QueueProtocol,
    Subscription,
)

_MESSAGE: Final = attrgetter("message")
_ID: Final = attrgetter("message_id")

HELD: Final = 1_000
"""Most ended messages whose acknowledgements are collected, beside those of the prefetch."""


AHEAD: Final = 4
"""Messages here for each that may be in flight by the route's adaptive limit: the factor of the default prefetch."""

LEAST_AHEAD: Final = 32
"""Messages that may be here however low that limit is: some of them may have to wait for a retry or for their key."""


class Source(NamedTuple):
    """A provider's queue that one route reads; made before the route.

    Attributes:
        queue: The provider's name.
        subscription: The provider's name.
        capacity: Most messages that may wait there.
        prefetch: Most messages that may be here; fewer, if the route has an adaptive limit.
        channel: Channel in which they wait for the route.
        journal: Journal in which the route notes their ends.
        ended: Parking lot that is unparked when the route has noted an end.
    """

    queue: str
    subscription: str
    capacity: int
    prefetch: int
    channel: MemoryChannel
    journal: Journal
    ended: trio.lowlevel.ParkingLot


class Receiver:
    """Fills a route's channel from one queue of a provider, and acknowledges messages that have ended.

    Attributes:
        queue: The provider's name of the queue.
        subscription: The provider's name of the route's subscription.
        received: Number of messages that the provider has handed out.
        settled: Number of deliveries that were settled.
    """

    def __init__(
        self,
        source: Source,
        *,
        senders: Sequence[Sender],
        states: KeptStates,
        take_in: Callable[[Sequence[Frame]], None],
        counts_deliveries: bool,
        changed: Callable[[], None],
        limit: Callable[[], int] | None,
    ) -> None:
        """Prepare; nothing is subscribed yet.

        Args:
            source: The queue to receive from.
            senders: Senders of the queues that the route publishes to.
            states: States of the route's stages.
            take_in: Called with each batch of messages.
            counts_deliveries: True if a message that was handed out too often fails.
            changed: Called when deliveries were settled.
            limit: Returns the route's present limit, if that is adaptive: what cannot be in flight soon is left to others.
        """
        self.queue: Final = source.queue
        self.subscription: Final = source.subscription
        self.received = 0
        self.settled = 0
        self._source = source
        self._channel = source.channel
        self._journal = source.journal
        self._ended = source.ended
        self._flush = Flush(senders, is_due=lambda: bool(len(self._journal)))
        self._states = states
        self._take_in = take_in
        self._counts_deliveries = counts_deliveries
        self._changed = changed
        self._limit = limit
        self._left: int | None = None  # the provider's last depth, once nothing more is received
        self._let_go = 0  # received, and given back without having begun
        self._held: dict[bytes, Delivery] = {}  # by message
        self._done: dict[bytes, Delivery] = {}  # has ended, and its acknowledgement is delayed
        self._returned: dict[bytes, Delivery] = {}  # dropped here, and the provider's when the subscription ends
        self._copies: dict[bytes, list[Delivery]] = {}  # further deliveries of messages held or returned
        self._done_copies: list[Delivery] = []  # further deliveries of messages that have ended
        self._is_urgent = False  # acknowledgements are not delayed any more
        self._room = trio.lowlevel.ParkingLot()
        self._settling = 0
        self._receiving = trio.CancelScope()
        self._subscription: Subscription | None = None
        self._leasing: LeasingSubscription | None = None  # the same, if it can tell what others have

    @property
    def is_empty(self) -> bool:
        """True if no received message is left to be carried or acknowledged."""
        return not (self._held or self._done or self._settling or len(self._journal))

    @property
    def is_settling(self) -> bool:
        """True if ended messages are being settled; before that, the messages they led to must be accepted."""
        return self._settling > 0 and self._flush.is_published

    @property
    def flushing(self) -> str | None:
        """Stage whose effects are being made durable now; None if there is none."""
        return self._states.flushing

    @property
    def is_subscribed(self) -> bool:
        """True if the subscription exists."""
        return self._subscription is not None

    @property
    def backlog(self) -> int:
        """Number of messages that could also be received, as far as the provider has said."""
        known = self._let_go + (0 if self._subscription is None else self._subscription.statistics().waiting or 0)
        return known if self._left is None else min(known, self._left)

    async def depth(self) -> int:
        """Return the number of messages that the provider has for the route."""
        depth = 0 if self._subscription is None else await self._subscription.depth()
        if self._receiving.cancel_called:
            self._left = depth
        return depth

    async def leased_elsewhere(self) -> LeasedElsewhere:
        """Return the messages that the provider does not hand out now, as far as it can tell."""
        return LeasedElsewhere(0) if self._leasing is None else await self._leasing.leased_elsewhere()

    def close(self) -> None:
        """Receive nothing more, and drop received messages that have not begun; they are given back at the end."""
        self._receiving.cancel()
        for frame in self._channel.frames():
            delivery = self._held.pop(frame.message_id, None)
            if delivery is not None:
                self._let_go += 1 + len(self._copies.get(frame.message_id, ()))
                self._returned[frame.message_id] = delivery
        self._channel.clear()

    def hurry(self) -> None:
        """Send acknowledgements without delay."""
        if self._done or len(self._journal):
            self._is_urgent = True
            self._ended.unpark_all()

    async def run(
        self, provider: QueueProtocol, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Subscribe, report started, then receive and acknowledge.

        Raises:
            QueueError: The subscription is broken.

        Cancellation: unsettled messages are given back.
        """
        source = self._source
        prefetch = source.prefetch + (HELD if self._states.holds else 0)
        subscribe = provider.subscribe
        if self._channel.ordered and isinstance(provider, OrderedQueueProtocol):
            subscribe = provider.subscribe_in_order
        async with (
            subscribe(source.queue, source.subscription, prefetch, source.capacity) as subscription,
            trio.open_nursery() as nursery,
        ):
            self._subscription = subscription
            if isinstance(subscription, LeasingSubscription):
                self._leasing = subscription
            if self._counts_deliveries and isinstance(subscription, IsolatingSubscription):
                subscription.isolate_suspects()
            self._flush.begin(subscription, takes=not self._states.keeps)
            task_status.started()
            nursery.start_soon(self._receive, subscription)
            await self._acknowledge()

    async def _receive(self, subscription: Subscription) -> None:
        states, room = self._states, self._source.prefetch
        counts = states.holds or self._limit is not None  # else the provider counts them
        with self._receiving:
            while True:
                if counts:
                    while (room := self._most_here() - len(self._held)) <= 0:
                        await self._room.park()
                deliveries = await subscription.receive(room)
                if states.holds:
                    await states.load([as_frame(delivery.message).message_id for delivery in deliveries])
                self._take_in_all(deliveries)

    def _most_here(self) -> int:
        """Return the number of messages that may be here now, and have not ended."""
        prefetch = self._source.prefetch
        return prefetch if self._limit is None else min(prefetch, max(LEAST_AHEAD, AHEAD * self._limit()))

    def _take_in_all(self, deliveries: Sequence[Delivery]) -> None:
        """Have what was received carried; a copy of a message that is here is settled with it, and no more."""
        messages = list(map(_MESSAGE, deliveries))
        frames = messages if set(map(type, messages)) == {Frame} else list(map(as_frame, messages))
        received = dict(zip(map(_ID, frames), deliveries, strict=True))
        if len(received) == len(frames) and self._held.keys().isdisjoint(received):
            self._held.update(received)
        else:
            fresh = []
            for frame, delivery in zip(frames, deliveries, strict=True):
                if self._held.setdefault(frame.message_id, delivery) is delivery:
                    fresh.append(frame)
                else:
                    self._copies.setdefault(frame.message_id, []).append(delivery)
            frames = fresh
        self.received += len(frames)
        self._take_in(frames)

    async def _acknowledge(self) -> None:
        while True:
            while not len(self._journal):
                await self._ended.park()
            self._take_ended()
            if self._states.holds:
                await self._hold(self._states.seconds)
            done, self._done = self._done, {}
            copies, self._done_copies = self._done_copies, []
            self._settling = len(done) + len(copies)
            if done:
                await self._states.settle(self._flush, done, copies, self._unsettled)
            self.settled += self._settling
            self._settling = 0
            self._flush.wake_senders()
            self._changed()

    def _take_ended(self) -> None:
        ids = self._journal.take()
        before = len(self._held)
        ended = list(map(self._held.pop, ids, repeat(None)))
        if before - len(self._held) == len(ids) and not self._copies and self._done.keys().isdisjoint(ids):
            self._done.update(zip(ids, cast("list[Delivery]", ended), strict=True))
        else:
            for identity, delivery in zip(ids, ended, strict=True):
                if delivery is not None:
                    if self._done.setdefault(identity, delivery) is not delivery:
                        self._done_copies.append(delivery)
                    self._done_copies += self._copies.pop(identity, ())
        self._room.unpark_all()

    def _unsettled(self, message_id: bytes) -> Sequence[Delivery]:
        """Return the deliveries of a message that are neither acknowledged nor about to be."""
        delivery = self._held.get(message_id, self._returned.get(message_id))
        return () if delivery is None else (delivery, *self._copies.get(message_id, ()))

    async def _hold(self, seconds: float) -> None:
        """Collect more ended messages for a time, until there are enough, or until it is urgent."""
        with trio.move_on_after(seconds):
            while self._done and len(self._done) < HELD and not self._is_urgent:
                await self._ended.park()
                self._take_ended()
        self._take_ended()
        self._is_urgent = False
