"""Requeueing of dead letters: each is published to its queue and settled, both or neither."""

from collections.abc import Sequence
from typing import NamedTuple

from factflow_engine.errors import CodecError
from factflow_engine.frames import Frame
from factflow_engine.queues.dead_letters import DeadLetter, read_dead_letter
from factflow_engine.queues.naming import is_topic, stored_queue_name_problem
from factflow_engine.queues.sqlite.browsing import by_seq
from factflow_engine.queues.sqlite.claiming import MAX_BYTES, replace_holds
from factflow_engine.queues.sqlite.encoding import Encoded
from factflow_engine.queues.sqlite.holds import Hold, without
from factflow_engine.queues.sqlite.lines import Line, line_by_id, line_of, names_like, require_queue
from factflow_engine.queues.sqlite.publishing import Publish
from factflow_engine.queues.sqlite.settling import forget
from factflow_engine.queues.sqlite.store import Store
from factflow_protocols import (
    LetterStaysError,
    MessageState,
    MessageStatus,
    QueueError,
    QueueFullError,
    Requeued,
    StoredMessage,
)


class Batch(NamedTuple):
    """Result of requeueing some messages.

    Attributes:
        tried: Number of messages that were tried; the others are for another transaction.
        counts: Counts of these.
        left: Reason why the first of those that cannot be requeued stays; None if there is none.
        stopped: Reason why no further message can be requeued now; None if there is none.
    """

    tried: int
    counts: Requeued
    left: LetterStaysError | None = None
    stopped: QueueError | None = None


def requeue(store: Store, queue: str, seqs: Sequence[int], to: str | None, *, create: bool) -> Batch:
    """Requeue messages, up to `MAX_BYTES`, in the current transaction; one that cannot be requeued changes nothing."""
    done = Batch(0, Requeued())
    size = 0
    for seq in seqs:
        stored = by_seq(store, queue, seq)
        size += 0 if stored is None else len(stored.frame)
        if done.tried and size > MAX_BYTES:
            break
        store.connection.execute("SAVEPOINT letter")
        try:
            counts = Requeued(gone=1) if stored is None else _requeue(store, queue, stored, to, create=create)
        except QueueError as error:
            store.connection.execute("ROLLBACK TO letter")
            if not isinstance(error, LetterStaysError):
                store.connection.execute("RELEASE letter")
                return done._replace(stopped=error)
            counts, done = Requeued(left=1), done._replace(left=done.left or error)
        store.connection.execute("RELEASE letter")
        done = done._replace(tried=done.tried + 1, counts=done.counts.plus(counts))
    return done


def _requeue(store: Store, queue: str, stored: StoredMessage, to: str | None, *, create: bool) -> Requeued:
    """Requeue one message. One that goes to a topic reaches every subscription of it.

    Raises:
        LetterStaysError: It is not a dead letter, or its target is not a queue, is its own queue, or has no
        subscription.
        QueueError: The target is full or does not exist, which holds for other letters, too.
    """
    if stored.state is MessageState.LEASED:
        return Requeued(leased=1)
    letter, target = _letter(stored, queue, to)
    if target == to and not create and not is_topic(target):
        require_queue(store.connection, target, "; --create makes a new one")
    frame = letter.restored(store.now_ns)
    published = Publish(target, Encoded([frame.message_id], [frame.encode()]), wary=True).apply(store)
    if not published.statuses:
        raise QueueFullError(target, "is full; drain it, or name another queue")
    if published.statuses[0] is MessageStatus.ACCEPTED and not published.added:
        raise LetterStaysError(
            target, f"nobody subscribes to it; start what does, or name another; {names_like(store.connection, target)}"
        )
    _take_out(store, stored.seq)
    duplicate = published.statuses[0] is MessageStatus.DUPLICATE
    return Requeued(duplicates=1) if duplicate else Requeued(requeued=1)


def _letter(stored: StoredMessage, queue: str, to: str | None) -> tuple[DeadLetter, str]:
    """Return the dead letter, and its target."""
    name = f"message {stored.message_id.hex()}"
    try:
        letter = read_dead_letter(queue, Frame.decode(stored.frame))
        target = letter.target(to)
    except LookupError as error:
        raise LetterStaysError(queue, str(error)) from None
    except CodecError as error:
        text = f"{name} cannot be read ({error}); `factflow queue fsck --repair` puts it aside"
        raise LetterStaysError(queue, text) from error
    if target == queue:
        raise LetterStaysError(queue, f"{name} would go back where it is; name another queue")
    if problem := stored_queue_name_problem(target):
        raise LetterStaysError(queue, f"{name} would go to {target!r}, which {problem}; name another queue (--to)")
    return letter, target


def _take_out(store: Store, seq: int) -> None:
    """Settle a message that no consumer has, wherever it is in its line."""
    line = line_by_id(store.connection, line_of(seq), store.settings.capacity)
    assert line is not None  # it was just read
    number = seq - line.base
    if number > line.cursor:
        _skip(store, line, number)
        return
    row = store.connection.execute(
        "SELECT low, high, line, due, token, attempts FROM hold WHERE low <= ? ORDER BY low DESC LIMIT 1", (seq,)
    ).fetchone()
    hold = Hold(*row)
    replace_holds(store, [hold], without(hold, [seq]))
    store.connection.execute("UPDATE line SET held = held - 1 WHERE id = ?", (line.id,))
    forget(store, [seq])


def _skip(store: Store, line: Line, number: int) -> None:
    """Move the cursor to a message that was never handed out, and hold those before it for the next consumer."""
    seq, passed = line.base + number, number - line.cursor - 1
    if passed:
        replace_holds(store, (), [Hold(line.base + line.cursor + 1, seq - 1, line.id, 0, 0, 0)])
    store.connection.execute("UPDATE line SET cursor = ?, held = held + ? WHERE id = ?", (number, passed, line.id))
    forget(store, [seq])
