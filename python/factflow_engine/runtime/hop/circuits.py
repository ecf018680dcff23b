"""Circuit breakers of an execution's stages: release messages that wait for them when they permit calls.

Kept separate from `settlement`, which lets a message wait for a breaker and knows nothing of the breaker's states.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

import trio

from factflow_engine.runtime.hop.route_state import RouteState
from factflow_engine.runtime.hop.settlement import Settlement
from factflow_engine.runtime.hop.timers import Timers
from factflow_engine.runtime.stages.breaker_guard import PERMITTING, BreakerGuard

if TYPE_CHECKING:
    from factflow_engine.resilience import CircuitEvent


class Circuits:
    """Listener of the breakers of these routes' stages, which also sets timers for those that change with time alone.

    Args:
        routes: Routes with waiting messages.
        settlement: Releases messages.
        timers: Timers for when a breaker may have changed.
    """

    def __init__(self, routes: Sequence[RouteState], settlement: Settlement, timers: Timers) -> None:
        self._settlement = settlement
        self._timers = timers
        for route in routes:
            for stage in route.stages:
                if stage.guard is not None:
                    stage.guard.listen_for_trials(partial(settlement.release_circuit, route, most=1))
                    stage.guard.events.subscribe(self._listener(route, stage.guard))

    def _listener(self, route: RouteState, guard: BreakerGuard) -> Callable[[CircuitEvent], None]:
        def heard(event: CircuitEvent) -> None:
            if event.kind == "reset" or event.to_state in PERMITTING:
                self._settlement.release_circuit(route, event.name)
            elif event.to_state is not None and guard.is_timed:
                self._time(route, guard, event.name)

        return heard

    def _time(self, route: RouteState, guard: BreakerGuard, name: str) -> None:
        """Set the timer for the time at which the breaker of this name may change."""

        def ring(_: float) -> None:
            guard.advance(name)
            self._time(route, guard, name)

        self._timers.set(route, name, trio.current_time() + guard.due_seconds(name), ring)
