"""`read_jsonl`: a file of JSON lines as one message a line, in constant memory."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, Literal

from factflow_engine.adapters.builtin._files import FileReader, FileSource
from factflow_engine.adapters.builtin._json import json_value
from factflow_protocols import AdapterResult, PipelineContext, Reject

logger = logging.getLogger(__name__)


class ReadJsonlConfig(FileSource):
    """Which file, and what becomes of a line that is not JSON."""

    on_error: Literal["fail", "skip", "emit"] = "fail"
    """A line that is not JSON: `fail` rejects the message there, the lines before it stand; `skip` logs a warning and
    goes on; `emit` emits `{path, line_number, error, text}` in its place."""


class ReadJsonl(FileReader):
    """Emits the value on each line of a JSON Lines file."""

    config_model: ClassVar[type[Any] | None] = ReadJsonlConfig
    summary: ClassVar[str] = "Emit the JSON value on each line of a file, lazily."

    def __init__(self, config: ReadJsonlConfig) -> None:
        super().__init__(config)
        self._on_error = config.on_error

    def process(self, context: PipelineContext) -> AdapterResult:
        """Emit the file's values as they are pulled; blank lines are passed over. The file is open meanwhile.

        Raises:
            Reject: The message names no file inside the root; while being pulled, a line is bad and `on_error` is
                `fail`, or a line is too long or no text.
            OSError: The file cannot be read.
        """
        return AdapterResult(emitted=self._values(self.locate(context.message)))

    def _values(self, path: Path) -> Iterator[Any]:
        with self.open_text(path) as file:
            number = 1
            while (line := self.read_line(file, path, number)) is not None:
                if line.strip():
                    yield from self._parsed(path, number, line)
                number += 1

    def _parsed(self, path: Path, number: int, line: str) -> Iterator[Any]:
        try:
            value = json_value(line)
        except (ValueError, RecursionError) as error:
            problem = f"{path}:{number}: not a JSON value: {error}"
            if self._on_error == "fail":
                raise Reject(problem) from error
            if self._on_error == "skip":
                logger.warning("%s; the line is skipped", problem)
                return
            value = {"path": str(path), "line_number": number, "error": str(error), "text": line}
        yield value
