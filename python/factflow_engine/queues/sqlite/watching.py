"""Seeing that the files of an open connection are still those of their names, and as long as they were.

SQLite goes on with a file that was removed or replaced under it, and what it accepts then is gone with the last process
that has it open. The log (`-wal`) and its index (`-shm`) come into being when a connection first looks into the file, and
are removed only by the last one that closes it: while one is open, each of the three names means one file.

Kept separate from the store because it knows no SQL. It looks with `stat` alone: a process that opens one of the files and
closes it again loses the locks that its connections have on it.
"""

import os
from pathlib import Path
from typing import Final, NamedTuple

from factflow_engine.queues.sqlite.location import QueueFileError
from factflow_protocols import FactflowError

_SUFFIXES: Final = ("", "-wal", "-shm")


class _File(NamedTuple):
    device: int
    inode: int
    size: int


class LostFileError(FactflowError):
    """A file was removed or replaced under the connection: nothing more may be accepted.

    Attributes:
        path: Which of the three.
        is_log: True if it is the log that has no file of its name any more, and the others are as they were.
    """

    def __init__(self, path: Path, *, is_log: bool) -> None:
        self.path = path
        self.is_log = is_log
        super().__init__(str(path))


class Watch:
    """The files of one connection.

    Attributes:
        is_shorter: True if the file or its log was shorter at the last look than before: somebody cut it, or SQLite did.
    """

    def __init__(self, path: Path) -> None:
        """Note which files they are, right after the connection has looked into the file.

        Raises:
            QueueFileError: The system does not say.
            LostFileError: One of them is not there.
        """
        self.is_shorter = False
        self._paths = [str(path) + suffix for suffix in _SUFFIXES]
        self._files = [self._there(name) for name in self._paths]

    def look(self) -> None:
        """See that they are the same files; notes their sizes.

        Raises:
            QueueFileError: The system does not say.
            LostFileError: One was removed or replaced.
        """
        for place, before in enumerate(self._files):
            now = self._there(self._paths[place])
            if now[:2] != before[:2]:
                raise LostFileError(Path(self._paths[place]), is_log=False)
            if now.size < before.size:
                self.is_shorter = True
            self._files[place] = now

    def _there(self, name: str) -> _File:
        try:
            found = os.lstat(name)  # several times a transaction, and half of the time of Path.lstat
        except (FileNotFoundError, NotADirectoryError):
            raise LostFileError(Path(name), is_log=name == self._paths[1]) from None
        except OSError as error:
            raise QueueFileError(Path(name), f"cannot be looked at: {error.strerror}") from error
        return _File(found.st_dev, found.st_ino, found.st_size)
