"""Search for an example: branch over what conditions leave open, then build the message place by place."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import count, islice
from typing import Any, Final

from factflow_engine.conditions.examples.atoms import Atom, Every, Formula, Literal, formula
from factflow_engine.conditions.examples.choices import PLAINEST, Choices
from factflow_engine.conditions.examples.scalars import KINDS, Example, length_bounds, may_hold, scalar
from factflow_engine.conditions.operators import OperatorRegistry
from factflow_engine.errors import UndecidedError

MAX_TRIES: Final = 5_000
"""Places that a search builds before it gives up."""
MAX_LENGTH: Final = 300
"""Greatest length of a list or a map that is tried."""

_MISSING: Final = Example(None)
"""Example of a place that is not there."""


def find_example(
    holding: Sequence[Mapping[str, Any]],
    failing: Sequence[Mapping[str, Any]] = (),
    *,
    operators: OperatorRegistry | None = None,
    choices: Choices = PLAINEST,
) -> Example | None:
    """Return a message for which some conditions hold, and others do not.

    Args:
        holding: Conditions that hold for it; each compiles.
        failing: Conditions that do not.
        operators: Operators besides the built-in ones.
        choices: What decides between several examples; by default the plainest is built.

    Returns:
        The message; None if there is none, which is then proved: it is not a matter of how long was searched.

    Raises:
        UndecidedError: No example was found, and no proof.
    """
    formulas = [
        *(formula(condition, operators) for condition in holding),
        *(formula(condition, operators, is_wanted=False) for condition in failing),
    ]
    search = _Search(choices)
    # A message is nearly always a map: another value is an example only where no map is.
    for kinds in (("map",), ("list", *KINDS)):
        found = search.example(formulas, kinds)
        if found is not None:
            return found
    if search.doubt is not None:
        raise UndecidedError(search.doubt)
    return None


class _Search:
    """One search; counts what it builds, and remembers the first reason why a proof would be none."""

    __slots__ = ("_choices", "_left", "doubt")

    def __init__(self, choices: Choices) -> None:
        self._choices = choices
        self._left = MAX_TRIES
        self.doubt: str | None = None

    def example(self, formulas: Sequence[Formula], kinds: Sequence[str], *, may_miss: bool = False) -> Example | None:
        """Return a value of one of the kinds that meets all formulas; None if there is none, or in doubt."""
        for literals in self._branches(list(formulas), []):
            found = self._placed(literals, kinds, may_miss=may_miss)
            if found is not None or self._left == 0:
                return found
        return None

    def _branches(self, agenda: list[Formula], literals: list[Literal]) -> Iterator[list[Literal]]:
        """Give the ways to meet the formulas, each as literals that are all to be met."""
        agenda, literals = [*agenda], [*literals]
        while agenda:
            part = agenda.pop(0)
            if isinstance(part, Literal):
                literals.append(part)
            elif isinstance(part, Every):
                agenda = [*part.parts, *agenda]
            else:
                for option in self._choices.order(part.parts):
                    yield from self._branches([option, *agenda], literals)
                return
        yield literals

    def _doubted(self, reason: str) -> None:
        self.doubt = self.doubt or reason

    def _placed(self, literals: Sequence[Literal], kinds: Sequence[str], *, may_miss: bool) -> Example | None:
        if self._left == 0:
            self._doubted(f"{MAX_TRIES:,} places were tried, and there are more")
            return None
        self._left -= 1
        if may_miss and not any(literal.is_wanted for literal in literals):
            kinds = ("missing", *kinds)
        for kind in self._choices.order(kinds):
            found = self._of_kind(kind, literals)
            if found is not None:
                return found
        return None

    def _of_kind(self, kind: str, literals: Sequence[Literal]) -> Example | None:
        if kind == "missing":
            return _MISSING
        here = [literal for literal in literals if not literal.atom.steps]
        below = [literal for literal in literals if literal.atom.steps]
        if not all(may_hold(literal, kind) for literal in here if literal.is_wanted):
            return None
        if kind in {"map", "list"}:
            given = [literal.atom for literal in here if literal.is_wanted and literal.atom.operator == "eq"]
            if given:
                value = given[0].value()
                is_kind = isinstance(value, dict if kind == "map" else list)
                return Example(value) if is_kind and all(literal.is_met(value) for literal in literals) else None
            return self._map(here, below) if kind == "map" else self._list(here, below)
        if any(literal.is_wanted for literal in below):
            return None
        try:
            return scalar(kind, here, self._choices)
        except UndecidedError as error:
            self._doubted(str(error))
            return None

    def _map(self, here: Sequence[Literal], below: Sequence[Literal]) -> Example | None:
        children: dict[str, list[Formula]] = {}
        for literal in below:
            key = literal.atom.steps[0][0]
            if key is not None:
                children.setdefault(key, []).append(literal.below())
            elif literal.is_wanted:
                return None
        value: dict[str, Any] = {}
        for key, formulas in children.items():
            child = self.example(formulas, _ANY, may_miss=True)
            if child is None:
                return None
            if child is not _MISSING:
                value[key] = child.value
        names = _names(children)
        for length in self._lengths(here, len(value), 0):
            value |= dict.fromkeys(islice(names, length - len(value)))
            if all(literal.is_met(value) for literal in here):
                return Example(value)
        self._doubt_what_differs(here)
        return None

    def _lengths(self, here: Sequence[Literal], shortest: int, more: int) -> list[int]:
        """Return the lengths to be tried, from `shortest` on: no literal tells others from these, nor `more` elements."""
        marks = {length for literal in here for length in _marks(literal)}
        beside = {mark + step for mark in marks for step in (-1, 0, 1)}
        lengths = sorted(length for length in {*range(shortest, shortest + more + 2), *beside} if length >= shortest)
        if lengths[-1] > MAX_LENGTH:
            self._doubted(f"lists and maps of more than {MAX_LENGTH} elements are not tried")
        return [length for length in lengths if length <= MAX_LENGTH]

    def _doubt_what_differs(self, here: Sequence[Literal]) -> None:
        """Note that another child might have made the whole another one than a literal, or than an operator refuses."""
        if any(literal.atom.operator not in {"length", "type_is", "exists", "is_null", None} for literal in here):
            self._doubted("not every map and list that differs from a literal is tried")

    def _list(self, here: Sequence[Literal], below: Sequence[Literal]) -> Example | None:
        wanted, refused = _of_elements(here, below)
        at = [literal for literal in below if literal.atom.steps[0][1] is not None]
        if any(
            literal.is_wanted and literal.atom.steps[0] not in _EACH and literal.atom.steps[0][1] is None
            for literal in below
        ):
            return None
        shortest = max([0, *(_reach(literal) for literal in at if literal.is_wanted)])
        tried = False
        for length in self._lengths(here, shortest, len(wanted)):
            places: list[list[Formula]] = [
                [*refused, *(literal.below() for literal in at if _index(literal, length) == place)]
                for place in range(length)
            ]
            # A length that will not do is nearly always known before elements are searched.
            if not all(literal.is_met([None] * length) for literal in here if literal.atom.operator == "length"):
                continue
            tried = True
            for value in self._filled(places, wanted):
                if all(literal.is_met(value) for literal in here):
                    return Example(value)
                self._doubt_what_differs(here)
        if tried or not any(literal.atom.operator == "length" for literal in here):
            self._doubt_what_differs([literal for literal in here if literal.atom.operator != "contains"])
        return None

    def _filled(self, places: list[list[Formula]], wanted: Sequence[Formula]) -> Iterator[list[Any]]:
        """Give the lists in which some element meets each wanted formula: one way, as far as elements can be built."""
        if wanted:
            first, rest = wanted[0], wanted[1:]
            # Of places of which the same is asked, the first stands for all.
            alike = {tuple(map(id, formulas)): place for place, formulas in reversed([*enumerate(places)])}
            for place in self._choices.order(sorted(alike.values())):
                tried = [[*formulas, first] if place == at else formulas for at, formulas in enumerate(places)]
                if self.example(tried[place], _ANY) is not None:
                    yield from self._filled(tried, rest)
            return
        built: dict[tuple[int, ...], Example | None] = {}
        for formulas in places:
            asked = tuple(map(id, formulas))
            if asked not in built:
                built[asked] = self.example(formulas, _ANY)
        found = [element.value for formulas in places if (element := built[tuple(map(id, formulas))]) is not None]
        if len(found) == len(places):
            yield found


_ANY: Final = (*KINDS, "map", "list")
_EACH: Final = {(None, None)}


def _of_elements(here: Sequence[Literal], below: Sequence[Literal]) -> tuple[list[Formula], list[Formula]]:
    """Return what some element must meet, one formula each, and what all must."""
    wanted: list[Formula] = []
    refused: list[Formula] = []
    for literal in (*here, *below):
        atom = literal.atom
        element: Formula
        if atom.steps and atom.steps[0] in _EACH:
            element = literal.below()
        elif not atom.steps and atom.operator is None:
            element = formula(atom.literal, atom.operators, is_wanted=literal.is_wanted)
        elif not atom.steps and atom.operator == "contains":
            element = Literal(Atom((), "eq", atom.literal, atom.operators), literal.is_wanted)
        else:
            continue
        (wanted if literal.is_wanted else refused).append(element)
    return wanted, refused


def _index(literal: Literal, length: int) -> int:
    """Return the place of a literal's element in a list of so many; -1 if it has none."""
    index = literal.atom.steps[0][1]
    assert index is not None
    place = index if index >= 0 else length + index
    return place if 0 <= place < length else -1


def _reach(literal: Literal) -> int:
    """Return how long a list must be to have a literal's element."""
    index = literal.atom.steps[0][1]
    assert index is not None
    return index + 1 if index >= 0 else -index


def _marks(literal: Literal) -> Iterator[int]:
    """Give the lengths at which the answer of a literal may change."""
    if literal.atom.operator == "length":
        lowest, highest = length_bounds(literal.atom.literal)
        yield from (lowest, lowest if highest is None else highest)
    elif literal.atom.operator == "eq" and isinstance(literal.atom.literal, (dict, list)):
        yield len(literal.atom.literal)


def _names(taken: Mapping[str, object]) -> Iterator[str]:
    """Give names that no path reads."""
    return (name for name in map("other{}".format, count()) if name not in taken)
