"""Paths that cannot be replaced by a file: devices, named pipes, and the standard streams under `/dev`.

Kept separate from `_stdio` because that module knows only descriptors, not paths.
"""

import errno
import os
import re
import stat
from pathlib import Path
from typing import Final

import trio

from factflow_engine.adapters.builtin._stdio import Descriptor, standard_error, standard_output

_DESCRIPTOR: Final = re.compile(r"/(?:dev|proc/self)/fd/([0-9]{1,9})")
_NAMES: Final = {"/dev/stdin": 0, "/dev/stdout": 1, "/dev/stderr": 2}
_FLAGS: Final = os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK


def is_special(path: Path) -> bool:
    """True if the path is to be written to as it is; False if it is a regular file or does not exist.

    Raises:
        OSError: It is a folder, a disk or a socket, or cannot be examined.
    """
    if _number_of(path) is not None:
        return True
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return False
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(f"path {str(path)!r} is a folder; name a file in it")
    if stat.S_ISBLK(mode) or stat.S_ISSOCK(mode):
        kind = "disk" if stat.S_ISBLK(mode) else "socket"
        raise OSError(f"path {str(path)!r} is a {kind}; name a file, a pipe or a character device")
    return not stat.S_ISREG(mode)


def names_standard_output(path: str) -> bool:
    """True if the path is a name of this process's standard output."""
    return _number_of(Path(path)) == 1


async def open_special(path: Path, *, most_seconds: float) -> Descriptor:
    """Open such a path for lines.

    Args:
        path: A path for which `is_special` is true.
        most_seconds: Longest wait for a reader of a pipe.

    Raises:
        OSError: It cannot be opened for writing, or is a pipe without a reader.
    """
    number = _number_of(path)
    if number == 1:
        return standard_output("write_jsonl")
    if number == 2:
        return standard_error("write_jsonl")
    if number is not None:
        return Descriptor(os.dup(number), owned=True)
    deadline = trio.current_time() + most_seconds
    while True:
        try:
            opened = os.open(path, _FLAGS)  # does not wait
        except OSError as error:
            if error.errno != errno.ENXIO or not _is_pipe(path):
                raise
            if trio.current_time() >= deadline:
                raise OSError(errno.ENXIO, "nobody reads the pipe; start its reader first", str(path)) from error
            await trio.sleep(0.1)
        else:
            os.set_blocking(opened, True)
            return Descriptor(opened, owned=True)


def _is_pipe(path: Path) -> bool:
    """True for a named pipe; a device that does not exist fails to open with the same error."""
    return path.is_fifo()


def _number_of(path: Path) -> int | None:
    """Return the descriptor of this process that the path names; None if it names none."""
    text = os.path.normpath(path)
    found = _DESCRIPTOR.fullmatch(text)
    return int(found[1]) if found else _NAMES.get(text)
