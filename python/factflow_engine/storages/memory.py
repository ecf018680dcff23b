"""Object store in this process's memory, for tests and for pipelines that keep nothing.

Kept separate from the other stores because it needs neither files nor a network.
"""

from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Iterable, Iterator, Mapping
from contextlib import aclosing, asynccontextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import trio

from factflow_engine.seams import Seams
from factflow_engine.storages.content import (
    KEYS_A_CHECKPOINT,
    PART_BYTES,
    Listing,
    check_range,
    described,
    parts_of,
    sha256,
)
from factflow_engine.storages.keys import check_key, check_prefix
from factflow_protocols import ObjectMetadata, StorageNotFoundError, StorageUrlError


class MemoryStorage:
    """Objects in a dictionary; they end with this object. Each `memory://` is a store of its own."""

    def __init__(self) -> None:
        self._objects: dict[str, tuple[bytes, ObjectMetadata]] = {}

    @classmethod
    def from_url(
        cls,
        url: str,
        *,
        directory: Path | None = None,  # noqa: ARG003 - the protocol's
        seams: Seams | None = None,  # noqa: ARG003 - it waits for nothing
    ) -> "MemoryStorage":
        """See `StorageProviderClass.from_url`."""
        if url != "memory://":
            raise StorageUrlError(url, "a store in memory has no name and no options; write memory://")
        return cls()

    async def write(
        self,
        key: str,
        data: bytes | AsyncIterable[bytes],
        *,
        content_type: str = "application/octet-stream",
        custom: Mapping[str, Any] | None = None,
    ) -> ObjectMetadata:
        """See `StorageProtocol.write`."""
        check_key(key)
        described(key, content_type=content_type, size_bytes=0, checksum="", custom=custom)  # before the bytes come
        await trio.lowlevel.checkpoint()
        async with aclosing(parts_of(key, data)) as parts:
            content = b"".join([part async for part in parts])
        metadata = described(
            key, content_type=content_type, size_bytes=len(content), checksum=sha256(content), custom=custom
        )
        self._objects[key] = content, metadata
        return metadata

    async def read(self, key: str) -> tuple[bytes, ObjectMetadata]:
        """See `StorageProtocol.read`."""
        await trio.lowlevel.checkpoint()
        return self._found(key)

    async def read_range(self, key: str, start: int, length: int) -> bytes:
        """See `StorageProtocol.read_range`."""
        check_range(key, start, length)
        await trio.lowlevel.checkpoint()
        return self._found(key)[0][start : start + length]

    @asynccontextmanager
    async def stream(self, key: str) -> AsyncIterator[AsyncIterator[bytes]]:
        """See `StorageProtocol.stream`."""
        await trio.lowlevel.checkpoint()
        async with aclosing(_parts(self._found(key)[0])) as parts:
            yield parts

    async def metadata(self, key: str) -> ObjectMetadata:
        """See `StorageProtocol.metadata`."""
        await trio.lowlevel.checkpoint()
        return self._found(key)[1]

    async def exists(self, key: str) -> bool:
        """See `StorageProtocol.exists`."""
        await trio.lowlevel.checkpoint()
        return check_key(key) in self._objects

    def list(self, prefix: str = "") -> AsyncIterator[str]:
        """See `StorageProtocol.list`; the keys are those that were there when the first was asked for."""
        check_prefix(prefix)
        keys: Iterator[str] | None = None

        async def next_batch() -> Iterable[str]:
            nonlocal keys
            await trio.lowlevel.checkpoint()
            if keys is None:
                keys = iter(sorted(key for key in self._objects if key.startswith(prefix)))
            return islice(keys, KEYS_A_CHECKPOINT)

        return Listing(next_batch)

    async def delete(self, key: str) -> None:
        """See `StorageProtocol.delete`."""
        await trio.lowlevel.checkpoint()
        self._objects.pop(check_key(key), None)

    async def close(self) -> None:
        """See `StorageProtocol.close`."""
        await trio.lowlevel.checkpoint()

    def _found(self, key: str) -> tuple[bytes, ObjectMetadata]:
        found = self._objects.get(check_key(key))
        if found is None:
            raise StorageNotFoundError(key)
        return found


async def _parts(content: bytes) -> AsyncGenerator[bytes]:
    for start in range(0, len(content), PART_BYTES):
        await trio.lowlevel.checkpoint()
        yield content[start : start + PART_BYTES]
