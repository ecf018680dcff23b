"""Content and metadata of an object as every store treats them: checked metadata, checksums, parts of a bounded size.

Kept separate from the stores because they differ in where bytes lie, and in nothing that is here.
"""

import hashlib
import json
import re
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Mapping
from typing import Any, Final

from factflow_protocols import ObjectMetadata, StorageError

PART_BYTES: Final = 1 << 20
"""Size of the parts in which objects are read and written."""

LARGEST_METADATA_BYTES: Final = 1 << 20
"""Largest metadata of an object, as JSON."""

_MEDIA_TYPE: Final = re.compile(r"[!-~]{1,127}/[!-~]{1,127}(?:;[ -~]{1,255})?")


def sha256(data: bytes) -> str:
    """Return the checksum of an object."""
    return hashlib.sha256(data).hexdigest()


def check_content_type(key: str, content_type: object) -> str:
    """Return a media type if it is one.

    Raises:
        StorageError: It is none.
    """
    if not isinstance(content_type, str) or not _MEDIA_TYPE.fullmatch(content_type):
        raise StorageError(
            key, f"expected a content type such as 'text/plain; charset=utf-8', got {content_type!a:.300}"
        )
    return content_type


def normal_custom(key: str, custom: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return custom metadata as it will be read: a tuple is a list.

    Raises:
        StorageError: JSON cannot hold it, or it is too large.
    """
    if not custom:
        return {}
    try:
        text = json.dumps(dict(custom), allow_nan=False)
        normal = json.loads(text)
    except (TypeError, ValueError, RecursionError) as error:
        raise StorageError(key, f"its custom metadata is not what JSON can hold: {error}") from error
    if len(text) > LARGEST_METADATA_BYTES // 2:
        raise StorageError(
            key,
            f"its custom metadata takes {len(text):,} bytes as JSON; expected at most {LARGEST_METADATA_BYTES // 2:,}: "
            "store what is large as an object of its own",
        )
    if not isinstance(normal, dict):  # pragma: no cover - a mapping is dumped as an object
        raise StorageError(key, f"expected custom metadata as a mapping, got {type(custom).__name__}")
    return normal


def described(
    key: str, *, content_type: str, size_bytes: int, checksum: str, custom: Mapping[str, Any] | None
) -> ObjectMetadata:
    """Return the checked metadata of an object.

    Raises:
        StorageError: The content type or the custom metadata cannot be stored.
    """
    return ObjectMetadata(
        content_type=check_content_type(key, content_type),
        size_bytes=size_bytes,
        checksum=checksum,
        custom=normal_custom(key, custom),
    )


def check_range(key: str, start: int, length: int) -> None:
    """Refuse a range of bytes that is none.

    Raises:
        StorageError: The start or the length is negative.
    """
    if start < 0 or length < 0:
        raise StorageError(key, f"expected a range of start and length, 0 or more each, got {start} and {length}")


async def parts_of(key: str, data: bytes | AsyncIterable[bytes]) -> AsyncGenerator[bytes]:
    """Yield the bytes to be written in parts of about `PART_BYTES`, however small or large the given ones are.

    Raises:
        StorageError: A part is not bytes.
    """
    waiting = bytearray()
    async for part in _one(data) if isinstance(data, (bytes, bytearray, memoryview)) else data:
        if not isinstance(part, (bytes, bytearray, memoryview)):
            raise StorageError(
                key, f"expected bytes, or an async iterable of bytes, got a part of {type(part).__name__}"
            )
        if not waiting and len(part) == PART_BYTES:
            yield bytes(part)
            continue
        waiting += part
        while len(waiting) >= PART_BYTES:
            yield bytes(waiting[:PART_BYTES])
            del waiting[:PART_BYTES]
    if waiting:
        yield bytes(waiting)


async def _one(data: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(data), PART_BYTES):
        yield data[start : start + PART_BYTES]
