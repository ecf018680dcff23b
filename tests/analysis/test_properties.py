"""Verdicts on routing, held against messages: a proof is contradicted by none, an example shows what it says."""

import json

import pytest
from hypothesis import given

from analysis.switches import leaf, loaded, route, switch, takers
from conditions.strategies import drawn
from factflow_engine.analysis import (
    PROPERTIES,
    Status,
    check_routing,
    covering,
    exclusive,
    keeps_order,
    live_conditions,
    loops_end,
    most_held,
    reachable,
)


def statuses(verdicts):
    return {verdict.path: verdict.status.value for verdict in verdicts}


@given(drawn(switch))
def test_verdicts_on_a_switch_are_those_of_its_messages(drawn_switch):
    conditions, mode, messages = drawn_switch
    config = loaded({"r": route(*({"queue": "/topic/t", "condition": c} for c in conditions), mode=mode)})
    (covers,) = covering(config)
    counts = [len(takers(conditions, mode, message)) for message in messages]
    if covers.status is Status.HOLDS:
        assert 0 not in counts
    elif covers.status is Status.FAILS:
        assert takers(conditions, mode, covers.example.value) == []
    for verdict in exclusive(config):
        if verdict.status is Status.HOLDS:
            assert max(counts) < 2
        elif verdict.status is Status.FAILS:
            assert len(takers(conditions, mode, verdict.example.value)) > 1
    for place, verdict in enumerate(reachable(config)[: len(conditions)]):
        if verdict.status is Status.HOLDS:
            assert place in takers(conditions, mode, verdict.example.value)
        elif verdict.status is Status.FAILS:
            assert not any(place in takers(conditions, mode, message) for message in messages)


def test_an_outbound_that_earlier_ones_of_a_switch_leave_nothing_is_unreachable_and_so_is_its_route():
    config = loaded(
        {
            "r": route(
                {"route": "a", "condition": leaf("n", "gte", 1)},
                {"route": "b", "condition": leaf("n", "gt", 1)},
                mode="first",
            ),
            "a": {"adapters": [{"type": "log"}]},
            "b": route({"route": "c"}),
            "c": {"adapters": [{"type": "log"}]},
        },
        init_message={"route": "r", "payload": {}},
    )
    assert statuses(reachable(config)) == {
        "routes.r.outbound[0]": "holds",
        "routes.r.outbound[1]": "fails",
        "routes.b.outbound[0]": "holds",
        "routes.r": "holds",
        "routes.a": "holds",
        "routes.b": "fails",
        "routes.c": "fails",
    }


def test_conditions_that_decide_nothing():
    never = {"all_of": [leaf("n", "gt", 1), leaf("n", "lt", 0)]}
    always = {"any_of": [leaf("n", "exists"), {"not": leaf("n", "eq", 3)}]}
    adapters = [
        {"type": "log", "name": f"s{place}", "condition": c}
        for place, c in enumerate([never, always, leaf("n", "eq", 1)])
    ]
    verdicts = live_conditions(loaded({"r": {"adapters": adapters}}))
    assert [(verdict.status.value, verdict.message) for verdict in verdicts[:2]] == [
        ("fails", "it holds for no message"),
        ("fails", "it holds for every message"),
    ]
    assert verdicts[2].status is Status.HOLDS


@pytest.mark.parametrize(
    ("to_b", "to_a", "settings", "status"),
    [
        (leaf("n", "eq", 1), leaf("n", "eq", 1), {}, "fails"),
        (leaf("n", "eq", 1), leaf("n", "eq", 2), {}, "holds"),
        (leaf("n", "eq", 1), leaf("n", "eq", 2), {"adapters": [{"type": "log"}]}, "open"),
        (leaf("n", "eq", 1), leaf("n", "eq", 1), {"adapters": [{"type": "log"}]}, "open"),
        (leaf("n", "eq", 1), leaf("n", "eq", 1), {"error_handling": {"deadline_seconds": 5}}, "holds"),
    ],
)
def test_a_circle_ends_by_its_conditions_or_by_a_deadline(to_b, to_a, settings, status):
    config = loaded(
        {
            "a": route({"route": "b", "condition": to_b}, **settings),
            "b": route({"route": "a", "condition": to_a}),
        }
    )
    (verdict,) = loops_end(config)
    assert (verdict.status.value, verdict.message.partition(":")[0].partition(" ends")[0]) == (
        status,
        "a -> b -> a" if status != "holds" or settings else "no message goes round a -> b -> a",
    )


def test_order_of_messages_with_one_key():
    by_key = {"inbound": {"ordering": "key"}}
    alone = {"inbound": {"concurrency": 1}, "error_handling": {"max_retries": 0}}
    config = loaded(
        {
            "a": route({"route": "b"}, {"route": "d"}, **by_key),
            "b": route({"route": "c"}, **alone),
            "c": route({"route": "d"}),
            "d": {**by_key, "adapters": [{"type": "log"}]},
            "e": {"inbound": {"concurrency": 1}, "error_handling": {"max_retries": 1}, "adapters": [{"type": "log"}]},
        }
    )
    verdicts = {verdict.path: (verdict.status.value, verdict.message) for verdict in keeps_order(config)}
    assert verdicts == {
        "routes.a": ("holds", "messages of one key end in order"),
        "routes.b": ("holds", "messages of one key end in order"),
        "routes.c": ("fails", "it has 8 messages in flight, and no ordering: key"),
        "routes.d": ("fails", "route c before it does not keep it"),
        "routes.e": ("fails", "a message that is tried again comes after those that it let pass"),
    }


def test_how_much_is_held_at_most():
    (held,) = most_held(loaded({"r": {"inbound": {"capacity": 10, "concurrency": 2}}}), largest_bytes=100)
    assert (held.route, held.waiting, held.in_flight, held.bytes) == ("r", 10, 2, 1_200)


def test_every_property_has_its_name_and_an_unknown_one_is_refused():
    config = loaded(
        {"a": route({"route": "b"}, {"route": "b", "condition": leaf("n", "exists")}), "b": route({"route": "a"})}
    )
    for name, check in PROPERTIES.items():
        assert {verdict.name for verdict in check(config, None)} == {name}
    assert check_routing(config, ["covering"]) == covering(config)
    with pytest.raises(ValueError, match=r"expected properties among reachable, .*, got 'reachible'"):
        check_routing(config, ["reachible"])
    assert json.dumps([str(verdict) for verdict in check_routing(config)])


def test_more_pairs_than_are_compared_are_left_open():
    outbound = [{"queue": "/topic/t", "condition": leaf("n", "eq", n)} for n in range(70)]
    (verdict,) = exclusive(loaded({"r": route(*outbound)}))
    assert verdict.status is Status.OPEN
