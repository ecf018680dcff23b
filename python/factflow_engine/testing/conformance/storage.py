"""Checks for every object store, for authors of one.

Each check is an async function that takes a function to open an empty store, tests one behaviour, and raises
`ConformanceError` with the expected and the actual value. They are free of any test framework; `check_storage_provider`
runs all that apply, and this makes each a test of its own:

    @pytest.mark.parametrize("check", STORAGE_CHECKS, ids=check_name)
    async def test_conformance(check):
        await check(lambda: open_my_store())

Kept separate from the checks of queues because a deployment may have only one of them.
"""

import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, Final, TypeAlias

import trio

from factflow_engine.testing.conformance.expectations import ConformanceError, expect
from factflow_protocols import (
    FactflowError,
    ObjectMetadata,
    StorageError,
    StorageKeyError,
    StorageNotFoundError,
    StorageProtocol,
)

OpenStorage: TypeAlias = Callable[[], AbstractAsyncContextManager[StorageProtocol]]
"""Opener of a store, which is closed on exit. It is empty at the first opening of a check, and the same one at the
next."""

StorageCheck: TypeAlias = Callable[[OpenStorage], Awaitable[None]]

_MIB: Final = 1 << 20
_CUSTOM: Final[dict[str, Any]] = {
    "text": 'Größe 😀 \u2028 "quoted" \\ \x00',
    "number": 1.5,
    "large": 2**60,
    "none": None,
    "yes": True,
    "list": [1, [2, {"deep": "x"}]],
    "Über key / with spaces": {"": []},
}
_REFUSED_KEYS: Final = (
    "", "/a", "a/", "a//b", ".", "..", "../a", "a/../b", "a/./b", "a\\b", "a\nb", "a\x00b", "a\x7fb", "\ud800",
    "a.meta.json", "a.meta.json/b", ".factflow-lock", "a/.factflow-tmp-1", "a" * 201, "/".join(["a" * 200] * 5),
)  # fmt: skip
_ODD_KEYS: Final = (
    " leading and trailing ", "-rf", "..a", "a%2Fb", "a&b=c+d", "a?b#c*", 'a"b<c>d|e', "über/straße", "~", "日本/語.json",
    "e\u0301", "\u00e9", "x" * 200, "/".join(["y" * 199] * 4 + ["z" * 100]),
)  # fmt: skip


class _SourceFailedError(FactflowError):
    """Failure of an object's source, in these checks."""


async def what_is_written_is_read(open_storage: OpenStorage) -> None:
    """Check that an object's bytes come back, and that it exists."""
    async with open_storage() as storage:
        data = bytes(range(256)) * 17
        await storage.write("a/b.bin", data)
        expect((await storage.read("a/b.bin"))[0], data, "the bytes")
        expect(await storage.exists("a/b.bin"), True, "exists()")


async def an_empty_object_is_an_object(open_storage: OpenStorage) -> None:
    """Check that an object of no bytes can be written, read, streamed and listed."""
    async with open_storage() as storage:
        await storage.write("empty", b"")
        expect((await storage.read("empty"))[0], b"", "the bytes")
        expect((await storage.metadata("empty")).size_bytes, 0, "its size")
        expect(await _streamed(storage, "empty"), b"", "what streams")
        expect(await _listed(storage), ["empty"], "the listing")


async def metadata_comes_back(open_storage: OpenStorage) -> None:
    """Check that content type, size, checksum and custom metadata are the same from write, read and metadata."""
    async with open_storage() as storage:
        expected = _metadata(b"abc", "text/plain; charset=utf-8", _CUSTOM)
        expect(
            await storage.write("k", b"abc", content_type="text/plain; charset=utf-8", custom=_CUSTOM),
            expected,
            "metadata returned by write()",
        )
        expect(await storage.metadata("k"), expected, "metadata()")
        expect((await storage.read("k"))[1], expected, "metadata returned by read()")
        await storage.write("plain", b"")
        expect(await storage.metadata("plain"), _metadata(b"", "application/octet-stream", {}), "metadata by default")


async def large_metadata_comes_back(open_storage: OpenStorage) -> None:
    """Check that custom metadata may be far larger than what bucket stores take as headers."""
    async with open_storage() as storage:
        custom = {f"field {number}": "ü" * 500 for number in range(100)}
        await storage.write("k", b"abc", custom=custom)
        expect(await storage.metadata("k"), _metadata(b"abc", "application/octet-stream", custom), "metadata()")
        expect(await _listed(storage), ["k"], "the listing")
        await storage.write("k", b"abcd", custom={"n": 1})
        expect(
            await storage.metadata("k"), _metadata(b"abcd", "application/octet-stream", {"n": 1}), "metadata replaced"
        )
        await storage.delete("k")
        expect(await _listed(storage), [], "the listing after it was deleted")


async def metadata_that_cannot_be_stored_is_refused(open_storage: OpenStorage) -> None:
    """Check that a value that JSON cannot hold, or no media type, is a StorageError, and nothing is stored."""
    loop: list[Any] = []
    loop.append(loop)
    async with open_storage() as storage:
        for custom in ({"x": object()}, {"x": b"bytes"}, {"x": float("nan")}, {"x": loop}):
            await _expect_error(
                StorageError, storage.write("k", b"abc", custom=custom), f"write(custom={custom!r:.40})"
            )
        for content_type in ("", "text", "text/plain\r\nx: y", "a/ü"):
            await _expect_error(
                StorageError,
                storage.write("k", b"abc", content_type=content_type),
                f"write(content_type={content_type!r})",
            )
        expect(await storage.exists("k"), False, "exists() after it was refused")


async def a_missing_object_is_said_to_be_missing(open_storage: OpenStorage) -> None:
    """Check that reading what is not there is a StorageNotFoundError, and deleting it is not an error."""
    async with open_storage() as storage:
        await storage.write("folder/there", b"x")
        for key in ("missing", "folder", "folder/missing", "folder/there.txt"):
            await _expect_error(StorageNotFoundError, storage.read(key), f"read({key!r})")
            await _expect_error(StorageNotFoundError, storage.metadata(key), f"metadata({key!r})")
            await _expect_error(StorageNotFoundError, storage.read_range(key, 0, 1), f"read_range({key!r})")
            await _expect_error(StorageNotFoundError, _streamed(storage, key), f"stream({key!r})")
            expect(await storage.exists(key), False, f"exists({key!r})")
        await storage.delete("missing")
        await storage.delete("other/missing")
        expect(await _listed(storage), ["folder/there"], "the listing")


async def an_object_is_replaced_whole(open_storage: OpenStorage) -> None:
    """Check that a second write replaces bytes and metadata, by a larger object and by a smaller."""
    async with open_storage() as storage:
        for data, custom in ((b"first", {"n": 1}), (b"second, and longer", {"m": 2}), (b"3", {}), (b"4", {"n": 4})):
            await storage.write("k", data, content_type=f"text/x{len(data)}", custom=custom)
            expect(
                await storage.read("k"),
                (data, _metadata(data, f"text/x{len(data)}", custom)),
                "what is read after a write",
            )
        expect(await _listed(storage), ["k"], "the listing")


async def a_deleted_object_is_gone(open_storage: OpenStorage) -> None:
    """Check that a deleted object is neither read nor listed, and that its key can be written again."""
    async with open_storage() as storage:
        await storage.write("a/1", b"1", custom={"n": 1})
        await storage.write("a/2", b"2")
        await storage.delete("a/1")
        await _expect_error(StorageNotFoundError, storage.read("a/1"), "read() of a deleted object")
        await _expect_error(StorageNotFoundError, storage.metadata("a/1"), "metadata() of a deleted object")
        expect(await _listed(storage), ["a/2"], "the listing")
        await storage.write("a/1", b"again")
        expect(
            await storage.read("a/1"),
            (b"again", _metadata(b"again", "application/octet-stream", {})),
            "what was written again",
        )


async def keys_are_listed_in_order(open_storage: OpenStorage) -> None:
    """Check that a listing has every key once, in the order of code points, across folders."""
    async with open_storage() as storage:
        keys = ["b", "a/c", "a-b", "a0", "a/b/z", "a/b-", "a/b0", "A", "a!", "ä", "z/1", "z/10", "z/2", "😀", "\uffa1"]
        for key in keys:
            await storage.write(key, key.encode())
        expect(await _listed(storage), sorted(keys), "the listing")


async def a_prefix_may_end_within_a_part(open_storage: OpenStorage) -> None:
    """Check that a listing has the keys that begin with its prefix, and no others."""
    async with open_storage() as storage:
        keys = ["p/001", "p/002", "p/01/x", "p/0", "p-x", "q/001", "p/ü%"]
        for key in keys:
            await storage.write(key, b"")
        for prefix in (
            "",
            "p",
            "p/",
            "p/0",
            "p/00",
            "p/01",
            "p/01/",
            "p/001",
            "p/0011",
            "q",
            "x/y",
            "p/ü",
            "p/ü%",
            "p/.",
        ):
            expected = sorted(key for key in keys if key.startswith(prefix))
            expect(await _listed(storage, prefix), expected, f"list({prefix!r})")


async def a_listing_may_be_left(open_storage: OpenStorage) -> None:
    """Check that a listing that is left after its first key disturbs nothing, and may be changed under."""
    async with open_storage() as storage:
        for number in range(5):
            await storage.write(f"k{number}", b"")
        async for key in storage.list():
            expect(key, "k0", "the first key")
            await storage.delete("k1")
            break
        expect(await _listed(storage), ["k0", "k2", "k3", "k4"], "the listing afterwards")


async def what_is_no_key_is_refused_everywhere(open_storage: OpenStorage) -> None:
    """Check that every method refuses what is no key with a StorageKeyError, and that nothing is stored."""
    async with open_storage() as storage:
        for key in _REFUSED_KEYS:
            await _expect_error(StorageKeyError, storage.write(key, b"x"), f"write({key!r:.40})")
            await _expect_error(StorageKeyError, storage.read(key), f"read({key!r:.40})")
            await _expect_error(StorageKeyError, storage.read_range(key, 0, 1), f"read_range({key!r:.40})")
            await _expect_error(StorageKeyError, storage.metadata(key), f"metadata({key!r:.40})")
            await _expect_error(StorageKeyError, storage.exists(key), f"exists({key!r:.40})")
            await _expect_error(StorageKeyError, storage.delete(key), f"delete({key!r:.40})")
            await _expect_error(StorageKeyError, _streamed(storage, key), f"stream({key!r:.40})")
        for prefix in ("/", "../", "a//", "a\n"):
            await _expect_error(StorageKeyError, _listed(storage, prefix), f"list({prefix!r})")
        expect(await _listed(storage), [], "the listing")


async def odd_keys_are_kept_as_they_are(open_storage: OpenStorage) -> None:
    """Check that keys with marks of URLs and shells, of any script, and of the greatest length, come back unchanged."""
    async with open_storage() as storage:
        for key in _ODD_KEYS:
            await storage.write(key, key.encode(), custom={"key": key})
        expect(await _listed(storage), sorted(_ODD_KEYS), "the listing")
        for key in _ODD_KEYS:
            data, metadata = await storage.read(key)
            expect((data.decode(), metadata.custom), (key, {"key": key}), f"what is read of {key!r:.40}")


async def ranges_are_cut_at_the_end(open_storage: OpenStorage) -> None:
    """Check that a range gives its bytes, fewer at the object's end, none behind it, and that it is checked."""
    async with open_storage() as storage:
        await storage.write("k", b"0123456789")
        for start, length in ((0, 10), (0, 3), (3, 4), (8, 5), (9, 1), (10, 1), (50, 1), (0, 0), (4, 0), (0, 2**62)):
            expect(
                await storage.read_range("k", start, length),
                b"0123456789"[start : start + length],
                f"range {start}, {length}",
            )
        await _expect_error(StorageError, storage.read_range("k", -1, 1), "read_range() from -1")
        await _expect_error(StorageError, storage.read_range("k", 0, -1), "read_range() of -1 bytes")
        await storage.write("empty", b"")
        expect(await storage.read_range("empty", 0, 1), b"", "range of an empty object")


async def parts_of_any_size_make_one_object(open_storage: OpenStorage) -> None:
    """Check that an object given in parts is the same as one given whole."""
    async with open_storage() as storage:
        for sizes in ([], [0], [1, 0, 2], [_MIB], [_MIB - 1, 2], [3 * _MIB + 5], [700_000] * 4, [1] * 300):
            data = _bytes(sum(sizes))
            metadata = await storage.write("k", _parts(data, sizes), custom={"n": 1})
            expected = _metadata(data, "application/octet-stream", {"n": 1})
            expect(metadata, expected, f"metadata of parts of {sizes[:5]} bytes")
            content, stored = await storage.read("k")
            expect((content == data, stored), (True, expected), f"what is read of parts of {sizes[:5]} bytes")


async def an_object_streams_in_small_parts(open_storage: OpenStorage) -> None:
    """Check that a stream gives all bytes in parts of at most 1 MiB, and none empty."""
    async with open_storage() as storage:
        data = _bytes(3 * _MIB + 17)
        await storage.write("k", data)
        async with storage.stream("k") as stream:
            parts = [part async for part in stream]
        expect(b"".join(parts) == data, True, "equality of the streamed bytes")
        expect(all(0 < len(part) <= _MIB for part in parts), True, "parts of 1 byte to 1 MiB")


async def a_stream_may_be_left(open_storage: OpenStorage) -> None:
    """Check that a stream that is left early, or not begun, disturbs nothing."""
    async with open_storage() as storage:
        await storage.write("k", b"x" * (2 * _MIB))
        async with storage.stream("k") as stream:
            async for _ in stream:
                break
        async with storage.stream("k"):
            pass
        await storage.write("k", b"new")
        expect((await storage.read("k"))[0], b"new", "what is read afterwards")


async def a_source_that_fails_leaves_the_former_object(open_storage: OpenStorage) -> None:
    """Check that the source's own error comes out, and the key has what it had: an object, or none."""
    async with open_storage() as storage:
        await storage.write("old", b"former", custom={"n": 1})
        for key in ("old", "new"):
            try:
                await storage.write(key, _failing())
            except _SourceFailedError:
                pass
            else:
                raise ConformanceError(f"write({key!r}): expected the source's error, got none")
        expect(
            await storage.read("old"),
            (b"former", _metadata(b"former", "application/octet-stream", {"n": 1})),
            "the former one",
        )
        expect(await _listed(storage), ["old"], "the listing")


async def a_part_that_is_not_bytes_is_refused(open_storage: OpenStorage) -> None:
    """Check that text instead of bytes is a StorageError, and nothing is stored."""

    async def text() -> AsyncIterator[Any]:
        await trio.lowlevel.checkpoint()
        yield "text"

    wrong: Any = "text"
    async with open_storage() as storage:
        await _expect_error(StorageError, storage.write("k", wrong), "write() of text")
        await _expect_error(StorageError, storage.write("k", text()), "write() of parts of text")
        expect(await _listed(storage), [], "the listing")


async def a_cancelled_write_is_whole_or_not_there(open_storage: OpenStorage) -> None:
    """Check that a write that is cancelled at any of its checkpoints leaves the former object or the new one."""
    async with open_storage() as storage:
        former = b"former" * 1000
        new = b"new" * 500_000
        await storage.write("k", former, custom={"is": "former"})
        for deadline in (0.0, 0.0005, 0.001, 0.002, 0.004, 0.008, 0.02):
            with trio.move_on_after(deadline):
                await storage.write("k", _parts(new, [400_000] * 3), custom={"is": "new"})
            content, metadata = await storage.read("k")
            expected = new[:1_200_000] if metadata.custom == {"is": "new"} else former
            expect(content == expected, True, f"equality of bytes and metadata {metadata.custom}")
            expect(await _listed(storage), ["k"], "the listing")


async def readers_see_one_version_or_another(open_storage: OpenStorage) -> None:
    """Check that bytes and metadata belong together while several tasks replace an object and others read it."""
    async with open_storage() as storage:
        await storage.write("k", b"0", custom={"is": 0})

        async def replace(number: int) -> None:
            for turn in range(4):
                version = 4 * number + turn
                await storage.write("k", b"%d" % (version % 10), custom={"is": version % 10})

        async def look(done: trio.Event) -> None:
            while not done.is_set():
                content, metadata = await storage.read("k")
                expect(content, b"%d" % metadata.custom["is"], "the bytes of the metadata beside them")
                await storage.metadata("k")
                await _streamed(storage, "k")

        done = trio.Event()
        async with trio.open_nursery() as readers:
            readers.start_soon(look, done)
            async with trio.open_nursery() as writers:
                for number in range(4):
                    writers.start_soon(replace, number)
            done.set()
        content, metadata = await storage.read("k")
        expect(content, b"%d" % metadata.custom["is"], "the bytes at the end")


async def closing_twice_is_closing(open_storage: OpenStorage) -> None:
    """Check that a store can be closed more than once."""
    async with open_storage() as storage:
        await storage.write("k", b"x")
        await storage.close()
        await storage.close()


async def objects_outlive_the_store_object(open_storage: OpenStorage) -> None:
    """Check that what was written is there when the store is opened again."""
    async with open_storage() as storage:
        await storage.write("a/b", b"kept", content_type="text/plain", custom=_CUSTOM)
    async with open_storage() as storage:
        expect(await storage.read("a/b"), (b"kept", _metadata(b"kept", "text/plain", _CUSTOM)), "what is read")
        expect(await _listed(storage), ["a/b"], "the listing")


async def two_openings_are_one_store(open_storage: OpenStorage) -> None:
    """Check that two openings see each other's objects, and replace and delete them."""
    async with open_storage() as one, open_storage() as other:
        await one.write("k", b"one", custom={"by": "one"})
        expect(
            await other.read("k"), (b"one", _metadata(b"one", "application/octet-stream", {"by": "one"})), "by another"
        )
        await other.write("k", b"other", custom={"by": "other"})
        expect((await one.metadata("k")).custom, {"by": "other"}, "metadata replaced by another")
        await one.delete("k")
        expect(await _listed(other), [], "the listing after another deleted it")


STORAGE_CHECKS: Final[tuple[StorageCheck, ...]] = (
    what_is_written_is_read,
    an_empty_object_is_an_object,
    metadata_comes_back,
    large_metadata_comes_back,
    metadata_that_cannot_be_stored_is_refused,
    a_missing_object_is_said_to_be_missing,
    an_object_is_replaced_whole,
    a_deleted_object_is_gone,
    keys_are_listed_in_order,
    a_prefix_may_end_within_a_part,
    a_listing_may_be_left,
    what_is_no_key_is_refused_everywhere,
    odd_keys_are_kept_as_they_are,
    ranges_are_cut_at_the_end,
    parts_of_any_size_make_one_object,
    an_object_streams_in_small_parts,
    a_stream_may_be_left,
    a_source_that_fails_leaves_the_former_object,
    a_part_that_is_not_bytes_is_refused,
    a_cancelled_write_is_whole_or_not_there,
    readers_see_one_version_or_another,
    closing_twice_is_closing,
)
"""Checks for every object store."""

DURABLE_STORAGE_CHECKS: Final[tuple[StorageCheck, ...]] = (objects_outlive_the_store_object, two_openings_are_one_store)
"""Checks for stores that outlive their process, too."""


def _metadata(data: bytes, content_type: str, custom: dict[str, Any]) -> ObjectMetadata:
    return ObjectMetadata(
        content_type=content_type, size_bytes=len(data), checksum=hashlib.sha256(data).hexdigest(), custom=custom
    )


def _bytes(size: int) -> bytes:
    return (bytes(range(251)) * (size // 251 + 1))[:size]


async def _listed(storage: StorageProtocol, prefix: str = "") -> list[str]:
    return [key async for key in storage.list(prefix)]


async def _streamed(storage: StorageProtocol, key: str) -> bytes:
    async with storage.stream(key) as stream:
        return b"".join([part async for part in stream])


async def _parts(data: bytes, sizes: list[int]) -> AsyncIterator[bytes]:
    start = 0
    for size in sizes:
        await trio.lowlevel.checkpoint()
        yield data[start : start + size]
        start += size


async def _failing() -> AsyncIterator[bytes]:
    for _ in range(2):
        yield b"x" * _MIB
        await trio.lowlevel.checkpoint()
    raise _SourceFailedError


async def _expect_error(expected: type[StorageError], call: Awaitable[object], what: str) -> None:
    try:
        came = await call
    except expected:
        return
    except Exception as error:
        raise ConformanceError(f"{what}: expected {expected.__name__}, got {error!r:.300}") from error
    raise ConformanceError(f"{what}: expected {expected.__name__}, got {came!r:.100}")
