"""Plainer forms of inputs and faults: fewer parts, smaller numbers, rounder times.

Kept separate from the search for small runs, which only asks whether a form still fails.
"""

from collections.abc import Iterator
from dataclasses import fields, replace
from typing import Any, Final

from factflow_engine.testing.simulation.faults import Fault, FaultPlanError
from factflow_engine.testing.simulation.inputs import Input

_COUNTS: Final = frozenset({"nth", "step", "behind"})
_TIMES: Final = frozenset({"at", "from_seconds", "seconds", "extra_seconds", "restart_after"})


def plainer_inputs(given: Input) -> Iterator[Input]:
    """Yield plainer forms of an input, the plainest first."""
    if given.at:
        yield replace(given, at=0.0)
    if given.headers is not None:
        yield replace(given, headers=None)
    if given.key is not None:
        yield replace(given, key=None)
    for payload in _plainer(given.payload):
        yield replace(given, payload=payload)


def _plainer(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        for name in value:
            yield {other: inner for other, inner in value.items() if other != name}
        for name, inner in value.items():
            for plainer in _plainer(inner):
                yield {**value, name: plainer}
    elif isinstance(value, list):
        for place in range(len(value)):
            yield [*value[:place], *value[place + 1 :]]
    elif isinstance(value, str) and value:
        yield ""
        yield value[: len(value) // 2]
    elif isinstance(value, (int, float)) and not isinstance(value, bool) and value:
        yield 0
        if abs(value) > 1:
            yield int(value / 2)


def plainer_faults(given: Fault) -> Iterator[Fault]:
    """Yield plainer forms of a fault, the plainest first: defaults, smaller counts, rounder times."""
    for field in fields(given):
        value = getattr(given, field.name)
        for plainer in _plainer_field(field.name, value, field.default):
            try:
                yield replace(given, **{field.name: plainer})
            except FaultPlanError:
                continue


def _plainer_field(name: str, value: Any, default: Any) -> Iterator[Any]:
    if name in _COUNTS and isinstance(value, int):
        step = value - 1
        while step:
            yield value - step
            step //= 2
    elif name in {"process", "life"} and value:
        yield 0
    elif name in _TIMES and isinstance(value, float):
        plainest = 0.0 if name == "at" else default
        if plainest is not None and value != plainest:
            yield plainest
        for digits in (0, 1, 3):
            rounded = round(value, digits)
            if len(repr(rounded)) < len(repr(value)):
                yield rounded
