"""The engine's end of one worker process: start it, send requests, kill it.

Kept separate from `process_pool`, which assigns messages to processes: this module handles a single process. It
processes one request at a time. A cancelled request leaves a process that still computes an unwanted answer, so the
process is killed.
"""

import os
import pickle
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final

import trio

from factflow_engine.runtime.stages.crossing import result_of
from factflow_engine.runtime.stages.worker_main import LENGTH, READY, Start
from factflow_engine.seams import Processes
from factflow_protocols import FactflowError

LOOK_SECONDS: Final = 1.0
"""Interval for noticing the end of a process whose socket is held open by a child of its own."""

RETIRE_SECONDS: Final = 1.0
"""Time for an idle process to exit by itself before it is killed."""

_POLL_SECONDS: Final = 0.005

_CHUNK: Final = 1 << 20

_BOOT: Final = (
    "import sys; fd, parent, *sys.path[:] = sys.argv[1:]; sys.argv[1:] = []; "
    "from factflow_engine.runtime.stages.worker_main import main; main(int(fd), int(parent))"
)


class WorkerDiedError(FactflowError):
    """Death of a worker process during a message. The message fails; others continue in another process.

    Attributes:
        exit_status: Argument of `sys.exit()`; None if it was killed, or closed the socket to the engine.
        signal: Number of the signal that killed it, if any.
    """

    def __init__(self, stage: str, doing: str, returncode: int | None) -> None:
        self.signal = -returncode if returncode is not None and returncode < 0 else None
        self.exit_status = returncode if returncode is not None and returncode >= 0 else None
        super().__init__(f"worker process of stage {stage} {_end_text(returncode)} while it {doing}")


class Worker:
    """One worker process.

    Attributes:
        handled: Number of messages that it was given.
    """

    def __init__(self, process: trio.Process, stream: trio.SocketStream, stage: str) -> None:
        self.handled = 0
        self._process: Final = process
        self._stream: Final = stream
        self._stage: Final = stage
        self._is_reaped = False

    @staticmethod
    async def start(processes: Processes, start: Start) -> "Worker":
        """Start a process, and let it make its adapter.

        Raises:
            WorkerDiedError: It died meanwhile.
            Exception: Importing or making the adapter raised in the process.

        Cancellation: the process has ended before the cancellation propagates.
        """
        stage = f"{start.info.route}/{start.info.stage}"
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                process = await processes.start(
                    _BOOT,
                    [str(theirs.fileno()), str(os.getpid()), *_import_path()],
                    fd=theirs.fileno(),
                )
            except BaseException:
                ours.close()
                raise
        worker = Worker(process, trio.SocketStream(trio.socket.from_stdlib_socket(ours)), stage)
        answer = await worker._exchange(pickle.dumps(start), "was starting")
        if answer != READY:
            await worker.retire()
            result_of(answer)
        return worker

    @property
    def is_alive(self) -> bool:
        """False if the process has ended. The check does not reap it: until `kill` its id is not reused."""
        if self._is_reaped:
            return False
        return os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None

    async def ask(self, request: bytes) -> bytes:
        """Send a request and return the answer.

        Raises:
            WorkerDiedError: The process ended before it answered.

        Cancellation: the process is killed, and has ended before the cancellation propagates.
        """
        self.handled += 1
        return await self._exchange(request, "handled a message")

    async def retire(self) -> None:
        """Let the process exit by itself; kill it if it does not. It must not be busy.

        Cancellation: none, for about a second at most.
        """
        with trio.CancelScope(shield=True):
            with trio.move_on_after(RETIRE_SECONDS), suppress(trio.BrokenResourceError):
                await self._stream.send_eof()
                while await self._stream.receive_some(_CHUNK):
                    pass
            await self.kill()

    async def kill(self) -> None:
        """Kill the process, and those that it has started; return when it has ended.

        Cancellation: none.
        """
        if self._is_reaped:
            return
        with suppress(PermissionError):  # only dead processes are left, on some systems
            os.killpg(self._process.pid, signal.SIGKILL)
        with trio.CancelScope(shield=True):
            await self._process.wait()
            self._is_reaped = True
            await self._stream.aclose()

    async def _exchange(self, request: bytes, doing: str) -> bytes:
        try:
            answer = await self._answer(request)
            if answer is not None:
                return answer
            # Its socket closes when its exit status is decided, and it ends a moment later: no signal changes that.
            with trio.move_on_after(LOOK_SECONDS):
                while self.is_alive:  # noqa: ASYNC110 - the system tells only whoever reaps it
                    await trio.sleep(_POLL_SECONDS)
        except BaseException:
            await self.kill()
            raise
        has_hung_up = self.is_alive
        await self.kill()
        raise WorkerDiedError(self._stage, doing, None if has_hung_up else self._process.returncode)

    async def _answer(self, request: bytes) -> bytes | None:
        """Return the answer; None if the process has ended, or closed its socket."""
        try:
            await self._stream.send_all(LENGTH.pack(len(request)) + request)
            head = await self._receive(LENGTH.size)
            return None if head is None else await self._receive(LENGTH.unpack(head)[0])
        except trio.BrokenResourceError:
            return None

    async def _receive(self, size: int) -> bytes | None:
        got = bytearray()
        while len(got) < size:
            part = None
            with trio.move_on_after(LOOK_SECONDS):
                part = await self._stream.receive_some(min(size - len(got), _CHUNK))
            if part == b"" or (part is None and not self.is_alive):
                return None
            got += part or b""
        return bytes(got)


def _import_path() -> list[str]:
    """Return the import path; for a program given by `-c`, "" is the working directory."""
    return [entry or str(Path.cwd()) for entry in sys.path]


def _end_text(returncode: int | None) -> str:
    if returncode is None:
        return "closed its socket to the engine, and was killed,"
    if returncode >= 0:
        return f"exited with status {returncode}"
    try:
        name = signal.Signals(-returncode).name
    except ValueError:
        name = f"signal {-returncode}"
    hint = ", as the system does when memory runs out," if name == "SIGKILL" else ""
    return f"was killed by {name}{hint}"
