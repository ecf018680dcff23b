"""Reading a queue without taking messages."""

import sqlite3
from typing import Final

from factflow_engine.queues.sqlite.claiming import MAX_BYTES
from factflow_engine.queues.sqlite.lines import require_queue
from factflow_engine.queues.sqlite.store import Store
from factflow_protocols import MessageState, StoredMessage, StoredName

_LAST: Final = (1 << 63) - 1
"""The greatest sequence number."""

_UNSETTLED: Final = """
    FROM line AS l NOT INDEXED
    CROSS JOIN message AS m ON m.seq BETWEEN max(l.id << 44, :first) AND min((l.id << 44) + l.tail, :last)
    LEFT JOIN hold AS h ON h.low = (SELECT max(low) FROM hold WHERE low <= m.seq) AND h.high >= m.seq
    WHERE l.queue = :queue AND (h.low IS NOT NULL OR m.seq > (l.id << 44) + l.cursor)"""
"""Ordered as lines and messages are stored, so that `ORDER BY l.id, m.seq` needs no sort."""

_SELECT: Final = f"SELECT m.seq, m.message_id, m.frame, h.due, h.token, h.attempts {_UNSETTLED}"


def browse(store: Store, queue: str, after: int, limit: int) -> list[StoredMessage]:
    """Return the unsettled messages of a queue after a sequence number, in order: up to `MAX_BYTES`, at least one.

    Raises:
        QueueError: There is no such queue.
    """
    with store.snapshot():
        require_queue(store.connection, queue)
        asked = {"queue": queue, "first": after + 1, "last": _LAST, "limit": limit}
        sizes = store.connection.execute(
            f"SELECT m.seq, length(m.frame) {_UNSETTLED} ORDER BY l.id, m.seq LIMIT :limit", asked
        ).fetchall()
        last, total = after, 0
        for seq, size in sizes:
            total += size
            if total > MAX_BYTES and last != after:
                break
            last = seq
        rows = store.connection.execute(f"{_SELECT} ORDER BY l.id, m.seq", {**asked, "last": last})
        return [_stored(store, row) for row in rows]


def find(store: Store, queue: str, beginning: bytes) -> list[StoredName]:
    """Return the unsettled messages of a queue whose ids begin so, a hundred at most.

    Raises:
        QueueError: There is no such queue.
    """
    require_queue(store.connection, queue)
    rows = store.connection.execute(
        f"SELECT m.seq, m.message_id {_UNSETTLED} AND substr(m.message_id, 1, :length) = :beginning "
        "ORDER BY l.id, m.seq LIMIT 100",
        {"queue": queue, "first": 0, "last": _LAST, "length": len(beginning), "beginning": beginning},
    )
    return [StoredName(*row) for row in rows]


def by_seq(store: Store, queue: str, seq: int) -> StoredMessage | None:
    """Return one unsettled message of a queue."""
    row = store.connection.execute(_SELECT, {"queue": queue, "first": seq, "last": seq}).fetchone()
    return None if row is None else _stored(store, row)


def _stored(
    store: Store, row: sqlite3.Row | tuple[int, bytes, bytes, int | None, int | None, int | None]
) -> StoredMessage:
    seq, message_id, frame, due, token, attempts = row
    if due is None or due <= store.now_ns:
        state = MessageState.WAITING
    elif token:
        state = MessageState.LEASED
    else:
        state = MessageState.DELAYED
    return StoredMessage(seq=seq, message_id=message_id, state=state, attempts=attempts or 0, frame=frame)
