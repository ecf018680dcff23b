"""Sidecars: the file `<object>.meta.json` with an object's metadata, as JSON.

A sidecar describes the object beside it by its checksum. While an object is being replaced, its sidecar describes two:
the new one, and under `replaces` the former one; the bytes decide which of them counts. So whatever instant a process
dies at, each object has its own description, and never that of others.

Kept separate from writing and reading, which keep to that order.
"""

import hashlib
import json
import math
import os
import re
from collections.abc import Sequence
from typing import Any, Final

from factflow_engine.storages.content import LARGEST_METADATA_BYTES, PART_BYTES
from factflow_engine.storages.file.disk import Disk
from factflow_protocols import ObjectMetadata, StorageError

LARGEST_BYTES: Final = 2 * LARGEST_METADATA_BYTES
"""Largest sidecar that is read, and so the largest that is written: while an object is replaced, it describes two."""

_CHECKSUM: Final = re.compile(r"[0-9a-f]{64}")


def encode(key: str, versions: Sequence[ObjectMetadata]) -> bytes:
    """Return a sidecar's bytes: the new description first, then those that it replaces.

    Raises:
        StorageError: Nobody could read it, because another program has enlarged the description that is replaced.
    """
    document = _document(versions[0])
    if versions[1:]:
        document["replaces"] = [_document(each) for each in versions[1:]]
    data = (json.dumps(document, separators=(",", ":"), allow_nan=False) + "\n").encode("ascii")
    if len(data) > LARGEST_BYTES:
        raise StorageError(
            key,
            f"its metadata and that of the object that it replaces take {len(data):,} bytes; expected at most "
            f"{LARGEST_BYTES:,}: delete that object first",
        )
    return data


def decode(data: bytes) -> list[ObjectMetadata]:
    """Return the descriptions in a sidecar.

    Raises:
        ValueError: It is damaged; the text says how.
    """
    if len(data) > LARGEST_BYTES:
        raise ValueError(f"has more than {LARGEST_BYTES:,} bytes")
    try:
        document = json.loads(data, parse_constant=_refused, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"is not JSON: {error}") from error
    versions = [_metadata(document)]
    replaced = document.get("replaces", [])
    if not isinstance(replaced, list):
        raise ValueError("its 'replaces' is not a list")  # noqa: TRY004 - of untrusted text, not of a caller
    return [*versions, *map(_metadata, replaced)]


def read(disk: Disk, folder: int, name: str) -> list[ObjectMetadata] | None:
    """Return the descriptions in the sidecar of this name; None if there is none.

    Raises:
        ValueError: It is damaged.
        OSError: It cannot be read.
    """
    try:
        file = disk.open_file(folder, name)
    except FileNotFoundError:
        return None
    try:
        return decode(disk.read(file, 0, LARGEST_BYTES + 1))
    finally:
        os.close(file)


def describing(disk: Disk, file: int, versions: Sequence[ObjectMetadata]) -> ObjectMetadata | None:
    """Return the description of an open object, by its size; only if several have that size, by its bytes.

    Raises:
        OSError: It cannot be read.
    """
    size = os.fstat(file).st_size
    fitting = [each for each in versions if each.size_bytes == size]
    if len(fitting) < 2:
        return fitting[0] if fitting else None
    checksum = checksum_of(disk, file)
    return next((each for each in fitting if each.checksum == checksum), None)


def checksum_of(disk: Disk, file: int) -> str:
    """Return the checksum of an open file, read in parts.

    Raises:
        OSError: It cannot be read.
    """
    digest = hashlib.sha256()
    start = 0
    while part := disk.read(file, start, PART_BYTES):
        digest.update(part)
        start += len(part)
    return digest.hexdigest()


def _document(metadata: ObjectMetadata) -> dict[str, Any]:
    return {
        "content_type": metadata.content_type,
        "size_bytes": metadata.size_bytes,
        "checksum": metadata.checksum,
        "custom": dict(metadata.custom),
    }


def _metadata(document: Any) -> ObjectMetadata:
    if not isinstance(document, dict):
        raise ValueError(f"expected an object, got {type(document).__name__}")  # noqa: TRY004 - see `decode`
    content_type, custom = document.get("content_type"), document.get("custom", {})
    size, checksum = document.get("size_bytes"), document.get("checksum")
    if not isinstance(content_type, str) or not isinstance(custom, dict):
        raise ValueError("its 'content_type' is no text, or its 'custom' no object")  # noqa: TRY004 - see `decode`
    if type(size) is not int or size < 0 or not isinstance(checksum, str) or not _CHECKSUM.fullmatch(checksum):
        raise ValueError("its 'size_bytes' is no size, or its 'checksum' not 64 hexadecimal digits")
    return ObjectMetadata(content_type=content_type, size_bytes=size, checksum=checksum, custom=custom)


def _refused(constant: str) -> float:
    raise ValueError(f"{constant} is not JSON")


def _finite(text: str) -> float:
    number = float(text)
    return number if math.isfinite(number) else _refused(text[:20])
