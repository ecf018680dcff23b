"""Protocol of an object-store provider; kept separate from queues because a deployment may have only one of them."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class ObjectMetadata:
    """Metadata of a stored object.

    Attributes:
        content_type: A media type.
        size_bytes: Length of the object.
        custom: Fields of the pipeline's metadata schema. Unknown fields are kept.
    """

    content_type: str
    size_bytes: int
    custom: Mapping[str, Any]


class StorageProtocol(Protocol):
    """Store of whole objects under slash-separated keys. Keys are untrusted: no `..`, absolute path or empty part."""

    async def write(self, key: str, data: bytes, metadata: ObjectMetadata) -> None:
        """Store the object and its metadata, replacing an older one, so that a reader sees the old or the new.

        Raises:
            StorageError: Nothing was changed.

        Cancellation: the old or the new object is there, never a part of it.
        """
        ...

    async def read(self, key: str) -> tuple[bytes, ObjectMetadata]:
        """Return the object and its metadata.

        Raises:
            StorageNotFoundError: There is no such object.
        """
        ...

    async def exists(self, key: str) -> bool:
        """True if an object is stored under the key."""
        ...

    def list(self, prefix: str) -> AsyncIterator[str]:
        """Yield the keys that begin with `prefix`, in order, lazily."""
        ...

    async def delete(self, key: str) -> None:
        """Remove the object and its metadata; a missing object is ignored."""
        ...
