"""The store in a folder while its writers die, at each of their steps, and while others write and read: a reader sees the
old object with its metadata or the new one with its own, whatever dies."""

import itertools
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from factflow_engine.storages.file import FileStorage, reading, writing
from factflow_engine.storages.file.disk import Disk
from factflow_engine.storages.verification import verify
from factflow_protocols import ObjectMetadata, StorageNotFoundError
from support.disks import DiedError, InterruptedDisk, MortalDisk, PowerDisk, restore, snapshot

KEY = "a/k.txt"

VERSIONS = {
    "old": b"the old one!",
    "new": b"the new one!",  # of the same size
    "long": b"one that is longer than the others" * 20,
    "same": b"the old one!",  # the same bytes, with other metadata
}
TOKENS = itertools.count()
FORMER = [None, "old", "long"]


def write(root: Path, version: str, disk: Disk | None = None) -> ObjectMetadata:
    upload = writing.Upload(
        disk or Disk(), root, KEY, content_type=f"text/{version}", custom={"is": version}, token=f"{next(TOKENS)}"
    )
    try:
        return upload.write_and_commit(VERSIONS[version])
    finally:
        if upload.is_open:
            upload.discard()


def version_of(root: Path, disk: Disk | None = None) -> str | None:
    """The version that is there; its bytes and its metadata agree."""
    try:
        content, metadata = reading.read_object(disk or Disk(), root, KEY)
    except StorageNotFoundError:
        return None
    version = metadata.custom["is"]
    assert (content, metadata.content_type) == (VERSIONS[version], f"text/{version}")
    return version


def described_as(root: Path, disk: Disk | None = None) -> str | None:
    """The version that the metadata alone says."""
    try:
        return reading.read_metadata(disk or Disk(), root, KEY).custom["is"]
    except StorageNotFoundError:
        return None


def deaths(folder: Path, former: str | None, version: str):
    """Let a writer die before its first change, then before its second, ...; yields the store after each death."""
    for changes in range(40):
        root = folder / f"{changes}"
        if former:
            write(root, former)
        try:
            write(root, version, MortalDisk(changes))
        except DiedError:
            yield root
        else:
            assert changes >= 9, "there are steps to die at"
            return
    raise AssertionError("it did not end")


@pytest.mark.parametrize("former", FORMER)
@pytest.mark.parametrize("version", ["new", "same"])
def test_a_writer_that_dies_leaves_the_old_object_or_the_new(tmp_path, former, version):
    seen = set()
    for root in deaths(tmp_path, former, version):
        found = version_of(root)
        assert found in (former, version)
        assert described_as(root) == found
        seen.add(found)
        write(root, "long")  # the next writer is not disturbed
        assert version_of(root) == described_as(root) == "long"
    assert seen == {former, version}


def test_writers_that_die_one_after_another_leave_one_of_their_objects(tmp_path):
    for first in range(0, 16, 2):
        for second in range(1, 16, 3):
            root = tmp_path / f"{first}-{second}"
            write(root, "old")
            for version, changes in (("new", first), ("long", second)):
                with suppress(DiedError):
                    write(root, version, MortalDisk(changes))
            found = version_of(root)
            assert found in ("old", "new", "long")
            assert described_as(root) == found


@pytest.mark.parametrize("former", FORMER)
async def test_repair_removes_what_deaths_leave_and_changes_no_object(tmp_path, former):
    for root in deaths(tmp_path, former, "new"):
        before = version_of(root)
        found = []
        young = await verify(FileStorage(root), repair=True, found=found.append)
        assert (young.problems, young.repaired, found) == (0, 0, []), "a writer may be at work on what is young"
        old = await verify(FileStorage(root), repair=True, grace_seconds=-1, found=found.append)
        assert (old.problems, old.repaired) == (0, young.unfinished)
        again = await verify(FileStorage(root), grace_seconds=-1, found=found.append)
        assert (again.problems, again.unfinished) == (0, 0)
        assert version_of(root) == before
        names = {path.name for path in (root / "a").iterdir()} if (root / "a").exists() else set()
        assert names == ({"k.txt", "k.txt.meta.json"} if before else set())


@pytest.mark.parametrize("former", FORMER)
@pytest.mark.parametrize("version", ["new", "same", "long"])
def test_a_power_cut_leaves_the_old_object_or_the_new(tmp_path, former, version):
    root = tmp_path / "store"
    (root / "a").mkdir(parents=True)
    if former:
        write(root, former)
    before = snapshot(root / "a")
    disk = PowerDisk()
    write(root, version, disk)
    count = 0
    checked = set()
    for cut, files in disk.remains(before):
        state = (cut == len(disk.log), tuple(sorted(files.items())))
        if state in checked:
            continue
        checked.add(state)
        restore(root / "a", files)
        found = version_of(root)
        assert found == described_as(root)
        assert found in (former, version)
        if cut == len(disk.log):
            assert found == version, "a write that has returned outlives the machine"
        count += 1
    assert count > 10


@pytest.mark.slow
def test_the_model_of_power_cuts_notices_a_missing_sync(tmp_path):
    class ForgetfulDisk(PowerDisk):
        def sync_folder(self, folder: int) -> None:
            pass

    root = tmp_path / "store"
    (root / "a").mkdir(parents=True)
    write(root, "old")
    before = snapshot(root / "a")
    disk = ForgetfulDisk()
    write(root, "new", disk)
    failures = 0
    for _, files in disk.remains(before):
        restore(root / "a", files)
        try:
            version_of(root)
        except Exception:
            failures += 1
    assert failures > 0


@pytest.mark.parametrize("look", [version_of, described_as])
@pytest.mark.parametrize("versions", [("new",), ("new", "old"), ("long", "new"), ("same",)])
def test_a_reader_sees_one_version_while_others_replace_it(tmp_path, look, versions):
    for at in range(100):
        root = tmp_path / f"{at}"
        write(root, "old")

        def replace(root: Path = root) -> None:
            for version in versions:
                write(root, version)

        disk = InterruptedDisk(at, replace)
        found = look(root, disk)
        if disk.calls <= at:
            break
        assert found in ("old", *versions)
        assert look(root) == versions[-1]
    assert at >= 4


@pytest.mark.parametrize("look", [version_of, described_as])
def test_a_reader_sees_an_object_or_none_while_it_is_deleted(tmp_path, look):
    for at in range(100):
        root = tmp_path / f"{at}"
        write(root, "old")
        disk = InterruptedDisk(at, lambda root=root: writing.delete(Disk(), root, KEY))
        found = look(root, disk)
        if disk.calls <= at:
            break
        assert found in ("old", None)
        assert look(root) is None
    assert at >= 4


@pytest.mark.parametrize("former", FORMER)
def test_between_all_steps_of_a_writer_a_reader_sees_old_then_new(tmp_path, former):
    for at in range(100):
        root = tmp_path / f"{at}"
        if former:
            write(root, former)
        seen = []
        disk = InterruptedDisk(at, lambda root=root, seen=seen: seen.append((version_of(root), described_as(root))))
        write(root, "new", disk)
        if disk.calls <= at:
            break
        assert seen in ([(former, former)], [("new", "new")])
    assert at >= 10


def test_a_second_writer_waits_for_the_first(tmp_path):
    write(tmp_path, "old")
    refused = []

    def intrude() -> None:
        try:
            write(tmp_path, "long")
        except writing.BusyError:
            refused.append(True)

    disk = InterruptedDisk(-1, intrude)
    write(tmp_path, "new", disk)
    for at in range(disk.calls):
        write(tmp_path, "new", InterruptedDisk(at, intrude))
        assert version_of(tmp_path) == described_as(tmp_path)
    assert refused, "some of them met the lock"


def test_deletions_that_die_leave_the_object_or_none(tmp_path):
    outcomes = set()
    for changes in range(10):
        root = tmp_path / f"{changes}"
        write(root, "old")
        try:
            writing.delete(MortalDisk(changes), root, KEY)
        except DiedError:
            outcomes.add(version_of(root))
            writing.delete(Disk(), root, KEY)
        assert version_of(root) is None
        write(root, "new")
        assert version_of(root) == "new"
    assert outcomes == {"old", None}


WRITER = """
import sys, trio
from factflow_engine.storages.file import FileStorage

async def main():
    storage = FileStorage(sys.argv[1])
    print("begun", flush=True)
    for number in range(int(sys.argv[3])):
        text = f"{sys.argv[2]}-{number % 10}"
        await storage.write("shared/key", text.encode(), custom={"is": text})

trio.run(main)
"""


async def test_processes_that_replace_one_object_and_are_killed_leave_it_whole(tmp_path):
    root = tmp_path / "store"
    storage = FileStorage(root)
    await storage.write("shared/key", b"first", custom={"is": "first"})
    arguments = [sys.executable, "-c", WRITER, str(root)]
    running = [
        subprocess.Popen([*arguments, name, count], stdout=subprocess.PIPE)
        for name, count in (("a", "100000"), ("b", "100000"), ("c", "20"))
    ]
    try:
        for each in running:
            assert each.stdout is not None
            each.stdout.readline()
        reads = 0
        while running[-1].poll() is None:
            content, metadata = await storage.read("shared/key")
            assert content.decode() == metadata.custom["is"]
            reads += 1
            if reads == 20:
                running[0].send_signal(signal.SIGKILL)
    finally:
        for each in running:
            each.kill()
            each.wait(30)
            each.stdout.close()
    content, metadata = await storage.read("shared/key")
    assert content.decode() == metadata.custom["is"]
    await storage.write("shared/key", b"last", custom={"is": "last"})
    assert (await storage.read("shared/key"))[0] == b"last", "the dead hold no lock"
    await verify(storage, repair=True, grace_seconds=-1, found=lambda _: None)
    assert sorted(path.name for path in (root / "shared").iterdir()) == ["key", "key.meta.json"]
