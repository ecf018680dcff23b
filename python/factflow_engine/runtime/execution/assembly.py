"""Construction of the parts of one execution, each complete after its constructor (see `transport.base` for the order).

Kept separate from `lifecycle`, which runs the parts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from factflow_engine.config.graph import build_graph
from factflow_engine.runtime.execution.access import Access
from factflow_engine.runtime.execution.announcing import Announcing
from factflow_engine.runtime.execution.completion import Completion
from factflow_engine.runtime.execution.faults import Faults
from factflow_engine.runtime.execution.init_messages import InitMessages
from factflow_engine.runtime.execution.lineage import ExecutionLineage
from factflow_engine.runtime.execution.losses import refuse_losses
from factflow_engine.runtime.execution.plan import ExecutionPlan
from factflow_engine.runtime.execution.redaction import Redaction
from factflow_engine.runtime.execution.route import ReactiveRouteProcessor
from factflow_engine.runtime.execution.route_builder import RouteBuilder
from factflow_engine.runtime.execution.shutdown import Shutdown
from factflow_engine.runtime.execution.storage import ExecutionStorage, storage_of
from factflow_engine.runtime.execution.watchdog import Watchdog
from factflow_engine.runtime.hop.blockers import Blockers
from factflow_engine.runtime.hop.cycles import cycles_of
from factflow_engine.runtime.hop.loop import Loop
from factflow_engine.runtime.hop.route_state import RouteState, permits
from factflow_engine.runtime.hop.workers import Workers
from factflow_engine.runtime.stages.limits import Limits
from factflow_engine.runtime.transport.base import Channels, Transport
from factflow_engine.runtime.transport.choice import channels_for
from factflow_engine.runtime.transport.frame_factory import FrameFactory


@dataclass(frozen=True, slots=True)
class _TransportOwner:
    """The execution as its transport calls it. See `Owner` for the contract."""

    access: Access
    faults: Faults

    def refuse_if_closed(self) -> None:
        self.access.refuse_if_closed()

    def transport_died(self, what: str, error: BaseException) -> None:
        self.faults.transport_died(what, error)


class Parts(NamedTuple):
    """The parts of an execution.

    Attributes:
        channels: Inbound and outbound channels of the routes.
        routes: Routes by id, in the configuration's order.
        loop: Loop that carries the routes' messages.
        blockers: Stages that have held trio's loop.
        limits: Concurrency limits of the execution.
        frames: Factory of the frames of published messages.
        transport: Transport between the routes and the provider.
        processors: Processors that open and close the routes, in their order.
        init: Publisher of the init messages.
        watchdog: Watchdog that reports a lack of progress.
        completion: Detector of the end of all work.
        storage: Object store of the stages; None if none of them needs one.
        lineage: Recording of what happens to messages, if there is one.
        announcing: Announcing of the execution to other systems, if it is asked for.
    """

    channels: Channels
    routes: Mapping[str, RouteState]
    loop: Loop
    blockers: Blockers
    limits: Limits
    frames: FrameFactory
    transport: Transport
    processors: Sequence[ReactiveRouteProcessor]
    init: InitMessages
    watchdog: Watchdog
    completion: Completion
    storage: ExecutionStorage | None
    lineage: ExecutionLineage
    announcing: Announcing


def assemble(plan: ExecutionPlan, *, redacted: Redaction, shutdown: Shutdown, access: Access, faults: Faults) -> Parts:
    """Make the parts of an execution; nothing is subscribed outside the process, and an error leaves nothing behind.

    Args:
        plan: Plan of the execution.
        redacted: Removes secrets from errors.
        shutdown: Budgets of its end.
        access: Refuses messages from outside once the execution is closed.
        faults: Notified of failed messages and dead tasks.

    Raises:
        StateLossError: A stage would lose its state.
        NoStorageError: A stage needs an object store, and there is none.
        StorageUrlError: The configuration's object store cannot be used.
        NoLineageError: Lineage is to be recorded, and there is no store.
        ExecutionStartError: An adapter could not be made.
    """
    config = plan.config
    storage = storage_of(config, plan.registry, plan.storage, plan.seams)
    workers = Workers(
        plan.seams.clock.monotonic_ns,
        quantum_ns=config.processor.quantum_microseconds * 1000,
        most=sum(permits(route) for route in config.routes.values()),
    )
    lineage = ExecutionLineage(plan, workers, redacted)
    announcing = Announcing(plan, redacted)
    graph = build_graph(config)
    channels = channels_for(plan.provider, plan.execution_id, cycles=graph.cycles)
    refuse_losses(config, plan.registry, channels, allow_loss=plan.allow_loss)
    blockers = Blockers(plan.execution_id, now=plan.seams.clock.monotonic_ns, redacted=redacted)
    limits = Limits(plan.seams.clock, plan.seams.randomness, workers.pool, learnt=plan.learnt_limits)
    builder = RouteBuilder(
        config=config,
        config_hash=plan.config_hash,
        execution_id=plan.execution_id,
        storage=None if storage is None else storage.store,
        channels=channels,
        registry=plan.registry,
        operators=plan.operators,
        workers=workers,
        watch=blockers.watch,
        limits=limits,
        seams=plan.seams,
        redacted=redacted,
        lineage=lineage,
        recalls=plan.recalls,
    )
    try:
        routes = builder.build()
    except BaseException as error:
        channels.discard()  # the inbound channels of the routes made before
        redacted.censor(error)
        raise
    upstream_first = [routes[route_id] for route_id in graph.order]
    frames = FrameFactory(plan.seams)
    loop = Loop(
        list(routes.values()),
        workers,
        seams=plan.seams,
        on_failure=faults.message_failed,
        on_death=faults.route_died,
        cycles=cycles_of(routes, channels.bounded_cycles),
        outlives=channels.leads_outside,
        redacted=redacted,
        config_hash=plan.config_hash,
    )
    transport = channels.transport(
        upstream_first,
        loop=loop,
        frames=frames,
        owner=_TransportOwner(access, faults),
        asked_ns=plan.asked_ns,
        config=config,
    )
    return Parts(
        channels=channels,
        routes=routes,
        loop=loop,
        blockers=blockers,
        limits=limits,
        frames=frames,
        transport=transport,
        processors=[
            ReactiveRouteProcessor(
                route,
                close_seconds=config.orchestrator.close_seconds,
                may_close=transport.wait_settled,
                on_death=faults.route_died,
            )
            for route in routes.values()
        ],
        init=InitMessages(plan.init, transport.start, on_death=faults.transport_died),
        watchdog=Watchdog(
            plan.execution_id,
            list(routes.values()),
            loop,
            transport,
            shutdown,
            seconds=config.processor.stall_seconds,
            redacted=redacted,
        ),
        completion=Completion(
            upstream_first,
            loop=loop,
            transport=transport,
            frames=frames,
            shutdown=shutdown,
            is_last=not channels.outlives_process,
        ),
        storage=storage,
        lineage=lineage,
        announcing=announcing,
    )
