"""What would run in a replay, derived from a pipeline in written form."""

import pytest

from factflow_engine.config.canonical import to_yaml
from factflow_engine.config.snapshot import written_of
from factflow_engine.executions.derivation import ReplayError, after_stage, find_stage, into_route
from factflow_engine.executions.references import storing_stages
from support.pipelines import load, registry_of


def written(text):
    return load(registry_of(a=keep, b=keep, c=keep), text).to_mapping()


async def keep(context):
    return None


LINE = """
routes:
  first: {adapters: [{type: a}], outbound: [{route: second}]}
  second: {adapters: [{type: a, store: true}, {type: b, store: {what: input}}], outbound: [{route: third}]}
  third: {adapters: [{type: c, store: true}]}
  other: {adapters: [{type: a}], inbound: {queue: /topic/news}}
init_message: {route: first, payload: 1}
"""
CYCLE = """
routes:
  walk:
    adapters: [{type: a, store: true}, {type: b}]
    outbound: [{route: walk, condition: {field: n, operator: gt, value: 0}}, {route: last}]
  last: {adapters: [{type: c}]}
init_message: {route: walk, payload: {n: 3}}
"""


def derived(text, stage, route=None):
    config = written(text)
    return after_stage(config, find_stage(config, stage, route, of="it"), of="it")


def loads(found):
    """It is an ordinary configuration, and reads back as itself."""
    text = to_yaml(found.written)
    config = load(registry_of(a=keep, b=keep, c=keep), text.removeprefix('version: "1.0"\n'))
    assert written_of(config.to_yaml()) == config.to_mapping()
    return config


def test_a_route_begins_behind_the_stage_and_what_cannot_be_reached_is_left_out():
    found = derived(LINE, "a")
    config = loads(found)
    assert found.entry == "second"
    assert list(config.routes) == ["second", "third"]
    assert [stage.name for stage in config.routes["second"].adapters] == ["b"]
    assert not config.init_message
    assert found.runs == ("second/b", "third/c")
    assert found.skipped == ("first/a", "second/a", "other/a")


def test_a_stage_that_stored_what_came_to_it_runs_again():
    found = derived(LINE, "b")
    assert found.runs == ("second/b", "third/c")


def test_behind_the_last_stage_of_a_route_only_its_outbounds_are_left():
    found = derived(LINE.replace("{what: input}", "{what: output}"), "b")
    config = loads(found)
    assert not config.routes["second"].adapters
    assert [outbound.route for outbound in config.routes["second"].outbound] == ["third"]


def test_a_route_that_messages_come_back_to_stays_whole_and_the_entry_is_a_route_of_its_own():
    found = derived(CYCLE, "a")
    config = loads(found)
    assert found.entry == "walk.replay"
    assert config.routes[found.entry].inbound.queue == "/queue/walk.replay"
    assert [stage.name for stage in config.routes[found.entry].adapters] == ["b"]
    assert [stage.name for stage in config.routes["walk"].adapters] == ["a", "b"]
    assert found.skipped == ()


def test_an_entry_that_reads_a_topic_gets_a_queue_of_its_own():
    found = into_route(written(LINE), "other", of="it")
    assert loads(found).routes["other"].inbound.queue == "/queue/other"


def test_a_queue_with_another_reader_is_not_the_entrys():
    text = """
routes:
  one: {inbound: {queue: /queue/shared}, adapters: [{type: a, store: true}], outbound: [{queue: /queue/x}]}
  two: {inbound: {queue: /queue/x}, adapters: [{type: b}], outbound: [{route: three}]}
  three: {inbound: {queue: /queue/shared}, adapters: [{type: c}]}
"""
    found = derived(text, "a")
    # `three` publishes nothing, but its queue leads to `one` as well, whose route therefore stays whole.
    assert found.entry in {"one", "one.replay"}
    assert loads(found).routes[found.entry].inbound.queue != "/queue/shared"


@pytest.mark.parametrize(
    ("stage", "route", "expected"),
    [
        ("nope", None, "it has no stage 'nope' that stores; those that do: second/a, second/b, third/c"),
        ("a", "first", "stage first/a of it stores nothing"),
        ("second/a", None, "got 'second/a'; write --from-stage a --from-route second"),
        ("a", "nowhere", "it has no stage 'a' in route 'nowhere'"),
        ("c", None, "nothing follows stage third/c of it"),
    ],
)
def test_one_error_says_what_there_is(stage, route, expected):
    with pytest.raises(ReplayError, match=expected):
        derived(LINE, stage, route)


def test_a_stage_of_several_routes_needs_its_route():
    text = "routes: {x: {adapters: [{type: a, store: true}, {type: b}]}, y: {adapters: [{type: a, store: true}, {type: b}]}}"
    with pytest.raises(ReplayError, match="several routes of it have a stage 'a': x, y; name one with --from-route"):
        derived(text, "a")
    assert derived(text, "a", "y").entry == "y"


def test_an_unknown_target_names_those_that_are_known():
    with pytest.raises(ReplayError, match="it has no route 'nope'; it has first, second, third, other"):
        into_route(written(LINE), "nope", of="it")


@pytest.mark.parametrize(
    ("stage", "expected"),
    [
        ("{type: a}", []),
        ("{type: a, store: false}", []),
        ("{type: a, store: true}", [("a", "output", "msgpack")]),
        ("{type: a, name: n, store: {what: input}}", [("n", "input", "msgpack")]),
        ("{type: a, store: {content_field: text, extension: .md}}", [("a", "output", "md")]),
        ("{type: store_object, config: {content_field: text, extension: txt}}", [("store_object", "input", "txt")]),
        ("{type: store_object, store: {extension: json, content_field: text}}", [("store_object", "input", "msgpack")]),
    ],
)
def test_replay_and_verification_read_alike_what_a_stage_stores(stage, expected):
    config = load(registry_of(a=keep), f"routes: {{r: {{adapters: [{stage}]}}}}").to_mapping()
    stored = storing_stages(config).get("r", [])
    assert [(one.place.stage, one.place.what, one.extension) for one in stored] == expected
    for one in stored:
        assert find_stage(config, one.place.stage, None, of="it") == one.place
