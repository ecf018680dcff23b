"""Standard streams of the command's own process that cannot fail a run: closed, full or missing ones are as /dev/null.

Kept separate from `guard` because here is the one place that replaces streams. Standard error carries progress, logs and
errors, which must not decide how a run ends, so no write to it fails. Standard output carries results: a missing one is as
/dev/null, and a write to one that is full or whose reader has gone still fails.
"""

import errno
import io
import os
import sys
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


class _Forgiving(io.RawIOBase):
    """A descriptor that drops the bytes that it cannot write."""

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
    """Open /dev/null in the place of standard streams that are closed, and let writes to standard error never fail.

    A closed descriptor would be given to the next file that is opened, and whatever is printed would be written into it.
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
