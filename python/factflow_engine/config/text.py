"""Text of a configuration: read from a file, a string or bytes; bounded and decoded.

Kept separate from the parser because it knows no YAML: its findings are about bytes.
"""

import bisect
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from factflow_engine.config.nodes import START, Mark
from factflow_protocols import FactflowError

DEFAULT_MAX_BYTES: Final = 1024 * 1024
_LONGEST_PATH: Final = 1_024
_LINE_END: Final = re.compile(r"\r\n|\n|\r")
# Characters outside YAML 1.2's production c-printable, and the byte order mark. Written as the refused set: the
# complement of the allowed set takes ten times as long to compile.
_UNPRINTABLE: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ufeff\ufffe\uffff]")
_BYTE_ORDER_MARK: Final = "\ufeff"


class TextProblem(FactflowError):  # noqa: N818 - becomes a finding, never leaves the package
    """Unreadable text; one finding."""

    def __init__(self, code: str, mark: Mark, message: str, remedy: str = "") -> None:
        self.code = code
        self.mark = mark
        self.message = message
        self.remedy = remedy
        super().__init__(message)


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Text that was read, with its name in findings and the folder for its relative paths."""

    name: str
    directory: Path
    text: str


class Lines:
    """Conversion of offsets in a text to marks."""

    def __init__(self, text: str) -> None:
        self._length = len(text)
        self._starts = [0, *(match.end() for match in _LINE_END.finditer(text))]

    def mark(self, offset: int) -> Mark:
        """Return line and column of an offset; the end of the text for one beyond it."""
        offset = max(0, min(offset, self._length))
        line = bisect.bisect_right(self._starts, offset)
        return Mark(line, offset - self._starts[line - 1] + 1)


def is_text(given: str) -> bool:
    """True if a string is a configuration rather than the path of one.

    That is: empty, contains a line end or `: `, begins (after space) with a bracket, or is too long for a path.
    """
    start = given[:_LONGEST_PATH].lstrip(f"{_BYTE_ORDER_MARK} \t")
    return (
        not start
        or "\n" in given
        or "\r" in given
        or start[:1] in {"{", "["}
        or ": " in given
        or len(given) > _LONGEST_PATH
    )


def read_file(path: Path, max_bytes: int) -> bytes:
    """Return the file's bytes.

    Raises:
        TextProblem: It cannot be read, or exceeds the bound; nothing beyond the bound is read.
    """
    try:
        if path.is_dir():
            raise TextProblem("E016", START, "expected a file, got a directory", "name the file in it")
        with path.open("rb") as file:
            data = file.read(max_bytes + 1)
    except FileNotFoundError as error:
        raise TextProblem("E016", START, "the file does not exist") from error
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise TextProblem("E016", START, f"the file cannot be read: {reason}") from error
    return data


def decode(data: bytes, max_bytes: int) -> str:
    """Return the text of the bytes.

    Raises:
        TextProblem: It exceeds the bound, is not UTF-8, or contains characters that YAML forbids.
    """
    if len(data) > max_bytes:
        raise _too_large(max_bytes)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        good = data[: error.start].decode("utf-8")
        remedy = "save the file as UTF-8; it looks like UTF-16" if data[:2] in {b"\xff\xfe", b"\xfe\xff"} else ""
        raise TextProblem(
            "E008", Lines(good).mark(len(good)), f"byte 0x{data[error.start]:02x} is not UTF-8 text", remedy
        ) from error
    return check_text(text, max_bytes)


def check_text(text: str, max_bytes: int) -> str:
    """Return the text if YAML allows all of it.

    Raises:
        TextProblem: It is too large, begins with a byte order mark, or contains a character that YAML forbids.
    """
    if len(text) > max_bytes or len(text.encode("utf-8", "surrogatepass")) > max_bytes:
        raise _too_large(max_bytes)
    if text.startswith(_BYTE_ORDER_MARK):
        raise TextProblem("E009", START, "the text begins with a byte order mark")
    unprintable = _UNPRINTABLE.search(text)
    if unprintable:
        raise TextProblem(
            "E018",
            Lines(text).mark(unprintable.start()),
            f"the character U+{ord(unprintable.group()):04X} is not allowed in YAML text",
        )
    return text


def _too_large(max_bytes: int) -> TextProblem:
    return TextProblem("E003", START, f"the document is larger than {max_bytes:,} bytes")
