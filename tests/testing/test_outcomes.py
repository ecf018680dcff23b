"""`assert_outcomes`: exact counts, and a text that says what failed."""

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from factflow_engine import OrchestratorManager
from factflow_engine.testing import OutcomesError, Simulation, assert_outcomes, in_virtual_time, simulate
from factflow_protocols import AdapterResult
from support.pipelines import load, registry_of, run

TEXT = """
routes:
  parse:
    adapters: [{type: step}]
    outbound: [{route: write}]
  write:
    adapters: [{type: step}]
"""


def step(context):
    if context.message == "none":
        return None
    return AdapterResult(message=context.message["text"])


def report_of(*messages, text=TEXT):
    return in_virtual_time(
        lambda simulation: run(
            text, adapters={"step": step}, publish=[("parse", each) for each in messages], seams=simulation.seams
        ),
        seed=1,
    )


def test_counts_that_hold_pass_and_what_is_not_given_must_not_have_happened():
    report = report_of({"text": {"text": "x"}}, "none")
    assert_outcomes(report, completed=2, filtered=1)
    assert_outcomes(report, "parse", completed=1, filtered=1)
    assert_outcomes(report, "write", completed=1)
    with pytest.raises(OutcomesError) as caught:
        assert_outcomes(report, completed=2)
    assert isinstance(caught.value, AssertionError)
    assert str(caught.value).splitlines() == [
        "outcomes of all routes: expected completed=2; got completed=2, filtered=1",
        "  parse: completed=1, filtered=1",
        "  write: completed=1",
    ]


def test_failures_are_named_and_only_those_of_the_route():
    report = report_of({"no": 1}, {"text": "x"})
    with pytest.raises(OutcomesError) as caught:
        assert_outcomes(report, "parse", completed=2)
    lines = str(caught.value).splitlines()
    assert lines[0] == "outcomes of route 'parse': expected completed=2; got completed=1, failed=1"
    assert lines[1].startswith("  parse/step: KeyError: 'text' at test_outcomes.py:")
    assert lines[1].endswith(" (attempt 1), of {'no': 1}")
    assert len(lines) == 2


def test_a_few_failures_are_shown_and_the_others_counted():
    with pytest.raises(OutcomesError, match=r"and 3 more failures: report\.failures"):
        assert_outcomes(report_of(*[{}] * 8), completed=8)


def test_an_execution_that_failed_or_holds_messages_says_so():
    async def main(simulation: Simulation):
        async def stuck(context):
            await trio.sleep_forever()

        registry = registry_of(step=stuck)
        async with OrchestratorManager(registry=registry, seams=simulation.seams) as manager:
            execution = await manager.start(load(registry, TEXT))
            await execution.publish("parse", 1)
            await trio.sleep(2)
            with pytest.raises(OutcomesError, match="held at parse/step by adapter for 2 s"):
                assert_outcomes(execution.statistics(), completed=1)
            await execution.cancel()
            return await execution.complete()

    report = in_virtual_time(main, seed=1)
    with pytest.raises(OutcomesError, match=r"(?s)expected completed=1; got no message.*the execution is cancelled: "):
        assert_outcomes(report, completed=1)


def test_an_unknown_route_is_named_with_those_that_there_are():
    with pytest.raises(OutcomesError, match="got 'prase'; the routes are parse, write"):
        assert_outcomes(report_of(), "prase")


def test_a_simulated_run_is_read_as_an_execution_and_names_the_line_that_reproduces_it():
    report = simulate(
        'version: "1.0"' + TEXT,
        registry=registry_of(step=step),
        inputs={"parse": [{"text": {"text": "x"}}, "none", {}]},
    )
    assert_outcomes(report, completed=2, filtered=1, failed=1)
    assert_outcomes(report, "write", completed=1)
    with pytest.raises(OutcomesError) as caught:
        assert_outcomes(report, "parse", completed=3)
    first, failure, last = str(caught.value).splitlines()
    assert first == "outcomes of route 'parse': expected completed=3; got completed=1, filtered=1, failed=1"
    assert failure.startswith("  parse/step: KeyError: 'text' at test_outcomes.py:")
    assert last == f"reproduce: {report.reproducer}"
    with pytest.raises(OutcomesError, match="got 'prase'; the routes are parse, write"):
        assert_outcomes(report, "prase")


@given(st.lists(st.integers(0, 2), min_size=4, max_size=4))
def test_exactly_the_counts_pass(expected):
    report = report_of({"text": {"text": "x"}}, "none", {})
    names = ("completed", "filtered", "dead_lettered", "failed")
    holds = expected == [2, 1, 0, 1]
    try:
        assert_outcomes(report, **dict(zip(names, expected, strict=True)))
    except OutcomesError:
        assert not holds
    else:
        assert holds
