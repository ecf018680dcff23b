"""Durability of the names in a folder: a new file survives a power cut once its folder is synced, too.

Kept separate because files that are replaced, homes and object stores all need it. Everything here blocks.
"""

import errno
import os
from pathlib import Path
from typing import Final

_CANNOT: Final = frozenset({errno.EINVAL, errno.ENOTSUP})
"""Errors of file systems that have nothing to sync a folder with."""


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable, where the system can, and this process may look into the folder.

    Raises:
        OSError: The disk failed.
    """
    if os.name != "posix":
        return
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except PermissionError:
        return  # files may be made in it, and their names not be read
    try:
        sync_names(descriptor)
    finally:
        os.close(descriptor)


def sync_names(folder: int) -> None:
    """Make the names in an open folder durable, where its file system can.

    Raises:
        OSError: The disk failed.
    """
    try:
        os.fsync(folder)
    except OSError as error:
        if error.errno not in _CANNOT:
            raise
