"""Memory transport: routes work on the provider's own channels, which end with the execution.

Kept separate from `durable`, with which it shares only the protocol: nothing here is subscribed, sent or stored.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Container, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import trio

from factflow_engine.frames import Frame, pack
from factflow_engine.native import Batch
from factflow_engine.queues.channel import MemoryChannel, wait_for_room
from factflow_engine.queues.memory import MemoryQueue
from factflow_engine.queues.naming import execution_id_of
from factflow_engine.runtime.hop.endpoints import Inbound
from factflow_engine.runtime.hop.loop import Loop
from factflow_engine.runtime.hop.route_state import RouteState
from factflow_engine.runtime.report import ExecutionStatus, Wait
from factflow_engine.runtime.stages.stage import Stage
from factflow_engine.runtime.transport.base import Owner, Stuck
from factflow_engine.runtime.transport.frame_factory import FrameBatch, FrameFactory
from factflow_engine.runtime.transport.scoped_queue import ExecutionScopedQueue
from factflow_engine.runtime.transport.starts import PlainStart, root_of
from factflow_protocols import Holding, QueueFullError, Subscription

if TYPE_CHECKING:
    from factflow_engine.config import InboundConfig, PipelineGlobalConfig


class MemoryChannels:
    """See `Channels` for the contract."""

    outlives_process: bool = False
    leads_outside: bool = False
    stores_states: bool = False
    deduplicates: bool = False

    def __init__(self, provider: MemoryQueue, execution_id: str, *, cycles: Sequence[Sequence[str]]) -> None:
        self.bounded_cycles: Final = cycles
        self.is_discarded = False
        self._provider = provider
        self._scope = ExecutionScopedQueue(provider, execution_id)

    def targets(self, queue: str) -> list[MemoryChannel]:
        """See `Channels.targets`."""
        return self._provider.targets(self._scope.scope_queue(queue))

    def inbound(self, route: str, section: InboundConfig) -> Inbound:  # noqa: ARG002 - of use to a durable transport
        """See `Channels.inbound`."""
        channel = self._provider.channel(
            self._scope.scope_queue(section.queue),
            self._scope.scope_subscription(section.queue, section.subscription),
            section.capacity,
        )
        return Inbound(section.queue, channel)

    def transport(
        self,
        routes: Sequence[RouteState],
        *,
        loop: Loop,
        frames: FrameFactory,
        owner: Owner,
        asked_ns: int | None,  # noqa: ARG002 - nobody else has an execution that ends with this process
        config: PipelineGlobalConfig,  # noqa: ARG002 - says when states are stored
    ) -> MemoryTransport:
        """See `Channels.transport`."""
        targets = {route.id: self.targets(route.settings.inbound.queue) for route in routes}
        return MemoryTransport(self._scope, targets, routes=routes, loop=loop, frames=frames, owner=owner)

    def discard(self) -> None:
        """See `Channels.discard`."""
        self.is_discarded = True
        self._provider.discard(self._scope.prefix)


class NoStates:
    """See `States` for the contract: nothing outlives the process, so that it is always the last one."""

    kept: frozenset[tuple[str, str]] = frozenset()
    idle: frozenset[tuple[str, str]] = frozenset()
    is_last: bool = True
    is_handed_over: bool = False
    is_forgotten: bool = True
    discards: bool = False

    def __init__(self, root: bytes | None) -> None:
        """Prepare; see `starts.root_of` for the root."""
        self._root = root
        self._said: Counter[tuple[int, bytes]] = Counter()  # finishes by stage and digest of the payload

    def restore(self) -> None:
        """See `States.restore`."""

    async def opened(self) -> None:
        """See `States.opened`."""

    async def begin(self, *, is_stored: bool) -> None:
        """See `States.begin`."""

    async def conclude(self) -> None:
        """See `States.conclude`."""

    async def forget(self) -> None:
        """See `States.forget`."""

    def words_id(self, stage: Stage, payload: bytes) -> bytes | None:
        """See `States.words_id`; an execution that begins again under its id repeats them, too."""
        if self._root is None:
            return None
        said = stage.label, hashlib.blake2b(payload, digest_size=16).digest()
        number = self._said[said]
        self._said[said] += 1
        return Frame.create(payload or pack(None), message_id=self._root).child(stage.label, number).message_id


class MemoryTransport:
    """See `Transport` for the contract."""

    is_empty: bool = True
    reads: Sequence[tuple[str, str]] = ()
    publishes_to: Sequence[str] = ()

    def __init__(
        self,
        scope: ExecutionScopedQueue,
        targets: Mapping[str, list[MemoryChannel]],
        *,
        routes: Sequence[RouteState],
        loop: Loop,
        frames: FrameFactory,
        owner: Owner,
    ) -> None:
        """Prepare.

        Args:
            scope: The provider, scoped to the execution.
            targets: Route to the channels that its messages go to: its inbound queue, or all subscriptions of its
            topic.
            routes: All routes of the execution.
            loop: Loop that carries their messages.
            frames: Factory of frames.
            owner: The execution.
        """
        root = root_of(execution_id_of(scope.prefix))
        self.states: Final = NoStates(root)
        self.start: Final = PlainStart(frames, self._publish_from_inside, self._nothing_left, root=root)
        self.publishers = 0
        self.stirred: Final = trio.lowlevel.ParkingLot()
        self._scope = scope
        self._targets = targets
        self._queues = {route.id: route.queue for route in routes}
        self._loop = loop
        self._frames = frames
        self._owner = owner
        self._publisher = frames.publisher(targets)
        self.offer: Final = self._publisher.offer

    # -- publishing and consuming from outside ---------------------------------------------------------------------

    def close_entrance(self) -> None:
        """See `Transport.close_entrance`."""
        self._publisher.close()

    async def publish(self, route: str, frame: Frame) -> None:
        """See `Transport.publish`. Cancellation: the message was not published."""
        await trio.lowlevel.checkpoint_if_cancelled()
        channels = self._targets[route]
        self._owner.refuse_if_closed()
        if _full(channels) is not None:
            await self._wait_for_room(channels)
        _append(channels, frame)
        await trio.lowlevel.cancel_shielded_checkpoint()  # the route's turn; the message stays published

    def publish_nowait(self, route: str, frame: Frame) -> None:
        """See `Transport.publish_nowait`."""
        self._owner.refuse_if_closed()
        channels = self._targets[route]
        full = _full(channels)
        if full is not None:
            raise QueueFullError(
                self._queues[route],
                f"holds {full.waiting} messages, which is its capacity; `await publish(...)` waits for room",
            )
        _append(channels, frame)

    async def publish_batch(
        self,
        route: str,
        payloads: Sequence[Any],
        headers: Mapping[str, Any] | None,
        keys: Sequence[str | None] | None,
    ) -> tuple[str, ...]:
        """See `Transport.publish_batch`."""
        batch = self._frames.batch(payloads, headers, keys)
        await self._pour(route, batch)
        return batch.ids

    async def publish_frames(self, route: str, frames: Sequence[Frame]) -> None:
        """See `Transport.publish_frames`."""
        await self._pour(route, FrameBatch(frames))

    async def _pour(self, route: str, batch: Batch | FrameBatch) -> None:
        channels = self._targets[route]
        await trio.lowlevel.checkpoint_if_cancelled()
        while batch.left:
            self._owner.refuse_if_closed()
            if _full(channels) is not None:
                await self._wait_for_room(channels)
            room = (channel.capacity - channel.waiting for channel in channels if channel.is_read)
            batch.pour(channels, min(room, default=batch.left))
        await trio.lowlevel.cancel_shielded_checkpoint()

    def wake_publishers(self) -> None:
        """See `Transport.wake_publishers`."""
        for channels in self._targets.values():
            for channel in channels:
                channel.wake_publishers()

    def subscribe(
        self, queue: str, subscription: str, prefetch: int, capacity: int | None
    ) -> AbstractAsyncContextManager[Subscription]:
        """See `Transport.subscribe`; the queue itself ends with the execution, and notifies its consumers."""
        return self._scope.subscribe(queue, subscription, prefetch, capacity)

    async def _publish_from_inside(self, route: str, frame: Frame) -> None:
        """Publish although nothing is accepted from outside."""
        channels = self._targets[route]
        await wait_for_room(partial(_full, channels))
        _append(channels, frame)

    async def _wait_for_room(self, channels: Sequence[MemoryChannel]) -> None:
        def full() -> MemoryChannel | None:
            self._owner.refuse_if_closed()
            return _full(channels)

        self.publishers += 1
        try:
            await wait_for_room(full)
        finally:
            self.publishers -= 1
            self.stirred.unpark_all()

    # -- lifecycle -------------------------------------------------------------------------------------------------

    async def open(self, nursery: trio.Nursery) -> None:
        """See `Transport.open`; there is nothing to subscribe."""

    async def join(self) -> bool:
        """See `Transport.join`; no other process has this execution."""
        return False

    def use(self) -> None:
        """See `Transport.use`."""

    def close_intake(self) -> None:
        """See `Transport.close_intake`; messages in a channel are here already."""

    async def wait_done(self) -> int:
        """See `Transport.wait_done`."""
        await self._loop.progress.wait_idle()
        return 0

    @property
    def is_done(self) -> bool:
        """See `Transport.is_done`."""
        return self._loop.progress.is_idle and not self.publishers

    async def wait_settled(self) -> None:
        """See `Transport.wait_settled`."""

    def end(self, status: ExecutionStatus, *, has_lived: bool) -> None:
        """See `Transport.end`."""

    def close(self) -> None:
        """See `Transport.close`."""

    # -- observation -----------------------------------------------------------------------------------------------

    async def holdings(self) -> Iterable[Holding]:
        """See `Transport.holdings`."""
        return ()

    def backlog(self, route: str) -> int:  # noqa: ARG002 - all that waits is in the route's channel
        """See `Transport.backlog`."""
        return 0

    def waits(self) -> Iterable[Wait]:
        """See `Transport.waits`: queues in memory hand out everything."""
        return ()

    def unaccepted(self) -> Mapping[str, int]:
        """See `Transport.unaccepted`."""
        return {}

    def counts(self) -> Mapping[object, int]:
        """See `Transport.counts`."""
        return {}

    def stuck(self, still: Container[object]) -> Iterable[Stuck]:  # noqa: ARG002 - nothing is outside
        """See `Transport.stuck`."""
        return ()

    async def _nothing_left(self) -> int:
        return 0


def _append(channels: Sequence[MemoryChannel], frame: Frame) -> None:
    for channel in channels:
        channel.append(frame)


def _full(channels: Sequence[MemoryChannel]) -> MemoryChannel | None:
    """Return a channel without room that has a consumer; None if there is none."""
    for channel in channels:
        if channel.is_full and channel.listeners:
            return channel
    return None
