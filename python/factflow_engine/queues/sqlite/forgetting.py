"""Deletion of stages' states, on an operator's command.

Kept separate from `states`, which serves an execution's own processes, and from `purging`, which is about messages.
"""

from typing import Final

from factflow_engine.queues.sqlite.joining import shape_of
from factflow_engine.queues.sqlite.store import Store
from factflow_protocols import QueueError, StageShape

_PREFIXED: Final = "WHERE substr(execution, 1, ?1) = ?2"


def states_of(store: Store, execution: str, place: tuple[str, str] | None = None) -> int:
    """Count the states of an execution, or of one stage of it."""
    where, values = _where(execution, place)
    [count] = store.connection.execute(f"SELECT count(*) FROM stage_state {where}", values).fetchone()  # noqa: S608 - constant
    return int(count)


def shapes_of(store: Store, execution: str) -> list[tuple[str, str, StageShape]]:
    """Return the shapes of an execution's stages that keep state, each with its route id and name."""
    rows = store.connection.execute(
        "SELECT DISTINCT route, stage, shape FROM stage_state WHERE execution = ? AND shape NOT NULL ORDER BY 1, 2, 3",
        (execution,),
    )
    return [(route, stage, shape_of(text)) for route, stage, text in rows]


def forget_states(store: Store, execution: str, place: tuple[str, str] | None = None) -> int:
    """Delete the states of an execution, and its stages' answers to unacknowledged messages.

    Args:
        store: The store, in a transaction.
        execution: Prefix of the names of its queues.
        place: Route id and name of the only stage to forget; None for all.

    Returns:
        Number of states deleted.

    Raises:
        QueueError: A running process keeps some of them.
    """
    refuse_if_kept(store, execution, place)
    where, values = _where(execution, place)
    deleted = store.connection.execute(f"DELETE FROM stage_state {where}", values).rowcount  # noqa: S608 - constant
    store.connection.execute(f"DELETE FROM stage_answer {where}", values)  # noqa: S608 - constant
    return deleted


def refuse_if_kept(store: Store, execution: str, place: tuple[str, str] | None = None) -> None:
    """Check that no running process keeps states of an execution, or of one stage of it.

    Raises:
        QueueError: A running process does.
    """
    where, values = _where(execution, place)
    [living] = store.connection.execute(
        f"SELECT count(DISTINCT owner) FROM stage_state {where} AND until > ?",  # noqa: S608 - constant
        (*values, store.now_ns),
    ).fetchone()
    if living:
        raise QueueError(
            execution,
            f"is run by {living} process{'es' * (living > 1)} whose stages keep state; stop what runs it, or, if it was "
            "killed, wait for its lease to end",
        )


def discard_states(store: Store, prefix: str) -> None:
    """Delete everything that stages keep of the executions with this prefix, even if their processes run."""
    for table in ("stage_state", "stage_answer"):
        store.connection.execute(f"DELETE FROM {table} {_PREFIXED}", (len(prefix), prefix))  # noqa: S608 - constant


def _where(execution: str, place: tuple[str, str] | None) -> tuple[str, tuple[str, ...]]:
    if place is None:
        return "WHERE execution = ?", (execution,)
    return "WHERE execution = ? AND route = ? AND stage = ?", (execution, *place)
