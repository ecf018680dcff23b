"""The power of a simulated machine, and threads that tell it which work was done and which was answered.

Work whose answer has not come back may be half done when the power goes; all that was answered is as durable as its
files were synced. Kept separate from the files because one machine has several.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Protocol, TypeVar

import trio

from factflow_engine.seams import Randomness, Seams, Threads
from factflow_engine.storages.file import FileStorage
from factflow_engine.storages.file.location import root_of
from factflow_engine.testing.simulation.power.disk import PowerCutDisk
from factflow_engine.testing.simulation.power.sqlite_files import PowerCutFiles, Synchronous

T = TypeVar("T")


class _Files(Protocol):
    def note_work(self) -> None:
        """Note that a piece of work was done."""

    def note_answer(self, count: int) -> None:
        """Note that the first so many of the unanswered pieces of work count as done for all."""

    def cut(self) -> None:
        """Make the files what is left of them."""


class PowerCuts:
    """The files of one machine.

    All blocking work on them must be run with `seams`: what is done otherwise is not noted.

    Args:
        randomness: Decides what is lost; a run's own, so that it is the same in each.

    Example:
        async def main(simulation: Simulation) -> None:
            power = PowerCuts(SimulatedRandomness(1))
            storage = power.storage("file://./objects", seams=power.seams(simulation.seams))
            await storage.write("a", b"kept")
            power.cut()
            assert (await storage.read("a"))[0] == b"kept"

        in_virtual_time(main, seed=0)
    """

    def __init__(self, randomness: Randomness) -> None:
        self._randomness = randomness
        self._disk = PowerCutDisk(randomness)
        self._files: list[_Files] = [self._disk]
        self._unanswered: list[int] = []  # numbers of works, in the order in which they were done
        self._works = 0

    def sqlite(self, path: Path, *, synchronous: Synchronous = "FULL") -> PowerCutFiles:
        """Follow an SQLite file with write-ahead logging; see `PowerCutFiles`."""
        files = PowerCutFiles(path, self._randomness, synchronous=synchronous)
        self._files.append(files)
        return files

    @property
    def disk(self) -> PowerCutDisk:
        """The disk for `FileStorage(disk=...)`, of all processes of the machine."""
        return self._disk

    def storage(self, url: str, *, seams: Seams, directory: Path | None = None) -> FileStorage:
        """Return the object store in a folder on the machine's disk; see `open_storage`.

        Args:
            url: The URL, such as `file://./objects`.
            seams: Seams of the process that uses it, from `seams`.
            directory: Folder that a relative path starts from; the working directory by default.

        Raises:
            StorageUrlError: The URL is none of a folder.
        """
        return FileStorage(
            root_of(url, directory=directory),
            threads=seams.store_threads(1),
            clock=seams.clock,
            randomness=seams.randomness,
            disk=self._disk,
        )

    def seams(self, seams: Seams) -> Seams:
        """Return the seams of a process with threads that note their work."""
        return replace(
            seams,
            threads=self.threads(seams.threads),
            store_threads=lambda most: self.threads(seams.store_threads(most)),
        )

    def threads(self, threads: Threads, *, longest_seconds: float = 0.01) -> "PowerCutThreads":
        """Return threads that note the work that these do.

        Args:
            threads: Runner of the work, inline.
            longest_seconds: Longest time from the end of the work to its answer, in which the power may go.
        """
        return PowerCutThreads(self, threads, self._randomness, longest_seconds)

    def cut(self) -> None:
        """Cut the power: every file becomes what is left of it. All processes must have crashed.

        The files are new ones: what a dead process has open, such as a connection of SQLite, does not touch them.
        """
        for files in self._files:
            files.cut()
        self._unanswered.clear()

    def note_work(self) -> int:
        """Note that a piece of work was done; return its number, for `note_answer`."""
        for files in self._files:
            files.note_work()
        self._works += 1
        self._unanswered.append(self._works)
        return self._works

    def note_answer(self, number: int) -> None:
        """Note that the answer of a piece of work has come back: it is done, and so is all that was done before it."""
        count = sum(each <= number for each in self._unanswered)
        for files in self._files:
            files.note_answer(count)
        del self._unanswered[:count]


class PowerCutThreads:
    """Threads that tell a machine's `PowerCuts` of their work and its answers."""

    def __init__(self, power: PowerCuts, threads: Threads, randomness: Randomness, longest_seconds: float) -> None:
        self._power = power
        self._threads = threads
        self._randomness = randomness
        self._longest_seconds = longest_seconds

    async def run(self, function: Callable[[], T]) -> T:
        """See `seams.Threads`."""
        number = 0

        def noted() -> T:
            nonlocal number
            try:
                return function()
            finally:
                number = self._power.note_work()

        try:
            return await self._threads.run(noted)
        finally:
            if number:
                with trio.CancelScope(shield=True):
                    await trio.sleep(self._randomness.uniform(0, self._longest_seconds))
                self._power.note_answer(number)
