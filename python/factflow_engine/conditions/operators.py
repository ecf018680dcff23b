"""Operators that a user adds to the built-in ones.

Kept separate from the compiler because this is what an author of operators subclasses; built-in operators are Rust and need
no class.
"""

import copy
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Final

from factflow_engine.errors import ConditionOperatorError
from factflow_engine.native import BUILT_IN_OPERATORS

_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,63}", re.ASCII)


class ConditionOperator(ABC):
    """A question about one field, in Python.

    The engine decodes the field (only it, not the message) and calls `matches` for every message that gets as far as
    this part of the condition: make it quick, it runs on the event loop's thread. The contract:

    * It is *pure*: the same value gives the same answer. How often it is called for a message is not said.
    * It is *total*: it answers for a value of any type, False for one that it is not made for. If it raises, the
      message fails with a `ConditionOperatorError`, as if its stage had failed.
    * It is never called for a field that is not there: the answer is False without it. For a path with `[*]` it is
      called for one element after the other until it answers True. Under `not` the answer is turned around, so that
      `not` of an operator holds for a missing field.
    * One instance serves every condition, from any thread, for as long as the registry lives.

    Attributes:
        name: What conditions call it: a lower-case letter, then up to 63 lower-case letters, digits and underscores.
        needs_value: True if a condition must have a `value`; if not, an absent one is None.
    """

    name: ClassVar[str]
    needs_value: ClassVar[bool] = True

    def check_literal(self, literal: Any) -> None:  # noqa: B027 - accepting everything is a sound default
        """Refuse a condition's `value` when it is loaded, so that it need not be checked for every message.

        Args:
            literal: The value as the configuration has it.

        Raises:
            ValueError: The operator cannot work with it; the text is shown to the condition's author (E413).
        """

    @abstractmethod
    def matches(self, field_value: Any, literal: Any) -> bool:
        """True if the operator holds.

        Args:
            field_value: The decoded field.
            literal: The condition's `value`, which `check_literal` accepted. It is shared: do not change it.

        Returns:
            True or False, and nothing else: what is merely truthy is an error.
        """


class OperatorRegistry:
    """The operators that conditions may use. Made and filled by whoever owns the engine; there is no global one."""

    __slots__ = ("_operators",)

    def __init__(self) -> None:
        self._operators: dict[str, ConditionOperator] = {}

    def register(self, operator: ConditionOperator) -> ConditionOperator:
        """Add an operator; conditions that are compiled from now on may use it.

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
        """Names of all operators that a condition may use, built-in ones included, sorted."""
        return tuple(sorted((*BUILT_IN_OPERATORS, *self._operators)))

    def custom_names(self) -> list[tuple[str, bool]]:
        """The registered operators, each with whether it needs a value. Called by the compiler."""
        return [(name, operator.needs_value) for name, operator in self._operators.items()]

    def bind(self, name: str, condition: Mapping[str, object]) -> Callable[[object], bool] | str:
        """A function that answers for one condition, or why its value is refused. Called by the compiler."""
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
                raise ConditionOperatorError(name, field, f"raised {type(error).__name__}: {error}") from error
            if isinstance(answer, bool):
                return answer
            raise ConditionOperatorError(name, field, f"must return True or False, returned {answer!r}")

        return holds


def _written(field: object) -> str:
    """A field's path as one text."""
    if isinstance(field, (list, tuple)):
        return "/".join(str(part) for part in field)
    return str(field)
