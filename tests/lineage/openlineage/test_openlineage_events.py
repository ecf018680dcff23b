"""OpenLineage events: valid against the specification, always the same, and one family of runs an execution."""

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from factflow_engine.lineage.openlineage import EventFactory, RouteCounts, RoutePorts
from factflow_engine.lineage.openlineage.events import EventType, run_id
from support.openlineage_schema import check_event

HEX = "0199f0e170007000800001234567abcd"
NS = 1_796_040_000_123_456_789

_names = st.text(min_size=1, max_size=8)
_ports = st.builds(
    RoutePorts,
    route=_names,
    inbound=_names,
    outbound=st.lists(_names, max_size=3).map(tuple),
    dead_letters=st.none() | _names,
)
_counts = st.builds(RouteCounts, received=st.integers(0), emitted=st.integers(0), dead_lettered=st.integers(0))


def factory(execution_id=HEX, pipeline="books", routes=(), ns=NS):
    return EventFactory(
        namespace="shop", execution_id=execution_id, started_ns=ns, pipeline=pipeline, version="1.2.3", routes=routes
    )


@given(
    execution_id=st.just(HEX) | st.text("abc.-_09", min_size=1, max_size=64),
    pipeline=_names,
    routes=st.lists(_ports, max_size=3, unique_by=lambda ports: ports.route),
    counts=st.lists(_counts, min_size=3, max_size=3),
    kind=st.sampled_from([EventType.COMPLETE, EventType.FAIL, EventType.ABORT]),
    error=st.none() | st.text(max_size=20) | st.just("x" * 20_000),
    ns=st.integers(0, 4_000_000_000_000_000_000),
)
def test_every_event_is_valid(execution_id, pipeline, routes, counts, kind, error, ns):
    events = factory(execution_id, pipeline, routes, ns)
    by_route = {ports.route: count for ports, count in zip(routes, counts, strict=False)}
    made = [*events.started(), *events.ended(kind, ns, error=error, counts=by_route)]
    assert len(made) == 2 * (1 + len(routes))
    for event in made:
        check_event(event)
        assert len(str(event)) < 40_000


@pytest.mark.parametrize(
    "spoil",
    [
        lambda event: event.pop("eventTime"),
        lambda event: event.pop("schemaURL"),
        lambda event: event.update(eventType="STARTED"),
        lambda event: event.update(eventTime="yesterday"),
        lambda event: event["run"].update(runId=HEX),
        lambda event: event["job"].pop("namespace"),
        lambda event: event["run"]["facets"]["parent"].pop("job"),
        lambda event: event["run"]["facets"]["parent"].pop("_producer"),
        lambda event: event["run"]["facets"].update(engine={}),
        lambda event: event["job"]["facets"]["jobType"].pop("integration"),
        lambda event: event["job"]["facets"]["jobType"].update(processingType="SOMETIMES"),
        lambda event: event["inputs"][0].pop("name"),
        lambda event: event["inputs"][0]["inputFacets"]["inputStatistics"].update(rowCount="3"),
        lambda event: event["outputs"][0]["outputFacets"]["outputStatistics"].update(_schemaURL="x"),
    ],
)
def test_the_check_finds_what_is_wrong(spoil):
    ports = RoutePorts(route="a", inbound="/queue/a", outbound=("/queue/b",), dead_letters=None)
    counts = {"a": RouteCounts(received=3, emitted=2, dead_lettered=0)}
    event, _ = factory(routes=[ports]).ended(EventType.COMPLETE, NS, error=None, counts=counts)
    check_event(event)
    spoil(event)
    with pytest.raises(jsonschema.ValidationError):
        check_event(event)


def test_an_execution_is_the_parent_run_of_its_routes():
    routes = [
        RoutePorts(route="a", inbound="/queue/a", outbound=("/queue/b",), dead_letters="/queue/dlq"),
        RoutePorts(route="b", inbound="/queue/b", outbound=("/queue/x", "/queue/y"), dead_letters=None),
    ]
    events = factory(routes=routes)
    execution, first, second = events.started()
    assert [event["eventType"] for event in (execution, first, second)] == ["START"] * 3
    assert execution["run"]["runId"] == "0199f0e1-7000-7000-8000-01234567abcd"
    assert execution["job"] == {"namespace": "shop", "name": "books", "facets": execution["job"]["facets"]}
    assert execution["eventTime"] == "2026-11-30T12:00:00.123456Z"
    assert first["job"]["name"] == "books.a"
    for route in (first, second):
        parent = route["run"]["facets"]["parent"]
        assert parent["run"]["runId"] == execution["run"]["runId"]
        assert parent["job"] == {"namespace": "shop", "name": "books"}

    counts = {
        "a": RouteCounts(received=5, emitted=3, dead_lettered=2),
        "b": RouteCounts(received=3, emitted=6, dead_lettered=0),
    }
    *ended, last = events.ended(EventType.FAIL, NS + 1, error="route b died", counts=counts)
    assert last["run"]["runId"] == execution["run"]["runId"]
    assert [event["run"]["runId"] for event in ended] == [event["run"]["runId"] for event in (first, second)]
    assert last["run"]["facets"]["errorMessage"]["message"] == "route b died"
    a, b = ended
    assert a["inputs"][0]["inputFacets"]["inputStatistics"]["rowCount"] == 5
    assert [(d["name"], d["outputFacets"]["outputStatistics"]["rowCount"]) for d in a["outputs"]] == [
        ("/queue/b", 3),
        ("/queue/dlq", 2),
    ]
    assert [d["name"] for d in b["outputs"] if "outputFacets" not in d] == ["/queue/x", "/queue/y"]


def test_an_id_that_is_chosen_again_is_another_run():
    first, again = (factory("nightly", ns=ns).started()[0]["run"]["runId"] for ns in (NS, NS + 1))
    assert first != again
    assert factory(ns=NS).started()[0]["run"] == factory(ns=NS + 1).started()[0]["run"]


@given(st.text(max_size=64), st.text(max_size=8), st.text(max_size=64), st.text(max_size=8))
def test_run_ids_are_the_same_for_the_same_names_alone(execution, route, other_execution, other_route):
    same = (execution, route) == (other_execution, other_route)
    assert (run_id(execution, route) == run_id(other_execution, other_route)) == same
    assert run_id(execution) == run_id(execution) != run_id(execution, route)
