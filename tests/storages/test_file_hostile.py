"""The store in a folder with what should not be there: links, special files, damaged sidecars, full and read-only disks."""

import errno
import json
import os
import tracemalloc
from contextlib import suppress
from pathlib import Path

import pytest
import trio

from factflow_engine import StorageUrlError, open_storage
from factflow_engine.storages.content import PART_BYTES
from factflow_engine.storages.file import FileStorage
from factflow_engine.storages.file import storage as store
from factflow_engine.storages.file.disk import Disk
from factflow_engine.storages.verification import Reference, verify
from factflow_engine.testing.virtual_time import SimulatedRandomness, SimulatedThreads
from factflow_protocols import StorageCorruptError, StorageError, StorageNotFoundError, StorageProtocol
from support.disks import CHANGES, WatchedDisk


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("file://./out", "{base}/out"),
        ("file://../out", "{parent}/out"),
        ("file://.", "{base}"),
        ("file:///var/x", "/var/x"),
        ("file:///var/%C3%BC%20b%3F", "/var/ü b?"),
    ],
)
def test_a_url_names_a_folder(tmp_path, url, path):
    storage = FileStorage.from_url(url, directory=tmp_path)
    assert str(storage.folder) == path.format(base=tmp_path, parent=tmp_path.parent)
    assert isinstance(storage, StorageProtocol)
    assert list(tmp_path.iterdir()) == [], "nothing is made"


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("file://", r"names no folder; write file://\./objects"),
        ("file://out/x", r"write file://\./out/x for a folder in the working directory, or file:///out/x"),
        ("file:out", r"write file://\./relative"),
        ("file:///x?sync=no", r"has a '\?'"),
        ("file:///x#y", r"write %23"),
        ("file:///x%00y", "bytes that no folder's name should have"),
        ("file:///x%ff", "bytes that no folder's name should have"),
    ],
)
def test_a_url_that_names_none_is_answered_with_one_that_does(url, said):
    with pytest.raises(StorageUrlError, match=said):
        open_storage(url)


async def every_use(storage, key):
    """The error of each method that fails for a key."""
    errors = {}
    uses = {
        "write": lambda: storage.write(key, b"x"),
        "read": lambda: storage.read(key),
        "metadata": lambda: storage.metadata(key),
        "read_range": lambda: storage.read_range(key, 0, 1),
    }
    for name, use in uses.items():
        try:
            await use()
        except StorageError as error:
            errors[name] = error
    return errors


async def test_no_link_is_followed_out_of_the_folder(tmp_path):
    outside, root = tmp_path / "outside", tmp_path / "store"
    for folder in (outside, root):
        folder.mkdir()
    (outside / "secret").write_text("secret")
    (outside / "secret.meta.json").write_text("{}")
    (root / "folder").symlink_to(outside)
    (root / "object").symlink_to(outside / "secret")
    (root / "dangling").symlink_to(outside / "new")
    storage = FileStorage(root)
    errors = await every_use(storage, "folder/secret")
    assert set(errors) == {"write", "read", "metadata", "read_range"}
    assert "symbolic link" in str(errors["write"])
    errors = await every_use(storage, "object")
    assert all("symbolic link" in str(error) for error in errors.values())
    await storage.delete("folder/secret")
    assert [key async for key in storage.list()] == []
    for key in ("object", "dangling"):
        with suppress(StorageError):
            await storage.write(key, b"x")  # takes the link's place, or is refused: its target is not touched
    assert {path.name: path.read_text() for path in outside.iterdir()} == {"secret": "secret", "secret.meta.json": "{}"}


async def test_the_root_itself_may_be_a_link(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "store").symlink_to("real")
    await FileStorage(tmp_path / "store").write("k", b"x")
    assert (tmp_path / "real" / "k").read_bytes() == b"x"


@pytest.mark.parametrize("make", [os.mkfifo, Path.mkdir], ids=["pipe", "folder"])
async def test_what_is_no_file_is_no_object(tmp_path, make):
    make(tmp_path / "k")
    (tmp_path / "k.meta.json").write_text("{}")
    storage = FileStorage(tmp_path)
    errors = await every_use(storage, "k")
    assert set(errors) == {"write", "read", "metadata", "read_range"}
    assert [key async for key in storage.list()] == []
    assert sorted(path.name for path in tmp_path.iterdir()) == [".factflow-lock", "k", "k.meta.json"]


async def test_a_root_that_is_a_file_is_one_clear_error(tmp_path):
    (tmp_path / "file").write_text("mine")
    for root in (tmp_path / "file", tmp_path / "file" / "below"):
        storage = FileStorage(root)
        for error in (await every_use(storage, "k")).values():
            assert "is a file, or below one; expected a folder" in str(error) or isinstance(error, StorageNotFoundError)
        with pytest.raises(StorageError, match="expected a folder"):
            await storage.write("k", b"x")
        with pytest.raises(StorageError, match="expected a folder"):
            _ = [key async for key in storage.list()]
    assert (tmp_path / "file").read_text() == "mine"


async def test_no_key_is_the_folder_of_another(tmp_path):
    storage = FileStorage(tmp_path)
    await storage.write("a", b"x")
    with pytest.raises(StorageError, match="no key can be the folder of another"):
        await storage.write("a/b", b"y")
    await storage.write("c/d", b"x")
    with pytest.raises(StorageError, match="no key can be the folder of another"):
        await storage.write("c", b"y")
    assert [key async for key in storage.list()] == ["a", "c/d"]
    counts = await verify(storage, grace_seconds=-1, found=lambda problem: pytest.fail(str(problem)))
    assert counts.objects == 2


DAMAGES = {
    "no JSON": b"{",
    "empty": b"",
    "a list": b"[]",
    "no size": b'{"content_type": "a/b", "checksum": "' + b"0" * 64 + b'", "custom": {}}',
    "a wrong size": b'{"content_type": "a/b", "size_bytes": 7, "checksum": "' + b"0" * 64 + b'"}',
    "a wrong checksum": b'{"content_type": "a/b", "size_bytes": 3, "checksum": "' + b"0" * 64 + b'"}',
    "no checksum": b'{"content_type": "a/b", "size_bytes": 3, "checksum": "../../x"}',
    "deep": b"[" * 100_000,
    "large": b" " * (5 << 20),
    "bytes": bytes(range(256)),
    "replaced things": b'{"content_type": "a/b", "size_bytes": 7, "checksum": "' + b"0" * 64 + b'", "replaces": 3}',
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
async def test_a_damaged_sidecar_is_noticed_and_replaced_by_a_new_write(tmp_path, damage):
    storage = FileStorage(tmp_path)
    await storage.write("k", b"abc")
    (tmp_path / "k.meta.json").write_bytes(damage)
    with pytest.raises(StorageCorruptError):
        await storage.read("k")
    with pytest.raises(StorageCorruptError):
        async with storage.stream("k") as parts:
            _ = [part async for part in parts]
    assert await storage.exists("k")
    await storage.write("k", b"new")
    assert (await storage.read("k"))[0] == b"new"


async def test_damaged_bytes_are_noticed_by_whoever_reads_them_all(tmp_path):
    storage = FileStorage(tmp_path)
    await storage.write("k", b"x" * (PART_BYTES + 5))
    (tmp_path / "k").write_bytes(b"x" * PART_BYTES + b"yyyyy")
    with pytest.raises(StorageCorruptError, match="not those that were written"):
        await storage.read("k")
    with pytest.raises(StorageCorruptError, match="not those that were written"):
        async with storage.stream("k") as parts:
            _ = [part async for part in parts]


async def test_fields_of_others_in_a_sidecar_are_no_damage(tmp_path):
    storage = FileStorage(tmp_path)
    await storage.write("k", b"abc", custom={"n": 1})
    path = tmp_path / "k.meta.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "later": "version"}))
    assert (await storage.metadata("k")).custom == {"n": 1}


class FailingDisk(WatchedDisk):
    """Refuses its nth change with an error of the system."""

    __slots__ = ("at", "code")

    def __init__(self, at: int, code: int) -> None:
        self.at = at
        self.code = code

    def before(self, name: str) -> None:
        if name in CHANGES and name != "unlink":
            self.at -= 1
            if self.at == -1:
                raise OSError(self.code, os.strerror(self.code))


@pytest.mark.parametrize(
    ("code", "said"),
    [(errno.ENOSPC, "no room left on its disk"), (errno.EROFS, "read-only"), (errno.EACCES, "permission denied")],
)
@pytest.mark.parametrize("former", [b"old", None])
async def test_a_disk_that_refuses_loses_nothing_and_leaves_nothing(tmp_path, code, said, former):
    refusals = set()
    for at in range(40):
        root = tmp_path / f"{at}"
        if former:
            await FileStorage(root).write("a/k", former, custom={"is": "old"})
        try:
            await FileStorage(root, disk=FailingDisk(at, code)).write("a/k", b"new", custom={"is": "new"})
        except StorageError as error:
            refusals.add(str(error))
        else:
            break
        try:
            content, metadata = await FileStorage(root).read("a/k")
        except StorageNotFoundError:
            assert former is None
        else:
            assert (content, metadata.custom["is"]) in ((former, "old"), (b"new", "new"))
        left = [path.name for path in root.rglob(".factflow-tmp-*")]
        assert left == [], "its temporary files are removed"
    assert at >= 9
    assert all(said in refusal for refusal in refusals)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
async def test_a_read_only_folder_is_one_clear_error(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(StorageError, match="permission denied"):
        await FileStorage(tmp_path).write("k", b"x")
    tmp_path.chmod(0o700)


async def test_a_write_that_is_cancelled_anywhere_leaves_no_temporary_file(tmp_path):
    async def parts():
        for _ in range(5):
            await trio.sleep(0)
            yield b"x" * PART_BYTES

    for number in range(12):
        storage = FileStorage(tmp_path / f"{number}")
        with trio.CancelScope() as scope:

            async def source(number=number, scope=scope):
                count = 0
                async for part in parts():
                    yield part
                    count += 1
                    if count == number // 2:
                        scope.cancel()
                if number >= 10:
                    scope.cancel()

            await storage.write("a/k", source())
        assert not list(tmp_path.rglob(".factflow-tmp-*"))
        keys = [key async for key in storage.list()]
        assert keys == ([] if scope.cancelled_caught else ["a/k"])


async def test_a_lock_that_is_never_given_back_is_an_error_and_can_be_cancelled(tmp_path, autojump_clock, monkeypatch):
    monkeypatch.setattr(store, "LONGEST_LOCK_SECONDS", 2.0)
    storage = FileStorage(tmp_path, threads=SimulatedThreads(SimulatedRandomness(1), longest_seconds=0.01))
    await storage.write("k", b"old")

    class LockedDisk(Disk):
        def lock(self, root, name, number):
            return None

    other = FileStorage(
        tmp_path, threads=SimulatedThreads(SimulatedRandomness(1), longest_seconds=0.01), disk=LockedDisk()
    )
    with trio.move_on_after(1) as scope:
        await other.write("k", b"new")
    assert scope.cancelled_caught
    for change in (lambda: other.write("k", b"new"), lambda: other.delete("k")):
        with pytest.raises(StorageError, match="another writer of it has held its lock for 2 s"):
            await change()
    assert (await storage.read("k"))[0] == b"old"
    assert not list(tmp_path.rglob(".factflow-tmp-*"))


async def test_a_large_object_passes_in_constant_memory(tmp_path):
    storage = FileStorage(tmp_path)
    size = 48

    async def parts():
        for number in range(size):
            await trio.lowlevel.checkpoint()
            yield bytes([number]) * PART_BYTES

    tracemalloc.start()
    try:
        metadata = await storage.write("k", parts())
        read = 0
        async with storage.stream("k") as stream:
            async for part in stream:
                read += len(part)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert metadata.size_bytes == read == size * PART_BYTES
    assert peak < 8 * PART_BYTES, "48 MiB passed"


async def test_a_listing_holds_the_names_of_a_folder_and_not_of_the_store(tmp_path):
    for folder in range(40):
        (tmp_path / f"f{folder:02}").mkdir()
        for number in range(50):
            (tmp_path / f"f{folder:02}" / f"{number:03}").touch()
    storage = FileStorage(tmp_path)
    tracemalloc.start()
    try:
        count = 0
        async for _ in storage.list():
            count += 1
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert count == 2000
    assert peak < 120_000, "2,000 names would take more"


async def test_references_are_followed(tmp_path):
    storage = FileStorage(tmp_path)
    await storage.write("a/there", b"x")

    class Records:
        async def references(self, prefix):
            for key in ("a/there", "a/gone"):
                yield Reference(key=key, holder="execution 1, stage parse")

    found = []
    counts = await verify(storage, sources=[Records()], found=found.append)
    assert (counts.references, counts.problems) == (2, 1)
    assert [(each.kind, each.key) for each in found] == [("missing", "a/gone")]
    assert found[0].text == "does not exist, and execution 1, stage parse points to it"


async def test_a_seed_names_the_temporary_files(tmp_path):
    class NotedDisk(Disk):
        def create(self, folder, name):
            names.append(name)
            return super().create(folder, name)

    runs = []
    for number, seed in enumerate((1, 1, 2)):
        names: list[str] = []
        storage = FileStorage(tmp_path / f"{number}", disk=NotedDisk(), randomness=SimulatedRandomness(seed))
        for content in (b"old", b"new"):
            await storage.write("k", content)
        assert len(names) == len(set(names)) == 5
        runs.append(names)
    assert runs[0] == runs[1]
    assert not set(runs[0]) & set(runs[2])
