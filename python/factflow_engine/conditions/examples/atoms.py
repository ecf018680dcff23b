"""Conditions taken apart: formulas over atoms, each a question about one path.

Complements are written out (`neq` is an `eq` that is refused), ranges and lists become several questions, so that the
search knows few operators.
"""

import base64
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from factflow_engine.conditions.compilation import compile_condition
from factflow_engine.conditions.operators import OperatorRegistry
from factflow_engine.native import Condition, path_steps
from factflow_protocols import Timestamp

Step = tuple[str | None, int | None]
"""One step of a path: a key, an index, a key or an index; or neither, for each element."""

_INSTANT: Final = re.compile(r"(.{10}).(.{8})(?:\.(\d+))?(.+)", re.DOTALL)
_EPOCH: Final = datetime.fromisoformat("1970-01-01T00:00:00+00:00")


@dataclass(slots=True, eq=False)
class Atom:
    """A question about what a path leads to: an operator, or whether some element of a list meets a condition.

    Attributes:
        steps: The path.
        operator: The operator; None for `any_element`.
        literal: What it is compared with, as its author wrote it; the element's condition for `any_element`.
        operators: Operators besides the built-in ones.
    """

    steps: tuple[Step, ...]
    operator: str | None
    literal: Any
    operators: OperatorRegistry | None
    _compiled: Condition | None = field(default=None, init=False)

    def below(self) -> "Atom":
        """Return the question from one step further in."""
        return Atom(self.steps[1:], self.operator, self.literal, self.operators)

    def value(self) -> Any:
        """Return what the literal stands for."""
        return plain_value(self.literal)

    def holds(self, value: object) -> bool:
        """True if the engine answers yes for a value."""
        if self._compiled is None:
            self._compiled = compile_condition(self.source(), self.operators)
        return self._compiled.matches_value(value)

    def source(self) -> dict[str, object]:
        """Return the condition that asks the same."""
        path = _written(self.steps)
        if self.operator is None:
            return {"any_element": {"field": path, "condition": self.literal}}
        return {"field": path, "operator": self.operator, "value": self.literal}


@dataclass(frozen=True, slots=True)
class Literal:
    """An atom that is to hold, or not to."""

    atom: Atom
    is_wanted: bool

    def is_met(self, value: object) -> bool:
        """True if a value answers as wanted."""
        return self.atom.holds(value) == self.is_wanted

    def below(self) -> "Literal":
        """Return the same from one step further in."""
        return Literal(self.atom.below(), self.is_wanted)


@dataclass(frozen=True, slots=True)
class Every:
    """All of some formulas."""

    parts: tuple["Formula", ...]


@dataclass(frozen=True, slots=True)
class Some:
    """One of some formulas."""

    parts: tuple["Formula", ...]


Formula = Literal | Every | Some


def formula(condition: Mapping[str, Any], operators: OperatorRegistry | None, *, is_wanted: bool = True) -> Formula:
    """Return the formula of a condition that compiles, or of its complement."""
    if "all_of" in condition or "any_of" in condition:
        is_every = ("all_of" in condition) == is_wanted
        written = condition["all_of" if "all_of" in condition else "any_of"]
        parts = tuple(formula(part, operators, is_wanted=is_wanted) for part in written)
        return Every(parts) if is_every else Some(parts)
    if "not" in condition:
        return formula(condition["not"], operators, is_wanted=not is_wanted)
    if "any_element" in condition:
        asked = condition["any_element"]
        steps = tuple(path_steps(asked["field"]))
        return Literal(Atom(steps, None, asked["condition"], operators), is_wanted)
    steps = tuple(path_steps(condition["field"]))
    return _leaf(steps, condition["operator"], condition.get("value", True), operators, is_wanted=is_wanted)


def _leaf(
    steps: tuple[Step, ...], operator: str, literal: Any, operators: OperatorRegistry | None, *, is_wanted: bool
) -> Formula:
    def atom(operator: str, literal: Any) -> Literal:
        return Literal(Atom(steps, operator, literal, operators), is_wanted)

    def joined(parts: Iterator[Literal], *, is_every: bool) -> Formula:
        found = tuple(parts)
        return Every(found) if is_every == is_wanted else Some(found)

    if operator in {"neq", "not_in"}:
        return _leaf(steps, {"neq": "eq", "not_in": "in"}[operator], literal, operators, is_wanted=not is_wanted)
    if operator in {"exists", "is_null"} and literal is False:
        return _leaf(steps, operator, True, operators, is_wanted=not is_wanted)
    if operator in {"in", "starts_with", "ends_with", "cidr"} and isinstance(literal, list):
        one = "eq" if operator == "in" else operator
        return joined((atom(one, item) for item in literal), is_every=False)
    # Over several elements, one may be above the lowest, and another one below the highest.
    if operator == "between" and (None, None) not in steps:
        return joined(map(atom, ("gte", "lte"), literal), is_every=True)
    return atom(operator, literal)


def plain_value(literal: Any) -> Any:
    """Return what a condition's literal stands for: bytes and timestamps are written as mappings."""
    if isinstance(literal, Mapping):
        if set(literal) == {"$bin"}:
            return base64.b64decode(literal["$bin"])
        if set(literal) == {"$timestamp"}:
            return _instant(literal["$timestamp"])
        return {key: plain_value(item) for key, item in literal.items()}
    if isinstance(literal, list):
        return [plain_value(item) for item in literal]
    return literal


def _instant(text: str) -> Timestamp:
    match = _INSTANT.fullmatch(text)
    assert match is not None, "the condition has compiled"
    date, time, fraction, offset = match.groups()
    since = datetime.fromisoformat(f"{date}T{time}{offset.upper()}") - _EPOCH
    return Timestamp(since.days * 86_400 + since.seconds, int((fraction or "").ljust(9, "0")))


def _written(steps: tuple[Step, ...]) -> str:
    if any(key is not None and index is not None for key, index in steps):  # only a pointer can say so, and all of it
        return "".join("/" + (key or "").replace("~", "~0").replace("/", "~1") for key, _ in steps)
    text = "@"
    for key, index in steps:
        if key is not None:
            quoted = key.replace("\\", "\\\\").replace('"', '\\"')
            text += f'."{quoted}"'
        else:
            text += "[*]" if index is None else f"[{index}]"
    return text
