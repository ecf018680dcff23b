"""The parts of one execution, each made whole by its constructor, in an order without a circle (see `transport.base`).

Kept separate from `lifecycle`, which runs them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

from factflow_engine.adapters import ValidatingAdapterRegistry
from factflow_engine.conditions import OperatorRegistry
from factflow_engine.config.graph import build_graph
from factflow_engine.frames import Frame
from factflow_engine.runtime.execution.completion import Completion
from factflow_engine.runtime.execution.init_messages import InitMessages
from factflow_engine.runtime.execution.redaction import Redaction
from factflow_engine.runtime.execution.route import ReactiveRouteProcessor
from factflow_engine.runtime.execution.route_builder import RouteBuilder
from factflow_engine.runtime.execution.shutdown import Shutdown
from factflow_engine.runtime.execution.unsupported import refuse_losses, refuse_unsupported
from factflow_engine.runtime.execution.watchdog import Watchdog
from factflow_engine.runtime.hop.cycles import cycles_of
from factflow_engine.runtime.hop.loop import Loop
from factflow_engine.runtime.hop.route_state import RouteState, permits
from factflow_engine.runtime.hop.workers import Workers
from factflow_engine.runtime.stages.stage import Stage
from factflow_engine.runtime.transport.base import Channels, Owner, Transport
from factflow_engine.runtime.transport.choice import channels_for
from factflow_engine.runtime.transport.frame_factory import FrameFactory
from factflow_engine.seams import Seams
from factflow_protocols import QueueProtocol

if TYPE_CHECKING:
    from factflow_engine.config import InitMessageConfig, PipelineGlobalConfig


class ExecutionOwner(Owner, Protocol):
    """A lifecycle, as far as the parts know it."""

    def message_failed(
        self, route: RouteState, stage: Stage | None, frame: Frame, payload: bytes | None, error: Exception
    ) -> None:
        """Note that a message ended `failed`."""
        ...

    def route_died(self, route: RouteState | None, error: BaseException) -> None:
        """Note that a task of a route has died, or, without one, of the engine."""
        ...


class Parts(NamedTuple):
    """The parts of an execution.

    Attributes:
        channels: Where routes find what they read and publish to.
        routes: By id, in the order of the configuration.
        loop: Carries their messages.
        frames: Makes the frames of what is published.
        transport: Leads to the routes and from them.
        processors: Open and close the routes, in their order.
        init: Publishes the init messages.
        watchdog: Names what does not move.
        completion: Knows when nothing is left to do.
    """

    channels: Channels
    routes: Mapping[str, RouteState]
    loop: Loop
    frames: FrameFactory
    transport: Transport
    processors: Sequence[ReactiveRouteProcessor]
    init: InitMessages
    watchdog: Watchdog
    completion: Completion


def assemble(
    config: PipelineGlobalConfig,
    *,
    execution_id: str,
    registry: ValidatingAdapterRegistry,
    operators: OperatorRegistry | None,
    provider: QueueProtocol,
    seams: Seams,
    allow_loss: bool,
    asked_ns: int | None,
    init: Sequence[InitMessageConfig] | None,
    config_hash: str,
    redacted: Redaction,
    shutdown: Shutdown,
    owner: ExecutionOwner,
) -> Parts:
    """Make the parts of an execution; nothing is subscribed outside the process, and nothing is left behind on an error.

    The arguments are those of `Lifecycle`, and parts that it has itself; it is the `owner`, which is told of faults.

    Raises:
        StateLossError: A stage would lose what it keeps.
        UnsupportedFeatureError: The configuration needs something that this version cannot do.
        ExecutionStartError: An adapter could not be made.
    """
    graph = build_graph(config)
    channels = channels_for(provider, execution_id, cycles=graph.cycles)
    refuse_losses(config, registry, channels, allow_loss=allow_loss)
    refuse_unsupported(config)
    workers = Workers(
        seams.clock.monotonic_ns,
        quantum_ns=config.processor.quantum_microseconds * 1000,
        most=sum(permits(route) for route in config.routes.values()),
    )
    builder = RouteBuilder(
        config=config,
        execution_id=execution_id,
        channels=channels,
        registry=registry,
        operators=operators,
        workers=workers,
        seams=seams,
        redacted=redacted,
    )
    try:
        routes = builder.build()
    except BaseException as error:
        channels.discard()  # what the routes before it read
        redacted.censor(error)
        raise
    upstream_first = [routes[route_id] for route_id in graph.order]
    frames = FrameFactory(seams)
    loop = Loop(
        list(routes.values()),
        workers,
        seams=seams,
        on_failure=owner.message_failed,
        on_death=owner.route_died,
        cycles=cycles_of(routes, channels.bounded_cycles),
        outlives=channels.leads_outside,
        redacted=redacted,
        config_hash=config_hash,
    )
    transport = channels.transport(
        upstream_first,
        loop=loop,
        frames=frames,
        owner=owner,
        asked_ns=asked_ns,
        config=config,
    )
    return Parts(
        channels=channels,
        routes=routes,
        loop=loop,
        frames=frames,
        transport=transport,
        processors=[
            ReactiveRouteProcessor(
                route,
                close_seconds=config.orchestrator.close_seconds,
                may_close=transport.wait_settled,
                on_death=owner.route_died,
            )
            for route in routes.values()
        ],
        init=InitMessages(
            config.init_message if init is None else init, transport.start, on_death=owner.transport_died
        ),
        watchdog=Watchdog(
            execution_id,
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
    )
