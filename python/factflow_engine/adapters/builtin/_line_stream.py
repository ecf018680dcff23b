"""Lines written to a stream (standard output, a device or a pipe), from which nothing can be taken back.

Lines go to a buffer, which a task of the stage's own writes as fast as the reader takes them. A closed reader ends the
execution, once, rather than failing each message that follows. Kept separate from the adapters because both
`write_stdout` and a `write_jsonl` whose path cannot be replaced need it.
"""

from contextlib import AsyncExitStack
from typing import Final

import trio

from factflow_engine.adapters.builtin._stdio import Descriptor, StandardStreamError, line_lock

BUFFER_BYTES: Final = 65_536


class LineStream:
    """Buffered lines of one stage, written by a task of its own. Made by `open_line_stream`, ended by `close`."""

    def __init__(self, output: Descriptor, *, adapter: str, name: str) -> None:
        """Prepare.

        Args:
            output: Descriptor to write to; `close` closes it if it is owned, see `Descriptor`.
            adapter: Type of the stage, for errors.
            name: Name of the stream, for errors.
        """
        self._output = output
        self._lock = line_lock(output)  # held while lines are written: several stages may share the stream
        self._adapter = adapter
        self._name = name
        self._stack = AsyncExitStack()
        # Not written yet; at most BUFFER_BYTES and one line for each message in flight.
        self._buffer = bytearray()
        self._broken: OSError | None = None  # the reason why nothing more can be written
        self._closed = False
        self._changed = trio.Event()  # set and replaced when the buffer gets its first line, is written, or fails

    async def start(self) -> None:
        """Start the task that writes."""
        async with AsyncExitStack() as stack:
            nursery = await stack.enter_async_context(trio.open_nursery())
            stack.callback(nursery.cancel_scope.cancel)
            nursery.start_soon(self._write)
            self._stack = stack.pop_all()

    async def add(self, line: bytes) -> None:
        """Add a line; wait first while more than 64 KiB are unwritten.

        Cancellation: may be raised while waiting for the reader; the line was then not added.
        """
        while len(self._buffer) >= BUFFER_BYTES or self._broken is not None:
            await self._changed.wait()  # for ever after an error: the execution ends, and the message is given back
        was_empty = not self._buffer
        self._buffer += line
        if was_empty:
            self._note_change()

    async def written(self) -> None:
        """Wait until every line that was added is written.

        Raises:
            StandardStreamError: Some lines cannot be written.
        """
        while self._buffer and self._broken is None:
            if self._closed:
                raise StandardStreamError(f"{self._adapter} was closed before {self._name} took all lines")
            await self._changed.wait()
        if self._broken is not None:
            raise self._unwritable(self._broken) from self._broken
        await trio.lowlevel.checkpoint()

    async def sync(self) -> None:
        """Sync written lines to the disk, if the stream is a file."""
        await self._output.sync()

    async def close(self) -> None:
        """Stop writing; write what is left first, if the reader takes it within the time limit.

        Lines that it does not take stay in the buffer, so that `written` raises from then on.
        """
        try:
            if self._broken is None:
                await self.written()
        finally:
            self._closed = True
            await self._stack.aclose()

    async def _write(self) -> None:
        """Write the buffer until the stage closes; an error ends the execution."""
        output, has_written = self._output, False
        while True:
            while not self._buffer:
                await self._changed.wait()
            try:
                async with self._lock:
                    if not has_written and await output.is_within_line():
                        await output.write(memoryview(b"\n"))
                    has_written = True
                    await self._write_buffer(output)
            except OSError as error:
                self._broken = error
                raise self._unwritable(error) from error
            finally:
                self._note_change()

    async def _write_buffer(self, output: Descriptor) -> None:
        written = 0
        with memoryview(bytes(self._buffer)) as view:
            while written < len(view):
                count = await output.write(view[written:])
                written += count
                del self._buffer[:count]

    def _note_change(self) -> None:
        self._changed.set()
        self._changed = trio.Event()

    def _unwritable(self, error: OSError) -> StandardStreamError:
        reason = "its reader has closed it" if isinstance(error, BrokenPipeError) else error
        return StandardStreamError(f"{self._adapter} cannot write to {self._name}: {reason}")
