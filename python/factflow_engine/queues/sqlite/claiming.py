"""Request that leases messages: first those that are due again, then those never handed out."""

import logging
from bisect import bisect_left, bisect_right
from collections.abc import Collection, Sequence
from itertools import islice
from typing import Final, NamedTuple, TypeAlias

from factflow_engine.errors import CodecError
from factflow_engine.frames import Frame
from factflow_engine.native import LeasedFrame, leased_frames
from factflow_engine.queues.sqlite.holds import Hold, join, without
from factflow_engine.queues.sqlite.lines import Line, is_line_of, line_by_id
from factflow_engine.queues.sqlite.statements import blobs, insert_rows, numbers, runs_of, where_in, where_within
from factflow_engine.queues.sqlite.store import Request, Store
from factflow_protocols import QueueError

logger = logging.getLogger("factflow_engine.queues")

MAX_BYTES: Final = 16 << 20
"""Most bytes of frames handed out at a time; one message may be larger."""

MOST_ATTEMPTS: Final = (1 << 32) - 1
"""The greatest attempt number that a frame can store."""

_HOLD: Final = ("low", "high", "line", "due", "token", "attempts")
_LEASE_FRESH: Final = "UPDATE line SET cursor = cursor + ?1, held = held + ?1, token = ?2 WHERE id = ?3"
_READ_RUN: Final = (
    "SELECT CASE WHEN count(*) = ?3 AND sum(length(frame)) <= ?4 THEN (SELECT CAST(group_concat(frame, '') AS BLOB) "
    "FROM (SELECT frame FROM message WHERE seq BETWEEN ?1 AND ?2 ORDER BY seq)) END FROM message WHERE seq BETWEEN ?1 AND ?2"
)
"""All frames of a run without gaps, one behind the other: each says how long it is. Null if there is a gap, or too much."""
INSERT_HOLDS: Final = "INSERT OR REPLACE INTO hold(low, high, line, due, token, attempts) VALUES "


SqliteDelivery: TypeAlias = LeasedFrame
"""A frame handed out under a lease: `message`, whose attempt counts this delivery, its sequence number `seq` in the file,
and the `token` of the lease."""


class Claimed(NamedTuple):
    """Deliveries that a consumer received.

    Attributes:
        deliveries: Deliveries in the queue's order; may be empty.
        again: Number of them that were handed out before.
        waiting: Number of messages that could also be handed out now.
        next_due_ns: Wall time at which a held message may become due; None if none is held.
        alone: True if a suspect was handed out, or will be once the consumer has settled its messages.
    """

    deliveries: list[SqliteDelivery]
    again: int
    waiting: int
    next_due_ns: int | None
    alone: bool = False


class Claim(Request[Claimed]):
    """Lease at most so many messages of a line.

    A *suspect* is a message whose lease expired without a settlement: its consumer died, because of it or for another
    reason. A consumer that isolates suspects gets a suspect alone, once it has no other message, so that the next death
    counts against that one only.
    """

    def __init__(
        self,
        queue: str,
        subscription: str,
        line: int,
        limit: int,
        *,
        unsettled: int | None = None,
        in_order_beside: Collection[int] | None = None,
    ) -> None:
        """Prepare.

        Args:
            queue: Queue of the line when the consumer subscribed.
            subscription: Subscription of the line, likewise.
            line: Id of the line.
            limit: Most messages to lease.
            unsettled: Number of unsettled messages of the consumer, if it isolates suspects.
            in_order_beside: Tokens of the consumer's leases if it needs the queue's order: it gets nothing while
            another consumer has messages of the line. None if it does not.
        """
        self.queue = queue
        self._subscription = subscription
        self._unsettled = unsettled
        self.weight = limit * 512
        self._line = line
        self._limit = limit
        self._in_order_beside = in_order_beside

    def apply(self, store: Store) -> Claimed:
        """See `Request`."""
        line = existing_line(store, self.queue, self._subscription, self._line)
        if self._in_order_beside is not None and _others_hold(store, line.id, self._in_order_beside):
            return Claimed([], 0, line.tail - line.cursor, _next_due(store, line))
        due, waiting_again = self._due(store, line)
        if not due and (handed := self._fresh(store, line)):
            return Claimed(handed, 0, line.tail - line.cursor - len(handed), None)
        suspect = None if self._unsettled is None else next((hold for hold in due if hold.token > 0), None)
        before = [] if suspect is None or self._in_order_beside is None else due[: due.index(suspect)]
        if before:  # no consumer died of these, and they come first
            due, suspect = before, None
        if suspect is not None and self._unsettled:
            return Claimed([], 0, line.tail - line.cursor + waiting_again, _next_due(store, line), alone=True)
        due, limit = (due, self._limit) if suspect is None else ([suspect], 1)
        if before:
            limit = min(limit, sum(hold.size for hold in due))
        each = ((seq, hold.attempts + (hold.token > 0)) for hold in due for seq in range(hold.low, hold.high + 1))
        wanted = dict(islice(each, limit))  # a hold may be as long as the queue
        again = len(wanted)
        first = line.base + line.cursor + 1
        fresh = min(limit - len(wanted), line.tail - line.cursor)
        wanted.update(dict.fromkeys(range(first, first + fresh), 0))
        taken, frames = _within_bytes(store, list(wanted))
        again = min(again, len(taken))
        fresh = len(taken) - again
        if taken:
            token = line.token + 1
            handed = _decoded(store, line.id, token, taken, wanted, frames)
            self._lease(store, line, due, taken, handed, wanted)
            lost = len(taken) - len(handed)
            if lost:
                logger.error(
                    "queue %r: %d messages are damaged and were put aside; `factflow queue fsck` names them",
                    self.queue,
                    lost,
                )
            store.connection.execute(
                "UPDATE line SET cursor = cursor + ?, held = held + ?, token = ? WHERE id = ?",
                (fresh, fresh - lost, token, line.id),
            )
        else:
            handed = []
        waiting = line.tail - line.cursor - fresh + waiting_again - again
        next_due_ns = None if handed else _next_due(store, line)
        return Claimed(handed, again, waiting, next_due_ns, alone=suspect is not None)

    def _due(self, store: Store, line: Line) -> tuple[list[Hold], int]:
        """Return holds that may be handed out now, as many as needed, and the number of messages that they cover."""
        rows = numbers(
            store.connection,
            _HOLD,
            f"FROM hold WHERE line = ? AND due <= ? ORDER BY {'due, ' * (self._in_order_beside is None)}low LIMIT ?",
            (line.id, store.now_ns, self._limit),
        )
        holds = [Hold(*row) for row in rows]
        return holds, sum(hold.size for hold in holds)

    def _fresh(self, store: Store, line: Line) -> list[SqliteDelivery]:
        """Lease what was never handed out, if all of it can be read as it is; nothing if it has to be looked at one by one."""
        count = min(self._limit, line.tail - line.cursor)
        if not count:
            return []
        low, token = line.base + line.cursor + 1, line.token + 1
        high = low + count - 1
        [data] = store.connection.execute(_READ_RUN, (low, high, count, MAX_BYTES)).fetchone()
        try:
            handed = leased_frames(data, low, token) if isinstance(data, bytes) else []
        except CodecError:
            return []
        if len(handed) != count:
            return []
        replace_holds(store, (), [Hold(low, high, line.id, self._until(store), token, 0)])
        store.connection.execute(_LEASE_FRESH, (count, token, line.id))
        return handed

    def _until(self, store: Store) -> int:
        return store.now_ns + round(store.settings.lease_seconds * 1e9)

    def _lease(
        self,
        store: Store,
        line: Line,
        due: Sequence[Hold],
        taken: Sequence[int],
        handed: Sequence[SqliteDelivery],
        attempts: dict[int, int],
    ) -> None:
        """Replace the holds that were used by their remainders and by the lease."""
        until = self._until(store)
        ordered = sorted(taken)
        after = _leases(handed, attempts, line.id, until)
        touched = []
        for hold in due:
            if inside := ordered[bisect_left(ordered, hold.low) : bisect_right(ordered, hold.high)]:
                touched.append(hold)
                after += without(hold, inside)
        replace_holds(store, touched, join(after))


def replace_holds(store: Store, before: Sequence[Hold], after: Sequence[Hold]) -> None:
    """Replace holds by others."""
    kept = {hold.low for hold in after}
    for condition, values in where_in("low", [hold.low for hold in before if hold.low not in kept]):
        store.connection.execute(f"DELETE FROM hold WHERE {condition}", values)  # noqa: S608 - placeholders
    insert_rows(store.connection, INSERT_HOLDS, after)


def existing_line(store: Store, queue: str, subscription: str, line: int) -> Line:
    """Return the line of a consumer.

    Raises:
        QueueError: The line was forgotten during the subscription; its number may be another's now.
    """
    found = line_by_id(store.connection, line, store.settings.capacity)
    if found is None or not is_line_of(store.connection, line, queue, subscription):
        raise QueueError(queue, "was forgotten while it was consumed; subscribe again")
    return found


def _others_hold(store: Store, line: int, tokens: Collection[int]) -> bool:
    """True if part of the line is under a live lease that is none of these."""
    rows = numbers(
        store.connection, ("token",), "FROM hold WHERE line = ? AND due > ? AND token > 0", (line, store.now_ns)
    )
    return any(token not in tokens for (token,) in rows)


def _next_due(store: Store, line: Line) -> int | None:
    [due] = store.connection.execute("SELECT min(due) FROM hold WHERE line = ?", (line.id,)).fetchone()
    return due if due is None else int(due)


def _within_bytes(store: Store, wanted: Sequence[int]) -> tuple[Sequence[int], dict[int, bytes]]:
    """Return the leading messages that fit into the bound on bytes, and their frames.

    Messages whose row is missing have no frame.
    """
    runs = runs_of(sorted(wanted))
    sizes: dict[int, int] = {}
    for condition, values in where_within("seq", runs):
        rows = numbers(store.connection, ("seq", "length(frame)"), f"FROM message WHERE {condition}", values)
        sizes.update((seq, size) for seq, size in rows)
    total = 0
    for position, seq in enumerate(wanted):
        total += sizes.get(seq, 0)
        if total > MAX_BYTES and position:
            wanted = wanted[:position]
            runs = runs_of(sorted(wanted))
            break
    frames: dict[int, bytes] = {}
    for condition, values in where_within("seq", runs):
        frames.update(blobs(store.connection, "seq", "frame", f"FROM message WHERE {condition}", values))
    return wanted, frames


def _decoded(
    store: Store, line: int, token: int, taken: Sequence[int], attempts: dict[int, int], frames: dict[int, bytes]
) -> list[SqliteDelivery]:
    """Return the readable messages; move the others to quarantine, so that they block no consumer."""
    handed, broken = [], []
    for seq in taken:
        try:
            frame = Frame.decode(frames[seq])
            spent = min(max(0, attempts[seq]), MOST_ATTEMPTS - frame.attempt)  # the count may be damaged, too
            message = frame.restamp(attempt=frame.attempt + spent) if spent > 0 else frame
        except KeyError:
            broken.append((seq, "its row is missing"))
        except CodecError as error:
            broken.append((seq, str(error)))
        else:
            handed.append(SqliteDelivery(message, seq, token))
    for seq, problem in broken:
        quarantine(store, line, seq, problem)
    return handed


def _leases(handed: Sequence[SqliteDelivery], attempts: dict[int, int], line: int, until: int) -> list[Hold]:
    """Return the fewest holds that cover the deliveries."""
    leases: list[Hold] = []
    by_attempts: dict[int, list[int]] = {}
    for delivery in handed:
        by_attempts.setdefault(attempts[delivery.seq], []).append(delivery.seq)
    for spent, seqs in by_attempts.items():
        leases += [Hold(low, high, line, until, handed[0].token, spent) for low, high in runs_of(sorted(seqs))]
    return leases


def quarantine(store: Store, line: int, seq: int, problem: str) -> None:
    """Move a message's row to quarantine; the caller keeps the line's counts, except that of quarantined messages.

    A row already in quarantine under its number stays: the new one then gets a negative number; a missing row is not
    added.
    """
    connection = store.connection
    [taken] = connection.execute("SELECT count(*) FROM quarantine WHERE seq = ?", (seq,)).fetchone()
    row = connection.execute("SELECT message_id, frame FROM message WHERE seq = ?", (seq,)).fetchone()
    if taken and row is None:
        return
    key = seq
    if taken:
        [key] = connection.execute("SELECT min(0, min(seq)) - 1 FROM quarantine").fetchone()
    message_id, frame = row or (None, None)
    connection.execute(
        "INSERT INTO quarantine(seq, line, message_id, at, error, frame) VALUES (?, ?, ?, ?, ?, ?)",
        (key, line, message_id, store.now_ns // 1_000_000_000, problem, frame),
    )
    connection.execute("DELETE FROM message WHERE seq = ?", (seq,))
    connection.execute("UPDATE line SET quarantined = quarantined + 1 WHERE id = ?", (line,))
