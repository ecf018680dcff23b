"""A disk for the object store in a folder that knows what a power cut leaves of it.

A name is sure once its folder was synced, bytes once their file was. Before, each change of a name may be lost for
itself, and each sector of a file. Kept separate from the store, whose calls of the system it stands in for.
"""

import os
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

from factflow_engine.seams import Randomness
from factflow_engine.storages.file.disk import Disk
from factflow_engine.testing.simulation.power.sectors import coin, torn

_Names = dict[str, "_File"]


class _File:
    """Bytes of a file, and those that were synced."""

    __slots__ = ("synced", "written")

    def __init__(self, content: bytes = b"") -> None:
        self.synced = self.written = content


class _Folder:
    """Names in a folder: as they are, as they were at its last sync, and the changes since then."""

    __slots__ = ("changes", "folders", "names", "sure")

    def __init__(self, names: _Names) -> None:
        self.names = names
        self.sure = dict(names)
        self.changes: list[Callable[[_Names], object]] = []
        self.folders: set[Path] = set()  # those in it that are not sure yet

    def change(self, change: Callable[[_Names], object]) -> None:
        change(self.names)
        self.changes.append(change)

    def sync(self) -> None:
        self.sure = dict(self.names)
        self.changes.clear()
        self.folders.clear()


class PowerCutDisk(Disk):
    """The system's calls, and a record of what they have changed and synced.

    It is the disk of all processes of a machine. Files that were there before it saw their folder are taken for synced.
    """

    __slots__ = ("_created", "_folders", "_opened", "_randomness", "_unanswered", "_works")

    def __init__(self, randomness: Randomness) -> None:
        self._randomness = randomness
        self._opened: dict[int, Path] = {}  # folders by descriptor; the latest of a descriptor counts
        self._created: dict[int, _File] = {}  # files likewise
        self._folders: dict[Path, _Folder] = {}
        # Changes since the last work that was answered, in order, and where each unanswered work ends among them.
        self._unanswered: list[Callable[[], object]] = []
        self._works: list[int] = []

    # -- the calls ---------------------------------------------------------------------------------------------------

    def open_root(self, path: str) -> int:
        """See `Disk`."""
        return self._see(super().open_root(path), Path(path))

    def open_folder(self, parent: int, name: str) -> int:
        """See `Disk`."""
        return self._see(super().open_folder(parent, name), self._opened[parent] / name)

    def make_folder(self, parent: int, name: str) -> None:
        """See `Disk`."""
        super().make_folder(parent, name)
        folder = self._folders[self._opened[parent]]
        self._unanswered.append(partial(folder.folders.add, self._opened[parent] / name))

    def create(self, folder: int, name: str) -> int:
        """See `Disk`."""
        file = super().create(folder, name)
        self._created[file] = made = _File()
        self._change(folder, lambda names: names.update({name: made}))
        return file

    def write(self, file: int, data: bytes) -> None:
        """See `Disk`."""
        super().write(file, data)
        made, kept = self._created[file], bytes(data)

        def write() -> None:
            made.written += kept

        self._unanswered.append(write)

    def sync(self, file: int) -> None:
        """See `Disk`."""
        super().sync(file)
        made = self._created[file]

        def sync() -> None:
            made.synced = made.written

        self._unanswered.append(sync)

    def sync_folder(self, folder: int) -> None:
        """See `Disk`."""
        super().sync_folder(folder)
        self._unanswered.append(self._folders[self._opened[folder]].sync)

    def rename(self, folder: int, name: str, to: str) -> None:
        """See `Disk`."""
        super().rename(folder, name, to)
        # The file is looked up where the change is made; in a folder that lost its first name, it is still the same.
        state = self._folders[self._opened[folder]]

        def move() -> None:
            moved = state.names.get(name)

            def change(names: _Names) -> None:
                names.pop(name, None)
                if moved is not None:
                    names[to] = moved

            state.change(change)

        self._unanswered.append(move)

    def unlink(self, folder: int, name: str) -> None:
        """See `Disk`."""
        super().unlink(folder, name)
        self._change(folder, lambda names: names.pop(name, None))

    # -- power -------------------------------------------------------------------------------------------------------

    def note_work(self) -> None:
        """Note that a piece of work was done."""
        self._works.append(len(self._unanswered))

    def note_answer(self, count: int) -> None:
        """Note that the first so many of the unanswered pieces of work are done."""
        if count:
            end = self._works[count - 1]
            self._make(end)
            self._works = [each - end for each in self._works[count:]]

    def cut(self) -> None:
        """Make the files what is left of them."""
        self._make(int(self._randomness.uniform(0, len(self._unanswered) + 1)))
        for path in sorted(self._folders):
            folder = self._folders[path]
            for lost in sorted(each for each in folder.folders if coin(self._randomness)):
                shutil.rmtree(lost, ignore_errors=True)
            if path.is_dir():
                self._leave(path, folder)
        self._folders.clear()
        self._opened.clear()
        self._created.clear()
        self._unanswered.clear()
        self._works.clear()

    def _leave(self, path: Path, folder: _Folder) -> None:
        left = dict(folder.sure)
        for change in folder.changes:
            if coin(self._randomness):
                change(left)
        for name in {*os.listdir(path)} - left.keys():  # noqa: PTH208 - names are enough
            if (path / name).is_file():
                (path / name).unlink()
        for name in sorted(left):
            file = left[name]
            content = torn(file.synced, file.written, self._randomness)
            # In a new file: who has the old one open does not see it.
            new = path / ".factflow-after-the-cut"
            new.write_bytes(content)
            new.rename(path / name)
            file.synced = file.written = content  # of all its names

    def _see(self, descriptor: int, path: Path) -> int:
        self._opened[descriptor] = path
        if path not in self._folders:
            found = {each.name: _File(each.read_bytes()) for each in sorted(path.iterdir()) if each.is_file()}
            self._folders[path] = _Folder(found)
        return descriptor

    def _change(self, folder: int, change: Callable[[_Names], object]) -> None:
        self._unanswered.append(partial(self._folders[self._opened[folder]].change, change))

    def _make(self, count: int) -> None:
        for change in self._unanswered[:count]:
            change()
        del self._unanswered[:count]
