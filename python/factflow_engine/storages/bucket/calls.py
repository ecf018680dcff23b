"""The blocking calls to a bucket, in the order that keeps objects and sidecars together.

Kept separate from the store, which gives each call a thread. A sidecar is written before the object that names it, and
removed after it. An object is replaced in one request, or by completing one upload in parts; if the new one names a
sidecar, that of the former one is then removed. If it names none, nobody looks for a former sidecar, because that would
cost each write a request: verification finds what is left.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from tempfile import SpooledTemporaryFile
from typing import IO, Any, Final, TypeVar

import obstore
from obstore.store import ObjectStore

from factflow_engine.storages.bucket import attributes
from factflow_engine.storages.content import PART_BYTES, described, sha256
from factflow_protocols import ObjectMetadata, StorageCorruptError

T = TypeVar("T")

_UPLOAD_PART_BYTES: Final = 8 << 20
"""Size of the parts in which large objects are sent, of which at most `_UPLOADS` are in memory."""

_UPLOADS: Final = 2

_ATTEMPTS: Final = 100
"""Attempts to read an object that is replaced meanwhile; each takes two requests, as each replacement takes four."""

WINDOW_BYTES: Final = 8 << 20
"""Bytes asked for in one request: one of a gigabyte would outlast its time limit."""


class Spool:
    """Bytes that are collected before they are sent, because the checksum goes first: in memory, then on disk."""

    def __init__(self) -> None:
        self._file: IO[bytes] | None = None
        self._digest = hashlib.sha256()
        self._size = 0

    def write(self, data: bytes) -> None:
        """Append bytes."""
        if self._file is None:
            # Closed by `close`, which the store calls in any case. It has no name that a run could depend on.
            self._file = SpooledTemporaryFile(_UPLOAD_PART_BYTES)  # noqa: SIM115
        self._file.write(data)
        self._digest.update(data)
        self._size += len(data)

    def put(
        self, client: ObjectStore, key: str, *, content_type: str, custom: Mapping[str, Any] | None, token: str
    ) -> ObjectMetadata:
        """Send the bytes as an object; see `attributes.encode` for the token."""
        metadata = described(
            key,
            content_type=content_type,
            size_bytes=self._size,
            checksum=self._digest.hexdigest(),
            custom=custom,
        )
        if self._file is not None:
            self._file.seek(0)
        _put(client, key, metadata, iter(()) if self._file is None else _parts(self._file), token)
        return metadata

    def close(self) -> None:
        """Remove the temporary file."""
        if self._file is not None:
            self._file.close()


def put(
    client: ObjectStore, key: str, data: bytes, *, content_type: str, custom: Mapping[str, Any] | None, token: str
) -> ObjectMetadata:
    """Send an object; see `attributes.encode` for the token."""
    metadata = described(key, content_type=content_type, size_bytes=len(data), checksum=sha256(data), custom=custom)
    _put(client, key, metadata, data, token)
    return metadata


def _put(client: ObjectStore, key: str, metadata: ObjectMetadata, data: bytes | Iterator[bytes], token: str) -> None:
    headers = attributes.encode(key, metadata, token)
    former = None
    if headers.sidecar is not None:
        former = _sidecar_of(client, key)
        name, content = headers.sidecar
        obstore.put(client, name, content, attributes={"Content-Type": "application/json"}, use_multipart=False)
    if metadata.size_bytes <= _UPLOAD_PART_BYTES:
        whole = data if isinstance(data, bytes) else b"".join(data)
        obstore.put(client, key, whole, attributes=headers.attributes, use_multipart=False)
    else:
        obstore.put(
            client,
            key,
            data,
            attributes=headers.attributes,
            use_multipart=True,
            chunk_size=_UPLOAD_PART_BYTES,
            max_concurrency=_UPLOADS,
        )
    if former is not None:
        _delete(client, attributes.sidecar_name(key, former))


def _parts(file: IO[bytes]) -> Iterator[bytes]:
    while part := file.read(PART_BYTES):
        yield part


@dataclass(frozen=True, slots=True)
class Fetched:
    """The beginning of an object.

    Attributes:
        content: Its first bytes: all of them, up to `WINDOW_BYTES`.
        metadata: Its metadata.
        e_tag: Mark of this version of it; None if the bucket has none.
    """

    content: bytes
    metadata: ObjectMetadata
    e_tag: str | None


def fetch(client: ObjectStore, key: str) -> Fetched:
    """Return the beginning of an object, with its metadata.

    Raises:
        StorageCorruptError: Its metadata is not that of an object of this store.
    """
    return _again_if_replaced(client, key, lambda: _fetch(client, key))


def _fetch(client: ObjectStore, key: str) -> Fetched:
    result = obstore.get(client, key)
    size = result.meta["size"]
    found = attributes.decode(key, result.attributes, size)
    content = bytes(result.bytes()) if size <= WINDOW_BYTES else b""
    e_tag = result.meta["e_tag"]
    del result  # the rest of a large one is not received
    metadata = _whole(client, key, found)
    return Fetched(content or fetch_window(client, key, 0, size, e_tag), metadata, e_tag)


def fetch_window(client: ObjectStore, key: str, start: int, size: int, e_tag: str | None) -> bytes:
    """Return up to `WINDOW_BYTES` of the same version of an object, of `size` bytes; none at its end."""
    end = min(start + WINDOW_BYTES, size)
    if start >= end:
        return b""
    options: Any = {"range": (start, end)}
    if e_tag is not None:
        options["if_match"] = e_tag
    return bytes(obstore.get(client, key, options=options).bytes())


def fetch_all(client: ObjectStore, key: str) -> tuple[bytes, ObjectMetadata]:
    """Return an object, checked.

    Raises:
        StorageCorruptError: Its bytes or its metadata are not those that were written.
    """
    fetched = fetch(client, key)
    size = fetched.metadata.size_bytes
    parts, received = [fetched.content], len(fetched.content)
    while part := fetch_window(client, key, received, size, fetched.e_tag):
        parts.append(part)
        received += len(part)
    content = b"".join(parts)
    check(key, fetched.metadata, sha256(content))
    return content, fetched.metadata


def fetch_metadata(client: ObjectStore, key: str) -> ObjectMetadata:
    """Return an object's metadata."""
    return _again_if_replaced(client, key, lambda: _whole(client, key, _described(client, key)))


def fetch_range(client: ObjectStore, key: str, start: int, length: int) -> bytes:
    """Return a part of an object, fewer bytes at its end."""
    size = obstore.head(client, key)["size"]
    end = min(start + length, size)
    return bytes(obstore.get_range(client, key, start=start, end=end)) if start < end else b""


def remove(client: ObjectStore, key: str) -> None:
    """Remove an object, then its sidecar."""
    sidecar = _sidecar_of(client, key)
    _delete(client, key)
    if sidecar is not None:
        _delete(client, attributes.sidecar_name(key, sidecar))


def names_sidecar(client: ObjectStore, key: str, digits: str) -> bool:
    """True if there is an object that names this sidecar."""
    return _sidecar_of(client, key) == digits


def check(key: str, metadata: ObjectMetadata, checksum: str) -> None:
    """Refuse bytes that are not those that were written.

    Raises:
        StorageCorruptError: The checksums differ.
    """
    if metadata.checksum != checksum:
        raise StorageCorruptError(
            key, f"its bytes are not those that were written: expected SHA-256 {metadata.checksum}, got {checksum}"
        )


def _delete(client: ObjectStore, name: str) -> None:
    with suppress(FileNotFoundError):  # some buckets say so
        obstore.delete(client, name)


def _sidecar_of(client: ObjectStore, key: str) -> str | None:
    """Return the digits of an object's sidecar; None if there is no object, or it names none."""
    try:
        return _described(client, key).sidecar
    except (FileNotFoundError, StorageCorruptError):
        return None


def _described(client: ObjectStore, key: str) -> attributes.Described:
    result = obstore.get(client, key, options={"head": True})
    return attributes.decode(key, result.attributes, result.meta["size"])


class _SidecarGoneError(StorageCorruptError):
    def __init__(self, key: str, digits: str) -> None:
        self.digits = digits
        super().__init__(key, f"its sidecar {attributes.sidecar_name(key, digits)!r} is missing")


def _again_if_replaced(client: ObjectStore, key: str, read: Callable[[], T]) -> T:
    """Return what is read of an object, read again if it was replaced before its sidecar was.

    Raises:
        StorageCorruptError: It names a sidecar that does not exist, or is replaced all the time.
    """
    for attempt in range(_ATTEMPTS):
        try:
            return read()
        except _SidecarGoneError as error:
            if attempt == _ATTEMPTS - 1 or _sidecar_of(client, key) == error.digits:
                raise
    raise AssertionError("the last attempt returns or raises")  # pragma: no cover


def _whole(client: ObjectStore, key: str, found: attributes.Described) -> ObjectMetadata:
    """Return metadata with its sidecar's part.

    Raises:
        _SidecarGoneError: The sidecar is missing, perhaps because the object was replaced meanwhile.
        StorageCorruptError: The sidecar is damaged.
    """
    if found.sidecar is None:
        return found.metadata
    name = attributes.sidecar_name(key, found.sidecar)
    try:
        content = bytes(obstore.get(client, name).bytes())
    except FileNotFoundError:
        raise _SidecarGoneError(key, found.sidecar) from None
    return attributes.with_sidecar(key, found, content)
