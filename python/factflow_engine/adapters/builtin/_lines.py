"""Lines of a text file in constant memory: each is a text, or an error after which the next lines can still be read.

Kept separate from `_files`, which confines paths, because this module concerns the content of files.
"""

import codecs
import gzip
import io
import logging
import zlib
from collections.abc import Generator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final, Literal, TextIO

from factflow_engine.adapters.builtin._json import json_message
from factflow_engine.errors import CodecError
from factflow_protocols import Reject

logger = logging.getLogger("factflow_engine.adapters")

LONGEST_SHOWN_TEXT: Final = 65_536
"""Characters of a bad line that its error keeps."""

_BYTE_ORDER_MARK: Final = "\ufeff"
_UTF_16_MARKS: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)

# Stands for bytes that are not text. No decoder of `_charsets` produces a lone surrogate by itself.
_NOT_TEXT: Final = "\udfff"
_MARKING: Final = "factflow.mark"


class BadLineError(Reject):
    """A line that cannot be read or parsed; later lines can still be read.

    Attributes:
        problem: The fault of the line, without its place.
        line: The line as far as it could be read, at most `LONGEST_SHOWN_TEXT` characters; U+FFFD stands for bytes that
        are not text.
    """

    def __init__(self, place: str, problem: str, line: str) -> None:
        self.problem = problem
        self.line = line[:LONGEST_SHOWN_TEXT].replace(_NOT_TEXT, "\ufffd")
        super().__init__(f"{place}: {problem}")


def read_lines(
    file: io.BufferedReader,
    path: Path,
    *,
    encoding: str,
    errors: Literal["strict", "replace"],
    max_length: int,
    compressed: bool,
) -> Generator[str | BadLineError, None, None]:
    """Yield each line without its end, or a `BadLineError` in its place; close the file at the end.

    A line feed, a carriage return or both end a line. A byte order mark at the beginning is left out.

    Args:
        file: The file, positioned at the beginning.
        path: Name of the file in errors.
        encoding: One of `_charsets`.
        errors: `strict` makes a line with undecodable bytes a bad line, `replace` reads U+FFFD.
        max_length: Longest line, in characters; a longer one is a bad line, and is skipped in constant memory.
        compressed: True if the file is gzip, of any number of members.

    Raises:
        Reject: The gzip data is damaged or ends early, or the text does not begin as its encoding must; nothing after
        that can be read.
        OSError: The file cannot be read.
    """
    codecs.register_error(_MARKING, _mark)  # registered by name, always the same function
    with ExitStack() as stack:
        raw = stack.enter_context(file)
        content = stack.enter_context(gzip.GzipFile(fileobj=raw, mode="rb")) if compressed else raw
        text = stack.enter_context(
            io.TextIOWrapper(content, encoding=encoding, errors=_MARKING if errors == "strict" else errors)
        )
        number = 1
        try:
            is_utf_16 = content.peek(2).startswith(_UTF_16_MARKS)
            remedy = "set encoding: utf-16" if is_utf_16 else "set encoding, or encoding_errors: replace"
            line = _first_line(text, max_length)
            while line:
                yield _line(text, line, f"{path}:{number}", f"not {encoding} text", remedy, max_length)
                number += 1
                line = text.readline(max_length + 1)
        except UnicodeError as error:
            raise Reject(
                f"{path}:{number}: not {encoding} text ({error}); set encoding, or encoding_errors: replace"
            ) from error
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise Reject(
                f"{path}:{number}: damaged gzip data: {error}; if the file is not compressed, set compression: none"
            ) from error


def parsed_line(line: str, place: str) -> Any:
    """Return the message that a line of JSON holds.

    Raises:
        BadLineError: The line is not JSON, or holds a value that a message cannot.
    """
    try:
        return json_message(line)
    except (ValueError, RecursionError) as error:
        kind = "not a message" if isinstance(error, CodecError) else "not a JSON value"
        raise BadLineError(place, f"{kind}: {error}", line) from error


def handle_bad_line(error: BadLineError, on_error: Literal["fail", "skip"]) -> None:
    """Log a warning if bad lines are skipped, else raise the error.

    Raises:
        BadLineError: Bad lines are not skipped.
    """
    if on_error == "fail":
        raise error
    logger.warning("%s; the line is skipped", error.reason)


def _first_line(text: TextIO, max_length: int) -> str:
    """Return the first line, or `max_length + 1` characters of it, without a byte order mark."""
    start = text.read(1)
    if start == _BYTE_ORDER_MARK:
        return text.readline(max_length + 1)
    return start if start in {"", "\n"} else start + text.readline(max_length)


def _line(text: TextIO, line: str, place: str, not_text: str, remedy: str, max_length: int) -> str | BadLineError:
    content = line.removesuffix("\n")
    if len(content) > max_length:
        while line and not line.endswith("\n"):
            line = text.readline(max_length + 1)
        return BadLineError(place, f"the line is longer than max_line_length ({max_length} characters)", content)
    if _NOT_TEXT in content:
        return BadLineError(place, f"{not_text} (at character {content.index(_NOT_TEXT) + 1}); {remedy}", content)
    return content


def _mark(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return _NOT_TEXT, error.end
