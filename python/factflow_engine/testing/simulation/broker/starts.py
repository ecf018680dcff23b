"""Starts and ends of executions at a simulated broker: of several processes that start one, the first publishes.

Kept separate from the store of messages because it concerns an execution as a whole; each method is one step.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from factflow_engine.frames import Frame
from factflow_engine.testing.simulation.broker.states import Owners
from factflow_engine.testing.simulation.broker.store import Store, subscription_key
from factflow_protocols import Begun

Read = tuple[str, str]
"""Queue and subscription of a route."""


@dataclass(slots=True)
class _Execution:
    """An execution that was begun.

    Attributes:
        ended_ns: Wall time of its end; None while it is open.
        reads: What its routes have read since it was begun.
    """

    ended_ns: int | None
    reads: list[Read]


class Starts:
    """Starts of all executions; see `ExecutionStarts` for what the methods do."""

    def __init__(self, store: Store, owners: Owners) -> None:
        self._store = store
        self._owners = owners
        self._executions: dict[str, _Execution] = {}

    def begin(
        self,
        execution: str,
        reads: Sequence[Read],
        messages: Sequence[tuple[str, Frame]],
        *,
        asked_ns: int,
        owner: int,
    ) -> Begun:
        """See `ExecutionStarts.begin`."""
        ended, known = self._state(execution, reads)
        unfinished = self._owners.unfinished(execution)
        left = self._depth(known) + unfinished
        if not left and ended is not None and ended > asked_ns:
            return Begun(published=False, left=0)  # it was open when this start was requested
        goes_on = left > 0 or ended is None
        if not goes_on:
            for queue, frame in messages:
                self._store.accept(queue, frame, bounded=False)
        self._executions[execution] = _Execution(None, known)
        # An execution that was never begun may have messages: published before the first process started.
        is_first = not goes_on or (ended == 0 and not unfinished)
        if is_first and owner:
            self._owners.begin(execution, owner)
        return Begun(published=not goes_on, left=left, unfinished=unfinished, is_first=is_first)

    def end(self, execution: str, reads: Sequence[Read], *, failed: bool) -> int:
        """See `ExecutionStarts.end`."""
        ended, known = self._state(execution, reads)
        left = self._depth(known) + self._owners.unfinished(execution)
        if failed and left and not self._depth(known):
            self._owners.forget_idle(execution)
            left = self._owners.unfinished(execution)
        if ended is None and not left:
            self._executions[execution].ended_ns = self._store.wall_ns()
        return left

    def can_resume(self, execution: str, *, asked_ns: int) -> bool:
        """See `ResumableStarts.can_resume`."""
        found = self._executions.get(execution)
        if found is not None and (found.ended_ns is None or found.ended_ns > asked_ns):
            return True
        return bool(self._store.holdings(execution)) or self._owners.unfinished(execution) > 0

    def _state(self, execution: str, reads: Iterable[Read]) -> tuple[int | None, list[Read]]:
        """Return when the execution was closed (0: never begun; None: open), and what its routes read so far."""
        lines = [(queue, subscription_key(queue, subscription)) for queue, subscription in reads]
        found = self._executions.get(execution)
        if found is None:
            return 0, list(dict.fromkeys(lines))
        known = [] if found.ended_ns is not None else found.reads
        return found.ended_ns, list(dict.fromkeys([*lines, *known]))

    def _depth(self, reads: Iterable[Read]) -> int:
        return sum(self._store.depth(queue, subscription) for queue, subscription in reads)
