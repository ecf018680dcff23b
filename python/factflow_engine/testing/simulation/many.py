"""Many runs, one after the other or in forked processes, and what they saw together.

Kept separate from campaigns because only this module has processes of the machine: a run happens in one of them, whole, so
that they decide nothing of it.
"""

import gc
import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Final

from factflow_engine.testing.simulation.assertions import CampaignTotals
from factflow_engine.testing.simulation.errors import SimulationError
from factflow_engine.testing.simulation.report import SimulationCounts, SimulationReport
from factflow_engine.testing.simulation.settings import RunSettings

_CHUNK: Final = 16
_COLLECT_EVERY: Final = 64


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
    context = multiprocessing.get_context("fork")
    size = max(1, min(_CHUNK, len(seeds) // (4 * jobs)))  # small enough that no process waits long for another
    chunks = [seeds[start : start + size] for start in range(0, len(seeds), size)]

    jobs = min(jobs, len(chunks))  # others would have nothing to do

    def work(number: int, out: Connection) -> None:
        gc.freeze()  # what the caller has made is no garbage, and is not looked at
        for chunk in chunks[number::jobs]:
            part = Played([], SimulationCounts(runs=0), CampaignTotals())
            try:
                play_all(chunk, settings_of, judged, part, len(seeds), None)
            except Exception:  # noqa: BLE001 - the caller plays what is missing, and so raises it itself
                break
            out.send((chunk, part.failed, part.counts, part.totals))
        out.close()

    workers = []
    for number in range(jobs):
        receiving, sending = context.Pipe(duplex=False)
        worker = context.Process(target=work, args=(number, sending), daemon=True)
        worker.start()
        sending.close()
        workers.append((worker, receiving))
    missing, open_pipes = set(seeds), [receiving for _, receiving in workers]
    try:
        while open_pipes and len(played.failed) < stop_at:
            for pipe in wait(open_pipes):
                assert isinstance(pipe, Connection), "all are pipes"
                try:
                    chunk, failed, counts, totals = pipe.recv()
                except EOFError:
                    open_pipes.remove(pipe)
                    continue
                played.failed += failed
                played.counts += counts
                played.totals.add(totals.counts, runs=totals.runs)
                missing.difference_update(chunk)
                if progress is not None:
                    progress(len(seeds) - len(missing), len(seeds))
    finally:
        for worker, receiving in workers:
            worker.terminate()
            worker.join()
            receiving.close()
    if len(played.failed) < stop_at and missing:
        for seed in sorted(missing):
            judged(settings_of(seed))  # raises what ended the process, unless that was a signal
        raise SimulationError(f"{len(missing)} runs were not made: a forked process has died")
