"""Store of a simulated broker: all queues, and what happens to their messages, in one step each.

Nothing here waits: a step is done or not, whichever process asked for it and whatever becomes of that. Kept separate from
the connections, whose calls take time, are cancelled, and die.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

import trio

from factflow_engine.errors import CodecError
from factflow_engine.frames import Frame
from factflow_engine.queues.channel import as_frame
from factflow_engine.queues.naming import is_topic
from factflow_engine.seams import Clock, Randomness
from factflow_engine.testing.simulation.broker.line import LONGEST_DELAY_SECONDS, Entry, Lease, Line, Place
from factflow_engine.testing.simulation.broker.mischief import Mischief
from factflow_engine.testing.simulation.faults import DropDelivery, Fault
from factflow_protocols import Holding, MessageStatus, Nack, QueueError, QueueMessage

REORDER_SECONDS: Final = 1.0
"""Longest time for which a message that is reordered waits for others to pass it."""

Trace = Callable[[str, str, bytes | None, str], object]
"""Taker of events: event, queue as the configuration names it, message id or None, details."""


def bare_name(queue: str) -> str:
    """Return a queue's name without the prefix of its execution: as the configuration, and faults, name it."""
    return queue[queue.find("/") :] if queue.startswith("exec:") and "/" in queue else queue


def subscription_key(queue: str, subscription: str) -> str:
    """Return the name under which messages are kept: all consumers of a point-to-point queue share them."""
    return subscription if is_topic(queue) else ""


@dataclass(frozen=True, slots=True, eq=False)
class BrokerDelivery:
    """A message that the broker has handed out.

    Attributes:
        message: Its attempt counts this delivery.
        entry: The stored message.
        lease: Lease under which it was handed out; the delivery is its consumer's while this is the entry's.
    """

    message: Frame
    entry: Entry
    lease: Lease


class Consumer(Protocol):
    """Consumer of a line, as the store sees it."""

    @property
    def process(self) -> int:
        """Number of its process."""
        ...

    def is_there(self, now_ns: int) -> bool:
        """True if it counts as a consumer: it is open, or it died and its lease has not ended yet."""
        ...

    def ring(self) -> None:
        """Look at the line again."""
        ...


@dataclass(slots=True, kw_only=True)
class QueueCounts:
    """Counts of one queue or topic since the beginning.

    Attributes:
        accepted: Messages that were accepted.
        duplicates: Messages that were refused because their id was known.
        delivered: Deliveries, those included that were lost on their way.
        acked: Deliveries that were acknowledged.
        nacked: Deliveries that were given back.
        expired: Leases that ended without a settlement, by message.
    """

    accepted: int = 0
    duplicates: int = 0
    delivered: int = 0
    acked: int = 0
    nacked: int = 0
    expired: int = 0


@dataclass(slots=True, eq=False)
class StoredQueue:
    """A queue or a topic.

    Attributes:
        name: The broker's name.
        bare: The configuration's name.
        lines: Its one line, or one for each subscription of a topic, by `subscription_key`.
        consumers: Consumers of each line, by the same key.
        room: Publishers that wait for room.
        accepted: Ids of the messages that were ever accepted.
    """

    name: str
    bare: str
    lines: dict[str, Line] = field(default_factory=dict)
    consumers: dict[str, list[Consumer]] = field(default_factory=dict)
    room: trio.lowlevel.ParkingLot = field(default_factory=trio.lowlevel.ParkingLot)
    accepted: list[bytes] = field(default_factory=list)
    counts: QueueCounts = field(default_factory=QueueCounts)


class Store:
    """All queues of a broker.

    Attributes:
        lease_ns: Duration of a lease.
        mischief: What goes wrong.
        queues: Every queue by the broker's name, in the order of their first use.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        randomness: Randomness,
        faults: Sequence[Fault],
        trace: Trace | None,
        lease_seconds: float,
        dedup_seconds: float,
        capacity: int,
    ) -> None:
        self.lease_ns: Final = round(lease_seconds * 1e9)
        self.queues: Final[dict[str, StoredQueue]] = {}
        self.mischief: Final = Mischief(
            faults, randomness=randomness, seconds=lambda: self.now_ns() / 1e9, note=self._note_fault
        )
        self._clock = clock
        self._trace = trace
        self._dedup_ns = round(dedup_seconds * 1e9)
        self._capacity = capacity

    def now_ns(self) -> int:
        """Return the present time, from the beginning of the run."""
        return self._clock.monotonic_ns()

    def wall_ns(self) -> int:
        """Return the broker's wall time."""
        return self._clock.wall_ns()

    def note(self, event: str, queue: str, message_id: bytes | None, detail: str = "") -> None:
        """Tell the taker of events."""
        if self._trace is not None:
            self._trace(event, bare_name(queue), message_id, detail)

    def _note_expired(self, queue: StoredQueue, entry: Entry) -> None:
        queue.counts.expired += 1
        self.note("lease_expired", queue.name, entry.frame.message_id)

    def _note_fault(self, queue: str, fault: Fault, message_id: bytes | None) -> None:
        if self._trace is not None:
            self._trace("fault", bare_name(queue), message_id, repr(fault))

    # -- queues ----------------------------------------------------------------------------------------------------

    def queue(self, name: str) -> StoredQueue:
        """Return a queue, made if it is new."""
        queue = self.queues.get(name)
        if queue is None:
            queue = self.queues[name] = StoredQueue(name, bare_name(name))
        return queue

    def line(self, name: str, subscription: str) -> Line:
        """Return the line of a queue, or of a topic's subscription, made if it is new."""
        queue, key = self.queue(name), subscription_key(name, subscription)
        line = queue.lines.get(key)
        if line is None:

            def expired(entry: Entry) -> None:
                self._note_expired(queue, entry)

            line = queue.lines[key] = Line(name, key, capacity=self._capacity, expired=expired)
        return line

    def lines(self, prefix: str = "") -> Iterable[tuple[StoredQueue, Line]]:
        """Return the lines whose queue's or subscription's name begins with this."""
        for queue in list(self.queues.values()):
            for key, line in list(queue.lines.items()):
                if queue.name.startswith(prefix) or key.startswith(prefix):
                    yield queue, line

    def depth(self, name: str, subscription: str) -> int:
        """Return the number of messages for a consumer; 0 if there is no such line."""
        queue = self.queues.get(name)
        line = None if queue is None else queue.lines.get(subscription_key(name, subscription))
        return 0 if line is None else len(line.entries)

    def holdings(self, prefix: str) -> list[Holding]:
        """Return the lines with this prefix that have messages, ordered by name."""
        found = [Holding(line.queue, line.subscription, len(line.entries)) for _, line in self.lines(prefix)]
        return sorted((each for each in found if each.messages), key=lambda each: (each.queue, each.subscription))

    def attach(self, line: Line, consumer: Consumer) -> None:
        """Note a consumer of a line."""
        queue = self.queue(line.queue)
        queue.consumers.setdefault(line.subscription, []).append(consumer)
        queue.room.unpark_all()  # it may have set a capacity

    def detach(self, line: Line, consumer: Consumer) -> None:
        """Note that a consumer has left its line."""
        consumers = self.queue(line.queue).consumers.get(line.subscription, [])
        if consumer in consumers:
            consumers.remove(consumer)

    def forget_empty(self, prefix: str) -> list[Line]:
        """Forget the lines with this prefix that have neither messages nor consumers; return those with consumers."""
        wanted: list[Line] = []
        for queue, line in self.lines(prefix):
            if self._is_wanted(queue, line.subscription):
                wanted.append(line)
            else:
                self._forget_if_empty(queue, line)
        return wanted

    def forget_left(self, line: Line) -> None:
        """Forget a line if it has neither messages nor consumers."""
        queue = self.queue(line.queue)
        if not line.is_forgotten and not self._is_wanted(queue, line.subscription):
            self._forget_if_empty(queue, line)

    def _is_wanted(self, queue: StoredQueue, key: str) -> bool:
        now = self.now_ns()
        return any(consumer.is_there(now) for consumer in queue.consumers.get(key, ()))

    def _forget_if_empty(self, queue: StoredQueue, line: Line) -> None:
        if not line.entries:
            line.is_forgotten = True
            queue.lines.pop(line.subscription, None)
            queue.room.unpark_all()

    # -- messages --------------------------------------------------------------------------------------------------

    def frames(self, queue: str, messages: Sequence[QueueMessage]) -> list[Frame]:
        """Return messages as they are stored.

        Raises:
            QueueError: One does not encode to a frame.
        """
        try:
            return [as_frame(message) for message in messages]
        except CodecError as error:
            self.note("refused", queue, None, str(error))
            raise QueueError(queue, f"a message does not encode to a frame: {error}") from error

    def accept(self, name: str, frame: Frame, *, bounded: bool = True) -> MessageStatus | None:
        """Store a message, or find that it is there.

        Args:
            name: Queue or topic.
            frame: The message.
            bounded: False to store it whatever the capacity.

        Returns:
            Its status; None if there is no room.
        """
        queue, now, message_id = self.queue(name), self.now_ns(), frame.message_id
        if not queue.lines and not is_topic(name):
            self.line(name, "")
        lines = list(queue.lines.values())
        fresh = [line for line in lines if not line.knows(message_id, now)]
        if lines and not fresh:
            queue.counts.duplicates += 1
            self.note("duplicate", name, message_id)
            return MessageStatus.DUPLICATE
        if bounded and any(not line.room for line in lines):
            return None
        queue.accepted.append(message_id)
        queue.counts.accepted += 1
        self.note("accepted", name, message_id)
        if fresh:
            duplicate, delay, reorder = self.mischief.of_message(queue.bare, message_id)
            wait = 0.0 if delay is None else delay.seconds
            behind = 0
            if reorder is not None:
                wait, behind = max(wait, REORDER_SECONDS), reorder.behind
            due = now + round(wait * 1e9) if wait else 0
            for line in fresh:
                if self._dedup_ns:
                    line.remember(message_id, now + self._dedup_ns)
                line.append(frame, due_ns=due, behind=behind)
                if duplicate is not None:
                    line.append(frame)
                self.ring(line)
        return MessageStatus.ACCEPTED

    def fits(self, name: str, count: int) -> bool:
        """True if a queue has room for so many messages; duplicates count as if they needed it."""
        queue = self.queues.get(name)
        if queue is None or not queue.lines:
            return is_topic(name) or count <= self._capacity
        return all(count <= line.room for line in queue.lines.values())

    def claim(
        self, line: Line, consumer: Consumer, limit: int, *, isolates: bool, has_others: bool
    ) -> tuple[list[BrokerDelivery], bool]:
        """Hand out messages of a line; see `Line.claim`.

        Returns:
            What arrives at the consumer, and `Claimed.alone`.
        """
        while True:
            claimed = line.claim(consumer, limit, self.now_ns(), isolates=isolates, has_others=has_others)
            arrived = [delivery for entry in claimed.entries if (delivery := self._send(line, consumer, entry))]
            if arrived or not claimed.entries:  # else all were lost on their way, and others may wait
                return arrived, claimed.alone

    def _send(self, line: Line, consumer: Consumer, entry: Entry) -> BrokerDelivery | None:
        """Send a message that was claimed to its consumer; return None if it does not arrive."""
        queue, now, frame, lease = self.queue(line.queue), self.now_ns(), entry.frame, entry.lease
        assert lease is not None
        if entry.attempts:
            frame = frame.restamp(attempt=frame.attempt + entry.attempts)
        queue.counts.delivered += 1
        self.note("delivered", line.queue, frame.message_id, f"attempt {frame.attempt}, process {consumer.process}")
        fault = self.mischief.of_delivery(queue.bare, frame.message_id)
        if isinstance(fault, DropDelivery):
            line.orphan(entry, now + self.lease_ns)
            return None
        if fault is not None:
            line.lapse(entry, now)
            self._note_expired(queue, entry)
            self.ring(line)
        return BrokerDelivery(frame, entry, lease)

    def ack(self, line: Line, entry: Entry) -> None:
        """Remove a message for good."""
        queue = self.queue(line.queue)
        line.ack(entry)
        queue.counts.acked += 1
        self.note("acked", line.queue, entry.frame.message_id)
        queue.room.unpark_all()
        if line.in_order:
            self.ring(line)

    def nack(self, line: Line, entry: Entry, nack: Nack) -> None:
        """Give a message back; a delay that is NaN or negative is none."""
        delay = min(nack.delay_seconds, LONGEST_DELAY_SECONDS) if nack.delay_seconds > 0 else 0.0
        line.give_back(entry, due_ns=self.now_ns() + round(delay * 1e9) if delay else 0, counts=nack.counts)
        self.queue(line.queue).counts.nacked += 1
        spent = "" if nack.counts else ", no attempt spent"
        self.note("nacked", line.queue, entry.frame.message_id, f"after {delay:g} s{spent}")
        self.ring(line)

    def release(self, line: Line, entries: Iterable[Entry]) -> None:
        """Give messages back at once, with no attempt spent, because their consumer has left."""
        released = list(entries)
        for entry in released:
            line.give_back(entry)
            self.queue(line.queue).counts.nacked += 1
            self.note("nacked", line.queue, entry.frame.message_id, "its consumer left, no attempt spent")
        if released:
            self.ring(line)

    def undo(self, line: Line, entries: Iterable[Entry]) -> None:
        """Take back deliveries that a consumer did not wait for."""
        for entry in entries:
            line.undo(entry)
            self.note("nacked", line.queue, entry.frame.message_id, "its consumer stopped waiting, no attempt spent")
        self.ring(line)

    def orphan(self, line: Line, entries: Iterable[Entry], until_ns: int) -> None:
        """Let leases end then, because nobody renews them any more."""
        for entry in entries:
            line.orphan(entry, until_ns)
        self.ring(line)

    def ring(self, line: Line) -> None:
        """Have the consumers of a line look at it."""
        for consumer in self.queue(line.queue).consumers.get(line.subscription, ()):
            consumer.ring()

    def waiting(self, line: Line) -> int:
        """Return the number of messages of a line that could be handed out now."""
        line.promote(self.now_ns())
        return line.counts[Place.FRESH] + line.counts[Place.READY]
