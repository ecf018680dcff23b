"""Plans of faults as data: one line of JSON, there and back; a wrong one is refused with what was expected."""

import pytest

from factflow_engine.testing.simulation.faults import (
    KINDS,
    Crash,
    Duplicate,
    FailStorage,
    FaultPlanError,
    FaultRates,
    SkewClock,
    SlowStage,
    StepClock,
    plan_text,
    read_plan,
)

PLAN = (
    Duplicate(queue="/queue/parse", nth=3),
    Crash(process=None, step=17, restart_after=None),
    SlowStage(stage="parse/fetch", from_seconds=2, seconds=5, extra_seconds=0.5),
    FaultRates(until=60, duplicate=0.01),
)


def test_a_plan_is_one_line_and_comes_back():
    text = plan_text(PLAN)
    assert "\n" not in text
    assert read_plan(text) == PLAN
    assert text.startswith('[{"fault": "duplicate", "queue": "/queue/parse", "nth": 3}, {"fault": "crash", ')


def test_a_fault_is_printed_as_python_that_makes_it():
    names = {kind.__name__: kind for kind in KINDS.values()}
    assert [eval(repr(fault), names) for fault in PLAN] == list(PLAN)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Duplicate(queue="/queue/a", nth=0), "Duplicate.nth: expected a number from 1, got 0"),
        (lambda: Duplicate(queue="a"), "Duplicate.queue: expected a name such as '/queue/parse', got 'a'"),
        (Crash, r"Crash: expected either at= \(seconds\) or step="),
        (lambda: Crash(at=1, step=1), "either at="),
        (lambda: Crash(at=float("nan")), "Crash.at: expected seconds"),
        (lambda: Crash(at=1e18), "Crash.at: expected at most 1e.09 seconds, 30 years, got 1e.18"),
        (lambda: StepClock(seconds=-1e300), "StepClock.seconds: expected -1e15 to 1e.09 seconds, got -1e.300"),
        (lambda: StepClock(at=None), "StepClock.at: expected seconds, 0 or more, got None"),
        (lambda: read_plan(5), "a plan of faults: expected the text of one, got 5"),
        (lambda: plan_text(5), "a plan of faults: expected a list of faults, such as .* got 5"),
        (lambda: plan_text([5]), "a plan of faults: expected a list of faults, such as .* got .5."),
        (lambda: Crash(step=1, life=-1), "Crash.life: expected a number from 0, got -1"),
        (lambda: FailStorage(operation="put"), "FailStorage.operation: expected one of write, read, .*, got 'put'"),
        (lambda: SkewClock(rate=0), "SkewClock.rate"),
        (lambda: SlowStage(stage="fetch"), "SlowStage.stage: expected 'route/stage', got 'fetch'"),
        (lambda: FaultRates(duplicate=2), "FaultRates.duplicate: expected a probability, 0 to 1, got 2"),
        (lambda: read_plan("{"), "expected JSON"),
        (lambda: read_plan("{}"), "expected a list"),
        (lambda: read_plan('[{"fault": "flood"}]'), "fault 1: expected an object whose 'fault' is one of duplicate, "),
        (lambda: read_plan('[{"fault": "crash", "when": 1}]'), "fault 1, crash: expected one of process|at"),
        (lambda: read_plan('[{"fault": "duplicate"}]'), "fault 1, duplicate: expected a value for queue"),
        (lambda: read_plan('[{"fault": "crash"}]'), "fault 1: Crash: expected either"),
        (lambda: read_plan("[" * 100_000), "expected JSON, got .*recursion"),
        (lambda: read_plan('[{"fault": ["crash"]}]'), "fault 1: expected an object whose 'fault' is one of"),
        (lambda: read_plan('[{"fault": "crash", "at": 1' + "0" * 400 + "}]"), "Crash.at: expected seconds"),
        (lambda: read_plan('[{"fault": "step_clock", "seconds": "1"}]'), "StepClock.seconds: expected a finite number"),
        (lambda: read_plan('[{"fault": "skew_clock", "rate": null}]'), "SkewClock.rate: expected a rate"),
        (lambda: read_plan('[{"fault": "fail_queue", "operation": []}]'), "FailQueue.operation: expected an operation"),
        (
            lambda: read_plan('[{"fault": "fail_storage", "done": 1}]'),
            "FailStorage.done: expected true or false, got 1",
        ),
        (
            lambda: read_plan('[{"fault": "crash", "at": 1, "process": false}]'),
            "Crash.process: expected a number from 0",
        ),
        (
            lambda: read_plan('[{"fault": "cancel_execution", "at": 1, "process": null}]'),
            "process: expected a number from 0",
        ),
    ],
)
def test_what_cannot_be_is_refused(make, said):
    with pytest.raises(FaultPlanError, match=said):
        make()
