"""Deleting what waits in a queue, or the queue: first out of reach, in one step, then row by row, in short ones."""

from collections.abc import Iterator
from typing import Final, NamedTuple

from factflow_engine.queues.sqlite.lines import forget_line, require_queue
from factflow_engine.queues.sqlite.schema import LINE_SHIFT
from factflow_engine.queues.sqlite.starts import forget_run
from factflow_engine.queues.sqlite.statements import insert_rows
from factflow_engine.queues.sqlite.store import Store
from factflow_protocols import QueueError

_RANGES: Final = 64
"""Ranges whose messages are deleted in one transaction; housekeeping, which finishes what was left, takes as many."""

_LENGTH: Final = 256
"""Messages of a range at most."""


class Purged(NamedTuple):
    """How many messages were deleted.

    Attributes:
        messages: That waited, due or not.
        settled: That were kept for the retention's sake.
        quarantined: That could not be read.
    """

    messages: int
    settled: int
    quarantined: int


def clear_cursor(store: Store, queue: str, subscription: str | None) -> Purged:
    """Put what no consumer has out of reach, and forget the ids.

    They become settled messages whose retention is over, so that a purge that is killed before it has deleted them leaves
    nothing that is unaccounted for.

    Raises:
        QueueError: There is no such queue or subscription.
    """
    connection = store.connection
    messages = settled = 0
    quarantined = purge_quarantine(store, queue, subscription)
    for line, tail, cursor in _lines(store, queue, subscription):
        _forget_run(store, line)
        free = connection.execute(
            "SELECT low, high FROM hold WHERE line = ?1 AND (token = 0 OR due <= ?2)", (line, store.now_ns)
        ).fetchall()
        held = sum(high - low + 1 for low, high in free)
        connection.execute("DELETE FROM hold WHERE line = ?1 AND (token = 0 OR due <= ?2)", (line, store.now_ns))
        [kept] = connection.execute(
            "SELECT coalesce(sum(high - low + 1), 0) FROM settled WHERE low >> ? = ? AND until > 0", (LINE_SHIFT, line)
        ).fetchone()
        connection.execute("UPDATE settled SET until = 0 WHERE low >> ? = ?", (LINE_SHIFT, line))
        _let_go(store, line, [*free, ((line << LINE_SHIFT) + cursor + 1, (line << LINE_SHIFT) + tail)])
        connection.execute("DELETE FROM seen WHERE line = ?", (line,))
        connection.execute("UPDATE line SET cursor = tail, held = held - ? WHERE id = ?", (held, line))
        messages += tail - cursor + held
        settled += kept
    return Purged(messages, settled, quarantined)


def clear_unleased(store: Store, queue: str, subscription: str | None) -> Purged:
    """The same for who will forget the queue: nothing happens while a consumer has messages.

    Raises:
        QueueError: A consumer has some, or there is no such queue or subscription.
    """
    _refuse_if_leased(store, queue, subscription)
    return clear_cursor(store, queue, subscription)


def forget(store: Store, queue: str, subscription: str | None) -> int:
    """Delete the queue, or the topic's subscriptions, and what they hold; gives how many that were.

    Raises:
        QueueError: A consumer has messages of it, or there is no such queue or subscription.
    """
    _refuse_if_leased(store, queue, subscription)
    lines = _lines(store, queue, subscription)
    for line, _, _ in lines:
        _forget_run(store, line)
        forget_line(store.connection, line)
    return len(lines)


def _forget_run(store: Store, line: int) -> None:
    forget_run(
        store, *store.connection.execute("SELECT queue, subscription FROM line WHERE id = ?", (line,)).fetchone()
    )


def _refuse_if_leased(store: Store, queue: str, subscription: str | None) -> None:
    leased = 0
    for line, _, _ in _lines(store, queue, subscription):
        [count] = store.connection.execute(
            "SELECT coalesce(sum(high - low + 1), 0) FROM hold WHERE line = ? AND token > 0 AND due > ?",
            (line, store.now_ns),
        ).fetchone()
        leased += count
    if leased:
        raise QueueError(
            queue, f"has consumers, who have {leased} of its messages; stop them, or wait for their leases"
        )


def purge_quarantine(store: Store, queue: str | None, subscription: str | None) -> int:
    """Delete what is quarantined of a queue, or in the whole file, also of no queue; gives how many messages.

    Raises:
        QueueError: There is no such queue or subscription.
    """
    connection = store.connection
    if queue is None:
        connection.execute("UPDATE line SET quarantined = 0 WHERE quarantined <> 0")
        return connection.execute("DELETE FROM quarantine").rowcount
    deleted = 0
    for line, _, _ in _lines(store, queue, subscription):
        deleted += connection.execute("DELETE FROM quarantine WHERE line = ?", (line,)).rowcount
        connection.execute("UPDATE line SET quarantined = 0 WHERE id = ?", (line,))
    return deleted


def _lines(store: Store, queue: str, subscription: str | None) -> list[tuple[int, int, int]]:
    """Id, tail and cursor of each line that is meant, at least one."""
    require_queue(store.connection, queue)
    lines = store.connection.execute(
        "SELECT id, tail, cursor FROM line WHERE queue = ?1 AND (?2 IS NULL OR subscription = ?2)",
        (queue, subscription),
    ).fetchall()
    if not lines:
        raise QueueError(queue, f"has no subscription {subscription!r}")
    return lines


def _let_go(store: Store, line: int, ranges: list[tuple[int, int]]) -> None:
    """Note messages as settled long ago, as far as there are rows."""
    [newest] = store.connection.execute(
        "SELECT coalesce(max(seq), 0) FROM message WHERE seq BETWEEN ? AND ?",
        (line << LINE_SHIFT, (line + 1 << LINE_SHIFT) - 1),
    ).fetchone()
    parts = [part for low, high in ranges for part in _parts(low, min(high, newest))]
    insert_rows(store.connection, "INSERT OR REPLACE INTO settled(low, high, until) VALUES ", parts)


def _parts(low: int, high: int) -> Iterator[tuple[int, int, int]]:
    for first in range(low, high + 1, _LENGTH):
        yield first, min(first + _LENGTH - 1, high), 0


def delete_purged(store: Store) -> bool:
    """Delete some of the rows that purges have let go; whether there may be others."""
    connection = store.connection
    ranges = connection.execute("SELECT low, high FROM settled WHERE until = 0 LIMIT ?", (_RANGES,)).fetchall()
    for low, high in ranges:
        connection.execute("DELETE FROM message WHERE seq BETWEEN ? AND ?", (low, high))
        connection.execute("DELETE FROM settled WHERE low = ?", (low,))
    return len(ranges) == _RANGES
