"""Inputs of a simulated run: messages that its outside publishes, each at its time.

Kept separate from the run because tests, strategies and printed lines make them, too.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any

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
        """Check the time.

        Raises:
            InputError: It is not one.
        """
        if not (math.isfinite(self.at) and self.at >= 0):
            raise InputError(f"Input.at: expected seconds, 0 or more, got {self.at!r}")

    def __repr__(self) -> str:
        shown = [repr(self.route), repr(self.payload)]
        shown += [
            f"{field.name}={getattr(self, field.name)!r}"
            for field in fields(self)[2:]
            if getattr(self, field.name) != field.default
        ]
        return f"Input({', '.join(shown)})"


def inputs_of(given: Mapping[str, Iterable[Any]] | Iterable[Input | tuple[Any, ...]]) -> tuple[Input, ...]:
    """Return inputs in the order in which they are published.

    Args:
        given: Inputs, tuples of their arguments (`("parse", {"n": 1})`), or payloads by route.

    Raises:
        InputError: Something else is among them.
    """
    if isinstance(given, Mapping):
        by_route: Mapping[Any, Iterable[Any]] = given
        found = [Input(route, payload) for route, payloads in by_route.items() for payload in payloads]
    else:
        found = [_input_of(each) for each in given]
    return tuple(sorted(found, key=lambda each: each.at))


def _input_of(given: object) -> Input:
    if isinstance(given, Input):
        return given
    arguments: Any = given
    if type(given) is tuple and 2 <= len(arguments) <= len(fields(Input)):
        return Input(*arguments)
    raise InputError(f"inputs: expected Input(route, payload), or a tuple (route, payload), got {given!r}")
