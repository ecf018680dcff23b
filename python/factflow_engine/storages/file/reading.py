"""Reading of an object together with the sidecar that describes it, without a lock.

A reader opens the object, reads the sidecar, and then looks whether the object's name still belongs to the file that it
opened. If it does, the object did not change while the sidecar was read, and at each instant the sidecar describes the
object that is there (see `writing`); if not, it begins again. Kept separate from the store, which gives the thread.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from factflow_engine.storages.content import sha256
from factflow_engine.storages.examination import UndescribedObjectError
from factflow_engine.storages.file import sidecar
from factflow_engine.storages.file.disk import Disk
from factflow_engine.storages.file.folders import opened_folder
from factflow_engine.storages.keys import SIDECAR_ENDING
from factflow_protocols import ObjectMetadata, StorageCorruptError, StorageError, StorageNotFoundError

_ATTEMPTS: Final = 1000
"""Attempts to read an object that is replaced meanwhile; each replacement takes a writer milliseconds."""

_ABSENT: Final = (FileNotFoundError, IsADirectoryError, NotADirectoryError)
"""Answers for a key without an object: nothing is there, or a folder of others, or its folder is an object."""


@dataclass(frozen=True, slots=True)
class OpenObject:
    """An open object.

    Attributes:
        file: Its file; whoever has this closes it.
        versions: Its possible descriptions, at least one; its bytes tell which.
    """

    file: int
    versions: Sequence[ObjectMetadata]


def open_object(disk: Disk, root: Path, key: str) -> OpenObject:
    """Open an object.

    Raises:
        StorageNotFoundError: There is no such object.
        StorageCorruptError: It has no sidecar, a damaged one, or one that describes others.
        StorageError: It is replaced all the time.
        OSError: It cannot be read.
    """
    *parts, name = key.split("/")
    try:
        with opened_folder(disk, root, parts) as folder:
            for _ in range(_ATTEMPTS):
                if (found := _attempt(disk, folder, key, name)) is not None:
                    return found
    except _ABSENT:
        raise StorageNotFoundError(key) from None
    raise StorageError(key, f"was replaced {_ATTEMPTS:,} times while it was being opened; try again")


def _attempt(disk: Disk, folder: int, key: str, name: str) -> OpenObject | None:
    file = disk.open_file(folder, name)
    try:
        problem = ""
        versions: list[ObjectMetadata] = []
        try:
            versions = sidecar.read(disk, folder, name + SIDECAR_ENDING) or []
        except ValueError as error:
            problem = f"its sidecar {name + SIDECAR_ENDING!r} {error}"
        found = os.fstat(file)
        if disk.identity(folder, name) != (found.st_dev, found.st_ino):
            os.close(file)
            return None
        fitting = [each for each in versions if each.size_bytes == found.st_size]
        if not fitting:
            sizes = " or ".join(f"{each.size_bytes:,}" for each in versions)
            if not versions and not problem:
                raise UndescribedObjectError(key, f"has no sidecar {name + SIDECAR_ENDING!r}")
            raise StorageCorruptError(key, problem or f"expected {sizes} bytes, got {found.st_size:,}")
        return OpenObject(file, fitting)
    except BaseException:
        os.close(file)
        raise


def read_object(disk: Disk, root: Path, key: str) -> tuple[bytes, ObjectMetadata]:
    """Return an object's bytes and metadata; raises as `open_object` does."""
    opened = open_object(disk, root, key)
    try:
        content = disk.read(opened.file, 0, os.fstat(opened.file).st_size)
    finally:
        os.close(opened.file)
    return content, matching(key, opened.versions, sha256(content))


def read_metadata(disk: Disk, root: Path, key: str) -> ObjectMetadata:
    """Return an object's metadata; raises as `open_object` does."""
    opened = open_object(disk, root, key)
    try:
        if len(opened.versions) == 1:
            return opened.versions[0]
        return matching(key, opened.versions, sidecar.checksum_of(disk, opened.file))
    finally:
        os.close(opened.file)


def read_range(disk: Disk, root: Path, key: str, start: int, length: int) -> bytes:
    """Return a part of an object; raises as `open_object` does, but does not look at its sidecar."""
    *parts, name = key.split("/")
    try:
        with opened_folder(disk, root, parts) as folder:
            file = disk.open_file(folder, name)
    except _ABSENT:
        raise StorageNotFoundError(key) from None
    try:
        size = os.fstat(file).st_size
        return disk.read(file, start, min(length, size - start)) if start < size else b""
    finally:
        os.close(file)


def exists(disk: Disk, root: Path, key: str) -> bool:
    """True if there is a file for the object."""
    *parts, name = key.split("/")
    try:
        with opened_folder(disk, root, parts) as folder:
            os.close(disk.open_file(folder, name))
    except _ABSENT:
        return False
    return True


def matching(key: str, versions: Sequence[ObjectMetadata], checksum: str) -> ObjectMetadata:
    """Return the description that has a checksum.

    Raises:
        StorageCorruptError: None has it.
    """
    for each in versions:
        if each.checksum == checksum:
            return each
    raise StorageCorruptError(
        key, f"its bytes are not those that were written: expected SHA-256 {versions[0].checksum}, got {checksum}"
    )
