"""`write_jsonl`: messages into a file of JSON lines that is either the old one or the whole new one.

Lines go to a temporary file beside the target, which takes the target's name when the execution is about to complete.
A line enters the buffer after the last await of `process`, so that a message which is cancelled or timed out there
has left no line behind.
"""

import hashlib
import os
import shutil
from pathlib import Path
from typing import Any, BinaryIO, ClassVar, Final, Literal

import trio
from pydantic import Field

from factflow_engine.adapters.builtin._config import BuiltinConfig
from factflow_engine.adapters.builtin._json import json_text
from factflow_engine.seams import TrioThreads
from factflow_protocols import AdapterResult, PipelineContext, StageInfo, StatefulAdapter

BUFFER_BYTES: Final = 262_144


class WriteJsonlConfig(BuiltinConfig):
    """Where the lines go."""

    path: str = Field(min_length=1)
    """The file, relative to the pipeline's folder. Folders on the way are made."""
    existing: Literal["replace", "append"] = "replace"
    """What becomes of a file that is there: `replace` puts the new one in its place, `append` begins with its lines
    (it is copied first)."""


class WriteJsonl(StatefulAdapter):
    """Writes each message as a line of JSON and passes it on.

    The file appears, whole, when the execution completes; a cancelled, failed or crashed one leaves what was there
    before. A crash may leave a temporary file, `.<name>.<16 hex digits>.tmp`, beside it. Lines are in the order in
    which messages reach the stage. A message that is tried again because a *later* stage failed is written again: let
    this stage be the last one that can fail. Two stages that write one file replace each other's.
    """

    config_model: ClassVar[type[Any] | None] = WriteJsonlConfig
    summary: ClassVar[str] = "Write each message as a line of JSON; the file appears whole or not at all."

    def __init__(self, config: WriteJsonlConfig) -> None:
        self._config = config
        self._threads = TrioThreads(limit=1)
        self._lock = trio.Lock()
        self._target = Path(config.path)
        self._temporary = Path(config.path)
        self._file: BinaryIO | None = None
        # Lines not yet handed to the file; at most BUFFER_BYTES and one line for each message in flight.
        self._buffer = bytearray()
        # Why the temporary file lacks lines that were accepted; it can then never become the target.
        self._broken: OSError | None = None

    async def open(self, stage: StageInfo) -> None:
        """Make the folders and the temporary file.

        Raises:
            OSError: That is not possible, or the target is a folder.
        """
        target = await self._threads.run((stage.directory / self._config.path).resolve)  # a link keeps being one
        identity = f"{stage.execution_id}/{stage.route}/{stage.stage}".encode()
        suffix = hashlib.blake2b(identity, digest_size=8).hexdigest()
        self._target = target
        self._temporary = target.with_name(f".{target.name}.{suffix}.tmp")
        keep = self._config.existing == "append"
        self._file = await self._threads.run(lambda: _begin(target, self._temporary, keep=keep))

    async def process(self, context: PipelineContext) -> AdapterResult:
        """Add the message's line.

        Raises:
            Reject: The message cannot be written as JSON.
            OSError: The disk refused earlier lines; the file is lost.

        Cancellation: may be raised while waiting for the disk; the line was then not added.
        """
        line = json_text(context.message).encode() + b"\n"
        while self._file is None or len(self._buffer) >= BUFFER_BYTES or self._broken is not None:
            await self._write_out()
        self._buffer += line
        return AdapterResult.forward()

    async def finish(self) -> None:
        """Put the file in place, durably. A later message begins again from the file as it is by then.

        Raises:
            OSError: The target is as it was.
        """
        await self._write_out()
        async with self._lock:
            file = self._file
            if file is not None:
                with trio.CancelScope(shield=True):  # either committed or not, never unknown
                    await self._threads.run(lambda: _commit(file, self._temporary, self._target))
                self._file = None

    async def close(self) -> None:
        """Discard what was not finished."""
        file, self._file = self._file, None
        self._buffer.clear()
        if file is not None:
            await self._threads.run(lambda: _discard(file, self._temporary))

    async def _write_out(self) -> None:
        """Hand the buffer to the file, opening it again if it was finished."""
        async with self._lock:
            if self._broken is not None:
                raise OSError(f"{self._target}: earlier lines could not be written: {self._broken}") from self._broken
            with trio.CancelScope(shield=True):  # the buffer holds lines of messages that have already ended
                try:
                    if self._file is None:
                        self._file = await self._threads.run(lambda: _begin(self._target, self._temporary, keep=True))
                    file, chunk = self._file, bytes(self._buffer)
                    self._buffer.clear()
                    await self._threads.run(lambda: file.write(chunk))
                except OSError as error:
                    self._broken = error
                    raise


def _begin(target: Path, temporary: Path, *, keep: bool) -> BinaryIO:
    if target.is_dir():
        raise IsADirectoryError(f"path {str(target)!r} is a folder; name a file in it")
    target.parent.mkdir(parents=True, exist_ok=True)
    file = temporary.open("wb")
    try:
        if keep and target.exists():
            with target.open("rb") as old:
                shutil.copyfileobj(old, file)
                _end_line(old, file)
    except BaseException:
        _discard(file, temporary)
        raise
    return file


def _end_line(old: BinaryIO, file: BinaryIO) -> None:
    """A last line without its end would swallow the first new one."""
    if old.tell() > 0:
        old.seek(-1, os.SEEK_END)
        if old.read(1) != b"\n":
            file.write(b"\n")


def _commit(file: BinaryIO, temporary: Path, target: Path) -> None:
    file.flush()
    os.fsync(file.fileno())
    file.close()
    temporary.replace(target)
    if os.name == "posix":  # the new name, too, must survive a power cut
        folder = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _discard(file: BinaryIO, temporary: Path) -> None:
    try:
        file.close()
    finally:
        temporary.unlink(missing_ok=True)
