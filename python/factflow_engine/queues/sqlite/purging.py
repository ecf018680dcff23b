"""Deletion of waiting messages, or of a queue: hidden in one step, then deleted row by row in short transactions."""

import difflib
from collections.abc import Iterator
from typing import Final

from factflow_engine.queues.naming import execution_id_of, owner_of
from factflow_engine.queues.sqlite.forgetting import forget_states, refuse_if_kept, states_of
from factflow_engine.queues.sqlite.lines import forget_line, require_queue
from factflow_engine.queues.sqlite.schema import LINE_SHIFT
from factflow_engine.queues.sqlite.starts import forget_execution, forget_run, is_known, owned_by
from factflow_engine.queues.sqlite.statements import insert_rows, where_in
from factflow_engine.queues.sqlite.store import Store
from factflow_protocols import Forgotten, Purged, QueueError

_RANGES: Final = 64
"""Ranges whose messages are deleted in one transaction; housekeeping, which finishes interrupted purges, uses it,
too."""

_LENGTH: Final = 256
"""Most messages of a range."""


def clear_cursor(store: Store, queue: str, subscription: str | None) -> Purged:
    """Hide the messages that no consumer has, and forget the ids.

    They become settled messages whose retention is over, so that a purge that is killed before it has deleted them
    leaves nothing unaccounted for.

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
    """Hide messages as `clear_cursor` does, for a queue to be forgotten: fails while a consumer has messages.

    Raises:
        QueueError: A consumer has messages; or there is no such queue or subscription; or it is the last one of an
        execution whose stages keep state in a running process.
    """
    _refuse_if_leased(store, queue, subscription)
    for execution in _left_without(store, queue, subscription):
        refuse_if_kept(store, execution)
    return clear_cursor(store, queue, subscription)


def forget(store: Store, queue: str, subscription: str | None) -> Forgotten:
    """Delete the queue, or the topic's subscriptions, with all messages, uncounted.

    The last one of an execution takes with it what the execution's stages keep.

    Raises:
        QueueError: See `clear_unleased`.
    """
    _refuse_if_leased(store, queue, subscription)
    states = sum(forget_states(store, execution) for execution in _left_without(store, queue, subscription))
    lines = _lines(store, queue, subscription)
    for line, _, _ in lines:
        _forget_run(store, line)
        forget_line(store.connection, line)
    return Forgotten(len(lines), Purged(0, 0, 0), states)


def lines_of(store: Store, execution: str) -> list[tuple[str, str | None]]:
    """Return the queues of an execution and its subscriptions to topics; refuse if a process uses any of it.

    Args:
        store: Any.
        execution: Prefix of the names.

    Raises:
        QueueError: A process uses it; or the file has nothing of the execution.
    """
    names = [(queue, subscription or None) for queue, subscription in owned_by(store, execution)]
    if not (names or states_of(store, execution) or is_known(store, execution)):
        raise QueueError(execution, f"the file holds nothing of this execution; {_executions_like(store, execution)}")
    for queue, subscription in names:
        _refuse_if_leased(store, queue, subscription)
    refuse_if_kept(store, execution)
    return names


def forget_rest(store: Store, execution: str) -> int:
    """Delete what stages of an execution keep, and its start; return the number of states.

    Raises:
        QueueError: A running process keeps some.
    """
    states = forget_states(store, execution)
    forget_execution(store, execution)
    return states


def forget_stage(store: Store, execution: str, place: tuple[str, str]) -> int:
    """Delete what one stage of an execution keeps; return the number of states.

    Raises:
        QueueError: A running process keeps some; or there is no state of that stage.
    """
    if not states_of(store, execution, place):
        rows = store.connection.execute(
            "SELECT DISTINCT route, stage FROM stage_state WHERE execution = ? ORDER BY 1, 2", (execution,)
        ).fetchall()
        kept = ", ".join("/".join(row) for row in rows)
        raise QueueError(
            execution,
            f"the file keeps no state of stage {'/'.join(place)!r}; "
            + (f"it does of {kept}" if rows else "nor of any other stage"),
        )
    return forget_states(store, execution, place)


def _left_without(store: Store, queue: str, subscription: str | None) -> list[str]:
    """Return the executions that would have no queue and no subscription without these."""
    removed = {
        row
        for condition, values in where_in("id", [line for line, _, _ in _lines(store, queue, subscription)])
        for row in store.connection.execute(
            f"SELECT queue, subscription FROM line WHERE {condition}",  # noqa: S608 - placeholders
            values,
        )
    }
    owners = {owner for name in removed if (owner := owner_of(*name)) is not None}
    return [owner for owner in sorted(owners) if removed.issuperset(owned_by(store, owner))]


def _executions_like(store: Store, execution: str) -> str:
    rows = store.connection.execute("SELECT queue, subscription FROM line")
    known = {owner for row in rows if (owner := owner_of(*row)) is not None}
    known |= {name for (name,) in store.connection.execute("SELECT DISTINCT execution FROM stage_state")}
    names = sorted(execution_id_of(name) for name in known)
    near = difflib.get_close_matches(execution_id_of(execution), names, 3, 0.6)
    if near:
        return f"did you mean {' or '.join(near)}?"
    return f"it has {', '.join(names[:20]) or 'no execution'}"


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
    """Delete quarantined messages of a queue, or of the whole file; return their number.

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
    """Return id, tail and cursor of each selected line, at least one."""
    require_queue(store.connection, queue)
    lines = store.connection.execute(
        "SELECT id, tail, cursor FROM line WHERE queue = ?1 AND (?2 IS NULL OR subscription = ?2)",
        (queue, subscription),
    ).fetchall()
    if not lines:
        raise QueueError(queue, f"has no subscription {subscription!r}")
    return lines


def _let_go(store: Store, line: int, ranges: list[tuple[int, int]]) -> None:
    """Mark messages as settled long ago, if they have rows."""
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
    """Delete some of the rows that purges have marked; True if there may be more."""
    connection = store.connection
    ranges = connection.execute("SELECT low, high FROM settled WHERE until = 0 LIMIT ?", (_RANGES,)).fetchall()
    for low, high in ranges:
        connection.execute("DELETE FROM message WHERE seq BETWEEN ? AND ?", (low, high))
        connection.execute("DELETE FROM settled WHERE low = ?", (low,))
    return len(ranges) == _RANGES
