"""`ProcessLineage`: a store in a process of its own, fed with packed rows over a socket.

Kept separate from the stores because any of them may run so. A store in a thread competes with the event loop for the
interpreter's lock: each row's turn may cost the loop as long as the switch interval. Here the loop packs natively and
sends bytes, and nothing else of the store's work is done in this process.

The process ends when its socket closes, so with this one, whatever ends that. One that dies is replaced at the next
write; its last batch, of which nobody knows, is written again by the recorder, and rows replace themselves.
"""

import os
import signal
import socket
import struct
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final

import trio

from factflow_engine.frames import pack
from factflow_engine.lineage.recorder import PART_ROWS
from factflow_engine.lineage.retention import Retention
from factflow_engine.seams import Processes, TrioProcesses
from factflow_protocols import LineageEntry, LineageError, OutcomeEntry

LENGTH: Final = struct.Struct(">Q")
"""Length before each request and each answer."""

PIECE_BYTES: Final = 16 << 10
"""Bytes that are sent before other tasks get their turn: some ten microseconds in the system's hands."""

MOST_ANSWER: Final = 1 << 20
"""Longest answer that is read: a text on what went wrong."""

CLOSE_SECONDS: Final = 5.0
"""Time for the process to store what it was sent, close its store and exit."""

_HEAD: Final = struct.Struct(">BI")
_LIST: Final = 0xDD
_BYTES: Final = 0xC6
"""Head of msgpack's `array 32` and `bin 32`, and what tells them apart."""

_BOOT: Final = (
    "import sys; fd, parent, *sys.path[:] = sys.argv[1:]; sys.argv[1:] = []; "
    "from factflow_engine.lineage.process_main import main; main(int(fd), int(parent))"
)


class ProcessLineage:
    """Sink in a process of its own. See `factflow_protocols.LineageSink` for the contract of its methods.

    The process starts with the first write, which takes some tenths of a second in which nobody waits but the writer.

    Args:
        url: URL of the store, such as `sqlite:///lineage`; it goes over the socket, not through the list of processes.
        directory: Folder that a relative path in the URL starts from; the working directory by default.
        processes: Starter of the process; the machine's by default.

    Example:
        sink = ProcessLineage("sqlite:///lineage")
        async with OrchestratorManager(registry=registry, lineage=sink) as manager: ...
        await sink.close()
    """

    def __init__(self, url: str, *, directory: Path | None = None, processes: Processes | None = None) -> None:
        self._url = url
        self._directory = str(directory or Path.cwd())
        self._retention: Retention | None = None  # None: nobody has said how much to keep
        self._told: Retention | None = None  # what the process knows of it
        self._processes: Processes = processes or TrioProcesses()
        self._turn = trio.Lock()  # one request at a time
        self._process: trio.Process | None = None
        self._stream: trio.SocketStream | None = None

    def retain(self, *, days: float | None, total_bytes: int | None) -> None:
        """See `RetainingLineage`; the process learns of it with the next write."""
        self._retention = Retention(days=days, total_bytes=total_bytes).widened(self._retention)

    async def write(self, entries: Sequence[LineageEntry], outcomes: Sequence[OutcomeEntry]) -> None:
        """See `LineageSink.write`."""
        rows = [list(row) for row in entries]
        ends = [list(row) for row in outcomes]
        starts = range(0, max(len(rows), len(ends)), PART_ROWS)
        await self.write_packed(
            [pack([rows[start : start + PART_ROWS], ends[start : start + PART_ROWS]]) for start in starts]
        )

    async def start(self) -> None:
        """Start the process, unless it runs.

        Raises:
            LineageError: It cannot be started, or cannot open the store.

        Cancellation: the process is killed.
        """
        async with self._asking():
            pass

    async def write_packed(self, parts: Sequence[bytes]) -> None:
        """Store all rows, or none of them.

        Raises:
            LineageError: Nothing was stored; or the process died, and nobody knows.

        Cancellation: the process is killed; the rows are stored or not.
        """
        async with self._asking():
            await self._ask(_listed(parts))

    async def close(self) -> None:
        """Let the process store what it has, close its store and exit; a later write starts another one.

        Cancellation: the process is killed.
        """
        async with self._turn:
            process, stream = self._process, self._stream
            if process is None or stream is None:
                return
            try:
                with trio.move_on_after(CLOSE_SECONDS), suppress(trio.BrokenResourceError):
                    await stream.send_eof()
                    await process.wait()
            finally:
                await self._kill()

    @asynccontextmanager
    async def _asking(self) -> AsyncIterator[None]:
        """Hold the turn; have a process that knows what to keep. A request that is broken off leaves none."""
        async with self._turn:
            try:
                if self._stream is None:
                    await self._open()
                if self._told != self._retention:
                    await self._tell()
                yield
            except trio.BrokenResourceError:
                raise LineageError(f"the writer process {await self._kill()}") from None
            except LineageError:
                raise
            except BaseException:
                await self._kill()
                raise

    async def _tell(self) -> None:
        retention = self._retention
        if retention is not None:
            await self._ask([pack({"days": retention.days, "total_bytes": retention.total_bytes})])
        self._told = retention

    async def _open(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                self._process = await self._processes.start(
                    _BOOT,
                    [str(theirs.fileno()), str(os.getpid()), *(entry or str(Path.cwd()) for entry in sys.path)],
                    fd=theirs.fileno(),
                )
            except OSError as error:
                ours.close()
                raise LineageError(f"the writer process could not be started: {error}") from error
            except BaseException:
                ours.close()
                raise
        self._told = None
        self._stream = trio.SocketStream(trio.socket.from_stdlib_socket(ours))
        try:
            await self._ask([pack({"url": self._url, "directory": self._directory})])
        except LineageError:
            await self._kill()
            raise

    async def _ask(self, request: Sequence[bytes]) -> None:
        """Send a request, given in pieces, and wait for its answer.

        Raises:
            LineageError: The process says what went wrong.
            BrokenResourceError: It has ended.
        """
        stream = self._stream
        assert stream is not None, "opened before"
        await stream.send_all(LENGTH.pack(sum(map(len, request))))
        for piece in _pieces(request):
            await stream.send_all(piece)
        (size,) = LENGTH.unpack(await self._receive(stream, LENGTH.size))
        if size > MOST_ANSWER:
            raise trio.BrokenResourceError
        answer = await self._receive(stream, size)
        if answer:
            raise LineageError(answer.decode(errors="replace"))

    async def _receive(self, stream: trio.SocketStream, size: int) -> bytes:
        got = bytearray()
        while len(got) < size:
            part = await stream.receive_some(size - len(got))
            if not part:
                raise trio.BrokenResourceError
            got += part
        return bytes(got)

    async def _kill(self) -> str:
        """End the process and return how it has ended, as the end of a sentence."""
        process, stream, self._process, self._stream = self._process, self._stream, None, None
        if process is None or stream is None:
            return "was not started"
        with trio.CancelScope(shield=True):
            await stream.aclose()
            with trio.move_on_after(0.1):
                await process.wait()  # it may have ended by itself: its own status says more
            if process.returncode is None:
                with suppress(ProcessLookupError, PermissionError):
                    os.killpg(process.pid, signal.SIGKILL)
                await process.wait()
        status = process.returncode or 0
        return f"was killed by signal {-status}" if status < 0 else f"exited with status {status}"


def _listed(parts: Sequence[bytes]) -> list[bytes]:
    """Return the msgpack list of the parts without a copy of them all: its head, and before each part that of its bytes."""
    listed = [_HEAD.pack(_LIST, len(parts))]
    for part in parts:
        listed += (_HEAD.pack(_BYTES, len(part)), part)
    return listed


def _pieces(request: Sequence[bytes]) -> Iterator[bytes]:
    """Give the request in pieces of about `PIECE_BYTES`."""
    waiting: list[bytes] = []
    size = 0
    for part in request:
        waiting.append(part)
        size += len(part)
        if size >= PIECE_BYTES:
            yield b"".join(waiting)
            waiting, size = [], 0
    if waiting:
        yield b"".join(waiting)
