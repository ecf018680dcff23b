"""Deleting what waits in a queue: first out of reach, in one step, then row by row, in short ones."""

from typing import Final, NamedTuple

from factflow_engine.queues.sqlite.lines import require_queue
from factflow_engine.queues.sqlite.schema import LINE_SHIFT
from factflow_engine.queues.sqlite.store import Store
from factflow_protocols import QueueError

_ROWS: Final = 20_000
"""Messages deleted in one transaction."""


class Purged(NamedTuple):
    """How many messages, and of which lines."""

    messages: int
    lines: tuple[int, ...]


def clear_cursor(store: Store, queue: str, subscription: str | None) -> Purged:
    """Put what no consumer has out of reach, and forget the ids.

    Raises:
        QueueError: There is no such queue or subscription.
    """
    connection = store.connection
    lines = connection.execute(
        "SELECT id, tail - cursor, subscription FROM line WHERE queue = ?1 AND (?2 IS NULL OR subscription = ?2)",
        (queue, subscription),
    ).fetchall()
    require_queue(connection, queue)
    if not lines:
        raise QueueError(queue, f"has no subscription {subscription!r}")
    messages = 0
    for line, fresh, _ in lines:
        [held] = connection.execute(
            "SELECT coalesce(sum(high - low + 1), 0) FROM hold WHERE line = ?1 AND (token = 0 OR due <= ?2)",
            (line, store.now_ns),
        ).fetchone()
        connection.execute("DELETE FROM hold WHERE line = ?1 AND (token = 0 OR due <= ?2)", (line, store.now_ns))
        connection.execute("DELETE FROM settled WHERE low >> ? = ?", (LINE_SHIFT, line))
        connection.execute("DELETE FROM seen WHERE line = ?", (line,))
        connection.execute("DELETE FROM quarantine WHERE line = ?", (line,))
        connection.execute("UPDATE line SET cursor = tail, held = held - ?, quarantined = 0 WHERE id = ?", (held, line))
        messages += fresh + held
    return Purged(messages, tuple(line for line, _, _ in lines))


def delete_unreachable(store: Store, lines: tuple[int, ...]) -> bool:
    """Delete some rows at or before the cursors that nothing refers to any more; whether there may be others."""
    connection = store.connection
    deleted = 0
    for line in lines:
        deleted += connection.execute(
            "DELETE FROM message WHERE seq IN (SELECT seq FROM message AS m JOIN line AS l ON l.id = ?1 "
            "WHERE seq BETWEEN (?1 << ?2) AND (?1 << ?2) + l.cursor "
            "AND NOT EXISTS (SELECT 1 FROM hold WHERE low = (SELECT max(low) FROM hold WHERE low <= seq) AND high >= seq) "
            "AND NOT EXISTS (SELECT 1 FROM settled WHERE low = (SELECT max(low) FROM settled WHERE low <= seq) "
            "AND high >= seq) LIMIT ?3)",
            (line, LINE_SHIFT, _ROWS),
        ).rowcount
        if deleted >= _ROWS:
            break
    return deleted >= _ROWS
