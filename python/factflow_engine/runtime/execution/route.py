"""One route's lifecycle: build its stages, subscribe, open what is stateful, close it at the end.

The messages themselves are carried by the loop; this is what must exist before the first and after the last of them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Container, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import trio

from factflow_engine.adapters import ValidatingAdapterRegistry
from factflow_engine.conditions import Condition, OperatorRegistry, compile_condition, outbound_table
from factflow_engine.errors import ExecutionStartError, describe
from factflow_engine.frames import label_of
from factflow_engine.resilience.retry import DeferralPolicy, RetryPolicy
from factflow_engine.runtime.hop.route_state import Outbound, RouteState
from factflow_engine.runtime.stages.answers import Roots
from factflow_engine.runtime.stages.lifecycle import Keeper, StageLostError
from factflow_engine.runtime.stages.stage import Stage
from factflow_engine.runtime.transport.durable import Lines
from factflow_engine.runtime.transport.scoped_queue import ExecutionScopedQueue
from factflow_engine.seams import Seams
from factflow_protocols import StageInfo

if TYPE_CHECKING:
    from factflow_engine.config import ConditionConfig, OutboundConfig, PipelineGlobalConfig

STOPPABLE: Final = (Exception, SystemExit, GeneratorExit)
"""What an adapter's constructor may raise to be told as the reason why its stage could not be made."""


class ReactiveRouteProcessor:
    """One route of one execution, from its subscription to its end.

    Building it subscribes: the inbound channel exists from then on and keeps what is published to it.

    Attributes:
        route: What the loop carries.
        close_errors: What went wrong while closing, or while opening was cancelled, as `route/stage: error`.
    """

    def __init__(
        self,
        route_id: str,
        config: PipelineGlobalConfig,
        *,
        execution_id: str,
        scope: ExecutionScopedQueue,
        channels: Lines,
        registry: ValidatingAdapterRegistry,
        operators: OperatorRegistry | None,
        seams: Seams,
        redacted: Callable[[str], str],
        on_death: Callable[[RouteState, BaseException], None],
        durable: bool,
        stores_states: bool,
        may_close: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """Subscribe.

        `on_death` is told what has died of the route while it lived; `durable`: whether its messages outlive the process;
        `stores_states`: whether their provider stores states with acknowledgements; `may_close` waits until
        whoever acknowledges asks nothing of its stages any more.
        """
        route = config.routes[route_id]
        section, errors = route.inbound, route.error_handling
        self.id = route_id
        self.close_errors: list[str] = []
        self._keepers: list[Keeper] = []  # of the stages that are or were open, in order
        self._on_death = on_death
        self._may_close = may_close
        self._lost = trio.Event()
        self._loss: StageLostError | None = None  # the first one, from when that is set
        self._close_seconds = config.orchestrator.close_seconds
        limit = section.concurrency
        if route.backpressure is not None and route.backpressure.max_concurrency is not None:
            limit = min(limit, route.backpressure.max_concurrency)

        def compiled(condition: ConditionConfig | None) -> Condition | None:
            return None if condition is None else compile_condition(condition.mapping, operators=operators)

        stages = []
        roots = Roots() if stores_states else None
        for stage in route.adapters:
            try:
                adapter = registry.create(stage.type, stage.config)
            except STOPPABLE as error:
                raise ExecutionStartError(route_id, stage.name, error) from error
            stages.append(
                Stage(
                    info=StageInfo(
                        execution_id=execution_id,
                        route=route_id,
                        stage=stage.name,
                        directory=config.directory,
                        durable=durable,
                    ),
                    adapter=adapter,
                    condition=compiled(stage.condition),
                    timeout_seconds=stage.timeout_seconds,
                    route_timeout_seconds=errors.timeout_seconds,
                    deadline_seconds=errors.deadline_seconds,
                    close_seconds=config.orchestrator.close_seconds,
                    circuit_breaker=stage.circuit_breaker,
                    seams=seams,
                    roots=roots,
                )
            )
        conditions = [None if outbound.condition is None else outbound.condition.mapping for outbound in route.outbound]
        table = outbound_table(list(enumerate(conditions)), operators)
        outbounds = []
        for position, outbound in enumerate(route.outbound):
            queue = _target(outbound, config)
            outbounds.append(
                Outbound(
                    queue,
                    # The table has all of them, and is what is asked.
                    compiled(outbound.condition) if table is None else None,
                    label_of(f"{route_id}\0{position}\0{queue}"),
                    channels.targets(scope.scope_queue(queue)),
                )
            )
        inbound = channels.channel(
            scope.scope_queue(section.queue),
            scope.scope_subscription(section.queue, section.subscription),
            section.capacity,
            prefetch=section.prefetch,
        )
        if section.ordering == "key":
            inbound.order_by_key()
        letters = None
        if errors.dead_letter_queue is not None:
            letters = Outbound(
                errors.dead_letter_queue, None, 0, channels.targets(scope.scope_queue(errors.dead_letter_queue))
            )
        self.state = RouteState(
            id=route_id,
            name=redacted(route.name),
            queue=section.queue if inbound.journal is None else inbound.owner,
            inbound=inbound,
            stages=stages,
            outbounds=outbounds,
            table=table,
            limit=limit,
            first_only=route.outbound_mode == "first",
            unrouted=route.unrouted,
            retry=RetryPolicy.of(errors),
            deferral=DeferralPolicy.of(errors),
            deadline_seconds=errors.deadline_seconds,
            dead_letters=letters,
            max_deliveries=errors.max_deliveries,
            clock=seams.clock,
            journal=inbound.journal,
            roots=roots if any(stage.answers is not None for stage in stages) else None,
        )

    @property
    def stages(self) -> Sequence[Stage]:
        """The route's stages, in order."""
        return self.state.stages

    def goes_on(self, kept: Container[tuple[str, str]], idle: Container[tuple[str, str]]) -> None:
        """Note, before it runs, that an earlier process has begun what it goes on with, or another one shares it.

        Args:
            kept: Route id and name of each stage that keeps something of such a process.
            idle: Those that such a process has begun, and that have had no effect.
        """
        for stage in self.stages:
            place = (self.id, stage.info.stage)
            stage.info = replace(stage.info, resumed=place not in idle, kept=place in kept)

    def discard(self) -> None:
        """Note, before it closes, that nobody goes on with what its stages have stored."""
        for keeper in self._keepers:
            keeper.discards = True

    @trio.lowlevel.enable_ki_protection
    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Open the stateful stages, report ready, and close them when cancelled.

        Raises:
            ExecutionStartError: A stage could not be opened; those before it are closed.
        """
        failed: Keeper | None = None
        async with trio.open_nursery() as nursery:
            try:
                failed = await self._open(nursery)
                if failed is None:
                    task_status.started()
                    await self._live()
            finally:
                await self._close(failed)
        if failed is not None and failed.failure is not None:
            raise ExecutionStartError(self.id, failed.info.stage, failed.failure) from failed.failure

    async def _open(self, nursery: trio.Nursery) -> Keeper | None:
        """Open one after the other; the first that could not be opened."""
        for stage in self.stages:
            if stage.stateful is None:
                continue
            keeper = Keeper(stage.info, stage.stateful, close_seconds=self._close_seconds, on_loss=self._lose)
            self._keepers.append(keeper)
            nursery.start_soon(keeper.run)
            await keeper.opened.wait()
            if keeper.failure is not None:
                await trio.lowlevel.checkpoint_if_cancelled()  # that is then the reason for the end
                return keeper
        return None

    def _lose(self, error: StageLostError) -> None:
        self._loss = self._loss or error
        self._lost.set()

    async def _live(self) -> None:
        await self._lost.wait()
        if self._loss is not None:
            self._on_death(self.state, self._loss)
        await trio.sleep_forever()

    async def _close(self, failed: Keeper | None) -> None:
        with trio.CancelScope(shield=True):
            if self._may_close is not None:
                await self._may_close()
            for keeper in reversed(self._keepers):
                await keeper.close()
                texts = list(keeper.close_errors)
                if keeper.failure is not None and keeper is not failed:
                    texts.append(describe(keeper.failure))
                self.close_errors.extend(f"{self.id}/{keeper.info.stage}: {text}" for text in texts)


def _target(outbound: OutboundConfig, config: PipelineGlobalConfig) -> str:
    if outbound.queue is not None:
        return outbound.queue
    return config.routes[str(outbound.route)].inbound.queue  # the model holds exactly one of the two
