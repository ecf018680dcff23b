import json
import math
import random
import re
import signal
from pathlib import Path
from typing import Any

import pytest

from factflow_engine.limit_suite.contenders import Contender, OwnAlgorithmError, contenders
from factflow_engine.limit_suite.suite import (
    MEASURES,
    compare,
    geometric_mean,
    published_tasks,
    variants_of,
)
from factflow_engine.native import FURTHER_LIMIT_SCENARIOS, LIMIT_SCALES, LIMIT_SCENARIOS
from factflow_engine.resilience import limits
from support.distributions import open_site
from support.interrupts import interruptible

RECORDED = json.loads((Path(__file__).parent / "fixed_scores.json").read_text())
"""Scenario, scale, fixed limit and score of another simulator."""
RANDOM = {"jitter", "flaky", "bimodal", "app_limited", "usl"}
"""Scenarios that draw numbers, which that simulator draws otherwise."""


class Aimd:
    """The published algorithm, as plainly as can be."""

    def __init__(self, first: float = 10, most: float = 200) -> None:
        self.limit, self.most = int(first), int(most)

    def on_sample(self, *, start_ns: int, rtt_ns: int, in_flight: int, dropped: bool = False) -> None:
        if dropped or rtt_ns > 5_000_000_000:
            self.limit = max(1, int(self.limit * 0.9))
        elif 2 * in_flight >= self.limit:
            self.limit = min(self.most, self.limit + 1)


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Register algorithms for one test."""
    monkeypatch.setattr(limits, "_REGISTERED", {})
    return limits.register


def test_recorded_scores_of_fixed_limits_are_reproduced() -> None:
    found = compare(published_tasks(), contenders([f"fixed:limit={limit}" for limit in (10, 20, 100)]))
    scores = {(cell.scenario, cell.scale, cell.algorithm): cell.score for cell in found.cells}
    assert len(scores) == len(RECORDED) == 153
    for scenario, scale, limit, score in RECORDED:
        tolerance = 0.03 if scenario in RANDOM else 0.01
        assert scores[scenario, scale, f"fixed:limit={limit}"] == pytest.approx(score, abs=tolerance), scenario


def test_results_are_the_same_in_any_order_and_on_any_number_of_threads() -> None:
    tasks = published_tasks(("jitter", "two_routes", "app_limited"), (0.2,))
    algorithms = contenders(("vegas", "adaptive", "arc", "gradient"))
    first = compare(tasks, algorithms, threads=1, bins=10)
    cells = {(cell.scenario, cell.algorithm): cell for cell in first.cells}
    for seed in range(3):
        shuffled = random.Random(seed)
        again = compare(
            shuffled.sample(tasks, len(tasks)), shuffled.sample(algorithms, len(algorithms)), threads=3, bins=10
        )
        assert {(cell.scenario, cell.algorithm): cell for cell in again.cells} == cells


def test_the_document_has_exactly_what_was_promised() -> None:
    document = compare(published_tasks(("steady",)), contenders(("aimd", "arc"))).document()
    again = json.loads(json.dumps(document, allow_nan=False))
    assert [(cell["scenario"], cell["scale"], cell["algorithm"]) for cell in again["cells"]] == [
        ("steady", scale, name) for scale in LIMIT_SCALES for name in ("aimd", "arc")
    ]
    assert all(tuple(cell) == ("scenario", "scale", "algorithm", *MEASURES) for cell in again["cells"])
    assert list(again["summary"]) == ["arc", "aimd"], "the best first"
    for name, standing in again["summary"].items():
        scores = [cell["score"] for cell in again["cells"] if cell["algorithm"] == name]
        assert standing == {
            "geometric_mean": pytest.approx(math.prod(max(score, 0.01) for score in scores) ** (1 / 3), abs=1e-6),
            "worst": min(scores),
            "cells_at_least_0.8": sum(score >= 0.8 for score in scores),
            "cells": 3,
        }


def test_a_geometric_mean_has_a_floor() -> None:
    assert geometric_mean([0.0, 1.0]) == 0.1
    assert geometric_mean([0.25, 1.0]) == 0.5


def test_variants_are_numbered_and_differ_from_each_other_and_by_seed() -> None:
    tasks = published_tasks(("steady",), (1.0,))
    first, other = variants_of(tasks, 3, 1), variants_of(tasks, 3, 2)
    assert [task.label for task in first] == ["steady#0", "steady#1", "steady#2"]
    durations = {task.scenario.duration_ns for task in (*tasks, *first, *other)}
    assert len(durations) == 7
    assert [task.scenario.duration_ns for task in variants_of(tasks, 3, 1)] == [
        task.scenario.duration_ns for task in first
    ]


@pytest.mark.parametrize("scenario", ["knee", "outage", "two_routes"])
def test_an_own_algorithm_is_driven_as_the_built_in_one(own: Any, scenario: str) -> None:
    own("mine", Aimd)
    tasks = published_tasks((scenario,), (0.2,))
    mine, theirs = compare(tasks, contenders(("mine:first=10,most=200", "aimd:max=200")), bins=5).cells
    assert (mine.measures, mine.series) == (theirs.measures, theirs.series)


@pytest.mark.usefixtures("own")
def test_an_installed_algorithm_is_compared_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = Path(__file__).read_text()
    aimd = source[source.index("class Aimd:") :].partition("\n\n\n")[0]
    with open_site(tmp_path, monkeypatch) as site:
        site.module("own_limits.py", aimd + "\n")
        site.module("broken_limits.py", "raise OSError('no')\n")
        site.distribution("own-limits", "factflow.limits", installed="own_limits:Aimd", broken="broken_limits:Aimd")
        assert {"installed", "broken"} <= set(limits.registered())
        tasks = published_tasks(("steady",), (0.2,))
        found = compare(tasks, contenders(("installed", "aimd:max=200"))).cells
        assert found[0].measures == found[1].measures
        with pytest.raises(OwnAlgorithmError, match="OSError: no"):
            contenders(("broken",))


def test_own_algorithms_are_compared_with_all_others(own: Any) -> None:
    own("mine", Aimd)
    assert [one.name for one in contenders()] == [*limits.ALGORITHMS, "mine"]


class Failing(Aimd):
    def on_sample(self, **sample: Any) -> None:
        raise self.error

    error: BaseException = ZeroDivisionError("mine")


class Zero(Aimd):
    def on_sample(self, **sample: Any) -> None:
        self.limit = 0


class Unmade(Aimd):
    def __init__(self) -> None:
        raise LookupError("not today")


@pytest.mark.parametrize(
    ("algorithm", "error", "said"),
    [
        (
            Failing,
            ZeroDivisionError,
            rf"^limit algorithm 'mine': ZeroDivisionError: mine \({re.escape(__file__)}:\d+\)$",
        ),
        (Zero, ValueError, "^limit algorithm 'mine': expected a limit that is an int of 1 or more, got 0$"),
        (Unmade, LookupError, "^limit algorithm 'mine': LookupError: not today "),
    ],
)
def test_an_own_algorithms_error_is_told_with_its_name_and_line(
    own: Any, algorithm: Any, error: Any, said: str
) -> None:
    own("mine", algorithm)
    mine = Contender(label="mine", name="mine", parameters={})
    with pytest.raises(OwnAlgorithmError, match=said) as caught:
        compare(published_tasks(("steady",), (0.2,)), [mine])
    assert isinstance(caught.value.__cause__, error)


def test_an_own_algorithm_gets_whole_numbers_as_they_are_written(own: Any) -> None:
    class Started(Aimd):
        def __init__(self, start: int, share: float = 1.0) -> None:
            super().__init__()
            self.limit, self.share = start, share

    own("started", Started)
    asked = contenders(("started:start=8,share=0.5", "aimd:timeout_ns=1e8", "aimd:initial=12"))
    assert [one.parameters for one in asked] == [{"start": 8, "share": 0.5}, {"timeout_ns": 1e8}, {"initial": 12}]
    assert isinstance(asked[0].parameters["start"], int)
    with pytest.raises(OwnAlgorithmError, match=r"'start'; write its parameters as started:PARAMETER=NUMBER$"):
        contenders(("started",))
    with pytest.raises(ValueError, match="initial: expected a number from 1 to"):
        contenders((f"aimd:initial={'9' * 400}",))


def test_an_interrupt_ends_it_wherever_it_is(own: Any) -> None:
    class Interrupting(Aimd):
        def on_sample(self, **sample: Any) -> None:
            signal.raise_signal(signal.SIGINT)

    own("mine", Interrupting)
    with interruptible(), pytest.raises(KeyboardInterrupt):
        compare(published_tasks(("steady",), (1.0,)), contenders(("mine",)))
    told = []

    def interrupt(done: int) -> None:
        told.append(done)
        signal.raise_signal(signal.SIGINT)

    with interruptible(), pytest.raises(KeyboardInterrupt):
        compare(published_tasks(), contenders(("arc",)), told=interrupt)
    assert told == [1], "and nothing is told any more"


def test_series_add_up_to_the_measures() -> None:
    found = compare(published_tasks(("outage",), (1.0,)), contenders(("fixed:limit=20",)), bins=60)
    (cell,), (oracle,) = found.cells, found.oracles
    assert cell.series is not None
    assert oracle is not None
    successes = sum(cell.series["in_time"]) + sum(cell.series["late"])
    assert cell.measures["U"] == pytest.approx(successes / (sum(oracle["in_time"]) + sum(oracle["late"])), abs=1e-6)
    assert sum(cell.series["given_up"]) == 15 * 20 + 20
    assert sum(map(sum, cell.series["latencies"])) == successes
    assert set(cell.series["limit_tenths"]) == {200}
    assert cell.series["width_ns"] * 60 >= 80_000_000_000


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("nope", "no limit algorithm 'nope'; there are adaptive, fixed"),
        ("aimd:", "expected PARAMETER=NUMBER, got ''"),
        ("aimd:backoff", "expected PARAMETER=NUMBER, got 'backoff'"),
        ("aimd:backoff=x", "expected PARAMETER=NUMBER, got 'backoff=x'"),
        ("aimd:backoff=7", "backoff: expected a number from 0.5 to"),
        ("aimd:limit=7", 'unknown parameter "limit"'),
        ("vegas:window=1,window.size=10", "'window' has a number and parts"),
        ("vegas:window.length=10", 'unknown parameter "length"'),
    ],
)
def test_what_names_no_algorithm_is_answered_with_what_does(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said.replace("(", r"\(")):
        contenders((text,))


@pytest.mark.parametrize("name", FURTHER_LIMIT_SCENARIOS)
def test_scenarios_outside_the_table_are_compared_by_name(name: str) -> None:
    label = "fixed:limit=1"
    found = compare(published_tasks((name,), (0.2,)), contenders((label,)))
    (cell,) = found.cells
    assert (cell.scenario, cell.algorithm) == (name, label)
    assert 0 < cell.score <= 1


def test_the_catalogue_is_complete() -> None:
    assert len(published_tasks()) == len(LIMIT_SCENARIOS) * len(LIMIT_SCALES)
    assert set(LIMIT_SCENARIOS).isdisjoint(FURTHER_LIMIT_SCENARIOS)
    with pytest.raises(ValueError, match=f"{', '.join(FURTHER_LIMIT_SCENARIOS)}$"):
        published_tasks(("stedy",))
    with pytest.raises(ValueError, match='no scenario "stedy"; there are steady, '):
        published_tasks(("stedy",))
    with pytest.raises(ValueError, match="scale: expected a number above 0"):
        published_tasks(("steady",), (0.0,))
