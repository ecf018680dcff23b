"""Check that the files of an open connection still have their names, and did not become shorter.

SQLite continues with a file that was removed or replaced, and everything it then accepts is lost with the last process
that has it open. The log (`-wal`) and its index (`-shm`) are made when a connection first reads the file, and only the
last connection removes them: while one is open, each of the three names means one file.

Kept separate from the store because it knows no SQL. It uses only `stat`: a process that opens and closes one of the
files loses the locks of its connections on it.
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
    """Removal or replacement of a file that is in use: nothing more may be accepted.

    Attributes:
        path: The file, one of the three.
        is_log: True if only the log has lost its name.
    """

    def __init__(self, path: Path, *, is_log: bool) -> None:
        self.path = path
        self.is_log = is_log
        super().__init__(str(path))


class Watch:
    """The files of one connection.

    Attributes:
        is_shorter: True if the file or its log was shorter at the last check than before, through SQLite or another
        program.
    """

    def __init__(self, path: Path) -> None:
        """Note the identities of the files, right after the connection has read the file.

        Raises:
            QueueFileError: The system does not tell.
            LostFileError: One of them does not exist.
        """
        self.is_shorter = False
        self._paths = [str(path) + suffix for suffix in _SUFFIXES]
        self._files = [self._there(name) for name in self._paths]

    def look(self) -> None:
        """Check that they are the same files; note their sizes.

        Raises:
            QueueFileError: The system does not tell.
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
            found = os.lstat(name)  # called several times a transaction, and twice as fast as Path.lstat
        except (FileNotFoundError, NotADirectoryError):
            raise LostFileError(Path(name), is_log=name == self._paths[1]) from None
        except OSError as error:
            raise QueueFileError(Path(name), f"cannot be looked at: {error.strerror}") from error
        return _File(found.st_dev, found.st_ino, found.st_size)
