"""Strategies: what is drawn compiles, and holds or does not, by the engine and by the reference."""

import subprocess
import sys

import pytest
from hypothesis import Phase, given, settings
from hypothesis import find as smallest
from hypothesis import strategies as st

from conditions import reference
from factflow_engine.conditions import compile_condition
from factflow_engine.errors import ConditionErrors, UndecidedError
from factflow_engine.testing.strategies import conditions, messages, payloads_matching, payloads_not_matching


@given(conditions(), messages())
def test_conditions_compile_and_messages_are_those_that_frames_carry(condition, message):
    assert compile_condition(condition).matches_value(message) == reference.holds(condition, message)


@given(conditions(), st.booleans(), st.data())
def test_payloads_do_as_their_condition_says(condition, is_wanted, data):
    try:
        payloads = (payloads_matching if is_wanted else payloads_not_matching)(condition)
    except (ValueError, UndecidedError):
        return  # it holds for none, or for all
    payload = data.draw(payloads)
    assert compile_condition(condition).matches_value(payload) == is_wanted
    assert reference.holds(condition, payload) == is_wanted


BIG = {
    "all_of": [
        {"field": "total", "operator": "gt", "value": 5},
        {"field": "name", "operator": "starts_with", "value": "x"},
    ]
}


def test_payloads_are_many_and_shrink_to_the_plainest():
    seen = set()

    @given(payloads_matching(BIG))
    def draw(payload):
        seen.add((payload["total"], payload["name"], len(payload)))

    draw()
    assert len(seen) > 30
    few = settings(max_examples=20, phases=[Phase.generate, Phase.shrink])
    assert smallest(payloads_matching(BIG), lambda payload: True, settings=few) == {"total": 6, "name": "x"}
    assert smallest(payloads_not_matching(BIG), lambda payload: True, settings=few) == {}


def test_a_condition_that_holds_for_nothing_or_for_everything_is_refused():
    never = {"all_of": [BIG, {"not": BIG}]}
    with pytest.raises(ValueError, match="expected a condition that holds for some message, got"):
        payloads_matching(never)
    with pytest.raises(ValueError, match="expected a condition that holds for some message and not for all, got"):
        payloads_not_matching({"not": never})
    with pytest.raises(ConditionErrors):
        payloads_matching({"field": "a", "operator": "equals"})


def test_without_hypothesis_the_error_names_the_extra():
    program = "import sys; sys.modules['hypothesis'] = None; import factflow_engine.testing.strategies"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert 'pip install "factflow-engine[testing]"' in ran.stderr.splitlines()[-1]
