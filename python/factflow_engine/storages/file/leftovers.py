"""Leftovers of killed writers and of other programs in the store's folder, and their removal.

Kept separate from reading and writing because it is the only part that looks at files that are no objects.
"""

import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from factflow_engine.storages.examination import Leftover, ProblemKind
from factflow_engine.storages.file import sidecar
from factflow_engine.storages.file.disk import Disk
from factflow_engine.storages.file.folders import opened_folder
from factflow_engine.storages.file.writing import LOCK_FILE, TEMPORARY, KeyLock, Upload, present
from factflow_engine.storages.keys import SIDECAR_ENDING, key_problem

_REGULAR: Final = stat.S_IFREG
_FOLDER: Final = stat.S_IFDIR


def found_among(
    disk: Disk, root: Path, parts: tuple[str, ...], names: Sequence[str], *, prefix: str, now_ns: int
) -> tuple[list[Leftover], list[str]]:
    """Return the leftovers among some names of a folder, and the folders, where keys with a prefix lie.

    A sidecar belongs to the key of its object. A temporary file and what is foreign belong to their own place: they may
    be for any key of the folder, so they are left out unless the prefix ends before them.

    Raises:
        OSError: The folder cannot be read.
    """
    found: list[Leftover] = []
    folders: list[str] = []
    with suppress(FileNotFoundError, NotADirectoryError), opened_folder(disk, root, parts) as folder:
        for name in names:
            place = "/".join((*parts, name))
            try:
                status = os.stat(name, dir_fd=folder, follow_symlinks=False)
            except FileNotFoundError:
                continue  # removed meanwhile
            kind = stat.S_IFMT(status.st_mode)
            if kind == _FOLDER and not key_problem(name):
                if f"{place}/".startswith(prefix):
                    folders.append(name)
                continue
            is_sidecar = kind == _REGULAR and is_sidecar_name(name)
            if not (place.removesuffix(SIDECAR_ENDING) if is_sidecar else place).startswith(prefix):
                continue
            age = (now_ns - status.st_mtime_ns) / 1e9
            if is_sidecar:
                found.extend(_of_sidecar(disk, folder, place, name, age))
            elif kind == _REGULAR and name.startswith(TEMPORARY):
                found.append(_leftover(ProblemKind.TORN, place, "temporary file of a write that did not end", age))
            elif kind != _REGULAR or (name != LOCK_FILE and key_problem(name)):  # others are objects: see their readers
                text = f"{_NAMES.get(kind, 'special file')} that the store does not use; move it away"
                found.append(
                    Leftover(kind=ProblemKind.FOREIGN, place=place, text=text, age_seconds=None, is_repairable=False)
                )
    return found, folders


def is_sidecar_name(name: str) -> bool:
    """True if a file of this name is the sidecar of an object, which may be gone."""
    return name.endswith(SIDECAR_ENDING) and not key_problem(name.removesuffix(SIDECAR_ENDING))


_NAMES: Final = {stat.S_IFLNK: "symbolic link", _REGULAR: "file", _FOLDER: "folder"}


def _of_sidecar(disk: Disk, folder: int, place: str, name: str, age: float) -> Iterator[Leftover]:
    kind = _kind_of(folder, name.removesuffix(SIDECAR_ENDING))
    if kind != _REGULAR:
        yield _leftover(ProblemKind.ORPHANED, place, "sidecar without an object", age, is_repairable=kind is None)
        return
    with suppress(FileNotFoundError, ValueError):  # damaged: see the object
        if len(sidecar.read(disk, folder, name) or ()) > 1:
            yield _leftover(ProblemKind.TORN, place, "sidecar that still describes the object that was replaced", age)


def _leftover(kind: ProblemKind, place: str, text: str, age: float, *, is_repairable: bool = True) -> Leftover:
    return Leftover(kind=kind, place=place, text=text, age_seconds=age, is_repairable=is_repairable)


def remove(disk: Disk, root: Path, place: str, token: str) -> bool:
    """Put a leftover in order; return False if it is by now. See `Upload` for the token.

    Raises:
        BusyError: A writer is at work on its object.
        OSError: It cannot be changed.
    """
    *parts, name = place.split("/")
    try:
        with opened_folder(disk, root, parts) as folder:
            if name.startswith(TEMPORARY):
                os.stat(name, dir_fd=folder, follow_symlinks=False)
                disk.unlink(folder, name)
                return True
            return _settle(disk, root, folder, parts, name, token)
    except FileNotFoundError:
        return False


def _settle(disk: Disk, root: Path, folder: int, parts: list[str], name: str, token: str) -> bool:
    """Remove a sidecar without an object, or make one of two descriptions describe the object alone."""
    of = name.removesuffix(SIDECAR_ENDING)
    key = "/".join((*parts, of))
    with KeyLock(disk, root, key):
        if _kind_of(folder, of) is None:
            os.stat(name, dir_fd=folder, follow_symlinks=False)
            disk.unlink(folder, name)
            disk.sync_folder(folder)
            return True
        versions = sidecar.read(disk, folder, name) or []
        metadata = present(disk, folder, of)
        if len(versions) < 2 or metadata is None:
            return False
        upload = Upload(disk, root, key, content_type=metadata.content_type, custom=metadata.custom, token=token)
        upload.replace_sidecar(metadata)
        return True


def _kind_of(folder: int, name: str) -> int | None:
    """Return the kind of file that has a name, as `stat.S_IFMT` gives it; None if there is none."""
    try:
        return stat.S_IFMT(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode)
    except FileNotFoundError:
        return None
