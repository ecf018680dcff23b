"""Announcing of one execution to other systems, as its configuration says: its start, and how it ended.

Kept separate from `lifecycle` because only this module knows what a plan and a status are to other systems.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

from factflow_engine.runtime.execution.plan import ExecutionPlan
from factflow_engine.runtime.report import ExecutionStatus, RouteStatistics

if TYPE_CHECKING:
    from factflow_engine.config import PipelineGlobalConfig
    from factflow_engine.lineage.openlineage import Announcer, RoutePorts

logger = logging.getLogger("factflow_engine.lineage")

_EVENTS: Final = {
    ExecutionStatus.COMPLETED: "COMPLETE",
    ExecutionStatus.FAILED: "FAIL",
    ExecutionStatus.CANCELLED: "ABORT",
}
"""Status of an execution to the type of its last event."""


class Announcing:
    """Sending of an execution's events, or nothing if its configuration asks for none.

    Nothing that the receiver does fails the execution, or delays its end by more than `openlineage.finish_seconds`.

    Args:
        plan: Plan of the execution.
        redacted: Removes secrets from a text.
    """

    def __init__(self, plan: ExecutionPlan, redacted: Callable[[str], str]) -> None:
        self._execution_id = plan.execution_id
        self._redacted = redacted
        self._announcer: Announcer | None = None
        section = None if plan.config.lineage is None else plan.config.lineage.openlineage
        if section is None:
            return
        # Imported late: most executions announce nothing.
        from factflow_engine.lineage import openlineage  # noqa: PLC0415
        from factflow_engine.version import __version__  # noqa: PLC0415

        self._openlineage = openlineage
        self._announcer = openlineage.Announcer(
            openlineage.open_target(
                section.url,
                directory=plan.config.directory,
                api_key=section.api_key,
                timeout_seconds=section.timeout_seconds,
                threads=plan.seams.threads,
            ),
            openlineage.EventFactory(
                namespace=section.namespace,
                execution_id=plan.execution_id,
                started_ns=plan.seams.clock.wall_ns(),
                pipeline=redacted(plan.config.name),
                version=__version__,
                routes=self._ports(plan.config, redacted),
            ),
            finish_seconds=section.finish_seconds,
            clock=plan.seams.clock,
            randomness=plan.seams.randomness,
            redacted=redacted,
        )

    async def run(self) -> None:
        """Announce the start; a task of the execution, which is cancelled at its end.

        Cancellation: what was not sent is left to `end`.
        """
        if self._announcer is not None:
            await self._announcer.run()

    async def end(
        self, status: ExecutionStatus, *, error: str | None, routes: Mapping[str, RouteStatistics]
    ) -> str | None:
        """Announce the end, and what was not announced yet; called when `run` has ended.

        Args:
            status: Final state of the execution.
            error: Reason for it, without secrets.
            routes: Last statistics by route id.

        Returns:
            A sentence about what could not be sent; None if all was.

        Cancellation: none; the budget bounds it.
        """
        if self._announcer is None:
            return None
        counts = {
            self._redacted(route): self._openlineage.RouteCounts(
                received=found.received, emitted=found.emitted, dead_lettered=found.dead_lettered
            )
            for route, found in routes.items()
        }
        unsent = await self._announcer.end(self._openlineage.EventType(_EVENTS[status]), error=error, counts=counts)
        if unsent is not None:
            logger.warning("execution %s: %s", self._execution_id, unsent)
        return unsent

    def _ports(self, config: PipelineGlobalConfig, redacted: Callable[[str], str]) -> list[RoutePorts]:
        return [
            self._openlineage.RoutePorts(
                route=redacted(route_id),
                inbound=redacted(route.inbound.queue),
                outbound=tuple(
                    dict.fromkeys(
                        redacted(
                            config.routes[outbound.route].inbound.queue if outbound.route else outbound.queue or ""
                        )
                        for outbound in route.outbound
                    )
                ),
                dead_letters=None if (letters := route.error_handling.dead_letter_queue) is None else redacted(letters),
            )
            for route_id, route in config.routes.items()
        ]
