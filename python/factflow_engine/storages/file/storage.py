"""The object store in a folder: its async methods, which give the blocking work to threads.

Kept separate from that work because it is the only part that knows trio: a thread's work is never abandoned, so a
cancelled write has been committed or leaves the former object, and its temporary file is removed.
"""

import hashlib
import os
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Iterable, Mapping
from contextlib import aclosing, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

import trio

from factflow_engine.seams import Clock, Randomness, Seams, SystemClock, SystemRandomness, Threads, TrioThreads
from factflow_engine.storages.content import KEYS_A_CHECKPOINT, PART_BYTES, Listing, check_range, described, parts_of
from factflow_engine.storages.examination import Leftover
from factflow_engine.storages.file import leftovers, listing, reading, writing
from factflow_engine.storages.file.disk import Disk
from factflow_engine.storages.file.location import root_of, storage_error
from factflow_engine.storages.keys import check_key, check_prefix
from factflow_protocols import ObjectMetadata, StorageError

T = TypeVar("T")

LONGEST_LOCK_SECONDS: Final = 30.0
"""Longest wait for another writer of the same key, which holds the lock for milliseconds unless it is stopped."""

_THREADS: Final = 16


class FileStorage:
    """Objects as files below a folder, each with a sidecar. Any number of processes may use the folder at once.

    Nothing is made before the first write. Symbolic links below the folder are not followed.

    Example:
        storage = FileStorage("objects")
        await storage.write("a/b.txt", b"hello", content_type="text/plain")
        content, metadata = await storage.read("a/b.txt")
    """

    def __init__(
        self,
        folder: Path | str,
        *,
        threads: Threads | None = None,
        clock: Clock | None = None,
        randomness: Randomness | None = None,
        disk: Disk | None = None,
    ) -> None:
        """Note the folder.

        Args:
            folder: The folder; made with those above it by the first write.
            threads: Runner of blocking work; at most 16 threads of its own by default.
            clock: Clock for the age of leftovers; the machine's by default.
            randomness: Source of the names of temporary files; the system's by default.
            disk: The system's calls; others are for tests.
        """
        self.folder: Final = Path(os.path.abspath(folder))  # noqa: PTH100 - Path.absolute() keeps `..`, resolve() reads links
        self.disk: Final = Disk() if disk is None else disk
        self._clock = SystemClock() if clock is None else clock
        self._randomness = SystemRandomness() if randomness is None else randomness
        self._threads = TrioThreads(_THREADS) if threads is None else threads

    def __repr__(self) -> str:
        return f"FileStorage({str(self.folder)!r})"

    @classmethod
    def from_url(cls, url: str, *, directory: Path | None = None, seams: Seams | None = None) -> "FileStorage":
        """See `StorageProviderClass.from_url`."""
        folder = root_of(url, directory=directory)
        if seams is None:
            return cls(folder)
        threads = seams.store_threads(_THREADS)
        return cls(folder, threads=threads, clock=seams.clock, randomness=seams.randomness)

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
        described(key, content_type=content_type, size_bytes=0, checksum="", custom=custom)  # before anything is made
        upload = writing.Upload(
            self.disk, self.folder, key, content_type=content_type, custom=custom, token=self._token()
        )
        try:
            if isinstance(data, bytes):
                return await self.locked(key, partial(upload.write_and_commit, data))
            async with aclosing(parts_of(key, data)) as parts:
                async for part in parts:
                    await self.run(key, partial(upload.write, part))
            return await self.locked(key, upload.commit)
        finally:
            if upload.is_open:
                # Shielded: a cancelled write leaves no temporary file, and removing one does not wait for anybody.
                with trio.CancelScope(shield=True):
                    await self.run(key, upload.discard)

    async def read(self, key: str) -> tuple[bytes, ObjectMetadata]:
        """See `StorageProtocol.read`."""
        check_key(key)
        return await self.run(key, partial(reading.read_object, self.disk, self.folder, key))

    async def read_range(self, key: str, start: int, length: int) -> bytes:
        """See `StorageProtocol.read_range`."""
        check_key(key)
        check_range(key, start, length)
        return await self.run(key, partial(reading.read_range, self.disk, self.folder, key, start, length))

    @asynccontextmanager
    async def stream(self, key: str) -> AsyncIterator[AsyncIterator[bytes]]:
        """See `StorageProtocol.stream`."""
        check_key(key)
        opened = await self.run(key, partial(reading.open_object, self.disk, self.folder, key))
        try:
            async with aclosing(self._parts(key, opened)) as parts:
                yield parts
        finally:
            os.close(opened.file)

    async def metadata(self, key: str) -> ObjectMetadata:
        """See `StorageProtocol.metadata`."""
        check_key(key)
        return await self.run(key, partial(reading.read_metadata, self.disk, self.folder, key))

    async def exists(self, key: str) -> bool:
        """See `StorageProtocol.exists`."""
        check_key(key)
        return await self.run(key, partial(reading.exists, self.disk, self.folder, key))

    def list(self, prefix: str = "") -> AsyncIterator[str]:
        """See `StorageProtocol.list`; a folder's names are those that it had when the listing came to it."""
        *parts, beginning = check_prefix(prefix).split("/")
        walk = listing.Walk(listing.Names(tuple(parts), beginning))

        async def next_batch() -> Iterable[str]:
            await trio.lowlevel.checkpoint()
            while not walk.is_done:
                if (wanted := walk.wanted) is not None:
                    where = "/".join(wanted.parts)
                    walk.enter(await self.run(where, partial(listing.names_in, self.disk, self.folder, wanted)))
                if keys := walk.keys(KEYS_A_CHECKPOINT):
                    return keys
            return ()

        return Listing(next_batch)

    async def delete(self, key: str) -> None:
        """See `StorageProtocol.delete`."""
        check_key(key)
        await self.locked(key, partial(writing.delete, self.disk, self.folder, key))

    async def close(self) -> None:
        """See `StorageProtocol.close`."""
        await trio.lowlevel.checkpoint()

    def leftovers(self, prefix: str = "") -> AsyncIterator[Leftover]:
        """See `ExaminedStorage.leftovers`."""
        *parts, _ = check_prefix(prefix).split("/")
        waiting: list[tuple[tuple[str, ...], list[str] | None]] = [(tuple(parts), None)]  # None: not read yet

        async def next_batch() -> Iterable[Leftover]:
            await trio.lowlevel.checkpoint()
            while waiting:
                folder, names = waiting[-1]  # it stays there if this is cancelled
                where = "/".join(folder)
                if names is None:
                    names = await self.run(where, partial(listing.every_name_in, self.disk, self.folder, folder))
                    waiting.pop()
                    starts = reversed(range(0, len(names), KEYS_A_CHECKPOINT))
                    waiting.extend((folder, names[start : start + KEYS_A_CHECKPOINT]) for start in starts)
                    continue
                look = partial(
                    leftovers.found_among,
                    self.disk,
                    self.folder,
                    folder,
                    names,
                    prefix=prefix,
                    now_ns=self._clock.wall_ns(),
                )
                found, inner = await self.run(where, look)
                waiting.pop()
                waiting.extend(((*folder, name), None) for name in reversed(inner))
                if found:
                    return found
            return ()

        return Listing(next_batch)

    async def remove_leftover(self, leftover: Leftover) -> bool:
        """See `ExaminedStorage.remove_leftover`."""
        remove = partial(leftovers.remove, self.disk, self.folder, leftover.place, self._token())
        return await self.locked(leftover.place, remove)

    async def run(self, key: str, work: Callable[[], T]) -> T:
        """Do blocking work in a thread, and give its errors the key and the reason.

        Raises:
            StorageError: The file system refused.

        Cancellation: takes effect before the work or after it, never within.
        """
        try:
            return await self._threads.run(work)
        except OSError as error:
            raise storage_error(key, error, f"in {str(self.folder)!r}:") from error

    async def locked(self, key: str, work: Callable[[], T]) -> T:
        """Do blocking work that needs the key's lock, again until that is free.

        Raises:
            StorageError: The file system refused, or another writer holds the lock for too long.
        """
        deadline = trio.current_time() + LONGEST_LOCK_SECONDS
        pause = 0.001
        while True:
            try:
                return await self.run(key, work)
            except writing.BusyError:
                if trio.current_time() > deadline:
                    raise StorageError(
                        key,
                        f"another writer of it has held its lock for {LONGEST_LOCK_SECONDS:g} s; end that process if it hangs",
                    ) from None
            await trio.sleep(pause)
            pause = min(2 * pause, 0.01)

    def _token(self) -> str:
        return self._randomness.token(12).hex()

    async def _parts(self, key: str, opened: reading.OpenObject) -> AsyncGenerator[bytes]:
        digest = hashlib.sha256()
        start = 0

        def read() -> bytes:
            part = self.disk.read(opened.file, start, PART_BYTES)
            digest.update(part)
            return part

        while part := await self.run(key, read):
            start += len(part)
            yield part
        reading.matching(key, opened.versions, digest.hexdigest())
