"""Each operator's table: what it holds for, what it does not, and that a wrong type is merely false."""

import math

import pytest

from factflow_engine.conditions import compile_condition
from factflow_engine.native import BUILT_IN_OPERATORS
from factflow_protocols import Ext, Timestamp

MISSING = object()

# operator, value, fields that it holds for, fields that it does not hold for
TABLE = [
    ("eq", 1, [1, 1.0], [True, "1", 2, None, [1], MISSING, math.nan]),
    ("eq", True, [True], [1, 1.0, False, "true"]),
    ("eq", 2**53, [2**53, 2.0**53], [2**53 + 1]),
    ("eq", 2**63, [2**63, 2.0**63], [2**63 - 1]),
    ("eq", 2**64, [2.0**64], [2**64 - 1]),
    ("eq", 2**64 + 1, [], [2.0**64]),
    ("eq", 0, [0, 0.0, -0.0], [False, None, ""]),
    ("eq", None, [None], [MISSING, False, 0]),
    ("eq", "é", ["é"], ["e\u0301", "É", "é".encode()]),
    ("eq", "a", ["a"], [b"a", ["a"], "A"]),
    ("eq", {"$bin": "YQ=="}, [b"a"], ["a", [97]]),
    ("eq", {"$timestamp": "1970-01-01T01:00:00+01:00"}, [Timestamp(0)], [0, "1970-01-01T00:00:00Z", Timestamp(0, 1)]),
    ("eq", Ext(5, b"a"), [Ext(5, b"a")], [Ext(6, b"a"), Ext(5, b"b"), b"a"]),
    ("eq", [1, "a"], [[1, "a"], [1.0, "a"]], [["a", 1], [1], [1, "a", None]]),
    ("eq", {"a": 1, "b": 2}, [{"b": 2, "a": 1.0}], [{"a": 1}, {"a": 1, "b": 2, "c": 3}, {"a": 1, "c": 2}]),
    ("eq", [], [[]], [{}, None, MISSING]),
    ("neq", 1, [2, "1", None, MISSING, True], [1, 1.0]),
    ("gt", 1, [2, 1.5, math.inf, 2**64 - 1], [1, 1.0, -math.inf, math.nan, "2", True, None, MISSING]),
    ("gt", 2**53, [2**53 + 1], [2**53, 2.0**53]),
    ("gt", 2**64, [1e30, math.inf], [2**64 - 1, 2.0**64]),
    ("gt", -(2**70), [0, -(2**63), -1e20], [-(2.0**70), -math.inf]),
    ("gt", "a", ["b", "aa", "é"], ["a", "", "Z", b"b", 1]),
    ("gt", {"$bin": "YQ=="}, [b"b"], [b"a", "b"]),
    (
        "gt",
        {"$timestamp": "1970-01-01T00:00:00Z"},
        [Timestamp(0, 1), Timestamp(1)],
        [Timestamp(0), Timestamp(-1, 5), 1],
    ),
    ("gte", 1, [1, 1.0, 2], [0, math.nan]),
    ("lt", 1, [0, -math.inf], [1, math.nan, None, False, MISSING]),
    ("lt", "\U00010000", ["\uffff"], ["\U00010000"]),
    ("lte", 1, [1, 0.5], [1.5]),
    ("between", [1, 3], [1, 2.5, 3], [0, 3.5, "2", MISSING]),
    ("between", ["a", "c"], ["a", "bzz", "c"], ["ca", 1]),
    ("between", [1, 1.0], [1], [2]),
    ("in", [1, "a", None, [1]], [1.0, "a", None, [1]], [True, "b", [], MISSING]),
    ("in", [], [], [None, [], MISSING]),
    ("in", [2**64], [2.0**64], [2**64 - 1]),
    ("not_in", [1], [2, MISSING, None, True], [1, 1.0]),
    ("not_in", [], [1, MISSING], []),
    ("contains", "b", ["abc", ["a", "b"]], ["ac", {"b": 1}, b"abc", [["b"]], MISSING]),
    ("contains", "", ["", "a", [""]], [[], b""]),
    ("contains", 1, [[1], [2, 1.0]], [1, "1", [True], 11]),
    ("contains", {"$bin": "Yg=="}, [b"abc", [b"b"]], ["abc"]),
    ("starts_with", "ab", ["ab", "abc"], ["a", "cab", b"ab", ["ab"], MISSING]),
    ("starts_with", ["x", "a"], ["abc", "x"], ["b"]),
    ("ends_with", "bc", ["abc", "bc"], ["c", "abcd", b"bc"]),
    ("ends_with", ["x", ""], ["anything", ""], [1]),
    ("matches", "b+", ["abbc", "b"], ["ac", b"b", 1, None, ["b"], MISSING]),
    ("matches", "^b$", ["b"], ["b\n", "ab"]),
    ("matches", r"^\w\d$", ["é٣"], ["ab"]),
    ("exists", True, [False, None, [], {}, 0], [MISSING]),
    ("exists", False, [MISSING], [None]),
    ("is_null", True, [None], [MISSING, 0, "", []]),
    ("is_null", False, [MISSING, 0], [None]),
    ("type_is", "int", [1, 2**64 - 1], [1.0, True, "1"]),
    ("type_is", "float", [1.0, math.nan], [1]),
    ("type_is", "number", [1, 1.0], [True, Timestamp(0)]),
    ("type_is", ["null", "ext"], [None, Ext(1, b"")], [Timestamp(0), MISSING]),
    ("type_is", "timestamp", [Timestamp(0)], [Ext(1, b"")]),
    ("type_is", ["bin", "map"], [b"", {}], ["", []]),
    ("length", 2, ["ab", "é!", b"ab", [0, 0], {"a": 1, "b": 2}], ["a", 2, None, MISSING]),
    ("length", {"gte": 1, "lt": 3}, ["a", [0, 0]], ["", "abc"]),
    ("length", {"lte": 2**70}, [""], [1]),
    ("cidr", "10.0.0.0/8", ["10.1.2.3"], ["11.0.0.1", "::ffff:10.0.0.1", "10.0.0.01", "10.0.0", 10, MISSING]),
    ("cidr", ["::1", "2001:db8::/32"], ["::1", "2001:DB8:0::1"], ["::2", "0.0.0.1", "fe80::1%lo"]),
]


@pytest.mark.parametrize(("operator", "value", "held", "refused"), TABLE, ids=[f"{row[0]}-{row[1]}" for row in TABLE])
def test_an_operator_holds_for_what_its_table_says(operator, value, held, refused):
    condition = compile_condition({"field": "x", "operator": operator, "value": value})
    answers = [condition.matches_value({"y": 0} if field is MISSING else {"x": field}) for field in held + refused]
    assert answers == [True] * len(held) + [False] * len(refused)


def test_the_table_knows_every_operator():
    assert {row[0] for row in TABLE} == set(BUILT_IN_OPERATORS)


PATHS = [
    ("a.b", {"a": {"b": 1}}, {"a.b": 1}),
    ("a.0", {"a": {"0": 1}}, {"a": [1]}),
    ("a[0]", {"a": [1]}, {"a": {"0": 1}}),
    ("a[-1]", {"a": [0, 1]}, {"a": [1, 0]}),
    ("a[-3]", {"a": [1, 0, 0]}, {"a": [1, 0]}),
    ("[1].a", [0, {"a": 1}], [{"a": 1}]),
    ('"a.b"', {"a.b": 1}, {"a": {"b": 1}}),
    (r"a\.b", {"a.b": 1}, {"a": {"b": 1}}),
    ('a."".b', {"a": {"": {"b": 1}}}, {"a": {"b": 1}}),
    ("/a/0", {"a": [1]}, {"a": [0, 1]}),
    ("/a/0", {"a": {"0": 1}}, {"a": {"1": 1}}),
    ("/a~1b/~0", {"a/b": {"~": 1}}, {"a": 1}),
    (["a.b", 0], {"a.b": [1]}, {"a": {"b": [1]}}),
    (["a", "0"], {"a": {"0": 1}}, {"a": [1]}),
    ("a[*].b", {"a": [{"b": 0}, 5, {"b": 1}]}, {"a": {"b": 1}}),
    ("a[*][*]", {"a": [[], [0, 1]]}, {"a": [1]}),
    ("@", 1, {"@": 1}),
    ("@type", {"@type": 1}, {"type": 1}),
    ("@.a", {"a": 1}, 1),
]


@pytest.mark.parametrize(("field", "there", "elsewhere"), PATHS, ids=[str(row[0]) for row in PATHS])
def test_a_path_leads_where_its_form_says(field, there, elsewhere):
    condition = compile_condition({"field": field, "operator": "eq", "value": 1})
    assert condition.matches_value(there)
    assert not condition.matches_value(elsewhere)


@pytest.mark.parametrize("array", [[], [2], [2, 1], [1]])
def test_a_negative_operator_under_a_wildcard_says_no_element(array):
    ask = lambda operator, value: compile_condition({"field": "a[*]", "operator": operator, "value": value})  # noqa: E731
    assert ask("neq", 1).matches_value({"a": array}) is (1 not in array)
    assert ask("not_in", [1]).matches_value({"a": array}) is (1 not in array)
    assert ask("exists", False).matches_value({"a": array}) is (not array)


def test_any_element_asks_one_element_for_everything():
    condition = compile_condition(
        {
            "any_element": {
                "field": "people",
                "condition": {
                    "all_of": [
                        {"field": "first", "operator": "eq", "value": "Anna"},
                        {"field": "last", "operator": "eq", "value": "Jones"},
                    ]
                },
            }
        }
    )
    anna, bob = {"first": "Anna", "last": "Smith"}, {"first": "Bob", "last": "Jones"}
    assert not condition.matches_value({"people": [anna, bob]})
    assert condition.matches_value({"people": [anna, {"first": "Anna", "last": "Jones"}]})
    assert not condition.matches_value({"people": {"first": "Anna", "last": "Jones"}})
