"""Writing of an object and its sidecar, so that whoever reads sees the old pair or the new, whatever dies meanwhile.

The steps, under the key's lock from the second on:

1. The bytes go to a temporary file in the key's folder, and are made durable.
2. The sidecar is replaced by one that describes the new object and, if there is another, the present one.
3. The folder is made durable: no object is ever older on the disk than its sidecar.
4. The temporary file takes the object's name. This is the instant at which the new object is there.
5. The folder is made durable. If the sidecar describes two, it is replaced by one that describes the new object alone.

A death before 4 leaves the former object, or none; after 4 the new one. A temporary file, or the sidecar of an object
that was never there, may be left: `leftovers` finds them. Kept separate from the store, which gives the thread.
"""

import hashlib
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from factflow_engine.storages.content import PART_BYTES, described
from factflow_engine.storages.file import sidecar
from factflow_engine.storages.file.disk import Disk
from factflow_engine.storages.file.folders import made_folder, opened_folder
from factflow_engine.storages.keys import OWN_PREFIX, SIDECAR_ENDING
from factflow_protocols import FactflowError, ObjectMetadata

LOCK_FILE: Final = f"{OWN_PREFIX}lock"
TEMPORARY: Final = f"{OWN_PREFIX}tmp-"


class BusyError(FactflowError):
    """Lock of a key that another writer holds."""


class KeyLock:
    """Lock of a key against other writers, in this process and in others; released at the end of the block."""

    def __init__(self, disk: Disk, root: Path, key: str) -> None:
        self._disk = disk
        self._root = root
        # One lock a key: two keys with the same number would only wait for each other.
        self._number = int.from_bytes(hashlib.sha256(key.encode()).digest()[:8]) >> 2
        self._file: int | None = None

    def __enter__(self) -> None:
        root = self._disk.open_root(str(self._root))
        try:
            self._file = self._disk.lock(root, LOCK_FILE, self._number)
        finally:
            os.close(root)
        if self._file is None:
            raise BusyError

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            os.close(self._file)


class Upload:
    """An object that is being written: its temporary file, and what is known of it so far.

    Its methods block, and raise OSError. `discard` is called unless it was committed.
    """

    def __init__(
        self, disk: Disk, root: Path, key: str, *, content_type: str, custom: Mapping[str, Any] | None, token: str
    ) -> None:
        """Prepare; `token` tells its temporary names from those of every other upload."""
        self._disk = disk
        self._root = root
        self._key = key
        self._content_type = content_type
        self._custom = custom
        *self._parts, self._name = key.split("/")
        self._folder = -1
        self._file = -1
        self._digest = hashlib.sha256()
        self._size = 0
        self._token = token
        self._names = 0  # temporary names so far
        self._left: set[str] = set()  # temporary names that are, or may be, in the folder
        self._temporary = ""

    @property
    def is_open(self) -> bool:
        """True if there is something to discard."""
        return self._folder >= 0

    def write(self, data: bytes) -> None:
        """Append bytes; the first call makes folder and file."""
        self._open()
        for start in range(0, len(data), PART_BYTES):
            part = data[start : start + PART_BYTES]
            self._disk.write(self._file, part)
            self._digest.update(part)
            self._size += len(part)

    def write_and_commit(self, data: bytes) -> ObjectMetadata:
        """Write all the bytes, unless a call before this one has, and commit them; see `commit`."""
        if not self._temporary:
            self.write(data)
        return self.commit()

    def commit(self) -> ObjectMetadata:
        """Make the bytes durable, and put the object and its sidecar in place.

        Raises:
            BusyError: Another writer commits this key now; nothing was changed, and this may be called again.
            StorageError: The sidecar would be too large to be read; see `sidecar.encode`. Nothing was changed.
        """
        disk = self._disk
        self._finish()
        folder, sidecar_name = self._folder, self._name + SIDECAR_ENDING
        metadata = described(
            self._key,
            content_type=self._content_type,
            size_bytes=self._size,
            checksum=self._digest.hexdigest(),
            custom=self._custom,
        )
        with KeyLock(disk, self._root, self._key):
            former = present(disk, folder, self._name)
            alone = self._sidecar(metadata)
            if former is None or former.checksum == metadata.checksum:
                self._take(alone, sidecar_name)
            else:
                self._take(self._sidecar(metadata, former), sidecar_name)
            disk.sync_folder(folder)
            self._take(self._temporary, self._name)
            disk.sync_folder(folder)
            if alone in self._left:
                self._take(alone, sidecar_name)
        self._folder = -1
        os.close(folder)
        return metadata

    def replace_sidecar(self, metadata: ObjectMetadata) -> None:
        """Describe the present object alone, under its lock, which the caller holds."""
        self._folder = made_folder(self._disk, self._root, self._parts)
        try:
            self._take(self._sidecar(metadata), self._name + SIDECAR_ENDING)
        finally:
            self.discard()

    def discard(self) -> None:
        """Close what is open, and remove the temporary files that are left."""
        folder, self._folder = self._folder, -1
        file, self._file = self._file, -1
        try:
            if file >= 0:
                os.close(file)
            for name in sorted(self._left):
                self._disk.unlink(folder, name)
        finally:
            os.close(folder)

    def _open(self) -> None:
        if self._folder < 0:
            self._folder = made_folder(self._disk, self._root, self._parts)
            self._temporary, self._file = self._create()

    def _finish(self) -> None:
        self._open()
        if self._file >= 0:
            self._disk.sync(self._file)
            file, self._file = self._file, -1
            os.close(file)

    def _create(self) -> tuple[str, int]:
        self._names += 1
        name = f"{TEMPORARY}{self._token}-{self._names}"
        self._left.add(name)
        return name, self._disk.create(self._folder, name)

    def _take(self, name: str, to: str) -> None:
        self._disk.rename(self._folder, name, to)
        self._left.discard(name)

    def _sidecar(self, *versions: ObjectMetadata) -> str:
        name, file = self._create()
        try:
            self._disk.write(file, sidecar.encode(self._key, versions))
            self._disk.sync(file)
        finally:
            os.close(file)
        return name


def present(disk: Disk, folder: int, name: str) -> ObjectMetadata | None:
    """Return the description of an object whose lock is held; None if there is no object, or none of it.

    Raises:
        OSError: One of its files cannot be read.
    """
    try:
        file = disk.open_file(folder, name)
    except FileNotFoundError:
        return None
    try:
        versions = sidecar.read(disk, folder, name + SIDECAR_ENDING) or []
        return sidecar.describing(disk, file, versions)
    except ValueError:
        return None  # damaged already: there is no description to be kept
    finally:
        os.close(file)


def delete(disk: Disk, root: Path, key: str) -> None:
    """Remove an object, then its sidecar; a death between the two leaves a sidecar without an object.

    Raises:
        BusyError: A writer commits this key now; nothing was changed.
        OSError: One of them cannot be removed.
    """
    *parts, name = key.split("/")
    with (
        suppress(FileNotFoundError, NotADirectoryError),
        opened_folder(disk, root, parts) as folder,
        KeyLock(disk, root, key),
    ):
        disk.unlink(folder, name)
        disk.sync_folder(folder)
        disk.unlink(folder, name + SIDECAR_ENDING)
        disk.sync_folder(folder)
