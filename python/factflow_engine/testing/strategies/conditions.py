"""Strategies for conditions, and for messages for which a condition holds, or does not.

Kept separate from `messages` because these are built from a condition, not drawn and thrown away.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Final, TypeVar

from hypothesis import strategies as st

from factflow_engine.conditions import OperatorRegistry, compile_condition
from factflow_engine.conditions.examples import find_example
from factflow_engine.errors import UndecidedError
from factflow_engine.testing.strategies.messages import NAMES, NUMBERS, SCALARS, TEXTS, messages

T = TypeVar("T")

BAD_NETWORK: Final = {"field": "id", "operator": "cidr", "value": "10.0.0.1/8"}
"""Condition whose literal is an address with bits beyond its prefix, and so no network."""


def conditions(fields: Sequence[str] = NAMES) -> st.SearchStrategy[dict[str, Any]]:
    """Return a strategy for conditions that compile, with every built-in operator, over some fields.

    Args:
        fields: The paths that they read, as conditions write them.
    """
    return _all(tuple(fields))


@cache
def single_conditions(fields: tuple[str, ...]) -> st.SearchStrategy[dict[str, Any]]:
    """Return a strategy for conditions on one field, with every built-in operator."""
    field = st.sampled_from(fields)

    def leaf(operator: str, values: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
        return st.tuples(field, values).map(lambda drawn: {"field": drawn[0], "operator": operator, "value": drawn[1]})

    ordered = NUMBERS | TEXTS
    return st.one_of(
        *(leaf(operator, SCALARS) for operator in ("eq", "neq", "contains")),
        *(leaf(operator, ordered) for operator in ("gt", "gte", "lt", "lte")),
        leaf("between", st.tuples(NUMBERS, NUMBERS).map(sorted)),
        *(leaf(operator, st.lists(SCALARS, max_size=3)) for operator in ("in", "not_in")),
        *(leaf(operator, TEXTS | st.lists(TEXTS, min_size=1, max_size=3)) for operator in ("starts_with", "ends_with")),
        leaf("matches", st.sampled_from(("^a", "b$", "[0-9]+", "^[a-z]{2,4}$", "a.c", "(?i)^x"))),
        *(leaf(operator, st.booleans()) for operator in ("exists", "is_null")),
        leaf("type_is", st.sampled_from(("null", "bool", "int", "float", "number", "str", "array", "map"))),
        leaf("length", st.integers(0, 4) | st.fixed_dictionaries({"gte": st.integers(0, 2), "lte": st.integers(2, 4)})),
        leaf("cidr", st.sampled_from(("10.0.0.0/8", "192.168.1.0/24", "2001:db8::/32"))),
    )


@cache
def _all(fields: tuple[str, ...]) -> st.SearchStrategy[dict[str, Any]]:
    field = st.sampled_from(fields)

    def joined(inner: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
        several = st.lists(inner, min_size=1, max_size=3)
        element = st.tuples(field, inner).map(lambda drawn: {"field": drawn[0], "condition": drawn[1]})
        return (
            st.fixed_dictionaries({"all_of": several})
            | st.fixed_dictionaries({"any_of": several})
            | st.fixed_dictionaries({"not": inner})
            | st.fixed_dictionaries({"any_element": element})
        )

    return st.recursive(single_conditions(fields), joined, max_leaves=6)


def payloads_matching(
    condition: Mapping[str, Any], *, operators: OperatorRegistry | None = None
) -> st.SearchStrategy[Any]:
    """Return a strategy for messages for which a condition holds.

    Args:
        condition: The condition as a configuration writes it.
        operators: Operators besides the built-in ones.

    Raises:
        ValueError: It holds for no message.
        UndecidedError: No message was found for which it holds.
        ConditionErrors: It is invalid.
    """
    return _payloads(condition, operators, is_wanted=True)


def payloads_not_matching(
    condition: Mapping[str, Any], *, operators: OperatorRegistry | None = None
) -> st.SearchStrategy[Any]:
    """Return a strategy for messages for which a condition does not hold.

    Raises:
        ValueError: It holds for every message.
        UndecidedError: No message was found for which it does not hold.
        ConditionErrors: It is invalid.
    """
    return _payloads(condition, operators, is_wanted=False)


def _payloads(
    condition: Mapping[str, Any], operators: OperatorRegistry | None, *, is_wanted: bool
) -> st.SearchStrategy[Any]:
    compiled = compile_condition(condition, operators)
    holding, failing = ([condition], []) if is_wanted else ([], [condition])
    plain = find_example(holding, failing, operators=operators)
    if plain is None:
        raise ValueError(
            f"expected a condition that holds for some message{'' if is_wanted else ' and not for all'}, got {condition!r}"
        )

    @st.composite
    def drawn(draw: st.DrawFn) -> Any:
        try:
            found = find_example(holding, failing, operators=operators, choices=_Drawn(draw))
        except UndecidedError:  # these choices led nowhere; the plainest do
            found = None
        value = (found or plain).value
        if isinstance(value, dict):
            more = {**draw(messages()), **value}
            if compiled.matches_value(more) == is_wanted:
                return more
        return value

    return drawn()


class _Drawn:
    """Choices that hypothesis draws; zero is the plainest."""

    def __init__(self, draw: st.DrawFn) -> None:
        self._draw = draw

    def order(self, options: Sequence[T]) -> Sequence[T]:
        """See `Choices`: one comes first, the others stay in order."""
        if len(options) < 2:
            return options
        first = self._draw(st.integers(0, len(options) - 1))
        return [options[first], *options[:first], *options[first + 1 :]]

    def steps(self) -> bytes:
        """See `Choices`."""
        return self._draw(st.binary(max_size=6))
