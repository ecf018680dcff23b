"""Channels of an execution whose messages wait with a provider: each is filled from it, or emptied into it.

Kept separate from `durable`, which carries their frames: channels exist before the routes.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import trio

from factflow_engine.native import Journal
from factflow_engine.queues.channel import DEFAULT_CAPACITY, MemoryChannel
from factflow_engine.runtime.hop.endpoints import Inbound
from factflow_engine.runtime.hop.loop import Loop
from factflow_engine.runtime.hop.route_state import RouteState
from factflow_engine.runtime.transport.base import Owner
from factflow_engine.runtime.transport.durable import DurableTransport
from factflow_engine.runtime.transport.frame_factory import FrameFactory
from factflow_engine.runtime.transport.links import Links
from factflow_engine.runtime.transport.receiver import Source
from factflow_engine.runtime.transport.scoped_queue import ExecutionScopedQueue
from factflow_engine.runtime.transport.shapes import shapes_of
from factflow_engine.runtime.transport.states import StageStates
from factflow_protocols import OrderedQueueProtocol, QueueProtocol, StateProvider

if TYPE_CHECKING:
    from factflow_engine.config import InboundConfig, PipelineGlobalConfig

logger = logging.getLogger("factflow_engine.runtime")

UNBOUNDED: Final = 1 << 40
"""Capacity of the queues of a cycle: on disk they may grow, so that a cycle cannot wait for itself."""


def stored_capacity(route: str, section: InboundConfig, cycles: Sequence[Sequence[str]]) -> int:
    """Return the capacity of a route's inbound queue at the provider; `cycles` are ids of the routes of each cycle."""
    return UNBOUNDED if any(route in cycle for cycle in cycles) else section.capacity


class DurableChannels:
    """See `Channels` for the contract."""

    leads_outside: bool = True
    deduplicates: bool = True
    bounded_cycles: Sequence[Sequence[str]] = ()
    is_discarded: bool = False

    def __init__(self, provider: QueueProtocol, execution_id: str, *, cycles: Sequence[Sequence[str]]) -> None:
        self.outlives_process: Final = provider.outlives_process
        self.stores_states: Final = isinstance(provider, StateProvider)
        self._scope = ExecutionScopedQueue(provider, execution_id)
        self._sources: dict[str, Source] = {}  # by route, in the order of the calls of `inbound`
        self._outbound: dict[str, MemoryChannel] = {}  # by the provider's name of a queue
        self._provider = provider
        self._cycles = cycles

    def targets(self, queue: str) -> list[MemoryChannel]:
        """See `Channels.targets`."""
        queue = self._scope.scope_queue(queue)
        if queue not in self._outbound:
            self._outbound[queue] = MemoryChannel(queue, DEFAULT_CAPACITY)
        return [self._outbound[queue]]

    def inbound(self, route: str, section: InboundConfig) -> Inbound:
        """See `Channels.inbound`; nothing is subscribed before the transport opens."""
        queue = self._scope.scope_queue(section.queue)
        ended = trio.lowlevel.ParkingLot()
        source = self._sources[route] = Source(
            queue=queue,
            subscription=self._scope.scope_subscription(section.queue, section.subscription),
            capacity=stored_capacity(route, section, self._cycles),
            prefetch=section.prefetch,
            channel=MemoryChannel(queue, section.prefetch),
            journal=Journal(ended.unpark_all),
            ended=ended,
        )
        return Inbound(queue, source.channel, source.journal)

    def transport(
        self,
        routes: Sequence[RouteState],
        *,
        loop: Loop,
        frames: FrameFactory,
        owner: Owner,
        asked_ns: int | None,
        config: PipelineGlobalConfig,
    ) -> DurableTransport:
        """See `Channels.transport`."""
        for route in routes:
            if route.inbound.ordered and not isinstance(self._provider, OrderedQueueProtocol):
                logger.warning(
                    "route %r orders messages by key, and its queue provider, %s, cannot keep that order among several "
                    "processes, or when a process has died; within this process it holds",
                    route.id,
                    type(self._provider).__name__,
                )
        stages = [stage for route in routes for stage in route.stages]
        states = StageStates(
            self._provider.states if isinstance(self._provider, StateProvider) else None,
            self._scope.prefix,
            stages,
            seconds=config.processor.snapshot_seconds,
            flush_seconds=config.processor.flush_seconds,
            shapes=shapes_of(config, stages),
        )
        links = Links(self._sources, self._outbound, routes, take_in=loop.take_in, states=states)
        return DurableTransport(
            self._provider,
            self._scope,
            links,
            queues={route: source.queue for route, source in self._sources.items()},
            loop=loop,
            frames=frames,
            owner=owner,
            states=states,
            asked_ns=asked_ns,
        )

    def discard(self) -> None:
        """See `Channels.discard`; the provider's queues stay."""
