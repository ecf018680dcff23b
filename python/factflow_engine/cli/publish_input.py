"""Messages to publish from the command line: one from an option, or one from each line of a file.

Kept separate from `publish`, which has the queue: nothing here knows where messages go.
"""

import codecs
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from factflow_engine.adapters.builtin._lines import BadLineError, parsed_line, read_lines
from factflow_engine.cli.guard import InvalidInputError
from factflow_engine.field_paths import FieldPath, kind_of
from factflow_engine.queues.dead_letters import HEADER as DEAD_LETTER
from factflow_protocols import Reject

STANDARD_INPUT: Final = Path("-")

LONGEST_LINE: Final = 64 << 20
"""Length of the longest line, in characters, of standard input in bytes."""

GZIP: Final = b"\x1f\x8b"
"""First bytes of gzip; no text in UTF-8 begins with them."""

_CHUNK: Final = 1 << 16


@dataclass(frozen=True, slots=True)
class Item:
    """A message to publish.

    Attributes:
        payload: Its payload.
        key: Its key, if it has one.
        size: About how many bytes it has.
        place: File and line, for errors.
    """

    payload: Any
    key: str | None
    size: int
    place: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """Keys of messages: the same for all, or the value of a field of each.

    Attributes:
        fixed: The key of every message.
        field: The field that holds a message's key.
    """

    fixed: str | None = None
    field: FieldPath | None = None

    def of(self, payload: Any, place: str) -> str | None:
        """Return the key of the message at a place.

        Raises:
            InvalidInputError: The field is missing, or holds neither text nor an integer.
        """
        if self.field is None:
            return self.fixed
        try:
            key = self.field.require(payload)
        except Reject as error:
            raise InvalidInputError(f"{place}: --key-field: {error.reason}") from error
        if isinstance(key, bool) or not isinstance(key, (str, int)):
            raise InvalidInputError(
                f"{place}: --key-field: field {self.field.text!r} holds {kind_of(key)}; expected a text or an integer"
            )
        return str(key)


def can_be_read_twice(path: Path) -> bool:
    """True for a regular file: its lines can be checked before the first of them is published."""
    return path != STANDARD_INPUT and path.is_file()


def items_of(path: Path, keys: Keys) -> Iterator[Item | None]:
    """Yield the message of each line of a JSON Lines file, in constant memory; blank lines are skipped.

    None stands for a wait: more can be read only when standard input has more.

    Args:
        path: The file, `-` for standard input; one whose name ends in `.gz`, or that begins as gzip does, is unpacked.
        keys: Keys of the messages.

    Raises:
        InvalidInputError: The file cannot be read, or a line holds no message; the error names file and line.
    """
    name = "standard input" if path == STANDARD_INPUT else str(path)
    number = 0
    try:
        for line in _input_lines() if path == STANDARD_INPUT else _file_lines(path):
            if line is None:
                yield None
                continue
            number += 1
            if isinstance(line, BadLineError):
                raise line
            if line.strip():
                place = f"{name}:{number}"
                payload = parsed_line(line, place)
                yield Item(payload, keys.of(payload, place), len(line), place)
    except Reject as error:
        raise InvalidInputError(error.reason) from error
    except OSError as error:
        raise InvalidInputError(f"{name} cannot be read: {error.strerror or error}") from error


def _file_lines(path: Path) -> Iterator[str | BadLineError]:
    if path.is_dir():
        raise InvalidInputError(f"{path} is a folder; name a file, or - for standard input")
    is_gzip = path.suffix.lower() == ".gz"
    if not is_gzip and path.is_file():  # whatever its name; a pipe can be read only once
        with path.open("rb") as file:
            is_gzip = file.read(len(GZIP)) == GZIP
    return read_lines(
        path.open("rb"), path, encoding="utf-8", errors="strict", max_length=LONGEST_LINE, compressed=is_gzip
    )


def _input_lines() -> Iterator[str | BadLineError | None]:
    """Yield the lines of standard input as they come, and None before each wait for more."""
    if sys.__stdin__ is None:  # its number may belong to another file now
        raise InvalidInputError("standard input is closed; start the command with it open, as in `< FILE`")
    number, rest = 0, bytearray()
    while chunk := os.read(0, _CHUNK):
        if number == 0 and len(rest) < len(GZIP) and (rest + chunk).startswith(GZIP):
            raise InvalidInputError(
                "standard input is gzip: unpack it first, as in `gzip -dc FILE | factflow publish ... --from -`, "
                "or name the file, as in --from FILE.gz"
            )
        *lines, last = chunk.split(b"\n")
        for line in lines:
            number += 1
            yield _decoded(bytes(rest + line), number)
            rest.clear()
        rest += last
        if len(rest) > LONGEST_LINE:
            raise InvalidInputError(f"standard input:{number + 1}: the line is longer than {LONGEST_LINE:,} bytes")
        yield None
    if rest:
        yield _decoded(bytes(rest), number + 1)


def _decoded(line: bytes, number: int) -> str | BadLineError:
    if number == 1:
        line = line.removeprefix(codecs.BOM_UTF8)
    try:
        return line.decode()
    except UnicodeDecodeError as error:
        text = line.decode(errors="replace")
        return BadLineError(f"standard input:{number}", f"not utf-8 text (at byte {error.start + 1})", text)


def parsed_headers(options: tuple[str, ...]) -> dict[str, str]:
    """Return the headers that `--header NAME=VALUE` gives.

    Raises:
        InvalidInputError: One has no name or no `=`, a name comes twice, or it is the engine's.
    """
    headers: dict[str, str] = {}
    for option in options:
        name, equals, value = option.partition("=")
        if not name or not equals:
            raise InvalidInputError(f"--header {option!r}: expected NAME=VALUE")
        if name == DEAD_LETTER:
            raise InvalidInputError(f"--header {option!r}: {name!r} marks dead letters; give the header another name")
        if name in headers:
            raise InvalidInputError(f"--header {name!r} is given twice; a header has one value")
        headers[name] = value
    return headers
