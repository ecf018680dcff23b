"""The system's calls that the store makes, one method each, relative to open folders.

Kept separate from the store so that a test can end the process, or the machine's power, at each of them. Folders are
file descriptors: a folder that is moved or replaced meanwhile changes nothing, and no call follows a symbolic link.
"""

import errno
import fcntl
import os
import stat
import struct
from contextlib import suppress
from typing import Final

from factflow_engine.syncing import sync_names

_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_CREATE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_LOCK: Final = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC


class Disk:
    """The calls, as the system has them. All raise OSError."""

    __slots__ = ()

    def open_root(self, path: str) -> int:
        """Open the store's own folder, which may be reached through links."""
        try:
            return os.open(path, _FOLDER)
        except NotADirectoryError:
            raise OSError("is a file, or below one; expected a folder") from None

    def open_folder(self, parent: int, name: str) -> int:
        """Open a folder in another."""
        return os.open(name, _FOLDER | os.O_NOFOLLOW, dir_fd=parent)

    def make_folder(self, parent: int, name: str) -> None:
        """Make a folder in another, unless it is there."""
        with suppress(FileExistsError):
            os.mkdir(name, dir_fd=parent)

    def create(self, folder: int, name: str) -> int:
        """Make a file that was not there, to be written."""
        return os.open(name, _CREATE, 0o666, dir_fd=folder)

    def write(self, file: int, data: bytes) -> None:
        """Append all of the bytes."""
        view = memoryview(data)
        while view:
            view = view[os.write(file, view) :]

    def sync(self, file: int) -> None:
        """Make a file's bytes durable."""
        os.fsync(file)

    def sync_folder(self, folder: int) -> None:
        """Make the names in a folder durable, where the file system can."""
        sync_names(folder)

    def rename(self, folder: int, name: str, to: str) -> None:
        """Give a file another name in its folder, replacing one that has it."""
        os.rename(name, to, src_dir_fd=folder, dst_dir_fd=folder)

    def unlink(self, folder: int, name: str) -> None:
        """Remove a file, if it is there."""
        with suppress(FileNotFoundError):
            os.unlink(name, dir_fd=folder)

    def open_file(self, folder: int, name: str) -> int:
        """Open a regular file to be read."""
        file = os.open(name, _READ, dir_fd=folder)
        mode = os.fstat(file).st_mode
        if not stat.S_ISREG(mode):
            os.close(file)
            if stat.S_ISDIR(mode):
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), name)
            raise OSError(errno.EINVAL, "is not a regular file; move it away", name)
        return file

    def read(self, file: int, start: int, length: int) -> bytes:
        """Return so many bytes from a place, fewer at the file's end."""
        parts: list[bytes] = []
        while length > 0 and (part := os.pread(file, min(length, 1 << 24), start)):
            parts.append(part)
            start += len(part)
            length -= len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def identity(self, folder: int, name: str) -> tuple[int, int]:
        """Return what tells the file of this name from any other that is open."""
        found = os.stat(name, dir_fd=folder, follow_symlinks=False)
        return found.st_dev, found.st_ino

    def lock(self, root: int, name: str, number: int) -> int | None:
        """Return an open lock file with one of its locks taken; None if another holds that. Closing it gives it back.

        The lock belongs to the opening, not to the process (Linux, `F_OFD_SETLK`): threads exclude each other, too, and
        it ends with the process.
        """
        file = os.open(name, _LOCK, 0o666, dir_fd=root)
        try:
            wanted = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, number, 1, 0)
            fcntl.fcntl(file, fcntl.F_OFD_SETLK, wanted)
        except BaseException as error:
            os.close(file)
            if isinstance(error, OSError) and error.errno in (errno.EAGAIN, errno.EACCES):
                return None
            raise
        return file
