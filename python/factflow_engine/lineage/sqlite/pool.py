"""Open segments of a reader: connections that can only read, opened when they are needed and bounded in number.

A segment that cannot be read costs its own rows and nothing else: it is left out, and named once in `problems`.

Kept separate from what is asked of the segments. Everything here blocks.
"""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, TypeVar
from urllib.parse import quote

from factflow_engine.lineage.sqlite.errors import explained
from factflow_engine.lineage.sqlite.folder import segment_paths
from factflow_engine.lineage.sqlite.schema import problem_of
from factflow_engine.sqlite_files import Connection, reading_mode

T = TypeVar("T")

MOST_OPEN: Final = 64
"""Connections that are kept open; each holds up to three file descriptors."""

_CACHE_KIB: Final = 4_096
_BUSY_SECONDS: Final = 5.0

LONGEST_VALUE: Final = 64 << 20
"""Longest text or blob, in bytes, that a query may make or read."""


def read_only_uri(path: Path, *, immutable: bool = False) -> str:
    """Return the URI with which SQLite opens a file to read only."""
    return f"file:{quote(str(path))}?mode=ro{'&immutable=1' if immutable else ''}"


def open_read_only(path: Path) -> sqlite3.Connection:
    """Return a connection to a segment that can only read.

    Raises:
        sqlite3.Error: It cannot be opened or read.
    """
    try:
        return _connected(f"file:{quote(str(path))}?mode={reading_mode(path)}")
    except sqlite3.OperationalError:
        # A log is read through a file beside it, which a read-only folder does not let SQLite make. Without a log there
        # is nothing to read through it.
        wal = Path(f"{path}-wal")
        if not path.is_file() or (wal.exists() and wal.stat().st_size):
            raise
        return _connected(read_only_uri(path, immutable=True))


def _connected(uri: str) -> sqlite3.Connection:
    connection = sqlite3.connect(
        uri, uri=True, isolation_level=None, check_same_thread=False, timeout=_BUSY_SECONDS, factory=Connection
    )
    try:
        restrict(connection)
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except BaseException:
        connection.close()
        raise
    return connection


def restrict(connection: sqlite3.Connection) -> None:
    """Let a connection only read, trust nothing that a file says about itself, and bound what a value may weigh.

    Raises:
        sqlite3.Error: The connection cannot be used.
    """
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LONGEST_VALUE)
    for pragma in ("query_only = ON", "trusted_schema = OFF", "cell_size_check = ON", f"cache_size = -{_CACHE_KIB}"):
        connection.execute(f"PRAGMA {pragma}")


class Pool:
    """Segments of one folder.

    Attributes:
        folder: The folder, or one segment.
        problems: Name of a segment that an answer is without since `told`, to what is wrong with it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.problems: dict[str, str] = {}
        self._open: dict[str, sqlite3.Connection] = {}  # by name

    def ask(self, question: Callable[[sqlite3.Connection], T], *, only: str | None = None) -> Iterator[tuple[str, T]]:
        """Yield the name of each segment, or of one alone, and its answer, oldest first.

        Raises:
            LineageStoreError: The folder cannot be read.
            sqlite3.OperationalError: The question was interrupted.
        """
        found = segment_paths(self.folder)
        for gone in set(self._open) - set(found):
            self._open.pop(gone).close()
        for gone in set(self.problems) - set(found):
            del self.problems[gone]
        for name, path in found.items():
            if only is not None and name != only:
                continue
            try:
                connection = self._connection(name, path)
                if connection is None:
                    continue
                try:
                    answer = question(connection)
                finally:
                    if name not in self._open:
                        connection.close()
            except sqlite3.Error as error:
                if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_INTERRUPT:
                    raise
                self.note(name, path, error)
                continue
            yield name, answer

    def readable(self) -> list[tuple[str, Path]]:
        """Return name and path of the segments that can be read, oldest first."""
        return [
            (name, self.folder if self.folder.name == name else self.folder / name)
            for name, _ in self.ask(lambda _: None)
        ]

    def told(self) -> Sequence[str]:
        """Return what is noted, and forget it: of what is still wrong, a question that needs it notes it again."""
        problems = tuple(self.problems.values())
        self.problems.clear()
        return problems

    def note(self, name: str, path: Path, error: sqlite3.Error) -> None:
        """Note that a segment cannot be read, unless a retention has removed it meanwhile."""
        if path.exists():
            self._note(name, explained(error))

    def close(self) -> None:
        """Close all connections."""
        while self._open:
            self._open.popitem()[1].close()

    def _connection(self, name: str, path: Path) -> sqlite3.Connection | None:
        """Return the connection; None if the file is no segment."""
        connection = self._open.get(name)
        if connection is None:
            connection = open_read_only(path)
            problem = _checked(connection)
            if problem is not None:
                self._note(name, problem)
                return None
            # All segments are asked in turn: to close one for the next would close each before it is asked again.
            if len(self._open) < MOST_OPEN:
                self._open[name] = connection
        return connection

    def _note(self, name: str, problem: str) -> None:
        self.problems[name] = f"segment {name!r} {problem}; its rows are missing here"
        connection = self._open.pop(name, None)
        if connection is not None:
            with suppress(sqlite3.Error):
                connection.close()


def _checked(connection: sqlite3.Connection) -> str | None:
    try:
        problem = problem_of(connection)
    except sqlite3.Error:
        connection.close()
        raise
    if problem is not None:
        connection.close()
    return problem
