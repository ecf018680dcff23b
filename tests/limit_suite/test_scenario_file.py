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

OUTAGE = """
name: mine
target_ms: 100
timeout_ms: 1000
server: {capacity: 20, service_ms: 50}
phases: [{seconds: 20}, {seconds: 15, outage: true}, {seconds: 45}]
"""

WARMUP = """
name: mine
target_ms: 600
server: {capacity: 20, service_ms: 50, warm_up: {extra_ms: 450, seconds: 5}}
phases: [{seconds: 60}]
"""

BIMODAL = """
name: mine
target_ms: 800
server: {capacity: 20, service_ms: 10, sizes: [{share: 0.1, service_ms: 500}]}
phases: [{seconds: 60}]
"""

BASELINE_X3 = """
name: mine
target_ms: 120
server: {capacity: 20, service_ms: 20}
phases: [{seconds: 30}, {seconds: 30, service_ms: 60}, {seconds: 30}]
"""

MICROSECOND = """
name: mine
target_ms: 0.1
server: {capacity: 4, service_ms: 0.025}
phases: [{seconds: 3}]
"""

CAPPED_LINK = """
name: mine
target_ms: 150
server: {model: sharing, capacity: 20, service_ms: 50, spread: 0.5}
phases: [{seconds: 60}]
"""

BROKEN_CONNECTIONS = """
name: mine
target_ms: 100
server: {model: breaking, capacity: 20, service_ms: 50, break_seconds: 4, broken: 0.75}
phases: [{seconds: 60}]
"""

GIVING_UP = """
name: mine
target_ms: 100
timeout_ms: 150
server: {capacity: 20, service_ms: 50}
phases: [{seconds: 20}, {seconds: 5, capacity: 5}, {seconds: 35}]
"""

BURST_AFTER_IDLE = """
name: mine
target_ms: 40
server: {capacity: 100, service_ms: 20}
load: {calls_per_second: CALLS, from_seconds: 15, until_seconds: 195}
phases: [{seconds: 215}]
""".replace("CALLS", "10")  # a fifth of it is the two a second of every scale

RETRY_STORM = """
name: mine
target_ms: 100
timeout_ms: 200
server: {capacity: 20, service_ms: 50}
load: {calls_per_second: 300, retries: 3}
phases: [{seconds: 20}, {seconds: 5, capacity: 2}, {seconds: 55}]
"""

JOINING_AND_LEAVING = """
name: mine
target_ms: 100
server: {capacity: 40, service_ms: 50}
joins_seconds: [0, 20, 40, 60]
leaves_seconds: [90, 110]
phases:
  - {seconds: 20, limit: 40}
  - {seconds: 20, limit: 20}
  - {seconds: 20, limit: 15}
  - {seconds: 30, limit: 10}
  - {seconds: 20, limit: 15}
  - {seconds: 30, limit: 20}
"""

SAME = {
    "outage": OUTAGE,
    "warmup": WARMUP,
    "bimodal": BIMODAL,
    "baseline_x3": BASELINE_X3,
    "microsecond": MICROSECOND,
    "capped_link": CAPPED_LINK,
    "broken_connections": BROKEN_CONNECTIONS,
    "giving_up": GIVING_UP,
    "burst_after_idle": BURST_AFTER_IDLE,
    "retry_storm": RETRY_STORM,
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


def test_routes_that_join_and_leave_share_what_is_there(written: Path) -> None:
    written.write_text(JOINING_AND_LEAVING)
    (task,) = scenario_tasks(written)
    assert [limit for _, limit in task.scenario.limits] == [40, 20, 15, 10, 15, 20]
    (shared, greedy) = compare((task,), contenders(("fixed:limit=10", "fixed:limit=40"))).cells
    assert shared.measures["J"] == 1.0
    assert (shared.measures["I"] or 0) <= (greedy.measures["I"] or 0) / 2


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
        ("{capacity", "{model: batch, broken: .1, capacity", "broken is of the model breaking, and this is batch"),
        ("{capacity", "{model: sharing, spread: 1, capacity", "expected a spread below 1 for the model sharing, got 1"),
        (
            "{capacity",
            "{spread: 1, warm_up: {extra_ms: 5, seconds: 1}, capacity",
            "a service has one of spread and warm_up",
        ),
        (
            "{capacity",
            "{sizes: [{share: .6, service_ms: 1}, {share: .6, service_ms: 2}], capacity",
            "add up to 1 at most",
        ),
        ("seconds: 60", "seconds: 60, outage: true", "callers give up by timeout_ms"),
        ("target_ms", "leaves_seconds: [0]\ntarget_ms", "a time after that of joining"),
        ("target_ms", "load: {calls_per_second: 3, retries: 1, from_seconds: 3}\ntarget_ms", "has no from_seconds"),
        ("target_ms", "load: {calls_per_second: 3, from_seconds: 3, until_seconds: 2}\ntarget_ms", "is not after from"),
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
