"""Walking of the store's folders in the order of the keys, a folder at a time.

The names of one folder are sorted with a slash behind those of folders: then keys come in the order of their code points,
because a slash sorts among the other characters of a name. Memory holds the names of the folders on the way to the
present key, about 100 bytes a name. Kept separate from reading because it opens no object.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from factflow_engine.storages.file.disk import Disk
from factflow_engine.storages.file.folders import opened_folder
from factflow_engine.storages.keys import OWN_PREFIX, SIDECAR_ENDING, key_problem


@dataclass(frozen=True, slots=True)
class Names:
    """Names to be read.

    Attributes:
        parts: Their folder.
        beginning: Their beginning.
    """

    parts: tuple[str, ...]
    beginning: str = ""


class Walk:
    """Place in the folders: it gives keys, and says which folder must be read before it can give more.

    Memory holds the names of the folders on the way to the present key.
    """

    def __init__(self, first: Names) -> None:
        """Begin at a folder."""
        self.wanted: Names | None = first
        self._open: list[tuple[tuple[str, ...], Iterator[str]]] = []

    @property
    def is_done(self) -> bool:
        """True if there are no more keys."""
        return self.wanted is None and not self._open

    def enter(self, names: Iterable[str]) -> None:
        """Take the names that were wanted."""
        if self.wanted is not None:
            self._open.append((self.wanted.parts, iter(names)))
            self.wanted = None

    def keys(self, most: int) -> list[str]:
        """Return the next keys: at most so many, and none behind the next folder."""
        found: list[str] = []
        while self._open and len(found) < most:
            parts, names = self._open[-1]
            name = next(names, None)
            if name is None:
                self._open.pop()
            elif name.endswith("/"):
                self.wanted = Names((*parts, name[:-1]))
                break
            else:
                found.append("/".join((*parts, name)))
        return found


def names_in(disk: Disk, root: Path, wanted: Names) -> list[str]:
    """Return the names of objects in a folder, and of folders with a slash, sorted; none if it is not there.

    Raises:
        OSError: It cannot be read.
    """
    try:
        with opened_folder(disk, root, wanted.parts) as folder, os.scandir(folder) as entries:
            return sorted(_shown(entries, wanted.beginning))
    except (FileNotFoundError, NotADirectoryError):
        return []


def _shown(entries: Iterator[os.DirEntry[str]], beginning: str) -> Iterator[str]:
    for entry in entries:
        name = entry.name
        if name.endswith(SIDECAR_ENDING) or name.startswith(OWN_PREFIX) or not name.startswith(beginning):
            continue
        if key_problem(name):
            continue  # no key: another program's file
        if entry.is_dir(follow_symlinks=False):
            yield name + "/"
        elif entry.is_file(follow_symlinks=False):
            yield name


def every_name_in(disk: Disk, root: Path, parts: Sequence[str]) -> list[str]:
    """Return the names of all that is in a folder, sorted; none if it is not there.

    Raises:
        OSError: It cannot be read.
    """
    try:
        with opened_folder(disk, root, parts) as folder, os.scandir(folder) as entries:
            return sorted(entry.name for entry in entries)
    except (FileNotFoundError, NotADirectoryError):
        return []
