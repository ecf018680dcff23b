"""Order in which trio runs tasks that are ready together, as a function of a seed.

Each time that several tasks are ready is a *decision*, numbered from 1. A decision shuffles them, by the seed and its own
number alone; so a run can be repeated with a few of its decisions, the others leaving the tasks in the order of their
creation. Kept separate from the clock, with the only private names of trio that scheduling needs.
"""

import random
from collections.abc import Collection, Iterator, MutableSequence
from contextlib import contextmanager
from typing import Any, Final

import trio

_MASK: Final = (1 << 64) - 1
_GOLDEN: Final = 0x9E3779B97F4A7C15
_OUTSIDE: Final = "testing.simulation.playing"
"""Part of the names of the simulation's own tasks: they come first, and are no decision, whatever a plan makes of them."""


class Schedule(random.Random):
    """Decisions of one run, in the place of trio's own generator.

    Args:
        seed: Seed of the decisions.
        only: Numbers of the decisions that shuffle; None: all.

    Attributes:
        decisions: Number of decisions so far.
    """

    def __init__(self, seed: int, only: Collection[int] | None = None) -> None:
        super().__init__(seed)
        self._key = (seed * _GOLDEN + 1) & _MASK
        self._only = None if only is None else frozenset(only)
        self.decisions = 0

    def shuffle(self, x: MutableSequence[Any]) -> None:
        """Decide the order of tasks that are ready together, in place.

        Fisher and Yates's method, on numbers of Vigna's splitmix64.
        """
        batch = x
        if len(batch) < 2:
            return
        outside = [task for task in batch if _OUTSIDE in task.name]
        if outside:
            batch[:] = [*outside, *(task for task in batch if _OUTSIDE not in task.name)]
        first = len(outside)
        count = len(batch) - first
        if count < 2:
            return
        self.decisions += 1
        if self._only is not None and self.decisions not in self._only:
            return
        state = (self._key ^ self.decisions * _GOLDEN) & _MASK
        for last in range(count - 1, 0, -1):
            state = (state + _GOLDEN) & _MASK
            mixed = ((state ^ state >> 30) * 0xBF58476D1CE4E5B9) & _MASK
            mixed = ((mixed ^ mixed >> 27) * 0x94D049BB133111EB) & _MASK
            place = (mixed ^ mixed >> 31) % (last + 1)
            batch[first + last], batch[first + place] = batch[first + place], batch[first + last]


@contextmanager
def scheduled(schedule: random.Random) -> Iterator[None]:
    """Let a generator decide the order of tasks in the trio run inside the block.

    trio shuffles tasks that are ready together, by a generator of its own. Its hypothesis plug-in seeds that generator
    through the same two names; they are private, and the tests of this module show when they change.
    """
    core = trio._core._run
    deterministic, generator = core._ALLOW_DETERMINISTIC_SCHEDULING, core._r
    core._ALLOW_DETERMINISTIC_SCHEDULING = True  # type: ignore[misc]
    core._r = schedule
    try:
        yield
    finally:
        core._ALLOW_DETERMINISTIC_SCHEDULING = deterministic  # type: ignore[misc]
        core._r = generator
