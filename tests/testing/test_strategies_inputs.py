"""Drawn inputs of runs: for the routes at which a pipeline begins, with payloads that take all ways; they shrink to none."""

from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import find as smallest

from factflow_engine import PipelineConfigLoader
from factflow_engine.conditions import compile_condition
from factflow_engine.testing import Input
from factflow_engine.testing.strategies import StrategyError, inputs, registry_of_examples

LOADER = PipelineConfigLoader(registry_of_examples(), environ={})
FOUND = settings(
    max_examples=2_000,
    database=None,
    derandomize=True,
    phases=[Phase.generate, Phase.shrink],
    report_multiple_bugs=False,
)

LARGE = {"field": "total", "operator": "gte", "value": 100}
GERMAN = {"field": "country", "operator": "eq", "value": "DE"}
SHOP = LOADER.load_text("""
version: "1.0"
routes:
  orders:
    outbound: [{route: large, condition: {field: total, operator: gte, value: 100}}]
  large:
    adapters: [{type: forward, condition: {field: country, operator: eq, value: DE}}]
  news: {inbound: {queue: /topic/news}}
  again: {outbound: [{route: again}], error_handling: {deadline_seconds: 1}}
""")


@given(inputs(SHOP, most=3))
def test_inputs_are_for_the_routes_that_no_other_feeds(drawn: list[Input]) -> None:
    assert len(drawn) <= 3
    assert {each.route for each in drawn} <= {"orders", "news", "again"}
    assert all(each.at >= 1 for each in drawn if each.route == "news"), "a topic keeps nothing for later readers"


def test_if_each_route_is_fed_by_another_all_may_have_inputs() -> None:
    circle = LOADER.check_text(
        'version: "1.0"\nroutes: {a: {outbound: [{route: b}]}, b: {outbound: [{route: a}]}}\n'
    ).config
    assert circle is not None
    for route in "ab":
        first = smallest(inputs(circle), lambda drawn, of=route: any(one.route == of for one in drawn), settings=FOUND)
        assert first == [Input(route, {})]


@pytest.mark.parametrize(
    ("holding", "failing", "plainest"),
    [
        ([LARGE], [], {"total": 100}),
        ([GERMAN], [], {"country": "DE"}),  # of a stage of the next route
        ([], [LARGE], {}),
    ],
)
def test_payloads_make_conditions_true_and_false(holding: list[Any], failing: list[Any], plainest: Any) -> None:
    def is_wanted(drawn: list[Input]) -> bool:
        return any(
            all(compile_condition(condition).matches_value(one.payload) for condition in holding)
            and not any(compile_condition(condition).matches_value(one.payload) for condition in failing)
            for one in drawn
        )

    assert smallest(inputs(SHOP), is_wanted, settings=FOUND) == [Input("orders", plainest)]


def test_the_plainest_inputs_are_none() -> None:
    assert smallest(inputs(SHOP), lambda drawn: True, settings=FOUND) == []


def test_a_condition_that_holds_for_no_message_or_for_all_is_no_obstacle() -> None:
    odd = LOADER.load_text("""
version: "1.0"
routes:
  a:
    outbound:
      - {queue: /queue/never, condition: {all_of: [{field: a, operator: eq, value: 1}, {field: a, operator: eq, value: 2}]}}
""")
    assert smallest(inputs(odd), bool, settings=FOUND) == [Input("a", {})]


def test_an_argument_that_cannot_be_is_refused_at_once() -> None:
    with pytest.raises(StrategyError, match="most: expected 0 or more, got -1"):
        inputs(SHOP, most=-1)
