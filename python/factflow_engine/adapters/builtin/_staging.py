"""Lines of an incomplete file, kept in a SQLite file beside it until they replace it.

Blocking. Kept separate from `write_jsonl` because this part survives a crash and is shared by processes: lines are
stored once for each message id, in whole transactions, and the target is replaced in one step that may be repeated.

Lines are stored in blocks, one row for each call of `add`, and ids in an index of their own: few rows are read and
written, so that the thread rarely waits for the interpreter's lock. On a durable queue the file is in WAL mode, in
which an open connection holds a shared lock: only a process that is alone with the file gets the exclusive lock, and
only then removes it. With queues in memory one process holds it exclusively from the start.
"""

import contextlib
import hashlib
import os
import sqlite3
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO, Final

from factflow_engine.adapters.builtin._replacing import create_like
from factflow_engine.sqlite_files import Connection, is_busy, transaction, write_ahead
from factflow_engine.syncing import sync_folder
from factflow_protocols import FactflowError

BUSY_SECONDS: Final = 20.0
"""Longest wait for another process's transaction: shorter than the timeout of a stage's flush(), so that its error is
seen."""

_IDS_AT_A_TIME: Final = 500
_APPLICATION_ID: Final = 0x46465331  # "FFS1"
_CACHE_KIB: Final = 16_384
_COPIED_BYTES: Final = 1_048_576
_GONE: Final = (
    "it is not there, or empty, and should hold the lines of messages that an earlier process of this execution has "
    "acknowledged: put it back, or the stage's path if that was changed; or start under another id to begin again"
)
_TABLES: Final = (
    # Content of the target before the lines: its size, and whether a line end must be added to its last line.
    "CREATE TABLE base(size INTEGER NOT NULL, open_line INTEGER NOT NULL)",
    "CREATE TABLE seen(id BLOB PRIMARY KEY) WITHOUT ROWID",
    "CREATE TABLE block(number INTEGER PRIMARY KEY, lines BLOB NOT NULL)",
)


def staging_path(target: Path, execution_id: str, route: str, stage: str) -> Path:
    """Return the path that holds the lines of a stage until they are in its target."""
    suffix = hashlib.blake2b(f"{execution_id}/{route}/{stage}".encode(), digest_size=8).hexdigest()
    # A name has at most some 255 bytes; SQLite adds another suffix to this one.
    return target.with_name(f".{target.name[:50]}.{suffix}.staging")


def remove_staging(path: Path) -> bool:
    """Delete the leftovers of an execution that nobody resumes; False if there are none.

    Raises:
        StagingHeldError: A process has it open.
        OSError: It cannot be deleted.
    """
    is_there = path.exists()
    _discard_leftover(path)
    return is_there


class StagingError(FactflowError, OSError):
    """The staging file cannot be used; nothing of the call was stored."""

    def __init__(self, path: Path, problem: str) -> None:
        super().__init__(f"staging file {str(path)!r}: {problem}")


class StagingHeldError(StagingError):
    """Another process holds the file; it may release it."""

    def __init__(self, path: Path) -> None:
        super().__init__(
            path, "another execution of this id, route and stage has it open; end that one, or give this one another id"
        )


class Staging:
    """An open staging file. Not safe for use by two threads at a time."""

    def __init__(
        self, path: Path, target: Path, connection: sqlite3.Connection, *, shared: bool, is_sequel: bool
    ) -> None:
        self._path = path
        self._target = target
        self._connection = connection
        self._shared = shared
        # The file and its log. Others could delete them: data committed to a deleted file is lost with the process.
        self._files = inodes(path)
        # Resumes an execution of which no lines were left: the target may hold them already.
        self._is_sequel = is_sequel
        self._published: int | None = None  # number of the last block in the target; None before `publish`

    def add(self, lines: Mapping[bytes, bytes]) -> None:
        """Store lines by message id, all or none; skip ids that are stored already.

        Raises:
            StagingError: Nothing was stored, because the disk is full, for example.
        """
        self._require_same_files()
        with self._transaction():
            known = self._note(tuple(lines))
            new = [line for identity, line in lines.items() if identity not in known] if known else lines.values()
            block = b"".join(new)
            if block:
                self._connection.execute("INSERT INTO block(lines) VALUES (?)", (block,))

    def publish(self) -> None:
        """Put the target in place, durably: its previous content, if it is appended to, and every line.

        May be repeated, also after an interruption.

        Raises:
            OSError: The target is unchanged.
        """
        self._require_same_files()
        temporary = self._path.with_suffix(".tmp")
        with self._transaction():  # one process at a time
            [is_empty] = self._connection.execute("SELECT NOT EXISTS (SELECT 1 FROM block)").fetchone()
            if is_empty and self._is_sequel and self._target.exists():
                return
            try:
                with create_like(self._target, temporary) as file:
                    self._write(file)
                temporary.replace(self._target)
            except BaseException:
                temporary.unlink(missing_ok=True)
                raise
            self._published = self._last_block()
        sync_folder(self._target.parent)

    def close(self) -> None:
        """Close the file; it stays for the process that resumes the execution."""
        self._connection.close()

    def remove(self) -> bool:
        """Delete the file unless others have it open, or have stored lines since `publish`.

        False if others have it open: try again, or leave the file to them. It is to be closed in any case.
        """
        if not self._shared:
            _delete(self._path)
        elif not _is_alone(self._connection):
            return False
        elif self._published in (None, self._last_block()):
            _delete(self._path)
        return True

    def _last_block(self) -> int:
        [number] = self._connection.execute("SELECT coalesce(max(number), 0) FROM block").fetchone()
        return int(number)

    def _require_same_files(self) -> None:
        if self._shared and inodes(self._path) != self._files:
            raise StagingError(
                self._path,
                "it, or its -wal file, was removed or replaced while it was in use; nothing more is stored in it, and "
                "messages whose lines it held may be lost: start the execution under another id to begin again",
            )

    def _note(self, identities: tuple[bytes, ...]) -> frozenset[bytes]:
        """Store the ids, and return those that were stored before."""
        execute = self._connection.execute
        known: set[bytes] = set()
        for start in range(0, len(identities), _IDS_AT_A_TIME):
            chunk = identities[start : start + _IDS_AT_A_TIME]
            rows = ",".join(["(?)"] * len(chunk))
            execute("SAVEPOINT chunk")
            if execute(f"INSERT OR IGNORE INTO seen VALUES {rows}", chunk).rowcount < len(chunk):  # noqa: S608 - question marks
                execute("ROLLBACK TO chunk")
                found = execute(f"SELECT id FROM seen WHERE id IN (VALUES {rows})", chunk)  # noqa: S608 - question marks
                known.update(identity for (identity,) in found)
                execute(f"INSERT OR IGNORE INTO seen VALUES {rows}", chunk)  # noqa: S608 - question marks
            execute("RELEASE chunk")
        return frozenset(known)

    def _write(self, file: BinaryIO) -> None:
        [(size, open_line)] = self._connection.execute("SELECT size, open_line FROM base").fetchall()
        if size:
            with self._target.open("rb") as old:
                there = os.fstat(old.fileno()).st_size
                if there < size:
                    raise StagingError(
                        self._path,
                        f"{str(self._target)!r} had {size} bytes to append to when the execution began and has {there} "
                        "now; put it back, or remove the staging file to begin again without the lines in it",
                    )
                _copy(old, file, size)
            if open_line:  # the first new line would continue it
                file.write(b"\n")
        file.writelines(lines for (lines,) in self._connection.execute("SELECT lines FROM block ORDER BY number"))

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        try:
            with transaction(self._connection):
                yield
        except sqlite3.Error as error:
            raise StagingError(self._path, str(error)) from error


def open_staging(
    path: Path, target: Path, *, append: bool, resumed: bool, durable: bool, kept: bool = False
) -> Staging:
    """Open the staging file, or begin one.

    Args:
        path: The file.
        target: The file that the lines will go to.
        append: True to put the lines after the target's present content.
        resumed: True to keep lines that an earlier or running process of the execution has stored; else they are
        deleted. If there are none, the execution had completed and gets more messages: lines go after its own.
        durable: True if `add` must survive a power cut, and other processes may have the file open.
        kept: True if the file must exist because it holds lines of acknowledged messages.

    Raises:
        StagingHeldError: Another process has it open; try again.
        StagingError: It is damaged, or missing although it must exist, or no SQLite file can be made there.
    """
    if not resumed:
        _discard_leftover(path)
    connection = None
    try:
        while True:
            if not path.exists():
                if kept:
                    raise StagingError(path, _GONE)
                with contextlib.suppress(FileExistsError):
                    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
            opened = inode(path)
            connection = _connect(path)
            _set_up(connection, durable=durable)
            is_new = _begin(connection, target, append=append or resumed, kept=kept, path=path)
            if opened is not None and opened == inode(path):
                return Staging(path, target, connection, shared=durable, is_sequel=resumed and is_new)
            connection.close()  # a process that was alone with the file has just deleted it
    except BaseException as error:
        if connection is not None:
            connection.close()
        if not isinstance(error, sqlite3.Error):
            raise
        if is_busy(error):
            raise StagingHeldError(path) from error
        raise StagingError(
            path,
            f"{error}; if it is damaged, what it held cannot be had from here: keep a copy for `sqlite3 FILE .recover`, "
            "remove it, and start again",
        ) from error


def _connect(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(
        path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False, factory=Connection
    )


def _set_up(connection: sqlite3.Connection, *, durable: bool) -> None:
    connection.execute("PRAGMA page_size = 8192")
    connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
    if durable:
        mode = write_ahead(connection)
        if mode != "wal":
            raise sqlite3.OperationalError(
                f"write-ahead logging is not possible in this folder (journal mode {mode!r})"
            )
        connection.execute("PRAGMA synchronous = FULL")
    else:
        connection.execute("PRAGMA busy_timeout = 0")
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        connection.execute("PRAGMA journal_mode = MEMORY")
        connection.execute("PRAGMA synchronous = OFF")


def _begin(connection: sqlite3.Connection, target: Path, *, append: bool, kept: bool, path: Path) -> bool:
    """Make the tables unless they exist; True if they were made. They must exist if `kept`."""
    with transaction(connection):
        [(marker,)] = connection.execute("PRAGMA application_id").fetchall()
        if marker == 0 and kept:
            raise StagingError(path, _GONE)
        if marker == 0:
            size, open_line = _base(target) if append else (0, False)
            for table in _TABLES:
                connection.execute(table)
            connection.execute("INSERT INTO base VALUES (?, ?)", (size, open_line))
            connection.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
        elif marker != _APPLICATION_ID:
            raise sqlite3.DatabaseError("it is a SQLite file of another program")
    return bool(marker == 0)


def _base(target: Path) -> tuple[int, bool]:
    """Return the length of the target in bytes, and True if its last line has no end."""
    try:
        with target.open("rb") as old:
            size = old.seek(0, os.SEEK_END)
            if not size:
                return 0, False
            old.seek(-1, os.SEEK_END)
            return size, old.read(1) != b"\n"
    except FileNotFoundError:
        return 0, False


def _discard_leftover(path: Path) -> None:
    """Delete the leftovers of a dead execution.

    Raises:
        StagingHeldError: A running one has it open.
    """
    if not path.exists():
        _delete(path)  # a log without its file would be taken for the new file's
        return
    connection = _connect(path)
    try:
        connection.execute("PRAGMA busy_timeout = 0")
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        connection.execute("BEGIN EXCLUSIVE")
    except sqlite3.DatabaseError as error:
        if is_busy(error):
            connection.close()
            raise StagingHeldError(path) from error
        # It is damaged, which does not matter any more.
    else:
        connection.execute("ROLLBACK")  # still locked, until it is closed
    try:
        _delete(path)
    finally:
        connection.close()


def _is_alone(connection: sqlite3.Connection) -> bool:
    """Lock the file exclusively if no other connection has it open; the lock lasts until the connection closes.

    Otherwise the file is in use as before.
    """
    try:
        connection.execute("PRAGMA busy_timeout = 0")
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        [mode] = connection.execute("PRAGMA journal_mode = DELETE").fetchone()
        if mode == "delete":
            connection.execute("BEGIN EXCLUSIVE")
            connection.execute("ROLLBACK")
            return True
    except sqlite3.OperationalError as error:
        if not is_busy(error):
            raise
    connection.execute("PRAGMA locking_mode = NORMAL")
    return False


def inodes(path: Path) -> tuple[tuple[int, int] | None, ...]:
    """Return the identities of a SQLite database and of its write-ahead log."""
    return inode(path), inode(Path(f"{path}-wal"))


def inode(path: Path) -> tuple[int, int] | None:
    """Return the identity of a file, whatever its name; None if it does not exist."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def _delete(path: Path) -> None:
    for suffix in ("", "-wal", "-shm", "-journal"):
        Path(f"{path}{suffix}").unlink(missing_ok=True)


def _copy(source: BinaryIO, file: BinaryIO, size: int) -> None:
    while size:
        chunk = source.read(min(size, _COPIED_BYTES))
        if not chunk:
            raise OSError("the file to append to became shorter while it was copied")
        file.write(chunk)
        size -= len(chunk)
