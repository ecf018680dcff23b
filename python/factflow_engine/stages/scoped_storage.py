"""An object store below an execution's own prefix: keys are relative to it, and none leads out.

Kept separate from the stores because it works on any of them.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any

from factflow_engine.stages.keys import execution_prefix
from factflow_engine.stages.writer import StagePlace
from factflow_protocols import ObjectMetadata, StorageKeyError, StorageProtocol


class ScopedStorage(StorageProtocol):
    """The object store of one stage of an execution, as its adapter has it.

    Keys are relative to `executions/<execution>/`. What is written gets the stage's provenance as metadata, unless the
    writer gives one. Errors name the full key.

    Attributes:
        place: The stage.
    """

    def __init__(self, place: StagePlace) -> None:
        self.place = place
        self._prefix = execution_prefix(place.info.execution_id)
        self._store = place.storage

    async def write(
        self,
        key: str,
        data: bytes | AsyncIterable[bytes],
        *,
        content_type: str = "application/octet-stream",
        custom: Mapping[str, Any] | None = None,
    ) -> ObjectMetadata:
        """See `StorageProtocol.write`."""
        stamped = {"provenance": self.place.provenance(), **(custom or {})}
        return await self._store.write(self._full(key), data, content_type=content_type, custom=stamped)

    async def read(self, key: str) -> tuple[bytes, ObjectMetadata]:
        """See `StorageProtocol.read`."""
        return await self._store.read(self._full(key))

    async def read_range(self, key: str, start: int, length: int) -> bytes:
        """See `StorageProtocol.read_range`."""
        return await self._store.read_range(self._full(key), start, length)

    def stream(self, key: str) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """See `StorageProtocol.stream`."""
        return self._store.stream(self._full(key))

    async def metadata(self, key: str) -> ObjectMetadata:
        """See `StorageProtocol.metadata`."""
        return await self._store.metadata(self._full(key))

    async def exists(self, key: str) -> bool:
        """See `StorageProtocol.exists`."""
        return await self._store.exists(self._full(key))

    def list(self, prefix: str = "") -> AsyncIterator[str]:
        """See `StorageProtocol.list`; the keys are relative, too."""
        # The last part of a prefix may be the beginning of one, or empty.
        if not isinstance(prefix, str):
            raise _outside(prefix)
        if any(part in {"", ".", ".."} for part in prefix.split("/")[:-1]) or prefix.rpartition("/")[2] == "..":
            raise _outside(prefix)
        return _RelativeKeys(self._store.list(self._prefix + prefix), self._prefix)

    async def delete(self, key: str) -> None:
        """See `StorageProtocol.delete`."""
        await self._store.delete(self._full(key))

    async def close(self) -> None:
        """Do nothing: the store is the execution's."""

    def _full(self, key: object) -> str:
        if not isinstance(key, str) or any(part in {"", ".", ".."} for part in key.split("/")):
            raise _outside(key)
        return self._prefix + key


class _RelativeKeys:
    """Keys without their prefix. A class rather than a generator, because a generator that is left must be closed."""

    def __init__(self, keys: AsyncIterator[str], prefix: str) -> None:
        self._keys = keys
        self._prefix = prefix

    def __aiter__(self) -> _RelativeKeys:
        return self

    async def __anext__(self) -> str:
        return (await anext(self._keys)).removeprefix(self._prefix)


def _outside(key: object) -> StorageKeyError:
    kind = "" if isinstance(key, str) else f"; got {type(key).__name__}"
    return StorageKeyError(
        str(key),
        f"a key is relative to its execution: expected parts between slashes, none of them empty, '.' or '..'{kind}",
    )
