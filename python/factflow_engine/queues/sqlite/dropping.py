"""Deletion of lines by a prefix of their names: all of them, or only the empty ones.

Kept separate from `purging`, which is for operators: this is for an execution that leaves nothing behind.
"""

from typing import TypeAlias

from factflow_engine.queues.sqlite.forgetting import discard_states
from factflow_engine.queues.sqlite.lines import forget_line
from factflow_engine.queues.sqlite.store import Store

Name: TypeAlias = tuple[str, str]
"""A queue and the `subscription_key`: the lasting name of a line, whose number may be reused."""


def discard(store: Store, prefix: str) -> None:
    """Delete the lines with this prefix, their messages, and what stages keep."""
    for line in _lines_named(store, prefix).values():
        forget_line(store.connection, line)
    discard_states(store, prefix)
    store.connection.execute("DELETE FROM run WHERE substr(execution, 1, ?1) = ?2", (len(prefix), prefix))


def forget_empty(store: Store, prefix: str, wanted: frozenset[Name]) -> frozenset[Name]:
    """Delete empty lines with this prefix that nobody wants; return the names of the wanted ones."""
    lines = _lines_named(store, prefix)
    for name in lines.keys() - wanted:
        _forget_if_empty(store, lines[name])
    return wanted & lines.keys()


def forget_named_if_empty(store: Store, name: Name) -> None:
    """Forget a line if it holds nothing."""
    row = store.connection.execute("SELECT id FROM line WHERE queue = ? AND subscription = ?", name).fetchone()
    if row is not None:
        _forget_if_empty(store, row[0])


def _forget_if_empty(store: Store, line: int) -> None:
    row = store.connection.execute(
        "SELECT tail - cursor + held + quarantined FROM line WHERE id = ?", (line,)
    ).fetchone()
    if row == (0,):
        forget_line(store.connection, line)


def _lines_named(store: Store, prefix: str) -> dict[Name, int]:
    rows = store.connection.execute(
        "SELECT queue, subscription, id FROM line WHERE substr(queue, 1, ?1) = ?2 OR substr(subscription, 1, ?1) = ?2",
        (len(prefix), prefix),
    )
    return {(queue, subscription): line for queue, subscription, line in rows}
