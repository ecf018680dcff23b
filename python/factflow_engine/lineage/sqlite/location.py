"""Parsing of `sqlite:///folder?option=value` into checked settings.

Kept separate from opening so that a URL can be checked without a folder. URLs come from configurations and command
lines and are untrusted.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from factflow_engine.url_options import UrlOption, read_options, split_url, within
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
        text, query = split_url(
            url, f"{SCHEME}/", "write sqlite:///relative/folder, or sqlite:////absolute/folder", LineageUrlError
        )
        if text.startswith(":") or text.strip("/") == "":
            raise LineageUrlError(url, "names no folder; write sqlite:///lineage")
        return cls(path=(directory or Path()) / text, **read_options(url, query, _OPTIONS, LineageUrlError))


_BYTES: Final = within(int, LEAST_SEGMENT_BYTES, 1 << 60)

_OPTIONS: Final = {
    "segment_bytes": UrlOption(
        attribute="segment_bytes", read=_BYTES, expected=f"bytes, at least {LEAST_SEGMENT_BYTES}"
    ),
    "segment_seconds": UrlOption(
        attribute="segment_seconds", read=within(float, 0.001, _LONGEST_SECONDS), expected="seconds, at least 0.001"
    ),
    "retention_days": UrlOption(
        attribute="retention_days",
        read=within(float, 1e-6, _LONGEST_SECONDS / 86_400),
        expected="days, at least 0.000001",
    ),
    "retention_bytes": UrlOption(
        attribute="retention_bytes", read=_BYTES, expected=f"bytes, at least {LEAST_SEGMENT_BYTES}"
    ),
    "busy": UrlOption(
        attribute="busy_seconds", read=within(float, 0, 86_400), expected="seconds, at most a day (86400)"
    ),
}
