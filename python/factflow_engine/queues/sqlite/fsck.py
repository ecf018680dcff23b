"""Check of a file against the invariants of `schema`, and repair.

No readable message is deleted: damaged rows go to quarantine, messages that nothing refers to are handed out again,
messages whose queue was lost go to a queue of another name, and wrong counts are recounted. A file with damaged pages
must be recovered by SQLite, and the report says so.
"""

import sqlite3
from collections.abc import Iterator
from typing import Final

from factflow_engine.queues.sqlite.claiming import quarantine
from factflow_engine.queues.sqlite.columns import change_wrong_values, wrong_values
from factflow_engine.queues.sqlite.examining import Examined, examine, mend
from factflow_engine.queues.sqlite.lines import Line
from factflow_engine.queues.sqlite.schema import LINE_SHIFT, RECOVERY
from factflow_engine.queues.sqlite.shape import Part, misshapen_parts, missing_parts, triggers
from factflow_engine.queues.sqlite.store import Store
from factflow_engine.sqlite_files import is_damage
from factflow_protocols import StoreProblem

_OF_NO_LINE: Final = ">> 44 NOT IN (SELECT id FROM line)"

_REPORTED: Final = 20
"""Most findings of SQLite's own check that are reported."""


def check(store: Store) -> list[StoreProblem]:
    """Return all problems; reads every row, unless a problem must be repaired before more can be found."""
    with store.snapshot():
        return _problems(store)


def _problems(store: Store) -> list[StoreProblem]:
    connection = store.connection
    if problems := damage(store):
        return problems
    missing = missing_parts(connection)
    problems = [_missing(part) for part in missing]
    problems += [
        StoreProblem(
            queue="",
            text=f"the trigger {name} on the table {table} is not this engine's, and may change what is stored; drop it",
            mendable=False,
        )
        for name, table in triggers(connection)
    ]
    if any(part.kind == "table" for part in missing):
        return problems
    wrong = [StoreProblem(queue="", text=text, mendable=True) for text in wrong_values(connection)]
    problems += wrong
    for examined in [] if wrong else _examine_all(store):
        problems += [StoreProblem(queue=examined.name, text=text, mendable=True) for text in examined.texts]
    problems += _homeless(connection)
    for queue, seq, message_id, error in connection.execute(
        "SELECT coalesce(l.queue, ''), q.seq, hex(q.message_id), q.error FROM quarantine AS q "
        "LEFT JOIN line AS l ON l.id = q.line ORDER BY q.seq"
    ):
        text = f"message {message_id.lower() or 'without an id'} (row {seq}) is in quarantine: {error}"
        problems.append(StoreProblem(queue=queue, text=text, mendable=False))
    return problems


def repair(store: Store) -> list[StoreProblem]:
    """Repair what `check` calls repairable, in the current transaction, and return it.

    Must not be called if there is `damage`.
    """
    connection = store.connection
    mended = []
    for part in missing_parts(connection):
        connection.execute(part.sql)
        mended.append(_missing(part))
    mended += [StoreProblem(queue="", text=text, mendable=True) for text in wrong_values(connection)]
    change_wrong_values(connection, store.now_ns)
    homeless = _homeless(connection)
    recovered = _recover_lines(store)
    for examined in list(_examine_all(store)):
        if examined.texts or examined.line.id in recovered:
            mend(store, examined)
        if examined.line.id not in recovered:
            mended += [StoreProblem(queue=examined.name, text=text, mendable=True) for text in examined.texts]
    mended += homeless
    for (seq,) in connection.execute(f"SELECT seq FROM message WHERE seq {_OF_NO_LINE}").fetchall():  # noqa: S608 - constant
        quarantine(store, 0, seq, "belongs to no queue")
    connection.execute(f"DELETE FROM hold WHERE low {_OF_NO_LINE}")  # noqa: S608 - constant
    connection.execute(f"DELETE FROM settled WHERE low {_OF_NO_LINE}")  # noqa: S608 - constant
    connection.execute("DELETE FROM seen WHERE line NOT IN (SELECT id FROM line)")
    return mended


def _recover_lines(store: Store) -> set[int]:
    """Make a queue for each missing line that has messages; return the line numbers.

    All its messages count as handed out, so that existing holds and notes decide about theirs, and the other messages
    are found to have neither, which makes them wait.
    """
    rows = store.connection.execute(
        f"SELECT seq >> 44 AS l, max(seq) FROM message WHERE seq {_OF_NO_LINE} GROUP BY l HAVING l > 0"  # noqa: S608 - constant
    ).fetchall()
    for line, newest in rows:
        number = newest - (line << LINE_SHIFT)
        store.connection.execute(
            "INSERT INTO line(id, queue, subscription, tail, cursor, held, token) VALUES (?, ?, '', ?, ?, 0, ?)",
            (line, _recovered(store.connection, line), number, number, store.now_ns),
        )
    return {line for line, _ in rows}


def _recovered(connection: sqlite3.Connection, line: int) -> str:
    """Return the name of the queue that is made for messages without one."""
    name = f"/queue/recovered-{line}"
    while connection.execute("SELECT 1 FROM line WHERE queue = ?", (name,)).fetchone():
        name += "-again"
    return name


def damage(store: Store) -> list[StoreProblem]:
    """Return why the rest of the file cannot be checked: damaged pages, or tables of another shape."""
    try:
        said = [str(text) for (text,) in store.connection.execute(f"PRAGMA integrity_check({_REPORTED})")]
    except sqlite3.DatabaseError as error:
        if not is_damage(error):
            raise
        said = [str(error)]
    if said == ["ok"]:
        said = [
            f"the {part.kind} {part.name} is not as this engine makes it" for part in misshapen_parts(store.connection)
        ]
    else:
        said = [f"SQLite: {text}" for text in said]
        said[-1] += f"; {RECOVERY}"
    return [StoreProblem(queue="", text=text, mendable=False) for text in said]


def _missing(part: Part) -> StoreProblem:
    return StoreProblem(queue="", text=f"the {part.kind} {part.name} is missing", mendable=True)


def _homeless(connection: sqlite3.Connection) -> list[StoreProblem]:
    """Return the rows that refer to a missing line."""
    found = []
    for what, table, low, size in (
        ("messages", "message", "seq", "1"),
        ("messages handed out or given back", "hold", "low", "high - low + 1"),
        ("settled messages", "settled", "low", "high - low + 1"),
    ):
        rows = connection.execute(
            f"SELECT {low} >> 44 AS l, sum({size}) FROM {table} WHERE {low} {_OF_NO_LINE} GROUP BY l"  # noqa: S608 - constants
        )
        for line, count in rows.fetchall():
            text = f"{count} {what} belong to no queue (number {line})"
            if table == "message" and line > 0:
                text += f"; repair makes {_recovered(connection, line)} for them"
            found.append(StoreProblem(queue="", text=text, mendable=True))
    found += [
        StoreProblem(queue="", text=f"{count} remembered ids belong to no queue (number {line})", mendable=True)
        for line, count in connection.execute(
            "SELECT line, count(*) FROM seen WHERE line NOT IN (SELECT id FROM line) GROUP BY line"
        )
    ]
    return found


def _examine_all(store: Store) -> Iterator[Examined]:
    quarantined = dict(store.connection.execute("SELECT line, count(*) FROM quarantine GROUP BY line"))
    rows = store.connection.execute(
        "SELECT queue, subscription, quarantined, id, tail, cursor, held, coalesce(capacity, ?), token FROM line ORDER BY id",
        (store.settings.capacity,),
    ).fetchall()
    for queue, subscription, counted, *row in rows:
        line = Line(*row)
        examined = examine(store, line, f"{queue} ({subscription})" if subscription else queue)
        there = quarantined.get(line.id, 0)
        if there != counted:
            examined.texts.append(f"it counts {counted} messages in quarantine, there are {there}")
        yield examined
