"""Deletion of messages that an operator has selected: these and no others, wherever they are in their line.

Kept separate from `purging`, which deletes whatever no consumer has and needs no look at single messages.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import Final

from factflow_engine.queues.sqlite.claiming import replace_holds
from factflow_engine.queues.sqlite.holds import Hold, without
from factflow_engine.queues.sqlite.lines import Line, line_of, lines_of_queue, require_queue
from factflow_engine.queues.sqlite.statements import blobs, numbers, runs_of, where_in, where_within
from factflow_engine.queues.sqlite.store import Store
from factflow_protocols import Deleted, StoredName

_HOLD: Final = ("m.seq", "h.low", "h.high", "h.line", "h.due", "h.token", "h.attempts")
_HELD: Final = (
    "FROM message AS m JOIN hold AS h ON h.low = (SELECT max(low) FROM hold WHERE low <= m.seq) AND h.high >= m.seq "
    "WHERE "
)


def delete(store: Store, queue: str, messages: Sequence[StoredName]) -> Deleted:
    """Delete unsettled messages that no consumer has, and forget their ids, in the current transaction.

    Args:
        store: The store, in a transaction.
        queue: Name of the queue or topic.
        messages: The messages, ascending, each once; at most `ROWS_AT_A_TIME`.

    Raises:
        QueueError: There is no such queue.
    """
    require_queue(store.connection, queue)
    seqs = _stored(store, messages)
    holds = {
        seq: Hold(*hold)
        for condition, values in where_in("m.seq", seqs)
        for seq, *hold in numbers(store.connection, _HOLD, _HELD + condition, values)
    }
    counts = Deleted(gone=len(messages) - len(seqs))
    for line in lines_of_queue(store.connection, queue, store.settings.capacity):
        found = [seq for seq in seqs if line_of(seq) == line.id and (seq in holds or _is_fresh(line, seq))]
        free = [seq for seq in found if seq not in holds or not _is_leased(store, holds[seq])]
        _take_out(store, line, free, holds)
        counts = counts.plus(Deleted(deleted=len(free), leased=len(found) - len(free)))
    return counts.plus(Deleted(gone=len(seqs) - counts.deleted - counts.leased))


def _stored(store: Store, messages: Sequence[StoredName]) -> list[int]:
    """Return the numbers of the messages that are still stored under them."""
    ids: dict[int, bytes] = {}
    for condition, values in where_in("seq", [message.seq for message in messages]):
        ids |= blobs(store.connection, "seq", "message_id", f"FROM message WHERE {condition}", values)
    return [seq for seq, message_id in messages if ids.get(seq) == message_id]


def _is_fresh(line: Line, seq: int) -> bool:
    """True if the message was never handed out."""
    return line.cursor < seq - line.base <= line.tail


def _is_leased(store: Store, hold: Hold) -> bool:
    return hold.token > 0 and hold.due > store.now_ns


def _take_out(store: Store, line: Line, seqs: Sequence[int], holds: dict[int, Hold]) -> None:
    """Delete messages of a line; those that were never handed out and come before one of them are held for a consumer."""
    if not seqs:
        return
    before = {hold for seq in seqs if (hold := holds.get(seq)) is not None}
    fresh = [seq for seq in seqs if seq not in holds]
    cursor, passed = line.cursor, set[Hold]()
    if fresh:
        cursor = fresh[-1] - line.base
        passed = {Hold(line.base + line.cursor + 1, fresh[-1], line.id, 0, 0, 0)}
    replace_holds(
        store, list(before), [rest for hold in before | passed for rest in without(hold, _within(hold, seqs))]
    )
    connection = store.connection
    connection.execute(
        "UPDATE line SET cursor = ?, held = held + ? WHERE id = ?", (cursor, cursor - line.cursor - len(seqs), line.id)
    )
    _forget_ids(store, line, seqs)
    for condition, values in where_within("seq", runs_of(seqs)):
        connection.execute(f"DELETE FROM message WHERE {condition}", values)  # noqa: S608 - placeholders


def _within(hold: Hold, seqs: Sequence[int]) -> Sequence[int]:
    return seqs[bisect_left(seqs, hold.low) : bisect_right(seqs, hold.high)]


def _forget_ids(store: Store, line: Line, seqs: Sequence[int]) -> None:
    """Accept the ids again: a message that is deleted and sent once more is to arrive."""
    for condition, values in where_within("seq", runs_of(seqs)):
        store.connection.execute(
            f"DELETE FROM seen WHERE line = ? AND message_id IN (SELECT message_id FROM message WHERE {condition})",  # noqa: S608 - placeholders
            (line.id, *values),
        )
