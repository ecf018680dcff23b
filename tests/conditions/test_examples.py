"""Examples of messages: what is found holds by the engine and by the reference; what has none holds for no message."""

import gc
import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conditions import generators, reference
from conditions.strategies import drawn
from factflow_engine.conditions import ConditionOperator, OperatorRegistry, compile_condition
from factflow_engine.conditions.examples import find_example
from factflow_engine.conditions.examples.atoms import Atom
from factflow_engine.errors import UndecidedError


class Drawn:
    """Choices of a random generator."""

    def __init__(self, random):
        self._random = random

    def order(self, options):
        return self._random.sample(list(options), len(options))

    def steps(self):
        return self._random.randbytes(self._random.randrange(5))


def asked(random):
    """Conditions that are to hold and to fail, a message that they have to do with, and other messages."""
    near = generators.message(random)
    drawn = [
        (generators.condition(random, near=near), random.random() < 0.5) for _ in range(random.choice([1, 1, 2, 3]))
    ]
    holding = [condition for condition, is_wanted in drawn if is_wanted]
    failing = [condition for condition, is_wanted in drawn if not is_wanted]
    return holding, failing, [near, *(generators.message(random) for _ in range(20))]


def meets(holding, failing, message):
    slow = all(reference.holds(c, message) for c in holding) and not any(reference.holds(c, message) for c in failing)
    assert slow == (
        all(compile_condition(c).matches_value(message) for c in holding)
        and not any(compile_condition(c).matches_value(message) for c in failing)
    )
    return slow


@given(drawn(asked), st.randoms(use_true_random=False))
def test_an_example_holds_and_where_there_is_none_no_message_does(question, choices):
    holding, failing, messages = question
    try:
        plain = find_example(holding, failing)
    except UndecidedError:
        plain = None
    else:
        if plain is None:
            assert not any(meets(holding, failing, message) for message in messages)
    if plain is not None:
        assert meets(holding, failing, plain.value)
        other = find_example(holding, failing, choices=Drawn(choices))
        assert other is not None
        assert meets(holding, failing, other.value)


def test_few_questions_stay_open():
    generator = random.Random(5)
    kinds = Counter()
    for _ in range(300):
        holding, failing, _ = asked(generator)
        try:
            kinds["found" if find_example(holding, failing) else "none"] += 1
        except UndecidedError:
            kinds["open"] += 1
    assert kinds["found"] > 200
    assert kinds["none"] > 10
    assert kinds["open"] < 15


def leaf(field, operator, value=True):
    return {"field": field, "operator": operator, "value": value}


@pytest.mark.parametrize(
    ("holding", "failing", "example"),
    [
        ([leaf("total", "gte", 100)], [], {"total": 100}),
        ([leaf("total", "gt", 100), leaf("total", "lt", 101)], [], {"total": 100.5}),
        ([leaf("total", "gt", 100), leaf("total", "lt", 101)], [leaf("total", "type_is", "float")], None),
        ([], [leaf("country", "eq", "DE")], {}),
        ([leaf("country", "exists")], [leaf("country", "in", ["DE", "FR"])], {"country": "a"}),
        ([leaf("a.b[1].c", "eq", "x")], [], {"a": {"b": ["a", {"c": "x"}]}}),
        ([leaf("url", "matches", "^https?://[a-z.]+/")], [leaf("url", "starts_with", "https")], {"url": "http://a/"}),
        ([leaf("url", "matches", "^https://")], [leaf("url", "starts_with", "http")], None),
        ([leaf("name", "length", {"gte": 3}), leaf("name", "ends_with", "é")], [], {"name": "aaé"}),
        ([leaf("name", "gt", "m"), leaf("name", "lt", "n")], [leaf("name", "eq", "ma")], {"name": "mb"}),
        ([leaf("ip", "cidr", "10.0.0.0/8")], [leaf("ip", "cidr", "10.0.0.0/9")], {"ip": "10.255.255.255"}),
        ([leaf("ip", "cidr", "10.0.0.0/9")], [leaf("ip", "cidr", "10.0.0.0/8")], None),
        ([leaf("tags[*]", "eq", "new")], [leaf("tags[*]", "eq", "old")], {"tags": ["new"]}),
        ([leaf("tags", "contains", "a"), leaf("tags", "length", 1)], [leaf("tags", "type_is", "str")], {"tags": ["a"]}),
        ([leaf("tags[0]", "eq", 1), leaf("tags[-1]", "eq", 2)], [], {"tags": [1, 2]}),
        ([leaf("tags[0]", "eq", 1), leaf("tags[-1]", "eq", 2), leaf("tags", "length", 1)], [], None),
        ([leaf("tags[*]", "eq", 1), leaf("tags[*]", "eq", 2), leaf("tags", "length", 1)], [], None),
        ([leaf("a", "eq", 1), leaf("a.b", "exists")], [], None),
        ([leaf("at", "gt", {"$timestamp": "2026-01-31T12:00:00Z"})], [], {"at": (1_769_860_800, 1)}),
        ([leaf("raw", "eq", {"$bin": "aGk="})], [], {"raw": b"hi"}),
        ([leaf("raw", "contains", {"$bin": "aGk="}), leaf("raw", "length", 3)], [], {"raw": b"ahi"}),
        (
            [
                {
                    "any_element": {
                        "field": "lines",
                        "condition": {"all_of": [leaf("sku", "eq", "X"), leaf("n", "gt", 1)]},
                    }
                }
            ],
            [leaf("lines[*].sku", "eq", "Y")],
            {"lines": [{"sku": "X", "n": 2}]},
        ),
    ],
)
def test_the_plainest_example(holding, failing, example):
    found = find_example(holding, failing)
    assert (found and found.value) == example


class Even(ConditionOperator):
    name = "even"
    needs_value = False

    def matches(self, field_value, literal):
        return isinstance(field_value, int) and field_value % 2 == 0


def test_an_operator_of_a_program_is_tried_and_never_proved_impossible():
    operators = OperatorRegistry()
    operators.register(Even())
    even = {"field": "n", "operator": "even"}
    assert find_example([even], operators=operators).value == {"n": 0}
    assert find_example([even, leaf("n", "gt", 4)], operators=operators).value == {"n": 6}
    with pytest.raises(UndecidedError, match="not built in"):
        find_example([even, leaf("n", "eq", 5)], operators=operators)


@pytest.mark.parametrize(
    ("holding", "reason"),
    [
        ([leaf("a", "matches", r"\bé\b")], "a pattern cannot be taken apart"),
        ([leaf("a", "length", {"gt": 100_000})], "a length of 100001 is too great to try"),
        ([leaf("a", "cidr", "10.0.0.0/8"), leaf("a", "ends_with", ".7")], "which addresses of a network"),
    ],
)
def test_what_cannot_be_decided_says_why(holding, reason):
    with pytest.raises(UndecidedError, match=reason):
        find_example(holding)


def test_a_search_ends():
    parts = [{"any_of": [leaf(f"f{n}", "eq", 1), leaf(f"g{n}", "eq", 1)]} for n in range(30)]
    refused = [leaf(f"{letter}{n}", "eq", 1) for letter in "fg" for n in (29,)]
    with pytest.raises(UndecidedError, match="5,000 places were tried"):
        find_example([{"all_of": parts}], refused)


def test_a_search_leaves_nothing_behind():
    for _ in range(3):
        find_example([leaf("name", "starts_with", "x"), leaf("total", "gt", 5)], [leaf("total", "gt", 9)])
    gc.collect()
    assert [one for one in gc.get_objects() if type(one) is Atom] == []
