import logging

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from factflow_engine.adapters import ValidatingAdapterRegistry
from factflow_engine.testing.fakes import FakeContext, outputs
from factflow_protocols import Reject

REGISTRY = ValidatingAdapterRegistry()


async def run(type_name, config, message):
    return await outputs(REGISTRY.create(type_name, config), FakeContext(message))


async def test_pick_keeps_nested_fields_in_their_place():
    message = {"a": 1, "b": {"c": 2, "d": 3}, "e": 4}
    assert await run("pick_fields", {"fields": ["b.c", "e", "missing"]}, message) == [{"b": {"c": 2}, "e": 4}]


async def test_pick_rejects_what_lacks_a_field_if_asked():
    with pytest.raises(Reject, match="no field 'x'"):
        await run("pick_fields", {"fields": ["a", "x"], "missing": "reject"}, {"a": 1})


@pytest.mark.parametrize("type_name", ["pick_fields", "rename_fields", "set_fields"])
async def test_a_message_that_is_no_map_is_rejected(type_name):
    fields = {"pick_fields": ["a"], "rename_fields": {"a": "b"}, "set_fields": {"a": 1}}
    with pytest.raises(Reject, match=f"{type_name} needs a message that is a map, it is a list"):
        await run(type_name, {"fields": fields[type_name]}, [1])


async def test_rename_moves_and_swaps():
    config = {"fields": {"a": "b", "b": "a", "c": "deep.c", "gone": "nowhere"}}
    assert await run("rename_fields", config, {"a": 1, "b": 2, "c": 3}) == [{"a": 2, "b": 1, "deep": {"c": 3}}]


async def test_rename_keeps_null():
    assert await run("rename_fields", {"fields": {"a": "b"}}, {"a": None}) == [{"b": None}]


async def test_rename_rejects_what_lacks_a_field_if_asked():
    with pytest.raises(Reject, match="no field 'a'"):
        await run("rename_fields", {"fields": {"a": "b"}, "missing": "reject"}, {})


async def test_set_replaces_and_defaults_fill_gaps():
    config = {"fields": {"a": [1], "x.y": True}, "defaults": {"b": 2, "c": 3}}
    assert await run("set_fields", config, {"a": 0, "b": None}) == [{"a": [1], "b": None, "c": 3, "x": {"y": True}}]


async def test_set_gives_each_message_values_of_its_own():
    adapter = REGISTRY.create("set_fields", {"fields": {"a": {}, "a.b": 1}})
    assert await outputs(adapter, FakeContext({})) == [{"a": {"b": 1}}]
    assert adapter._fields[0][1] == {}


def test_set_refuses_a_default_that_is_never_used():
    with pytest.raises(ValidationError, match="its default would never be used"):
        REGISTRY.create("set_fields", {"fields": {"a": 1}, "defaults": {"a": 2}})


@pytest.mark.parametrize("type_name", ["pick_fields", "count_by_field", "split"])
def test_a_path_that_is_none_is_found_when_the_configuration_is(type_name):
    config = {"fields": ["a..b"]} if type_name == "pick_fields" else {"field": "a..b"}
    with pytest.raises(ValidationError, match="is not a field path"):
        REGISTRY.validate_config(type_name, config)


@given(st.lists(st.integers(-1000, 1000) | st.text(max_size=5)))
def test_split_emits_the_elements_in_order(elements):
    assert trio.run(run, "split", {"field": "items"}, {"items": elements}) == elements


async def test_split_gives_children_what_they_are_to_keep():
    config = {"field": "items", "element_to": "item", "keep": ["id", "meta.lang", "gone"], "index_to": "n"}
    message = {"items": ["x", "y"], "id": 7, "meta": {"lang": "en", "other": 1}}
    assert await run("split", config, message) == [
        {"id": 7, "meta": {"lang": "en"}, "item": "x", "n": 0},
        {"id": 7, "meta": {"lang": "en"}, "item": "y", "n": 1},
    ]


async def test_split_adds_to_elements_that_are_maps():
    assert await run("split", {"field": "a", "index_to": "n"}, {"a": [{"b": 1}]}) == [{"b": 1, "n": 0}]
    with pytest.raises(Reject, match="is an integer, not a map"):
        await run("split", {"field": "a", "index_to": "n"}, {"a": [1]})


@pytest.mark.parametrize("value", ["text", {"a": 1}, None, 3])
async def test_split_rejects_what_is_no_list(value):
    with pytest.raises(Reject, match="must hold a list"):
        await run("split", {"field": "a"}, {"a": value})


def test_split_refuses_two_values_for_one_field():
    with pytest.raises(ValidationError, match="'id' is given two values"):
        REGISTRY.create("split", {"field": "a", "element_to": "x", "keep": ["id"], "index_to": "id"})


async def test_filter_passes_what_its_condition_holds_for():
    config = {"condition": {"field": "n", "operator": "gt", "value": 1}}
    assert await run("filter", config, {"n": 2}) == [{"n": 2}]
    assert await run("filter", config, {"n": 1}) == []


async def test_filter_forwards_the_message_untouched():
    adapter = REGISTRY.create("filter", {"condition": {"field": "n", "operator": "eq", "value": 1}})
    assert (await adapter.process(FakeContext({"n": 1}))).is_forward


def test_filter_refuses_a_condition_that_does_not_compile():
    with pytest.raises(ValidationError, match="E4"):
        REGISTRY.create("filter", {"condition": {"field": "n", "operator": "nearly", "value": 1}})


async def test_delay_waits_its_seconds_and_forwards(autojump_clock):
    start = trio.current_time()
    assert await run("delay", {"seconds": 90}, "x") == ["x"]
    assert trio.current_time() - start == pytest.approx(90)


async def test_delay_can_be_cancelled(autojump_clock):
    with trio.move_on_after(1) as scope:
        await run("delay", {"seconds": 90}, "x")
    assert scope.cancelled_caught


@pytest.mark.parametrize("seconds", [-1, float("nan"), float("inf"), 86_401, "soon"])
def test_delay_refuses_a_time_that_is_none(seconds):
    with pytest.raises(ValidationError):
        REGISTRY.create("delay", {"seconds": seconds})


async def test_log_names_the_message_and_never_its_payload_unasked(caplog):
    caplog.set_level(logging.INFO, "factflow.pipeline")
    assert await run("log", {"text": "seen"}, {"secret": "hunter2"}) == [{"secret": "hunter2"}]
    assert caplog.messages == ["seen [route/stage 00000000000000000000000000000001 attempt 1]"]


async def test_log_names_the_fields_that_it_is_asked_for(caplog):
    caplog.set_level(logging.WARNING, "factflow.pipeline")
    config = {"fields": ["id", "text", "gone"], "level": "warning", "max_value_length": 9}
    await run("log", config, {"id": 3, "text": "line\nforged by a message", "other": 1})
    assert caplog.messages[0].endswith("] id=3 text='line\\nfo... gone=<missing>")
    assert caplog.records[0].levelno == logging.WARNING


async def test_log_takes_its_text_as_it_is(caplog):
    caplog.set_level(logging.INFO, "factflow.pipeline")
    await run("log", {"text": "100 %s {x}"}, {})
    assert caplog.messages[0].startswith("100 %s {x} [")


async def test_log_does_not_decode_what_nobody_reads(caplog):
    caplog.set_level(logging.ERROR, "factflow.pipeline")
    context = FakeContext({"a": 1})
    await REGISTRY.create("log", {"fields": ["a"]}).process(context)
    assert not caplog.messages
