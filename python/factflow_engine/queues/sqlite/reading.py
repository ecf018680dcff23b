"""Read-only access to a file that cannot be written to.

Kept separate from `schema` because nothing of that applies: no tables are made, and the log is read or does not exist.
"""

import os
import sqlite3
from pathlib import Path
from typing import Final

from factflow_engine.queues.sqlite.location import QueueFileError, SqliteSettings, check_path
from factflow_engine.queues.sqlite.schema import APPLICATION_ID, OLDER, VERSION, unusable
from factflow_engine.sqlite_files import Connection, is_busy

READ_ONLY: Final = (
    "is read-only here, and can only be looked at (`queue stats`, `queue fsck`, `dlq list`, `dlq show`); look at its "
    "permissions, its folder's, and how its disk is mounted"
)


def is_read_only(path: Path) -> bool:
    """True if the file exists and this process cannot write to it, or cannot make the log beside it."""
    if not path.exists():
        return False
    beside = [path.with_name(path.name + suffix) for suffix in ("-wal", "-shm")]
    has_log = all(other.exists() and os.access(other, os.W_OK) for other in beside)
    return not (os.access(path, os.W_OK) and (has_log or os.access(path.absolute().parent, os.W_OK)))


def open_to_look(settings: SqliteSettings) -> sqlite3.Connection:
    """Open a read-only file, and its log if there is one. Blocks; call it in a thread.

    Raises:
        QueueFileError: It cannot be opened, is not a queue's file, or has another version.
        sqlite3.OperationalError: Another process holds it locked for longer than `busy_seconds`.
    """
    path = settings.path
    check_path(path)
    try:
        connection = _connected(settings, "mode=ro")
        try:
            version = _version(connection, path)
        except sqlite3.OperationalError as error:
            connection.close()
            if is_busy(error):
                raise
            connection, version = _without_log(settings)
        except BaseException:
            connection.close()
            raise
    except sqlite3.DatabaseError as error:
        if is_busy(error):
            raise
        raise unusable(path, error) from error
    if version != VERSION and version not in OLDER:
        connection.close()
        raise QueueFileError(path, f"has tables of version {version}, this engine knows {VERSION}")
    return connection


def _without_log(settings: SqliteSettings) -> tuple[sqlite3.Connection, int]:
    """Open a file whose log cannot be made: nothing writes to it here, and everything must be in the file itself."""
    log = settings.path.with_name(settings.path.name + "-wal")
    if log.exists() and log.stat().st_size:
        raise QueueFileError(
            settings.path,
            f"has a log ({log.name}) that cannot be read where nothing can be written; copy both into a folder that can be "
            "written to, and look at the copy",
        )
    connection = _connected(settings, "immutable=1")
    try:
        return connection, _version(connection, settings.path)
    except BaseException:
        connection.close()
        raise


def _connected(settings: SqliteSettings, options: str) -> sqlite3.Connection:
    return sqlite3.connect(
        f"{settings.path.absolute().as_uri()}?{options}",
        uri=True,
        timeout=settings.busy_seconds,
        isolation_level=None,
        check_same_thread=False,
        factory=Connection,
    )


def _version(connection: sqlite3.Connection, path: Path) -> int:
    """Return the version of a queue's file.

    Raises:
        QueueFileError: The file is not a queue's.
    """
    [application] = connection.execute("PRAGMA application_id").fetchone()
    connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if application != APPLICATION_ID:
        raise QueueFileError(path, "is no queue's file; name the one that the pipelines use")
    [version] = connection.execute("PRAGMA user_version").fetchone()
    return int(version)
