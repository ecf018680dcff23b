"""What stored objects cost: written, replaced and read one at a time, in a folder and in memory, beside files by hand.

Objects of 2,000 bytes with a little metadata. A folder waits for the disk: the figures are its, and the ratio to the same
waits by hand is ours. The folder is the machine's temporary one; where that is memory, nothing is waited for.
"""

import os
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import trio

from bench.model import OURS, Case, Scale, Subject
from bench.timing import CPU, WALL, Stopwatch
from factflow_engine.storages.file import FileStorage
from factflow_engine.storages.memory import MemoryStorage
from factflow_protocols import StorageProtocol

CONTENT = bytes(range(250)) * 8
CUSTOM = {"stage": "parse", "language": "en"}
AT_ONCE = 16
BY_HAND = "one file by hand"
MEMORY = "ours, in memory"


def cases(scale: Scale) -> list[Case]:
    """Writing one at a time and by many, replacing, and reading."""
    count = scale.of(400, least=scale.asked(100, tiny=5))
    return [
        _case("write", "What does a durable object cost, one after another?", count, _write, _write_by_hand),
        _case(
            "write, 16 at once", "What does it cost when 16 are written at a time?", count, _write_many, _write_by_hand
        ),
        _case("replace", "What does an object cost that replaces another?", count, _replace, _replace_by_hand),
        _case("read", "What does it cost to read and check an object with its metadata?", count, _read, _read_by_hand),
    ]


Work = Callable[[StorageProtocol, int], Awaitable[None]]


def _case(name: str, answers: str, count: int, work: Work, by_hand: Callable[[Path, int], None]) -> Case:
    return Case(
        name=name,
        answers=answers,
        metrics=(WALL, CPU),
        subjects=(
            Subject(
                name=OURS, measure=partial(_in_a_folder, work, count), note="object and sidecar, 4 waits for the disk"
            ),
            Subject(
                name=BY_HAND,
                measure=partial(_by_hand, by_hand, count),
                note="one thread: temporary file, fsync, rename, fsync of the folder; no sidecar, no checksum",
            ),
            Subject(name=MEMORY, measure=partial(_in_memory, work, count), note="survives nothing"),
        ),
        rounds=5,
    )


def _in_a_folder(work: Work, count: int) -> Mapping[str, float]:
    with TemporaryDirectory() as folder:
        return _measured(FileStorage(folder), work, count)


def _in_memory(work: Work, count: int) -> Mapping[str, float]:
    return _measured(MemoryStorage(), work, count)


def _measured(storage: StorageProtocol, work: Work, count: int) -> Mapping[str, float]:
    async def run() -> Mapping[str, float]:
        if work in (_replace, _read):
            await _write_many(storage, count)
        with Stopwatch() as watch:
            await work(storage, count)
        await check(storage, count, replaced if work is _replace else lambda _: CONTENT)
        return watch.per(count)

    return trio.run(run)


def replaced(number: int) -> bytes:
    """The bytes of an object that has replaced another."""
    return number.to_bytes(8) + CONTENT[8:]


async def check(storage: StorageProtocol, count: int, expected: Callable[[int], bytes]) -> None:
    """Refuse a store that does not hold what was written, all of it and nothing else.

    Raises:
        RuntimeError: It does not.
    """
    keys = [key async for key in storage.list()]
    if keys != [f"stage/{number:06}" for number in range(count)]:
        raise RuntimeError(f"of {count} objects the store lists {len(keys)}")
    for number, key in enumerate(keys):
        content, metadata = await storage.read(key)
        if content != expected(number) or metadata.custom != CUSTOM:
            raise RuntimeError(f"{key} is not what was written last")


def check_by_hand(folder: Path, count: int) -> None:
    """Refuse files that are not those that were written; see `check`."""
    names = sorted(path.name for path in folder.iterdir())
    if names != [f"{number:06}" for number in range(count)]:
        raise RuntimeError(f"of {count} files the folder has {len(names)}")
    for name in names:
        if (folder / name).read_bytes() != CONTENT:
            raise RuntimeError(f"{name} is not what was written")


async def _write(storage: StorageProtocol, count: int) -> None:
    for number in range(count):
        await storage.write(f"stage/{number:06}", CONTENT, custom=CUSTOM)


async def _write_many(storage: StorageProtocol, count: int) -> None:
    async def some(first: int) -> None:
        for number in range(first, count, AT_ONCE):
            await storage.write(f"stage/{number:06}", CONTENT, custom=CUSTOM)

    async with trio.open_nursery() as nursery:
        for first in range(AT_ONCE):
            nursery.start_soon(some, first)


async def _replace(storage: StorageProtocol, count: int) -> None:
    for number in range(count):
        await storage.write(f"stage/{number:06}", replaced(number), custom=CUSTOM)


async def _read(storage: StorageProtocol, count: int) -> None:
    for number in range(count):
        content, _ = await storage.read(f"stage/{number:06}")
        if content != CONTENT:
            raise RuntimeError(f"object {number} is read as other bytes")


def _by_hand(work: Callable[[Path, int], None], count: int) -> Mapping[str, float]:
    with TemporaryDirectory() as folder:
        if work in (_read_by_hand, _replace_by_hand):
            _write_by_hand(Path(folder), count)
        with Stopwatch() as watch:
            work(Path(folder), count)
        check_by_hand(Path(folder), count)
        return watch.per(count)


def _write_by_hand(folder: Path, count: int) -> None:
    names = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    for number in range(count):
        with (folder / "temporary").open("wb") as file:
            file.write(CONTENT)
            file.flush()
            os.fsync(file.fileno())
        (folder / "temporary").rename(folder / f"{number:06}")
        os.fsync(names)
    os.close(names)


def _replace_by_hand(folder: Path, count: int) -> None:
    _write_by_hand(folder, count)


def _read_by_hand(folder: Path, count: int) -> None:
    for number in range(count):
        if (folder / f"{number:06}").read_bytes() != CONTENT:
            raise RuntimeError(f"file {number} is read as other bytes")
