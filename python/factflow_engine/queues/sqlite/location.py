"""Parsing of `sqlite:///path?option=value` into checked settings.

Kept separate from opening so that a URL can be checked without a file. URLs come from configurations and command lines
and are untrusted.
"""

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote, urlencode

from factflow_engine.queues.sqlite.durability import Durability
from factflow_engine.url_options import UrlOption, read_options, split_url, within
from factflow_protocols import QueueError, QueueUrlError

SCHEME: Final = "sqlite://"

_HEADER_BYTES: Final = 100
"""Length of the header of every SQLite file that is not empty."""

_LONGEST_WAIT_SECONDS: Final = 86_400
"""Longest wait for a lock: SQLite does not wait at all if the milliseconds do not fit into 31 bits."""


class QueueFileError(QueueError):
    """Unusable file of a queue; the operator must act.

    Attributes:
        path: The file.
    """

    def __init__(self, path: Path, problem: str) -> None:
        self.path = path
        super().__init__(str(path), problem)


@dataclass(frozen=True, slots=True, kw_only=True)
class SqliteSettings:
    """Path of the file, and how it is used.

    Attributes:
        path: The file; `-wal` and `-shm` files lie beside it while it is in use. Local disks only: WAL needs shared
        memory, which network file systems lack.
        durability: Failures that accepted messages survive.
        lease_seconds: Time after a consumer's last renewal until its deliveries go to another consumer. A running
        consumer renews three times as often. An orderly stop gives back its deliveries at once.
        dedup_seconds: Time for which an accepted id is refused as a duplicate; 0 for never. The accepting process's
        value counts.
        retention_seconds: Time for which a settled message is kept before its row is deleted; 0 for not at all. The
        settling process's value counts.
        capacity: Capacity of a queue until a consumer sets another.
        busy_seconds: Longest wait for another process's lock; a caller that is cancelled meanwhile waits, too. At most
        a day.
    """

    path: Path
    durability: Durability = Durability.POWER
    lease_seconds: float = 30.0
    dedup_seconds: float = 600.0
    retention_seconds: float = 0.0
    capacity: int = 1_000_000
    busy_seconds: float = 30.0

    @classmethod
    def from_url(cls, url: str, *, directory: Path | None = None) -> "SqliteSettings":
        """Read `sqlite:///relative/path`, or `sqlite:////absolute/path`, with options behind a `?`.

        Options are `durability`, `lease`, `dedup`, `retention`, `busy` (the last four in seconds) and `capacity`.

        Args:
            url: The URL as written. `%xx` stands for any byte, a literal `?` included.
            directory: Folder that a relative path starts from; the working directory if None.

        Raises:
            QueueUrlError: The URL is malformed; the text says what to write instead.
        """
        text, query = split_url(
            url, f"{SCHEME}/", "write sqlite:///relative/file.db, or sqlite:////absolute/file.db", QueueUrlError
        )
        if text.startswith(":") or text in {"", ".", "/"} or text.endswith("/"):
            raise QueueUrlError(url, "names no file; write sqlite:///file.db (memory:// keeps messages in memory)")
        return cls(path=(directory or Path()) / text, **read_options(url, query, _OPTIONS, QueueUrlError))

    @property
    def url(self) -> str:
        """URL with an absolute path, and the options that are not as by default; the inverse of `from_url`."""
        usual = SqliteSettings(path=self.path)
        options = {name: getattr(self, option.attribute) for name, option in _OPTIONS.items()}
        given = {name: value for name, value in options.items() if value != getattr(usual, _OPTIONS[name].attribute)}
        return f"{SCHEME}/{quote(os.fsencode(self.path.absolute()))}{'?' if given else ''}{urlencode(given)}"


def check_path(path: Path) -> None:
    """Refuse a path that cannot be a queue's file, before SQLite opens it. Nothing is created.

    Raises:
        QueueFileError: The folder does not exist, or the path is not a regular file, or is too short.
    """
    try:
        found = path.stat()
    except FileNotFoundError:
        if not path.parent.is_dir():
            raise QueueFileError(
                path, f"its folder {str(path.parent)!r} does not exist; create it, or write another path"
            ) from None
        if not os.access(path.parent, os.W_OK):
            raise QueueFileError(path, f"cannot be made: its folder {str(path.parent)!r} is read-only here") from None
        return
    except OSError as error:
        raise QueueFileError(path, f"cannot be looked at: {error.strerror}") from error
    if stat.S_ISDIR(found.st_mode):
        raise QueueFileError(path, f"is a folder; name a file in it, such as {str(path / 'queue.db')!r}")
    if not stat.S_ISREG(found.st_mode):
        raise QueueFileError(path, "is not a regular file; name one, or a path where none is yet")
    if 0 < found.st_size < _HEADER_BYTES:  # SQLite would take it for an empty one
        raise QueueFileError(
            path, f"is no queue's file: it has {found.st_size} bytes of something else; name another path"
        )


_SECONDS: Final = within(float, 0, 10 * 365 * 86_400)

_OPTIONS: Final = {
    "durability": UrlOption(attribute="durability", read=Durability, expected=" or ".join(Durability)),
    "lease": UrlOption(
        attribute="lease_seconds", read=within(float, 0.1, 10 * 365 * 86_400), expected="seconds, at least 0.1"
    ),
    "dedup": UrlOption(attribute="dedup_seconds", read=_SECONDS, expected="seconds, 0 or more"),
    "retention": UrlOption(attribute="retention_seconds", read=_SECONDS, expected="seconds, 0 or more"),
    "busy": UrlOption(
        attribute="busy_seconds",
        read=within(float, 0, _LONGEST_WAIT_SECONDS),
        expected=f"seconds, at most a day ({_LONGEST_WAIT_SECONDS})",
    ),
    "capacity": UrlOption(
        attribute="capacity", read=within(int, 1, 1 << 40), expected="a number of messages, 1 or more"
    ),
}
