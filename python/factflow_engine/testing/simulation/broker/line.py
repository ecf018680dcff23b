"""Messages of one queue, or of one subscription of a topic: their order, their leases, their delays.

Pure: the time is an argument, and nothing waits. A message is in one place at a time (`Place`). It goes from place to place by
`append`, `claim`, `ack` and `give_back`, and by `promote` when its time has come. Two heaps order what was handed out
before; an entry's stamp tells which of their items are void, so that each step costs O(log n).

A lease of a running consumer has no end: the consumer renews it. When the consumer dies, its leases become orphans, which
end. Kept separate from the store, which has many lines, and knows of processes.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from heapq import heapify, heappop, heappush
from typing import Final, NamedTuple

from factflow_engine.frames import Frame

LONGEST_DELAY_SECONDS: Final = 10 * 365 * 86_400
"""Longest delay of a message; longer ones are cut to it."""


class Place(Enum):
    """Place of a message in its line."""

    FRESH = "fresh"
    """Never handed out, in the order of acceptance."""
    READY = "ready"
    """Handed out before, and may be handed out again."""
    DELAYED = "delayed"
    """May be handed out at a time to come."""
    LEASED = "leased"
    """A consumer has it."""
    GONE = "gone"
    """Acknowledged."""


@dataclass(slots=True, eq=False)
class Lease:
    """Lease of what one claim took.

    Attributes:
        number: Its number in the line.
        holder: The consumer; None for an orphan.
        since_ns: Time of the claim.
        entries: Its unsettled messages, by number.
    """

    number: int
    holder: object
    since_ns: int
    entries: dict[int, "Entry"] = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class Entry:
    """A stored message.

    Attributes:
        seq: Its number in the line, ascending in the order of acceptance.
        frame: The message as it was accepted.
        place: Where it is.
        attempts: Number of attempts spent.
        deliveries: Number of times that it was handed out.
        due_ns: Time at which it may be handed out again, or at which its orphaned lease ends.
        lease: Its lease; None unless it is leased.
        is_suspect: True if its last lease ended without a settlement.
        behind: Number of messages that it lets pass before it is as fresh as they; 0 as a rule.
        stamp: Number that changes whenever it moves.
    """

    seq: int
    frame: Frame
    place: Place = Place.FRESH
    attempts: int = 0
    deliveries: int = 0
    due_ns: int = 0
    lease: Lease | None = None
    is_suspect: bool = False
    behind: int = 0
    stamp: int = 0


class Claimed(NamedTuple):
    """Result of a claim.

    Attributes:
        entries: Messages that the consumer got, in order; may be empty.
        lease: Their lease.
        alone: True if a suspect was handed out, or will be once the consumer has settled its messages.
    """

    entries: list[Entry]
    lease: Lease | None = None
    alone: bool = False


_Timer = tuple[int, int, int, Entry]
"""Due time, number, stamp and entry."""


class Line:
    """Messages of one queue, or of one subscription of a topic.

    Attributes:
        queue: Name of the queue or topic.
        subscription: Name of the topic's subscription; empty for a queue.
        entries: All messages that are not acknowledged, by number, ascending.
        capacity: Number of messages at which publishers wait.
        is_forgotten: True if the line is no more.
        in_order: True if its consumers take turns, and what comes again comes in the order of acceptance.
    """

    def __init__(self, queue: str, subscription: str, *, capacity: int, expired: Callable[[Entry], None]) -> None:
        """Make an empty line; `expired` is called with each message whose orphaned lease has ended."""
        self.queue: Final = queue
        self.subscription: Final = subscription
        self.entries: dict[int, Entry] = {}
        self.capacity = capacity
        self.is_forgotten = False
        self.in_order = False
        self.counts: Final = dict.fromkeys(Place, 0)
        self._fresh: deque[Entry] = deque()
        self._ready: list[_Timer] = []  # heap
        self._suspects: list[_Timer] = []  # heap: ready, and their lease ended without a settlement
        self._timers: list[_Timer] = []  # heap of what becomes ready: delayed messages and orphans
        self._passed: list[Entry] = []  # delayed until so many others have passed them
        self._expired: Final = expired
        self._leases: dict[int, Lease] = {}  # those with unsettled messages, by number
        self._leased = 0  # number of the newest lease
        self._newest = 0  # number of the newest message
        self._seen: dict[bytes, int] = {}  # ids to the time until which they are refused

    # -- acceptance ------------------------------------------------------------------------------------------------

    def knows(self, message_id: bytes, now_ns: int) -> bool:
        """True if a message of this id was accepted, and its window is not over."""
        return self._seen.get(message_id, -1) >= now_ns

    def remember(self, message_id: bytes, until_ns: int) -> None:
        """Refuse this id until then."""
        self._seen[message_id] = until_ns

    @property
    def room(self) -> int:
        """Number of messages that still fit; leased ones count."""
        return max(0, self.capacity - len(self.entries))

    def append(self, frame: Frame, *, due_ns: int = 0, behind: int = 0) -> Entry:
        """Store a message.

        Args:
            frame: The message.
            due_ns: Time until which it stays put; 0 for none.
            behind: Number of later messages that pass it, at most: it waits for them until `due_ns`.
        """
        self._newest += 1
        entry = Entry(self._newest, frame, due_ns=due_ns, behind=behind)
        self.entries[entry.seq] = entry
        if due_ns:
            self._wait(entry)
            if behind:
                self._passed.append(entry)
        else:
            self._enter(entry)
            self._fresh.append(entry)
            if self._passed:
                self._pass()
        return entry

    def _pass(self) -> None:
        """Count a message that has passed others."""
        for entry in list(self._passed):
            entry.behind -= 1
            if not entry.behind:
                self._join_the_fresh(entry)

    def _join_the_fresh(self, entry: Entry) -> None:
        """End a reordering: the message is where it would be if it had been accepted now."""
        self._passed.remove(entry)
        self._leave(entry)
        del self.entries[entry.seq]
        self._newest += 1
        entry.seq, entry.behind, entry.place = self._newest, 0, Place.FRESH
        self.entries[entry.seq] = entry
        self._enter(entry)
        self._fresh.append(entry)

    # -- handing out -----------------------------------------------------------------------------------------------

    def claim(
        self, holder: object, limit: int, now_ns: int, *, isolates: bool = False, has_others: bool = False
    ) -> Claimed:
        """Lease at most so many messages: first those that come again, in the order of their times, then fresh ones.

        Args:
            holder: The consumer.
            limit: Most messages.
            now_ns: The present time.
            isolates: True if a suspect is handed out alone.
            has_others: True if the consumer has unsettled messages.
        """
        self.promote(now_ns)
        if self.in_order and any(lease.holder is not holder for lease in self._leases.values()):
            return Claimed([])
        taken: list[Entry] = []
        alone = False
        ready, suspect = _top(self._ready), _top(self._suspects)
        if isolates and suspect is not None:
            if (
                self.in_order and ready is not None and ready < suspect
            ):  # no consumer died of these, and they come first
                while len(taken) < limit and (ready := _top(self._ready)) is not None and ready < suspect:
                    taken.append(heappop(self._ready)[3])
            elif has_others:
                return Claimed([], alone=True)
            else:
                taken.append(heappop(self._suspects)[3])
                alone = True
        else:
            while len(taken) < limit and (ready is not None or suspect is not None):
                first = suspect is None or (ready is not None and ready < suspect)
                taken.append(heappop(self._ready if first else self._suspects)[3])
                ready, suspect = _top(self._ready), _top(self._suspects)
            while len(taken) < limit and self._fresh:
                taken.append(self._fresh.popleft())
        if not taken:
            return Claimed([])
        return Claimed(taken, self._lease(holder, taken, now_ns), alone=alone)

    def _lease(self, holder: object, taken: list[Entry], now_ns: int) -> Lease:
        lease = self._new_lease(holder, now_ns)
        for entry in taken:
            self._leave(entry)
            entry.attempts += entry.is_suspect
            entry.is_suspect = False
            entry.deliveries += 1
            entry.place, entry.lease = Place.LEASED, lease
            lease.entries[entry.seq] = entry
            self._enter(entry)
        return lease

    def _new_lease(self, holder: object, since_ns: int) -> Lease:
        self._leased += 1
        lease = self._leases[self._leased] = Lease(self._leased, holder, since_ns)
        return lease

    def promote(self, now_ns: int) -> None:
        """Make ready what is due."""
        while (timer := _top(self._timers)) is not None and timer[0] <= now_ns:
            entry = heappop(self._timers)[3]
            if entry.behind:
                self._join_the_fresh(entry)
            elif entry.place is Place.LEASED:
                self._lapse(entry)
                self._expired(entry)
            else:
                self._make_ready(entry)

    def next_due_ns(self) -> int | None:
        """Return the time at which something becomes ready by itself; None if nothing does."""
        timer = _top(self._timers)
        return None if timer is None else timer[0]

    # -- settlement ------------------------------------------------------------------------------------------------

    def ack(self, entry: Entry) -> None:
        """Remove a leased message for good."""
        self._end_lease(entry)
        self._leave(entry)
        entry.place = Place.GONE
        self.counts[Place.GONE] += 1
        del self.entries[entry.seq]

    def give_back(self, entry: Entry, *, due_ns: int = 0, counts: bool = False) -> None:
        """Make a leased message available again, at once or at a time."""
        self._end_lease(entry)
        entry.attempts += counts
        entry.due_ns = due_ns
        self._leave(entry)
        if due_ns:
            self._wait(entry)
        else:
            self._enter_ready(entry)

    def undo(self, entry: Entry) -> None:
        """Take back a delivery that has not arrived: it does not count."""
        entry.deliveries -= 1
        self.give_back(entry)

    def orphan(self, entry: Entry, until_ns: int) -> None:
        """Let a leased message's lease end then: nobody renews it, and nobody settles it."""
        lease = entry.lease
        assert lease is not None
        self._end_lease(entry)
        self._leave(entry)
        entry.due_ns = until_ns
        entry.lease = self._new_lease(None, lease.since_ns)
        entry.lease.entries[entry.seq] = entry
        self._enter(entry)
        heappush(self._timers, (until_ns, entry.seq, entry.stamp, entry))

    def lapse(self, entry: Entry, now_ns: int) -> None:
        """End a leased message's lease now, without a settlement."""
        entry.due_ns = now_ns
        self._lapse(entry)

    def leases(self) -> list[Lease]:
        """Return the leases with unsettled messages, oldest first."""
        return list(self._leases.values())

    # -- places ----------------------------------------------------------------------------------------------------

    def keep_order(self) -> None:
        """Hand out what comes again in the order of acceptance from now on, and to one consumer at a time."""
        if not self.in_order:
            self.in_order = True
            for heap in (self._ready, self._suspects):
                heap[:] = [(0, seq, stamp, entry) for _, seq, stamp, entry in heap]
                heapify(heap)

    def _end_lease(self, entry: Entry) -> None:
        lease = entry.lease
        assert lease is not None
        del lease.entries[entry.seq]
        entry.lease = None
        if not lease.entries:
            del self._leases[lease.number]

    def _lapse(self, entry: Entry) -> None:
        self._end_lease(entry)
        entry.is_suspect = True
        self._make_ready(entry)

    def _make_ready(self, entry: Entry) -> None:
        self._leave(entry)
        self._enter_ready(entry)

    def _enter_ready(self, entry: Entry) -> None:
        entry.place = Place.READY
        self._enter(entry)
        key = 0 if self.in_order else entry.due_ns
        heappush(self._suspects if entry.is_suspect else self._ready, (key, entry.seq, entry.stamp, entry))

    def _wait(self, entry: Entry) -> None:
        entry.place = Place.DELAYED
        self._enter(entry)
        heappush(self._timers, (entry.due_ns, entry.seq, entry.stamp, entry))

    def _enter(self, entry: Entry) -> None:
        self.counts[entry.place] += 1

    def _leave(self, entry: Entry) -> None:
        self.counts[entry.place] -= 1
        entry.stamp += 1


def _top(heap: list[_Timer]) -> _Timer | None:
    """Return the least valid item of a heap, after dropping void ones."""
    while heap and heap[0][3].stamp != heap[0][2]:
        heappop(heap)
    return heap[0] if heap else None
