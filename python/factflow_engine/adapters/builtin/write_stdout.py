"""`write_stdout`: each message as a line on standard output, soon after it came.

Lines go to a buffer, which a task of the stage's own writes out as fast as the reader takes them. A reader that has gone
ends the execution, once, rather than failing each message that follows.
"""

from contextlib import AsyncExitStack
from typing import Any, ClassVar, Final, Literal

import trio

from factflow_engine.adapters.builtin._config import BuiltinConfig
from factflow_engine.adapters.builtin._fields import MISSING, FieldName, FieldPath
from factflow_engine.adapters.builtin._json import json_text
from factflow_engine.adapters.builtin._stdio import Descriptor, StandardStreamError, output_lock, standard_output
from factflow_protocols import AdapterResult, PipelineContext, Reject, StageInfo, StatefulAdapter

BUFFER_BYTES: Final = 65_536


class WriteStdoutConfig(BuiltinConfig):
    """What the lines are."""

    format: Literal["json", "text"] = "json"
    """`json` writes the whole message as JSON, `text` one field of it, or the message if it is a text."""
    text_field: FieldName = "text"
    """With `format: text`: the field to write; texts and numbers are written, without quotes."""


class WriteStdout(StatefulAdapter):
    """Writes each message as a line to standard output and passes it on.

    Lines are in the order in which messages reach the stage. A message that is delivered or tried again is written again:
    what was written cannot be taken back. On a durable queue a message is acknowledged when its line has been written.
    Where it goes to a file, a line that was cut off there, by a kill or a full disk, is ended first.
    While `factflow run` runs a pipeline with this stage, its report goes to standard error.
    """

    config_model: ClassVar[type[Any] | None] = WriteStdoutConfig
    summary: ClassVar[str] = "Write each message as a line of JSON or text to standard output."
    durable_batches: ClassVar[bool] = True
    keeps_state: ClassVar[bool | None] = True

    def __init__(self, config: WriteStdoutConfig) -> None:
        self._text_field = FieldPath(config.text_field) if config.format == "text" else None
        self._stack = AsyncExitStack()
        self._output: Descriptor | None = None
        self._durable = False
        # What is to be written; at most BUFFER_BYTES and one line for each message in flight.
        self._buffer = bytearray()
        self._broken: OSError | None = None  # why nothing can be written any more
        self._closed = False
        self._changed = trio.Event()  # set, and replaced, when the buffer begins, has been written, or cannot be

    async def open(self, stage: StageInfo) -> None:
        """Start the task that writes.

        Raises:
            StandardStreamError: Standard output is closed.
        """
        self._output = standard_output()
        self._durable = stage.durable
        async with AsyncExitStack() as stack:
            nursery = await stack.enter_async_context(trio.open_nursery())
            stack.callback(nursery.cancel_scope.cancel)
            nursery.start_soon(self._write, self._output)
            self._stack = stack.pop_all()

    async def process(self, context: PipelineContext) -> AdapterResult:
        """Add the message's line, and wait while more than 64 KiB are to be written.

        Raises:
            Reject: The message cannot be a line.

        Cancellation: may be raised while waiting for the reader; the line was then not added.
        """
        line = self._line(context.message)
        while len(self._buffer) >= BUFFER_BYTES or self._broken is not None:
            await self._changed.wait()  # for ever after an error: the execution ends, and the message is given back
        was_empty = not self._buffer
        self._buffer += line
        if was_empty:
            self._note_change()
        return AdapterResult.forward()

    async def flush(self) -> None:
        """Wait until every line that was added is written, and on the disk if it goes to a file.

        Raises:
            StandardStreamError: Some cannot be written.
        """
        await self._written()
        if self._durable and self._output is not None:
            await self._output.sync()

    async def finish(self) -> None:
        """Wait until every line is written.

        Raises:
            StandardStreamError: Some cannot be written.
        """
        await self._written()

    async def close(self) -> None:
        """Stop writing, after what is left has been written, if the reader takes it in the time that there is.

        What it does not take stays in the buffer, so that a `flush` that comes yet refuses to acknowledge it.
        """
        try:
            if self._broken is None:
                await self._written()
        finally:
            self._closed = True
            await self._stack.aclose()

    async def _written(self) -> None:
        while self._buffer and self._broken is None:
            if self._closed:
                raise StandardStreamError("write_stdout was closed before standard output took all lines")
            await self._changed.wait()
        if self._broken is not None:
            raise _unwritable(self._broken) from self._broken
        await trio.lowlevel.checkpoint()

    async def _write(self, output: Descriptor) -> None:
        """The stage's own task; its error is the execution's."""
        has_written = False
        while True:
            while not self._buffer:
                await self._changed.wait()
            try:
                async with output_lock():
                    if not has_written and await output.is_within_line():
                        await output.write(memoryview(b"\n"))
                    has_written = True
                    await self._write_buffer(output)
            except OSError as error:
                self._broken = error
                raise _unwritable(error) from error
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

    def _line(self, message: Any) -> bytes:
        if self._text_field is None:
            return json_text(message).encode() + b"\n"
        value = message if isinstance(message, str) else self._text_field.get(message)
        name = "the message" if isinstance(message, str) else f"field {self._text_field.text!r}"
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            value = str(value)
        if not isinstance(value, str):
            kind = "is missing" if value is MISSING else f"is a {type(value).__name__}"
            raise Reject(f"{name} must be a text or a number to be written as text, it {kind}; or write format: json")
        if "\n" in value or "\r" in value:
            raise Reject(f"{name} holds a line break and cannot be one line of text; write format: json")
        return value.encode() + b"\n"


def _unwritable(error: OSError) -> StandardStreamError:
    reason = "its reader has closed it" if isinstance(error, BrokenPipeError) else error
    return StandardStreamError(f"write_stdout cannot write to standard output: {reason}")
