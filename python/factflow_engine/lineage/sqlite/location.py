"""Parsing of `sqlite:///folder?option=value` into checked settings.

Kept separate from opening so that a URL can be checked without a folder. URLs come from configurations and command
lines and are untrusted.
"""

import difflib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, unquote

from factflow_protocols import LineageUrlError

SCHEME: Final = "sqlite://"

LEAST_SEGMENT_BYTES: Final = 1 << 16

_LONGEST_SECONDS: Final = 100 * 365 * 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class SqliteLineageSettings:
    """Folder of the segments, and how it is used.

    Attributes:
        path: The folder; made, with its parents, by the first write. Local disks only: the write-ahead log (WAL) needs
        shared memory, which network file systems lack.
        segment_bytes: Size from which on a segment gets no more rows.
        segment_seconds: Age from which on a segment gets no more rows; None for no limit.
        retention_days: Days for which a row is kept at least; None for no limit.
        retention_bytes: Bytes that the segments may hold, approximately; None for no limit.
        busy_seconds: Longest wait for another process that writes to the same segment.
    """

    path: Path
    segment_bytes: int = 256 << 20
    segment_seconds: float | None = None
    retention_days: float | None = None
    retention_bytes: int | None = None
    busy_seconds: float = 10.0

    @classmethod
    def from_url(cls, url: str, *, directory: Path | None = None) -> "SqliteLineageSettings":
        """Read `sqlite:///relative/folder`, or `sqlite:////absolute/folder`, with options behind a `?`.

        Options are `segment_bytes`, `segment_seconds`, `retention_days`, `retention_bytes` and `busy` (in seconds).

        Args:
            url: The URL as written. `%xx` stands for any byte, a literal `?` included.
            directory: Folder that a relative path starts from; the working directory if None.

        Raises:
            LineageUrlError: The URL is malformed; the text says what to write instead.
        """
        if not url.startswith(SCHEME + "/"):
            raise LineageUrlError(url, "write sqlite:///relative/folder, or sqlite:////absolute/folder")
        location, _, query = url.removeprefix(SCHEME + "/").partition("?")
        if "#" in url:
            raise LineageUrlError(url, "has a '#'; write %23 for one that is part of the path")
        return cls(path=(directory or Path()) / _path(url, location), **_options(url, query))


def _path(url: str, quoted: str) -> Path:
    try:
        text = unquote(quoted, errors="strict")
    except UnicodeDecodeError:
        text = "\0"
    if not text.isprintable():
        raise LineageUrlError(url, "its path has bytes that no folder's name should have; write a plain path")
    if text.startswith(":") or text.strip("/") == "":
        raise LineageUrlError(url, "names no folder; write sqlite:///lineage")
    return Path(text)


def _seconds(text: str) -> float:
    value = float(text)
    if not 0.001 <= value <= _LONGEST_SECONDS or math.isnan(value):
        raise ValueError
    return value


def _lock_seconds(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 86_400:
        raise ValueError
    return value


def _days(text: str) -> float:
    value = float(text)
    if not 0 < value <= _LONGEST_SECONDS / 86_400 or math.isnan(value):
        raise ValueError
    return value


def _bytes(text: str) -> int:
    value = int(text)
    if not LEAST_SEGMENT_BYTES <= value <= 1 << 60:
        raise ValueError
    return value


_OPTIONS: Final[Mapping[str, tuple[str, Callable[[str], Any], str]]] = {
    "segment_bytes": ("segment_bytes", _bytes, f"bytes, at least {LEAST_SEGMENT_BYTES}"),
    "segment_seconds": ("segment_seconds", _seconds, "seconds, more than 0"),
    "retention_days": ("retention_days", _days, "days, more than 0"),
    "retention_bytes": ("retention_bytes", _bytes, f"bytes, at least {LEAST_SEGMENT_BYTES}"),
    "busy": ("busy_seconds", _lock_seconds, "seconds, at most a day (86400)"),
}
"""Name in the URL to the field, its parser, and the expected value."""


def _options(url: str, query: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, text in parse_qsl(query, keep_blank_values=True):
        if name not in _OPTIONS:
            near = difflib.get_close_matches(name, _OPTIONS, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(_OPTIONS)}"
            raise LineageUrlError(url, f"has no option {name!r}; {hint}")
        attribute, read, expected = _OPTIONS[name]
        if attribute in found:
            raise LineageUrlError(url, f"gives {name} twice; once is enough")
        try:
            found[attribute] = read(text)
        except ValueError:
            raise LineageUrlError(url, f"{name}={text!r} is not usable; expected {expected}") from None
    return found
