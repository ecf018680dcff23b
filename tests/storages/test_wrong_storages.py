"""Stores that are wrong in one way each: every check of the suite fails on one of them, so it can fail."""

import unicodedata
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
import trio

from factflow_engine.storages.memory import MemoryStorage
from factflow_engine.testing import DURABLE_STORAGE_CHECKS, STORAGE_CHECKS, ConformanceError
from factflow_protocols import StorageError, StorageKeyError, StorageNotFoundError


class Cut(MemoryStorage):
    async def read(self, key):
        content, metadata = await super().read(key)
        return content[:-1], metadata


class NoEmpty(MemoryStorage):
    async def write(self, key, data, **options):
        metadata = await super().write(key, data, **options)
        if not metadata.size_bytes:
            await self.delete(key)
        return metadata


class NoCustom(MemoryStorage):
    async def metadata(self, key):
        return replace(await super().metadata(key), custom={})


class ShortHeaders(MemoryStorage):
    async def metadata(self, key):
        found = await super().metadata(key)
        return replace(found, custom={name: value for name, value in found.custom.items() if len(str(value)) < 100})


class TakesAnything(MemoryStorage):
    async def write(self, key, data, **options):
        try:
            return await super().write(key, data, **options)
        except StorageKeyError:
            return None
        except StorageError:
            return await super().write(key, str(data).encode())


class NothingMissing(MemoryStorage):
    async def read(self, key):
        try:
            return await super().read(key)
        except StorageNotFoundError:
            return b"", None


class KeepsFirst(MemoryStorage):
    async def write(self, key, data, **options):
        if await self.exists(key):
            return await self.metadata(key)
        return await super().write(key, data, **options)


class NoDelete(MemoryStorage):
    async def delete(self, key):
        await trio.lowlevel.checkpoint()


class Backwards(MemoryStorage):
    async def list(self, prefix=""):
        for key in [key async for key in MemoryStorage.list(self, prefix)][::-1]:
            yield key


class WholeParts(MemoryStorage):
    def list(self, prefix=""):
        return super().list(prefix.rpartition("/")[0])


class Normalizing(MemoryStorage):
    async def write(self, key, data, **options):
        return await super().write(unicodedata.normalize("NFC", key), data, **options)


class InclusiveRanges(MemoryStorage):
    async def read_range(self, key, start, length):
        return await super().read_range(key, start, length + 1)


class LosesThePartAtTheEnd(MemoryStorage):
    async def write(self, key, data, **options):
        if not isinstance(data, bytes):
            data = b"".join([part async for part in data][:-1])
        return await super().write(key, data, **options)


class OnePart(MemoryStorage):
    @asynccontextmanager
    async def stream(self, key):
        content, _ = await self.read(key)

        async def whole():
            yield content

        yield whole()


class HeldByReaders(MemoryStorage):
    held = False

    @asynccontextmanager
    async def stream(self, key):
        self.held = True
        async with super().stream(key) as parts:
            yield parts

    async def write(self, key, data, **options):
        if self.held:
            raise StorageError(key, "is being read")
        return await super().write(key, data, **options)


class StoresParts(MemoryStorage):
    async def write(self, key, data, **options):
        if isinstance(data, bytes):
            return await super().write(key, data, **options)
        content = b""
        try:
            async for part in data:
                content += part
        finally:
            with trio.CancelScope(shield=True):
                await super().write(key, content, **options)
        return await self.metadata(key)


class BytesFirst(MemoryStorage):
    async def write(self, key, data, **options):
        former = self._objects.get(key)
        metadata = await super().write(key, data, **options)
        if former is not None:
            self._objects[key] = self._objects[key][0], former[1]
            await trio.sleep(0.01)
            self._objects[key] = self._objects[key][0], metadata
        return metadata


class ClosesOnce(MemoryStorage):
    closed = False

    async def close(self):
        if self.closed:
            raise StorageError("", "is closed")
        self.closed = True


WRONG = {
    "what_is_written_is_read": Cut,
    "an_empty_object_is_an_object": NoEmpty,
    "metadata_comes_back": NoCustom,
    "large_metadata_comes_back": ShortHeaders,
    "metadata_that_cannot_be_stored_is_refused": TakesAnything,
    "a_missing_object_is_said_to_be_missing": NothingMissing,
    "an_object_is_replaced_whole": KeepsFirst,
    "a_deleted_object_is_gone": NoDelete,
    "keys_are_listed_in_order": Backwards,
    "a_prefix_may_end_within_a_part": WholeParts,
    "a_listing_may_be_left": NoDelete,
    "what_is_no_key_is_refused_everywhere": TakesAnything,
    "odd_keys_are_kept_as_they_are": Normalizing,
    "ranges_are_cut_at_the_end": InclusiveRanges,
    "parts_of_any_size_make_one_object": LosesThePartAtTheEnd,
    "an_object_streams_in_small_parts": OnePart,
    "a_stream_may_be_left": HeldByReaders,
    "a_source_that_fails_leaves_the_former_object": StoresParts,
    "a_part_that_is_not_bytes_is_refused": TakesAnything,
    "a_cancelled_write_is_whole_or_not_there": StoresParts,
    "readers_see_one_version_or_another": BytesFirst,
    "closing_twice_is_closing": ClosesOnce,
    "objects_outlive_the_store_object": MemoryStorage,
    "two_openings_are_one_store": MemoryStorage,
}


@pytest.mark.parametrize("check", STORAGE_CHECKS + DURABLE_STORAGE_CHECKS, ids=lambda check: check.__name__)
async def test_a_wrong_store_fails_the_check(check):
    @asynccontextmanager
    async def open_wrong():
        yield WRONG[check.__name__]()

    with pytest.RaisesGroup(Exception, flatten_subgroups=True, allow_unwrapped=True) as raised:
        await check(open_wrong)
    error = raised.value
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, (ConformanceError, StorageError)), repr(error)
