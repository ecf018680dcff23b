"""Choices between examples: the plainest, or those that a generator of test data draws."""

from collections.abc import Sequence
from typing import Final, Protocol, TypeVar

T = TypeVar("T")


class Choices(Protocol):
    """Decisions between several ways to an example."""

    def order(self, options: Sequence[T]) -> Sequence[T]:
        """Return the same options in the order in which they are to be tried."""
        ...

    def steps(self) -> bytes:
        """Return the choices in one text, each the step to one of its next characters (`TextExamples.chosen`)."""
        ...


class Plainest:
    """Choices of the plainest example: the first option; the shortest text, but rather one letter than none."""

    def order(self, options: Sequence[T]) -> Sequence[T]:
        """See `Choices`."""
        return options

    def steps(self) -> bytes:
        """See `Choices`."""
        return b"\0"


PLAINEST: Final = Plainest()
