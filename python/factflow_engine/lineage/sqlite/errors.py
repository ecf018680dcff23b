"""Errors of the store in words, from those of SQLite and of the file system.

Kept separate because writing and reading name the same failures.
"""

import sqlite3
from pathlib import Path
from typing import Final

from factflow_engine.sqlite_files import is_busy, primary_code
from factflow_protocols import LineageError

_SAID: Final = {
    sqlite3.SQLITE_FULL: "has no room left on its disk; make room, or set retention_bytes",
    sqlite3.SQLITE_CORRUPT: "is damaged",
    sqlite3.SQLITE_NOTADB: "is damaged, or no SQLite file",
    sqlite3.SQLITE_BUSY: "is locked by another process for too long",
    sqlite3.SQLITE_READONLY: "cannot be written: its file or folder is read-only",
    sqlite3.SQLITE_CANTOPEN: "cannot be opened: no permission, or its folder is gone",
    sqlite3.SQLITE_IOERR: "cannot be used: its disk failed, or has no room left",
    sqlite3.SQLITE_TOOBIG: "cannot hold a value that is so long",
}
"""Primary code of SQLite's error to words."""


class LineageStoreError(LineageError):
    """Unusable store, or a part of it: the operator must act.

    Attributes:
        path: The folder, or a segment in it.
    """

    def __init__(self, path: Path, problem: str) -> None:
        self.path = path
        super().__init__(f"lineage {str(path)!r} {problem}")


def is_passing(error: sqlite3.Error) -> bool:
    """True if the file is in use, or gone: SQLite does not wait while another process recovers or closes it."""
    return is_busy(error) or primary_code(error) == sqlite3.SQLITE_CANTOPEN


def explained(error: sqlite3.Error) -> str:
    """Return what is wrong, and SQLite's own words."""
    words = _SAID.get(primary_code(error))
    return f"{words} ({error})" if words else f"failed: {error}"


def store_error(path: Path, error: Exception) -> LineageStoreError:
    """Return the error to raise for one of SQLite, of the file system, or of a value that cannot be stored."""
    if isinstance(error, sqlite3.Error):
        return LineageStoreError(path, explained(error))
    if isinstance(error, OSError):
        return LineageStoreError(path, f"cannot be used: {error.strerror or error}")
    return LineageStoreError(path, f"cannot store a value: {error}")
