"""Looking through a queue without taking anything."""

import sqlite3
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from factflow_engine.queues.sqlite.lines import require_queue
from factflow_engine.queues.sqlite.store import Store


class State(StrEnum):
    """Where a stored message is."""

    WAITING = "waiting"
    """It can be handed out."""
    DELAYED = "delayed"
    """It was given back, and is not due yet."""
    LEASED = "leased"
    """A consumer has it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """A message in the file.

    Attributes:
        seq: Sequence number, the order within a queue; names the row, also on another day.
        message_id: As it was when it was accepted.
        state: Where it is now.
        attempts: How many were spent.
        frame: Its bytes; may be damaged.
    """

    seq: int
    message_id: bytes
    state: State
    attempts: int
    frame: bytes


_SELECT: Final = """
    SELECT m.seq, m.message_id, m.frame, h.due, h.token, h.attempts
    FROM line AS l
    JOIN message AS m ON m.seq BETWEEN (l.id << 44) AND (l.id << 44) + l.tail
    LEFT JOIN hold AS h ON h.low = (SELECT max(low) FROM hold WHERE low <= m.seq) AND h.high >= m.seq
    WHERE l.queue = ? AND (h.low IS NOT NULL OR m.seq > (l.id << 44) + l.cursor)"""


def browse(store: Store, queue: str, after: int, limit: int) -> list[Stored]:
    """The unsettled messages of a queue with higher sequence numbers, in order.

    Raises:
        QueueError: There is no such queue.
    """
    require_queue(store.connection, queue)
    rows = store.connection.execute(f"{_SELECT} AND m.seq > ? ORDER BY m.seq LIMIT ?", (queue, after, limit))
    return [_stored(store, row) for row in rows]


def find(store: Store, queue: str, message_id: bytes) -> list[Stored]:
    """The unsettled messages of a queue whose ids begin so.

    Raises:
        QueueError: There is no such queue.
    """
    require_queue(store.connection, queue)
    rows = store.connection.execute(
        f"{_SELECT} AND substr(m.message_id, 1, ?) = ? ORDER BY m.seq LIMIT 100", (queue, len(message_id), message_id)
    )
    return [_stored(store, row) for row in rows]


def by_seq(store: Store, queue: str, seq: int) -> Stored | None:
    """One unsettled message of a queue."""
    row = store.connection.execute(f"{_SELECT} AND m.seq = ?", (queue, seq)).fetchone()
    return None if row is None else _stored(store, row)


def _stored(store: Store, row: sqlite3.Row | tuple[int, bytes, bytes, int | None, int | None, int | None]) -> Stored:
    seq, message_id, frame, due, token, attempts = row
    if due is None or due <= store.now_ns:
        state = State.WAITING
    elif token:
        state = State.LEASED
    else:
        state = State.DELAYED
    return Stored(seq=seq, message_id=message_id, state=state, attempts=attempts or 0, frame=frame)
