"""Tables of a queue's file, and opening it.

A *line* is a point-to-point queue, or one subscription of a topic. Its messages are a log: each has a sequence number
`line id << 44 | n` with n counting up from 1 without gaps, so that the rowid alone clusters a line's messages in their
order and no index is needed. A cursor separates messages that were handed out from those that never were. Everything up
to the cursor is settled unless a *hold* covers it: a range of sequence numbers that a consumer has leased (`token`
above 0, `due` is the end of the lease), or that waits to be handed out again (`token` 0, `due` is the earliest time).
Handing out a batch writes one row, and so does settling it: each message costs one insert, one read and one delete.

Settling deletes a message's row, or notes it in `settled` if it is retained; so does purging, with time 0, until the
row is deleted. So a row that neither the cursor, a hold nor `settled` accounts for means that one of them is wrong.

Ids of accepted messages are in `seen` for as long as duplicates are refused, whatever the outcome of the message. Each
id, and each retained message, stores its own expiry: processes with different settings share the file, and none may
shorten the promise of another.

A stage that keeps state across messages has a row in `stage_state` for each process that runs its execution, written in
the transaction that acknowledges the messages it was made of. `stage_answer` has the stage's results for messages whose
effects are in its state and that are not acknowledged yet, so that the stage does not process them again.

`run` has a row for each execution whose id was chosen by a user, and says if it was begun and has not ended; see
`starts`.
"""

import sqlite3
from pathlib import Path
from typing import Final

from factflow_engine.queues.sqlite.durability import SYNCHRONOUS
from factflow_engine.queues.sqlite.location import QueueFileError, SqliteSettings, check_path
from factflow_engine.sqlite_files import Connection, is_busy, primary_code, transaction, write_ahead

APPLICATION_ID: Final = 0x46465131
"""Application id that marks a file as a queue's ("FFQ1")."""

VERSION: Final = 5
"""Version of the tables below; a file of another version is refused, except those in `OLDER`."""

OLDER: Final = (2, 3, 4)
"""Versions that may lack the later tables and the column `shape`; their other tables are the same."""

_ADDED: Final = frozenset({"stage_state", "stage_state_by_execution", "stage_answer", "run"})
"""Tables and indexes that a file of an older version may lack; without any other one it is damaged."""

LINE_SHIFT: Final = 44
"""Bits of a sequence number that count messages: eleven years of 50,000 a second."""

RECOVERY: Final = (
    "stop what uses it, keep FILE, and recover what can be into a new one (`sqlite3 FILE .recover | sqlite3 NEW`; a shell "
    "that was built without SQLITE_ENABLE_DBPAGE_VTAB, as Debian 12's, says `SQL logic error` and leaves NEW empty). Run "
    "`factflow queue fsck --repair` on NEW, see that `factflow queue stats` counts its messages, and only then put it in "
    "the place of FILE"
)
"""Remedy for damaged pages."""

MAX_LINES: Final = (1 << (63 - LINE_SHIFT)) - 1

TABLES: Final = (
    """CREATE TABLE line(
        id INTEGER PRIMARY KEY,
        queue TEXT NOT NULL,
        subscription TEXT NOT NULL,   -- empty for a point-to-point queue
        capacity INTEGER,             -- messages; null while no consumer has said
        tail INTEGER NOT NULL,        -- n of the newest message
        cursor INTEGER NOT NULL,      -- n of the newest message that was ever handed out
        held INTEGER NOT NULL,        -- how many messages all holds cover
        token INTEGER NOT NULL,       -- of the newest lease; starts at the time of creation, so it never repeats
        quarantined INTEGER NOT NULL DEFAULT 0,
        UNIQUE(queue, subscription))""",
    "CREATE TABLE message(seq INTEGER PRIMARY KEY, message_id BLOB NOT NULL, frame BLOB NOT NULL)",
    """CREATE TABLE hold(
        low INTEGER PRIMARY KEY, high INTEGER NOT NULL, line INTEGER NOT NULL,
        due INTEGER NOT NULL,         -- nanoseconds of wall time; 0 for at once
        token INTEGER NOT NULL,       -- 0 if nobody has it
        attempts INTEGER NOT NULL)    -- spent so far""",
    "CREATE INDEX hold_by_due ON hold(line, due)",
    "CREATE INDEX hold_by_token ON hold(token) WHERE token > 0",
    """CREATE TABLE seen(line INTEGER, message_id BLOB, until INTEGER NOT NULL,  -- seconds of wall time
        PRIMARY KEY(line, message_id)) WITHOUT ROWID""",
    "CREATE TABLE settled(low INTEGER PRIMARY KEY, high INTEGER NOT NULL, until INTEGER NOT NULL)",
    "CREATE INDEX settled_by_until ON settled(until)",
    """CREATE TABLE quarantine(seq INTEGER PRIMARY KEY, line INTEGER NOT NULL, message_id BLOB, at INTEGER NOT NULL,
        error TEXT NOT NULL, frame BLOB)""",
    """CREATE TABLE stage_state(
        id INTEGER PRIMARY KEY,
        execution TEXT NOT NULL,      -- prefix of its queues
        route TEXT NOT NULL, stage TEXT NOT NULL,
        owner INTEGER NOT NULL,       -- the process whose it is, while it lives
        since INTEGER NOT NULL,       -- the same in all rows of one run of the execution
        until INTEGER NOT NULL,       -- nanoseconds of wall time; 0 if the owner has left
        touched INTEGER NOT NULL,     -- 1: holds effects of acknowledged messages; 2: none yet, and is to finish; 0: neither
        state BLOB,                   -- null for a stage that makes its effects durable by itself
        shape TEXT)                   -- lines: adapter type, digest of its configuration, its paths as JSON; null if nobody said""",
    "CREATE INDEX stage_state_by_execution ON stage_state(execution)",
    """CREATE TABLE stage_answer(
        execution TEXT, route TEXT, root BLOB, stage TEXT, message_id BLOB, answer BLOB NOT NULL,
        PRIMARY KEY(execution, route, root, stage, message_id)) WITHOUT ROWID""",
    """CREATE TABLE run(
        execution TEXT PRIMARY KEY,   -- what the names of all that is its own begin with
        ended INTEGER,                -- nanoseconds of wall time; null while it is open
        reads TEXT NOT NULL           -- JSON: [queue, subscription] of every route that it had since it was begun
        ) WITHOUT ROWID""",
)


def open_file(settings: SqliteSettings, *, create: bool = True) -> sqlite3.Connection:
    """Open the file, making the tables if it is new. Blocks; call it in a thread.

    Args:
        settings: Path and durability.
        create: True to make the file if it is missing or empty.

    Raises:
        QueueFileError: It cannot be opened, is not a queue's file, or has another version.
        sqlite3.OperationalError: Another process holds it locked for longer than `busy_seconds`.
    """
    path = settings.path
    check_path(path)
    if not create and not path.exists():
        raise QueueFileError(path, "does not exist")
    try:
        connection = sqlite3.connect(
            path.absolute(),
            timeout=settings.busy_seconds,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=256,
            factory=Connection,
        )
    except sqlite3.Error as error:
        raise QueueFileError(path, f"cannot be opened: {error}") from error
    try:
        _prepare(connection, settings, create=create)
    except BaseException:
        connection.close()
        raise
    return connection


def unusable(path: Path, error: sqlite3.DatabaseError) -> QueueFileError:
    """Return the error of a file that SQLite does not open."""
    if primary_code(error) == sqlite3.SQLITE_CORRUPT:
        return QueueFileError(path, f"is damaged ({error}); {RECOVERY}")
    return QueueFileError(path, f"is not a usable SQLite file: {error}")


def _prepare(connection: sqlite3.Connection, settings: SqliteSettings, *, create: bool) -> None:
    path = settings.path
    try:
        with transaction(connection, "DEFERRED"):
            fresh = _is_fresh(connection, path)
        if fresh and not create:
            raise QueueFileError(path, "is empty, and no queue's file; name the one that the pipelines use")
        connection.execute("PRAGMA page_size = 8192")  # affects a new file only
        mode = write_ahead(connection)
    except sqlite3.DatabaseError as error:
        if is_busy(error):
            raise
        raise unusable(path, error) from error
    if mode != "wal":
        raise QueueFileError(path, f"cannot write ahead here (journal mode {mode!r}); name a file on a local disk")
    for pragma in (
        f"synchronous = {SYNCHRONOUS[settings.durability]}",
        "secure_delete = OFF",
        "cache_size = -16384",
        "wal_autocheckpoint = 2000",
        "journal_size_limit = 67108864",
        "temp_store = MEMORY",
    ):
        connection.execute(f"PRAGMA {pragma}")
    if fresh:
        _create(connection, path)
    [version] = connection.execute("PRAGMA user_version").fetchone()
    if version in OLDER:
        version = _complete(connection)
    if version != VERSION:
        raise QueueFileError(
            path, f"has tables of version {version}, this engine knows {VERSION}; drain it with the engine that made it"
        )


def _is_fresh(connection: sqlite3.Connection, path: Path) -> bool:
    """True if the file is empty; raise if another program made it.

    Must be called within a transaction: another process may be making the tables between the two reads.
    """
    [application] = connection.execute("PRAGMA application_id").fetchone()
    [tables] = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if application == APPLICATION_ID:
        return False
    if application or tables:
        raise QueueFileError(path, "is an SQLite file of another program; name another path")
    return True


def _create(connection: sqlite3.Connection, path: Path) -> None:
    """Make the tables, unless another process was faster."""
    with transaction(connection):
        if _is_fresh(connection, path):
            for statement in TABLES:
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {VERSION}")


def _complete(connection: sqlite3.Connection) -> int:
    """Make the tables that an older version lacks, unless another process was faster; return the version."""
    with transaction(connection):
        [version] = connection.execute("PRAGMA user_version").fetchone()
        if version in OLDER:
            there = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
            for statement in TABLES:
                name = statement.replace("(", " ").split()[2]
                if name in _ADDED - there:
                    connection.execute(statement)
            if "shape" not in {column[1] for column in connection.execute("PRAGMA table_info(stage_state)")}:
                connection.execute("ALTER TABLE stage_state ADD COLUMN shape TEXT")
            connection.execute(f"PRAGMA user_version = {VERSION}")
            version = VERSION
    return int(version)
