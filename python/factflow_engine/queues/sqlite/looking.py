"""A consumer's look at its line that takes no lock: whether a claim would find something, and when to look again."""

from typing import NamedTuple

from factflow_engine.queues.sqlite.lines import subscription_key
from factflow_engine.queues.sqlite.store import Store


class Glance(NamedTuple):
    """Result of a look: whether something can be handed out, and when something leased may become due (wall time)."""

    ready: bool
    next_due_ns: int | None


def glance(store: Store, queue: str, subscription: str, line: int) -> Glance:
    """Look; a line that was forgotten counts as ready, so that the claim says so. Its number may be another's by now."""
    row = store.connection.execute(
        "SELECT tail > cursor, (SELECT min(due) FROM hold WHERE hold.line = line.id) FROM line "
        "WHERE id = ? AND queue = ? AND subscription = ?",
        (line, queue, subscription_key(queue, subscription)),
    ).fetchone()
    if row is None:
        return Glance(True, None)
    fresh, due = row
    return Glance(bool(fresh) or (due is not None and due <= store.now_ns), due)


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
