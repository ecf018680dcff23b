"""Look at a file for an execution that died, before it is started again.

Kept separate from `starts` because it has a connection of its own, and makes and changes nothing.
"""

import sqlite3
from contextlib import closing
from typing import Final

from factflow_engine.queues.sqlite.location import QueueFileError, SqliteSettings
from factflow_engine.queues.sqlite.reading import open_to_look
from factflow_engine.queues.sqlite.schema import unusable
from factflow_engine.sqlite_files import is_busy

_LEFT: Final = {
    "line": "tail - cursor + held > 0 AND (substr(queue, 1, ?1) = ?2 OR substr(subscription, 1, ?1) = ?2)",
    "stage_state": "length(?2) = ?1 AND execution = ?2 AND touched > 0",
}
"""Table, and condition for what an execution has left in it, with the length of its prefix and the prefix."""


def can_resume(settings: SqliteSettings, execution: str, *, asked_ns: int) -> bool:
    """See `ResumableStarts.can_resume`. Blocks; call it in a thread.

    Raises:
        QueueFileError: The file cannot be read, or is not a queue's.
    """
    if not settings.path.exists():
        return False
    try:
        with closing(open_to_look(settings)) as connection:
            return _can_resume(connection, execution, asked_ns)
    except sqlite3.DatabaseError as error:
        if is_busy(error):
            problem = f"another process has kept it locked for {settings.busy_seconds:g} s; see what holds it"
            raise QueueFileError(settings.path, problem) from error
        raise unusable(settings.path, error) from error


def _can_resume(connection: sqlite3.Connection, execution: str, asked_ns: int) -> bool:
    # A file of an older version may lack tables.
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if "run" in tables:
        run = connection.execute("SELECT ended FROM run WHERE execution = ?", (execution,)).fetchone()
        if run is not None and (run[0] is None or run[0] > asked_ns):
            return True
    return any(
        connection.execute(f"SELECT 1 FROM {table} WHERE {left} LIMIT 1", (len(execution), execution)).fetchone()  # noqa: S608 - constants
        for table, left in _LEFT.items()
        if table in tables
    )
