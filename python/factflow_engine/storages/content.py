"""Content and metadata of an object as every store treats them: checked metadata, checksums, parts of a bounded size.

Kept separate from the stores because they differ in where bytes lie, and in nothing that is here.
"""

import hashlib
import json
import re
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
    Iterable,
    Iterator,
    Mapping,
)
from contextlib import asynccontextmanager
from typing import Any, Final, Generic, TypeVar

from factflow_protocols import ObjectMetadata, StorageError

T = TypeVar("T")

PART_BYTES: Final = 1 << 20
"""Size of the parts in which objects are read and written."""

KEYS_A_CHECKPOINT: Final = 256
"""Most keys that a listing gives without a checkpoint."""

LARGEST_METADATA_BYTES: Final = 1 << 20
"""Largest metadata of an object, as JSON."""

DEEPEST_METADATA: Final = 128
"""Most maps and lists inside each other in custom metadata, as in a message: parsers of JSON have limits of their own."""

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
        StorageError: JSON cannot hold it, or it is too large or too deep.
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
    if text.count("[") + text.count("{") > DEEPEST_METADATA and _is_deeper(normal, DEEPEST_METADATA):
        raise StorageError(
            key, f"its custom metadata has more than {DEEPEST_METADATA} maps and lists inside each other; nest it less"
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
    if not isinstance(data, (bytes, bytearray, memoryview)) and not hasattr(data, "__aiter__"):
        raise StorageError(key, f"expected bytes, or an async iterable of bytes, got {type(data).__name__}")
    waiting = bytearray()
    async with closed(_one(data) if isinstance(data, (bytes, bytearray, memoryview)) else data) as source:
        async for part in source:
            if not isinstance(part, (bytes, bytearray, memoryview)):
                raise StorageError(
                    key, f"expected bytes, or an async iterable of bytes, got a part of {type(part).__name__}"
                )
            waiting += part
            while len(waiting) >= PART_BYTES:
                yield bytes(waiting[:PART_BYTES])
                del waiting[:PART_BYTES]
        if waiting:
            yield bytes(waiting)


@asynccontextmanager
async def closed(iterable: AsyncIterable[T]) -> AsyncIterator[AsyncIterable[T]]:
    """Close an async generator at the end of the block; left half way, it would be a case for the garbage collector."""
    try:
        yield iterable
    finally:
        if isinstance(iterable, AsyncGenerator):
            await iterable.aclose()


class Listing(Generic[T]):
    """Listing of keys or leftovers, from batches that are asked for one after another; it can be left anywhere.

    A class rather than a generator, because a generator that is left must be closed.
    """

    def __init__(self, next_batch: Callable[[], Awaitable[Iterable[T]]]) -> None:
        """Note the source: a function that returns some of them, and none at the end; always a checkpoint."""
        self._next_batch = next_batch
        self._batch: Iterator[T] = iter(())

    def __aiter__(self) -> "Listing[T]":
        return self

    async def __anext__(self) -> T:
        for each in self._batch:
            return each
        self._batch = iter(await self._next_batch())
        for each in self._batch:
            return each
        raise StopAsyncIteration


async def _one(data: bytes) -> AsyncGenerator[bytes]:
    for start in range(0, len(data), PART_BYTES):
        yield data[start : start + PART_BYTES]


def _is_deeper(value: object, depth: int) -> bool:
    """True if there are more than `depth` maps and lists inside each other."""
    level: list[Any] = [value]
    for _ in range(depth):
        level = [inner for each in level for inner in (each.values() if isinstance(each, dict) else each)]
        level = [each for each in level if isinstance(each, (dict, list))]
        if not level:
            return False
    return True
