"""From a mapping, as a configuration has it, to a compiled condition or everything that is wrong with it.

The compiler is Rust; this keeps what the author wrote.
"""

from collections.abc import Mapping
from typing import Any

from factflow_engine.conditions.operators import OperatorRegistry
from factflow_engine.native import Condition
from factflow_engine.native import compile_condition as _compile


def compile_condition(mapping: Mapping[str, object], operators: OperatorRegistry | None = None) -> Condition:
    """Compile a condition.

    Compiling is bounded: 64 levels, 10,000 parts, 10 MiB a pattern and 64 MiB for all patterns.

    Args:
        mapping: `{field, operator, value}`, or one of `all_of`, `any_of`, `not`, `any_element`. It is copied: later
            changes to it do not reach the condition.
        operators: Operators besides the built-in ones.

    Returns:
        The condition. It never changes and may be used from any thread.

    Raises:
        ConditionErrors: The condition cannot be right; it holds every problem, each with its place.
    """
    return _compile(mapping, operators, plain_copy)


def plain_copy(value: Any) -> Any:
    """The value with every mapping as a new dict and every list and tuple as a new list.

    It recurses: only what compiled, and so has bounded depth, may be given to it.
    """
    if isinstance(value, Mapping):
        return {key: plain_copy(item) for key, item in value.items()}
    if isinstance(value, list) or type(value) is tuple:  # a Timestamp is a tuple too, and one value
        return [plain_copy(item) for item in value]
    return value
