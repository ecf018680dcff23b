"""Histories of what happens to a queue provider, as data: published, received, settled, left, died, one step after the other.

A step names consumers, queues and messages by small numbers, and does nothing where it does not apply, so that any
sequence of steps is a history, and a history can be made smaller step by step. Kept separate from `comparison`, which plays
them, because they are drawn, printed and stored elsewhere.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Final

from factflow_engine.seams import Randomness
from factflow_engine.testing.virtual_time import SimulatedRandomness

QUEUES: Final = ("/queue/compared", "/queue/onward", "/topic/compared")
"""Queues of a history, by number."""

TOPIC: Final = 2
"""Number of the topic."""

CONSUMERS: Final[tuple[tuple[int, int], ...]] = ((0, 0), (1, 0), (1, 1), (0, 2))
"""Consumers of a history, by number: the process and the queue of each."""


class Fate(Enum):
    """End of a delivery."""

    ACK = "ack"
    NACK = "nack"
    """Given back at once, with an attempt spent."""
    LATER = "later"
    """Given back after a while, with an attempt spent."""
    INTERRUPTED = "interrupted"
    """Given back at once, with no attempt spent."""

    def __repr__(self) -> str:
        """Return Python that makes it again."""
        return str(self)


@dataclass(frozen=True, slots=True)
class Publish:
    """A batch of messages is published, without waiting for the answer if the queue is full."""

    queue: int
    numbers: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Receive:
    """A consumer receives at most so many messages; it stops waiting soon if there are none."""

    consumer: int
    limit: int


@dataclass(frozen=True, slots=True)
class Glimpse:
    """A consumer's `receive` is cancelled as it begins; a message that it gets all the same is given back."""

    consumer: int


@dataclass(frozen=True, slots=True)
class Settle:
    """A consumer settles some of its deliveries, each by its place among those."""

    consumer: int
    fates: tuple[tuple[int, Fate], ...]


@dataclass(frozen=True, slots=True)
class SettleAgain:
    """A consumer settles what it has settled before: an acknowledgement, and a nack."""

    consumer: int


@dataclass(frozen=True, slots=True)
class Carry:
    """A consumer publishes messages and acknowledges its first deliveries in one step (`publish_and_settle`)."""

    consumer: int
    acks: int
    publications: tuple[tuple[int, tuple[int, ...]], ...]


@dataclass(frozen=True, slots=True)
class Leave:
    """A consumer leaves, and comes back."""

    consumer: int


@dataclass(frozen=True, slots=True)
class Die:
    """A process dies, and another one takes its place."""

    process: int


@dataclass(frozen=True, slots=True)
class Reopen:
    """All processes stop in an orderly way, and start again."""


@dataclass(frozen=True, slots=True)
class Forget:
    """A queue with one consumer is forgotten by its process: when that leaves, if it is empty then."""

    consumer: int


@dataclass(frozen=True, slots=True)
class Wait:
    """Time passes."""

    ticks: int


Step = Publish | Receive | Glimpse | Settle | SettleAgain | Carry | Leave | Die | Reopen | Forget | Wait
"""One step of a history."""


def random_history(seed: int, steps: int) -> list[Step]:
    """Return a history of so many steps, in which most steps do something."""
    draw = _Draw(SimulatedRandomness(seed))
    return [draw.step() for _ in range(steps)]


class _Draw:
    """Draws of the parts of steps."""

    def __init__(self, randomness: Randomness) -> None:
        self._randomness = randomness

    def step(self) -> Step:
        kinds: list[tuple[int, Callable[[], Step]]] = [
            (6, lambda: Publish(self.below(len(QUEUES)), self.numbers(8))),
            (8, lambda: Receive(self.consumer(), 1 + self.below(8))),
            (7, lambda: Settle(self.consumer(), self.fates())),
            (3, self.carry),
            (1, lambda: Glimpse(self.consumer())),
            (1, lambda: SettleAgain(self.consumer())),
            (1, lambda: Leave(self.consumer())),
            (1, lambda: Die(self.below(2))),
            (1, Reopen),
            (1, lambda: Forget(2 + self.below(2))),
            (2, lambda: Wait(1 + self.below(3))),
        ]
        number = self.below(sum(weight for weight, _ in kinds))
        for weight, make in kinds:
            number -= weight
            if number < 0:
                return make()
        raise AssertionError("the weights do not add up")

    def carry(self) -> Carry:
        publications = tuple((self.below(len(QUEUES)), self.numbers(3)) for _ in range(self.below(3)))
        return Carry(self.consumer(), self.below(4), publications)

    def consumer(self) -> int:
        return self.below(len(CONSUMERS))

    def numbers(self, most: int) -> tuple[int, ...]:
        return tuple(self.below(200) for _ in range(1 + self.below(most)))

    def fates(self) -> tuple[tuple[int, Fate], ...]:
        likely = [Fate.ACK, Fate.ACK, *Fate]
        return tuple((self.below(6), likely[self.below(len(likely))]) for _ in range(1 + self.below(5)))

    def below(self, bound: int) -> int:
        return min(bound - 1, int(self._randomness.uniform(0, bound)))
