"""From a mapping, as a configuration has it, to a compiled condition or everything that is wrong with it.

The compiler is Rust; this keeps what the author wrote.
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
"""The condition of an outbound that has none, where all of them are filed in one table."""

_BUDGET: Final[ContextVar[PatternBudget | None]] = ContextVar("pattern budget", default=None)


@contextmanager
def shared_patterns() -> Iterator[PatternBudget]:
    """Let all conditions that are compiled in this context take the memory of their patterns from one budget.

    The loader and a starting execution both compile all of a configuration under one, adapters' own conditions
    included: so what is refused is refused when it is checked, before it takes memory.
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
    """Build the table that a route chooses its outbounds by; None if there is nothing to choose.

    Args:
        outbounds: What the table answers with, and the condition; None for an outbound that takes every message.
        operators: Operators besides the built-in ones.

    Raises:
        ConditionErrors: Some conditions cannot be right; a finding's path begins with the outbound's position.
        CodecError: The conditions hold too much text to search for.
    """
    if len(outbounds) < 2 or all(condition is None for _, condition in outbounds):
        return None
    rules = [(name, _ALWAYS if condition is None else condition) for name, condition in outbounds]
    return RouteTable(rules, operators, _BUDGET.get())


def compile_condition(mapping: Mapping[str, object], operators: OperatorRegistry | None = None) -> Condition:
    """Compile a condition.

    Compiling is bounded: 64 levels, 10,000 parts, 64 KiB of text and 10 MiB of memory a pattern, and 64 MiB for all
    patterns of the condition, or of the configuration that is being loaded or started.

    Args:
        mapping: `{field, operator, value}`, or one of `all_of`, `any_of`, `not`, `any_element`. It is copied: later
            changes to it do not reach the condition.
        operators: Operators besides the built-in ones.

    Returns:
        The condition. It never changes and may be used from any thread.

    Raises:
        ConditionErrors: The condition cannot be right; it holds every problem, each with its place.
    """
    return _compile(mapping, operators, plain_copy, _BUDGET.get())


def plain_copy(value: Any) -> Any:
    """The value with every mapping as a new dict and every list and tuple as a new list.

    It recurses: only what compiled, and so has bounded depth, may be given to it.
    """
    if isinstance(value, Mapping):
        return {key: plain_copy(item) for key, item in value.items()}
    if isinstance(value, list) or type(value) is tuple:  # a Timestamp is a tuple too, and one value
        return [plain_copy(item) for item in value]
    return value
