"""Compilation of a condition from a configuration's mapping; every problem is reported.

The compiler itself is Rust; this module keeps the mapping as its author wrote it.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final, TypeVar

from factflow_engine.conditions.operators import OperatorRegistry
from factflow_engine.native import Condition, PatternBudget, RouteTable
from factflow_engine.native import compile_condition as _compile

Id = TypeVar("Id")

_ALWAYS: Final[Mapping[str, object]] = {"field": "@", "operator": "exists"}
"""Condition of an outbound that has none, if all outbounds are compiled into one table."""

_BUDGET: Final[ContextVar[PatternBudget | None]] = ContextVar("pattern budget", default=None)


@contextmanager
def shared_patterns() -> Iterator[PatternBudget]:
    """Limit the memory of all patterns compiled in this context by one budget.

    The loader and a starting execution both compile a whole configuration under one budget, adapters' own conditions
    included: a configuration that is too large is refused when it is checked, before it takes memory.
    """
    budget = PatternBudget()
    token = _BUDGET.set(budget)
    try:
        yield budget
    finally:
        _BUDGET.reset(token)


def outbound_table(
    outbounds: Sequence[tuple[Id, Mapping[str, object] | None]], operators: OperatorRegistry | None = None
) -> RouteTable[Id] | None:
    """Build the table by which a route chooses outbounds; None if there is nothing to choose.

    Args:
        outbounds: The value that the table returns for each, and its condition; None for one that takes every message.
        operators: Operators besides the built-in ones.

    Raises:
        ConditionErrors: Some conditions are invalid; a finding's path begins with the outbound's position.
        CodecError: The conditions hold too much text to search for.
    """
    if len(outbounds) < 2 or all(condition is None for _, condition in outbounds):
        return None
    rules = [(name, _ALWAYS if condition is None else condition) for name, condition in outbounds]
    return RouteTable(rules, operators, _BUDGET.get())


def compile_condition(mapping: Mapping[str, object], operators: OperatorRegistry | None = None) -> Condition:
    """Compile a condition.

    Compilation is bounded: 64 levels, 10,000 parts, 64 KiB of text and 10 MiB of memory a pattern, and 64 MiB for all
    patterns of the condition, or of the configuration that is being loaded or started.

    Args:
        mapping: `{field, operator, value}`, or one of `all_of`, `any_of`, `not`, `any_element`. It is copied: later
        changes do not affect the condition.
        operators: Operators besides the built-in ones.

    Returns:
        The condition. It is immutable and may be used from any thread.

    Raises:
        ConditionErrors: The condition is invalid; the error holds every problem, each with its place.
    """
    return _compile(mapping, operators, plain_copy, _BUDGET.get())


def plain_copy(value: Any) -> Any:
    """Return the value with every mapping as a new dict and every list and tuple as a new list.

    It recurses: only a mapping that compiled, and so has bounded depth, may be given to it.
    """
    if isinstance(value, Mapping):
        return {key: plain_copy(item) for key, item in value.items()}
    if isinstance(value, list) or type(value) is tuple:  # a Timestamp is a tuple, too, and one value
        return [plain_copy(item) for item in value]
    return value
