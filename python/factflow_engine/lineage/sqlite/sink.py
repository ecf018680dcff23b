"""`sqlite:///folder`: the sink that writes segments.

Several processes may write to one folder: all write to the newest segment, one at a time, and whoever finds it full or
too old begins the next one. A segment that is damaged, or of a later version, is left as it is, and the next one begun.

Kept separate from `segment`, which stores a batch in a file and knows nothing of others.
"""

import logging
import sqlite3
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Final

import trio

from factflow_engine.lineage.retention import KEEP_ALL, Retention
from factflow_engine.lineage.sqlite.errors import LineageStoreError, is_passing, store_error
from factflow_engine.lineage.sqlite.folder import expired, new_name, remove, segment_paths, segments, sweep
from factflow_engine.lineage.sqlite.location import LEAST_SEGMENT_BYTES, SqliteLineageSettings
from factflow_engine.lineage.sqlite.reader import SqliteLineageReader
from factflow_engine.lineage.sqlite.segment import Segment
from factflow_engine.seams import Seams
from factflow_engine.sqlite_files import is_damage
from factflow_protocols import LineageEntry, LineageError, OutcomeEntry

logger = logging.getLogger("factflow_engine.lineage")

_PARTS: Final = 8
"""Segments that the time or the room of the retention is divided into: so much more may be kept than asked for."""

_LOOK_AFTER_NS: Final = 60_000_000_000
"""Time after which a write looks for expired segments again."""


class SqliteLineage:
    """Sink in a folder of SQLite files. See `factflow_protocols.LineageSink` for the contract of its methods.

    A written row survives the end of the process; a power cut may take the last ones (`synchronous=NORMAL`).

    Example:
        sink = SqliteLineage(SqliteLineageSettings(path=Path("lineage"), retention_days=30))
        await sink.write([], [])  # OrchestratorManager(lineage=sink) does this
        await sink.close()
    """

    def __init__(self, settings: SqliteLineageSettings, *, seams: Seams | None = None) -> None:
        """Prepare; nothing is opened or made.

        Args:
            settings: Folder, segments and retention.
            seams: Threads for blocking calls; the wall time that names segments and decides their age; randomness that
            tells apart segments that processes begin at once. The machine's own if None.
        """
        self._settings = settings
        self._seams = seams or Seams.real()
        self._threads = self._seams.store_threads(1)
        self._turn = trio.Lock()  # held while a thread uses the segment
        self._segment: Segment | None = None
        self._begun_ns = 0  # wall time at which the open segment began
        self._shunned: set[str] = set()  # names of segments that cannot be written
        asked = Retention(days=settings.retention_days, total_bytes=settings.retention_bytes)
        self._retention = None if asked == KEEP_ALL else asked  # None: nobody has said how much to keep
        self._next_look_ns = 0
        self._has_logged_failure = False  # to remove expired segments, since that last succeeded

    @classmethod
    def from_url(cls, url: str, *, directory: Path | None = None, seams: Seams | None = None) -> "SqliteLineage":
        """Make one from `sqlite:///folder?retention_days=30`; see `SqliteLineageSettings.from_url`.

        Raises:
            LineageUrlError: The URL cannot be read.
        """
        return cls(SqliteLineageSettings.from_url(url, directory=directory), seams=seams)

    @property
    def folder(self) -> Path:
        """See `factflow_engine.schemes.InFolder`."""
        return self._settings.path

    def retain(self, *, days: float | None, total_bytes: int | None) -> None:
        """See `factflow_protocols.RetainingLineage`; what the URL says is one of the calls."""
        self._retention = Retention(days=days, total_bytes=total_bytes).widened(self._retention)
        self._next_look_ns = 0

    async def write(self, entries: Sequence[LineageEntry], outcomes: Sequence[OutcomeEntry]) -> None:
        """See `LineageSink.write`.

        Raises:
            LineageError: Nothing was stored.
        """
        async with self._turn:
            await self._threads.run(partial(self._write, entries, outcomes))

    def reader(self) -> SqliteLineageReader:
        """See `factflow_protocols.ReadableLineage`; it has connections and a thread of its own."""
        return SqliteLineageReader(self._settings, seams=self._seams)

    async def close(self) -> None:
        """See `LineageSink.close`; a later write opens a segment again.

        Cancellation: none; it takes as long as SQLite needs for what is in the log of the segment.
        """
        with trio.CancelScope(shield=True):
            async with self._turn:
                await self._threads.run(self._close_segment)

    def _write(self, entries: Sequence[LineageEntry], outcomes: Sequence[OutcomeEntry]) -> None:
        now = self._seams.clock.wall_ns()
        try:
            self._store(entries, outcomes, now)
        except LineageError:
            raise
        except (sqlite3.Error, OSError, ValueError, OverflowError) as error:
            path = self._settings.path if self._segment is None else self._segment.path
            self._close_segment()  # whatever is wrong with the connection, the next write has another one
            raise store_error(path, error) from error
        if now >= self._next_look_ns or now < self._next_look_ns - _LOOK_AFTER_NS:
            self._next_look_ns = now + _LOOK_AFTER_NS
            self._remove_expired(now)

    def _store(self, entries: Sequence[LineageEntry], outcomes: Sequence[OutcomeEntry], now: int) -> None:
        for _ in range(3):
            segment = self._current(now)
            try:
                segment.store(entries, outcomes)
            except sqlite3.Error as error:
                if not is_damage(error):
                    raise
                self._close_segment()
                self._shun(segment.path, error)
                continue
            if segment.is_in_place():
                return
            self._close_segment()  # removed while it was written: by a retention, or by hand
        raise LineageStoreError(self._settings.path, "is damaged or removed as often as it is written")

    def _shun(self, path: Path, error: Exception) -> None:
        """Leave a segment as it is from now on, and begin another one."""
        if path.name not in self._shunned:
            self._shunned.add(path.name)
            problem = error if isinstance(error, LineageStoreError) else store_error(path, error)
            logger.warning("a new lineage segment is begun: %s", problem)

    def _current(self, now: int) -> Segment:
        """Return the segment to write to, opened; the newest one that can be, or a new one."""
        segment = self._segment
        if segment is not None:
            if segment.is_in_place() and not self._is_over(segment, now):
                return segment
            self._close_segment()
            self._next_look_ns = 0
        self._make_folder()
        for name, path in list(segment_paths(self._settings.path).items())[-1:]:
            segment = None if name in self._shunned else self._opened(path)
            if segment is not None:
                self._begun_ns = int(name[8:20], 16) * 1_000_000
                if not self._is_over(segment, now):
                    self._segment = segment
                    return segment
                segment.close()
        self._begun_ns = now
        path = self._settings.path / new_name(now, self._seams.randomness.token(4))
        self._segment = Segment.create(path, busy_seconds=self._settings.busy_seconds)
        return self._segment

    def _opened(self, path: Path) -> Segment | None:
        """Return a segment of an earlier process, or of another one; None if it cannot be used, so that one is begun."""
        try:
            return Segment(path, busy_seconds=self._settings.busy_seconds)
        except FileNotFoundError:  # removed meanwhile
            return None
        except LineageStoreError as error:  # of a later version, or another program's
            self._shun(path, error)
        except sqlite3.Error as error:
            if is_passing(error):
                return None
            if not is_damage(error):
                raise
            self._shun(path, error)
        return None

    def _is_over(self, segment: Segment, now: int) -> bool:
        if segment.size_bytes() >= self._segment_bytes():
            return True
        seconds = [self._settings.segment_seconds] if self._settings.segment_seconds is not None else []
        if self._retention is not None and self._retention.days is not None:
            seconds.append(self._retention.days * 86_400 / _PARTS)
        return bool(seconds) and now - self._begun_ns >= min(seconds) * 1e9

    def _segment_bytes(self) -> int:
        total = None if self._retention is None else self._retention.total_bytes
        most = self._settings.segment_bytes
        return most if total is None else max(LEAST_SEGMENT_BYTES, min(most, total // _PARTS))

    def _make_folder(self) -> None:
        try:
            self._settings.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        except FileExistsError:
            raise LineageStoreError(
                self._settings.path, "is a file; expected a folder: move the file away, or name another one"
            ) from None
        except NotADirectoryError:
            raise LineageStoreError(self._settings.path, "cannot be made: a part of its path is a file") from None

    def _remove_expired(self, now: int) -> None:
        """Remove what the retention does not keep. A failure is logged, and tried again: the rows are stored."""
        retention = self._retention
        if retention is None or retention == KEEP_ALL:
            return
        current = None if self._segment is None else self._segment.path.name
        try:
            for found in expired(segments(self._settings.path), retention, wall_ns=now):
                if found.name != current:
                    remove(found)
            sweep(self._settings.path, wall_ns=now)
        except (OSError, LineageError) as error:
            if not self._has_logged_failure:
                self._has_logged_failure = True
                logger.warning("old lineage was not removed, which will be tried again: %s", error)
        else:
            self._has_logged_failure = False

    def _close_segment(self) -> None:
        if self._segment is not None:
            self._segment.close()
            self._segment = None
