"""Conditions in Rust on bytes mean what the reference says they mean on decoded values."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conditions import generators, reference
from conditions.strategies import conditions, leaves, messages, pairs
from factflow_engine.conditions import compile_condition
from factflow_engine.native import pack, unpack


@settings(max_examples=500, deadline=None)
@given(pairs, pairs)
def test_a_condition_on_bytes_is_the_reference_on_the_decoded_message(one, two):
    for source, _, _ in (one, two):
        compiled = compile_condition(source)
        for _, message, payload in (one, two):
            assert compiled.matches(payload) is reference.holds(source, message), (source, message)


@pytest.mark.slow
def test_no_difference_in_a_long_run():
    for seed in range(200_000):
        source, message, payload = generators.pair(random.Random(seed))
        assert compile_condition(source).matches(payload) is reference.holds(source, message), (seed, source, message)


def test_the_generator_draws_both_answers_of_every_operator():
    answers = {operator: set() for operator in generators.VALUES}
    for seed in range(20_000):
        draw = random.Random(seed)
        message = generators.message(draw)
        source = generators.leaf(draw, message)
        answers[source["operator"]].add(reference.holds(source, message))
    assert all(answer == {True, False} for answer in answers.values()), answers


@given(pairs)
def test_the_generator_encodes_what_it_says(drawn):
    _, message, payload = drawn
    assert pack(unpack(payload)) == pack(message)


@given(leaves, messages)
def test_the_negative_operators_are_exact_complements(leaf, message):
    negative = {"eq": "neq", "in": "not_in"}
    for operator, opposite in negative.items():
        value = leaf["value"] if isinstance(leaf["value"], list) else [leaf["value"]]
        one = compile_condition({"field": leaf["field"], "operator": operator, "value": value})
        two = compile_condition({"field": leaf["field"], "operator": opposite, "value": value})
        assert one.matches_value(message) is not two.matches_value(message)


@given(conditions, messages)
def test_not_is_an_exact_complement(condition, message):
    assert compile_condition({"not": condition}).matches_value(message) is not compile_condition(
        condition
    ).matches_value(message)


@given(st.lists(conditions, min_size=1, max_size=3), messages)
def test_de_morgans_laws_hold(parts, message):
    all_of = compile_condition({"not": {"all_of": parts}})
    any_not = compile_condition({"any_of": [{"not": part} for part in parts]})
    assert all_of.matches_value(message) is any_not.matches_value(message)
    any_of = compile_condition({"not": {"any_of": parts}})
    all_not = compile_condition({"all_of": [{"not": part} for part in parts]})
    assert any_of.matches_value(message) is all_not.matches_value(message)
