"""`read_jsonl`: a file of JSON lines as one message a line, in constant memory."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, ClassVar, Literal

from factflow_engine.adapters.builtin._files import FileReader, FileSource
from factflow_engine.adapters.builtin._lines import BadLineError, handle_bad_line, parsed_line
from factflow_protocols import AdapterResult, PipelineContext


class ReadJsonlConfig(FileSource):
    """The file, and the treatment of bad lines."""

    on_error: Literal["fail", "skip", "emit"] = "fail"
    """Treatment of a bad line: one that is not JSON, not text, too long, or holds what a message cannot (an integer
    beyond 64 bits, a lone surrogate, `1e999`, more than 128 levels). `fail` rejects the message at that line, after
    emitting the lines before it; `skip` logs a warning and goes on; `emit` emits `{path, line_number, error, text}` in
    its place, with at most 65,536 characters of the line."""


class ReadJsonl(FileReader):
    """Adapter that emits the value on each line of a JSON Lines file."""

    config_model: ClassVar[type[Any] | None] = ReadJsonlConfig
    summary: ClassVar[str] = "Emit the JSON value on each line of a file, lazily."

    def __init__(self, config: ReadJsonlConfig) -> None:
        super().__init__(config)
        self._on_error: Literal["fail", "skip", "emit"] = config.on_error

    def process(self, context: PipelineContext) -> AdapterResult:
        """Emit the file's values as they are pulled; skip blank lines. The file is open meanwhile.

        Raises:
            Reject: The message names no file inside the root; while values are pulled, a line is bad and `on_error` is
            `fail`, or the file is damaged.
            OSError: The file cannot be read.
        """
        return AdapterResult(emitted=self._values(self.locate(context.message)))

    def _values(self, path: Path) -> Iterator[Any]:
        with closing(self.lines(path)) as lines:
            for number, line in enumerate(lines, start=1):
                try:
                    if isinstance(line, BadLineError):
                        raise line
                    if not line.strip():
                        continue
                    value = parsed_line(line, f"{path}:{number}")
                except BadLineError as error:
                    if self._on_error != "emit":
                        handle_bad_line(error, self._on_error)
                        continue
                    value = {"path": str(path), "line_number": number, "error": error.problem, "text": error.line}
                yield value
