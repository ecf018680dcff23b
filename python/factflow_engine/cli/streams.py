"""Standard streams that cannot fail a run: closed, full or missing ones act as /dev/null.

Kept separate from `guard` because only this module replaces streams. Standard error carries progress, logs and errors,
which must not decide how a run ends, so no write to it fails. Standard output carries results: a missing one acts as
/dev/null, but a write still fails if the device is full or the reader has gone.
"""

import errno
import io
import os
import sys
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


class _Forgiving(io.RawIOBase):
    """A raw stream that drops the bytes that its descriptor cannot take."""

    def __init__(self, number: int) -> None:
        self._number = number

    def fileno(self) -> int:
        return self._number

    def isatty(self) -> bool:
        return os.isatty(self._number)

    def writable(self) -> bool:
        return True

    def write(self, data: "ReadableBuffer", /) -> int:
        try:
            return os.write(self._number, data)
        except OSError:  # there is no other place to say so
            return memoryview(data).nbytes


def settle_streams() -> None:
    """Replace closed standard streams by /dev/null, and make writes to standard error never fail.

    The next file opened would otherwise get the closed descriptor, and whatever is printed would be written into it.
    `sys.__stdin__` and the like stay None where the stream was closed: `read_stdin` and `write_stdout` refuse to start then.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError as error:
            if error.errno != errno.EBADF:
                raise
            opened = os.open(os.devnull, os.O_RDWR)
            if opened != number:  # a lower one is closed as well, and was passed over
                os.dup2(opened, number)
                os.close(opened)
    if sys.stdout is None:
        sys.stdout = _text(io.FileIO(1, "w", closefd=False), sys.stderr)
    if sys.stderr is None or sys.stderr is sys.__stderr__:
        sys.stderr = _text(_Forgiving(2), sys.stderr)


def _text(raw: io.RawIOBase, like: TextIO | None) -> io.TextIOWrapper:
    encoding = getattr(like, "encoding", None) or "utf-8"
    return io.TextIOWrapper(io.BufferedWriter(raw), encoding=encoding, errors="backslashreplace", line_buffering=True)
