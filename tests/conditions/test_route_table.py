"""A table answers what asking each of its rules answers, and says so of itself."""

import collections
import ipaddress
import random
import types
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conditions import generators
from conditions.strategies import drawn
from factflow_engine.conditions import ConditionOperator, OperatorRegistry, RouteTable, compile_condition
from factflow_engine.errors import ConditionErrors, ConditionOperatorError, CorruptError
from factflow_engine.native import pack
from support.timings import grows_at_most


def tables(draw):
    """Some messages, and rules of which about half have something to do with one of them."""
    items = [generators.message(draw) for _ in range(3)]
    rules = [generators.condition(draw, 3, draw.choice([*items, None])) for _ in range(draw.randrange(12))]
    return rules, [generators.encode(draw, item) for item in items]


def assert_equals_asking_each(rules, payloads):
    table = RouteTable(list(enumerate(rules)))
    conditions = [compile_condition(rule) for rule in rules]
    for payload in payloads:
        expected = [number for number, condition in enumerate(conditions) if condition.matches(payload)]
        assert table.match(payload) == expected
        assert table.match_indices(payload) == tuple(expected)
        assert table.match_first(payload) == (expected[0] if expected else None)


@settings(max_examples=250, deadline=None)
@given(drawn(tables))
def test_a_table_is_its_rules_one_by_one(drawn_tables):
    assert_equals_asking_each(*drawn_tables)


@pytest.mark.slow
def test_a_table_is_its_rules_one_by_one_in_a_long_run():
    pairs = 0
    seed = 0
    while pairs < 1_000_000:
        draw = random.Random(seed)
        items = [generators.message(draw) for _ in range(20)]
        rules = [generators.condition(draw, draw.randrange(4), draw.choice(items)) for _ in range(draw.randrange(200))]
        assert_equals_asking_each(rules, [generators.encode(draw, item) for item in items])
        pairs += len(rules) * len(items)
        seed += 1


TEXTS = st.text("ab", max_size=6)


@given(
    st.lists(
        st.tuples(st.sampled_from(["eq", "starts_with", "ends_with", "contains", "gt", "lte", "matches"]), TEXTS),
        max_size=30,
    ),
    st.lists(TEXTS | st.lists(TEXTS, max_size=3), max_size=10),
)
def test_texts_that_overlap_are_all_found(rules, values):
    conditions = [{"field": "x", "operator": operator, "value": text} for operator, text in rules]
    assert_equals_asking_each(conditions, [pack({"x": value}) for value in values])


V4_BITS = st.integers(0, 7).map(lambda bits: 0x0A00_0000 | bits << 22 | bits)
V6_BITS = st.integers(0, 7).map(lambda bits: 0x2001_0DB8 << 96 | bits << 62 | bits) | V4_BITS.map(
    lambda bits: 0xFFFF << 32 | bits
)
V4 = V4_BITS.map(ipaddress.IPv4Address)
V6 = V6_BITS.map(ipaddress.IPv6Address)
NETWORK = st.one_of(
    st.tuples(V4, st.sampled_from([0, 1, 8, 9, 10, 24, 31, 32])),
    st.tuples(V6, st.sampled_from([0, 32, 64, 66, 127, 128])),
).map(lambda drawn: ipaddress.ip_network(drawn, strict=False))


@given(st.lists(st.lists(NETWORK, min_size=1, max_size=3), max_size=20), st.lists(V4 | V6, max_size=10))
def test_networks_that_lie_within_each_other_are_all_found(rules, addresses):
    conditions = [rule("ip", "cidr", [str(network) for network in networks]) for networks in rules]
    texts = [str(address) for address in addresses]
    refused = ["", "10.0.0", "10.0.0.01", "10.0.0.0/8", " ::1", "x" * 50, 10, None, ["10.0.0.1"]]
    assert_equals_asking_each(conditions, [pack({"ip": value}) for value in (*texts, *refused)])
    table = RouteTable(list(enumerate(conditions)))
    for address, text in zip(addresses, texts, strict=True):
        expected = [number for number, networks in enumerate(rules) if any(address in network for network in networks)]
        assert table.match(pack({"ip": text})) == expected
    assert table.statistics().indexed_rules == len(rules)


@pytest.mark.parametrize("source", [dict, collections.OrderedDict, types.MappingProxyType, collections.UserDict])
def test_a_condition_may_be_any_mapping(source):
    assert RouteTable([(1, source(rule("a", "eq", 1)))]).match(pack({"a": 1})) == [1]


BOUND = st.one_of(
    st.integers(-4, 4),
    st.integers(-4, 4).map(lambda number: number / 2),
    st.sampled_from([2**53, 2.0**53, 2**53 + 1, 2**64, 2**64 + 1, 2.0**64, -(2**63) - 1, 10**400, float("inf")]),
)


@given(
    st.lists(st.tuples(st.sampled_from(["gt", "gte"]), BOUND, st.sampled_from(["lt", "lte"]), BOUND), max_size=30),
    st.lists(BOUND.filter(lambda number: not isinstance(number, int) or -(2**63) <= number < 2**64), max_size=10),
)
def test_intervals_that_overlap_are_all_found(rules, values):
    conditions = [
        {
            "all_of": [
                {"field": "x", "operator": lower, "value": low},
                {"field": "x", "operator": upper, "value": high},
            ]
        }
        for lower, low, upper, high in rules
    ]
    assert_equals_asking_each(conditions, [pack({"x": value}) for value in [*values, float("nan"), None, "1"]])


def rule(field, operator, value=True):
    return {"field": field, "operator": operator, "value": value}


def test_ids_come_in_the_order_of_the_table():
    table = RouteTable([("z", rule("a", "exists")), (None, rule("a", "neq", 5)), ("a", rule("a", "eq", 1))])
    assert table.match(pack({"a": 1})) == ["z", None, "a"]
    assert table.match_first(pack({})) is None
    assert table.match_indices(pack({"a": 5})) == (0,)
    assert len(table) == 3
    assert repr(table) == "RouteTable(<3 rules>)"


def test_an_empty_table_matches_nothing():
    table = RouteTable([])
    assert (table.match(pack({})), table.match_first(pack({})), table.match_indices(pack({}))) == ([], None, ())


def test_the_statistics_tell_what_grows_with_the_table():
    table = RouteTable(
        [
            (0, {"all_of": [rule("kind", "eq", "a"), rule("text", "contains", "x")]}),
            (1, {"any_of": [rule("text", "contains", "xy"), rule("text", "matches", "ab.*cd")]}),
            (2, rule("kind", "neq", "a")),
            (3, {"any_of": [rule("kind", "eq", "b"), {"not": rule("n", "gt", 1)}]}),
            (4, rule("kind", "in", [])),
        ]
    )
    statistics = table.statistics()
    assert (statistics.rules, statistics.indexed_rules) == (5, 2)
    assert (statistics.always_asked_rules, statistics.impossible_rules) == (2, 1)
    assert (statistics.indexed_fields, statistics.automata) == (2, 1)
    assert "always_asked_rules=2" in repr(statistics)


def test_a_rule_is_filed_under_its_rarest_part():
    shared = rule("kind", "eq", "common")
    rules = [(number, {"all_of": [shared, rule("name", "eq", f"n{number}")]}) for number in range(50)]
    asked = []

    class Watch(ConditionOperator):
        name = "watch"
        needs_value = False

        def matches(self, field_value, literal):
            asked.append(field_value)
            return True

    operators = OperatorRegistry()
    operators.register(Watch())
    watched = [(number, {"all_of": [condition, {"field": "kind", "operator": "watch"}]}) for number, condition in rules]
    table = RouteTable(watched, operators)
    assert table.match(pack({"kind": "common", "name": "n7"})) == [7]
    assert asked == ["common"]


def one_of_rows(*conditions):
    body = conditions[0] if len(conditions) == 1 else {"all_of": list(conditions)}
    return {"any_element": {"field": "rows", "condition": body}}


FORMS_IN_ARRAYS = {
    "a field of elements": lambda n: rule("rows[*].k", "eq", f"k{n}"),
    "a field deep in elements": lambda n: rule("rows[*].a.b[0]", "eq", n),
    "elements of elements": lambda n: rule("rows[*].tags[*]", "eq", f"t{n}"),
    "a field of elements of elements": lambda n: rule("rows[*].more[*].k", "eq", n),
    "a prefix in elements": lambda n: rule("names[*]", "starts_with", f"name{n}-"),
    "ranges in elements": lambda n: rule("rows[*].n", "between", [10 * n, 10 * n + 5]),
    "a pattern in elements": lambda n: rule("rows[*].k", "matches", f"^k{n}$"),
    "any element": lambda n: one_of_rows(rule("k", "eq", f"k{n}"), rule("n", "exists")),
    "any element, by its own": lambda n: {"any_element": {"field": "ids", "condition": rule("@", "eq", n)}},
    "any element of an element": lambda n: one_of_rows(
        {"any_element": {"field": "more", "condition": rule("k", "eq", n)}}, rule("n", "exists")
    ),
    "a choice within any element": lambda n: one_of_rows({"any_of": [rule("k", "eq", f"k{n}"), rule("n", "eq", -1)]}),
}


@pytest.mark.parametrize("form", FORMS_IN_ARRAYS)
def test_rules_on_elements_of_arrays_are_only_asked_if_an_element_has_what_they_are_filed_under(form):
    asked = []

    class Watch(ConditionOperator):
        name = "watch"

        def matches(self, field_value, literal):
            asked.append(literal)
            return True

    operators = OperatorRegistry()
    operators.register(Watch())
    make = FORMS_IN_ARRAYS[form]
    table = RouteTable(
        [(n, {"all_of": [make(n), {"field": "id", "operator": "watch", "value": n}]}) for n in range(200)], operators
    )
    rows = [
        {"k": f"k{n}", "n": 10 * n, "a": {"b": [n]}, "tags": ["x", f"t{n}"], "more": [{"k": 500}, {"k": n}]}
        for n in (7, 300, 7)
    ]
    message = {"id": 1, "rows": rows, "names": ["name7-a", "", "name7-b"], "ids": [300, 7]}
    assert table.match(pack(message)) == [7]
    assert asked == [7]
    assert table.match(pack({"id": 1, "rows": [], "names": {}, "ids": 7})) == []
    assert table.statistics().indexed_rules == 200


@given(
    st.lists(
        st.tuples(st.sampled_from(sorted(FORMS_IN_ARRAYS)), st.integers(0, 3), st.booleans()), min_size=1, max_size=12
    ),
    st.lists(
        st.fixed_dictionaries(
            {},
            optional={
                "k": st.sampled_from(["k0", "k1", "k2", 1]),
                "n": st.sampled_from([0, 5, 12, -1, "x"]),
                "a": st.just({"b": [1]}) | st.just({"b": []}),
                "tags": st.lists(st.sampled_from(["t0", "t1"]), max_size=2),
                "more": st.lists(st.fixed_dictionaries({"k": st.integers(0, 3)}), max_size=2) | st.just(0),
            },
        )
        | st.just(3),
        max_size=3,
    ),
    st.lists(st.sampled_from(["name0-", "name1-x", ""]), max_size=3),
)
def test_rules_on_elements_are_their_rules_one_by_one(forms, rows, names):
    rules = [{"not": FORMS_IN_ARRAYS[form](n)} if negated else FORMS_IN_ARRAYS[form](n) for form, n, negated in forms]
    rules.append({"all_of": rules[:3]})
    rules.append({"any_of": rules[-3:]})
    messages = [
        {"rows": rows, "names": names, "ids": [0, 2]},
        {"rows": {"k": "k1"}, "names": "name0-"},
        {"rows": names},
    ]
    assert_equals_asking_each(rules, [pack(message) for message in messages])


@pytest.mark.parametrize("operator", ["gt", "between"])
def test_building_intervals_that_all_overlap_is_not_quadratic(operator):
    def build(count):
        value = (lambda n: n) if operator == "gt" else (lambda n: [n, n + count])
        return partial(RouteTable, [(n, rule("x", operator, value(n))) for n in range(count)])

    # Eight times as many; the square would be 64.
    assert grows_at_most(30, build(8_000), build(64_000), slack=0.05)
    table = build(64_000)()
    assert table.match(pack({"x": 3})) == ([0, 1, 2] if operator == "gt" else [0, 1, 2, 3])


def test_the_first_match_does_not_ask_the_rules_behind_it():
    asked = []

    class Watch(ConditionOperator):
        name = "watch"

        def matches(self, field_value, literal):
            asked.append(literal)
            return literal >= 2

    operators = OperatorRegistry()
    operators.register(Watch())
    table = RouteTable([(number, rule("a", "watch", number)) for number in range(5)], operators)
    assert table.match_first(pack({"a": 1})) == 2
    assert asked == [0, 1, 2]


def test_mistakes_of_all_rules_are_reported_with_their_places():
    with pytest.raises(ConditionErrors) as raised:
        RouteTable([("a", rule("a..b", "eq")), ("b", rule("a", "eq")), ("c", {"not": rule("a", "eqq")})])
    assert [(finding.code, finding.path) for finding in raised.value.findings] == [
        ("E404", (0, "field")),
        ("E401", (2, "not", "operator")),
    ]


def test_a_rule_that_is_no_pair_is_refused():
    with pytest.raises(TypeError, match="rule 1 is not a pair"):
        RouteTable([("a", rule("a", "exists")), "b"])


def test_an_operator_may_ask_the_same_table():
    class Reentrant(ConditionOperator):
        name = "reentrant"
        needs_value = False

        def matches(self, field_value, literal):
            return table.match(pack({"b": 1})) == ["b"]

    operators = OperatorRegistry()
    operators.register(Reentrant())
    table = RouteTable([("a", {"field": "a", "operator": "reentrant"}), ("b", rule("b", "exists"))], operators)
    assert table.match(pack({"a": 1, "b": 1})) == ["a", "b"]


def test_errors_pass_through_and_leave_the_table_usable():
    class Fails(ConditionOperator):
        name = "fails"
        needs_value = False

        def matches(self, field_value, literal):
            raise RuntimeError("no")

    operators = OperatorRegistry()
    operators.register(Fails())
    table = RouteTable([("a", {"field": "a", "operator": "fails"}), ("b", rule("b", "exists"))], operators)
    for call in (table.match, table.match_first, table.match_indices):
        with pytest.raises(ConditionOperatorError, match="'fails' on field 'a'"):
            call(pack({"a": 1}))
        with pytest.raises(CorruptError):
            call(b"\x81\xa1c\xc1")
    assert table.match(pack({"b": 1})) == ["b"]
