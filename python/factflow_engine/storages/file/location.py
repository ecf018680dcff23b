"""Parsing of `file://` URLs, and the one table of texts for what a file system refuses.

Kept separate from the store so that a URL can be checked without a folder. URLs come from configurations and command
lines and are untrusted.
"""

import errno
from pathlib import Path
from typing import Final
from urllib.parse import unquote

from factflow_protocols import StorageError, StorageUrlError

SCHEME: Final = "file://"

_REASONS: Final = {
    errno.ENOSPC: "there is no room left on its disk; make room, and write it again",
    errno.EDQUOT: "the disk quota is spent; make room, and write it again",
    errno.EROFS: "its file system is read-only",
    errno.EACCES: "permission denied; change the owner or the mode of its folder",
    errno.EPERM: "permission denied; change the owner or the mode of its folder",
    errno.ELOOP: "a part of its path is a symbolic link, and the store follows none: it might lead out of its folder",
    errno.ENOTDIR: "a part of its path is no folder, but a file or a symbolic link: no key can be the folder of another",
    errno.EISDIR: "is a folder of other objects: no key can be the folder of another",
    errno.ENAMETOOLONG: "its path is too long for this file system; choose a shorter key",
    errno.ENOENT: "the folder is gone, or is a symbolic link that leads nowhere",
    errno.EMFILE: "this process has too many open files; raise `ulimit -n`, or lower the concurrency",
    errno.EFBIG: "it is too large for this file system",
    errno.EIO: "its disk has a fault",
    errno.ENOLCK: "its file system has no locks; use a local disk",
}


def root_of(url: str, *, directory: Path | None = None) -> Path:
    """Return the folder that a URL names.

    Args:
        url: `file://./relative/folder` or `file:///absolute/folder`. `%xx` stands for any byte.
        directory: Folder that a relative path starts from; the working directory if None.

    Raises:
        StorageUrlError: The URL is malformed; the text says what to write instead.
    """
    if not url.startswith(SCHEME):
        raise StorageUrlError(url, "write file://./relative/folder, or file:///absolute/folder")
    location = url.removeprefix(SCHEME)
    for mark, escape in (("?", "%3F"), ("#", "%23")):
        if mark in location:
            raise StorageUrlError(
                url, f"has a {mark!r}; a folder has no options: write {escape} if it is part of the path"
            )
    if not location.startswith(("/", "./", "../")) and location not in {".", ".."}:
        remedy = f"write file://./{location} for a folder in the working directory, or file:///{location}"
        raise StorageUrlError(
            url, f"has no path after file://; {remedy}" if location else "names no folder; write file://./objects"
        )
    try:
        text = unquote(location, errors="strict")
    except UnicodeDecodeError:
        text = "\0"
    if not text.isprintable():
        raise StorageUrlError(url, "its path has bytes that no folder's name should have; write a plain path")
    return (directory or Path()) / text


def storage_error(key: str, error: OSError, what: str = "") -> StorageError:
    """Return the error of an object that the file system refused."""
    reason = _REASONS.get(error.errno or 0, error.strerror or str(error))
    return StorageError(key, f"{what} {reason}".strip())
