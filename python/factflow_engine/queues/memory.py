"""In-process provider, and the only one that the runtime knows by name.

A queue is one `MemoryChannel`; a topic has a channel for each subscription. The runtime's loop takes from and appends
to channels directly, natively and without an await; all other users go through the protocol. Messages do not survive
the process.

Kept separate from `channel` because a channel is used without a provider, too.
"""

import itertools
import math
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from heapq import heappop, heappush
from pathlib import Path

import trio

from factflow_engine.frames import Frame
from factflow_engine.queues.channel import DEFAULT_CAPACITY, MemoryChannel, as_frame, wait_for_room
from factflow_engine.queues.naming import is_topic, memory_queue_name_problem
from factflow_protocols import (
    BatchResult,
    Delivery,
    MessageStatus,
    Nack,
    QueueClosedError,
    QueueFullError,
    QueueMessage,
    QueueUrlError,
    SubscriptionStatistics,
)

_SCOPED = "exec:"
"""Prefix of names that belong to one execution; the part up to the next colon is their scope."""


@dataclass(frozen=True, slots=True, eq=False)
class MemoryDelivery:
    """A frame handed out by a memory subscription."""

    message: Frame


class MemorySubscription:
    """A consumer of one channel through the protocol."""

    def __init__(self, queue: str, channel: MemoryChannel, prefetch: int) -> None:
        self._queue = queue
        self._channel = channel
        self._prefetch = prefetch
        self._unsettled: set[MemoryDelivery] = set()
        self._delayed: list[tuple[float, int, Frame]] = []  # heap by due time; the channel counts them as unsettled
        self._serial = itertools.count()
        self._arrival = trio.lowlevel.ParkingLot()

    async def receive(self, max_messages: int) -> Sequence[MemoryDelivery]:
        """See `Subscription.receive`."""
        if max_messages < 1:
            raise ValueError(f"receive() needs room for at least one message, got max_messages={max_messages}")
        await trio.lowlevel.checkpoint()
        while True:
            self._release_due()
            if self._channel.ready and len(self._unsettled) < self._prefetch:
                break
            if self._channel.closed and not self._channel.waiting and not self._delayed:
                raise QueueClosedError(self._queue, "its execution has ended; nothing more will come")
            with trio.move_on_at(self._delayed[0][0] if self._delayed else math.inf):
                await self._arrival.park()
        room = min(max_messages, self._prefetch - len(self._unsettled))
        frames = iter(self._channel.take, None)
        deliveries = [MemoryDelivery(frame) for frame in itertools.islice(frames, room)]
        self._unsettled.update(deliveries)
        self._channel.outside += len(deliveries)
        return deliveries

    async def settle(self, acks: Sequence[Delivery], nacks: Sequence[Nack] = ()) -> None:
        """See `Subscription.settle`."""
        await trio.lowlevel.checkpoint()
        for delivery in acks:
            if isinstance(delivery, MemoryDelivery) and delivery in self._unsettled:
                self._unsettled.discard(delivery)
                self._channel.outside -= 1
                self._channel.settled += 1
                self._channel.end(as_frame(delivery.message))
                self._channel.tell()
        for nack in reversed(nacks):
            if isinstance(nack.delivery, MemoryDelivery) and nack.delivery in self._unsettled:
                self._give_back(nack.delivery, nack)
        self._arrival.unpark_all()

    def statistics(self) -> SubscriptionStatistics:
        """See `Subscription.statistics`."""
        return SubscriptionStatistics(
            waiting=self._channel.waiting,
            unsettled=len(self._unsettled) + len(self._delayed),
            redelivered=self._channel.redelivered,
        )

    async def depth(self) -> int:
        """See `Subscription.depth`."""
        await trio.lowlevel.checkpoint()
        return self._channel.waiting + self._channel.outside

    def _give_back(self, delivery: MemoryDelivery, nack: Nack) -> None:
        self._unsettled.discard(delivery)
        frame = delivery.message.restamp(attempt=delivery.message.attempt + 1) if nack.counts else delivery.message
        if nack.delay_seconds > 0:
            heappush(self._delayed, (trio.current_time() + nack.delay_seconds, next(self._serial), frame))
        else:
            self._return(frame)

    def _return(self, frame: Frame) -> None:
        self._channel.outside -= 1
        self._channel.give_back(frame)

    def _release_due(self) -> None:
        now = trio.current_time()
        while self._delayed and self._delayed[0][0] <= now:
            self._return(heappop(self._delayed)[2])

    @contextmanager
    def attached(self) -> Iterator["MemorySubscription"]:
        """Listen to the channel; on exit everything unsettled is ready again, oldest first."""

        def listener() -> None:
            self._arrival.unpark_all()

        self._channel.listen(listener)
        try:
            yield self
        finally:
            self._channel.unlisten(listener)
            frames = [delivery.message for delivery in self._unsettled] + [frame for _, _, frame in self._delayed]
            for frame in sorted(frames, key=lambda frame: frame.message_id, reverse=True):
                self._return(frame)
            self._unsettled.clear()
            self._delayed.clear()


class MemoryQueue:
    """`memory://`: queues and topics of this process. See `factflow_protocols.QueueProtocol` for the contract."""

    outlives_process: bool = False

    def __init__(self) -> None:
        # Name to the channels to which a message published to it is appended: one for a queue, one for each
        # subscription of a topic. A list lives as long as the provider, so that frequent publishers may keep it.
        self._channels: dict[str, list[MemoryChannel]] = {}
        # Names of the queues with channels in a scope (`exec:<id>:`), in creation order: the end of an execution visits
        # only its own queues, however many others exist.
        self._scopes: dict[str, dict[str, None]] = {}
        self._stopped = False

    @classmethod
    def from_url(cls, url: str, *, directory: Path | None = None) -> "MemoryQueue":  # noqa: ARG003 - it has no files
        """Make a provider for `memory://`; see `QueueProviderClass.from_url`."""
        if url != "memory://":
            raise QueueUrlError(url, "queues in memory have no name and no options; write memory://")
        return cls()

    def validate_name(self, queue: str) -> str | None:
        """See `QueueProtocol.validate_name`."""
        return memory_queue_name_problem(queue)

    def targets(self, queue: str) -> list[MemoryChannel]:
        """Return the channels to which this name publishes: a live view, empty for a topic without subscriptions."""
        if queue not in self._channels:
            self._channels[queue] = [] if is_topic(queue) else [self._channel(queue, queue)]
        return self._channels[queue]

    def channel(
        self,
        queue: str,
        subscription: str,
        capacity: int | None = None,
        *,
        prefetch: int = 1,  # noqa: ARG002 - of use where messages come from elsewhere
    ) -> MemoryChannel:
        """Return the channel of a consumer, made on first use; the first consumer that names a capacity decides it."""
        channels = self._channels.setdefault(queue, [])
        owner = subscription if is_topic(queue) else queue
        for channel in channels:
            if channel.owner == owner:
                break
        else:
            channel = self._channel(queue, owner)
            channels.append(channel)
        if capacity is not None and not channel.sized:
            channel.capacity, channel.sized = capacity, True
        return channel

    def discard(self, scope: str) -> None:
        """Delete the queues and topic subscriptions of a scope, whose names begin with it, and their messages.

        Publishers that wait for room in them continue.
        """
        for queue in self._scopes.pop(scope, {}):
            channels = self._channels.get(queue, [])
            for channel in list(channels):
                if channel.owner.startswith(scope):
                    channels.remove(channel)
                    channel.close()
            if not channels and not is_topic(queue):
                self._channels.pop(queue, None)

    def _channel(self, queue: str, owner: str) -> MemoryChannel:
        end = owner.find(":", len(_SCOPED)) + 1
        if owner.startswith(_SCOPED) and end:
            self._scopes.setdefault(owner[:end], {})[queue] = None
        return MemoryChannel(owner, DEFAULT_CAPACITY)

    async def publish(self, queue: str, message: QueueMessage) -> MessageStatus:
        """See `QueueProtocol.publish`."""
        await trio.lowlevel.checkpoint_if_cancelled()
        frame = as_frame(message)
        await wait_for_room(partial(self._full, queue))
        for channel in self._targets_for_publish(queue):
            channel.append(frame)
        await trio.lowlevel.cancel_shielded_checkpoint()
        return MessageStatus.ACCEPTED

    def publish_nowait(self, queue: str, message: QueueMessage) -> None:
        """Store one message."""
        frame = as_frame(message)
        targets = self._targets_for_publish(queue)
        for channel in targets:
            if channel.is_full:
                raise QueueFullError(queue, f"holds {channel.waiting} messages, which is its capacity")
        for channel in targets:
            channel.append(frame)

    async def publish_batch(self, queue: str, messages: Sequence[QueueMessage]) -> BatchResult:
        """See `QueueProtocol.publish_batch`."""
        statuses = [await self.publish(queue, message) for message in messages]
        return BatchResult(statuses=statuses, errors={})

    @asynccontextmanager
    async def subscribe(
        self, queue: str, subscription: str, prefetch: int, capacity: int | None = None
    ) -> AsyncIterator[MemorySubscription]:
        """See `QueueProtocol.subscribe`.

        The subscription of a topic ends with its last consumer: a topic stores nothing for absent consumers.
        """
        if prefetch < 1:
            raise ValueError(f"subscribe() needs a prefetch of at least 1, got {prefetch}")
        self._refuse_if_stopped(queue)
        consumer = MemorySubscription(queue, self.channel(queue, subscription, capacity), prefetch)
        try:
            with consumer.attached():
                yield consumer
        finally:
            channels = self._channels.get(queue, [])
            for channel in [channel for channel in channels if is_topic(queue) and channel.owner == subscription]:
                if not channel.listeners:
                    channels.remove(channel)
                    channel.close()

    async def forget_empty(self, prefix: str) -> None:
        """See `QueueProtocol.forget_empty`."""
        await trio.lowlevel.checkpoint()
        for queue, channels in list(self._channels.items()):
            for channel in list(channels):
                if channel.owner.startswith(prefix) and not (channel.waiting or channel.outside or channel.listeners):
                    channels.remove(channel)
                    channel.close()
            if not channels and queue.startswith(prefix):
                del self._channels[queue]

    async def stop(self) -> None:
        """See `QueueProtocol.stop`."""
        await trio.lowlevel.checkpoint()
        self._stopped = True

    def _full(self, queue: str) -> MemoryChannel | None:
        return next((channel for channel in self._targets_for_publish(queue) if channel.is_full), None)

    def _targets_for_publish(self, queue: str) -> Sequence[MemoryChannel]:
        self._refuse_if_stopped(queue)
        return self.targets(queue)

    def _refuse_if_stopped(self, queue: str) -> None:
        if self._stopped:
            raise QueueClosedError(queue, "the memory provider was stopped")
