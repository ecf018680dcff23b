"""Answer to one question about a configuration."""

from dataclasses import dataclass
from enum import StrEnum

from factflow_engine.conditions.examples import Example


class Status(StrEnum):
    """Status of a property."""

    HOLDS = "holds"
    """Proved: for every message."""
    FAILS = "fails"
    """Refuted."""
    OPEN = "open"
    """Searched without a proof or an example."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Answer to whether one property holds at one place.

    Attributes:
        name: The property, a key of `PROPERTIES`.
        path: Its place, as `routes.parse.outbound[0]`.
        status: Whether it holds.
        message: What was found, as one sentence.
        example: The message that shows it, if a message does. It may hold values of the environment that conditions have.
    """

    name: str
    path: str
    status: Status
    message: str
    example: Example | None = None

    def __str__(self) -> str:
        shown = "" if self.example is None else f": {self.example.value!r}"
        return f"{self.path}: {self.status} {self.name}: {self.message}{shown}"
