"""Operators that a user adds: how they are registered, bound and called."""

import pytest

from factflow_engine.conditions import ConditionOperator, OperatorRegistry, compile_condition
from factflow_engine.errors import ConditionErrors, ConditionOperatorError, CorruptError
from factflow_engine.native import BUILT_IN_OPERATORS
from factflow_protocols import Timestamp


class DivisibleBy(ConditionOperator):
    name = "divisible_by"

    def __init__(self):
        self.asked = []

    def check_literal(self, literal):
        if not isinstance(literal, int) or literal == 0:
            raise ValueError("it takes an integer other than zero")

    def matches(self, field_value, literal):
        self.asked.append(field_value)
        return isinstance(field_value, int) and field_value % literal == 0


class Answers(ConditionOperator):
    name = "answers"
    needs_value = False

    def __init__(self, answer):
        self.answer = answer

    def matches(self, field_value, literal):
        return self.answer(field_value, literal)


def registry(*operators):
    made = OperatorRegistry()
    for operator in operators:
        made.register(operator)
    return made


def ask(operator, field="n", **value):
    return compile_condition({"field": field, "operator": operator.name, **value}, registry(operator))


def test_it_is_asked_with_the_decoded_field():
    operator = DivisibleBy()
    condition = ask(operator, value=3)
    assert condition.matches_value({"n": 9})
    assert not condition.matches_value({"n": 10})
    assert not condition.matches_value({"n": {"a": [Timestamp(1), b"x"]}})
    assert operator.asked == [9, 10, {"a": [Timestamp(1), b"x"]}]


def test_it_is_not_asked_about_a_missing_field():
    operator = DivisibleBy()
    assert not ask(operator, value=3).matches_value({})
    negated = compile_condition({"not": {"field": "n", "operator": "divisible_by", "value": 3}}, registry(operator))
    assert negated.matches_value({})
    assert operator.asked == []


def test_it_is_asked_about_elements_until_one_holds():
    operator = DivisibleBy()
    condition = ask(operator, field="n[*]", value=3)
    assert condition.matches_value({"n": [1, 6, 9]})
    assert operator.asked == [1, 6]
    assert not condition.matches_value({"n": []})


def test_it_works_within_any_element_and_beside_built_in_operators():
    condition = compile_condition(
        {
            "any_element": {
                "field": "items",
                "condition": {
                    "all_of": [
                        {"field": "n", "operator": "divisible_by", "value": 2},
                        {"field": "n", "operator": "gt", "value": 5},
                    ]
                },
            }
        },
        registry(DivisibleBy()),
    )
    assert condition.matches_value({"items": [{"n": 4}, {"n": 8}]})
    assert not condition.matches_value({"items": [{"n": 4}, {"n": 7}]})


def test_a_refused_value_is_a_finding():
    with pytest.raises(ConditionErrors) as raised:
        ask(DivisibleBy(), value=0)
    (finding,) = raised.value.findings
    assert (finding.code, finding.path) == ("E413", ("value",))
    assert "an integer other than zero" in finding.problem


def test_a_broken_check_is_not_taken_for_a_refusal():
    class Broken(DivisibleBy):
        def check_literal(self, literal):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        ask(Broken(), value=1)


def test_an_operator_that_needs_no_value_is_given_none():
    seen = []
    condition = ask(Answers(lambda value, literal: seen.append(literal) or True))
    assert condition.matches_value({"n": 1})
    assert seen == [None]


def test_an_exception_names_the_operator_and_the_field():
    condition = ask(Answers(lambda value, literal: value.upper() == "X"), field="a.n")
    with pytest.raises(ConditionOperatorError, match=r"'answers' on field 'a\.n' raised AttributeError") as raised:
        condition.matches_value({"a": {"n": 1}})
    assert (raised.value.operator, raised.value.field) == ("answers", "a.n")
    assert isinstance(raised.value.__cause__, AttributeError)


@pytest.mark.parametrize("answer", [1, None, "yes", []])
def test_what_is_merely_truthy_is_not_an_answer(answer):
    with pytest.raises(ConditionOperatorError, match="must return True or False"):
        ask(Answers(lambda value, literal: answer)).matches_value({"n": 1})


def test_bytes_that_are_no_value_are_an_error_of_the_bytes():
    with pytest.raises(CorruptError):
        ask(DivisibleBy(), value=1).matches(b"\x81\xa1n\xa1\xff")


def test_its_value_is_a_copy():
    literal = [1]
    condition = ask(Answers(lambda value, wanted: value in wanted), value=literal)
    literal.append(2)
    assert not condition.matches_value({"n": 2})


def test_names_are_those_of_all_operators():
    assert set(registry(DivisibleBy()).names()) == {*BUILT_IN_OPERATORS, "divisible_by"}
    assert list(OperatorRegistry().names()) == sorted(BUILT_IN_OPERATORS)


@pytest.mark.parametrize("name", ["", "Upper", "1st", "with space", "a-b", "a" * 65, "é", None, 5, "a\n"])
def test_a_malformed_name_is_refused(name):
    operator = DivisibleBy()
    operator.name = name
    with pytest.raises(ValueError, match="lower-case letter"):
        OperatorRegistry().register(operator)


@pytest.mark.parametrize("name", BUILT_IN_OPERATORS)
def test_a_built_in_operator_cannot_be_replaced(name):
    operator = DivisibleBy()
    operator.name = name
    with pytest.raises(ValueError, match="built-in"):
        OperatorRegistry().register(operator)


def test_a_name_is_registered_once():
    with pytest.raises(ValueError, match="registered already"):
        registry(DivisibleBy(), DivisibleBy())


@pytest.mark.parametrize("thing", [DivisibleBy, object(), lambda: True])
def test_only_instances_of_operators_are_registered(thing):
    with pytest.raises(TypeError, match="ConditionOperator"):
        OperatorRegistry().register(thing)


def test_a_nameless_operator_is_refused():
    class Nameless(ConditionOperator):
        def matches(self, field_value, literal):
            return True

    with pytest.raises(ValueError, match=r"Nameless\.name"):
        OperatorRegistry().register(Nameless())
