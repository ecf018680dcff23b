"""What cannot be right is refused when it is loaded: with a code, a place, and a way out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from factflow_engine.conditions import CODES, Condition, ConditionOperator, OperatorRegistry, compile_condition
from factflow_engine.errors import ConditionErrors
from factflow_engine.native import CONDITION_CODES


class Picky(ConditionOperator):
    name = "picky"

    def check_literal(self, literal):
        raise ValueError("nothing is good enough")

    def matches(self, field_value, literal):
        return False


def leaf(operator, value, field="a"):
    return {"field": field, "operator": operator, "value": value}


def findings(condition):
    registry = OperatorRegistry()
    registry.register(Picky())
    with pytest.raises(ConditionErrors) as raised:
        compile_condition(condition, registry)
    return raised.value.findings


def nested(depth):
    condition = leaf("exists", True)
    for _ in range(depth):
        condition = {"not": condition}
    return condition


ENDLESS = []
ENDLESS.append(ENDLESS)

CASES = [
    ("E401", ("operator",), leaf("eqq", 1), "did you mean eq?"),
    ("E401", ("operator",), leaf("==", 1), "did you mean eq?"),
    ("E401", ("operator",), leaf("startswith", "a"), "did you mean starts_with?"),
    ("E401", ("operator",), leaf("pickyy", 1), "did you mean picky?"),
    ("E401", ("operator",), leaf("zzzzzzzz", 1), "the operators are eq, neq"),
    ("E401", ("operator",), leaf(1, 1), "the operators are"),
    ("E402", ("value",), leaf("eq", float("nan")), "type_is"),
    ("E402", ("value", "b", 1), leaf("eq", {"b": [1, float("nan")]}), "type_is"),
    ("E402", ("value",), leaf("eq", object()), "$timestamp"),
    ("E402", ("value",), leaf("eq", {1: 2}), "quotes"),
    ("E402", ("value",), leaf("eq", "\ud800"), ""),
    ("E402", ("value",), leaf("gt", True), "eq"),
    ("E402", ("value",), leaf("gte", None), "eq"),
    ("E402", ("value",), leaf("lt", [1]), "eq"),
    ("E402", ("value",), leaf("lte", {"a": 1}), "eq"),
    ("E402", ("value",), leaf("between", 1), "[lowest, highest]"),
    ("E402", ("value",), leaf("between", [1, 2, 3]), "[lowest, highest]"),
    ("E402", ("value", 1), leaf("between", [1, None]), ""),
    ("E402", ("value",), leaf("in", "abc"), "eq"),
    ("E402", ("value",), leaf("not_in", {"a": 1}), "eq"),
    ("E402", ("value", 0), leaf("in", [float("nan")]), ""),
    ("E402", ("value",), leaf("starts_with", 1), "quotes"),
    ("E402", ("value", 1), leaf("ends_with", ["a", 1]), "quotes"),
    ("E402", ("value",), leaf("matches", 1), "quotes"),
    ("E402", ("value",), leaf("exists", "yes"), "true or false"),
    ("E402", ("value",), leaf("is_null", None), "true or false"),
    ("E402", ("value",), leaf("type_is", "string"), "did you mean str?"),
    ("E402", ("value", 1), leaf("type_is", ["int", "flaot"]), "did you mean float?"),
    ("E402", ("value",), leaf("type_is", None), '"null"'),
    ("E402", ("value",), leaf("length", -1), "gte"),
    ("E402", ("value",), leaf("length", 1.0), "gte"),
    ("E402", ("value", "gt"), leaf("length", {"gt": True}), "gte"),
    ("E402", ("value",), leaf("cidr", 10), "10.0.0.0/8"),
    ("E403", ("value",), leaf("matches", "(a"), ""),
    ("E403", ("value",), leaf("matches", "(?=a)"), "all_of"),
    ("E403", ("value",), leaf("matches", r"(a)\1"), "alternatives"),
    ("E403", ("value",), leaf("matches", r"a\Z"), r"\z"),
    ("E403", ("value",), leaf("matches", r"\w{1000}{1000}"), "repeat less"),
    ("E404", ("field",), leaf("eq", 1, ""), "@"),
    ("E404", ("field",), leaf("eq", 1, "a..b"), "dot"),
    ("E404", ("field",), leaf("eq", 1, "a."), "dot"),
    ("E404", ("field",), leaf("eq", 1, "a[x]"), "[0]"),
    ("E404", ("field",), leaf("eq", 1, '"a'), '"'),
    ("E404", ("field",), leaf("eq", 1, "/a~2"), "~0"),
    ("E404", ("field",), leaf("eq", 1, []), "@"),
    ("E404", ("field", 1), leaf("eq", 1, ["a", None]), "items"),
    ("E404", ("field", 0), leaf("eq", 1, [2**63]), "-1 for the last"),
    ("E404", ("field",), leaf("eq", 1, 5), "a.b"),
    ("E404", ("field",), leaf("eq", 1, ".".join("a" * 129)), "shorten"),
    ("E405", ("vlaue",), {"field": "a", "operator": "eq", "vlaue": 1}, "did you mean value?"),
    ("E405", ("note",), {**leaf("eq", 1), "note": "x"}, "field, operator, value"),
    ("E405", ("al_of",), {"al_of": [leaf("eq", 1)]}, "did you mean all_of?"),
    ("E405", ("any_element", "conditoin"), {"any_element": {"field": "a", "conditoin": leaf("eq", 1)}}, "condition?"),
    ("E405", ("value", "gta"), leaf("length", {"gta": 1}), "did you mean gt"),
    ("E405", (), {**leaf("eq", 1), 5: 1}, "keys are"),
    ("E406", (), {"operator": "eq", "value": 1}, "path"),
    ("E406", (), {"field": "a", "value": 1}, "eq"),
    ("E406", (), {"field": "a", "operator": "eq"}, "null is a value"),
    ("E406", ("any_element",), {"any_element": {"field": "a"}}, "element"),
    ("E406", (), {"field": "a", "operator": "picky"}, "null is a value"),
    ("E407", ("all_of",), {"all_of": []}, "at least one"),
    ("E407", ("not", "any_of"), {"not": {"any_of": []}}, "at least one"),
    ("E407", ("value",), leaf("starts_with", []), ""),
    ("E407", ("value",), leaf("type_is", []), ""),
    ("E407", ("value",), leaf("cidr", []), ""),
    ("E407", ("value",), leaf("length", {}), ""),
    ("E408", ("not",) * 64, nested(64), "flatten"),
    ("E408", ("all_of", 9998), {"all_of": [leaf("exists", True)] * 10_000}, "split"),
    ("E408", ("value", *(0,) * 129), leaf("eq", ENDLESS), "compare a part"),
    ("E409", (), {}, "remove it"),
    ("E409", (), [leaf("eq", 1)], "all_of"),
    ("E409", ("all_of", 0), {"all_of": ["a"]}, "field"),
    ("E409", ("any_of",), {"any_of": leaf("eq", 1)}, "list"),
    ("E409", ("any_element",), {"any_element": []}, "element"),
    ("E409", ("field",), {"not": leaf("eq", 1), "field": "a"}, "all_of"),
    ("E410", ("value",), leaf("eq", {"$bni": "aGk="}), "did you mean $bin?"),
    ("E410", ("value",), leaf("eq", {"$bin": "aGk=", "a": 1}), "one key"),
    ("E410", ("value", "$bin"), leaf("eq", {"$bin": "aGk"}), "padding"),
    ("E410", ("value", "$bin"), leaf("eq", {"$bin": 1}), "quotes"),
    ("E410", ("value", "$timestamp"), leaf("gt", {"$timestamp": "2026-01-01T00:00:00"}), "offset"),
    ("E411", ("value",), leaf("between", [2, 1]), "lower bound first"),
    ("E411", ("value",), leaf("between", [2**70 + 1, 2**70]), "lower bound first"),
    ("E411", ("value",), leaf("between", [1, "a"]), "two numbers"),
    ("E411", ("value",), leaf("length", {"gt": 3, "lt": 4}), ""),
    ("E411", ("value",), leaf("length", {"lt": 0}), ""),
    ("E412", ("value",), leaf("cidr", "10.0.0.1/8"), "10.0.0.0/8"),
    ("E412", ("value",), leaf("cidr", "10.0.0.0/33"), "0 to 32"),
    ("E412", ("value",), leaf("cidr", "10.0.0.0/255.0.0.0"), "number of bits"),
    ("E412", ("value", 1), leaf("cidr", ["::/0", "nowhere"]), "2001:db8::/32"),
    ("E413", ("value",), leaf("picky", 1), "author"),
]


@pytest.mark.parametrize(("code", "path", "condition", "remedy"), CASES, ids=range(len(CASES)))
def test_a_mistake_is_reported_where_it_stands(code, path, condition, remedy):
    (finding,) = findings(condition)
    assert (finding.code, finding.path) == (code, path)
    assert remedy in finding.remedy
    assert finding.problem


def test_every_code_has_its_case_and_its_explanation():
    assert {case[0] for case in CASES} == set(CODES) == set(CONDITION_CODES)
    for code, row in CODES.items():
        assert row.code == code
        assert row.title
        assert row.explanation.endswith(".")
        assert row.remedy


def test_all_mistakes_of_a_condition_are_reported_together():
    condition = {
        "all_of": [
            {"feild": "a", "operator": "eqq", "vlaue": 1},
            {"not": {"field": "a..b", "operator": "matches", "value": "("}},
            {"any_element": {"field": "", "condition": {"any_of": []}}},
        ]
    }
    assert [(finding.code, finding.path) for finding in findings(condition)] == [
        ("E405", ("all_of", 0, "feild")),
        ("E405", ("all_of", 0, "vlaue")),
        ("E401", ("all_of", 0, "operator")),
        ("E404", ("all_of", 1, "not", "field")),
        ("E403", ("all_of", 1, "not", "value")),
        ("E404", ("all_of", 2, "any_element", "field")),
        ("E407", ("all_of", 2, "any_element", "condition", "any_of")),
    ]


def test_the_text_of_the_error_lists_every_mistake():
    with pytest.raises(ConditionErrors) as raised:
        compile_condition({"any_of": [leaf("eqq", 1), leaf("gt", None)]})
    text = str(raised.value)
    assert "E401 at any_of.0.operator" in text
    assert "E402 at any_of.1.value" in text


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.binary(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["field", "operator", "value", "all_of", "any_of", "not", "any_element", "condition"])
            | st.text(max_size=3)
            | st.integers(),
            inner | st.sampled_from(["a", "eq", "in", "length", "@"]),
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(ANYTHING)
def test_whatever_is_given_is_a_condition_or_a_list_of_findings(anything):
    answer = compiled_or_codes(anything)
    assert isinstance(answer, Condition) or (answer and answer <= set(CODES))


def compiled_or_codes(source):
    try:
        return compile_condition(source)
    except ConditionErrors as errors:
        return {finding.code for finding in errors.findings}
