"""The object store in a bucket: its async methods, which give obstore's blocking calls to threads.

obstore's own async functions need asyncio. Kept separate from the calls because it is the only part that knows trio.
"""

import hashlib
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Callable,
    Iterable,
    Mapping,
)
from contextlib import aclosing, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

import obstore
import trio
from obstore.exceptions import BaseError
from obstore.store import ObjectStore

from factflow_engine.seams import Clock, Randomness, Seams, SystemClock, SystemRandomness, Threads, TrioThreads
from factflow_engine.storages.bucket import calls
from factflow_engine.storages.bucket.attributes import sidecar_owner
from factflow_engine.storages.bucket.failures import storage_error
from factflow_engine.storages.bucket.location import client_of
from factflow_engine.storages.bucket.pages import Pages
from factflow_engine.storages.content import PART_BYTES, Listing, check_range, described, parts_of
from factflow_engine.storages.examination import Leftover, ProblemKind
from factflow_engine.storages.keys import check_key, check_prefix, key_problem
from factflow_protocols import ObjectMetadata, StorageError, StorageNotFoundError

T = TypeVar("T")

_THREADS: Final = 16


class BucketStorage:
    """Objects in a bucket of S3, GCS or Azure, or of what speaks their protocols.

    Credentials and endpoints come from the environment. Replacing an object is one request, and so whole; an upload in
    parts of a killed process stays with the bucket until its life-cycle rule removes it.
    """

    def __init__(
        self,
        client: ObjectStore,
        *,
        threads: Threads | None = None,
        clock: Clock | None = None,
        randomness: Randomness | None = None,
    ) -> None:
        """Note the client.

        Args:
            client: A store of obstore's, with its bucket and folder.
            threads: Runner of blocking calls; at most 16 threads of its own by default.
            clock: Clock for the age of leftovers; the machine's by default.
            randomness: Source of the numbers of writes, which tell sidecars apart; the system's by default.
        """
        self._client = client
        self._threads = TrioThreads(_THREADS) if threads is None else threads
        self._clock = SystemClock() if clock is None else clock
        self._randomness = SystemRandomness() if randomness is None else randomness

    @classmethod
    def from_url(
        cls,
        url: str,
        *,
        directory: Path | None = None,  # noqa: ARG003 - the protocol's
        seams: Seams | None = None,
    ) -> "BucketStorage":
        """See `StorageProviderClass.from_url`."""
        client = client_of(url)
        if seams is None:
            return cls(client)
        threads = seams.store_threads(_THREADS)
        return cls(client, threads=threads, clock=seams.clock, randomness=seams.randomness)

    async def write(
        self,
        key: str,
        data: bytes | AsyncIterable[bytes],
        *,
        content_type: str = "application/octet-stream",
        custom: Mapping[str, Any] | None = None,
    ) -> ObjectMetadata:
        """See `StorageProtocol.write`; cancellation waits for an upload that has begun.

        Parts are collected in a temporary file first, because the checksum is sent before them.
        """
        check_key(key)
        described(key, content_type=content_type, size_bytes=0, checksum="", custom=custom)  # before anything is sent
        token = self._randomness.token(12).hex()
        if isinstance(data, bytes):
            put = partial(calls.put, self._client, key, data, content_type=content_type, custom=custom, token=token)
            return await self._run(key, put, is_read=False)
        spool = calls.Spool()
        try:
            async with aclosing(parts_of(key, data)) as parts:
                async for part in parts:
                    await self._run(key, partial(spool.write, part), is_read=False)
            send = partial(spool.put, self._client, key, content_type=content_type, custom=custom, token=token)
            return await self._run(key, send, is_read=False)
        finally:
            spool.close()

    async def read(self, key: str) -> tuple[bytes, ObjectMetadata]:
        """See `StorageProtocol.read`."""
        check_key(key)
        return await self._run(key, partial(calls.fetch_all, self._client, key))

    async def read_range(self, key: str, start: int, length: int) -> bytes:
        """See `StorageProtocol.read_range`."""
        check_key(key)
        check_range(key, start, length)
        return await self._run(key, partial(calls.fetch_range, self._client, key, start, length))

    @asynccontextmanager
    async def stream(self, key: str) -> AsyncIterator[AsyncIterator[bytes]]:
        """See `StorageProtocol.stream`; fails if the object is replaced meanwhile and is larger than 8 MiB."""
        check_key(key)
        fetched = await self._run(key, partial(calls.fetch, self._client, key))
        async with aclosing(self._parts(key, fetched)) as parts:
            yield parts

    async def metadata(self, key: str) -> ObjectMetadata:
        """See `StorageProtocol.metadata`."""
        check_key(key)
        return await self._run(key, partial(calls.fetch_metadata, self._client, key))

    async def exists(self, key: str) -> bool:
        """See `StorageProtocol.exists`."""
        check_key(key)
        try:
            await self._run(key, partial(obstore.head, self._client, key))
        except StorageNotFoundError:
            return False
        return True

    def list(self, prefix: str = "") -> AsyncIterator[str]:
        """See `StorageProtocol.list`; pages of a thousand keys, each as the bucket was when it was asked for."""
        pages = Pages(self._client, check_prefix(prefix))

        async def next_batch() -> Iterable[str]:
            while page := await self._run(prefix, pages.next, is_read=False):
                if keys := [name for name, _ in page if not key_problem(name)]:
                    return keys
            return ()

        return Listing(next_batch)

    async def delete(self, key: str) -> None:
        """See `StorageProtocol.delete`."""
        check_key(key)
        await self._run(key, partial(calls.remove, self._client, key))

    async def close(self) -> None:
        """See `StorageProtocol.close`; obstore closes its connections with its client."""
        await trio.lowlevel.checkpoint()

    def leftovers(self, prefix: str = "") -> AsyncIterator[Leftover]:
        """See `ExaminedStorage.leftovers`."""
        pages = Pages(self._client, check_prefix(prefix))

        async def next_batch() -> Iterable[Leftover]:
            while page := await self._run(prefix, pages.next, is_read=False):
                now = self._clock.wall_ns() / 1e9
                judged = [
                    await self._judged(name, now - changed)
                    for name, changed in page
                    if _key_of(name).startswith(prefix)
                ]
                if found := [each for each in judged if each is not None]:
                    return found
            return ()

        return Listing(next_batch)

    async def remove_leftover(self, leftover: Leftover) -> bool:
        """See `ExaminedStorage.remove_leftover`."""
        owner = sidecar_owner(leftover.place)
        if owner is None or await self._run(owner[0], partial(calls.names_sidecar, self._client, *owner)):
            return False
        await self._run(leftover.place, partial(obstore.delete, self._client, leftover.place))
        return True

    async def _judged(self, name: str, age_seconds: float) -> Leftover | None:
        """Return a name of the bucket as a leftover if it is one."""
        owner = sidecar_owner(name)
        if owner is not None:
            if await self._run(owner[0], partial(calls.names_sidecar, self._client, *owner)):
                return None
            return Leftover(
                kind=ProblemKind.ORPHANED,
                place=name,
                text="sidecar that no object names",
                age_seconds=age_seconds,
                is_repairable=True,
            )
        problem = key_problem(name)
        if not problem:
            return None
        return Leftover(
            kind=ProblemKind.FOREIGN,
            place=name,
            text=f"object of another program: {problem}",
            age_seconds=None,
            is_repairable=False,
        )

    async def _parts(self, key: str, fetched: calls.Fetched) -> AsyncGenerator[bytes]:
        digest = hashlib.sha256()
        size = fetched.metadata.size_bytes
        window, received = fetched.content, len(fetched.content)
        while window:
            for start in range(0, len(window), PART_BYTES):
                part = window[start : start + PART_BYTES]
                digest.update(part)
                yield part
            fetch = partial(calls.fetch_window, self._client, key, received, size, fetched.e_tag)
            window = await self._run(key, fetch) if received < size else b""
            received += len(window)
        await trio.lowlevel.checkpoint()
        calls.check(key, fetched.metadata, digest.hexdigest())

    async def _run(self, key: str, work: Callable[[], T], *, is_read: bool = True) -> T:
        """Make a blocking call in a thread, and map its errors.

        Raises:
            StorageError: The bucket refused, or is not reached.

        Cancellation: takes effect before the call or after it, never within.
        """
        try:
            return await self._threads.run(work)
        except StorageError:
            raise
        except (BaseError, OSError, ValueError) as error:
            raise storage_error(key, error, is_read=is_read) from error


def _key_of(name: str) -> str:
    """Return the key that a name of the bucket belongs to: a sidecar to its object's, which a longer prefix excludes."""
    owner = sidecar_owner(name)
    return name if owner is None else owner[0]
