"""Folders of keys, opened part by part below the store's own: no link is followed, so none leads out of it.

Kept separate from reading and writing because both begin here.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from factflow_engine.storages.file.disk import Disk


@contextmanager
def opened_folder(disk: Disk, root: Path, parts: Sequence[str]) -> Iterator[int]:
    """Open a folder below the root that is there.

    Raises:
        OSError: It is not there, or a part of it is no folder.
    """
    folder = disk.open_root(str(root))
    try:
        for part in parts:
            inner = disk.open_folder(folder, part)
            os.close(folder)
            folder = inner
        yield folder
    finally:
        os.close(folder)


def make_root(disk: Disk, root: Path) -> None:
    """Make the store's own folder and those above it, durably, unless it is there.

    Raises:
        OSError: It cannot be made, or is a file.
    """
    missing: list[Path] = []
    path = root
    while not path.is_dir() and path != path.parent:
        missing.append(path)
        path = path.parent
    for each in reversed(missing):
        with suppress(FileExistsError):
            each.mkdir()
        try:
            parent = disk.open_root(str(each.parent))
        except PermissionError:
            continue  # it may be entered and not read: its names cannot be made durable from here
        try:
            disk.sync_folder(parent)
        finally:
            os.close(parent)


def made_folder(disk: Disk, root: Path, parts: Sequence[str]) -> int:
    """Open a folder below the root, making what is missing of it, durably. The caller closes it.

    Raises:
        OSError: A part of it cannot be made, or is no folder.
    """
    try:
        folder = disk.open_root(str(root))
    except FileNotFoundError:
        make_root(disk, root)
        folder = disk.open_root(str(root))
    try:
        for part in parts:
            try:
                inner = disk.open_folder(folder, part)
            except FileNotFoundError:
                disk.make_folder(folder, part)
                disk.sync_folder(folder)
                inner = disk.open_folder(folder, part)
            os.close(folder)
            folder = inner
    except BaseException:
        os.close(folder)
        raise
    return folder
