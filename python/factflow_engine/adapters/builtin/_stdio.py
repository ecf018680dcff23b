"""Standard input and output for trio: waits can be cancelled, and files are left to a thread.

The descriptors stay blocking, because a terminal shares that setting with the shell. A pipe, terminal or socket is
polled by the event loop, then read, or written no more than it takes without blocking.
"""

import fcntl
import os
import select
import stat
import sys
from typing import IO, Any, Final
from weakref import WeakValueDictionary

import trio

from factflow_engine.seams import TrioThreads
from factflow_protocols import FactflowError

READ_BYTES: Final = 65_536
WRITE_BYTES: Final = 4096
"""Room of a pipe that is writable (POSIX's PIPE_BUF on Linux)."""

_LOCKS: Final = trio.lowlevel.RunVar["WeakValueDictionary[tuple[int, ...], trio.Lock]"]("factflow output locks")


class StandardStreamError(FactflowError, OSError):
    """A standard stream of the process cannot be used."""


class Descriptor:
    """An open stream. `read` and `write` may be cancelled while they wait; they have then done nothing.

    Attributes:
        number: The file descriptor.
        identity: Identity of what it leads to, the same for every descriptor of it.
        is_file: True if it is a regular file.
    """

    def __init__(self, number: int, *, owned: bool = False) -> None:
        """Examine the descriptor; `owned` lets `close` close it."""
        found = os.fstat(number)
        mode = found.st_mode
        self.number = number
        self.identity = (found.st_dev, found.st_ino, found.st_rdev)
        self.is_file = stat.S_ISREG(mode)
        # Files and some devices, such as /dev/null, cannot be polled, and never block for long.
        self._can_wait = (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or stat.S_ISCHR(mode)) and _can_be_polled(number)
        self._threads = TrioThreads(limit=1)
        self._owned = owned

    def close(self) -> None:
        """Close the descriptor if this object owns it; no read or write may be running."""
        if self._owned:
            self._owned = False
            os.close(self.number)

    async def read(self) -> bytes:
        """Return the next bytes, 64 KiB at most; none at the end."""
        if not self._can_wait:
            return await self._threads.run(lambda: os.read(self.number, READ_BYTES))
        await trio.lowlevel.wait_readable(self.number)
        return os.read(self.number, READ_BYTES)

    async def write(self, data: memoryview) -> int:
        """Write as much as possible without blocking; return the number of bytes, at least one.

        A line of up to 4 KiB is written in one piece, so that lines of several processes are not mixed.
        """
        if not self._can_wait:
            return await self._threads.run(lambda: os.write(self.number, data))
        await trio.lowlevel.wait_writable(self.number)
        piece = bytes(data[:WRITE_BYTES])
        return os.write(self.number, piece[: piece.rfind(b"\n") + 1] or piece)

    async def is_within_line(self) -> bool:
        """True if this is a file whose last line has no end, because a writer was interrupted there."""
        return self.is_file and await self._threads.run(lambda: _is_within_line(self.number))

    async def sync(self) -> None:
        """Sync written data to the disk, if this is a file."""
        if self.is_file:
            await self._threads.run(lambda: os.fsync(self.number))


def line_lock(output: Descriptor) -> trio.Lock:
    """Return the lock that every stage of this event loop holds while it writes lines to this file, pipe or terminal.

    Whatever name each has it by: standard output and standard error are often the same.
    """
    try:
        locks = _LOCKS.get()
    except LookupError:
        locks = WeakValueDictionary()
        _LOCKS.set(locks)
    return locks.setdefault(output.identity, trio.Lock())


def standard_input() -> Descriptor:
    """Return the process's standard input.

    Raises:
        StandardStreamError: It is closed.
    """
    return _descriptor(sys.__stdin__, "standard input", "read_stdin", "< FILE")


def standard_output(adapter: str = "write_stdout") -> Descriptor:
    """Return the process's standard output, whatever `sys.stdout` is now; flush `sys.stdout` first.

    Raises:
        StandardStreamError: It is closed.
    """
    return _output(sys.__stdout__, "standard output", adapter, "> FILE")


def standard_error(adapter: str) -> Descriptor:
    """Return the process's standard error, in the same way.

    Raises:
        StandardStreamError: It is closed.
    """
    return _output(sys.__stderr__, "standard error", adapter, "2> FILE")


def _output(stream: IO[Any] | None, name: str, adapter: str, redirection: str) -> Descriptor:
    found = _descriptor(stream, name, adapter, redirection)
    if stream is not None:
        stream.flush()
    return found


def _descriptor(stream: IO[Any] | None, name: str, adapter: str, redirection: str) -> Descriptor:
    try:
        if stream is None:  # closed when the interpreter started: its number may belong to another file now
            raise ValueError("it was closed when the program started")
        return Descriptor(stream.fileno())
    except (OSError, ValueError) as error:
        raise StandardStreamError(
            f"{adapter} needs {name}, which cannot be used: {error}; start the program with it open, as in `{redirection}`"
        ) from error


def _is_within_line(number: int) -> bool:
    try:
        is_appended = fcntl.fcntl(number, fcntl.F_GETFL) & os.O_APPEND
        place = os.fstat(number).st_size if is_appended else os.lseek(number, 0, os.SEEK_CUR)
        if not place:
            return False
        again = os.open(f"/dev/fd/{number}", os.O_RDONLY)  # a file opened for writing is seldom open for reading, too
    except OSError:  # unreadable, or removed
        return False
    try:
        return os.pread(again, 1, place - 1) not in {b"", b"\n"}
    finally:
        os.close(again)


def _can_be_polled(number: int) -> bool:
    if not hasattr(select, "epoll"):
        return os.name == "posix"
    poller = select.epoll()
    try:
        poller.register(number)
    except PermissionError:
        return False
    finally:
        poller.close()
    return True
