"""Lock-free check by a consumer of its line: would a claim find something, and when to check again."""

from typing import NamedTuple

from factflow_engine.queues.sqlite.lines import subscription_key
from factflow_engine.queues.sqlite.store import Store
from factflow_protocols import LeasedElsewhere


class Peek(NamedTuple):
    """Result of a check: whether something can be handed out, and the wall time at which a lease may expire."""

    ready: bool
    next_due_ns: int | None


def peek(store: Store, queue: str, subscription: str, line: int) -> Peek:
    """Check the line; a forgotten line counts as ready, so that the claim raises. Its number may be another's now."""
    row = store.connection.execute(
        "SELECT tail > cursor, (SELECT min(due) FROM hold WHERE hold.line = line.id) FROM line "
        "WHERE id = ? AND queue = ? AND subscription = ?",
        (line, queue, subscription_key(queue, subscription)),
    ).fetchone()
    if row is None:
        return Peek(True, None)
    fresh, due = row
    return Peek(bool(fresh) or (due is not None and due <= store.now_ns), due)


def room_of(store: Store, queue: str) -> int:
    """Return the number of messages that fit into every line of a queue now."""
    [room] = store.connection.execute(
        "SELECT coalesce(min(coalesce(capacity, ?) - (tail - cursor + held)), 1) FROM line WHERE queue = ?",
        (store.settings.capacity, queue),
    ).fetchone()
    return max(0, int(room))


def depth_of(store: Store, queue: str, subscription: str) -> int:
    """Return the number of unsettled messages for a consumer; 0 if its line was forgotten for good."""
    row = store.connection.execute(
        "SELECT tail - cursor + held FROM line WHERE queue = ? AND subscription = ?",
        (queue, subscription_key(queue, subscription)),
    ).fetchone()
    return 0 if row is None else int(row[0])


def leased_elsewhere(store: Store, queue: str, subscription: str, *, own: int) -> LeasedElsewhere:
    """Return the messages that are not handed out now, leaving out the `own` that the consumer itself has."""
    held, due = store.connection.execute(  # what is due may be handed out here
        "SELECT coalesce(sum(high - low + 1), 0), min(due) FROM hold WHERE due > ? "
        "AND line = (SELECT id FROM line WHERE queue = ? AND subscription = ?)",
        (store.now_ns, queue, subscription_key(queue, subscription)),
    ).fetchone()
    # The next lease to end may be the consumer's own.
    next_seconds = None if due is None or own else max(0, due - store.now_ns) / 1e9
    return LeasedElsewhere(max(0, held - own), next_seconds)
