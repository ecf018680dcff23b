"""Owners of states of stages: processes of one execution that renew rows, take them over, hand them over and end.

Kept separate from what is stored in the rows. An owner is alive until its rows expire; each write checks in its own
transaction that it still owns the rows, so that a process that comes back after it was taken for dead writes nothing.
"""

from collections.abc import Mapping
from typing import Final

from factflow_engine.queues.sqlite.store import Store
from factflow_protocols import Conclusion, QueueError, StoredState

MINE: Final = "WHERE execution = ? AND owner = ?"
"""Rows of one owner."""

OVER: Final = "WHERE execution = ? AND owner <> ? AND until <= ?"
"""Rows of other owners that have left or died."""

LIVING: Final = "WHERE execution = ? AND owner <> ? AND until > ?"
"""Rows of other owners that are alive."""

OPENING: Final = ("", "")
"""Route and stage of the row that the first process of an execution has while it opens its stages: no stage's."""


def unfinished_of(store: Store, execution: str, *, beside: int = -1) -> int:
    """Return the number of states of an execution without a `finish`, leaving out those of the owner `beside`."""
    [unfinished] = store.connection.execute(
        "SELECT count(*) FROM stage_state WHERE execution = ? AND owner <> ? AND touched > 0", (execution, beside)
    ).fetchone()
    return int(unfinished)


def begin_stages(store: Store, execution: str, owner: int) -> None:
    """Note that an owner's stages must finish, whether they get a message or not."""
    store.connection.execute(
        f"UPDATE stage_state SET touched = 2 {MINE} AND touched = 0 AND (route, stage) <> (?, ?)",  # noqa: S608 - constant
        (execution, owner, *OPENING),
    )


def forget_idle(store: Store, execution: str) -> None:
    """Cancel the obligation of stages to finish, if none has had an effect and no running process could finish them."""
    busy = "SELECT 1 FROM stage_state WHERE execution = ? AND (touched = 1 OR until > ?) LIMIT 1"
    if not store.connection.execute(busy, (execution, store.now_ns)).fetchone():
        store.connection.execute("DELETE FROM stage_state WHERE execution = ?", (execution,))


def note_opened(store: Store, execution: str, owner: int) -> None:
    """Note that an owner's stages are open: others may join now."""
    renew(store, execution, owner)
    store.connection.execute(
        f"DELETE FROM stage_state {MINE} AND (route, stage) = (?, ?)",  # noqa: S608 - constant
        (execution, owner, *OPENING),
    )


def take_over(store: Store, execution: str, owner: int) -> list[StoredState]:
    """Take over the rows of owners that have left or died; delete those without any effect."""
    over = (execution, owner, store.now_ns)
    store.connection.execute(f"DELETE FROM stage_state {OVER} AND touched = 0", over)  # noqa: S608 - constant
    rows = store.connection.execute(
        f"SELECT route, stage, state FROM stage_state {OVER} ORDER BY id",  # noqa: S608 - constant
        over,
    ).fetchall()
    store.connection.execute(
        f"UPDATE stage_state SET owner = ?, until = ? {OVER}",  # noqa: S608 - constant
        (owner, until_of(store), *over),
    )
    return [StoredState(route=route, stage=stage, state=state) for route, stage, state in rows]


def renew(store: Store, execution: str, owner: int) -> None:
    """Renew an owner's rows, unless it has left; see `StateProtocol.renew`.

    A renewal that was under way when the owner handed over must not revive it: the other one would hand over, too.
    """
    changed = store.connection.execute(
        f"UPDATE stage_state SET until = ? {MINE} AND until > 0",  # noqa: S608 - constant
        (until_of(store), execution, owner),
    ).rowcount
    mine = f"SELECT 1 FROM stage_state {MINE} LIMIT 1"  # noqa: S608 - constant
    if not changed and not store.connection.execute(mine, (execution, owner)).fetchone():
        raise taken_over_error(execution)


def conclude(store: Store, execution: str, owner: int, seen: Mapping[int, int]) -> Conclusion:
    """See `StateProtocol.conclude`."""
    renew(store, execution, owner)
    others = dict(
        store.connection.execute(
            f"SELECT owner, max(until) FROM stage_state {LIVING} GROUP BY owner",  # noqa: S608 - constant
            (execution, owner, store.now_ns),
        )
    )
    states = take_over(store, execution, owner)
    handed_over = any(until != seen.get(other, until) for other, until in others.items())
    if handed_over:
        leave(store, execution, owner)
    elif not others:
        # If a stage is to finish, later effects belong to this run of the execution, whichever process repeats them. If
        # none is, there is nothing to repeat: the execution may have ended before this process came.
        store.connection.execute(
            f"UPDATE stage_state SET touched = 1 {MINE} AND EXISTS (SELECT 1 FROM stage_state {MINE} AND touched > 0)",  # noqa: S608 - constant
            (execution, owner, execution, owner),
        )
    return Conclusion(handed_over=handed_over, others=others, states=states)


def leave(store: Store, execution: str, owner: int) -> None:
    """See `StateProtocol.leave`."""
    mine = (execution, owner)
    if not store.connection.execute(f"SELECT 1 FROM stage_state {MINE} AND touched > 0 LIMIT 1", mine).fetchone():  # noqa: S608 - constant
        store.connection.execute(f"DELETE FROM stage_state {MINE}", mine)  # noqa: S608 - constant
    # Otherwise they stay, also those without effect: they distinguish an existing stage from a new one.
    store.connection.execute(f"UPDATE stage_state SET until = 0 {MINE}", mine)  # noqa: S608 - constant


def forget(store: Store, execution: str, owner: int) -> bool:
    """See `StateProtocol.forget`."""
    connection = store.connection
    over = (execution, owner, store.now_ns)
    if connection.execute(f"SELECT 1 FROM stage_state {OVER} AND touched > 0 LIMIT 1", over).fetchone():  # noqa: S608 - constant
        return False
    connection.execute(f"DELETE FROM stage_state {MINE}", (execution, owner))  # noqa: S608 - constant
    connection.execute(f"DELETE FROM stage_state {OVER}", over)  # noqa: S608 - constant
    if not connection.execute("SELECT 1 FROM stage_state WHERE execution = ? LIMIT 1", (execution,)).fetchone():
        connection.execute("DELETE FROM stage_answer WHERE execution = ?", (execution,))
    return True


def until_of(store: Store) -> int:
    """Return the time until which a row written now is owned."""
    return store.now_ns + round(store.settings.lease_seconds * 1e9)


def taken_over_error(execution: str) -> QueueError:
    """Return the error for an owner whose rows have expired and are another's by now."""
    return QueueError(
        execution,
        "another process has taken over what stages of this one keep: it did not renew its lease in time; "
        "write a longer one into the queue's URL, as ?lease=120",
    )
