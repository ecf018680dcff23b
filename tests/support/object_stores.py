"""An object store in memory whose every fault is chosen by the test."""

import hashlib

import trio

from factflow_protocols import ObjectMetadata, StorageError, StorageNotFoundError


class FakeStore:
    """Objects in a dict. A write passes a checkpoint before and after the bytes are there, as real ones do.

    Attributes:
        objects: Data and metadata by key.
        writes: Keys in the order of their writes.
        closed: Number of calls of `close`.
        now: Writes at this moment; `most`: the most at a time.
    """

    def __init__(self, *, seconds=0.0, fail=None):
        self.objects = {}
        self.writes = []
        self.closed = 0
        self.now = self.most = 0
        self._seconds = seconds
        self._fail = fail

    async def write(self, key, data, *, content_type="application/octet-stream", custom=None):
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            await trio.sleep(self._seconds)
            if self._fail is not None and self._fail(key):
                raise StorageError(key, "the disk is full")
            metadata = ObjectMetadata(
                content_type=content_type,
                size_bytes=len(data),
                checksum=hashlib.sha256(data).hexdigest(),
                custom=dict(custom or {}),
            )
            self.objects[key] = data, metadata
            self.writes.append(key)
            await trio.lowlevel.checkpoint()
            return metadata
        finally:
            self.now -= 1

    async def read(self, key):
        await trio.lowlevel.checkpoint()
        if key not in self.objects:
            raise StorageNotFoundError(key)
        return self.objects[key]

    async def read_range(self, key, start, length):
        return (await self.read(key))[0][start : start + length]

    def stream(self, key):
        raise NotImplementedError

    async def metadata(self, key):
        return (await self.read(key))[1]

    async def exists(self, key):
        await trio.lowlevel.checkpoint()
        return key in self.objects

    async def list(self, prefix=""):
        for key in sorted(self.objects):
            await trio.lowlevel.checkpoint()
            if key.startswith(prefix):
                yield key

    async def delete(self, key):
        await trio.lowlevel.checkpoint()
        self.objects.pop(key, None)

    async def close(self):
        await trio.lowlevel.checkpoint()
        self.closed += 1

    def data(self, prefix=""):
        """The bytes by key."""
        return {key: data for key, (data, _) in self.objects.items() if key.startswith(prefix)}
