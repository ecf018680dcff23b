from pathlib import Path

import pytest

from factflow_engine.limit_suite.contenders import contenders
from factflow_engine.limit_suite.scenario_file import ScenarioError, scenario_tasks
from factflow_engine.limit_suite.suite import MEASURES, compare, published_tasks

STEADY = """
name: mine
target_ms: 100
server: {capacity: 20, service_ms: 50}
phases: [{seconds: 60}]
"""

CAP_STEP = """
name: mine
target_ms: 100
server: {capacity: 40, service_ms: 50}
phases: [{seconds: 30}, {seconds: 30, capacity: 10}, {seconds: 30}]
"""

REJECT = """
name: mine
target_ms: 200
server: {model: refusing, capacity: 25, service_ms: 100}
phases: [{seconds: 60}]
"""

KNEE = """
name: mine
target_ms: 100
server: {model: knee, capacity: 16, service_ms: 50}
phases: [{seconds: 60}]
"""

BATCH = """
name: mine
target_ms: 250
server: {model: batch, capacity: 60, service_ms: 10}
phases: [{seconds: 60}]
"""

USL = """
name: mine
target_ms: 150
server: {model: usl, service_ms: 50, contention: 0.03, coherence: 0.0005}
phases: [{seconds: 60}]
"""

APP_LIMITED = """
name: mine
target_ms: 100
server: {capacity: 20, service_ms: 50}
load: {calls_per_second: 100, until_seconds: 60}
phases: [{seconds: 90}]
"""

TWO_ROUTES = """
name: mine
target_ms: 100
server: {capacity: 20, service_ms: 50}
joins_seconds: [0, 30]
phases: [{seconds: 30}, {seconds: 90, limit: 10}]
"""

JITTER = """
name: mine
target_ms: 200
server: {capacity: 20, service_ms: 50, spread: 0.7}
phases: [{seconds: 60}]
"""

FLAKY = """
name: mine
target_ms: 100
server: {capacity: 20, service_ms: 50, failing: 0.05}
phases: [{seconds: 60}]
"""

SAME = {
    "steady": STEADY,
    "cap_step": CAP_STEP,
    "reject": REJECT,
    "knee": KNEE,
    "batch": BATCH,
    "usl": USL,
    "app_limited": APP_LIMITED,
    "two_routes": TWO_ROUTES,
    "jitter": JITTER,
    "flaky": FLAKY,
}


@pytest.fixture
def written(tmp_path: Path) -> Path:
    return tmp_path / "mine.yaml"


@pytest.mark.parametrize("name", SAME)
def test_a_published_scenario_can_be_written_and_is_the_same(written: Path, name: str) -> None:
    written.write_text(SAME[name])
    mine = compare(scenario_tasks(written, (0.2,)), contenders(("arc", "vegas")), bins=7)
    theirs = compare(published_tasks((name,), (0.2,)), contenders(("arc", "vegas")), bins=7)
    assert [(cell.measures, cell.series) for cell in mine.cells] == [
        (cell.measures, cell.series) for cell in theirs.cells
    ]
    assert [cell.scenario for cell in mine.cells] == ["mine", "mine"]


def test_what_never_succeeds_has_no_measure_that_is_infinite(written: Path) -> None:
    written.write_text(STEADY.replace("50}", "50, failing: 1}"))
    cell = compare(scenario_tasks(written), contenders(("arc",))).cells[0]
    assert [name for name in MEASURES if cell.measures[name] is None] == ["I", "I99"]


@pytest.mark.parametrize(
    ("change", "to", "said"),
    [
        ("name: mine", "name: two words", ":2:7: E106 "),
        ("capacity: 20", "capacity: many", ":4:20: E104 expected a whole number, got 'many' (server.capacity)"),
        ("capacity: 20", "kapacity: 20", "write 'capacity'"),
        ("capacity: 20", "capacity: 0", ":4:20: E105 "),
        (", service_ms: 50", "", "the field 'service_ms' is missing"),
        ("seconds: 60", "seconds: 3601", "E105"),
        ("seconds: 60", "seconds: 60, capacity: 9", None),
        ("{capacity", "{model: knee, failing: .1, capacity", "failing is of the model workers, and this is knee"),
        ("[{seconds: 60}]", "[{seconds: 60}, {seconds: 3600}]", "expected 3,600 seconds at most in all"),
        ("service_ms: 50", "service_ms: .001", "calls at most, got about 1,200,000,000; write less capacity"),
        ("target_ms", "joins_seconds: [0, 60]\ntarget_ms", "expected times from 0 below 60 seconds"),
        ("{capacity", "{model: knee, capacity", None),
        ("name: mine", "- mine", "E0"),
        ("name: mine", "name: .mine", "beginning with a letter or digit, at most 128"),
        ("[{seconds: 60}]", "[]", "expected 1 or more elements, got 0"),
        (STEADY, "# nothing yet", "write name:, target_ms:, server: and phases:"),
    ],
)
def test_what_is_wrong_is_shown_where_it_stands(written: Path, change: str, to: str, said: str | None) -> None:
    written.write_text(STEADY.replace(change, to))
    if said is None:
        assert scenario_tasks(written)
        return
    with pytest.raises(ScenarioError) as caught:
        scenario_tasks(written)
    assert said in str(caught.value)
    assert f"{written}:" in str(caught.value)


def test_a_list_of_wrong_elements_is_not_also_said_to_be_empty(written: Path) -> None:
    written.write_text(STEADY.replace("seconds: 60", "seconds: 1e9"))
    with pytest.raises(ScenarioError) as caught:
        scenario_tasks(written)
    assert [finding.path for finding in caught.value.findings] == ["phases[0].seconds"]


def test_a_phase_of_another_model_cannot_change_the_server(written: Path) -> None:
    written.write_text(KNEE.replace("seconds: 60", "seconds: 60, capacity: 3"))
    with pytest.raises(ScenarioError, match="only the model workers"):
        scenario_tasks(written)


@pytest.mark.parametrize("content", [b"", b"- a\n", b"\xff\xfe", b"a: [" * 100])
def test_no_scenario_at_all_is_a_finding(written: Path, content: bytes) -> None:
    with pytest.raises(ScenarioError, match="E016"):
        scenario_tasks(written)
    written.write_bytes(content)
    with pytest.raises(ScenarioError, match=r"E0|E1"):
        scenario_tasks(written)
