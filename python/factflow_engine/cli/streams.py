"""Standard streams that cannot fail a run: closed, full or missing ones act as /dev/null.

Kept separate from `guard` because only this module replaces streams. Standard error carries progress, logs and errors,
which must not decide how a run ends, so no write to it fails. Standard output carries results: a missing one acts as
/dev/null, but a write still fails if the device is full or the reader has gone. A result for programs, such as a JSON
document, can have standard output for itself: `reserve_results`.
"""

import errno
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Final, TextIO

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


_RESERVED: Final[ContextVar[TextIO | None]] = ContextVar("reserved standard output", default=None)
"""Stream of the results while nothing else may be written to standard output."""


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


def results() -> TextIO:
    """Return the stream that a command writes its result to: standard output, whatever else was redirected."""
    return _RESERVED.get() or sys.stdout


def reserve_results(*, owns_process: bool) -> None:
    """Keep standard output for the result; whatever else is written to it goes to standard error.

    Adapter modules print, and so do libraries in C, child processes and exit handlers. Nothing of that may come between
    the parts of a document, or before or behind it.

    Args:
        owns_process: True to redirect the process's descriptor, for good, so that this holds for all of them; False to
        replace `sys.stdout` alone, until the command ends.
    """
    if _RESERVED.get() is not None:
        return
    sys.stdout.flush()
    if owns_process:
        kept = io.FileIO(os.dup(1), "w")  # not inherited: no child can write to it
        os.dup2(2, 1)
        _RESERVED.set(_text(kept, sys.stdout, line_buffering=False))
    else:
        _RESERVED.set(sys.stdout)
    sys.stdout = sys.stderr


@contextmanager
def restored_streams(*, owns_process: bool) -> Iterator[None]:
    """Undo a reservation at the end of this block, unless it is for good."""
    before = sys.stdout
    token = _RESERVED.set(None)
    try:
        yield
    finally:
        if not owns_process:
            _RESERVED.reset(token)
            sys.stdout = before


def _text(raw: io.RawIOBase, like: TextIO | None, *, line_buffering: bool = True) -> io.TextIOWrapper:
    encoding = getattr(like, "encoding", None) or "utf-8"
    return io.TextIOWrapper(
        io.BufferedWriter(raw), encoding=encoding, errors="backslashreplace", line_buffering=line_buffering
    )
