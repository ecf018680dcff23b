"""Leftovers in a folder: those of a prefix and of no other key, looked for in bounded calls that can be cancelled."""

from pathlib import Path
from tempfile import TemporaryDirectory

import trio
from hypothesis import given
from hypothesis import strategies as st

from factflow_engine.storages.content import KEYS_A_CHECKPOINT
from factflow_engine.storages.file import FileStorage
from factflow_engine.storages.file.disk import Disk
from factflow_engine.storages.keys import SIDECAR_ENDING
from factflow_engine.storages.verification import verify
from support.disks import WatchedDisk

NAMES = ("a", "ab", "b", "a.m", "a.meta.json.b")
PLACES = st.lists(st.sampled_from(NAMES), min_size=1, max_size=3).map("/".join)
KINDS = st.sampled_from(["whole", "sidecar", "half replaced", "temporary", "foreign"])


class HastyDisk(Disk):
    """Makes nothing durable, which takes time."""

    __slots__ = ()

    def sync(self, file):
        pass

    def sync_folder(self, folder):
        pass


async def put(root: Path, key: str, kind: str) -> None:
    """Put an object there, or a leftover in its folder; nothing if another key's file is in the way."""
    path = root / key
    if any(each.is_file() for each in (*path.parents, path)) or path.is_dir():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    if kind in ("temporary", "foreign"):
        (path.parent / f".factflow-{'tmp-' if kind == 'temporary' else ''}{path.name}").touch()
        return
    await FileStorage(root, disk=HastyDisk()).write(key, b"old")
    sidecar = root / (key + SIDECAR_ENDING)
    if kind == "half replaced":
        text = sidecar.read_text().rstrip().removesuffix("}")
        sidecar.write_text(f'{text},"replaces":[{text}}}]}}')
    elif kind == "sidecar":
        path.unlink()


def files(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


@given(st.dictionaries(PLACES, KINDS, min_size=1, max_size=5), PLACES, st.data())
def test_a_repair_of_a_prefix_finds_what_belongs_to_it_and_changes_nothing_else(contents, key, data):
    prefix = data.draw(st.sampled_from([key, *contents, ""]).map("{}/".format), "longer than the prefix")
    prefix = prefix[: data.draw(st.integers(0, len(prefix)), "its length")]

    async def problems(root: Path, of: str, *, repair: bool) -> set[str]:
        found: list[str] = []
        storage = FileStorage(root, disk=HastyDisk())
        await verify(storage, prefix=of, repair=repair, grace_seconds=-1e9, found=lambda each: found.append(each.key))
        assert len(found) == len(set(found))
        return set(found)

    async def main() -> None:
        with TemporaryDirectory() as folder:
            root = Path(folder)
            for each, kind in contents.items():
                await put(root, each, kind)
            every, before = await problems(root, "", repair=False), files(root)
            found = await problems(root, prefix, repair=True)
            after = files(root)
            changed = {place for place, content in before.items() if after.get(place) != content}
            assert after.keys() <= before.keys()
            assert found == {place for place in every if place.removesuffix(SIDECAR_ENDING).startswith(prefix)}
            assert changed <= found

    if not prefix.startswith("/"):
        trio.run(main)


class CountedThreads:
    """Does the work at once, notes the calls of the system in each piece, and cancels before a piece of some number."""

    def __init__(self, cancelled_at: int = -1) -> None:
        self.pieces: list[int] = []
        self.disk = CountedDisk(self)
        self.scope = trio.CancelScope()
        self.cancelled_at = cancelled_at

    async def run(self, function):
        if len(self.pieces) == self.cancelled_at:
            self.scope.cancel()
        await trio.lowlevel.checkpoint()
        self.pieces.append(0)
        return function()


class CountedDisk(WatchedDisk):
    __slots__ = ("threads",)

    def __init__(self, threads: CountedThreads) -> None:
        self.threads = threads

    def before(self, name: str) -> None:
        self.threads.pieces[-1] += name == "open_file"


async def test_a_folder_of_many_objects_is_looked_through_in_bounded_pieces_and_the_rest_after_a_cancellation(tmp_path):
    many = 3 * KEYS_A_CHECKPOINT
    for number in range(many):
        (tmp_path / f"{number:05}").touch()
        (tmp_path / f"{number:05}{SIDECAR_ENDING}").touch()
    (tmp_path / f"{many:05}{SIDECAR_ENDING}").touch()
    for cancelled_at in range(9):
        threads = CountedThreads(cancelled_at)
        leftovers = FileStorage(tmp_path, disk=threads.disk, threads=threads).leftovers()
        found = []
        with threads.scope:
            found += [each.place async for each in leftovers]
        assert threads.scope.cancelled_caught == (cancelled_at < 8)
        assert len(threads.pieces) == min(cancelled_at, 8)
        found += [each.place async for each in leftovers]
        assert found == [f"{many:05}{SIDECAR_ENDING}"]
        assert sum(threads.pieces) == many
        assert max(threads.pieces) <= KEYS_A_CHECKPOINT


async def test_a_sidecar_whose_object_another_file_has_replaced_is_told_and_kept(tmp_path):
    storage = FileStorage(tmp_path)
    await storage.write("k", b"x")
    (tmp_path / "k").unlink()
    (tmp_path / "k").symlink_to("elsewhere")
    found = []
    counts = await verify(storage, repair=True, grace_seconds=-1, found=found.append)
    assert [(each.kind, each.key) for each in found] == [("foreign", "k"), ("orphaned", "k.meta.json")]
    assert (counts.problems, counts.repaired) == (2, 0)
    assert (tmp_path / "k.meta.json").exists()
