"""One route's lifecycle: build its stages, subscribe, open what is stateful, close it at the end.

The messages themselves are carried by the loop; this is what must exist before the first and after the last of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

import trio

from factflow_engine.adapters import ValidatingAdapterRegistry
from factflow_engine.conditions import Condition, OperatorRegistry, RouteTable, compile_condition
from factflow_engine.errors import ExecutionStartError, describe
from factflow_engine.frames import label_of
from factflow_engine.resilience.retry import RetryPolicy
from factflow_engine.runtime.containment import FaultError, contained, is_cancelled
from factflow_engine.runtime.lane import Lane, Outlet
from factflow_engine.runtime.relay import Lines
from factflow_engine.runtime.scoped_queue import ExecutionScopedQueue
from factflow_engine.runtime.stage import Stage
from factflow_engine.seams import Seams
from factflow_protocols import StageInfo

if TYPE_CHECKING:
    from factflow_engine.config import ConditionConfig, OutboundConfig, PipelineGlobalConfig

STOPPABLE: Final = (Exception, SystemExit, GeneratorExit)
"""What an adapter's constructor may raise to be told as the reason why its stage could not be made."""

ALWAYS: Final[Mapping[str, object]] = {"field": "@", "operator": "exists"}
"""The condition of an outbound that has none, where all of them are filed in one table."""


class ReactiveRouteProcessor:
    """One route of one execution, from its subscription to its end.

    Building it subscribes: the inbound line exists from then on and keeps what is published to it.

    Attributes:
        lane: What the loop carries.
        close_errors: What went wrong while closing, or while opening was cancelled, as `route/stage: error`.
    """

    def __init__(
        self,
        route_id: str,
        config: PipelineGlobalConfig,
        *,
        execution_id: str,
        scope: ExecutionScopedQueue,
        lines: Lines,
        registry: ValidatingAdapterRegistry,
        operators: OperatorRegistry | None,
        seams: Seams,
        redacted: Callable[[str], str],
    ) -> None:
        route = config.routes[route_id]
        inbound, errors = route.inbound, route.error_handling
        self.id = route_id
        self.close_errors: list[str] = []
        self._opened: list[Stage] = []
        self._close_seconds = config.orchestrator.close_seconds
        limit = inbound.concurrency
        if route.backpressure is not None and route.backpressure.max_concurrency is not None:
            limit = min(limit, route.backpressure.max_concurrency)

        def compiled(condition: ConditionConfig | None) -> Condition | None:
            return None if condition is None else compile_condition(condition.mapping, operators=operators)

        stages = []
        for stage in route.adapters:
            try:
                adapter = registry.create(stage.type, stage.config)
            except STOPPABLE as error:
                raise ExecutionStartError(route_id, stage.name, error) from error
            stages.append(
                Stage(
                    info=StageInfo(
                        execution_id=execution_id, route=route_id, stage=stage.name, directory=config.directory
                    ),
                    adapter=adapter,
                    condition=compiled(stage.condition),
                    timeout_seconds=stage.timeout_seconds,
                    route_timeout_seconds=errors.timeout_seconds,
                    deadline_seconds=errors.deadline_seconds,
                    close_seconds=config.orchestrator.close_seconds,
                    circuit_breaker=stage.circuit_breaker,
                    seams=seams,
                )
            )
        outlets = []
        for position, outbound in enumerate(route.outbound):
            queue = _target(outbound, config)
            outlets.append(
                Outlet(
                    queue,
                    compiled(outbound.condition),
                    label_of(f"{route_id}\0{position}\0{queue}"),
                    lines.targets(scope.scope_queue(queue)),
                )
            )
        table: RouteTable[Outlet] | None = None
        if len(outlets) > 1 and any(outbound.condition is not None for outbound in route.outbound):
            table = RouteTable(
                [
                    (outlet, ALWAYS if outbound.condition is None else outbound.condition.mapping)
                    for outlet, outbound in zip(outlets, route.outbound, strict=True)
                ],
                operators,
            )
        inbox = lines.channel(
            scope.scope_queue(inbound.queue),
            scope.scope_subscription(inbound.queue, inbound.subscription),
            inbound.capacity,
            prefetch=inbound.prefetch,
        )
        letters = None
        if errors.dead_letter_queue is not None:
            letters = Outlet(
                errors.dead_letter_queue, None, 0, lines.targets(scope.scope_queue(errors.dead_letter_queue))
            )
        self.lane = Lane(
            id=route_id,
            name=redacted(route.name),
            queue=inbound.queue if inbox.journal is None else inbox.owner,
            inbox=inbox,
            stages=stages,
            outlets=outlets,
            table=table,
            limit=limit,
            first_only=route.outbound_mode == "first",
            unrouted=route.unrouted,
            retry=RetryPolicy.of(errors),
            deadline_seconds=errors.deadline_seconds,
            dead_letters=letters,
            max_deliveries=errors.max_deliveries,
            clock=seams.clock,
            journal=inbox.journal,
        )

    @property
    def stages(self) -> Sequence[Stage]:
        """The route's stages, in order."""
        return self.lane.stages

    @trio.lowlevel.enable_ki_protection
    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Open the stateful stages, report ready, and close them when cancelled.

        Raises:
            ExecutionStartError: A stage could not be opened; those before it are closed.
        """
        try:
            for stage in self.stages:
                if stage.stateful is not None:
                    try:
                        await contained(stage.stateful.open(stage.info))
                    except FaultError as fault:
                        if is_cancelled():  # said with the execution's end, which is not for this to change
                            self.close_errors.append(f"{self.id}/{stage.info.stage}: {describe(fault.error)}")
                            await trio.lowlevel.checkpoint()
                        raise ExecutionStartError(self.id, stage.info.stage, fault.error) from fault.error
                    self._opened.append(stage)
            task_status.started()
            await trio.sleep_forever()
        finally:
            await self._close()

    async def _close(self) -> None:
        for stage in reversed(self._opened):
            where = f"{self.id}/{stage.info.stage}"
            if stage.stateful is None:
                continue
            with trio.move_on_after(self._close_seconds, shield=True) as scope:
                try:
                    await contained(stage.stateful.close())
                except FaultError as fault:  # reported with the execution; the others must close too
                    self.close_errors.append(f"{where}: {describe(fault.error)}")
            if scope.cancelled_caught:
                self.close_errors.append(f"{where}: close() did not return within {self._close_seconds:g} s")


def _target(outbound: OutboundConfig, config: PipelineGlobalConfig) -> str:
    if outbound.queue is not None:
        return outbound.queue
    return config.routes[str(outbound.route)].inbound.queue  # the model holds exactly one of the two
