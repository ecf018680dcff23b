"""`write_stdout`: each message as a line on standard output, soon after it arrives."""

from typing import Any, ClassVar, Literal

from factflow_engine.adapters.builtin._config import BuiltinConfig
from factflow_engine.adapters.builtin._json import json_text
from factflow_engine.adapters.builtin._line_stream import LineStream
from factflow_engine.adapters.builtin._stdio import standard_output
from factflow_engine.field_names import FieldName
from factflow_engine.field_paths import FieldPath, kind_of
from factflow_protocols import AdapterResult, PipelineContext, Reject, StageInfo, StatefulAdapter


class WriteStdoutConfig(BuiltinConfig):
    """The format of the lines."""

    format: Literal["json", "text"] = "json"
    """`json` writes the whole message as JSON, `text` one field of it, or the message if it is a text."""
    text_field: FieldName = "text"
    """With `format: text`: the field to write; texts and numbers are written, without quotes."""


class WriteStdout(StatefulAdapter):
    """Adapter that writes each message as a line to standard output and passes it on.

    Lines are in the order in which messages reach the stage. A message that is delivered or retried is written again,
    because output cannot be taken back. On a durable queue a message is acknowledged when its line is written. If
    standard output is a file whose last line is incomplete, after a kill or a full disk, that line is ended first.
    While `factflow run` runs a pipeline with this stage, its report goes to standard error.
    """

    config_model: ClassVar[type[Any] | None] = WriteStdoutConfig
    summary: ClassVar[str] = "Write each message as a line of JSON or text to standard output."
    durable_batches: ClassVar[bool] = True
    keeps_state: ClassVar[bool | None] = True

    def __init__(self, config: WriteStdoutConfig) -> None:
        self._text_field = FieldPath(config.text_field) if config.format == "text" else None
        self._stream: LineStream | None = None
        self._durable = False

    async def open(self, stage: StageInfo) -> None:
        """Start the task that writes.

        Raises:
            StandardStreamError: Standard output is closed.
        """
        stream = LineStream(standard_output(), adapter="write_stdout", name="standard output")
        await stream.start()
        self._stream, self._durable = stream, stage.durable

    async def process(self, context: PipelineContext) -> AdapterResult:
        """Add the message's line; wait while more than 64 KiB are unwritten.

        Raises:
            Reject: The message cannot be a line.

        Cancellation: may be raised while waiting for the reader; the line was then not added.
        """
        await self._opened.add(self._line(context.message))
        return AdapterResult.forward()

    async def flush(self) -> None:
        """Wait until every line that was added is written, and synced if standard output is a file.

        Raises:
            StandardStreamError: Some lines cannot be written.
        """
        await self._opened.written()
        if self._durable:
            await self._opened.sync()

    async def finish(self) -> None:
        """Wait until every line is written.

        Raises:
            StandardStreamError: Some lines cannot be written.
        """
        await self._opened.written()

    async def close(self) -> None:
        """Stop writing; write what is left first, if the reader takes it within the time limit.

        Lines that it does not take stay in the buffer, so that a later `flush` refuses to acknowledge them.
        """
        if self._stream is not None:
            await self._stream.close()

    @property
    def _opened(self) -> LineStream:
        if self._stream is None:
            raise RuntimeError("write_stdout is used before open()")
        return self._stream

    def _line(self, message: Any) -> bytes:
        if self._text_field is None:
            return json_text(message).encode() + b"\n"
        value = message if isinstance(message, str) else self._text_field.get(message)
        name = "the message" if isinstance(message, str) else f"field {self._text_field.text!r}"
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            value = str(value)
        if not isinstance(value, str):
            raise Reject(
                f"{name} must be a text or a number to be written as text, it is {kind_of(value)}; or write format: json"
            )
        if "\n" in value or "\r" in value:
            raise Reject(f"{name} holds a line break and cannot be one line of text; write format: json")
        return value.encode() + b"\n"
