"""Files that adapters read: confinement of paths, and safe opening.

A path in a configuration is the operator's and is followed anywhere. A path in a message is untrusted: it is resolved
with all links, and refused unless it ends inside the configured root. An attacker who can swap links under the root
while the pipeline runs is not defended against.
"""

import io
import os
import stat
from collections.abc import Generator
from pathlib import Path
from typing import Any, ClassVar, Final, Literal

from pydantic import Field

from factflow_engine.adapters.builtin._charsets import Encoding
from factflow_engine.adapters.builtin._config import BuiltinConfig
from factflow_engine.adapters.builtin._lines import BadLineError, read_lines
from factflow_engine.field_names import FieldName
from factflow_engine.field_paths import FieldPath
from factflow_protocols import Reject, StageInfo, StatefulAdapter

LONGEST_PATH: Final = 4096

# A named pipe must not block the open, and the last component was resolved, so it cannot be a link.
_OPEN_FLAGS: Final = (
    os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
)


class FileSource(BuiltinConfig):
    """The file that a stage reads."""

    path: str | None = Field(default=None, min_length=1)
    """The file, relative to the pipeline's folder. Without it each message names its own file."""
    path_field: FieldName = "path"
    """Field of the message that names the file, where `path` is not given."""
    root: str = Field(default=".", min_length=1)
    """Folder that a path from a message must lie in, relative to the pipeline's folder. Links that lead out of it are
    refused."""
    compression: Literal["auto", "none", "gzip"] = "auto"
    """Compression of the file; `auto` takes a name that ends in `.gz` for gzip."""
    encoding: Encoding = "utf-8"
    """Encoding of the text. A byte order mark at the beginning is left out."""
    encoding_errors: Literal["strict", "replace"] = "strict"
    """Treatment of bytes that are not text: `strict` makes the line a bad one, `replace` reads U+FFFD."""
    max_line_length: int = Field(default=1_048_576, ge=1, le=1_073_741_824)
    """Longest line, in characters; a longer one is a bad line, so that memory stays bounded. A bad line rejects the
    message, unless the adapter has `on_error`."""


class FileReader(StatefulAdapter):
    """Base of adapters that read the file named by their `FileSource`."""

    keeps_state: ClassVar[bool | None] = False

    def __init__(self, source: FileSource) -> None:
        self._source = source
        self._field = FieldPath(source.path_field)
        self._directory = Path()

    async def open(self, stage: StageInfo) -> None:
        """Store the folder that relative paths start from."""
        self._directory = stage.directory

    def locate(self, message: Any) -> Path:
        """Return the file to read for this message.

        Raises:
            Reject: The message names no file, or one outside the root.
        """
        if self._source.path is not None:
            return (self._directory / self._source.path).resolve()
        return confined(self._directory / self._source.root, self._field.require(message), self._source.path_field)

    def lines(self, path: Path) -> Generator[str | BadLineError, None, None]:
        """Yield each line of the file without its end, or a `BadLineError` in its place; the file is open meanwhile.

        Raises:
            Reject: It is not a regular file, or is damaged so that nothing more can be read.
            OSError: It cannot be opened or read.
        """
        source = self._source
        is_gzip = source.compression == "gzip" or (source.compression == "auto" and path.suffix.lower() == ".gz")
        return read_lines(
            open_regular(path),
            path,
            encoding=source.encoding,
            errors=source.encoding_errors,
            max_length=source.max_line_length,
            compressed=is_gzip,
        )


def confined(root: Path, given: Any, name: str) -> Path:
    """Return the resolved path if it lies in the root.

    Args:
        root: The folder; resolved here.
        given: The path in the message; absolute, or relative to the root.
        name: The message's field, for the error.

    Raises:
        Reject: It is not a path, or it leads out of the root.
    """
    if not isinstance(given, str) or not given or "\0" in given:
        raise Reject(f"field {name!r} must hold a file path, got {given!r:.200}")
    if len(given) > LONGEST_PATH:  # resolving it takes quadratic time
        raise Reject(f"field {name!r} must hold a file path of at most {LONGEST_PATH} characters, it has {len(given)}")
    inside = root.resolve()
    try:
        path = (inside / given).resolve()
    except (OSError, RuntimeError) as error:  # too long, or a loop of links
        raise Reject(f"field {name!r}: {given!r:.200} is not a path that can be followed: {error}") from error
    if not path.is_relative_to(inside):
        raise Reject(f"field {name!r}: {given!r:.200} leads out of root {str(inside)!r}; only files in it are read")
    return path


def open_regular(path: Path) -> io.BufferedReader:
    """Open a regular file for reading bytes. The path must be resolved.

    Raises:
        OSError: It cannot be opened.
        Reject: It is a folder, device, pipe or socket.
    """
    descriptor = os.open(path, _OPEN_FLAGS)
    try:
        regular = stat.S_ISREG(os.fstat(descriptor).st_mode)
    except BaseException:
        os.close(descriptor)
        raise
    if not regular:
        os.close(descriptor)
        raise Reject(f"{path} is not a regular file")
    return os.fdopen(descriptor, "rb")
