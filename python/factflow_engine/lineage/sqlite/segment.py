"""A segment that is written: its connection, and how a batch is stored in it.

Kept separate from the sink, which chooses the segment. Everything here blocks.
"""

import os
import sqlite3
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final
from urllib.parse import quote

from factflow_engine.lineage.sqlite.errors import LineageStoreError
from factflow_engine.lineage.sqlite.folder import UNFINISHED
from factflow_engine.lineage.sqlite.packing import (
    OUTCOME_WIDTH,
    VISIT_WIDTH,
    Place,
    chunks,
    encodable,
    insertion,
    packed_outcomes,
    packed_visits,
)
from factflow_engine.lineage.sqlite.schema import create_tables, problem_of
from factflow_engine.sqlite_files import Connection, transaction, write_ahead
from factflow_protocols import LineageEntry, OutcomeEntry

_CACHE_KIB: Final = 32_768
_MOST_PLACES: Final = 100_000
_CHECKPOINT_PAGES: Final = 4_000
"""Pages of the write-ahead log (16 MiB) after which they are moved into the file."""


class Segment:
    """An open segment.

    Attributes:
        path: The file.
    """

    def __init__(self, path: Path, *, busy_seconds: float) -> None:
        """Open a segment that is there.

        Raises:
            sqlite3.Error: SQLite cannot use the file.
            LineageStoreError: The file is no segment of this version.
        """
        self.path = path
        self._places: dict[Place, int] = {}  # numbers of committed places, or of the transaction under way
        self._connection = sqlite3.connect(
            f"file:{quote(str(path))}?mode=rw",
            uri=True,
            isolation_level=None,
            check_same_thread=False,  # one thread at a time; which one, trio chooses
            timeout=busy_seconds,
            cached_statements=16,
            factory=Connection,
        )
        try:
            self._prepare()
            self._inode = path.stat().st_ino
        except BaseException:
            self._connection.close()
            raise

    @classmethod
    def create(cls, path: Path, *, busy_seconds: float) -> "Segment":
        """Make a segment and open it. It is made under another name, so that nobody opens a part of one.

        Raises:
            sqlite3.Error: SQLite cannot write to the folder.
            OSError: The file cannot be moved to its name.
        """
        unfinished = path.with_name(path.name + UNFINISHED)
        connection = sqlite3.connect(f"file:{quote(str(unfinished))}?mode=rwc", uri=True, isolation_level=None)
        try:
            write_ahead(connection)
            create_tables(connection)
        except BaseException:
            connection.close()
            unfinished.unlink(missing_ok=True)
            raise
        connection.close()
        unfinished.rename(path)
        return cls(path, busy_seconds=busy_seconds)

    def _prepare(self) -> None:
        if write_ahead(self._connection) != "wal":
            raise LineageStoreError(self.path, "cannot be written by several processes: its file system has no WAL")
        run = self._connection.execute
        run("PRAGMA synchronous = NORMAL")
        run("PRAGMA trusted_schema = OFF")
        run(f"PRAGMA cache_size = -{_CACHE_KIB}")
        run(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
        run(f"PRAGMA journal_size_limit = {_CHECKPOINT_PAGES * 4096}")
        problem = problem_of(self._connection)
        if problem is not None:
            raise LineageStoreError(self.path, problem)

    def size_bytes(self) -> int:
        """Return the size of what is stored."""
        [pages] = self._connection.execute("PRAGMA page_count").fetchone()
        return int(pages) * 4096

    def is_in_place(self) -> bool:
        """True if the folder still has this file under this name."""
        try:
            return os.stat(self.path).st_ino == self._inode  # noqa: PTH116 - once a batch
        except OSError:
            return False

    def store(self, entries: Sequence[LineageEntry], outcomes: Sequence[OutcomeEntry]) -> None:
        """Store the rows in one transaction.

        Raises:
            Exception: Nothing was stored.
        """
        try:
            self._store(entries, outcomes)
        except UnicodeEncodeError:
            self._store(encodable(entries), encodable(outcomes))

    def _store(self, entries: Sequence[LineageEntry], outcomes: Sequence[OutcomeEntry]) -> None:
        try:
            with transaction(self._connection):
                for start, size in chunks(len(entries)):
                    values = packed_visits(entries[start : start + size], self._place_of)
                    self._connection.execute(insertion("visit", VISIT_WIDTH, size), values)
                for start, size in chunks(len(outcomes)):
                    values = packed_outcomes(outcomes[start : start + size], self._place_of)
                    self._connection.execute(insertion("outcome", OUTCOME_WIDTH, size), values)
        except BaseException:
            self._places.clear()  # those that this transaction added are gone
            raise

    def _place_of(self, place: Place) -> int:
        """Return the number of a place, added within the transaction if it is new."""
        number = self._places.get(place)
        if number is None:
            if len(self._places) >= _MOST_PLACES:
                self._places.clear()
            self._connection.execute(
                "INSERT OR IGNORE INTO place (execution_id, route, stage, position) VALUES (?, ?, ?, ?)", place
            )
            [number] = self._connection.execute(
                "SELECT id FROM place WHERE execution_id = ? AND route = ? AND stage = ? AND position = ?", place
            ).fetchone()
            self._places[place] = number
        return number

    def close(self) -> None:
        """Close the connection; the last one moves the write-ahead log into the file."""
        with suppress(sqlite3.Error):  # what is committed stays in the log, where the next one finds it
            self._connection.close()
