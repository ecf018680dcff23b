"""Verdicts on routing, held against messages: a proof is contradicted by none, an example shows what it says."""

import json

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from analysis.switches import leaf, loaded, route, switch, takers
from conditions.strategies import drawn
from factflow_engine import (
    AdapterResult,
    OrchestratorManager,
    PipelineAdapter,
    PipelineConfigLoader,
    ValidatingAdapterRegistry,
)
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
from factflow_engine.testing import in_virtual_time


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


STAGE = {"adapters": [{"type": "log"}]}
SKIPPED = {"adapters": [{"type": "log", "condition": leaf("n", "eq", 7)}]}


@pytest.mark.parametrize(
    ("to_b", "to_a", "settings", "status"),
    [
        (leaf("n", "eq", 1), leaf("n", "eq", 1), {}, "fails"),
        (leaf("n", "eq", 1), leaf("n", "eq", 2), {}, "holds"),
        (leaf("n", "eq", 1), leaf("n", "eq", 2), STAGE, "open"),
        (leaf("n", "eq", 1), leaf("n", "eq", 1), STAGE, "open"),
        (leaf("n", "eq", 1), leaf("n", "eq", 1), {"error_handling": {"deadline_seconds": 5}}, "fails"),
        (leaf("n", "eq", 1), leaf("n", "eq", 1), {**STAGE, "error_handling": {"deadline_seconds": 5}}, "ends"),
        (leaf("n", "eq", 1), leaf("n", "eq", 1), {**SKIPPED, "error_handling": {"deadline_seconds": 5}}, "open"),
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
    shown = {
        "fails": "a -> b -> a: this message goes round for ever",
        "holds": "no message goes round a -> b -> a",
        "ends": "a -> b -> a ends by a deadline of 5 s",
    }
    assert verdict.status.value == status.replace("ends", "holds")
    assert verdict.message == shown.get(status, verdict.message)


def test_every_circle_is_looked_at_and_every_way_of_it():
    two, one = leaf("n", "eq", 2), leaf("n", "eq", 1)
    config = loaded(
        {
            "a": route({"route": "b", "condition": one}),
            "b": route(
                {"route": "a", "condition": two}, {"route": "c", "condition": two}, {"route": "c", "condition": one}
            ),
            "c": route({"route": "b", "condition": two}),
        }
    )
    assert [(verdict.status.value, verdict.message.partition(":")[0]) for verdict in loops_end(config)] == [
        ("holds", "no message goes round a -> b -> a"),
        ("fails", "b -> c -> b"),
        ("holds", "no message goes round b -> c -> b"),
    ]


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4), st.integers(0, 2)), max_size=10))
def test_a_message_goes_round_for_ever_if_it_is_said_to(ways):
    routes = {
        f"r{at}": route(*({"route": f"r{to}", "condition": leaf("n", "eq", n)} for start, to, n in ways if start == at))
        for at in range(5)
    }
    found = {verdict.example.value["n"] for verdict in loops_end(loaded(routes)) if verdict.status is Status.FAILS}
    for n in range(3):
        left = set(range(5))  # routes that a message with this number may be sent on from for ever
        while ended := {at for at in left if not any(s == at and k == n and to in left for s, to, k in ways)}:
            left -= ended
        assert (n in found) == bool(left)


def test_what_fails_may_go_round_as_a_dead_letter_and_too_many_circles_are_left_open():
    again = {**route({"route": "a"}), **STAGE}
    config = loaded(
        {
            "a": {**STAGE, "error_handling": {"dead_letter_queue": "/queue/dead"}},
            "d": {**again, "inbound": {"queue": "/queue/dead"}},
        }
    )
    (verdict,) = loops_end(config)
    assert (verdict.status, verdict.path) == (Status.OPEN, "routes.a")
    names = [f"r{number}" for number in range(12)]
    every = {name: route(*({"route": other} for other in names)) for name in names}
    assert Status.OPEN in {verdict.status for verdict in loops_end(loaded(every))}


def test_order_of_messages_with_one_key():
    by_key = {"inbound": {"ordering": "key"}}
    alone = {"inbound": {"concurrency": 1}, "error_handling": {"max_retries": 0}}
    config = loaded(
        {
            "a": route({"route": "b"}, {"route": "d"}, **by_key),
            "b": route({"route": "c"}, **alone),
            "c": route({"route": "d"}),
            "d": {**by_key, "adapters": [{"type": "log"}]},
            "e": {"inbound": {"concurrency": 1}, "error_handling": {"max_retries": 1}, **STAGE},
            "f": {**route({"route": "g"}), **STAGE, **alone},
            "g": {**by_key, **STAGE},
        }
    )
    verdicts = {verdict.path: (verdict.status.value, verdict.message) for verdict in keeps_order(config)}
    assert verdicts == {
        "routes.a": ("holds", "messages of one key end in order"),
        "routes.b": ("holds", "messages end in order, one at a time"),
        "routes.c": ("fails", "it has 8 messages in flight, and no ordering: key"),
        "routes.d": ("fails", "route c before it does not keep it"),
        "routes.e": ("fails", "a message that is tried again comes after those that it let pass"),
        "routes.f": ("open", "one at a time, unless a stage puts a message off, as by RetryLater or a circuit breaker"),
        "routes.g": ("open", "route f before it may not keep it"),
    }


def test_as_much_is_held_as_is_said():
    class Fails(PipelineAdapter):
        async def process(self, context):
            raise OSError("not yet")

    class Many(PipelineAdapter):
        async def process(self, context):
            return AdapterResult(emitted=[{"n": n} for n in range(100)])

    registry = ValidatingAdapterRegistry()
    registry.register("fails", Fails)
    registry.register("many", Many)
    config = PipelineConfigLoader(registry).load_mapping(
        {
            "version": "1.0",
            "routes": {
                "source": {**route({"route": "r"}), "adapters": [{"type": "many"}]},
                "r": {
                    "inbound": {"capacity": 10, "concurrency": 2},
                    "error_handling": {"max_retries": 3, "retry_delay_seconds": 50, "jitter": "none"},
                    "adapters": [{"type": "fails"}],
                },
            },
            "init_message": {"route": "source", "payload": {}},
        }
    )

    async def run(simulation):
        async with OrchestratorManager(registry=registry, seams=simulation.seams) as manager:
            execution = await manager.start(config)
            await trio.sleep(10)
            held = execution.statistics().routes["r"]
            await execution.cancel(0)
            return held

    seen = in_virtual_time(run, seed=1)
    held = most_held(config, largest_bytes=100)[1]
    assert (held.waiting, held.in_flight, held.retrying, held.bytes) == (10, 2, 10, 2_200)
    assert (seen.waiting, seen.retrying) == (held.waiting, held.retrying)


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
