"""Looks of a simulated run into the execution of one process: rows of lineage, and events of breakers.

Kept separate from the run, which the executions must not know.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from factflow_engine.resilience.circuit_events import CircuitEvent
from factflow_engine.resilience.circuit_state import CircuitState
from factflow_engine.testing.simulation.trace import TraceLog


class Nowhere:
    """Store of lineage for configurations that record some; the trace has the rows."""

    async def write(self, entries: Sequence[Any], outcomes: Sequence[Any]) -> None:
        """Drop the rows."""

    async def close(self) -> None:
        """Do nothing."""


class ProcessHooks:
    """Hooks of one process's execution.

    Args:
        process: Number of the process.
        trace: The run's trace.
        counted: The run's counts; openings of breakers are added.
        hashes_payloads: See `Hooks`.
    """

    def __init__(self, process: int, trace: TraceLog, counted: Counter[str], *, hashes_payloads: bool) -> None:
        self._process = process
        self._trace = trace
        self._counted = counted
        self.hashes_payloads = hashes_payloads

    def breaker(self, name: str, subscribe: Callable[[Callable[[Any], None]], object]) -> None:
        """See `Hooks`."""
        route, _, stage = name.partition("/")
        subscribe(partial(self._breaker_changed, route, stage))

    def rows(self, execution_id: str, drain: Any) -> None:
        """See `Hooks`."""
        del execution_id
        self._trace.follow(self._process, drain)

    def _breaker_changed(self, route: str, stage: str, event: CircuitEvent) -> None:
        if event.to_state is None:
            return
        if event.to_state is CircuitState.OPEN:
            self._counted["breaker_openings"] += 1
        self._trace.note(
            "~ breaker", f"{event.from_state} -> {event.to_state}", process=self._process, route=route, stage=stage
        )
