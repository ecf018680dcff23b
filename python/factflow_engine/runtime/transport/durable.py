"""Durable transport: channels in memory that are connected with a queue provider outside the process.

Outside publishers continue once their message is stored; what routes publish and acknowledge goes through `Links`,
which `Connection` maintains; this module decides when nothing is left.

Kept separate from `memory`, with which it shares only the protocol.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Awaitable, Callable, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Any, Final, TypeVar

import trio

from factflow_engine.frames import Frame
from factflow_engine.runtime.hop.loop import Loop
from factflow_engine.runtime.report import ExecutionStatus, Holder, Wait
from factflow_engine.runtime.stages.isolation import FaultError, contained
from factflow_engine.runtime.transport.base import Owner, Stuck
from factflow_engine.runtime.transport.connection import Connection
from factflow_engine.runtime.transport.frame_factory import FrameFactory
from factflow_engine.runtime.transport.links import POLL_SECONDS, Links, Patience
from factflow_engine.runtime.transport.resumption import Start
from factflow_engine.runtime.transport.scoped_queue import ExecutionScopedQueue
from factflow_engine.runtime.transport.starts import MARKS, MarkedStart, OneStepStart, PlainStart
from factflow_engine.runtime.transport.states import StageStates
from factflow_engine.runtime.transport.subscriptions import Readers, until_ended
from factflow_protocols import (
    ExecutionStarts,
    Holding,
    LeasedElsewhere,
    QueueError,
    QueueProtocol,
    Subscription,
)

logger = logging.getLogger("factflow_engine.runtime")
T = TypeVar("T")

ANSWERS: Final = "answers"
DELIVERIES: Final = "deliveries"
"""Keys of the execution-wide entries of `counts()`."""

ELSEWHERE_SECONDS: Final = 1.0
"""Shortest time between questions about what other consumers have."""


class DurableTransport:
    """See `Transport` for the contract."""

    is_done: bool = False

    def __init__(
        self,
        provider: QueueProtocol,
        scope: ExecutionScopedQueue,
        links: Links,
        *,
        queues: Mapping[str, str],
        loop: Loop,
        frames: FrameFactory,
        owner: Owner,
        states: StageStates,
        asked_ns: int | None,
    ) -> None:
        """Prepare; nothing is subscribed yet.

        Args:
            provider: Provider of the queues.
            scope: The provider, scoped to the execution.
            links: Receivers and senders, with what is on its way.
            queues: Route to the provider's name of its queue.
            loop: Loop that carries the routes' messages.
            frames: Factory of frames.
            owner: The execution.
            states: States of the stages.
            asked_ns: Time at which the start was requested; None if no other execution has the id.
        """
        self.states: Final = states
        self.publishers = 0
        self.stirred: Final = trio.lowlevel.ParkingLot()
        self._provider = provider
        self._scope = scope
        self._links = links
        self._queues = queues
        self._loop = loop
        self._frames = frames
        self._owner = owner
        self._may_go_on = asked_ns is not None  # another execution may have the same id
        self.start: Final = self._start(asked_ns)
        self._readers = Readers()
        self._publishing: set[trio.CancelScope] = set()  # of outside publishers
        self._published = 0  # from outside, accepted
        self._connection = Connection(provider, links, owner=owner, states=states)
        self._left = 0  # messages at the provider, by its last answer while the end was awaited
        self._leased: Mapping[str, LeasedElsewhere] = {}  # by route, by its last answer while the end was awaited
        self._leased_at = -math.inf  # time of that answer, by trio's clock
        self._answers = 0
        self._asking = ""  # what the provider is being asked, for people

    def _start(self, asked_ns: int | None) -> Start:
        if asked_ns is None:
            return PlainStart(self._frames, self._publish_one, self._ask_left)
        if isinstance(self._provider, ExecutionStarts):
            return OneStepStart(
                self._frames,
                self._publish_one,
                self._ask_left,
                starts=self._provider,
                execution=self._scope.prefix,
                reads=self.reads,
                queues=self._queues,
                asked_ns=asked_ns,
                owner=lambda: self.states.owner,
            )
        marks = self._scope.scope_queue(MARKS)
        return MarkedStart(self._frames, self._publish_one, self._ask_left, provider=self._provider, marks=marks)

    # -- publishing and consuming from outside ---------------------------------------------------------------------

    def offer(self, route: str, payload: Any, headers: Mapping[str, Any] | None, key: str | None, /) -> None:
        """See `Transport.offer`; never accepts, because storing takes time."""

    def close_entrance(self) -> None:
        """See `Transport.close_entrance`."""

    async def publish(self, route: str, frame: Frame) -> None:
        """See `Transport.publish`. Cancellation: the message may or may not have been published."""
        await self._publish_unless_closed(route, (frame,))

    def publish_nowait(self, route: str, frame: Frame) -> None:  # noqa: ARG002 - the protocol's signature
        """See `Transport.publish_nowait`; always raises, because storing takes time."""
        raise QueueError(
            self._queues[route], "is stored outside the process, which takes time: use `await publish(...)`"
        )

    async def publish_batch(
        self,
        route: str,
        payloads: Sequence[Any],
        headers: Mapping[str, Any] | None,
        keys: Sequence[str | None] | None,
    ) -> tuple[str, ...]:
        """See `Transport.publish_batch`."""
        frames = self._frames.frames(payloads, headers, keys)
        await self._publish_unless_closed(route, frames)
        return tuple(frame.message_id.hex() for frame in frames)

    async def publish_frames(self, route: str, frames: Sequence[Frame]) -> None:
        """See `Transport.publish_frames`."""
        await self._publish_unless_closed(route, frames)

    def wake_publishers(self) -> None:
        """See `Transport.wake_publishers`."""
        for scope in self._publishing:
            scope.cancel()

    def subscribe(
        self, queue: str, subscription: str, prefetch: int, capacity: int | None
    ) -> AbstractAsyncContextManager[Subscription]:
        """See `Transport.subscribe`."""
        return until_ended(queue, self._scope.subscribe(queue, subscription, prefetch, capacity), self._readers)

    async def _publish_unless_closed(self, route: str, frames: Sequence[Frame]) -> None:
        """Publish from outside; on closing, stop waiting for room: no consumer will make any."""
        self._owner.refuse_if_closed()
        with trio.CancelScope() as scope:
            self._publishing.add(scope)
            try:
                await self._publish(route, frames)
            finally:
                self._publishing.discard(scope)
        if scope.cancelled_caught:
            self._owner.refuse_if_closed()

    async def _publish_one(self, route: str, frame: Frame) -> None:
        await self._publish(route, (frame,))

    async def _publish(self, route: str, frames: Sequence[Frame]) -> None:
        self.publishers += 1
        try:
            result = await self._provider.publish_batch(self._queues[route], frames)
            for error in result.errors.values():
                raise error
            self._published += len(frames)
        finally:
            self.publishers -= 1
            self.stirred.unpark_all()

    # -- lifecycle -------------------------------------------------------------------------------------------------

    async def open(self, nursery: trio.Nursery) -> None:
        """See `Transport.open`."""
        await nursery.start(self._connection.run)

    async def join(self) -> bool:
        """See `Transport.join`."""
        return await self.states.join(self._depth)

    def use(self) -> None:
        """See `Transport.use`."""
        self._connection.use()

    async def wait_settled(self) -> None:
        """See `Transport.wait_settled`."""
        await self._connection.wait_settled()

    def end(self, status: ExecutionStatus, *, has_lived: bool) -> None:
        """See `Transport.end`."""
        last: tuple[str, Callable[[], Awaitable[None]]] | None = None
        if self._may_go_on:  # the id may be another process's, too: its queues are left, though empty
            if has_lived:
                ending = partial(self.start.end, failed=status is ExecutionStatus.FAILED)
                last = ("noting that it has ended", ending)
        elif status is ExecutionStatus.COMPLETED:
            last = ("forgetting its queues", partial(self._provider.forget_empty, self._scope.prefix))
        self._connection.end(last)

    def close(self) -> None:
        """See `Transport.close`."""
        self._readers.end()

    def close_intake(self) -> None:
        """See `Transport.close_intake`."""
        self._connection.close_intake()

    async def wait_done(self) -> int:
        """See `Transport.wait_done`. Does not return after the provider has failed: the execution then ends.

        Once the intake is closed, messages for which this execution's own queues have no room are not awaited: nothing
        makes room any more. They are published again when their cause is delivered again.
        """
        loop, links, patience = self._loop, self._links, Patience(self._links)
        while True:
            if loop.progress.is_idle and not links.have_backlog:
                links.hurry()  # else it would wait for more to come
            moves = self._moves()
            waits = loop.progress.waits_for(links.own_channels())
            gives_up = self._connection.is_closed and waits and links.wait_for_themselves
            if not self._connection.is_broken and (self._is_done_here() or (gives_up and patience.is_over)):
                try:
                    depth = self._left = await contained(self._depth())
                except FaultError as fault:
                    self._connection.died("asking what is left", fault.error)
                    continue
                if moves != self._moves() or not (gives_up or self._is_done_here()):
                    continue
                if self._connection.is_closed or not depth:
                    self._leased = {}
                    return depth
                await self._look_elsewhere()
            else:
                self._leased = {}
            with trio.move_on_after(POLL_SECONDS):
                await self._links.changes.park()

    # -- observation -----------------------------------------------------------------------------------------------

    async def holdings(self) -> Iterable[Holding]:
        """See `Transport.holdings`."""
        if not self._may_go_on or not isinstance(self._provider, ExecutionStarts):
            return ()
        try:
            return await contained(self._provider.holdings(self._scope.prefix))
        except FaultError as fault:
            self._owner.transport_died("asking which queues hold messages", fault.error)
            return ()

    @property
    def reads(self) -> Sequence[tuple[str, str]]:
        """See `Transport.reads`."""
        return [(receiver.queue, receiver.subscription) for receiver in self._links.receivers]

    @property
    def publishes_to(self) -> Sequence[str]:
        """See `Transport.publishes_to`."""
        return [sender.queue for sender in self._links.senders]

    def backlog(self, route: str) -> int:
        """See `Transport.backlog`."""
        return self._links.backlog(route)

    @property
    def is_empty(self) -> bool:
        """See `Transport.is_empty`."""
        return self._links.is_empty

    def waits(self) -> Iterable[Wait]:
        """See `Transport.waits`."""
        past = trio.current_time() - self._leased_at if trio.lowlevel.in_trio_run() else None
        for route, leased in self._leased.items():
            due = leased.next_seconds
            next_seconds = None if due is None or past is None else max(0.0, due - past)
            yield Wait(
                route=route,
                stage="",
                by=Holder.ELSEWHERE,
                reason="",
                messages=leased.messages,
                next_seconds=next_seconds,
            )

    def unaccepted(self) -> Mapping[str, int]:
        """See `Transport.unaccepted`."""
        return self._links.unaccepted()

    def counts(self) -> Mapping[object, int]:
        """See `Transport.counts`."""
        answers = self._answers if self._asking else -1
        return {**self._links.counts(), ANSWERS: answers, DELIVERIES: self._moves()}

    def stuck(self, still: Container[object]) -> Iterator[Stuck]:
        """See `Transport.stuck`."""
        yield from self._links.stuck(still)
        if self._asking and ANSWERS in still:
            yield Stuck(ANSWERS, f"the provider does not answer {self._asking}")
        elif self._left and self.is_empty and not self._connection.is_closed and DELIVERIES in still:
            text = f"the provider hands out none of its {self._left} messages, unless to other consumers"
            yield Stuck(DELIVERIES, text, is_waiting=True)

    # -- helpers ---------------------------------------------------------------------------------------------------

    async def _ask_left(self) -> int:
        """Return the work that an earlier execution of this id has left: messages, and unfinished stages."""
        return self.states.unfinished + await self._depth()

    async def _look_elsewhere(self) -> None:
        """Ask, once a second, for messages that the provider does not hand out."""
        now = trio.current_time()
        if now - self._leased_at < ELSEWHERE_SECONDS:
            return
        try:
            self._leased = await contained(self._ask("what other consumers have", self._links.leased_elsewhere))
        except FaultError as fault:
            self._connection.died("asking what others have", fault.error)
        else:
            self._leased_at = now

    async def _depth(self) -> int:
        """Return the number of messages that the provider has for the execution's routes; see `Links.depth`."""
        return await self._ask("how many messages are left", self._links.depth)

    async def _ask(self, what: str, call: Callable[[], Awaitable[T]]) -> T:
        self._asking = what
        try:
            return await call()
        finally:
            self._asking = ""
            self._answers += 1

    def _is_done_here(self) -> bool:
        return self._loop.progress.is_idle and self._links.is_empty

    def _moves(self) -> int:
        return self._published + self._links.received
