"""Soak: random tuples of configuration, inputs, faults and schedule, each judged by all that must hold.

A failure prints the tuple's number, of which it is a function, and the smallest run that fails alike. In the fast suite
a few dozen tuples; `make test-slow` plays a hundred thousand.
"""

import os
from collections.abc import Sequence
from functools import partial

import pytest

from factflow_engine.testing.simulation.assertions import CampaignTotals
from factflow_engine.testing.simulation.many import Played, play_all, play_forked
from factflow_engine.testing.simulation.oracle import Broken
from factflow_engine.testing.simulation.report import SimulationCounts, SimulationReport
from factflow_engine.testing.simulation.settings import RunSettings
from factflow_engine.testing.simulation.shrinking import Shrinking
from testing import soak_oracles
from testing.soak_oracles import judged
from testing.soak_tuples import DRAWN_SEED, RUNS_OF_INPUTS, drawn, subjects

FEW = 64
MANY = 100_000
MOST_RUNS = 300
"""Most runs that making a failure smaller is worth."""


def soaked(numbers: Sequence[int], *, configurations: int, jobs: int = 1) -> SimulationCounts:
    """Play the tuples of these numbers, and return what they saw together.

    Raises:
        AssertionError: One failed; its text says how to play it again.
    """
    subjects(configurations)  # drawn once, before the jobs fork

    def settings_of(number: int) -> RunSettings:
        return drawn(number, configurations=configurations).settings

    def played_and_judged(settings: RunSettings) -> SimulationReport:
        return judged(drawn(settings.seed, configurations=configurations), settings)

    def progress(done: int, of: int) -> None:
        if not done % 4_000:
            print(f"{done} of {of} tuples, {len(played.failed)} failed", flush=True)

    played = Played([], SimulationCounts(runs=0), CampaignTotals())
    play = play_all if jobs == 1 else partial(play_forked, jobs=jobs)
    play(numbers, settings_of, played_and_judged, played, 1, progress)
    print(f"drawn with seed {DRAWN_SEED}: {played.counts}", flush=True)
    if played.failed:
        pytest.fail(_told(min(played.failed), configurations), pytrace=False)
    return played.counts


def _told(number: int, configurations: int) -> str:
    """Return what is to be said of a failing tuple, with its smallest form."""
    tuple_ = drawn(number, configurations=configurations)
    report = judged(tuple_, tuple_.settings)
    lines = [
        f"tuple {number} of {configurations} configurations drawn with seed {DRAWN_SEED}, {tuple_.subject.name!r}:",
        *(f"- {broken}" for broken in report.broken),
        str(tuple_.subject.config.source) if tuple_.subject.pipeline is None else tuple_.subject.pipeline.text,
        report.reproducer,
    ]
    if report.broken:
        names = frozenset(broken.name for broken in report.broken)
        search = Shrinking(lambda settings: judged(tuple_, settings), names, most_runs=MOST_RUNS)
        smaller = search.smallest(tuple_.settings, report)
        lines += ["made smaller:", *(f"- {broken}" for broken in smaller.broken), smaller.reproducer]
    return "\n".join(lines)


def test_some_random_tuples_hold():
    counts = soaked(range(FEW), configurations=40)
    assert counts.runs == FEW
    assert counts.retries > 10
    assert counts.crashes > 25
    assert counts.cancellations > 10


@pytest.mark.slow
@pytest.mark.timeout(4 * 3600)
def test_a_hundred_thousand_random_tuples_hold():
    counts = soaked(range(MANY), configurations=300, jobs=os.cpu_count() or 1)
    assert counts.runs == MANY
    assert counts.inputs > 300_000
    assert counts.retries > 100_000
    assert counts.crashes > 30_000
    assert counts.cancellations > 30_000
    assert counts.duplicates > 5_000
    assert counts.breaker_openings > 5_000


def test_a_failing_tuple_is_told_with_its_number_and_its_smallest_form(monkeypatch):
    def wrong(tuple_, settings, report):
        if any(each.payload.get("n") == 1 for each in report.inputs):
            yield Broken(name="nobody says one", text="it was said")

    monkeypatch.setattr(soak_oracles, "_verdicts", wrong)
    number = next(
        number
        for number in range(0, 2_000, RUNS_OF_INPUTS)
        if (subject := drawn(number, configurations=40)).subject.pipeline is not None
        and len(subject.settings.inputs) > 3
    )
    with pytest.raises(pytest.fail.Exception, match=rf"tuple {number} of(?s:.*)made smaller:") as told:
        soaked([number], configurations=40)
    smaller = str(told.value).partition("made smaller:")[2]
    assert smaller.count("Input(") == 1
    assert "Crash" not in smaller


def test_a_tuple_is_a_function_of_its_number():
    for number in range(0, 400, 20):
        first, second = drawn(number, configurations=40), drawn(number, configurations=40)
        assert repr(first.settings) == repr(second.settings)
    kinds = {
        (drawn(number, configurations=40).settings.queue, drawn(number, configurations=40).settings.processes)
        for number in range(200)
    }
    assert kinds == {("memory://", 1), ("broker://", 1), ("broker://", 2), ("broker://", 3)}
