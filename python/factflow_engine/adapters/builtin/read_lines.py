"""`read_lines`: a text file as one message a line, in constant memory."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field

from factflow_engine.adapters.builtin._files import FileReader, FileSource
from factflow_engine.adapters.builtin._lines import BadLineError
from factflow_engine.field_names import FieldName
from factflow_engine.field_paths import FieldPath
from factflow_protocols import AdapterResult, PipelineContext


class ReadLinesConfig(FileSource):
    """The file, and the fields of the emitted messages."""

    path_to: FieldName | None = "path"
    """Field of the emitted message that holds the file's path; null leaves it out."""
    line_number_to: FieldName | None = "line_number"
    """Field that holds the line's number, from 1; null leaves it out."""
    text_to: FieldName = "text"
    """Field that holds the line, without its end."""
    skip_blank: bool = Field(default=False)
    """True to leave out lines of nothing but white space."""


class ReadLines(FileReader):
    """Adapter that emits each line of a text file."""

    config_model: ClassVar[type[Any] | None] = ReadLinesConfig
    summary: ClassVar[str] = "Emit each line of a text file, lazily."

    def __init__(self, config: ReadLinesConfig) -> None:
        super().__init__(config)
        self._skip_blank = config.skip_blank
        self._path_to = FieldPath(config.path_to) if config.path_to is not None else None
        self._number_to = FieldPath(config.line_number_to) if config.line_number_to is not None else None
        self._text_to = FieldPath(config.text_to)

    def process(self, context: PipelineContext) -> AdapterResult:
        """Emit the file's lines as they are pulled; the file is open meanwhile.

        Raises:
            Reject: The message names no file inside the root; while lines are pulled, one is too long or is not text.
            OSError: The file cannot be read.
        """
        return AdapterResult(emitted=self._lines(self.locate(context.message)))

    def _lines(self, path: Path) -> Iterator[dict[str, Any]]:
        with closing(self.lines(path)) as lines:
            for number, line in enumerate(lines, start=1):
                if isinstance(line, BadLineError):
                    raise line
                if line.strip() or not self._skip_blank:
                    yield self._message(path, number, line)

    def _message(self, path: Path, number: int, line: str) -> dict[str, Any]:
        message: dict[str, Any] = {}
        if self._path_to is not None:
            self._path_to.set(message, str(path))
        if self._number_to is not None:
            self._number_to.set(message, number)
        self._text_to.set(message, line)
        return message
