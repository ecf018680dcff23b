"""Protocol of an object store; kept separate from queues because a deployment may have only one of them."""

from collections.abc import AsyncIterable, AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectMetadata:
    """Metadata of a stored object.

    Attributes:
        content_type: A media type.
        size_bytes: Length of the object.
        checksum: SHA-256 of its bytes, in 64 hexadecimal digits.
        custom: What its writer added: values that JSON can hold. Unknown fields are kept.
    """

    content_type: str
    size_bytes: int
    checksum: str
    custom: Mapping[str, Any] = field(default_factory=dict)


@runtime_checkable
class StorageProtocol(Protocol):
    """Store of whole objects under slash-separated keys.

    A key is 1 to 900 bytes of UTF-8 in parts of at most 200 bytes. Refused are empty parts, `.` and `..`, control
    characters, line and paragraph separators, backslashes, and what stores need for themselves: parts that end in
    `.meta.json` or begin with `.factflow-`. No key should be the folder of another, as `a` is of `a/b`: some stores
    cannot have both, and then refuse the second.
    """

    async def write(
        self,
        key: str,
        data: bytes | AsyncIterable[bytes],
        *,
        content_type: str = "application/octet-stream",
        custom: Mapping[str, Any] | None = None,
    ) -> ObjectMetadata:
        """Store an object and its metadata, replacing an older one; a reader sees the old or the new.

        When this returns, both outlive the process, and the machine if the store does.

        Args:
            key: Key of the object.
            data: Its bytes, or parts of them, which are held one at a time; an async generator is closed in any case.
            content_type: A media type.
            custom: Values that JSON can hold, to be stored beside it.

        Raises:
            StorageKeyError: The key cannot be one.
            StorageError: The store failed, or the content type or `custom` cannot be stored. The former object is there,
            if any; or, if only the last step failed, the new one.

        Cancellation: the old or the new object is there, never a part of one.
        """
        ...

    async def read(self, key: str) -> tuple[bytes, ObjectMetadata]:
        """Return an object and its metadata.

        Raises:
            StorageKeyError: The key cannot be one.
            StorageNotFoundError: There is no such object.
            StorageCorruptError: The bytes are not those that were written.
        """
        ...

    async def read_range(self, key: str, start: int, length: int) -> bytes:
        """Return `length` bytes of an object from `start` on, fewer at its end; nothing is checked against a checksum.

        Raises:
            StorageKeyError: The key cannot be one.
            StorageNotFoundError: There is no such object.
        """
        ...

    def stream(self, key: str) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """Open an object to be read in parts of at most 1 MiB, one in memory at a time.

        Raises:
            StorageKeyError: The key cannot be one.
            StorageNotFoundError: There is no such object; raised on entry.
            StorageCorruptError: The bytes were not those that were written; raised after the last part.
        """
        ...

    async def metadata(self, key: str) -> ObjectMetadata:
        """Return an object's metadata without its bytes.

        Raises:
            StorageKeyError: The key cannot be one.
            StorageNotFoundError: There is no such object.
            StorageCorruptError: There is an object without readable metadata.
        """
        ...

    async def exists(self, key: str) -> bool:
        """True if an object is stored under the key."""
        ...

    def list(self, prefix: str = "") -> AsyncIterator[str]:
        """Yield the keys that begin with `prefix`, which may end within a part, in order of their code points."""
        ...

    async def delete(self, key: str) -> None:
        """Remove an object and its metadata; a missing object is ignored."""
        ...

    async def close(self) -> None:
        """Release what the store holds, such as connections. Objects stay."""
        ...


@runtime_checkable
class StorageProviderClass(Protocol):
    """Class of an object store, for the table of URL schemes and the entry points `factflow.storages`."""

    def from_url(self, url: str, *, directory: Path | None = None) -> StorageProtocol:
        """Return the store that a URL names; nothing is opened yet.

        Args:
            url: The URL, scheme included.
            directory: Folder that relative paths start from; the working directory by default.

        Raises:
            StorageUrlError: The URL cannot be read.
        """
        ...
