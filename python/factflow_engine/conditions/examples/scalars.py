"""Examples of scalars: numbers, texts, bytes, timestamps and the rest.

Each answers with a value, with None where none can be, or with an `UndecidedError`. Between two neighbouring literals
no operator tells numbers apart but by their type, so that one whole number and one with a fraction are tried of each
gap; texts and bytes are a matter of automata.
"""

import ipaddress
import math
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import Any, Final

from factflow_engine.conditions.examples.atoms import Literal
from factflow_engine.conditions.examples.choices import Choices
from factflow_engine.errors import UndecidedError
from factflow_engine.native import BUILT_IN_OPERATORS, TextExamples
from factflow_protocols import Ext, Timestamp

_LOWEST: Final = -(2**63)
_HIGHEST: Final = 2**64 - 1
_FAR: Final = Fraction(sys.float_info.max)
"""Number beyond which there is no float."""
_SECOND: Final = 1_000_000_000
_LONGEST: Final = 1_000
"""Length to which texts of any greater length are bounded, which is more than any other demand needs."""
_ORDERED: Final = {
    "eq": (False, True, False),
    "gt": (False, False, True),
    "gte": (False, True, True),
    "lt": (True, False, False),
    "lte": (True, True, False),
}


@dataclass(frozen=True, slots=True, eq=False)
class Example:
    """A value that meets what was asked; a class of its own, since None is such a value, too."""

    value: Any


def scalar(kind: str, literals: Sequence[Literal], choices: Choices) -> Example | None:
    """Return an example of one kind (a key of `KINDS`) that meets all literals, whose paths are empty; None if none can."""
    found = KINDS[kind](literals, choices)
    if found is None and any(literal.atom.operator not in _KNOWN for literal in literals):
        raise UndecidedError("an operator that is not built in may hold for values that were not tried")
    return found


_KNOWN: Final = {*BUILT_IN_OPERATORS, None}


def _first(values: Iterable[object], literals: Sequence[Literal], choices: Choices) -> Example | None:
    for value in choices.order(list(values)):
        if all(literal.is_met(value) for literal in literals):
            return Example(value)
    return None


def _compared(literals: Sequence[Literal], kind: type | tuple[type, ...]) -> list[Any]:
    """Return what the value is compared with, of one type."""
    given: list[Any] = []
    for literal in literals:
        value = literal.atom.value()
        given += value if literal.atom.operator == "between" else [value]
    return [value for value in given if isinstance(value, kind) and not isinstance(value, bool)]


def _null(literals: Sequence[Literal], choices: Choices) -> Example | None:
    return _first([None], literals, choices)


def _bool(literals: Sequence[Literal], choices: Choices) -> Example | None:
    return _first([True, False], literals, choices)


def _number(literals: Sequence[Literal], choices: Choices) -> Example | None:
    given = _compared(literals, (int, float))
    points = sorted(
        {Fraction(number) for number in given if not (isinstance(number, float) and not math.isfinite(number))}
    )
    away = int.from_bytes(choices.steps()[:3])
    beside = [
        number for point in points or [Fraction(0)] for number in (math.floor(point) + away, math.ceil(point) - away)
    ]
    numbers = dict.fromkeys(number for number in (*beside, *_numbers(points)) if _is_carried(number))
    if any(literal.atom.operator not in _KNOWN for literal in literals):
        numbers |= dict.fromkeys(math.floor(point) + step for point in points for step in range(-10, 11))
    return _first(numbers, literals, choices) or _first([0.0, 0.5, math.nan], literals, choices)


def _is_carried(number: float) -> bool:
    """True if a message can hold the number."""
    return not isinstance(number, int) or _LOWEST <= number <= _HIGHEST


def _numbers(points: Sequence[Fraction]) -> Iterator[int | float]:
    """Give numbers of both types at each point and in each gap."""
    whole = [number for point in points for number in (math.floor(point), math.floor(point) + 1, math.ceil(point) - 1)]
    yield from sorted({0, 1, *whole, _LOWEST, _HIGHEST}, key=lambda number: (abs(number), number < 0))
    for point in points:
        yield from _floats_at(point)
    yield from (float((low + high) / 2) for low, high in pairwise(points) if abs(low + high) < _FAR)
    for point in points:
        yield from _floats_beside(point)
    yield from (0.5, -math.inf, math.inf, -1.5e308, 1.5e308)


def _floats_at(point: Fraction) -> Iterator[float]:
    """Give the float at a point, and some at half a step from it."""
    if abs(point) < _FAR:
        yield float(point)
        yield float(point) + 0.5
        yield float(point) - 0.5


def _floats_beside(point: Fraction) -> Iterator[float]:
    """Give the neighbours of a point on both sides."""
    if abs(point) < _FAR:
        yield math.nextafter(float(point), math.inf)
        yield math.nextafter(float(point), -math.inf)


def _timestamp(literals: Sequence[Literal], choices: Choices) -> Example | None:
    points = [stamp.seconds * _SECOND + stamp.nanoseconds for stamp in _compared(literals, Timestamp)]
    around = {0, *(point + step for point in points for step in (-1, 0, 1))}
    values = [Timestamp(*divmod(point, _SECOND)) for point in sorted(around, key=abs)]
    return _first([value for value in values if _LOWEST <= value.seconds < 2**63], literals, choices)


def _ext(literals: Sequence[Literal], choices: Choices) -> Example | None:
    given = [value for value in _compared(literals, Ext) if not isinstance(value, Timestamp)]
    return _first([Ext(1, b""), Ext(1, b"1"), *given], literals, choices)


def _text(literals: Sequence[Literal], choices: Choices) -> Example | None:
    networks = [literal for literal in literals if literal.atom.operator == "cidr"]
    if networks:
        found = _first(_addresses(networks), literals, choices)
        if found is not None:
            return found
        if any(literal.is_wanted for literal in networks):
            if all(literal.atom.operator in _ADDRESS_ALONE for literal in literals):
                return None
            raise UndecidedError("which addresses of a network meet other demands as well is not searched")
    return _from_automata(literals, choices, str)


_ADDRESS_ALONE: Final = {"cidr", "exists", "is_null", "type_is"}


def _bytes(literals: Sequence[Literal], choices: Choices) -> Example | None:
    return _from_automata(literals, choices, bytes)


def _from_automata(literals: Sequence[Literal], choices: Choices, kind: type[str] | type[bytes]) -> Example | None:
    demands: list[tuple[str, Any, bool]] = []
    others: list[Literal] = []
    for literal in literals:
        written = _demands(literal, kind)
        if written is not None:
            demands += written
        elif literal.atom.operator in _KNOWN and literal.atom.operator != "cidr":
            # The answer is that for every value of the kind.
            if not literal.is_met(kind()):
                return None
        else:
            others.append(literal)
    examples = _examples(demands, is_text=kind is str)
    for steps in dict.fromkeys((choices.steps(), b"", b"\x10\x20", b"\x60\x40\x20", b"\x90")):
        found = examples.chosen(steps)
        if found is None:
            if _is_long(literals):
                raise UndecidedError(f"texts of more than {_LONGEST:,} characters are not tried")
            return None
        value = found.decode() if kind is str else found
        if all(literal.is_met(value) for literal in others):
            return Example(value)
    raise UndecidedError("no text that was tried meets all demands")


def _is_long(literals: Sequence[Literal]) -> bool:
    """True if some literal is so long that the bound on lengths may have left it no room."""
    return any(
        isinstance(value := literal.atom.value(), (str, bytes)) and len(value) >= _LONGEST for literal in literals
    )


def _examples(demands: list[tuple[str, Any, bool]], *, is_text: bool) -> TextExamples:
    try:
        return TextExamples(demands, is_text=is_text)
    except ValueError as error:
        raise UndecidedError(str(error)) from None


def _demands(literal: Literal, kind: type[str] | type[bytes]) -> list[tuple[str, Any, bool]] | None:
    """Return a literal as demands on a text or bytes; None if it is no matter of automata."""
    operator, value, is_wanted = literal.atom.operator, literal.atom.value(), literal.is_wanted
    if operator in _ORDERED and isinstance(value, kind):
        return [("ordered", (_encoded(value), *_ORDERED[operator]), is_wanted)]
    if operator == "between" and isinstance(value[0], kind):
        lowest, highest = map(_encoded, value)
        if is_wanted:
            return [("ordered", (lowest, *_ORDERED["gte"]), True), ("ordered", (highest, *_ORDERED["lte"]), True)]
        raise UndecidedError("a range that is refused for one of several elements is not searched")
    if operator in {"starts_with", "ends_with"} and kind is str:
        return [(operator, value.encode(), is_wanted)]
    if operator == "matches" and kind is str:
        return [(operator, value, is_wanted)]
    if operator == "contains" and isinstance(value, kind):
        return [(operator, _encoded(value), is_wanted)]
    if operator == "length":
        return _lengths(value, is_wanted=is_wanted)
    return None


def _lengths(value: Any, *, is_wanted: bool) -> list[tuple[str, Any, bool]]:
    lowest, highest = length_bounds(value)
    if highest is not None and highest < lowest:  # no length at all
        return [("length", (0, None), not is_wanted)]
    if highest is not None and highest > _LONGEST and is_wanted and lowest <= _LONGEST:
        highest = _LONGEST  # a shorter one is as good, if any
    return [("length", (min(lowest, _HIGHEST), None if highest is None else min(highest, _HIGHEST)), is_wanted)]


def length_bounds(value: Any) -> tuple[int, int | None]:
    """Return the least and the greatest length that the value of a `length` allows."""
    bounds = value if isinstance(value, dict) else {"eq": value}
    lowest = max([0, *(bound + (name == "gt") for name, bound in bounds.items() if name in {"gt", "gte", "eq"})])
    above = [bound - (name == "lt") for name, bound in bounds.items() if name in {"lt", "lte", "eq"}]
    return lowest, min(above) if above else None


def _encoded(value: str | bytes) -> bytes:
    return value.encode() if isinstance(value, str) else value


def _addresses(literals: Sequence[Literal]) -> Iterator[str]:
    """Give the first and last address of each network, and those beside it."""
    for literal in literals:
        network = ipaddress.ip_network(literal.atom.literal)
        first, last = int(network.network_address), int(network.broadcast_address)
        for number in (first, last, first + 1, first - 1, last + 1):
            if 0 <= number < 2**network.max_prefixlen:
                yield str(type(network.network_address)(number))


def may_hold(literal: Literal, kind: str) -> bool:
    """False if a literal that is wanted cannot hold for any value of a kind: a key of `KINDS`, "map" or "list"."""
    operator = literal.atom.operator
    if operator in _KINDS_OF:
        return kind in _KINDS_OF[operator]
    if operator == "contains" and kind == "list":
        return True
    if operator in _ORDERED or operator in {"between", "contains"}:
        value = literal.atom.value()
        return kind == _kind_of(value[0] if operator == "between" else value)
    return True


def _kind_of(value: object) -> str:
    for kind, name in _KINDS_OF_TYPES.items():
        if isinstance(value, kind):
            return name
    return "null"


_KINDS_OF: Final[dict[str | None, set[str]]] = {
    None: {"list"},
    "starts_with": {"text"},
    "ends_with": {"text"},
    "matches": {"text"},
    "cidr": {"text"},
    "is_null": {"null"},
    "length": {"text", "bytes", "list", "map"},
}
_KINDS_OF_TYPES: Final[dict[type, str]] = {
    bool: "bool",
    int: "number",
    float: "number",
    str: "text",
    bytes: "bytes",
    Timestamp: "timestamp",
    Ext: "ext",
    list: "list",
    dict: "map",
}


KINDS: Final[dict[str, Callable[[Sequence[Literal], Choices], Example | None]]] = {
    "text": _text,
    "number": _number,
    "bool": _bool,
    "null": _null,
    "timestamp": _timestamp,
    "bytes": _bytes,
    "ext": _ext,
}
"""The search for an example of each kind of scalar, the plainest first."""
