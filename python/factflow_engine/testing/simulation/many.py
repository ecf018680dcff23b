"""Many runs, one after the other or in forked processes, and what they saw together.

Kept separate from campaigns because only this module has processes of the machine: a run happens in one of them, whole, so
that they decide nothing of it.
"""

import gc
import multiprocessing
import signal
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Final

from factflow_engine.testing.simulation.assertions import CampaignTotals
from factflow_engine.testing.simulation.errors import SimulationError
from factflow_engine.testing.simulation.report import SimulationCounts, SimulationReport
from factflow_engine.testing.simulation.settings import RunSettings

_CHUNK: Final = 16
_COLLECT_EVERY: Final = 64
_AHEAD: Final = 2
"""Chunks that a forked process has, so that it need not wait for the next one; all have something to do to the end."""


@dataclass(slots=True)
class Played:
    """Sums of the runs so far.

    Attributes:
        failed: Seeds of those that failed.
        counts: What they saw.
        totals: Their assertions.
    """

    failed: list[int]
    counts: SimulationCounts
    totals: CampaignTotals


def play_all(
    seeds: Sequence[int],
    settings_of: Callable[[int], RunSettings],
    judged: Callable[[RunSettings], SimulationReport],
    played: Played,
    stop_at: int,
    progress: Callable[[int, int], object] | None,
) -> None:
    """Play seeds one after the other, until so many have failed."""
    with _garbage_of_runs():
        for done, seed in enumerate(seeds, 1):
            report = judged(settings_of(seed))
            played.counts += report.counts
            played.totals.add(report.assertions)
            if not report.ok:
                played.failed.append(seed)
            if not done % _COLLECT_EVERY:
                gc.collect()
            if progress is not None and (not done % _CHUNK or done == len(seeds)):
                progress(done, len(seeds))
            if len(played.failed) >= stop_at:
                return


@contextmanager
def _garbage_of_runs() -> Iterator[None]:
    """Collect garbage only when asked to, and of what is made from now on: looking at the rest costs more than a run."""
    collects, freezes = gc.isenabled(), not gc.get_freeze_count()
    gc.disable()
    if freezes:
        gc.freeze()
    try:
        yield
    finally:
        if freezes:
            gc.unfreeze()
        if collects:
            gc.enable()


def play_forked(
    seeds: Sequence[int],
    settings_of: Callable[[int], RunSettings],
    judged: Callable[[RunSettings], SimulationReport],
    played: Played,
    stop_at: int,
    progress: Callable[[int, int], object] | None,
    jobs: int,
) -> None:
    """Play chunks of seeds in forked processes; what fails is played again by the caller, who has the same seed."""
    if "fork" not in multiprocessing.get_all_start_methods():
        raise SimulationError(f"jobs={jobs} needs a system that can fork; write jobs=1")
    size = max(1, min(_CHUNK, len(seeds) // (4 * jobs)))  # small enough that no process waits long for another
    chunks = [seeds[start : start + size] for start in range(0, len(seeds), size)]

    def work(own: Connection) -> None:
        gc.freeze()  # what the caller has made is no garbage, and is not looked at
        with suppress(EOFError, OSError):
            while True:
                chunk = own.recv()
                part = Played([], SimulationCounts(runs=0), CampaignTotals())
                try:
                    play_all(chunk, settings_of, judged, part, len(seeds), None)
                except Exception:  # noqa: BLE001 - the caller plays what is missing, and so raises it itself
                    return
                own.send((chunk, part.failed, part.counts, part.totals))

    missing, waiting = set(seeds), iter(chunks)
    given: dict[Connection, int] = {}  # chunks that each has to play
    with _forked(work, min(jobs, len(chunks))) as pipes:  # others would have nothing to do
        for pipe in [*pipes] * _AHEAD:
            _give(pipe, waiting, given)
        while (busy := [pipe for pipe, count in given.items() if count]) and len(played.failed) < stop_at:
            ready = wait(busy)
            for pipe in busy:
                if pipe not in ready:
                    continue
                try:
                    chunk, failed, counts, totals = pipe.recv()
                except (EOFError, OSError):  # it has died, in the middle of an answer perhaps: what it had is missing
                    given[pipe] = 0
                    continue
                given[pipe] -= 1
                _give(pipe, waiting, given)
                played.failed += failed
                played.counts += counts
                played.totals.add(totals.counts, runs=totals.runs)
                missing.difference_update(chunk)
                if progress is not None:
                    progress(len(seeds) - len(missing), len(seeds))
    if len(played.failed) < stop_at and missing:
        for seed in sorted(missing):
            judged(settings_of(seed))  # raises what ended the process, unless that was a signal
        raise SimulationError(f"{len(missing)} runs were not made: a forked process has died")


@contextmanager
def _forked(work: Callable[[Connection], None], jobs: int) -> Iterator[Sequence[Connection]]:
    """Let forked processes work as long as the block lasts, which gets the callers' ends of their pipes."""
    context = multiprocessing.get_context("fork")

    def worked(own: Connection, callers: Sequence[Connection], folder: str) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)  # what the caller does about them is not for this process
        tempfile.tempdir = folder
        for end in callers:
            end.close()  # so that this process ends with the caller
        work(own)

    workers: dict[Connection, BaseProcess] = {}
    # files of a run that is ended with its process are removed by the caller
    with tempfile.TemporaryDirectory(prefix="factflow-", ignore_cleanup_errors=True) as folder:
        try:
            for _ in range(jobs):
                ours, own = context.Pipe()
                assert isinstance(ours, Connection), "no system that can fork has other ones"
                worker = context.Process(target=worked, args=(own, [*workers, ours], folder), daemon=True)
                worker.start()
                own.close()
                workers[ours] = worker
            yield [*workers]
        finally:
            for pipe, process in workers.items():
                process.terminate()
                process.join()
                pipe.close()


def _give(pipe: Connection, waiting: Iterator[Sequence[int]], given: dict[Connection, int]) -> None:
    """Give a forked process another chunk, if there is one."""
    chunk = next(waiting, None)
    if chunk is not None:
        with suppress(ConnectionError):  # it has died, which shows where its answer is waited for
            pipe.send(chunk)
        given[pipe] = given.get(pipe, 0) + 1
