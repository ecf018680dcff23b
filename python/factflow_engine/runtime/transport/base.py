"""Transport of one execution: carries frames between its routes and the outside.

Two implementations: `memory`, where routes work directly on the provider's channels, and `durable`, where channels in
memory are connected with a queue provider outside the process. `channels_for` decides once which one is used;
everything else works through the protocol.

Parts of an execution are wired upwards, each through its constructor, in an order without a cycle:

1. `channels_for(provider, ...)` makes the `Channels`, in which a route under construction finds its inbound and
outbound channels.
2. Routes are built on these channels, and the loop on the routes (`execution.route_builder`, `hop.loop`).
3. `Channels.transport(...)` makes the `Transport`, which knows the routes, the loop and the execution (as its `Owner`).

The loop works only on channels in memory. The memory transport uses the provider's own. A durable transport has, for
each queue that a route reads, a `Receiver`, which fills the route's channel; for each queue that its routes publish to,
a `Sender`, which empties a channel into the provider; a `Start`, which publishes the init messages once, whichever
process starts the execution; and `States`, the states of its stages.

Invariants of both transports:

 1. A delivery is acknowledged once its message has ended and everything that had been published by then was accepted, or
    in one step with that.
 2. Between the check in `wait_done` that nothing is left and its return there is no checkpoint.
 3. After `close_intake` nothing more is received; after `wake_publishers` every outside publisher that waits for room
    checks again whether the execution still takes messages.
 4. Outside consumers of a queue receive the remaining messages, then the execution's end.

The loop and the lifecycle call these methods; users reach them through `execution.orchestrator`.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import trio

from factflow_engine.frames import Frame
from factflow_engine.queues.channel import MemoryChannel
from factflow_engine.runtime.hop.endpoints import Inbound
from factflow_engine.runtime.hop.loop import Loop
from factflow_engine.runtime.hop.route_state import RouteState
from factflow_engine.runtime.report import ExecutionStatus, Wait
from factflow_engine.runtime.transport.frame_factory import FrameFactory
from factflow_engine.runtime.transport.resumption import Start, States
from factflow_protocols import Holding, Subscription

if TYPE_CHECKING:
    from factflow_engine.config import InboundConfig, PipelineGlobalConfig


class Owner(Protocol):
    """Methods of the execution that its transport calls."""

    def refuse_if_closed(self) -> None:
        """Raise if no more messages are taken from outside.

        Raises:
            ExecutionClosedError: It is draining, or has ended.
        """
        ...

    def transport_died(self, what: str, error: BaseException) -> None:
        """Fail the execution; `what` names the operation that the provider could not do."""
        ...


class Stuck(NamedTuple):
    """Something that a provider has not done.

    Attributes:
        where: Key of `Transport.counts` that has not changed.
        text: Description for people.
        is_waiting: True if another party may merely take long.
    """

    where: object
    text: str
    is_waiting: bool = False


class Channels(Protocol):
    """The channels that the routes of one execution read and publish to; names are the configuration's."""

    @property
    def outlives_process(self) -> bool:
        """True if messages, and what is stored with them, outlive the process."""
        ...

    @property
    def leads_outside(self) -> bool:
        """True if messages wait with a provider, so that work may be left when none is left here."""
        ...

    @property
    def stores_states(self) -> bool:
        """True if the states of stages are stored with acknowledgements."""
        ...

    @property
    def deduplicates(self) -> bool:
        """True if queues refuse an id that they have seen."""
        ...

    @property
    def bounded_cycles(self) -> Sequence[Sequence[str]]:
        """Ids of the routes of each cycle of bounded queues, which may have to exceed their bounds."""
        ...

    @property
    def is_discarded(self) -> bool:
        """True if the queues were deleted, with everything that could be read."""
        ...

    def targets(self, queue: str) -> list[MemoryChannel]:
        """Return the channels to which a queue's messages are appended; a live view."""
        ...

    def inbound(self, route: str, section: InboundConfig) -> Inbound:
        """Return a route's inbound channel; it exists from then on and stores what is published to it."""
        ...

    def transport(
        self,
        routes: Sequence[RouteState],
        *,
        loop: Loop,
        frames: FrameFactory,
        owner: Owner,
        asked_ns: int | None,
        config: PipelineGlobalConfig,
    ) -> Transport:
        """Return the transport of these channels; nothing is subscribed yet.

        Args:
            routes: The routes, upstream first.
            loop: Loop that carries their messages.
            frames: Factory of the frames of published messages.
            owner: The execution.
            asked_ns: Time at which the start was requested (see `ExecutionStarts`); None if no other execution has the
            id.
            config: The configuration that it runs.
        """
        ...

    def discard(self) -> None:
        """Delete the queues, if they end with the execution."""
        ...


class Transport(Protocol):
    """Carrier of frames between the routes of one execution and the outside."""

    @property
    def states(self) -> States:
        """States of the stages, stored where other processes find them."""
        ...

    @property
    def start(self) -> Start:
        """Start of the execution."""
        ...

    # -- publishing and consuming from outside ---------------------------------------------------------------------

    def offer(self, route: str, payload: Any, headers: Mapping[str, Any] | None, key: str | None, /) -> str | None:
        """Accept a message and return its id, if that needs no wait and only the message itself could be refused.

        Otherwise return None: `publish` or `publish_nowait` then waits or raises.

        Raises:
            CodecError: The payload, the headers or the key cannot be carried by a message.
        """
        ...

    def close_entrance(self) -> None:
        """Accept no more offers, because no more messages are accepted."""
        ...

    async def publish(self, route: str, frame: Frame) -> None:
        """Accept a message, waiting for room.

        Raises:
            ExecutionClosedError: Nothing is accepted any more.
        """
        ...

    def publish_nowait(self, route: str, frame: Frame) -> None:
        """Accept a message without waiting.

        Raises:
            ExecutionClosedError: Nothing is accepted any more.
            QueueFullError: There is no room.
            QueueError: Accepting a message always takes time.
        """
        ...

    async def publish_batch(
        self,
        route: str,
        payloads: Sequence[Any],
        headers: Mapping[str, Any] | None,
        keys: Sequence[str | None] | None,
    ) -> tuple[str, ...]:
        """Accept messages in order, waiting for room; return their ids. Headers are for all, keys one for each.

        Cancellation: the first messages may have been published.
        """
        ...

    async def publish_frames(self, route: str, frames: Sequence[Frame]) -> None:
        """Accept messages that have their ids, in order, waiting for room.

        Raises:
            ExecutionClosedError: Nothing is accepted any more; the first ones may have been.

        Cancellation: the first messages may have been published.
        """
        ...

    @property
    def publishers(self) -> int:
        """Number of tasks that are publishing."""
        ...

    @property
    def stirred(self) -> trio.lowlevel.ParkingLot:
        """Parking lot that is unparked when one of the publishers has moved on."""
        ...

    def wake_publishers(self) -> None:
        """Wake publishers that wait for room, so that they check whether messages are still accepted."""
        ...

    def subscribe(
        self, queue: str, subscription: str, prefetch: int, capacity: int | None
    ) -> AbstractAsyncContextManager[Subscription]:
        """Consume a queue of the execution from outside, until that has ended and nothing is left."""
        ...

    # -- lifecycle -------------------------------------------------------------------------------------------------

    async def open(self, nursery: trio.Nursery) -> None:
        """Subscribe, and carry frames in the nursery until `end`, which must be called.

        Raises:
            QueueError: A subscription could not be made.

        Cancellation: only until it returns; then `end` ends it.
        """
        ...

    async def join(self) -> bool:
        """Join other processes of this id, before stages are opened; return True if the execution is resumed.

        Raises:
            ExecutionStartError: A stage with a stored state is not in this configuration.
            QueueError: The provider failed.
        """
        ...

    def use(self) -> None:
        """Note that received messages are carried from now on; `end` follows."""
        ...

    def close_intake(self) -> None:
        """Receive nothing more; messages that have not begun stay where they came from."""
        ...

    async def wait_done(self) -> int:
        """Wait until nothing is left in the loop or outside; return the number of messages left for another execution.

        That number is 0 unless the intake was closed. Nothing is awaited between the last check and the return.
        """
        ...

    @property
    def is_done(self) -> bool:
        """True if nothing is left now; never True if an external provider would have to be asked."""
        ...

    async def wait_settled(self) -> None:
        """Wait until no acknowledgement needs the stages any more, so that they may close."""
        ...

    def end(self, status: ExecutionStatus, *, has_lived: bool) -> None:
        """End: give back unsettled messages, and leave the queues as the next execution of this id needs them.

        Args:
            status: Status of the execution, which has no more to do.
            has_lived: True if the routes have begun: their work belongs to this execution.
        """
        ...

    def close(self) -> None:
        """Notify outside consumers that the execution has ended."""
        ...

    # -- observation -----------------------------------------------------------------------------------------------

    async def holdings(self) -> Iterable[Holding]:
        """Return holders of messages of this id outside the process, if an earlier execution may have left some."""
        ...

    @property
    def reads(self) -> Sequence[tuple[str, str]]:
        """Queue and subscription of each route, by an external provider's names."""
        ...

    @property
    def publishes_to(self) -> Sequence[str]:
        """Queues that routes publish to, by an external provider's names."""
        ...

    def backlog(self, route: str) -> int:
        """Return the number of messages that wait for a route outside, as far as is known."""
        ...

    @property
    def is_empty(self) -> bool:
        """True if nothing is on its way to a route or from one."""
        ...

    def waits(self) -> Iterable[Wait]:
        """Return the messages that a provider does not hand out, as of its last answer; without times outside of trio."""
        ...

    def unaccepted(self) -> Mapping[str, int]:
        """Return the number of messages that a provider has not accepted, by queue; their causes are unacknowledged."""
        ...

    def counts(self) -> Mapping[object, int]:
        """Return counters of a provider's work, by the part that requested it; see `stuck`."""
        ...

    def stuck(self, still: Container[object]) -> Iterable[Stuck]:
        """Return what a provider has not done, given the keys whose counters have not changed for a while."""
        ...
