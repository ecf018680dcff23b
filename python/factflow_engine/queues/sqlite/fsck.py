"""Checking a file against what `schema` promises, and mending it.

Nothing that can still be read is thrown away: damaged rows go to quarantine, what nothing refers to is handed out
again, and what the counts got wrong is counted again. A file whose pages are damaged is SQLite's to recover, and the
report says so.
"""

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from factflow_engine.queues.sqlite.examining import Examined, examine, mend
from factflow_engine.queues.sqlite.lines import Line
from factflow_engine.queues.sqlite.schema import LINE_SHIFT, RECOVERY, is_damage
from factflow_engine.queues.sqlite.store import Store

_REPORTED: Final = 20
"""Findings of SQLite's own that are passed on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Something that is wrong with a file.

    Attributes:
        queue: Name of the queue; empty if it is the file's.
        text: What it is.
        mendable: Whether `repair` does something about it.
    """

    queue: str
    text: str
    mendable: bool


def check(store: Store) -> list[Problem]:
    """All that is wrong; reads every row."""
    with store.snapshot():
        return _problems(store)


def _problems(store: Store) -> list[Problem]:
    connection = store.connection
    if problems := damage(store):
        return problems
    for examined in _examine_all(store):
        problems += [Problem(queue=examined.name, text=text, mendable=True) for text in examined.texts]
    problems += [
        Problem(queue="", text=f"{count} messages belong to no queue (number {line})", mendable=True)
        for line, count in _homeless(connection)
    ]
    for queue, seq, message_id, error in connection.execute(
        "SELECT coalesce(l.queue, ''), q.seq, hex(q.message_id), q.error FROM quarantine AS q "
        "LEFT JOIN line AS l ON l.id = q.line ORDER BY q.seq"
    ):
        text = f"message {message_id.lower() or 'without an id'} (row {seq}) is in quarantine: {error}"
        problems.append(Problem(queue=queue, text=text, mendable=False))
    return problems


def repair(store: Store) -> list[Problem]:
    """Mend what `check` calls mendable, in the transaction under way, and say what it was.

    Not to be asked for if the file's pages are damaged (`damage`).
    """
    connection = store.connection
    mended = []
    for examined in list(_examine_all(store)):
        if examined.texts:
            mend(store, examined)
            mended += [Problem(queue=examined.name, text=text, mendable=True) for text in examined.texts]
    for line, count in _homeless(connection):
        connection.execute(
            "INSERT OR REPLACE INTO quarantine SELECT seq, ?1, message_id, ?2, 'belongs to no queue', frame "
            "FROM message WHERE seq >> ?3 = ?1",
            (line, store.now_ns // 1_000_000_000, LINE_SHIFT),
        )
        connection.execute("DELETE FROM message WHERE seq >> ? = ?", (LINE_SHIFT, line))
        mended.append(Problem(queue="", text=f"{count} messages belong to no queue (number {line})", mendable=True))
    connection.execute("DELETE FROM hold WHERE line NOT IN (SELECT id FROM line)")
    return mended


def damage(store: Store) -> list[Problem]:
    """What SQLite finds wrong with the pages; whatever they say is not to be trusted then."""
    try:
        said = [str(text) for (text,) in store.connection.execute(f"PRAGMA integrity_check({_REPORTED})")]
    except sqlite3.DatabaseError as error:
        if not is_damage(error):
            raise
        said = [str(error)]
    if said == ["ok"]:
        return []
    said[-1] += f"; {RECOVERY}"
    return [Problem(queue="", text=f"SQLite: {text}", mendable=False) for text in said]


def _homeless(connection: sqlite3.Connection) -> list[tuple[int, int]]:
    return connection.execute(
        "SELECT seq >> ? AS l, count(*) FROM message WHERE l NOT IN (SELECT id FROM line) GROUP BY l", (LINE_SHIFT,)
    ).fetchall()


def _examine_all(store: Store) -> Iterator[Examined]:
    rows = store.connection.execute(
        "SELECT queue, subscription, id, tail, cursor, held, coalesce(capacity, ?), token FROM line ORDER BY id",
        (store.settings.capacity,),
    ).fetchall()
    for queue, subscription, *row in rows:
        yield examine(store, Line(*row), f"{queue} ({subscription})" if subscription else queue)
