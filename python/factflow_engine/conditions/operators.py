"""Custom operators, which a user adds to the built-in ones.

Kept separate from the compiler because authors of operators subclass this class; built-in operators are Rust and need
no class.
"""

import copy
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Final

from factflow_engine.error_texts import describe
from factflow_engine.errors import ConditionOperatorError
from factflow_engine.native import BUILT_IN_OPERATORS

_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,63}", re.ASCII)


class ConditionOperator(ABC):
    """Predicate on one field, in Python.

    Example:
        from factflow_engine.conditions import compile_condition

        class Divides(ConditionOperator):
            name = "divides"

            def check_literal(self, literal: Any) -> None:
                if not isinstance(literal, int) or literal == 0:
                    raise ValueError("write a whole number other than 0")

            def matches(self, field_value: Any, literal: Any) -> bool:
                return isinstance(field_value, int) and field_value % literal == 0

        operators = OperatorRegistry()
        operators.register(Divides())
        condition = compile_condition({"field": "n", "operator": "divides", "value": 3}, operators)
        assert condition.matches_value({"n": 9})

    The engine decodes the field (only it, not the message) and calls `matches` for every message that reaches this part
    of the condition: make it fast, it runs on the event loop's thread. The contract:

    * It is *pure*: the same value gives the same answer. The number of calls for a message is unspecified.
    * It is *total*: it answers for a value of any type, with False for one that it does not support. If it raises, the
      message fails with a `ConditionOperatorError`, as if its stage had failed.
    * It is never called for a field that is not there: the answer is False without it. For a path with `[*]` it is
      called for one element after the other until it answers True. Under `not` the answer is turned around, so that
      `not` of an operator holds for a missing field.
    * One instance serves every condition, from any thread, for as long as the registry lives.

    Attributes:
        name: Its name in conditions: a lower-case letter, then up to 63 lower-case letters, digits and underscores.
        needs_value: True if a condition must have a `value`; otherwise an absent one is None.
    """

    name: ClassVar[str]
    needs_value: ClassVar[bool] = True

    def check_literal(self, literal: Any) -> None:  # noqa: B027 - accepting everything is a sound default
        """Refuse an invalid `value` of a condition at load, so that it need not be checked for every message.

        Args:
            literal: The value in the configuration.

        Raises:
            ValueError: The operator cannot use it; the text is shown to the condition's author (E413).
        """

    @abstractmethod
    def matches(self, field_value: Any, literal: Any) -> bool:
        """True if the operator holds.

        Args:
            field_value: The decoded field.
            literal: The condition's `value`, which `check_literal` accepted. It is shared: do not change it.

        Returns:
            True or False, and nothing else: any other truthy value is an error.
        """


class OperatorRegistry:
    """The operators that conditions may use. The owner of the engine makes and fills it; there is no global one."""

    __slots__ = ("_operators",)

    def __init__(self) -> None:
        self._operators: dict[str, ConditionOperator] = {}

    def register(self, operator: ConditionOperator) -> ConditionOperator:
        """Add an operator; conditions compiled from now on may use it.

        Returns:
            The operator.

        Raises:
            TypeError: It is not a `ConditionOperator` (an instance, not the class).
            ValueError: Its name is malformed, a built-in operator's, or already taken.
        """
        given: object = operator
        if not isinstance(given, ConditionOperator):
            hint = " (register an instance: write its name with parentheses)" if isinstance(given, type) else ""
            raise TypeError(f"expected a ConditionOperator, got {given!r}{hint}")
        name: object = getattr(operator, "name", None)
        if not isinstance(name, str) or _NAME.fullmatch(name) is None:
            raise ValueError(
                f"{type(operator).__name__}.name must be a lower-case letter followed by up to 63 lower-case letters, "
                f"digits and underscores, got {name!r}"
            )
        if name in BUILT_IN_OPERATORS:
            raise ValueError(f"{name!r} is a built-in operator and cannot be replaced; choose another name")
        if name in self._operators:
            raise ValueError(f"an operator {name!r} is registered already: {self._operators[name]!r}")
        self._operators[name] = operator
        return operator

    def names(self) -> tuple[str, ...]:
        """Return the names of all operators that a condition may use, built-in ones included, sorted."""
        return tuple(sorted((*BUILT_IN_OPERATORS, *self._operators)))

    def custom_names(self) -> list[tuple[str, bool]]:
        """Return the registered operators; True beside those that need a value. Called by the compiler."""
        return [(name, operator.needs_value) for name, operator in self._operators.items()]

    def bind(self, name: str, condition: Mapping[str, object]) -> Callable[[object], bool] | str:
        """Return the predicate of one condition, or the reason why its value is refused. Called by the compiler."""
        operator = self._operators[name]
        literal = copy.deepcopy(condition.get("value"))
        try:
            operator.check_literal(literal)
        except ValueError as error:
            return str(error) or "it says no more"
        field = _written(condition.get("field"))

        def holds(field_value: object) -> bool:
            try:
                answer: object = operator.matches(field_value, literal)
            except Exception as error:
                raise ConditionOperatorError(name, field, f"raised {describe(error)}") from error
            if isinstance(answer, bool):
                return answer
            raise ConditionOperatorError(name, field, f"must return True or False, returned {answer!r}")

        return holds


def _written(field: object) -> str:
    """Return a field's path as text."""
    if isinstance(field, (list, tuple)):
        return "/".join(str(part) for part in field)
    return str(field)
