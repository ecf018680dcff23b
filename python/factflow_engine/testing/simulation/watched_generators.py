"""Async generators of simulated processes: those of a dead one are dropped without a step, not ended by trio.

Kept separate from `processes` because Python hands generators to two functions of the thread, whichever process they
belong to.
"""

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import AsyncGeneratorType
from typing import Any

import trio


class WatchedGenerators:
    """Async generators that are begun in one run of trio.

    Args:
        begun: Called with each that a task begins.
    """

    def __init__(self, begun: Callable[[AsyncGeneratorType[Any, Any]], None]) -> None:
        self._begun = begun
        self._dead: set[int] = set()  # identities of those that the dead had begun, until they are dropped
        self._begun_by_the_dead: list[AsyncGeneratorType[Any, Any]] | None = None

    def watch(self) -> None:
        """Watch all that are begun, to the end of trio's run, which then restores the thread's functions."""
        first, last = sys.get_asyncgen_hooks()

        def begin(generator: Any) -> None:
            self._dead.discard(id(generator))  # of one that had ended by itself
            if self._begun_by_the_dead is not None:
                self._dead.add(id(generator))
                self._begun_by_the_dead.append(generator)
                return
            if trio.lowlevel.in_trio_task():
                self._begun(generator)
            if first is not None:
                first(generator)

        def drop(generator: Any) -> None:
            if id(generator) in self._dead:
                self._dead.discard(id(generator))
            elif last is not None:
                last(generator)

        sys.set_asyncgen_hooks(begin, drop)

    def leave_to_the_dead(
        self, generators: Iterable[AsyncGeneratorType[Any, Any]]
    ) -> list[AsyncGeneratorType[Any, Any]]:
        """Return those that have not ended: nobody will end them."""
        left = [generator for generator in generators if generator.ag_frame is not None]
        self._dead.update(map(id, left))
        return left

    @contextmanager
    def of_the_dead(self) -> Iterator[list[AsyncGeneratorType[Any, Any]]]:
        """Take those that are begun in the block for a dead process's; the block gets a list of them, as it grows."""
        self._begun_by_the_dead = []
        try:
            yield self._begun_by_the_dead
        finally:
            self._begun_by_the_dead = None
