"""Disks for the object store in a folder: one that ends its process at a chosen call, one that lets another act between
calls, and one that knows what a power cut may leave."""

import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from factflow_engine.storages.file.disk import Disk

CHANGES = ("make_folder", "create", "write", "sync", "sync_folder", "rename", "unlink", "lock")
LOOKS = ("open_file", "read", "identity")


class DiedError(BaseException):
    """End of the process; nothing it does afterwards reaches the disk."""


def _watched(name: str) -> Callable[..., object]:
    def call(self: "WatchedDisk", *arguments: object) -> object:
        self.before(name)
        return getattr(Disk, name)(self, *arguments)

    return call


class WatchedDisk(Disk):
    """Calls `before` ahead of each call of the system."""

    __slots__ = ()

    def before(self, name: str) -> None:
        raise NotImplementedError

    for _name in CHANGES + LOOKS:
        locals()[_name] = _watched(_name)


class MortalDisk(WatchedDisk):
    """Makes so many changes; ahead of the next one, its process dies. Half of a dying write reaches the disk."""

    __slots__ = ("changes", "died")

    def __init__(self, changes: int) -> None:
        self.changes = changes
        self.died = False

    def before(self, name: str) -> None:
        if self.died:
            raise DiedError
        if name in CHANGES:
            self.changes -= 1
            if self.changes < 0 and name != "write":
                self.died = True
                raise DiedError

    def write(self, file: int, data: bytes) -> None:
        self.before("write")
        if self.changes < 0:
            os.write(file, data[: len(data) // 2])
            self.died = True
            raise DiedError
        super(WatchedDisk, self).write(file, data)


class InterruptedDisk(WatchedDisk):
    """Lets another act once, ahead of its call of some number; counts its calls."""

    __slots__ = ("act", "at", "calls")

    def __init__(self, at: int, act: Callable[[], None]) -> None:
        self.at = at
        self.act = act
        self.calls = 0

    def before(self, name: str) -> None:
        self.calls += 1
        if self.calls - 1 == self.at:
            self.act()


class PowerDisk(Disk):
    """Records what is done in one folder, and gives what a power cut may leave of it.

    A name is sure once its folder was made durable, bytes once their file was; before, any of the changes may be lost, each
    for itself, and a file may have half of its bytes.
    """

    __slots__ = ("_files", "_inodes", "log")

    def __init__(self) -> None:
        self.log: list[tuple[str, str, str]] = []
        self._files: dict[int, str] = {}
        self._inodes: dict[str, bytes] = {}

    def create(self, folder: int, name: str) -> int:
        file = super().create(folder, name)
        self._files[file] = name
        self._inodes[name] = b""
        self.log.append(("create", name, ""))
        return file

    def write(self, file: int, data: bytes) -> None:
        super().write(file, data)
        self._inodes[self._files[file]] += data
        self.log.append(("write", self._files[file], ""))

    def sync(self, file: int) -> None:
        super().sync(file)
        self.log.append(("sync", self._files[file], ""))

    def sync_folder(self, folder: int) -> None:
        super().sync_folder(folder)
        self.log.append(("sync_folder", "", ""))

    def rename(self, folder: int, name: str, to: str) -> None:
        super().rename(folder, name, to)
        self.log.append(("rename", name, to))

    def unlink(self, folder: int, name: str) -> None:
        super().unlink(folder, name)
        self.log.append(("unlink", name, ""))

    def remains(self, before: dict[str, bytes]) -> Iterator[tuple[int, dict[str, bytes]]]:
        """Every folder that a power cut at any instant may leave, with the number of changes that were made by then.

        Each file of this disk is named after its first name, which no other has.
        """
        for cut in range(len(self.log) + 1):
            done = self.log[:cut]
            sure = max((place + 1 for place, (what, *_) in enumerate(done) if what == "sync_folder"), default=0)
            synced = {name for what, name, _ in done if what == "sync"}
            named = [each for each in done[:sure] if each[0] in ("create", "rename", "unlink")]
            loose = [each for each in done[sure:] if each[0] in ("create", "rename", "unlink")]
            for kept in itertools.product((True, False), repeat=len(loose)):
                changes = named + [each for each, stays in zip(loose, kept, strict=True) if stays]
                for share in (0, 1, 2):  # of the bytes of files that were not made durable: none, half, all
                    yield cut, self._folder(before, changes, synced, share)

    def _folder(
        self, before: dict[str, bytes], changes: list[tuple[str, str, str]], synced: set[str], share: int
    ) -> dict[str, bytes]:
        found = dict(before)
        for what, name, to in changes:
            content = self._inodes.get(name)
            if content is not None and name not in synced:
                content = content[: len(content) * share // 2]
            if what == "create":
                found[name] = content or b""
            elif what == "rename":
                found.pop(name, None)
                found[to] = content or b""
            else:
                found.pop(name, None)
        return found


def snapshot(folder: Path) -> dict[str, bytes]:
    """The files of a folder."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def restore(folder: Path, files: dict[str, bytes]) -> None:
    """Make a folder have these files and no others."""
    folder.mkdir(exist_ok=True)
    for path in list(folder.iterdir()):
        if path.name not in files:
            path.unlink()
    for name, content in files.items():
        (folder / name).write_bytes(content)
