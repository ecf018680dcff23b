"""Folder of the segments: their names, sizes and ages, and the removal of old ones.

Kept separate from writing because readers list the same folder, and because nothing here opens a file.
"""

import os
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from factflow_engine.lineage.retention import Retention
from factflow_engine.lineage.sqlite.errors import LineageStoreError, store_error

_NAME: Final = re.compile(r"lineage-[0-9a-f]{12}-[0-9a-f]{8}\.db", re.ASCII)
_UNFINISHED_NAME: Final = re.compile(rf"{_NAME.pattern}\.new(-wal|-shm|-journal)?", re.ASCII)
_BESIDE: Final = ("-wal", "-shm", "-journal")
"""Ends of the names of the files that SQLite keeps beside a segment."""

UNFINISHED: Final = ".new"
"""End of the name of a segment that is being made."""

_DEAD_NS: Final = 3_600_000_000_000
"""Age from which on such a file is one whose maker died."""


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class SegmentFile:
    """A segment as the folder shows it.

    Attributes:
        name: Its file name; a later segment's is greater.
        path: The file.
        size_bytes: Its size, with the files beside it.
        written_ns: Wall time of the last write.
    """

    name: str
    path: Path
    size_bytes: int
    written_ns: int


def new_name(wall_ns: int, token: bytes) -> str:
    """Return the name of a segment that begins now; `token` is four random bytes, for other processes begin some, too."""
    return f"lineage-{max(0, wall_ns // 1_000_000):012x}-{token.hex()}.db"


def segments(folder: Path) -> Sequence[SegmentFile]:
    """Return the segments, oldest first; none if there is no folder.

    Raises:
        LineageStoreError: The path is no folder and no segment, or cannot be read.
    """
    found = (_looked_at(path) for path in segment_paths(folder).values())
    return tuple(each for each in found if each is not None)


def segment_paths(folder: Path) -> dict[str, Path]:
    """Return the paths of the segments by name, oldest first. A segment's own path is accepted in the folder's place.

    Raises:
        LineageStoreError: The path is no folder and no segment, or cannot be read.
    """
    try:
        names = os.listdir(folder)  # noqa: PTH208 - names are all that is needed
    except FileNotFoundError:
        return {}
    except NotADirectoryError:
        if not _NAME.fullmatch(folder.name):
            raise LineageStoreError(folder, "is a file; expected a folder of segments, or one segment of it") from None
        return {folder.name: folder}
    except OSError as error:
        raise store_error(folder, error) from error
    return {name: folder / name for name in sorted(names) if _NAME.fullmatch(name)}


def _looked_at(path: Path) -> SegmentFile | None:
    """Return the segment; None if it is gone."""
    try:
        main = path.stat()
    except OSError:
        return None
    size, written = main.st_size, main.st_mtime_ns
    for end in _BESIDE:
        with suppress(OSError):
            beside = Path(f"{path}{end}").stat()
            size += beside.st_size
            if end == "-wal" and beside.st_size:
                written = max(written, beside.st_mtime_ns)
    return SegmentFile(name=path.name, path=path, size_bytes=size, written_ns=written)


def expired(found: Sequence[SegmentFile], retention: Retention, *, wall_ns: int) -> Sequence[SegmentFile]:
    """Return the segments that a retention does not keep, oldest first; the newest stays in any case."""
    days, most = retention.days, retention.total_bytes
    old = [each for each in found[:-1] if days is not None and each.written_ns + days * 86_400e9 < wall_ns]
    if most is not None:
        total = sum(each.size_bytes for each in found) - sum(each.size_bytes for each in old)
        for each in found[:-1]:
            if total <= most:
                break
            if each not in old:
                old.append(each)
                total -= each.size_bytes
    return sorted(old)


def remove(segment: SegmentFile) -> None:
    """Remove a segment. Who has it open reads on undisturbed.

    The file itself goes first: what lies beside it means nothing without it, and is swept by `sweep` if the process dies
    in between.

    Raises:
        OSError: It cannot be removed.
    """
    segment.path.unlink(missing_ok=True)
    for end in _BESIDE:
        Path(f"{segment.path}{end}").unlink(missing_ok=True)


def sweep(folder: Path, *, wall_ns: int) -> None:
    """Remove what lies beside segments that are gone, and segments whose maker died.

    Raises:
        OSError: The folder cannot be read, or a file not removed.
    """
    names = set(os.listdir(folder))  # noqa: PTH208 - names are all that is needed
    for name in names:
        path = folder / name
        for end in _BESIDE:
            main = name.removesuffix(end)
            # SQLite makes the file before those beside it; looked for again because it may have been made meanwhile.
            if main != name and main not in names and _NAME.fullmatch(main) and not (folder / main).exists():
                path.unlink(missing_ok=True)
        if _UNFINISHED_NAME.fullmatch(name) and _age(path, wall_ns) > _DEAD_NS:
            path.unlink(missing_ok=True)


def _age(path: Path, wall_ns: int) -> int:
    try:
        return wall_ns - path.stat().st_mtime_ns
    except OSError:
        return 0
