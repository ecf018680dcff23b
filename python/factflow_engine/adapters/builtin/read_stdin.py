"""`read_stdin`: standard input as one message a line, as lines arrive, in constant memory."""

import codecs
from collections.abc import AsyncIterator
from typing import Any, ClassVar, Final, Literal

from pydantic import Field

from factflow_engine.adapters.builtin._config import BuiltinConfig
from factflow_engine.adapters.builtin._lines import (
    LONGEST_SHOWN_TEXT,
    BadLineError,
    handle_bad_line,
    parsed_line,
)
from factflow_engine.adapters.builtin._stdio import Descriptor, standard_input
from factflow_engine.field_names import FieldName
from factflow_engine.field_paths import FieldPath
from factflow_protocols import AdapterResult, PipelineContext, Reject, StageInfo, StatefulAdapter

_READERS: Final[list["ReadStdin"]] = []
"""The stage that reads standard input; at most one of the process, which has only one."""


class ReadStdinConfig(BuiltinConfig):
    """The format of the lines."""

    format: Literal["text", "json"] = "text"
    """`text` emits `{line_number, text}` for each line, `json` the JSON value on it, skipping blank lines."""
    line_number_to: FieldName | None = "line_number"
    """With `format: text`: field that holds the line's number, from 1; null leaves it out."""
    text_to: FieldName = "text"
    """With `format: text`: field that holds the line, without its end."""
    on_error: Literal["fail", "skip"] = "fail"
    """Treatment of a bad line: one that is too long, not UTF-8, or with `format: json` not JSON or nothing that a
    message can hold. `fail` rejects the message at that line, after emitting the lines before it; `skip` logs a warning
    and goes on."""
    max_line_length: int = Field(default=1_048_576, ge=1, le=1_073_741_824)
    """Longest line, in bytes; a longer one is a bad line, so that memory stays bounded."""


class ReadStdin(StatefulAdapter):
    """Adapter that emits each line of standard input.

    One message reads it to its end; other messages are rejected, and so is a second attempt of that one, because input
    cannot be read twice. For the same reason a crash loses the lines that were read and not yet published. The message
    keeps its permit while it waits for the next line.
    """

    config_model: ClassVar[type[Any] | None] = ReadStdinConfig
    summary: ClassVar[str] = "Emit each line of standard input, as text or JSON, as it comes."
    keeps_state: ClassVar[bool | None] = False

    def __init__(self, config: ReadStdinConfig) -> None:
        self._config = config
        self._number_to = FieldPath(config.line_number_to) if config.line_number_to is not None else None
        self._text_to = FieldPath(config.text_to)
        self._input: Descriptor | None = None

    async def open(self, stage: StageInfo) -> None:  # noqa: ARG002 - standard input is the same wherever it stands
        """Check that there is a standard input.

        Raises:
            StandardStreamError: It is closed.
        """
        self._input = standard_input()

    async def process(self, context: PipelineContext) -> AdapterResult:  # noqa: ARG002 - the message is only the occasion
        """Emit lines as they arrive.

        Raises:
            Reject: Another message, or an earlier attempt, has standard input; while lines are pulled, one is too long,
            or is not in `format`.
            OSError: Reading fails while lines are pulled.

        Cancellation: ends the wait for the next line at once.
        """
        if _READERS:
            other = "an earlier message or attempt" if self in _READERS else "another stage of this process"
            raise Reject(f"standard input is read by {other}, and can be read once; send read_stdin one message")
        if self._input is None:
            raise RuntimeError("read_stdin is used before open() or after close()")
        _READERS.append(self)
        return AdapterResult(emitted=self._messages(self._input))

    async def close(self) -> None:
        """Let another execution of this process read the rest."""
        if self in _READERS:
            _READERS.remove(self)
        self._input = None

    async def _messages(self, source: Descriptor) -> AsyncIterator[Any]:
        number = 0
        longest = self._config.max_line_length + 1  # one for a carriage return
        rest = bytearray()  # the beginning of an incomplete line; of one that is too long, only as much as shows that
        while chunk := await source.read():
            first, *others = chunk.split(b"\n")
            rest += first
            for following in others:
                number += 1
                for message in self._message(number, bytes(rest)):
                    yield message
                rest = bytearray(following)
            if len(rest) > longest:
                if self._config.on_error == "fail":  # now, not at the end of the line, which may never come
                    self._message(number + 1, bytes(rest))
                del rest[longest + 1 :]
        if rest:
            for message in self._message(number + 1, bytes(rest)):
                yield message

    def _message(self, number: int, line: bytes) -> tuple[Any, ...]:
        """Return the message of a line; an empty tuple for a line that is skipped."""
        try:
            text = self._text(number, line)
            if self._config.format == "json":
                return (parsed_line(text, f"standard input, line {number}"),) if text.strip() else ()
        except BadLineError as error:
            handle_bad_line(error, self._config.on_error)
            return ()
        message: dict[str, Any] = {}
        if self._number_to is not None:
            self._number_to.set(message, number)
        self._text_to.set(message, text)
        return (message,)

    def _text(self, number: int, line: bytes) -> str:
        place, most = f"standard input, line {number}", self._config.max_line_length
        line = line.removeprefix(codecs.BOM_UTF8) if number == 1 else line
        shown = line[:LONGEST_SHOWN_TEXT]
        if len(line) > most + 1:
            raise BadLineError(place, f"longer than max_line_length ({most} bytes)", shown.decode(errors="replace"))
        try:
            return line.removesuffix(b"\r").decode()
        except UnicodeDecodeError as error:
            raise BadLineError(place, f"not UTF-8 text: {error}", shown.decode(errors="replace")) from error
