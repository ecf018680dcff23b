"""What a condition is besides its answer: what it shows of itself, and how it bears bad bytes and bad patterns."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conditions.strategies import conditions
from factflow_engine.conditions import compile_condition
from factflow_engine.errors import CodecError, CorruptError, TruncatedError
from factflow_engine.native import pack
from support.timings import grows_at_most


def test_it_shows_what_it_was_compiled_from():
    source = {"field": "a", "operator": "in", "value": (1, 2)}
    condition = compile_condition(source)
    assert condition.source == {"field": "a", "operator": "in", "value": [1, 2]}
    assert repr(condition) == "Condition({'field': 'a', 'operator': 'in', 'value': [1, 2]})"


def test_later_changes_of_the_mapping_do_not_reach_it():
    source = {"field": "a", "operator": "in", "value": [1]}
    condition = compile_condition(source)
    source["value"].append(2)
    assert not condition.matches_value({"a": 2})
    assert condition.source["value"] == [1]


def test_it_names_the_top_level_fields_that_it_reads():
    condition = compile_condition(
        {
            "any_of": [
                {"field": "b.c", "operator": "exists"},
                {"field": "/a/0", "operator": "exists"},
                {"field": ["b"], "operator": "exists"},
                {"field": "@", "operator": "exists"},
                {"any_element": {"field": "items[0]", "condition": {"field": "inner", "operator": "exists"}}},
            ]
        }
    )
    assert condition.fields == ("b", "a", "items")


def test_it_cannot_be_changed():
    condition = compile_condition({"field": "a", "operator": "exists"})
    with pytest.raises(AttributeError):
        condition.source = {}


def test_malformed_bytes_are_an_error_where_the_condition_looks():
    condition = compile_condition({"field": "b", "operator": "eq", "value": 1})
    with pytest.raises(TruncatedError):
        condition.matches(b"")
    with pytest.raises(TruncatedError):
        condition.matches(pack({"a": "text", "c": 1})[:-3])
    with pytest.raises(CorruptError):
        condition.matches(b"\x81\xa1b\xc1")


def test_bytes_after_what_it_looks_for_are_not_read():
    condition = compile_condition({"field": "a", "operator": "eq", "value": 1})
    assert condition.matches(pack({"a": 1, "b": 2})[:-1])


def test_a_value_that_no_message_carries_is_refused():
    condition = compile_condition({"field": "a", "operator": "exists"})
    with pytest.raises(CodecError):
        condition.matches_value({"a": object()})


@given(conditions, st.binary(max_size=40))
def test_arbitrary_bytes_get_an_answer_or_an_error(source, data):
    assert answer_or_offset(compile_condition(source), data) in {True, False, *range(len(data) + 1)}


def answer_or_offset(condition, data):
    try:
        return condition.matches(data)
    except CodecError as error:
        return error.offset


@pytest.mark.parametrize("pattern", ["^(a+)+$", "(a*)*b", "(a|aa)+$", "(.*)(.*)(.*)x"])
def test_matching_is_linear_in_the_text(pattern):
    condition = compile_condition({"field": "x", "operator": "matches", "value": pattern})
    short, long = (pack({"x": "a" * size + "!"}) for size in (10_000, 100_000))
    # Ten times the text: linear is 10, quadratic 100. What backtracking would take cannot be waited for.
    assert grows_at_most(40, lambda: condition.matches(short), lambda: condition.matches(long), slack=0.001)


def test_looking_for_many_paths_is_linear_in_the_message():
    fields = [f"{'a.' * depth}b[*].c" for depth in range(30)]
    condition = compile_condition({"any_of": [{"field": field, "operator": "eq", "value": 1} for field in fields]})

    def message(width):
        value = {"b": [{"c": 0}] * width}
        for _ in range(30):
            value = {"a": value, "b": [{"c": 0}] * width}
        return pack(value)

    short, long = message(20), message(200)
    assert grows_at_most(40, lambda: condition.matches(short), lambda: condition.matches(long), slack=0.001)
