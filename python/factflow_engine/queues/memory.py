"""The in-process provider, and the only one that the runtime knows by name.

A queue is one `MemoryChannel`; a topic has a channel for each subscription. The runtime's loop takes from and appends
to channels directly, natively and without an await; everybody else goes through the protocol. Nothing survives the
process.
"""

import itertools
import math
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from heapq import heappop, heappush

import trio

from factflow_engine.frames import Frame
from factflow_engine.native import Channel, Journal
from factflow_engine.queues.naming import is_topic, memory_queue_name_problem
from factflow_protocols import (
    BatchResult,
    Delivery,
    MessageStatus,
    Nack,
    QueueClosedError,
    QueueFullError,
    QueueMessage,
    SubscriptionStatistics,
)

DEFAULT_CAPACITY = 1000

_SCOPED = "exec:"
"""What names that belong to one execution begin with; up to the next colon, that is their scope."""


class MemoryChannel(Channel):
    """One bounded first-in-first-out channel of frames, which it holds natively (see `Channel`).

    It may hold more than `capacity` for a moment: the loop appends what was in flight before it looked, and a message
    that is given back returns to the front. Those who publish wait (or are parked by the loop) while it is full.

    Attributes:
        owner: Name of the queue, or of the subscription if it is a topic's.
        capacity: How many waiting frames make it full.
        redelivered: How many frames were given back.
        armed: True if `tell` must be called after a frame was added. A single listener may switch it off while it
            knows of frames anyway, and must switch it on before it forgets; `listen` keeps it on for several.
        closed: Nothing will be added any more; consumers may take what is left.
        outside: Taken through subscriptions and not settled: the queue is not done with them.
        settled: How many were taken and acknowledged through subscriptions.
        journal: Where the ends of what was taken are noted, if it came from elsewhere; None: nowhere.
        awaited: True if `tell_of_room` must be called after a frame was taken: somebody waits for room.
        listeners: Who reads: called, without arguments, by `tell`. `is_read` says whether there are any, and `shared`
            whether there are several, so that `armed` must stay on.
    """

    __slots__ = ("_room", "_watchers", "closed", "journal", "listeners", "outside", "redelivered", "settled", "sized")

    def __init__(self, owner: str, capacity: int) -> None:  # noqa: ARG002 - the native part's, which has taken them
        self.redelivered = 0
        self.sized = False  # whether a consumer has named the capacity
        self.closed = False
        self.outside = 0
        self.settled = 0
        self.journal: Journal | None = None
        self.listeners: list[Callable[[], None]] = []
        self._watchers: list[Callable[[], None]] = []  # told once each when there is room
        self._room = trio.lowlevel.ParkingLot()

    def listen(self, listener: Callable[[], None]) -> None:
        """Add a consumer."""
        self.listeners.append(listener)
        self.is_read = self.armed = True
        self.shared = len(self.listeners) > 1

    def unlisten(self, listener: Callable[[], None]) -> None:
        """Remove a consumer; the others hear of what it leaves, and publishers that nobody reads any more."""
        if listener in self.listeners:
            self.listeners.remove(listener)
            self.is_read = bool(self.listeners)
            self.shared = len(self.listeners) > 1
            self.armed = True
            self.tell()
            if not self.listeners:
                self._tell_watchers()
                self.wake_publishers()

    def give_back(self, frame: Frame) -> None:
        """Make a taken frame the next to be taken."""
        self.redelivered += 1
        self.put_first(frame)
        self.tell()

    def close(self) -> None:
        """Take no more and hold nobody up; what is left stays for consumers that are still there."""
        self.closed = True
        if not self.listeners:
            self.clear()
        self.capacity = sys.maxsize
        self.tell_of_room()
        self.tell()

    def tell(self) -> None:
        """Tell the consumers that something is ready, or settled."""
        for listener in tuple(self.listeners):
            listener()

    def watch(self, watcher: Callable[[], None]) -> None:
        """Have this called once when there is room."""
        if watcher not in self._watchers:
            self._watchers.append(watcher)
            self.awaited = True

    def unwatch(self, watcher: Callable[[], None]) -> None:
        """Withdraw a `watch`."""
        if watcher in self._watchers:
            self._watchers.remove(watcher)

    async def wait_for_room(self) -> None:
        """Return when there may be room; another publisher may be faster, so look again."""
        self.awaited = True
        await self._room.park()

    def wake_publishers(self) -> None:
        """Let those who wait for room look again at whether they still want it."""
        self._room.unpark_all()

    def tell_of_room(self) -> None:
        """If there is room, tell those who wait for it: as many publishers as fit, and every watcher."""
        room = self.capacity - self.waiting
        if room > 0:
            self._room.unpark(count=room)
            self._tell_watchers()

    def _tell_watchers(self) -> None:
        watchers, self._watchers = self._watchers, []
        self.awaited = bool(self._room)
        for watcher in watchers:
            watcher()


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
        self._delayed: list[tuple[float, int, Frame]] = []  # heap by due time; still unsettled for the channel
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

    def __init__(self) -> None:
        # Name to the channels that a message published to it is appended to: one for a queue, one a subscription for a
        # topic. The lists live as long as the provider, so that whoever publishes often may keep one.
        self._channels: dict[str, list[MemoryChannel]] = {}
        # Names of the queues that have channels of a scope (`exec:<id>:`), in the order of their making: an execution
        # that ends looks at its own only, however many there are.
        self._scopes: dict[str, dict[str, None]] = {}
        self._stopped = False

    def validate_name(self, queue: str) -> str | None:
        """See `QueueProtocol.validate_name`."""
        return memory_queue_name_problem(queue)

    def targets(self, queue: str) -> list[MemoryChannel]:
        """The channels that a message published to this name goes to; a live view, empty for a topic nobody reads."""
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
        """The channel that a consumer reads, made on first use; the first consumer to name a capacity decides it."""
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
        """Forget the queues and topic subscriptions of a scope, whose names begin with it, and what they hold.

        Publishers that wait for one of them go on.
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
        before: MemoryChannel | None = None
        while full := [channel for channel in self._targets_for_publish(queue) if channel.is_full]:
            if before is not None and before is not full[0]:
                before.tell_of_room()  # it was for this one to take, and waits on: another may want it meanwhile
            before = full[0]
            await before.wait_for_room()
        for channel in self._targets_for_publish(queue):
            channel.append(frame)
        await trio.lowlevel.cancel_shielded_checkpoint()
        return MessageStatus.ACCEPTED

    def publish_nowait(self, queue: str, message: QueueMessage) -> None:
        """Store one message, or raise `QueueFullError` if there is no room."""
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

        The subscription of a topic ends with its last consumer: a topic keeps nothing for those who are not there.
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

    def _targets_for_publish(self, queue: str) -> Sequence[MemoryChannel]:
        self._refuse_if_stopped(queue)
        return self.targets(queue)

    def _refuse_if_stopped(self, queue: str) -> None:
        if self._stopped:
            raise QueueClosedError(queue, "the memory provider was stopped")


def as_frame(message: QueueMessage) -> Frame:
    """The native frame of a message that may be another implementation's."""
    return message if isinstance(message, Frame) else Frame.decode(message.encode())
