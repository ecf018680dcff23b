"""Reading a queue without taking messages."""

import sqlite3
from dataclasses import dataclass
from itertools import accumulate
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

_SELECT: Final = (
    "SELECT m.seq, m.message_id, CASE WHEN length(m.frame) <= :most THEN m.frame END, h.due, h.token, h.attempts "
    + _UNSETTLED
)
"""The length of a frame is read without the frame; longer ones are null, and their beginning is read by itself."""


_ORDER: Final = {False: "ORDER BY l.id, m.seq", True: "ORDER BY l.id DESC, m.seq DESC"}
"""Order of the messages, by whether the newest come first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Part of a queue to read.

    Attributes:
        queue: Name of the queue or topic.
        passed: Sequence number of the last message before the part; None if it is the first.
        limit: Most messages of the part.
        newest_first: True for the reverse order.
        most_bytes: Bytes to read of each frame; None for all.
    """

    queue: str
    passed: int | None = None
    limit: int
    newest_first: bool = False
    most_bytes: int | None = None


def browse(store: Store, page: Page) -> list[StoredMessage]:
    """Return unsettled messages of a queue: up to `MAX_BYTES`, at least one if there is one.

    Raises:
        QueueError: There is no such queue.
    """
    order, most = _ORDER[page.newest_first], _most(page.most_bytes)
    asked: dict[str, object] = {"queue": page.queue, "first": 0, "last": _LAST, "most": most, "limit": page.limit}
    if page.passed is not None:
        asked |= {"last": page.passed - 1} if page.newest_first else {"first": page.passed + 1}
    with store.snapshot():
        require_queue(store.connection, page.queue)
        sizes = store.connection.execute(
            f"SELECT m.seq, min(length(m.frame), :most) {_UNSETTLED} {order} LIMIT :limit", asked
        ).fetchall()
        if not sizes:
            return []
        totals = accumulate(size for _, size in sizes)
        fitting = max(1, sum(total <= MAX_BYTES for total in totals))
        asked["first" if page.newest_first else "last"] = sizes[fitting - 1][0]
        rows = store.connection.execute(f"{_SELECT} {order}", asked).fetchall()
        return [_stored(store, row, most) for row in rows]


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


def by_seq(store: Store, queue: str, seq: int, most_bytes: int | None = None) -> StoredMessage | None:
    """Return one unsettled message of a queue, or the beginning of its frame."""
    most = _most(most_bytes)
    with store.snapshot():
        row = store.connection.execute(_SELECT, {"queue": queue, "first": seq, "last": seq, "most": most}).fetchone()
        return None if row is None else _stored(store, row, most)


def _most(most_bytes: int | None) -> int:
    return _LAST if most_bytes is None else most_bytes


def _stored(
    store: Store,
    row: sqlite3.Row | tuple[int, bytes, bytes | None, int | None, int | None, int | None],
    most_bytes: int,
) -> StoredMessage:
    seq, message_id, frame, due, token, attempts = row
    if frame is None:
        with store.connection.blobopen("message", "frame", seq, readonly=True) as blob:
            frame = blob.read(most_bytes)
    if due is None or due <= store.now_ns:
        state = MessageState.WAITING
    elif token:
        state = MessageState.LEASED
    else:
        state = MessageState.DELAYED
    return StoredMessage(seq=seq, message_id=message_id, state=state, attempts=attempts or 0, frame=frame)
