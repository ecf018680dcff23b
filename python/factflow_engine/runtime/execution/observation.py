"""Observation of one execution: snapshots of its counters, circuit breakers, limits and held messages.

Kept separate from `lifecycle` because reading changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from factflow_engine.runtime.execution.lineage import ExecutionLineage
from factflow_engine.runtime.execution.watchdog import Watchdog
from factflow_engine.runtime.hop.blockers import Blockers
from factflow_engine.runtime.hop.loop import Loop
from factflow_engine.runtime.hop.route_state import RouteState
from factflow_engine.runtime.report import Blocker, ExecutionStatistics, ExecutionStatus, RouteStatistics
from factflow_engine.runtime.stages.limits import Limits
from factflow_engine.runtime.transport.base import Transport
from factflow_engine.seams import Clock

if TYPE_CHECKING:
    from factflow_engine.resilience import AdapterCircuitMetrics, LimitStatistics

MOST_HELD: Final = 1_000
"""Most messages that `statistics()` lists: it is called often, and the configuration allows any number to wait."""


class Observation:
    """Snapshots of one execution; after `freeze` the routes' counters stay as they were."""

    def __init__(
        self,
        execution_id: str,
        routes: Mapping[str, RouteState],
        *,
        loop: Loop,
        transport: Transport,
        watchdog: Watchdog,
        blockers: Blockers,
        limits: Limits,
        lineage: ExecutionLineage,
        clock: Clock,
        started_ns: int,
    ) -> None:
        """Prepare.

        Args:
            execution_id: Id of the execution.
            routes: Routes by id, in the configuration's order.
            loop: Loop that carries their messages.
            transport: Transport between the routes and the provider.
            watchdog: Watchdog that reports a lack of progress.
            blockers: Stages that have held trio's loop.
            limits: Concurrency limits of the execution.
            lineage: Recording of what happens to messages, if there is one.
            clock: Clock of the execution.
            started_ns: Time at which its start began, by that clock.
        """
        self._id = execution_id
        self._states = routes
        self._loop = loop
        self._transport = transport
        self._watchdog = watchdog
        self._blockers = blockers
        self._limits = limits
        self._lineage = lineage
        self._clock = clock
        self._started_ns = started_ns
        self._last_routes: Mapping[str, RouteStatistics] = {}

    def freeze(self) -> None:
        """Keep the routes' present counters: their messages are about to be given back."""
        self._last_routes = self._now()

    def routes(self) -> Mapping[str, RouteStatistics]:
        """Return the routes' counters: the present ones, or those of `freeze`."""
        return self._last_routes or self._now()

    def elapsed_seconds(self) -> float:
        """Return the time since the start began."""
        return (self._clock.monotonic_ns() - self._started_ns) / 1e9

    def statistics(self, status: ExecutionStatus, *, details: bool) -> ExecutionStatistics:
        """Return a snapshot of all state; without `details`, only of counters and waits."""
        return ExecutionStatistics(
            execution_id=self._id,
            status=status,
            elapsed_seconds=self.elapsed_seconds(),
            routes=self.routes(),
            stalled=self._watchdog.stalled,
            held=self._loop.held(MOST_HELD) if details else (),
            waits=(*self._loop.waits(), *self._transport.waits()),
            circuits=self.circuits() if details else {},
            blockers=self.blockers(),
            limits=self.limits(keys=details),
            lineage=self._lineage.counts(),
        )

    def blockers(self) -> tuple[Blocker, ...]:
        """Return the stages that have held trio's loop."""
        return self._blockers.found()

    def limits(self, *, keys: bool) -> Mapping[str, LimitStatistics]:
        """Return the concurrency limits by name, with those of keys only if asked for."""
        return self._limits.statistics(keys=keys)

    def learnt_limits(self) -> Mapping[str, Any]:
        """Return what the limits with a warm start have learnt, by name; JSON can hold it."""
        return self._limits.learnt()

    def circuits(self) -> Mapping[str, AdapterCircuitMetrics]:
        """Return states and counts of the circuit breakers, by `route/stage`, for stages that have any."""
        return {
            f"{route.id}/{stage.info.stage}": stage.guard.metrics()
            for route in self._states.values()
            for stage in route.stages
            if stage.guard is not None
        }

    def _now(self) -> Mapping[str, RouteStatistics]:
        routes = {}
        for route_id, route in self._states.items():
            statistics, outside = route.statistics(), self._transport.backlog(route_id)
            routes[route_id] = replace(statistics, waiting=statistics.waiting + outside) if outside else statistics
        return routes
