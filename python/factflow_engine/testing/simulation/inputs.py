"""Inputs of a simulated run: messages that its outside publishes, each at its time.

Kept separate from the run because tests, strategies and printed lines make them, too.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from factflow_engine.testing.simulation.values import MOST_SECONDS, is_time
from factflow_protocols import FactflowError


class InputError(FactflowError, ValueError):
    """An input that cannot be: the text says what was expected and what was given."""


@dataclass(frozen=True, slots=True)
class Input:
    """A message from outside.

    Attributes:
        route: Id of the route that it is published to.
        payload: Any message value.
        key: What the message belongs to; see `PipelineOrchestrator.publish`.
        headers: Its headers.
        at: Virtual seconds from the beginning of the run at which it is published.
    """

    route: str
    payload: Any
    key: str | None = None
    headers: Mapping[str, Any] | None = None
    at: float = 0.0

    def __post_init__(self) -> None:
        """Check what needs no configuration.

        Raises:
            InputError: A field has an impossible value.
        """
        if not isinstance(self.route, str):
            raise InputError(f"Input.route: expected the id of a route, got {self.route!r}")
        if self.key is not None and not isinstance(self.key, str):
            raise InputError(f"Input.key: expected a text or None, got {self.key!r}; write key=str(...)")
        if self.headers is not None and not isinstance(self.headers, Mapping):
            raise InputError(f"Input.headers: expected a mapping or None, got {self.headers!r}")
        if not is_time(self.at):
            raise InputError(f"Input.at: expected seconds, 0 or more, got {self.at!r}")
        if self.at > MOST_SECONDS:
            raise InputError(f"Input.at: expected at most {MOST_SECONDS:g} seconds, 30 years, got {self.at!r}")

    def __repr__(self) -> str:
        shown = [repr(self.route), _literal(self.payload)]
        shown += [
            f"{field.name}={_literal(getattr(self, field.name))}"
            for field in fields(self)[2:]
            if getattr(self, field.name) != field.default
        ]
        return f"Input({', '.join(shown)})"


def _literal(value: Any) -> str:
    """Return Python that makes a value again; the `repr` of some floats does not, and mappings become dicts."""
    if isinstance(value, float) and not math.isfinite(value):
        return f"float('{value}')"
    if isinstance(value, Mapping):
        inner: Mapping[Any, Any] = value
        return "{" + ", ".join(f"{_literal(name)}: {_literal(each)}" for name, each in inner.items()) + "}"
    if type(value) is list:
        elements: list[Any] = value
        return f"[{', '.join(map(_literal, elements))}]"
    return repr(value)


def inputs_of(given: Mapping[str, Iterable[Any]] | Iterable[Input | tuple[Any, ...]]) -> tuple[Input, ...]:
    """Return inputs in the order in which they are published.

    Args:
        given: Inputs, tuples of their arguments (`("parse", {"n": 1})`), or payloads by route.

    Raises:
        InputError: Something else is among them.
    """
    anything: Any = given
    if isinstance(anything, Mapping):
        by_route: Mapping[Any, Any] = anything
        for route, payloads in by_route.items():
            if isinstance(payloads, (str, bytes, Mapping)) or not isinstance(payloads, Iterable):
                raise InputError(f"inputs[{route!r}]: expected a list of payloads, got {payloads!r}; write [...]")
        found = [Input(route, payload) for route, payloads in by_route.items() for payload in payloads]
    elif isinstance(anything, Iterable) and not isinstance(anything, (str, bytes)):
        found = [_input_of(each) for each in anything]
    else:
        raise InputError(f"inputs: expected a list of inputs, or payloads by route, got {given!r}")
    return in_order(found)


def in_order(inputs: Iterable[Input]) -> tuple[Input, ...]:
    """Return inputs by their time, those of one time as they were: a run that is given them publishes them so."""
    return tuple(sorted(inputs, key=lambda each: each.at))


def _input_of(given: object) -> Input:
    if isinstance(given, Input):
        return given
    arguments: Any = given
    if type(given) is tuple and 2 <= len(arguments) <= len(fields(Input)):
        return Input(*arguments)
    raise InputError(f"inputs: expected Input(route, payload), or a tuple (route, payload), got {given!r}")
