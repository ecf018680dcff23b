"""Any text as a plan of faults: a plan that is written and read back the same, or its one error."""

# ruff: noqa: PT017 - a check is no test, and looks at errors as they come

from factflow_engine.testing.simulation.faults import KINDS, FaultPlanError, plan_text, read_plan
from fuzz.campaign import Target

SEEDS = [
    b"[]",
    b'[{"fault": "duplicate", "queue": "/queue/parse", "nth": 3}, {"fault": "crash", "process": null, "step": 17}]',
    b'[{"fault": "slow_stage", "stage": "parse/fetch", "from_seconds": 2, "seconds": 5, "extra_seconds": 0.5}]',
    b'[{"fault": "rates", "until": 60, "duplicate": 0.01, "crash_seconds": 5.5}, {"fault": "power_cut", "at": 1}]',
    b'[{"fault": "fail_queue", "operation": "settle", "done": true}, {"fault": "fail_storage", "operation": "put"}]',
    b'[{"fault": "step_clock", "at": 1.5, "seconds": -3600}, {"fault": "skew_clock", "rate": 1.01, "process": 1}]',
    b'[{"fault": "cancel_execution", "step": 1, "restart_after": null}, {"fault": "fail_stage", "stage": "a/b"}]',
]
WORDS = [
    *(f'"{kind}"'.encode() for kind in KINDS),
    *(b"null", b"true", b"[]", b"{}", b'"x"', b"NaN", b"Infinity", b"-Infinity", b"-1", b"1.5", b"1e400", b"0"),
    *(b"1" + b"0" * 400, b"9" * 5_000, b'"\\ud800"', b'{"fault": ', b", ", b"[" * 300, b"\xff", b'"fault"', b'"nth": '),
    *(
        b'"process": ',
        b'"seconds": ',
        b'"operation": ',
        b'"done": ',
        b'"stage": ',
        b'"at": ',
        b'"rate": ',
        b'"until": ',
    ),
]


def check(data):
    text = data.decode(errors="surrogateescape")
    try:
        plan = read_plan(text)
    except FaultPlanError as error:
        assert str(error)
        return str(error)[:30]
    assert read_plan(plan_text(plan)) == plan
    assert repr(plan)
    return tuple(fault.kind for fault in plan)


TARGET = Target(name="plans", check=check, seeds=SEEDS, words=WORDS)
