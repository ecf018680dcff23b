"""Leftovers of killed writers and of other programs in the store's folder, and their removal.

Kept separate from reading and writing because it is the only part that looks at files that are no objects.
"""

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from factflow_engine.storages.examination import Leftover, ProblemKind
from factflow_engine.storages.file import sidecar
from factflow_engine.storages.file.disk import Disk
from factflow_engine.storages.file.folders import opened_folder
from factflow_engine.storages.file.listing import entries_in
from factflow_engine.storages.file.writing import LOCK_FILE, TEMPORARY, KeyLock, Upload, present
from factflow_engine.storages.keys import SIDECAR_ENDING, key_problem

_REGULAR: Final = stat.S_IFREG
_FOLDER: Final = stat.S_IFDIR


def found_in(disk: Disk, root: Path, parts: tuple[str, ...], *, now_ns: int) -> tuple[list[Leftover], list[str]]:
    """Return the leftovers in a folder, and the names of the folders in it.

    Raises:
        OSError: The folder cannot be read.
    """
    entries = entries_in(disk, root, parts)
    kinds = {name: kind for name, kind, _ in entries}
    found: list[Leftover] = []
    folders: list[str] = []
    for name, kind, changed_ns in entries:
        place = "/".join((*parts, name))
        age = (now_ns - changed_ns) / 1e9
        if kind == _FOLDER and not key_problem(name):
            folders.append(name)
        elif kind == _REGULAR and name.startswith(TEMPORARY):
            found.append(_leftover(ProblemKind.TORN, place, "temporary file of a write that did not end", age))
        elif kind == _REGULAR and name.endswith(SIDECAR_ENDING) and not key_problem(name.removesuffix(SIDECAR_ENDING)):
            found.extend(_of_sidecar(disk, root, parts, name, kinds, age))
        elif kind == _REGULAR and (name == LOCK_FILE or not key_problem(name)):
            continue  # the lock, or an object: whoever reads that looks for its sidecar
        else:
            found.append(
                Leftover(
                    kind=ProblemKind.FOREIGN,
                    place=place,
                    text=f"{_NAMES.get(kind, 'special file')} that the store does not use; move it away",
                    age_seconds=None,
                    is_repairable=False,
                )
            )
    return found, folders


_NAMES: Final = {stat.S_IFLNK: "symbolic link", _REGULAR: "file", _FOLDER: "folder"}


def _of_sidecar(
    disk: Disk, root: Path, parts: tuple[str, ...], name: str, kinds: dict[str, int], age: float
) -> Iterator[Leftover]:
    place = "/".join((*parts, name))
    if kinds.get(name.removesuffix(SIDECAR_ENDING)) != _REGULAR:
        yield _leftover(ProblemKind.ORPHANED, place, "sidecar without an object", age)
        return
    with suppress(FileNotFoundError, ValueError), opened_folder(disk, root, parts) as folder:  # damaged: see the object
        if len(sidecar.read(disk, folder, name) or ()) > 1:
            yield _leftover(ProblemKind.TORN, place, "sidecar that still describes the object that was replaced", age)


def _leftover(kind: ProblemKind, place: str, text: str, age: float) -> Leftover:
    return Leftover(kind=kind, place=place, text=text, age_seconds=age, is_repairable=True)


def remove(disk: Disk, root: Path, place: str) -> bool:
    """Put a leftover in order; return False if it is by now.

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
            return _settle(disk, root, folder, parts, name)
    except FileNotFoundError:
        return False


def _settle(disk: Disk, root: Path, folder: int, parts: list[str], name: str) -> bool:
    """Remove a sidecar without an object, or make one of two descriptions describe the object alone."""
    of = name.removesuffix(SIDECAR_ENDING)
    key = "/".join((*parts, of))
    with KeyLock(disk, root, key):
        if not _is_there(folder, of):
            os.stat(name, dir_fd=folder, follow_symlinks=False)
            disk.unlink(folder, name)
            disk.sync_folder(folder)
            return True
        versions = sidecar.read(disk, folder, name) or []
        metadata = present(disk, folder, of)
        if len(versions) < 2 or metadata is None:
            return False
        upload = Upload(disk, root, key, content_type=metadata.content_type, custom=metadata.custom)
        upload.replace_sidecar(metadata)
        return True


def _is_there(folder: int, name: str) -> bool:
    try:
        os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True
