"""Durable replacement of a file by another one with the same owner and mode. Blocking.

Kept separate from `_staging`, which decides the file's content, because this module concerns only names and
permissions.
"""

import contextlib
import logging
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

logger = logging.getLogger("factflow_engine.adapters")


@contextlib.contextmanager
def create_like(target: Path, temporary: Path) -> Iterator[BinaryIO]:
    """Make a file that replaces the target when the context ends: synced, with the target's owner and mode.

    Until then only users who may read the target can read it. Other names of the target (hard links) keep the old file,
    which is logged.

    Raises:
        OSError: The file cannot be made or written; part of it may remain.
    """
    try:
        old = target.stat()
    except FileNotFoundError:
        old = None
    temporary.unlink(missing_ok=True)  # left by a process that died
    mode = 0o666 if old is None else 0o600
    with os.fdopen(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, mode), "wb") as file:
        yield file
        file.flush()
        if old is not None:
            _take_owner(file.fileno(), old, target)
            os.fchmod(file.fileno(), stat.S_IMODE(old.st_mode))
        os.fsync(file.fileno())
    if old is not None and old.st_nlink > 1:
        others = old.st_nlink - 1
        logger.warning(
            "%s has %d other %s, which %s the old file; use a symbolic link where both names must lead to the new one",
            target,
            others,
            "name (hard link)" if others == 1 else "names (hard links)",
            "keeps" if others == 1 else "keep",
        )


def _take_owner(number: int, old: os.stat_result, target: Path) -> None:
    """Give the file the owner and group of the file that it replaces, as far as this process may."""
    new = os.fstat(number)
    if (new.st_uid, new.st_gid) == (old.st_uid, old.st_gid):
        return
    try:
        os.fchown(number, old.st_uid, old.st_gid)
    except PermissionError:
        with contextlib.suppress(PermissionError):  # members of a group may give files to it
            os.fchown(number, -1, old.st_gid)
        new = os.fstat(number)
        logger.warning(
            "%s belonged to user %d and group %d; the file that replaces it belongs to user %d and group %d, because "
            "this process may not give files away",
            target,
            old.st_uid,
            old.st_gid,
            new.st_uid,
            new.st_gid,
        )
