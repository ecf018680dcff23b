"""The lines of a file that is not complete yet, kept in a SQLite file beside it until they take its place.

Blocking, and kept separate from `write_jsonl` because here is what survives a crash and is shared by processes: lines are
stored once for each message id, in whole transactions, and the target is replaced in one step that may be repeated.

Lines are stored in blocks, one row for each call of `add`, and ids in an index of their own: few rows are read and
written, so that a thread which does it hardly ever waits for the interpreter's lock. On a durable queue the file is in
WAL mode, in which a connection holds a shared lock for as long as it is open: whoever can take the exclusive one is
alone with the file, and only then is it removed. With queues in memory one process holds it exclusively from the start.
"""

import contextlib
import hashlib
import os
import sqlite3
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO, Final

from factflow_engine.adapters.builtin._replacing import create_like, sync_folder
from factflow_protocols import FactflowError

BUSY_SECONDS: Final = 20.0
"""How long a transaction waits for another process's: less than a stage's flush() has, so that its error is heard."""

_IDS_AT_A_TIME: Final = 500
_APPLICATION_ID: Final = 0x46465331  # "FFS1"
_CACHE_KIB: Final = 16_384
_COPIED_BYTES: Final = 1_048_576
_GONE: Final = (
    "it is not there, or empty, and should hold the lines of messages that an earlier process of this execution has "
    "acknowledged: put it back, or the stage's path if that was changed; or start under another id to begin again"
)
_TABLES: Final = (
    # What of the target stands before the lines: so many bytes, and a line end if the last one has none.
    "CREATE TABLE base(size INTEGER NOT NULL, open_line INTEGER NOT NULL)",
    "CREATE TABLE seen(id BLOB PRIMARY KEY) WITHOUT ROWID",
    "CREATE TABLE block(number INTEGER PRIMARY KEY, lines BLOB NOT NULL)",
)


def staging_path(target: Path, execution_id: str, route: str, stage: str) -> Path:
    """Return where the lines of a stage are until they are in its target."""
    suffix = hashlib.blake2b(f"{execution_id}/{route}/{stage}".encode(), digest_size=8).hexdigest()
    # A name has some 255 bytes at most; this one gets another suffix yet.
    return target.with_name(f".{target.name[:50]}.{suffix}.staging")


def remove_staging(path: Path) -> bool:
    """Delete what an execution has left that nobody goes on with; False if there is nothing.

    Raises:
        StagingHeldError: A process has it open.
        OSError: It cannot be deleted.
    """
    is_there = path.exists()
    _discard_leftover(path)
    return is_there


class StagingError(FactflowError, OSError):
    """The staging file cannot be used; nothing that was to be stored is."""

    def __init__(self, path: Path, problem: str) -> None:
        super().__init__(f"staging file {str(path)!r}: {problem}")


class StagingHeldError(StagingError):
    """Another process holds the file; it may let go of it."""

    def __init__(self, path: Path) -> None:
        super().__init__(
            path, "another execution of this id, route and stage has it open; end that one, or give this one another id"
        )


class Staging:
    """The open file. Not safe for use by two threads at a time."""

    def __init__(
        self, path: Path, target: Path, connection: sqlite3.Connection, *, shared: bool, is_sequel: bool
    ) -> None:
        self._path = path
        self._target = target
        self._connection = connection
        self._shared = shared
        # The file and its log, which others could delete: what is committed to a deleted one is gone with the process.
        self._files = inodes(path)
        # It goes on with an execution of which no lines were left: the target may hold them already.
        self._is_sequel = is_sequel

    def add(self, lines: Mapping[bytes, bytes]) -> None:
        """Store lines by message id, all or none; a line of an id that is there already is left out.

        Raises:
            StagingError: Nothing was stored, for want of space for one.
        """
        self._require_same_files()
        with self._transaction():
            known = self._note(tuple(lines))
            new = [line for identity, line in lines.items() if identity not in known] if known else lines.values()
            block = b"".join(new)
            if block:
                self._connection.execute("INSERT INTO block(lines) VALUES (?)", (block,))

    def publish(self) -> None:
        """Put the target in place, durably: what stood there first, if it is appended to, and every line.

        May be repeated, and begun again where it was interrupted.

        Raises:
            OSError: The target is as it was.
        """
        self._require_same_files()
        temporary = self._path.with_suffix(".tmp")
        with self._transaction():  # of several processes one at a time
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
        sync_folder(self._target.parent)

    def close(self) -> None:
        """Let go of the file; it stays for who goes on."""
        self._connection.close()

    def remove(self) -> None:
        """Let go of the file and delete it, unless another process has it open: that one needs it."""
        try:
            if not self._shared or _is_alone(self._connection):
                _delete(self._path)
        finally:
            self._connection.close()

    def _require_same_files(self) -> None:
        if self._shared and inodes(self._path) != self._files:
            raise StagingError(
                self._path,
                "it, or its -wal file, was removed or replaced while it was in use; nothing more is stored in it, and "
                "messages whose lines it held may be lost: start the execution under another id to begin again",
            )

    def _note(self, identities: tuple[bytes, ...]) -> frozenset[bytes]:
        """Store the ids, and return those that were there."""
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
            if open_line:  # the first new line would go on with it
                file.write(b"\n")
        file.writelines(lines for (lines,) in self._connection.execute("SELECT lines FROM block ORDER BY number"))

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._named_errors():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise
            try:
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    @contextlib.contextmanager
    def _named_errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise StagingError(self._path, str(error)) from error


def open_staging(
    path: Path, target: Path, *, append: bool, resumed: bool, durable: bool, kept: bool = False
) -> Staging:
    """Open the staging file, or begin one.

    Args:
        path: The file.
        target: Where the lines will go.
        append: Lines go after what stands in the target now.
        resumed: Keep what an earlier or living process of the execution has stored; else that is deleted. If nothing is
            stored, the execution had completed, and gets more: lines go after its own.
        durable: What `add` has stored survives a power cut, and other processes may have the file open.
        kept: Lines of messages that are acknowledged are in there: it may be gone on with, but not begun.

    Raises:
        StagingHeldError: Another process has it open; ask again.
        StagingError: It is damaged, or is not there although it must be, or no SQLite file can be made there.
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
            connection.close()  # whoever was alone with the file has just deleted it
    except BaseException as error:
        if connection is not None:
            connection.close()
        if not isinstance(error, sqlite3.Error):
            raise
        if _is_busy(error):
            raise StagingHeldError(path) from error
        raise StagingError(
            path,
            f"{error}; if it is damaged, what it held cannot be had from here: keep a copy for `sqlite3 FILE .recover`, "
            "remove it, and start again",
        ) from error


def _connect(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)


def _set_up(connection: sqlite3.Connection, *, durable: bool) -> None:
    connection.execute("PRAGMA page_size = 8192")
    connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
    if durable:
        [mode] = connection.execute("PRAGMA journal_mode = WAL").fetchone()
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
    """Make the tables unless they are there; True if they were not. They must be if something is kept in them."""
    connection.execute("BEGIN IMMEDIATE")
    try:
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
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")
    return bool(marker == 0)


def _base(target: Path) -> tuple[int, bool]:
    """Return the length of the target in bytes, and true if its last line has no end."""
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
    """Delete what a dead execution has left.

    Raises:
        StagingHeldError: One that lives has it open.
    """
    if not path.exists():
        _delete(path)  # a log without its file would be taken for the new one's
        return
    connection = _connect(path)
    try:
        connection.execute("PRAGMA busy_timeout = 0")
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        connection.execute("BEGIN EXCLUSIVE")
    except sqlite3.DatabaseError as error:
        if _is_busy(error):
            connection.close()
            raise StagingHeldError(path) from error
        # It is damaged, which does not matter any more.
    else:
        connection.execute("ROLLBACK")  # locked all the same, until it is closed
    try:
        _delete(path)
    finally:
        connection.close()


def _is_alone(connection: sqlite3.Connection) -> bool:
    """Take the file exclusively, if no other connection has it open; it is then held until the connection closes."""
    try:
        connection.execute("PRAGMA busy_timeout = 0")
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        [mode] = connection.execute("PRAGMA journal_mode = DELETE").fetchone()
        if mode != "delete":
            return False
        connection.execute("BEGIN EXCLUSIVE")
        connection.execute("ROLLBACK")
    except sqlite3.OperationalError:
        return False
    return True


def _is_busy(error: sqlite3.Error) -> bool:
    return (getattr(error, "sqlite_errorcode", 0) & 0xFF) in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}


def inodes(path: Path) -> tuple[tuple[int, int] | None, ...]:
    """Return which files a SQLite database and its write-ahead log are."""
    return inode(path), inode(Path(f"{path}-wal"))


def inode(path: Path) -> tuple[int, int] | None:
    """Return which file this is, whatever its name; None if there is none."""
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
