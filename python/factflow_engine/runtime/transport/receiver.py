"""The way of frames from one queue of a provider outside the process to the route that reads it, and of their ends back.

A delivery is acknowledged once its message has ended and everything that had been published by then was accepted: if the
process dies before, the message comes again, and what it leads to has the same ids as before. Per message this is an entry
in a journal (native) and in a table; receiving and acknowledging go by the batch, which grows by itself while the provider
is busy.

Kept separate from `durable`, which knows all routes of an execution: here is one.
"""

from collections import ChainMap
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import trio

from factflow_engine.frames import Frame
from factflow_engine.native import Journal
from factflow_engine.queues.channel import MemoryChannel, as_frame
from factflow_engine.runtime.transport.route_states import KeptStates
from factflow_engine.runtime.transport.sender import Sender
from factflow_protocols import Delivery, IsolatingSubscription, OrderedQueueProtocol, QueueProtocol, Subscription

HELD: Final = 1_000
"""Messages that have ended and whose acknowledgements are held together, at the most, beside those of the prefetch."""


class Source(NamedTuple):
    """The queue of a provider that one route reads, before there is a route.

    Attributes:
        queue: The provider's name.
        subscription: The provider's name.
        capacity: Messages that may wait there.
        prefetch: Messages that may be here.
        channel: Where they wait for the route.
        journal: Where the route notes their ends.
        ended: A lot whose waiters are told when it has.
    """

    queue: str
    subscription: str
    capacity: int
    prefetch: int
    channel: MemoryChannel
    journal: Journal
    ended: trio.lowlevel.ParkingLot


class Receiver:
    """The filler of a route's channel from one queue of a provider, to which it acknowledges what has ended.

    Attributes:
        queue: The provider's name of it.
        subscription: The provider's name of the route's subscription.
        received: Messages that were handed out by the provider and taken in.
        settled: Deliveries that the provider was told of.
    """

    def __init__(
        self,
        source: Source,
        *,
        senders: Sequence[Sender],
        states: KeptStates,
        take_in: Callable[[Frame], None],
        counts_deliveries: bool,
        changed: Callable[[], None],
    ) -> None:
        """Prepare; nothing is subscribed yet.

        Args:
            source: What is received.
            senders: Those of the queues that the route publishes to.
            states: What the route's stages keep.
            take_in: Called with each message.
            counts_deliveries: True if a message that was handed out too often is given up.
            changed: Called when deliveries were settled.
        """
        self.queue: Final = source.queue
        self.subscription: Final = source.subscription
        self.received = 0
        self.settled = 0
        self._source = source
        self._channel = source.channel
        self._journal = source.journal
        self._ended = source.ended
        self._senders = tuple(senders)
        self._states = states
        self._take_in = take_in
        self._counts_deliveries = counts_deliveries
        self._changed = changed
        self._left: int | None = None  # what the provider held when it was asked last, once nothing more is received
        self._let_go = 0  # received, and given back without having begun
        self._held: dict[bytes, list[Delivery]] = {}  # by message; a copy of one is settled with it
        self._done: dict[bytes, list[Delivery]] = {}  # has ended, and its acknowledgement is held
        self._returned: dict[bytes, list[Delivery]] = {}  # let go, and the provider's again when the subscription ends
        self._unsettled: Final = ChainMap(self._returned, self._held)
        self._is_urgent = False  # acknowledgements are held no longer
        self._room = trio.lowlevel.ParkingLot()
        self._settling = 0
        self._receiving = trio.CancelScope()
        self._subscription: Subscription | None = None

    @property
    def is_empty(self) -> bool:
        """True if nothing that was received is left to be carried or acknowledged."""
        return not (self._held or self._done or self._settling or len(self._journal))

    @property
    def is_settling(self) -> bool:
        """True if the provider is being told what has ended; before that, what it led to must be accepted."""
        return self._settling > 0 and all(sender.is_empty for sender in self._senders)

    @property
    def flushing(self) -> str | None:
        """The stage whose effects are being made durable in this instant; None if none is."""
        return self._states.flushing

    @property
    def is_subscribed(self) -> bool:
        """True if it has begun."""
        return self._subscription is not None

    @property
    def backlog(self) -> int:
        """Messages that could be received besides, as far as the provider has said."""
        known = self._let_go + (0 if self._subscription is None else self._subscription.statistics().waiting or 0)
        return known if self._left is None else min(known, self._left)

    async def depth(self) -> int:
        """Return how many messages the provider holds for the route."""
        depth = 0 if self._subscription is None else await self._subscription.depth()
        if self._receiving.cancel_called:
            self._left = depth
        return depth

    def close(self) -> None:
        """Receive nothing more, and let go what was received and has not begun; it is given back in the end."""
        self._receiving.cancel()
        for frame in self._channel.frames():
            copies = self._held.pop(frame.message_id, [])
            self._let_go += len(copies)
            if copies:
                self._returned[frame.message_id] = copies
        self._channel.clear()

    def hurry(self) -> None:
        """Hold no acknowledgement any longer than it takes to store it."""
        if self._done or len(self._journal):
            self._is_urgent = True
            self._ended.unpark_all()

    async def run(
        self, provider: QueueProtocol, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Subscribe, report started, then receive and acknowledge.

        Raises:
            QueueError: The subscription is broken.

        Cancellation: what is unsettled is given back.
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
            if self._counts_deliveries and isinstance(subscription, IsolatingSubscription):
                subscription.isolate_suspects()
            task_status.started()
            nursery.start_soon(self._receive, subscription)
            await self._acknowledge(subscription)

    async def _receive(self, subscription: Subscription) -> None:
        states, prefetch = self._states, self._source.prefetch
        with self._receiving:
            while True:
                room = prefetch
                if states.holds:
                    # The provider counts what is held, too.
                    while len(self._held) >= prefetch:
                        await self._room.park()
                    room -= len(self._held)
                deliveries = await subscription.receive(room)
                if states.holds:
                    await states.load([as_frame(delivery.message).message_id for delivery in deliveries])
                for delivery in deliveries:
                    frame = as_frame(delivery.message)
                    copies = self._held.setdefault(frame.message_id, [])
                    copies.append(delivery)
                    if len(copies) == 1:
                        self.received += 1
                        self._take_in(frame)

    async def _acknowledge(self, subscription: Subscription) -> None:
        while True:
            while not len(self._journal):
                await self._ended.park()
            self._take_ended()
            if self._states.holds:
                await self._hold(self._states.seconds)
            done, self._done = self._done, {}
            self._settling = sum(map(len, done.values()))
            for sender in self._senders:
                await sender.flush()
            if done:
                await self._states.settle(subscription, done, self._unsettled)
            self.settled += self._settling
            self._settling = 0
            self._changed()

    def _take_ended(self) -> None:
        for identity in self._journal.take():
            copies = self._held.pop(identity, None)
            if copies is not None:
                self._done.setdefault(identity, []).extend(copies)
        self._room.unpark_all()

    async def _hold(self, seconds: float) -> None:
        """Let more messages end, for so long, until there are enough, or until it is urgent."""
        with trio.move_on_after(seconds):
            while self._done and len(self._done) < HELD and not self._is_urgent:
                await self._ended.park()
                self._take_ended()
        self._take_ended()
        self._is_urgent = False
