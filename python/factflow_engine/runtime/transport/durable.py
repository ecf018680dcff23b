"""Between an execution's loop and a queue provider outside the process.

The loop works on channels in memory, and on nothing else. An execution whose queues are a provider's has, for each queue
that a route reads, an `Intake`, which fills the route's channel; and for each queue that its routes publish to, an
`Outbox`, whose channel is emptied into the provider. A delivery is acknowledged once its message has ended and everything
that had been published by then was accepted: if the process dies before, the message comes again, and what it leads to
has the same ids as before.

Per message this is an entry in a journal (native) and in a table; receiving, publishing and acknowledging go by the
batch, which grows by itself while the provider is busy.
"""

import logging
from collections.abc import Awaitable, Callable, Container, Iterator, Mapping, Sequence
from typing import Final, Protocol

import trio

from factflow_engine.errors import describe
from factflow_engine.frames import Frame
from factflow_engine.native import Journal
from factflow_engine.queues.memory import DEFAULT_CAPACITY, MemoryChannel, as_frame
from factflow_engine.runtime.hop.loop import Loop
from factflow_engine.runtime.hop.route_state import RouteState
from factflow_engine.runtime.stages.isolation import FaultError, contained
from factflow_engine.runtime.transport.states import KeepingError, RouteStates, StageStates
from factflow_protocols import (
    Delivery,
    IsolatingSubscription,
    OrderedQueueProtocol,
    QueueError,
    QueueProtocol,
    Subscription,
)

logger = logging.getLogger("factflow_engine.runtime")

BATCH: Final = 1_000
"""Messages published at a time, at most."""

FLUSH_SECONDS: Final = 2.0
"""How long the end of an execution waits for what is on its way to the provider. What is late comes again."""

POLL_SECONDS: Final = 0.25
"""How soon it is noticed that another process has done the rest of a queue."""

ANSWERS: Final = "answers"
DELIVERIES: Final = "deliveries"
"""What a provider owes to the execution as a whole, where it is counted what it does."""

HELD: Final = 1_000
"""Messages that have ended and whose acknowledgements are held together, at the most, beside those of the prefetch."""

UNBOUNDED: Final = 1 << 40
"""Capacity of the queues of a cycle: on disk it may grow, and so cannot wait for itself."""


class Lines(Protocol):
    """Where routes find the channels that they read and publish to; all names are a provider's."""

    def targets(self, queue: str) -> list[MemoryChannel]:
        """The channels that a message published to this queue goes to; a live view."""
        ...

    def channel(
        self, queue: str, subscription: str, capacity: int | None = None, *, prefetch: int = 1
    ) -> MemoryChannel:
        """The channel that a route reads."""
        ...


class Outbox:
    """What is on its way to one queue of the provider.

    Attributes:
        channel: Where routes put it.
        accepted: How many messages the provider has taken.
    """

    def __init__(self, queue: str, changed: Callable[[], None]) -> None:
        self.queue: Final = queue
        self.channel: Final = MemoryChannel(queue, DEFAULT_CAPACITY)
        self._changed = changed
        self._arrived = trio.lowlevel.ParkingLot()
        self._progress = trio.lowlevel.ParkingLot()
        self._taken = 0  # from the channel, since the beginning
        self.accepted = 0  # by the provider
        self.channel.listen(self._tell)

    @property
    def is_empty(self) -> bool:
        """True if everything was accepted."""
        return not self.under_way

    @property
    def under_way(self) -> int:
        """How many messages were not accepted yet."""
        return self.channel.waiting + self._taken - self.accepted

    async def run(self, provider: QueueProtocol) -> None:
        """Publish what comes.

        Raises:
            QueueError: The provider refused a message, or cannot go on.

        Cancellation: what was not accepted is lost here, and is published again when its cause comes again.
        """
        while True:
            while not self.channel.waiting:
                self.channel.armed = True
                await self._arrived.park()
            self.channel.armed = False  # it is looked at again anyway
            frames: list[Frame] = []
            while len(frames) < BATCH and (frame := self.channel.take()) is not None:
                frames.append(frame)
            self._taken += len(frames)
            result = await provider.publish_batch(self.queue, frames)
            for error in result.errors.values():
                raise error
            self.accepted += len(frames)
            self._progress.unpark_all()
            self._changed()

    def _tell(self) -> None:
        self._arrived.unpark_all()

    async def flush(self) -> None:
        """Return when everything that has been added by now was accepted."""
        mark = self._taken + self.channel.waiting
        while self.accepted < mark:
            await self._progress.park()


class Intake:
    """What was received from one queue for one route, and is not settled."""

    def __init__(
        self, queue: str, subscription: str, *, capacity: int | None, prefetch: int, changed: Callable[[], None]
    ) -> None:
        self.queue: Final = queue
        self.subscription: Final = subscription
        self.inbound: Final = MemoryChannel(queue, prefetch)
        self.capacity = capacity
        self.outboxes: Sequence[Outbox] = ()
        self.received = 0
        self.settled = 0
        self.take_in: Callable[[Frame], None] = self.inbound.append
        self.counts_deliveries = False  # a message that was handed out too often is given up
        self.states: RouteStates | None = None  # what the route's stages keep, if they do
        self._left: int | None = None  # what the provider held when it was asked last, once nothing more is received
        self._let_go = 0  # received, and given back without having begun
        self._prefetch = prefetch
        self._changed = changed
        self._ended = trio.lowlevel.ParkingLot()
        self._journal = Journal(self._ended.unpark_all)
        self._held: dict[bytes, list[Delivery]] = {}  # by message; a copy of one is settled with it
        self._done: dict[bytes, list[Delivery]] = {}  # has ended, and its acknowledgement is held
        self._returned: dict[bytes, list[Delivery]] = {}  # let go, and the provider's again when the subscription ends
        self._is_urgent = False  # acknowledgements are held no longer
        self._room = trio.lowlevel.ParkingLot()
        self._settling = 0
        self._receiving = trio.CancelScope()
        self._subscription: Subscription | None = None
        self.inbound.journal = self._journal

    @property
    def is_empty(self) -> bool:
        """True if nothing that was received is left to be carried or acknowledged."""
        return not (self._held or self._done or self._settling or len(self._journal))

    @property
    def is_settling(self) -> bool:
        """True if the provider is being told what has ended; before that, what it led to must be accepted."""
        return self._settling > 0 and all(outbox.is_empty for outbox in self.outboxes)

    @property
    def is_subscribed(self) -> bool:
        """True if it has begun."""
        return self._subscription is not None

    @property
    def backlog(self) -> int:
        """How many more messages could be received, as far as the provider has said."""
        known = self._let_go + (0 if self._subscription is None else self._subscription.statistics().waiting or 0)
        return known if self._left is None else min(known, self._left)

    async def depth(self) -> int:
        """How many messages the provider holds for the route."""
        depth = 0 if self._subscription is None else await self._subscription.depth()
        if self._receiving.cancel_called:
            self._left = depth
        return depth

    def close(self) -> None:
        """Receive nothing more, and let go what was received and has not begun; it is given back in the end."""
        self._receiving.cancel()
        for frame in self.inbound.frames():
            copies = self._held.pop(frame.message_id, [])
            self._let_go += len(copies)
            if self.states is not None and copies:
                self._returned[frame.message_id] = copies
        self.inbound.clear()

    def hurry(self) -> None:
        """Hold no acknowledgement any longer than it takes to store it."""
        if self._done or len(self._journal):
            self._is_urgent = True
            self._ended.unpark_all()

    async def run(
        self, provider: QueueProtocol, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Subscribe, report started, then receive and acknowledge.

        Raises:
            QueueError: The subscription is broken.

        Cancellation: what is unsettled is given back.
        """
        prefetch = self._prefetch + (HELD if self.states is not None and self.states.holds else 0)
        subscribe = provider.subscribe
        if self.inbound.ordered and isinstance(provider, OrderedQueueProtocol):
            subscribe = provider.subscribe_in_order
        async with (
            subscribe(self.queue, self.subscription, prefetch, self.capacity) as subscription,
            trio.open_nursery() as nursery,
        ):
            self._subscription = subscription
            if self.counts_deliveries and isinstance(subscription, IsolatingSubscription):
                subscription.isolate_suspects()
            task_status.started()
            nursery.start_soon(self._receive, subscription)
            await self._acknowledge(subscription)

    async def _receive(self, subscription: Subscription) -> None:
        with self._receiving:
            while True:
                room = self._prefetch
                if self.states is not None and self.states.holds:
                    # The provider counts what is held, too.
                    while len(self._held) >= self._prefetch:
                        await self._room.park()
                    room -= len(self._held)
                deliveries = await subscription.receive(room)
                if self.states is not None:
                    await self.states.load([as_frame(delivery.message).message_id for delivery in deliveries])
                for delivery in deliveries:
                    frame = as_frame(delivery.message)
                    copies = self._held.setdefault(frame.message_id, [])
                    copies.append(delivery)
                    if len(copies) == 1:
                        self.received += 1
                        self.take_in(frame)

    async def _acknowledge(self, subscription: Subscription) -> None:
        while True:
            while not len(self._journal):
                await self._ended.park()
            self._take_ended()
            if self.states is not None and self.states.holds:
                await self._hold(self.states.seconds)
            done, self._done = self._done, {}
            self._settling = sum(map(len, done.values()))
            for outbox in self.outboxes:
                await outbox.flush()
            if done and self.states is None:
                await subscription.settle([delivery for copies in done.values() for delivery in copies])
            elif done and self.states is not None:
                await self.states.settle(subscription, done, self._held | self._returned)
            self.settled += self._settling
            self._settling = 0
            self._changed()

    def _take_ended(self) -> None:
        for identity in self._journal.take():
            copies = self._held.pop(identity, None)
            if copies is not None:
                self._done.setdefault(identity, []).extend(copies)
        self._room.unpark_all()

    async def _hold(self, seconds: float) -> None:
        """Let more messages end, for so long, until there are enough, or until it is urgent."""
        with trio.move_on_after(seconds):
            while self._done and len(self._done) < HELD and not self._is_urgent:
                await self._ended.park()
                self._take_ended()
        self._take_ended()
        self._is_urgent = False


class _Patience:
    """Is over when a relay has made no progress for twice as long as it takes to notice what others do."""

    def __init__(self, relay: "Relay") -> None:
        self._relay = relay
        self._progress = relay.progress
        self._since = trio.current_time()

    @property
    def is_over(self) -> bool:
        """To be asked repeatedly."""
        if self._progress != self._relay.progress:
            self._progress, self._since = self._relay.progress, trio.current_time()
        return trio.current_time() - self._since >= 2 * POLL_SECONDS


class Relay:
    """All intakes and outboxes of one execution. See `Lines` for `targets` and `channel`."""

    def __init__(self, provider: QueueProtocol, *, on_death: Callable[[str, BaseException], None]) -> None:
        """Prepare; nothing is subscribed yet.

        Args:
            provider: Whose queues they are.
            on_death: Told, with what has died, that the execution cannot go on.
        """
        self._provider = provider
        self._on_death = on_death
        self._outboxes: dict[str, Outbox] = {}
        self._intakes: list[Intake] = []
        self._upstream_first: list[Intake] = []
        self._by_channel: dict[int, Intake] = {}
        self._changes = trio.lowlevel.ParkingLot()
        self._end = trio.Event()
        self._settled = trio.Event()  # nothing is acknowledged any more
        self._is_used = False  # what is received is carried
        self._last: tuple[str, Callable[[], Awaitable[None]]] | None = None  # to be done in the end, and its name
        self._closed = False  # nothing more is received
        self._broken = False  # the provider failed: nothing more will arrive there
        self.published = 0  # by the execution's own publishers, accepted
        self._left = 0  # with the provider, as it has answered who waits for the end
        self._answers = 0
        self._asking = False
        self._states = StageStates(None, "", (), seconds=0.0, flush_seconds=0.0)

    def targets(self, queue: str) -> list[MemoryChannel]:
        """See `Lines.targets`."""
        if queue not in self._outboxes:
            self._outboxes[queue] = Outbox(queue, self._changed)
        return [self._outboxes[queue].channel]

    def channel(
        self, queue: str, subscription: str, capacity: int | None = None, *, prefetch: int = 1
    ) -> MemoryChannel:
        """See `Lines.channel`."""
        intake = Intake(queue, subscription, capacity=capacity, prefetch=prefetch, changed=self._changed)
        self._intakes.append(intake)
        self._by_channel[id(intake.inbound)] = intake
        return intake.inbound

    def keep(self, states: StageStates) -> None:
        """Learn of what stages keep, before it runs."""
        self._states = states

    def attach(
        self, route: RouteState, *, in_cycle: bool, take_in: Callable[[Frame], None], states: RouteStates | None
    ) -> None:
        """Learn of a route, upstream ones first.

        Args:
            route: The route's.
            in_cycle: True if what it reads may wait for what it publishes.
            take_in: What to do with a message that was received for it.
            states: What its stages keep, if they do.
        """
        channels = [channel for outbound in route.outbounds for channel in outbound.channels]
        if route.dead_letters is not None:
            channels += route.dead_letters.channels
        intake = self._by_channel[id(route.inbound)]
        self._upstream_first.append(intake)
        intake.take_in = take_in
        intake.counts_deliveries = route.max_deliveries is not None
        intake.states = states
        if route.inbound.ordered and not isinstance(self._provider, OrderedQueueProtocol):
            logger.warning(
                "route %r orders messages by key, and its queue provider, %s, cannot keep that order among several "
                "processes, or when a process has died; within this process it holds",
                route.id,
                type(self._provider).__name__,
            )
        intake.outboxes = tuple(self._outboxes[channel.owner] for channel in dict.fromkeys(channels))
        if in_cycle:
            intake.capacity = UNBOUNDED

    @property
    def reads(self) -> Sequence[tuple[str, str]]:
        """Queue and subscription of each route, as the provider has them."""
        return [(intake.queue, intake.subscription) for intake in self._intakes]

    @property
    def publishes_to(self) -> Sequence[str]:
        """The queues that routes publish to, as the provider has them."""
        return list(self._outboxes)

    def backlog(self, route: RouteState) -> int:
        """How many messages wait for a route outside, as far as is known."""
        return self._by_channel[id(route.inbound)].backlog

    # -- life ------------------------------------------------------------------------------------------------------

    @trio.lowlevel.enable_ki_protection
    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Subscribe, report started, and relay until `end` is called, which must be.

        What is on its way then has `FLUSH_SECONDS` to arrive.

        Raises:
            QueueError: A subscription could not be made.

        Cancellation: only until it has started; then the end is `end`.
        """
        try:
            await self._run(task_status)
        finally:
            self._settled.set()

    async def _run(self, task_status: trio.TaskStatus[None]) -> None:
        problem: QueueError | None = None
        with trio.CancelScope() as life:
            async with trio.open_nursery() as nursery:
                try:
                    for intake in self._intakes:
                        await nursery.start(self._subscribed, intake)
                except QueueError as error:
                    problem = error
                else:
                    # Who starts it may have been cancelled meanwhile, and would wait for an end that nobody asks for.
                    await trio.lowlevel.checkpoint_if_cancelled()
                    life.shield = True  # from here on it ends by `end`, after those who publish
                    for outbox in self._outboxes.values():
                        nursery.start_soon(self._guarded, f"publishing to {outbox.queue!r}", outbox.run(self._provider))
                    nursery.start_soon(self._guarded, "keeping the states of stages", self._states.beat())
                    task_status.started()
                    await self._end.wait()
                    self.close_intake()
                    with trio.move_on_after(FLUSH_SECONDS) as flushing:
                        await self._flushed()
                    if flushing.cancelled_caught:
                        self._name_flushes()
                nursery.cancel_scope.cancel()
            self._settled.set()
            await self._leave()
            if self._last is not None and not self._broken:
                await self._do_last(*self._last)
        if problem is not None:
            raise problem

    def _name_flushes(self) -> None:
        """Tell of the stages that are given up, in the middle of making effects durable."""
        for intake in self._intakes:
            if intake.states is not None and intake.states.flushing is not None:
                problem = (
                    f"it did not return within {FLUSH_SECONDS:g} s of the end; the messages that it covers are not "
                    "acknowledged, and come again"
                )
                self._died(intake.states.flushing, TimeoutError(problem))

    async def _leave(self) -> None:
        """Leave what stages keep to the next process; one that cannot be told waits for the end of the lease."""
        with trio.move_on_after(FLUSH_SECONDS):
            await self._guarded("leaving the states of stages", self._states.leave())

    async def _do_last(self, what: str, call: Callable[[], Awaitable[None]]) -> None:
        """Nobody outside can cancel the end, so that it must not wait for ever for a provider that does not answer."""
        with trio.move_on_after(FLUSH_SECONDS) as waiting:
            try:
                await contained(call())
            except FaultError as fault:
                self._died(what, fault.error)
        if waiting.cancelled_caught:
            self._died(what, QueueError(what, f"the provider did not answer within {FLUSH_SECONDS:g} s"))

    def use(self) -> None:
        """Note that what is received is carried from now on; `end` follows."""
        self._is_used = True

    async def wait_settled(self) -> None:
        """Return when no stage is asked any more for what it keeps: then it may close."""
        if self._is_used:
            await self._settled.wait()

    def end(self, *, last: tuple[str, Callable[[], Awaitable[None]]] | None = None) -> None:
        """Come to an end; `last` is what the provider is asked for once all was given back, and what that is called."""
        self._last = last
        self._end.set()

    def close_intake(self) -> None:
        """Receive nothing more; what has not begun stays with the provider."""
        self._closed = True
        for intake in self._intakes:
            intake.close()
        self._changed()

    async def depth(self) -> int:
        """How many messages the provider holds for the execution's routes; never none while there are some.

        Another process may carry a message on from route to route meanwhile: it is met further down, if not here.
        """
        self._asking = True
        try:
            return sum([await intake.depth() for intake in self._upstream_first])
        finally:
            self._asking = False
            self._answers += 1

    def counts(self) -> Mapping[object, int]:
        """What the provider has done, by who has asked it; see `stuck`."""
        counts: dict[object, int] = {outbox: outbox.accepted for outbox in self._outboxes.values()}
        counts |= {intake: intake.settled for intake in self._intakes}
        return counts | {ANSWERS: self._answers if self._asking else -1, DELIVERIES: self._moves()}

    def stuck(self, still: Container[object]) -> Iterator[tuple[object, str]]:
        """What the provider has not done, given whose counts have not changed for a while: who has asked, and a text."""
        for outbox in self._outboxes.values():
            if outbox.under_way and outbox in still:
                problem = "which is full, or whose provider does not answer"
                yield outbox, f"{outbox.under_way} messages are not accepted by {outbox.queue!r}, {problem}"
        for intake in self._intakes:
            if intake.is_settling and intake in still:
                yield intake, f"the provider does not answer what is acknowledged of {intake.queue!r}"
        if self._asking and ANSWERS in still:
            yield ANSWERS, "the provider does not answer how many messages are left"
        elif self._left and self.is_empty and not self._closed and DELIVERIES in still:
            yield DELIVERIES, f"the provider hands out none of its {self._left} messages, unless to other consumers"

    async def wait_done(self, loop: Loop) -> int:
        """Return when the execution has nothing left to do; how many messages stay with the provider.

        None do, unless the intake was closed. Nothing is awaited between the last look and the return. Does not return
        when the provider has failed: the execution has been told, and ends otherwise.

        Once the intake is closed, what this execution's own queues have no room for is not waited for: nobody here makes
        room any more. It comes again with its cause.
        """
        patience = _Patience(self)
        while True:
            if loop.is_idle and not any(intake.backlog for intake in self._intakes):
                self._hurry()  # else it would wait for company that may not come
            moves = self._moves()
            gives_up = self._closed and loop.waits_for(self._shut_channels()) and self._waits_for_itself()
            if not self._broken and (self._is_done(loop) or (gives_up and patience.is_over)):
                try:
                    depth = self._left = await contained(self.depth())
                except FaultError as fault:
                    self._died("asking what is left", fault.error)
                    continue
                if moves != self._moves() or not (gives_up or self._is_done(loop)):
                    continue
                if self._closed or not depth:
                    return depth
            with trio.move_on_after(POLL_SECONDS):
                await self._changes.park()

    def unaccepted(self) -> Mapping[str, int]:
        """How many messages the provider has not taken, by queue; what led to them is not acknowledged."""
        return {queue: outbox.under_way for queue, outbox in self._outboxes.items() if outbox.under_way}

    @property
    def progress(self) -> tuple[int, int]:
        """How many messages were accepted and how many deliveries settled, all in all."""
        return (
            sum(outbox.accepted for outbox in self._outboxes.values()),
            sum(intake.settled for intake in self._intakes),
        )

    def _shut_channels(self) -> frozenset[int]:
        """The channels to queues that only this execution reads, as far as it knows, and does not any more; by identity."""
        own = {intake.queue for intake in self._intakes}
        return frozenset(id(outbox.channel) for queue, outbox in self._outboxes.items() if queue in own)

    def _waits_for_itself(self) -> bool:
        """True if something is under way, and all of it to such queues."""
        shut = self._shut_channels()
        return bool(self.unaccepted()) and all(
            id(outbox.channel) in shut for outbox in self._outboxes.values() if outbox.under_way
        )

    def _is_done(self, loop: Loop) -> bool:
        return loop.is_idle and self.is_empty

    def _moves(self) -> int:
        return self.published + sum(intake.received for intake in self._intakes)

    @property
    def is_empty(self) -> bool:
        """True if nothing is on its way to a route or to the provider."""
        return all(intake.is_empty for intake in self._intakes) and all(
            outbox.is_empty for outbox in self._outboxes.values()
        )

    def _hurry(self) -> None:
        for intake in self._intakes:
            intake.hurry()

    def _changed(self) -> None:
        self._changes.unpark_all()

    async def _flushed(self) -> None:
        patience = _Patience(self)
        self._hurry()
        while not (self.is_empty or self._broken or (self._waits_for_itself() and patience.is_over)):
            with trio.move_on_after(POLL_SECONDS):
                await self._changes.park()

    @trio.lowlevel.enable_ki_protection
    async def _subscribed(
        self, intake: Intake, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Run an intake: a failure before it has subscribed is the starter's, a later one the execution's."""
        try:
            await contained(intake.run(self._provider, task_status=task_status))
        except FaultError as fault:
            error = _alone(fault.error)
            if isinstance(error, KeepingError):
                self._died(error.what, error.error)
            elif intake.is_subscribed:
                self._died(f"the subscription of {intake.queue!r}", error)
            elif isinstance(error, QueueError):
                raise error from None
            else:
                raise QueueError(intake.queue, f"cannot be subscribed: {describe(error)}") from error

    @trio.lowlevel.enable_ki_protection
    async def _guarded(self, what: str, call: Awaitable[None]) -> None:
        try:
            await contained(call)
        except FaultError as fault:  # what ends a relay ends its execution, with its cause
            self._died(what, fault.error)

    def _died(self, what: str, error: BaseException) -> None:
        self._broken = True
        self._on_death(what, _alone(error))
        self._changed()


def _alone(error: BaseException) -> BaseException:
    """What a nursery raised alone in a group."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error
