"""How messages come into an execution from the program around it: into channels of its own, or to a provider outside.

Kept separate from the orchestrator because where an execution's messages wait is a decision of its own, made once.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import trio

from factflow_engine.frames import Frame, pack
from factflow_engine.native import Batch
from factflow_engine.queues.memory import MemoryChannel
from factflow_engine.runtime.transport.durable import Relay
from factflow_engine.seams import Seams
from factflow_protocols import QueueError, QueueFullError, QueueProtocol


class Roots:
    """Makes the frames of messages that nothing led to."""

    def __init__(self, seams: Seams) -> None:
        self._seams = seams

    def frame(
        self,
        payload: Any,
        headers: Mapping[str, Any] | None = None,
        key: str | None = None,
        message_id: bytes | None = None,
    ) -> Frame:
        """A message's frame, with an id of its own if none is given."""
        if key is not None and not isinstance(key, str):
            raise TypeError(f"key= needs a string or None, got {type(key).__name__}; write key=str(...)")
        wall_ns = self._seams.clock.wall_ns()
        message_id = message_id or self._seams.ids.new(wall_ns)
        return Frame.create(pack(payload), message_id=message_id, time_ns=wall_ns, key=key, headers=headers)

    def mark(self, count: int) -> Frame:
        """The frame of a message that stands for so many to come; the ids that follow its own are theirs."""
        wall_ns = self._seams.clock.wall_ns()
        return Frame.create(pack(count), message_id=self._seams.ids.reserve(wall_ns, count + 1), time_ns=wall_ns)

    def batch(self, payloads: Sequence[Any]) -> Batch:
        """The frames of many messages, made as they are poured."""
        wall_ns = self._seams.clock.wall_ns()
        return Batch(payloads, first_id=self._seams.ids.reserve(wall_ns, len(payloads)), time_ns=wall_ns)


class Entrance(Protocol):
    """Takes messages for the routes of one execution, unless it is closed."""

    @property
    def publishers(self) -> int:
        """Tasks that are still publishing."""
        ...

    @property
    def stirred(self) -> trio.lowlevel.ParkingLot:
        """Where those wait who want to know when one of the publishers went on."""
        ...

    async def publish(self, route: str, frame: Frame) -> None:
        """Take a message, waiting for room."""
        ...

    def publish_nowait(self, route: str, frame: Frame) -> None:
        """Take a message, or raise."""
        ...

    async def publish_batch(self, route: str, payloads: Sequence[Any]) -> tuple[str, ...]:
        """Take messages in their order, waiting for room; their ids."""
        ...

    async def publish_from_inside(self, route: str, frame: Frame) -> None:
        """Take a message also while closed to others."""
        ...

    def wake_publishers(self) -> None:
        """Have those who wait for room look again at whether it is still open."""
        ...


class MemoryEntrance:
    """Into the channels themselves."""

    def __init__(
        self,
        roots: Roots,
        channels: Mapping[str, list[MemoryChannel]],
        queues: Mapping[str, str],
        refuse_if_closed: Callable[[], None],
    ) -> None:
        """Prepare.

        Args:
            roots: Makes frames.
            channels: By route, those that its messages go to: its inbound queue, or all subscriptions of the topic that it reads.
            queues: By route, the name of its queue.
            refuse_if_closed: Raises if nothing is taken from outside any more.
        """
        self.publishers = 0
        self.stirred = trio.lowlevel.ParkingLot()
        self._roots = roots
        self._channels = channels
        self._queues = queues
        self._refuse_if_closed = refuse_if_closed

    async def publish(self, route: str, frame: Frame) -> None:
        """See `Entrance`. Cancellation: the message was not published."""
        await trio.lowlevel.checkpoint_if_cancelled()
        await self._wait_for_room(route)
        self._append(route, frame)
        await trio.lowlevel.cancel_shielded_checkpoint()  # the route's turn; what was published stays so

    def publish_nowait(self, route: str, frame: Frame) -> None:
        """See `Entrance`."""
        self._refuse_if_closed()
        full = self._full(route)
        if full is not None:
            raise QueueFullError(
                self._queues[route],
                f"holds {full.waiting} messages, which is its capacity; `await publish(...)` waits for room",
            )
        self._append(route, frame)

    async def publish_batch(self, route: str, payloads: Sequence[Any]) -> tuple[str, ...]:
        """See `Entrance`. Cancellation: the first messages may have been published."""
        batch = self._roots.batch(payloads)
        channels = self._channels[route]
        await trio.lowlevel.checkpoint_if_cancelled()
        while batch.left:
            await self._wait_for_room(route)
            batch.pour(
                channels,
                min(
                    (channel.capacity - channel.waiting for channel in channels if channel.is_read), default=batch.left
                ),
            )
        await trio.lowlevel.cancel_shielded_checkpoint()
        return batch.ids

    async def publish_from_inside(self, route: str, frame: Frame) -> None:
        """See `Entrance`."""
        while (full := self._full(route)) is not None:
            await full.wait_for_room()
        self._append(route, frame)

    def wake_publishers(self) -> None:
        """See `Entrance`."""
        for channels in self._channels.values():
            for channel in channels:
                channel.wake_publishers()

    def _append(self, route: str, frame: Frame) -> None:
        for channel in self._channels[route]:
            channel.append(frame)

    def _full(self, route: str) -> MemoryChannel | None:
        """A channel without room that a message published to this route goes to."""
        return next((channel for channel in self._channels[route] if channel.is_full and channel.listeners), None)

    async def _wait_for_room(self, route: str) -> None:
        self._refuse_if_closed()
        before: MemoryChannel | None = None
        while (full := self._full(route)) is not None:
            if before is not None and before is not full:
                before.tell_of_room()  # it was for this one to take, and waits on: another may want it meanwhile
            before = full
            self.publishers += 1
            try:
                await full.wait_for_room()
            finally:
                self.publishers -= 1
                self.stirred.unpark_all()
            self._refuse_if_closed()


class DurableEntrance:
    """To the provider, which has stored a message when its publisher goes on."""

    def __init__(
        self,
        roots: Roots,
        provider: QueueProtocol,
        queues: Mapping[str, str],
        relay: Relay,
        refuse_if_closed: Callable[[], None],
    ) -> None:
        """Prepare; `queues` are the provider's names of the routes' queues."""
        self._publishing: set[trio.CancelScope] = set()  # from outside
        self.publishers = 0
        self.stirred = trio.lowlevel.ParkingLot()
        self._roots = roots
        self._provider = provider
        self._queues = queues
        self._relay = relay
        self._refuse_if_closed = refuse_if_closed

    async def publish(self, route: str, frame: Frame) -> None:
        """See `Entrance`. Cancellation: the message may or may not have been published."""
        await self._unless_closed(route, (frame,))

    def publish_nowait(self, route: str, frame: Frame) -> None:  # noqa: ARG002 - the entrance's signature
        """See `Entrance`; storing takes time, so that this never can."""
        raise QueueError(
            self._queues[route], "is stored outside the process, which takes time: use `await publish(...)`"
        )

    async def publish_batch(self, route: str, payloads: Sequence[Any]) -> tuple[str, ...]:
        """See `Entrance`. Cancellation: the first messages may have been published."""
        frames = [self._roots.frame(payload) for payload in payloads]
        await self._unless_closed(route, frames)
        return tuple(frame.message_id.hex() for frame in frames)

    async def publish_from_inside(self, route: str, frame: Frame) -> None:
        """See `Entrance`."""
        await self._publish(route, (frame,))

    def wake_publishers(self) -> None:
        """See `Entrance`."""
        for scope in self._publishing:
            scope.cancel()

    async def _unless_closed(self, route: str, frames: Sequence[Frame]) -> None:
        """Publish from outside; who waits for room when it is closed does not wait for a reader that will not come."""
        self._refuse_if_closed()
        with trio.CancelScope() as scope:
            self._publishing.add(scope)
            try:
                await self._publish(route, frames)
            finally:
                self._publishing.discard(scope)
        if scope.cancelled_caught:
            self._refuse_if_closed()

    async def _publish(self, route: str, frames: Sequence[Frame]) -> None:
        self.publishers += 1
        try:
            result = await self._provider.publish_batch(self._queues[route], frames)
            for error in result.errors.values():
                raise error
            self._relay.published += len(frames)
        finally:
            self.publishers -= 1
            self.stirred.unpark_all()
