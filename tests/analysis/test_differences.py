"""Differences of two versions, held against messages."""

import pytest
from hypothesis import given, settings

from analysis.switches import LOADER, leaf, loaded, route, switch, takers
from conditions.strategies import drawn
from factflow_engine.analysis import differences


def two(random):
    old, mode, messages = switch(random)
    new, *_ = switch(random)
    if random.random() < 0.3:
        new = old
    return old, new, mode, messages


@settings(max_examples=50)
@given(drawn(two))
def test_equivalent_versions_treat_every_message_alike_and_an_example_shows_a_difference(versions):
    old, new, mode, messages = versions
    before, after = (
        loaded({"r": route(*({"queue": "/topic/t", "condition": c} for c in conditions), mode=mode)})
        for conditions in (old, new)
    )
    found = differences(before, after)
    if not found:
        for message in messages:
            assert bool(takers(old, mode, message)) == bool(takers(new, mode, message))
    for difference in found:
        if difference.example is not None:
            message = difference.example.value
            assert bool(takers(old, mode, message)) != bool(takers(new, mode, message))


def said(old, new):
    return [(one.path, one.message, one.example and one.example.value) for one in differences(loaded(old), loaded(new))]


def test_conditions_that_mean_the_same_are_no_difference():
    old = {"r": route({"queue": "/topic/t", "condition": leaf("n", "in", [1, 2])})}
    new = {"r": route({"queue": "/topic/t", "condition": {"any_of": [leaf("n", "eq", 2), leaf("n", "eq", 1)]}})}
    assert said(old, new) == []


def test_every_kind_of_difference_is_named():
    stage = {"type": "log", "condition": leaf("n", "gt", 1)}
    old = {
        "r": {**route({"route": "gone"}), "adapters": [stage, {"type": "delay", "config": {"seconds": 0}}]},
        "gone": {"adapters": [{"type": "log"}]},
    }
    new = {
        "r": {
            **route({"route": "new", "condition": leaf("n", "exists")}, unrouted="fail"),
            "adapters": [{"type": "delay", "config": {"seconds": 1}}, {**stage, "condition": leaf("n", "gte", 1)}],
        },
        "new": {"adapters": [{"type": "log"}]},
    }
    assert said(old, new) == [
        ("routes.r.adapters.log", "this message goes through the stage", {"n": 1}),
        ("routes.r.adapters.delay", "the stage's settings are changed", None),
        ("routes.r.adapters", "the stages have another order", None),
        ("routes.r.outbound", "this message goes to route gone no more", {}),
        ("routes.r.outbound", "this message goes to route new now", {"n": "a"}),
        ("routes.r.unrouted", "unrouted is changed", None),
        ("routes.gone", "the route is gone", None),
        ("routes.new", "the route is new", None),
    ]


@pytest.mark.parametrize(
    "section", [{"orchestrator": {"max_failed_messages": 3}}, {"init_message": {"route": "r", "payload": {}}}]
)
def test_settings_of_the_document_are_compared(section):
    document = {"version": "1.0", "routes": {"r": {"adapters": [{"type": "log"}]}}}
    found = differences(LOADER.load_mapping(document), LOADER.load_mapping({**document, **section}))
    assert [(one.path, one.message) for one in found] == [(name := next(iter(section)), f"{name} is changed")]
