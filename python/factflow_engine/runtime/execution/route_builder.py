"""Construction of the routes' state from a configuration: adapters made, conditions compiled, channels looked up.

Kept separate from `route`, which opens and closes what is built here: nothing awaits, and nothing is subscribed outside
the process.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Final

from factflow_engine.adapters import ValidatingAdapterRegistry
from factflow_engine.adapters.keeping import keeps_anything
from factflow_engine.conditions import Condition, OperatorRegistry, compile_condition, outbound_table, shared_patterns
from factflow_engine.errors import ExecutionStartError
from factflow_engine.frames import label_of
from factflow_engine.native import LoopWatch
from factflow_engine.runtime.execution.lineage import ExecutionLineage
from factflow_engine.runtime.hop.endpoints import Outbound
from factflow_engine.runtime.hop.route_state import RouteState, permits
from factflow_engine.runtime.hop.workers import Workers
from factflow_engine.runtime.stages.answers import Roots
from factflow_engine.runtime.stages.limits import Limits
from factflow_engine.runtime.stages.process_pool import make_adapter
from factflow_engine.runtime.stages.recalling import recalling
from factflow_engine.runtime.stages.stage import Stage
from factflow_engine.runtime.stages.storing import Storing, storing_step
from factflow_engine.runtime.stages.timeouts import StageCall
from factflow_engine.runtime.transport.base import Channels
from factflow_engine.seams import Seams
from factflow_engine.stages.scoped_storage import ScopedStorage
from factflow_engine.stages.writer import StagePlace
from factflow_protocols import StageInfo, StorageBackendAdapter, StorageProtocol

if TYPE_CHECKING:
    from factflow_engine.config import AdapterConfig, ConditionConfig, OutboundConfig, PipelineGlobalConfig, RouteConfig
    from factflow_engine.resilience import BackpressureController

STOPPABLE: Final = (Exception, SystemExit, GeneratorExit)
"""Exceptions of an adapter's constructor that are reported as the reason why its stage could not be made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteBuilder:
    """Builder of the routes of one execution.

    Attributes:
        config: The configuration to run.
        config_hash: Its hash.
        execution_id: Id of the execution that has the routes.
        storage: Object store of the stages; None if none of them needs one.
        channels: Inbound and outbound channels of the routes.
        registry: Registry of the stages' adapters.
        operators: The condition operators that the configuration was loaded with, if not only the built-in ones.
        workers: Workers that carry their messages.
        watch: Notices stages that hold the loop.
        limits: Concurrency limits of the execution.
        seams: Time, randomness, ids and threads.
        redacted: Removes secrets from a text.
        lineage: Recording of what happens to messages, if there is one.
        recalls: True if stages take what they stored of a message rather than process it again.
    """

    config: PipelineGlobalConfig
    config_hash: str
    execution_id: str
    storage: StorageProtocol | None
    channels: Channels
    registry: ValidatingAdapterRegistry
    operators: OperatorRegistry | None
    workers: Workers
    watch: LoopWatch
    limits: Limits
    seams: Seams
    redacted: Callable[[str], str]
    lineage: ExecutionLineage
    recalls: bool

    def build(self) -> dict[str, RouteState]:
        """Return the routes by id, in the order of the configuration.

        Their inbound channels exist from then on and store what is published to them: the caller must discard them if
        this raises.

        Raises:
            ExecutionStartError: An adapter could not be made.
        """
        with shared_patterns():
            return {route_id: self._route(route_id, route) for route_id, route in self.config.routes.items()}

    def _route(self, route_id: str, route: RouteConfig) -> RouteState:
        roots = Roots() if self.channels.stores_states else None
        stages = self._stages(route_id, route, roots)
        conditions = [None if outbound.condition is None else outbound.condition.mapping for outbound in route.outbound]
        table = outbound_table(list(enumerate(conditions)), self.operators)
        outbounds = []
        for position, outbound in enumerate(route.outbound):
            queue = self._target(outbound)
            # The table has all conditions, and is the one that is evaluated.
            condition = self._compiled(outbound.condition) if table is None else None
            outbounds.append(self._outbound(queue, condition, label_of(f"{route_id}\0{position}\0{queue}")))
        inbound = self.channels.inbound(route_id, route.inbound)
        if route.inbound.ordering == "key":
            inbound.channel.order_by_key()
        letters = route.error_handling.dead_letter_queue
        return RouteState(
            route_id,
            route,
            name=self.redacted(route.name),
            inbound=inbound,
            stages=stages,
            outbounds=outbounds,
            table=table,
            dead_letters=None if letters is None else self._outbound(letters, None, 0),
            limiter=self._limiter(route_id, route),
            shares_limit=route.backpressure is not None and route.backpressure.group is not None,
            workers=self.workers,
            clock=self.seams.clock,
            watch=self.watch,
            lineage=self.lineage.of_route(route_id, stages),
            roots=roots if any(stage.answers is not None for stage in stages) else None,
        )

    def _limiter(self, route_id: str, route: RouteConfig) -> BackpressureController | None:
        """Return the controller of a route; None if the number of messages in flight is all that limits it."""
        section = route.backpressure
        if section is None or (section.is_fixed and section.group is None and not section.monitor_only):
            return None
        return self.limits.of_route(route_id, section, permits(route))

    def _stages(self, route_id: str, route: RouteConfig, roots: Roots | None) -> list[Stage]:
        errors, close_seconds = route.error_handling, self.config.orchestrator.close_seconds
        stages = []
        for section in route.adapters:
            info = StageInfo(
                execution_id=self.execution_id,
                route=route_id,
                stage=section.name,
                directory=self.config.directory,
                durable=self.channels.outlives_process,
            )
            condition = self._compiled(section.condition)
            before: list[Stage] = []
            after: list[Stage] = []
            try:
                adapter = make_adapter(self.registry, section, info, self.seams)
                place = self._place(section, info)
                if isinstance(adapter, StorageBackendAdapter):
                    assert place is not None, "refused before: `storage_of`"
                    adapter.bind_storage(ScopedStorage(place))
                if section.store is not None:
                    assert place is not None, "refused before: `storage_of`"
                    step = storing_step(section.store, place, clock=self.seams.clock, leave_out=self.limits.leave_out)
                    is_first = section.store.what == "input"
                    steps = before if is_first else after
                    steps.append(self._step(step, info, route, condition if is_first else None, follows=not is_first))
            except STOPPABLE as error:
                raise ExecutionStartError(route_id, section.name, error) from error
            stage = Stage(
                info=info,
                adapter=adapter,
                condition=None if before else condition,
                timeout_seconds=section.timeout_seconds,
                route_timeout_seconds=errors.timeout_seconds,
                deadline_seconds=errors.deadline_seconds,
                close_seconds=close_seconds,
                circuit_breaker=section.circuit_breaker,
                backpressure=section.backpressure,
                limits=self.limits,
                seams=self.seams,
                watch=self.watch,
                roots=roots,
                follows=bool(before),
                recalled=self._recalled(section, place),
            )
            stages += [*before, stage, *after]
        return stages

    def _recalled(self, section: AdapterConfig, place: StagePlace | None) -> Callable[[StageCall], StageCall] | None:
        """Return what wraps the call of a stage that takes what it stored; None for any other stage."""
        if not self.recalls or place is None or section.store is None or section.store.what != "output":
            return None
        if keeps_anything(self.registry.get(section.type).adapter_class):
            return None
        return partial(recalling, store=section.store, place=place)

    def _step(
        self, step: Storing, info: StageInfo, route: RouteConfig, condition: Condition | None, *, follows: bool
    ) -> Stage:
        """Return the step beside a stage that stores."""
        return Stage(
            info=info,
            adapter=step,
            condition=condition,
            timeout_seconds=None,
            route_timeout_seconds=route.error_handling.timeout_seconds,
            deadline_seconds=route.error_handling.deadline_seconds,
            close_seconds=self.config.orchestrator.close_seconds,
            circuit_breaker=None,
            limits=self.limits,
            seams=replace(self.seams, calls=None, hooks=None, around_call=None),
            watch=self.watch,
            follows=follows,
            doing="storing its output" if follows else "storing its input",
        )

    def _place(self, section: AdapterConfig, info: StageInfo) -> StagePlace | None:
        """Return what all objects of a stage have in common; None if there is no object store."""
        if self.storage is None:
            return None
        storage = self.config.storage
        return StagePlace(
            storage=self.storage,
            info=info,
            adapter=section.type,
            config_hash=self.config_hash,
            fields=() if storage is None else storage.metadata.fields,
            wall_ns=self.seams.clock.wall_ns,
            redacted=self.redacted if self.config.secrets else None,
        )

    def _outbound(self, queue: str, condition: Condition | None, label: int) -> Outbound:
        return Outbound(queue, condition, label, self.channels.targets(queue), deduplicates=self.channels.deduplicates)

    def _compiled(self, condition: ConditionConfig | None) -> Condition | None:
        return None if condition is None else compile_condition(condition.mapping, operators=self.operators)

    def _target(self, outbound: OutboundConfig) -> str:
        if outbound.queue is not None:
            return outbound.queue
        return self.config.routes[str(outbound.route)].inbound.queue  # the model holds exactly one of the two
