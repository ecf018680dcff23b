"""Request that stores messages: counts room, skips duplicates, appends the rest."""

from collections.abc import Collection, Sequence
from itertools import chain, takewhile
from typing import Final, NamedTuple

from factflow_engine.queues.naming import is_topic
from factflow_engine.queues.sqlite.encoding import MOST_BYTES, Encoded, encode_all
from factflow_engine.queues.sqlite.lines import Line, line_id, lines_of_queue
from factflow_engine.queues.sqlite.schema import LINE_SHIFT
from factflow_engine.queues.sqlite.statements import parts_of, rows_beside, where_in
from factflow_engine.queues.sqlite.store import Again, Request, Store
from factflow_protocols import MessageStatus, QueueError, QueueMessage

MOST_TOGETHER: Final = 4_000
"""Most messages that are published in one transaction with a settlement."""

_REMEMBER: Final = "INSERT INTO seen(line, message_id, until) VALUES "
_REMEMBERED: Final = "(?1,{},?2)"
_UNLESS_REMEMBERED: Final = " ON CONFLICT(line, message_id) DO UPDATE SET until = excluded.until WHERE until < ?3"  # its window is over: as if new
_STORE: Final = "INSERT INTO message(seq, message_id, frame) VALUES "
_STORED: Final = "(?1+{row},{},{})"


class Published(NamedTuple):
    """Result of publishing: the stored messages, and duplicates, which need no room.

    Attributes:
        statuses: Statuses of a prefix of the messages; there was no room for the rest.
        added: Line id to the number of messages that the line got.
    """

    statuses: list[MessageStatus]
    added: dict[int, int]


class Publish(Request[Published]):
    """Append messages to a queue, or to every subscription of a topic."""

    def __init__(self, queue: str, messages: Encoded, *, wary: bool = False) -> None:
        """Prepare.

        Args:
            queue: Name of the queue or topic.
            messages: The messages, in order.
            wary: True to look for duplicates before anything is stored; needed if the transaction must not start again.
        """
        self.queue = queue
        self.weight = messages.size + 64 * len(messages.ids)
        self._messages = messages
        self._wary = wary  # set when duplicates were found, too

    def apply(self, store: Store) -> Published:
        """See `Request`."""
        connection = store.connection
        lines = lines_of_queue(connection, self.queue, store.settings.capacity)
        if not lines:
            if is_topic(self.queue):
                return Published([MessageStatus.ACCEPTED] * len(self._messages.ids), {})
            line_id(connection, self.queue, "", store.now_ns)
            lines = lines_of_queue(connection, self.queue, store.settings.capacity)
        fitting = self._messages
        count = min(len(fitting.ids), self._room(lines))
        if count < len(fitting.ids):
            fitting = fitting.part(slice(count))
        if not count:
            return Published([MessageStatus.DUPLICATE] * self._leading_duplicates(store, lines), {})
        if any(line.tail + count >= 1 << LINE_SHIFT for line in lines):
            raise QueueError(
                self.queue, "has numbered as many messages as it can; drain it and `factflow queue forget` it"
            )
        fresh = {line.id: self._append(store, line, fitting) for line in lines}
        return Published(_statuses(count, fresh.values()), {line: len(numbers) for line, numbers in fresh.items()})

    def fits(self, store: Store) -> bool:
        """True if there is room for all messages; duplicates, which need none, are counted as if they did."""
        lines = lines_of_queue(store.connection, self.queue, store.settings.capacity)
        count = len(self._messages.ids)
        if not lines:
            return is_topic(self.queue) or count <= store.settings.capacity
        return count <= self._room(lines)

    def _room(self, lines: Sequence[Line]) -> int:
        return min(line.room for line in lines)

    def _leading_duplicates(self, store: Store, lines: Sequence[Line]) -> int:
        """Return the number of leading messages that every line has had: they need no room."""
        ids = self._messages.ids
        known = set(ids).intersection(*(_remembered(store, line.id, ids) for line in lines))
        return len(list(takewhile(known.__contains__, ids)))

    def _append(self, store: Store, line: Line, messages: Encoded) -> Sequence[int]:
        """Store the messages that are new to this line; return their positions."""
        new = self._new(store, line, messages.ids) if self._wary else range(len(messages.ids))
        connection, seq = store.connection, line.base + line.tail + 1
        if not new:
            return new
        messages = messages.at(new)
        if store.settings.dedup_seconds > 0:
            now = store.now_ns // 1_000_000_000
            until = now + round(store.settings.dedup_seconds)
            remembered = 0
            for part in parts_of(len(new)):
                ids = messages.ids[part]
                statement = rows_beside(_REMEMBER, _REMEMBERED, 3, len(ids), _UNLESS_REMEMBERED)
                remembered += connection.execute(statement, [line.id, until, now, *ids]).rowcount
            if remembered < len(new):
                self._wary = True
                raise Again
        for part in parts_of(len(new)):
            stored = messages.part(part)
            statement = rows_beside(_STORE, _STORED, 1, len(stored.ids))
            rows = chain.from_iterable(zip(stored.ids, stored.frames, strict=True))
            connection.execute(statement, [seq + part.start, *rows])
        connection.execute("UPDATE line SET tail = tail + ? WHERE id = ?", (len(new), line.id))
        return new

    def _new(self, store: Store, line: Line, ids: Sequence[bytes]) -> Sequence[int]:
        known = _remembered(store, line.id, ids)
        new = []
        for number, message_id in enumerate(ids):
            if message_id not in known:
                known.add(message_id)
                new.append(number)
        return new


def publish_requests(publications: Sequence[tuple[str, Sequence[QueueMessage]]]) -> list[Publish] | None:
    """Return one request for each queue, in order; None if this is too much for one transaction.

    Raises:
        QueueError: A message cannot be stored.
    """
    by_queue: dict[str, list[QueueMessage]] = {}
    for queue, messages in publications:
        by_queue.setdefault(queue, []).extend(messages)
    if sum(map(len, by_queue.values())) > MOST_TOGETHER:
        return None
    requests = [Publish(queue, encode_all(queue, messages)) for queue, messages in by_queue.items() if messages]
    return None if sum(request.weight for request in requests) > MOST_BYTES else requests


class PublishBeyondCapacity(Publish):
    """Append all messages, whatever the capacity: for a few, which cannot wait for room in the transaction."""

    def _room(self, lines: Sequence[Line]) -> int:  # noqa: ARG002 - all fit
        return len(self._messages.ids)


def _statuses(count: int, fresh: Collection[Sequence[int]]) -> list[MessageStatus]:
    """Return the fates of so many messages, given the places of those that each line has stored."""
    if any(len(numbers) == count for numbers in fresh):
        return [MessageStatus.ACCEPTED] * count
    stored = set().union(*fresh)
    return [MessageStatus.ACCEPTED if number in stored else MessageStatus.DUPLICATE for number in range(count)]


def _remembered(store: Store, line: int, ids: Sequence[bytes]) -> set[bytes]:
    """Return the ids that are refused now; none if this process refuses none."""
    known: set[bytes] = set()
    if store.settings.dedup_seconds == 0:
        return known
    for condition, values in where_in("message_id", ids):
        text = store.connection.execute(
            f"SELECT group_concat(hex(message_id)) FROM seen WHERE line = ? AND until >= ? AND {condition}",  # noqa: S608 - placeholders
            (line, store.now_ns // 1_000_000_000, *values),
        ).fetchone()[0]
        known.update(map(bytes.fromhex, text.split(",") if text else ()))
    return known
