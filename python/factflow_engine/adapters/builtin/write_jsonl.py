"""`write_jsonl`: messages as lines of a JSON file that is replaced as a whole.

Lines go to a staging file beside the target (see `_staging`), once for each message, and replace the target when the
execution is about to complete. A line enters the buffer after the last await of `process`, so that a message which is
cancelled or timed out there leaves no line behind. A device or a pipe cannot be replaced: lines are written to it.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, Final, Literal, Protocol

import trio
from pydantic import Field

from factflow_engine.adapters.builtin._config import BuiltinConfig
from factflow_engine.adapters.builtin._json import json_text
from factflow_engine.adapters.builtin._line_stream import LineStream
from factflow_engine.adapters.builtin._special_files import is_special, open_special
from factflow_engine.adapters.builtin._staging import Staging, StagingHeldError, open_staging, staging_path
from factflow_engine.adapters.builtin._write_buffer import WriteBuffer
from factflow_engine.seams import TrioThreads
from factflow_protocols import AdapterResult, PipelineContext, StageInfo, StatefulAdapter

BUFFER_BYTES: Final = 262_144
HELD_SECONDS: Final = 5.0
"""Longest wait for a process that is about to release the staging file, or for the reader of a pipe."""
RELEASE_SECONDS: Final = 2.0
"""Longest wait at the end for processes that have handed over and are about to close the staging file."""
_POLL_SECONDS: Final = 0.05


class WriteJsonlConfig(BuiltinConfig):
    """The file to write."""

    path: str = Field(min_length=1)
    """The file, relative to the pipeline's folder. Folders on the way are made."""
    existing: Literal["replace", "append"] = "replace"
    """Treatment of a file that is there: `replace` puts the new one in its place, with its mode and owner; `append` begins
    with what stood in it when the execution began. A device or pipe is written to either way."""


class _Target(Protocol):
    """The destination of the lines."""

    async def add(self, identity: bytes, line: bytes) -> None:
        """Add the line of a message, by its id."""
        ...

    async def flush(self) -> None:
        """Make the lines as durable as their messages."""
        ...

    async def finish(self) -> None:
        """Publish the lines that were added."""
        ...

    async def discard(self) -> None:
        """Remove what would let an execution resume."""
        ...

    async def close(self) -> None:
        """Release the target."""
        ...


class WriteJsonl(StatefulAdapter):
    """Adapter that writes each message as a line of JSON and passes it on.

    The file appears, whole, when the execution completes; until then the previous file stays. Each message has one
    line, however often it is delivered or retried: its first. Lines are in the order in which messages reach the stage.
    On a durable queue a message is acknowledged when its line is on disk, in `.<name>.<16 hex digits>.staging` beside
    the file: processes of one execution id share it, the next one resumes with it, and the one that completes the
    execution removes it. An execution that is resumed after that, with a requeued dead letter, adds to the file. With
    queues in memory a cancelled or failed execution leaves nothing, a crashed one leaves the staging file. Two stages
    that write one file overwrite each other's.

    If the path is a device, a named pipe or `/dev/stdout`, lines are written to it as messages arrive, as
    `write_stdout` does: a message that is delivered again is written again.
    """

    config_model: ClassVar[type[Any] | None] = WriteJsonlConfig
    summary: ClassVar[str] = "Write each message as a line of JSON; the file appears whole or not at all."
    durable_batches: ClassVar[bool] = True
    path_fields: ClassVar[tuple[str, ...]] = ("path",)
    keeps_state: ClassVar[bool | None] = True

    def __init__(self, config: WriteJsonlConfig) -> None:
        self._config = config
        self._target: _Target | None = None

    async def open(self, stage: StageInfo) -> None:
        """Make the folders and the staging file, or resume the existing one; or open the device or pipe.

        Raises:
            OSError: That is not possible, or the target is a folder, a disk or a socket.
        """
        path = stage.directory / self._config.path
        threads = TrioThreads(limit=1)
        if await threads.run(lambda: is_special(path)):
            self._target = await _open_stream(path)
        else:
            self._target = await _open_file(path, stage, threads, append=self._config.existing == "append")

    async def process(self, context: PipelineContext) -> AdapterResult:
        """Add the message's line.

        Raises:
            Reject: The message cannot be written as JSON.
            OSError: The disk refuses lines; they are kept until it takes them.

        Cancellation: may be raised while waiting for the disk; the line was then not added.
        """
        line = json_text(context.message).encode() + b"\n"
        await self._opened.add(bytes.fromhex(context.message_id), line)
        return AdapterResult.forward()

    async def flush(self) -> None:
        """Write every line that was added to the disk.

        Raises:
            OSError: The lines are not on the disk.
        """
        await self._opened.flush()

    async def finish(self) -> None:
        """Put the file in place, durably; a later call adds later messages.

        Raises:
            OSError: The target is unchanged.
        """
        await self._opened.finish()

    async def discard(self) -> None:
        """Remove the staging file, unless another process has it open.

        Raises:
            OSError: It cannot be removed.
        """
        if self._target is not None:
            await self._target.discard()

    async def close(self) -> None:
        """Discard unfinished lines; on a durable queue store them for the process that resumes the execution.

        Lines that cannot be stored stay in the buffer, so that a later `flush` refuses to acknowledge them.
        """
        if self._target is not None:
            await self._target.close()

    @property
    def _opened(self) -> _Target:
        if self._target is None:
            raise RuntimeError("write_jsonl is used before open()")
        return self._target


class _File:
    """Lines in a staging file, which replaces the target."""

    def __init__(self, staging: Staging, threads: TrioThreads, *, durable: bool) -> None:
        self._staging: Staging | None = staging
        self._threads = threads
        self._durable = durable
        self._lock = trio.Lock()
        self._buffer = WriteBuffer[bytes, bytes](  # lines that are not in the staging file
            self._stage,
            threads=threads,
            lock=self._lock,
            size_of=len,
            most_bytes=BUFFER_BYTES,
        )

    async def add(self, identity: bytes, line: bytes) -> None:
        while self._buffer.is_full:
            await self._buffer.write_out()
        self._buffer.add(identity, line)

    async def flush(self) -> None:
        await self._buffer.write_out()

    async def finish(self) -> None:
        await self._buffer.write_out()
        async with self._lock:
            with trio.CancelScope(shield=True):  # either published or not, never unknown
                await self._threads.run(self._opened.publish)

    async def discard(self) -> None:
        """Remove the staging file; processes that have handed over to this one are about to close it."""
        now = trio.current_time()
        deadline = now + min(RELEASE_SECONDS, (trio.current_effective_deadline() - now) / 2)  # the rest is for `close`
        async with self._lock:
            while not await self._threads.run(self._opened.remove):
                if trio.current_time() >= deadline:
                    return  # another process works on with it
                await trio.sleep(_POLL_SECONDS)

    async def close(self) -> None:
        try:
            if self._durable:
                await self._buffer.write_out()
        finally:
            staging, self._staging = self._staging, None
            if staging is not None:
                await self._threads.run(lambda: _end(staging, removes=not self._durable))

    def _stage(self, lines: dict[bytes, bytes]) -> None:
        self._opened.add(lines)

    @property
    def _opened(self) -> Staging:
        if self._staging is None:
            raise RuntimeError("write_jsonl is used after close()")
        return self._staging


def _end(staging: Staging, *, removes: bool) -> None:
    try:
        if removes:
            staging.remove()
    finally:
        staging.close()


class _Stream:
    """Lines written to a target that cannot be replaced."""

    def __init__(self, lines: LineStream, end: Callable[[], None]) -> None:
        self._lines = lines
        self._end = end

    async def add(self, identity: bytes, line: bytes) -> None:  # noqa: ARG002 - what was written cannot be looked up
        await self._lines.add(line)

    async def flush(self) -> None:
        await self._lines.written()
        await self._lines.sync()

    async def finish(self) -> None:
        await self._lines.written()

    async def discard(self) -> None:
        """Do nothing: a stream leaves nothing to resume."""

    async def close(self) -> None:
        try:
            await self._lines.close()
        finally:
            self._end()


async def _open_file(path: Path, stage: StageInfo, threads: TrioThreads, *, append: bool) -> _File:
    target = await threads.run(path.resolve)  # a link stays a link
    staged = staging_path(target, stage.execution_id, stage.route, stage.stage)

    def begin() -> Staging:
        target.parent.mkdir(parents=True, exist_ok=True)
        return open_staging(
            staged, target, append=append, resumed=stage.resumed, durable=stage.durable, kept=stage.kept
        )

    deadline = trio.current_time() + HELD_SECONDS
    while True:
        try:
            return _File(await threads.run(begin), threads, durable=stage.durable)
        except StagingHeldError:
            if trio.current_time() >= deadline:
                raise
            await trio.sleep(0.1)


async def _open_stream(path: Path) -> _Stream:
    output = await open_special(path, most_seconds=HELD_SECONDS)
    lines = LineStream(output, adapter="write_jsonl", name=str(path))
    await lines.start()
    return _Stream(lines, output.close)
