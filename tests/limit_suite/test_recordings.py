import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from factflow_engine.limit_suite.contenders import contenders
from factflow_engine.limit_suite.recordings import RecordingError, levels_of, recorded_tasks
from factflow_engine.limit_suite.suite import compare

MS = 1_000_000


def line(in_flight: int = 1, duration_ms: float = 50, *, route: str = "r", stage: str = "s", **changes: object) -> str:
    call = {
        "start_ns": 0,
        "duration_ns": round(duration_ms * MS),
        "in_flight": in_flight,
        "dropped": False,
        "route": route,
        "stage": stage,
    }
    return json.dumps(call | changes)


def knee_at(calls: int) -> list[str]:
    """Return a recording of a server whose latency grows in proportion beyond so many calls."""
    return [line(n, 50 * max(1, n / calls)) for n in range(1, 5 * calls) for _ in range(30)]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "calls.jsonl"


def test_a_recording_is_replayed_as_the_server_that_it_was_made_of(file: Path) -> None:
    file.write_text("\n".join(knee_at(16)) + "\n")
    (task,) = recorded_tasks(file).tasks
    (start, best), *_ = task.scenario.limits
    assert (task.label, start) == ("r/s", 0)
    assert 14 <= best <= 18, "as far as levels tell"
    found = compare((task,), contenders(("fixed:limit=4", "fixed:limit=16", "fixed:limit=64", "fixed:limit=160")))
    scores = [cell.score for cell in found.cells]
    assert scores[1] == max(scores) > 0.9
    assert scores[0] == pytest.approx(4 / 16, abs=0.03)
    assert scores[2] == pytest.approx(16 / 64, abs=0.06)
    assert scores[3] == pytest.approx(16 / 160, abs=0.03), "beyond what was seen it queues"


def test_a_server_that_refuses_at_once_is_replayed_with_the_number_that_it_takes(file: Path) -> None:
    taken = [line(n, 12) for n in range(1, 5) for _ in range(100)]
    file.write_text("\n".join([*taken, *([line(5, 0.011, dropped=True)] * 265), *([line(9, 0.011, dropped=True)] * 9)]))
    (task,) = recorded_tasks(file).tasks
    assert task.scenario.limits == [(0, 4)], "four calls and the fifth are no level together"
    assert task.scenario.target_ns == 24 * MS, "refusals are no latencies"
    found = compare((task,), contenders(("adaptive", "fixed:limit=4", "fixed:limit=10")))
    scores = [cell.score for cell in found.cells]
    assert scores[1] == 1.0
    assert scores[0] > 0.8
    assert scores[2] < 0.3


def test_each_stage_is_a_scenario_and_those_with_few_calls_are_left_out(file: Path) -> None:
    lines = [line(route="a"), *([line(route="b")] * 20), "", *([line(route="b", stage="t", dropped=True)] * 20)]
    file.write_text("\n".join(lines))
    found = recorded_tasks(file)
    assert [task.label for task in found.tasks] == ["b/s", "b/t"]
    assert found.left_out == {"a/s": 1}


def test_fast_calls_are_not_simulated_for_a_minute(file: Path) -> None:
    file.write_text("\n".join([line(4, 0.001)] * 50))
    (task,) = recorded_tasks(file).tasks
    assert task.scenario.duration_ns == 1_000_000_000


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no calls were recorded"),
        (line(), "expected 20 calls of a stage at least; r/s had fewer"),
        ("{", ":1: expected a JSON object: "),
        ("[]", ":1: expected a JSON object, got list"),
        (line() + "\n" + line(in_flight=0), ":2: in_flight: expected a whole number from 1 to 100000, got 0"),
        (line(duration_ns=1.5), "duration_ns: expected a whole number from 1 to 9223372036854775807, got 1.5"),
        (line(in_flight=10**6), "in_flight: expected a whole number from 1 to 100000, got 1000000"),
        (line(dropped=1), "dropped: expected a bool, got 1"),
        (line(stage="s" * 5000), ":1: expected lines of 4,096 bytes at most"),
    ],
)
def test_what_is_no_recording_is_refused_with_its_place(file: Path, text: str, said: str) -> None:
    file.write_text(text)
    with pytest.raises(RecordingError) as caught:
        recorded_tasks(file)
    assert said in str(caught.value)
    assert str(file) in str(caught.value)


def test_a_file_that_is_not_there_is_refused(file: Path) -> None:
    with pytest.raises(RecordingError, match="cannot be read: No such file"):
        recorded_tasks(file)


@given(st.lists(st.tuples(st.integers(1, 500), st.integers(1, 10**9), st.booleans()), min_size=1, max_size=3000))
def test_levels_are_ascending_bounded_and_of_twenty_calls(calls: list[tuple[int, int, bool]]) -> None:
    levels = levels_of(calls)
    assert [level for level, _ in levels] == sorted({level for level, _ in levels})
    assert all(
        found == sorted(found) and set(found) <= {(ns, dropped) for _, ns, dropped in calls} for _, found in levels
    )
    assert all(min(20, len(calls)) <= len(found) <= 512 for _, found in levels)
