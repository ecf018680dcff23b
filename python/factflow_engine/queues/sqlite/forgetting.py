"""Forgetting what stages of an execution keep, at an operator's word.

Kept separate from `states`, which does what an execution's own processes ask for, and from `purging`, which is about
messages.
"""

from typing import Final

from factflow_engine.queues.sqlite.states import shape_of
from factflow_engine.queues.sqlite.store import Store
from factflow_protocols import QueueError, StageShape

_PREFIXED: Final = "WHERE substr(execution, 1, ?1) = ?2"


def states_of(store: Store, execution: str, place: tuple[str, str] | None = None) -> int:
    """Count the states of an execution, or of one stage of it."""
    where, values = _where(execution, place)
    [count] = store.connection.execute(f"SELECT count(*) FROM stage_state {where}", values).fetchone()  # noqa: S608 - constant
    return int(count)


def shapes_of(store: Store, execution: str) -> list[tuple[str, str, StageShape]]:
    """Return what the stages of an execution that keep something are made of, each with its route id and name."""
    rows = store.connection.execute(
        "SELECT DISTINCT route, stage, shape FROM stage_state WHERE execution = ? AND shape NOT NULL ORDER BY 1, 2, 3",
        (execution,),
    )
    return [(route, stage, shape_of(text)) for route, stage, text in rows]


def forget_states(store: Store, execution: str, place: tuple[str, str] | None = None) -> int:
    """Delete the states of an execution, and what its stages have made of messages that are not acknowledged.

    Args:
        store: Any, in a transaction.
        execution: What the names of its queues begin with.
        place: Route id and name of the one stage that is meant; None for all.

    Returns:
        How many states were deleted.

    Raises:
        QueueError: A process that lives keeps some of them.
    """
    refuse_if_kept(store, execution, place)
    where, values = _where(execution, place)
    deleted = store.connection.execute(f"DELETE FROM stage_state {where}", values).rowcount  # noqa: S608 - constant
    store.connection.execute(f"DELETE FROM stage_answer {where}", values)  # noqa: S608 - constant
    return deleted


def refuse_if_kept(store: Store, execution: str, place: tuple[str, str] | None = None) -> None:
    """See that no process lives that keeps states of an execution, or of one stage of it.

    Raises:
        QueueError: One does.
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
    """Delete everything that stages keep of the executions whose names begin so, whoever lives."""
    for table in ("stage_state", "stage_answer"):
        store.connection.execute(f"DELETE FROM {table} {_PREFIXED}", (len(prefix), prefix))  # noqa: S608 - constant


def _where(execution: str, place: tuple[str, str] | None) -> tuple[str, tuple[str, ...]]:
    if place is None:
        return "WHERE execution = ?", (execution,)
    return "WHERE execution = ? AND route = ? AND stage = ?", (execution, *place)
