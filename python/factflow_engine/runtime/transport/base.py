"""The transport of one execution: what carries frames between its routes and the program around them.

Two implementations: `memory`, where the channels that routes work on are all there is, and `durable`, where those
channels lead to and from a queue provider outside the process. Which one it is, is decided once, by `channels_for`;
everything else asks the transport, and never which one it has.

An execution is wired upwards, each part through its constructor, in an order without a circle:

1. `channels_for(provider, ...)` gives its `Channels`: where a route that is being built finds what it reads and publishes to.
2. Routes are built on these channels, and the loop on the routes (`execution.route_builder`, `hop.loop`).
3. `Channels.transport(...)` makes the `Transport`, which knows the routes, the loop and the execution (as its `Owner`).

The loop works on channels in memory, and on nothing else. In memory they are the provider's own. A durable transport has,
for each queue that a route reads, a `Receiver`, which fills the route's channel; for each queue that its routes publish
to, a `Sender`, which empties a channel into the provider; a `Start`, which publishes the init messages once, whoever
starts the execution; and `States`, what its stages keep.

Invariants, of either transport:

 1. A delivery is acknowledged once its message has ended and everything that had been published by then was accepted.
 2. Between the instant at which `wait_done` sees that nothing is left and its return there is no checkpoint.
 3. Once `close_intake` was called nothing more is received; once `wake_publishers` was, nobody from outside waits for room
    without looking again at whether the execution still takes messages.
 4. Whoever consumes a queue from outside is told of the execution's end, and gets what is left before.

Methods are the loop's and the lifecycle's; users reach them through `execution.orchestrator`.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import trio

from factflow_engine.frames import Frame
from factflow_engine.queues.channel import MemoryChannel
from factflow_engine.runtime.hop.loop import Loop
from factflow_engine.runtime.hop.route_state import Inbound, RouteState
from factflow_engine.runtime.report import ExecutionStatus
from factflow_engine.runtime.stages.stage import Stage
from factflow_engine.runtime.transport.frame_factory import FrameFactory
from factflow_protocols import Begun, Holding, Subscription

if TYPE_CHECKING:
    from factflow_engine.config import InboundConfig, InitMessageConfig, PipelineGlobalConfig


class Owner(Protocol):
    """The execution, as far as its transport knows it."""

    def refuse_if_closed(self) -> None:
        """Raise if no more messages are taken from outside.

        Raises:
            ExecutionClosedError: It is draining, or has ended.
        """
        ...

    def transport_died(self, what: str, error: BaseException) -> None:
        """Note that the execution cannot go on; `what` says what the provider could not do."""
        ...


class Start(Protocol):
    """The way in which an execution is started: with its init messages, or by going on with what is left."""

    @property
    def is_stored(self) -> bool:
        """True if the provider has noted, with the init messages, that stages are to finish."""
        ...

    async def look(self) -> None:
        """See whether messages of an earlier execution of this id are left; to be called before any is carried."""
        ...

    async def begin(self, messages: Sequence[InitMessageConfig]) -> Begun:
        """Publish init messages, unless the execution goes on.

        Cancellation: some may have been published; where others may start the same id, the next one publishes the rest.
        """
        ...

    async def end(self, *, failed: bool) -> None:
        """Have the next execution of this id begin anew, unless something is left for it to go on with.

        To be called when this process has given back what it had; `failed` says that the execution has.
        """
        ...


class States(Protocol):
    """The states that the stages of one execution keep where another process finds them."""

    @property
    def kept(self) -> Container[tuple[str, str]]:
        """Route id and name of each stage of which others have left effects that nobody has spoken for."""
        ...

    @property
    def idle(self) -> Container[tuple[str, str]]:
        """Route id and name of each stage that others have begun, and that has had no effect."""
        ...

    @property
    def is_last(self) -> bool:
        """True if this process speaks for all at the end."""
        ...

    @property
    def is_handed_over(self) -> bool:
        """True if another process does."""
        ...

    @property
    def is_forgotten(self) -> bool:
        """True if everything is said, and nothing is kept any more."""
        ...

    @property
    def discards(self) -> bool:
        """True if stages may remove what they have stored, once the execution has completed: nobody goes on with it."""
        ...

    def restore(self) -> None:
        """Give the stages what was found, once they are open.

        Raises:
            ExecutionStartError: A stage cannot take it.
        """
        ...

    async def opened(self) -> None:
        """Let other processes take part, now that the stages are open."""
        ...

    async def begin(self, *, is_stored: bool) -> None:
        """Note that this process has begun the execution: its stages finish even if they never have a message.

        Args:
            is_stored: True if the provider knows already.

        Raises:
            FaultError: The provider failed.
        """
        ...

    async def conclude(self) -> None:
        """Find out who speaks for all at the end; sets `is_last` or `is_handed_over`, or waits a little for others."""
        ...

    async def forget(self) -> None:
        """Keep nothing any more, for everything is said; `is_last` is false then if another process has left something."""
        ...

    def words_id(self, stage: Stage, payload: bytes) -> bytes | None:
        """Return the id of what a stage says at its end, the same if it says it again; None for a new one."""
        ...


class Stuck(NamedTuple):
    """Something that a provider has not done.

    Attributes:
        where: The key of `Transport.counts` that has not changed.
        text: For people.
        is_waiting: True if somebody else may merely take long.
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
        """True if messages wait with a provider, so that something may be left to do when nothing is left here."""
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
        """Ids of the routes of each cycle whose queues have a bound, and so may have to go beyond it."""
        ...

    @property
    def is_discarded(self) -> bool:
        """True if the queues are gone, and with them what could be read."""
        ...

    def targets(self, queue: str) -> list[MemoryChannel]:
        """Return the channels that a message published to a queue goes to; a live view."""
        ...

    def inbound(self, route: str, section: InboundConfig) -> Inbound:
        """Return what a route reads; it exists from then on and keeps what is published to it."""
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
        """Return the transport that leads to and from these channels; nothing is subscribed yet.

        Args:
            routes: Upstream first.
            loop: Carries their messages.
            frames: Makes the frames of messages that are published.
            owner: The execution.
            asked_ns: When the start was asked for (see `ExecutionStarts`); None if no other execution has the id.
            config: What is run.
        """
        ...

    def discard(self) -> None:
        """Forget the queues, as far as they die with the execution."""
        ...


class Transport(Protocol):
    """The carrier of frames between the routes of one execution and the program around them."""

    @property
    def states(self) -> States:
        """The states that stages keep where another process finds them."""
        ...

    @property
    def start(self) -> Start:
        """The way in which the execution is started."""
        ...

    # -- publishing and consuming from outside -----------------------------------------------------------------------

    def offer(self, route: str, payload: Any, headers: Mapping[str, Any] | None, key: str | None, /) -> str | None:
        """Take a message and return its id, unless there is something to wait for, or to refuse besides the message itself.

        Then return None: `publish` or `publish_nowait` says what it is.

        Raises:
            CodecError: The payload, the headers or the key is nothing that a message can carry.
        """
        ...

    def close_entrance(self) -> None:
        """Take no more offers, because messages are not taken any more."""
        ...

    async def publish(self, route: str, frame: Frame) -> None:
        """Take a message, waiting for room.

        Raises:
            ExecutionClosedError: Nothing is taken any more.
        """
        ...

    def publish_nowait(self, route: str, frame: Frame) -> None:
        """Take a message.

        Raises:
            ExecutionClosedError: Nothing is taken any more.
            QueueFullError: There is no room.
            QueueError: Taking one takes time.
        """
        ...

    async def publish_batch(
        self,
        route: str,
        payloads: Sequence[Any],
        headers: Mapping[str, Any] | None,
        keys: Sequence[str | None] | None,
    ) -> tuple[str, ...]:
        """Take messages in their order, waiting for room; return their ids. Headers are for all, keys one for each.

        Cancellation: the first messages may have been published.
        """
        ...

    @property
    def publishers(self) -> int:
        """Tasks that are still publishing."""
        ...

    @property
    def stirred(self) -> trio.lowlevel.ParkingLot:
        """A lot whose waiters are told when one of the publishers went on."""
        ...

    def wake_publishers(self) -> None:
        """Have those that wait for room look again at whether messages are still taken."""
        ...

    def subscribe(
        self, queue: str, subscription: str, prefetch: int, capacity: int | None
    ) -> AbstractAsyncContextManager[Subscription]:
        """Consume a queue of the execution from outside, until that has ended and nothing is left."""
        ...

    # -- life --------------------------------------------------------------------------------------------------------

    async def open(self, nursery: trio.Nursery) -> None:
        """Subscribe, and carry from then on, in the nursery, until `end` is called, which must be.

        Raises:
            QueueError: A subscription could not be made.

        Cancellation: only until it returns; then the end is `end`.
        """
        ...

    async def join(self) -> bool:
        """Take part in what other processes of this id do, before stages are opened; return True if it goes on.

        Raises:
            ExecutionStartError: A stage of which something is kept is none of this configuration's.
            QueueError: The provider does not answer as it should.
        """
        ...

    def use(self) -> None:
        """Note that what is received is carried from now on; `end` follows."""
        ...

    def close_intake(self) -> None:
        """Receive nothing more; what has not begun stays where it came from."""
        ...

    async def wait_done(self) -> int:
        """Return when nothing is left to do in the loop or outside, and how many messages stay for another execution.

        None do, unless the intake was closed. Nothing is awaited between the last look and the return.
        """
        ...

    @property
    def is_done(self) -> bool:
        """True if nothing is left to do in this instant; a provider elsewhere has to be asked, so that nobody can say so."""
        ...

    async def wait_settled(self) -> None:
        """Return when no stage is asked any more for what it keeps: then it may close."""
        ...

    def end(self, status: ExecutionStatus, *, has_lived: bool) -> None:
        """Come to an end: give back what is unsettled, and leave the queues as the next execution of this id needs them.

        Args:
            status: The execution's, which has no more to do.
            has_lived: True if the routes began: what it ends with is its own.
        """
        ...

    def close(self) -> None:
        """Tell whoever consumes from outside that the execution has ended."""
        ...

    # -- what is said of it ------------------------------------------------------------------------------------------

    async def holdings(self) -> Iterable[Holding]:
        """Return what holds messages of this id outside the process, if an earlier execution may have left them there."""
        ...

    @property
    def reads(self) -> Sequence[tuple[str, str]]:
        """Queue and subscription of each route, as a provider elsewhere has them."""
        ...

    @property
    def publishes_to(self) -> Sequence[str]:
        """The queues that routes publish to, as a provider elsewhere has them."""
        ...

    def backlog(self, route: str) -> int:
        """Return how many messages wait for a route outside, as far as is known."""
        ...

    @property
    def is_empty(self) -> bool:
        """True if nothing is on its way to a route or from one."""
        ...

    def unaccepted(self) -> Mapping[str, int]:
        """Return how many messages a provider has not taken, by queue; what led to them is not acknowledged."""
        ...

    def counts(self) -> Mapping[object, int]:
        """Return what a provider has done, by who has asked it; see `stuck`."""
        ...

    def stuck(self, still: Container[object]) -> Iterable[Stuck]:
        """Return what a provider has not done, given whose counts have not changed for a while."""
        ...
