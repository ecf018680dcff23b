"""Object store that notes what is done with it, around any other.

Kept separate from the stores because it keeps everything: it is for tests.
"""

from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import dataclass
from typing import Any, Literal

import trio

from factflow_engine.storages.content import parts_of
from factflow_engine.storages.memory import MemoryStorage
from factflow_engine.testing.delegation import extended
from factflow_protocols import ObjectMetadata, StorageProtocol

StorageOperation = Literal["write", "read", "read_range", "stream", "metadata", "exists", "list", "delete"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageRecord:
    """One operation of an object store that has succeeded.

    Attributes:
        operation: The method of `StorageProtocol`.
        key: The key as the store was given it; of `list`, the prefix.
        data: The bytes that were written or read; empty for other operations, and for `stream`.
        written: Metadata of an object that was written; None for other operations.
        seconds: Time of the end of the operation, by trio's clock; of `stream` and `list`, of its begin.
    """

    operation: StorageOperation
    key: str
    data: bytes = b""
    written: ObjectMetadata | None = None
    seconds: float = 0.0


class RecordingStorage:
    """An object store for tests: hands everything to another store, and notes what was done.

    Operations that raise are not noted. Written objects are held whole, in memory.

    Args:
        storage: The store; a new `MemoryStorage` by default.

    Attributes:
        records: All operations, in order.

    Example:
        async def main() -> None:
            storage = RecordingStorage()
            await storage.write("a/b", b"text")
            assert storage.objects == {"a/b": b"text"}
            await storage.delete("a/b")
            assert [record.operation for record in storage.records] == ["write", "delete"]

        trio.run(main)
    """

    def __new__(cls, storage: StorageProtocol | None = None) -> "RecordingStorage":
        """Make the wrapper with the abilities of what it wraps."""
        inner = MemoryStorage() if storage is None else storage
        made: RecordingStorage = object.__new__(extended(cls, inner, {}))
        made._inner = inner
        return made

    def __init__(self, storage: StorageProtocol | None = None) -> None:  # noqa: ARG002 - see `__new__`
        self.records: list[StorageRecord] = []
        self._inner: StorageProtocol

    @property
    def written(self) -> list[StorageRecord]:
        """Writes, in order."""
        return [record for record in self.records if record.operation == "write"]

    @property
    def objects(self) -> dict[str, bytes]:
        """Objects that were written through this store, as they are now, without those that it has deleted."""
        found: dict[str, bytes] = {}
        for record in self.records:
            if record.operation == "write":
                found[record.key] = record.data
            elif record.operation == "delete":
                found.pop(record.key, None)
        return found

    # The protocol.

    async def write(
        self,
        key: str,
        data: bytes | AsyncIterable[bytes],
        *,
        content_type: str = "application/octet-stream",
        custom: Mapping[str, Any] | None = None,
    ) -> ObjectMetadata:
        """See `StorageProtocol.write`."""
        parts: list[bytes] = []
        passed = _noted(key, data, parts)
        metadata = await self._inner.write(key, passed, content_type=content_type, custom=custom)
        self._note("write", key, b"".join(parts), metadata)
        return metadata

    async def read(self, key: str) -> tuple[bytes, ObjectMetadata]:
        """See `StorageProtocol.read`."""
        data, metadata = await self._inner.read(key)
        self._note("read", key, data)
        return data, metadata

    async def read_range(self, key: str, start: int, length: int) -> bytes:
        """See `StorageProtocol.read_range`."""
        data = await self._inner.read_range(key, start, length)
        self._note("read_range", key, data)
        return data

    def stream(self, key: str) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """See `StorageProtocol.stream`."""
        opened = self._inner.stream(key)
        self._note("stream", key)
        return opened

    async def metadata(self, key: str) -> ObjectMetadata:
        """See `StorageProtocol.metadata`."""
        metadata = await self._inner.metadata(key)
        self._note("metadata", key)
        return metadata

    async def exists(self, key: str) -> bool:
        """See `StorageProtocol.exists`."""
        is_there = await self._inner.exists(key)
        self._note("exists", key)
        return is_there

    def list(self, prefix: str = "") -> AsyncIterator[str]:
        """See `StorageProtocol.list`."""
        listed = self._inner.list(prefix)
        self._note("list", prefix)
        return listed

    async def delete(self, key: str) -> None:
        """See `StorageProtocol.delete`."""
        await self._inner.delete(key)
        self._note("delete", key)

    async def close(self) -> None:
        """See `StorageProtocol.close`."""
        await self._inner.close()

    def _note(
        self, operation: StorageOperation, key: str, data: bytes = b"", written: ObjectMetadata | None = None
    ) -> None:
        seconds = trio.current_time()
        self.records.append(StorageRecord(operation=operation, key=key, data=data, written=written, seconds=seconds))


async def _noted(key: str, data: bytes | AsyncIterable[bytes], parts: "list[bytes]") -> AsyncGenerator[bytes]:
    async with aclosing(parts_of(key, data)) as given:
        async for part in given:
            parts.append(part)
            yield part
