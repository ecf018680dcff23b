"""Connection of one simulated process to a broker: a queue provider whose calls take time, fail, and die with the process.

Kept separate from the broker, which outlives it.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from types import MappingProxyType
from typing import Final

import trio

from factflow_engine.errors import CodecError
from factflow_engine.frames import Frame
from factflow_engine.queues.channel import as_frame
from factflow_engine.queues.naming import memory_queue_name_problem
from factflow_engine.seams import Randomness
from factflow_engine.testing.simulation.broker.line import Line
from factflow_engine.testing.simulation.broker.mischief import Operation
from factflow_engine.testing.simulation.broker.starts import Starts
from factflow_engine.testing.simulation.broker.states import Owners, Place
from factflow_engine.testing.simulation.broker.store import Store
from factflow_engine.testing.simulation.broker.subscription import BrokerSubscription
from factflow_engine.testing.simulation.faults import FailQueue
from factflow_protocols import (
    BatchResult,
    Begun,
    Conclusion,
    Holding,
    Joined,
    MessageStatus,
    QueueClosedError,
    QueueError,
    QueueMessage,
    StageShape,
    StoredAnswer,
)


class DeadProcessError(QueueError):
    """Call of a simulated process that has died: it has no effect, and nobody is there to be told."""


class Latency:
    """Seconds that calls take, drawn for each.

    Args:
        randomness: A generator of its own.
        bounds: Shortest and longest call, in seconds.
    """

    def __init__(self, randomness: Randomness, bounds: tuple[float, float]) -> None:
        self._randomness = randomness
        self._low, self._high = bounds

    def draw(self) -> tuple[float, float]:
        """Return the seconds until a call has reached the broker, and those until the answer is there."""
        if self._high <= 0:
            return 0.0, 0.0
        seconds = self._randomness.uniform(self._low, self._high)
        request = self._randomness.uniform(0, seconds)
        return request, seconds - request


class BrokerCall:
    """One call of a process; see `subscription.Call` for what the methods do."""

    __slots__ = ("_answer", "_connection", "_fault", "_queue", "_request")

    def __init__(self, connection: "BrokerConnection", queue: str, fault: FailQueue | None) -> None:
        self._connection = connection
        self._queue = queue
        self._fault = fault
        self._request, self._answer = connection.latency.draw()

    @property
    def is_answered(self) -> bool:
        """True unless the answer will be lost."""
        return self._fault is None

    async def requested(self) -> None:
        """Wait until the call has reached the broker."""
        await trio.sleep(self._request)
        await self.unless_dead()
        if self._fault is not None and not self._fault.done:
            raise QueueError(self._queue, f"the simulated broker refused the call: {self._fault!r}")

    async def answered(self) -> None:
        """Wait until the answer is there."""
        if self._answer:
            await trio.sleep(self._answer)
            await self.unless_dead()
        if self._fault is not None:
            raise QueueError(self._queue, f"the simulated broker's answer was lost: {self._fault!r}")

    async def unless_dead(self) -> None:
        """Never return if the process has died while it waited."""
        if self._connection.died_ns is not None:
            await trio.sleep_forever()


class BrokerConnection:
    """Queue provider of one process at a broker; see `factflow_protocols` for the contracts of its methods.

    It is a `QueueProtocol`, an `OrderedQueueProtocol`, a `StateProvider`, an `ExecutionStarts` and a `ResumableStarts`;
    its subscriptions are leasing, isolating, transactional, and store states. Made by `Broker.connect`.

    Attributes:
        process: Number of the process.
        latency: Seconds that its calls take.
        died_ns: Time at which the process died; None while it lives.
    """

    outlives_process: bool = True

    def __init__(
        self, process: int, *, store: Store, owners: Owners, starts: Starts, latency: Latency, url: str
    ) -> None:
        self.process: Final = process
        self.latency: Final = latency
        self.died_ns: int | None = None
        self._store = store
        self._owners = owners
        self._starts = starts
        self._url = url
        self._is_stopped = False
        self._subscriptions: list[BrokerSubscription] = []
        self._sized: set[tuple[str, str]] = set()  # lines whose capacity a consumer of this process has set
        self._forgettable: set[tuple[str, str]] = set()  # lines to be forgotten when no consumer here wants them

    # -- life and death --------------------------------------------------------------------------------------------

    def die(self) -> None:
        """Lose the process: no call of it has an effect from now on, not even one that is on its way.

        Its leases end by themselves, and its subscriptions count as consumers until then.
        """
        if self.died_ns is None and not self._is_stopped:
            self.died_ns = self._store.now_ns()
            for subscription in self._subscriptions:
                subscription.die(self.died_ns)

    def detach(self) -> None:
        """End in an orderly way: give back what is unsettled, and refuse further calls. Idempotent."""
        if self.died_ns is not None or self._is_stopped:
            return
        self._is_stopped = True
        for subscription in self._subscriptions:
            subscription.close("the connection to the simulated broker was stopped")
        for queue in self._store.queues.values():
            queue.room.unpark_all()  # publishers of this process give up

    async def stop(self) -> None:
        """See `QueueProtocol.stop`."""
        await trio.lowlevel.checkpoint()
        self.detach()

    # -- queues ----------------------------------------------------------------------------------------------------

    def validate_name(self, queue: str) -> str | None:
        """See `QueueProtocol.validate_name`; the rules are those of the in-process provider."""
        return memory_queue_name_problem(queue)

    async def publish(self, queue: str, message: QueueMessage) -> MessageStatus:
        """See `QueueProtocol.publish`."""
        result = await self.publish_batch(queue, (message,))
        for error in result.errors.values():
            raise error
        return result.statuses[0]

    async def publish_batch(self, queue: str, messages: Sequence[QueueMessage]) -> BatchResult:
        """See `QueueProtocol.publish_batch`.

        Raises:
            QueueError: Nothing of the batch is stored, unless the answer was lost.
        """
        self._refuse_if_stopped(queue)
        if not messages:
            await trio.lowlevel.checkpoint()
            return BatchResult(statuses=(), errors={})
        call = self.call("publish", queue)
        await call.requested()
        statuses: list[MessageStatus] = []
        errors: dict[int, Exception] = {}
        for place, message in enumerate(messages):
            try:
                [frame] = self.frames(queue, (message,))
                while (status := self._accept(queue, frame)) is None:
                    await self._store.queue(queue).room.park()
                    await call.unless_dead()
            except QueueError as error:
                if isinstance(error, QueueClosedError) and MessageStatus.ACCEPTED not in statuses:
                    raise
                errors[place], status = error, MessageStatus.REFUSED
            statuses.append(status)
        await call.answered()
        return BatchResult(statuses=statuses, errors=errors)

    def _accept(self, queue: str, frame: Frame) -> MessageStatus | None:
        self._refuse_if_stopped(queue)
        return self._store.accept(queue, frame)

    @asynccontextmanager
    async def subscribe(
        self, queue: str, subscription: str, prefetch: int, capacity: int | None = None
    ) -> AsyncIterator[BrokerSubscription]:
        """See `QueueProtocol.subscribe`.

        A topic's subscription stays when its consumers leave, and gets every message from then on.
        """
        consumer = await self._open(queue, subscription, prefetch, capacity, in_order=False)
        try:
            yield consumer
        finally:
            self._close(consumer)

    @asynccontextmanager
    async def subscribe_in_order(
        self, queue: str, subscription: str, prefetch: int, capacity: int | None = None
    ) -> AsyncIterator[BrokerSubscription]:
        """See `OrderedQueueProtocol.subscribe_in_order`; all consumers of the subscription must subscribe this way."""
        consumer = await self._open(queue, subscription, prefetch, capacity, in_order=True)
        try:
            yield consumer
        finally:
            self._close(consumer)

    async def _open(
        self, queue: str, subscription: str, prefetch: int, capacity: int | None, *, in_order: bool
    ) -> BrokerSubscription:
        if prefetch < 1:
            raise ValueError(f"subscribe() needs a prefetch of at least 1, got {prefetch}")
        if capacity is not None and capacity < 1:
            raise ValueError(f"subscribe() needs a capacity of at least 1, got {capacity}")
        self._refuse_if_stopped(queue)
        call = self.call(None, queue)
        await call.requested()
        self._refuse_if_stopped(queue)
        line = self._store.line(queue, subscription)
        name = _name(line)
        if not any(subscription.line is line for subscription in self._subscriptions):
            self._forgettable.discard(name)  # that was asked for earlier, by consumers that have left
        if capacity is not None and name not in self._sized:
            self._sized.add(name)
            line.capacity = capacity
        if in_order:
            line.keep_order()
        consumer = BrokerSubscription(line, prefetch, store=self._store, calls=self, owners=self._owners)
        self._store.attach(line, consumer)
        self._subscriptions.append(consumer)
        try:
            await call.answered()
        except BaseException:
            self._close(consumer)
            raise
        return consumer

    def _close(self, consumer: BrokerSubscription) -> None:
        """End a subscription; that of a dead process stays until its lease has ended."""
        if self.died_ns is None:
            self._subscriptions.remove(consumer)
            consumer.close("its subscription was closed")
            line = consumer.line
            if _name(line) in self._forgettable and not any(each.line is line for each in self._subscriptions):
                self._forgettable.discard(_name(line))
                self._store.forget_left(line)

    async def forget_empty(self, prefix: str) -> None:
        """See `QueueProtocol.forget_empty`; those of this process when it has left them."""
        self._refuse_if_stopped(prefix)
        call = self.call(None, prefix)
        await call.requested()
        wanted = self._store.forget_empty(prefix)
        mine = [subscription.line for subscription in self._subscriptions]
        self._forgettable.update(_name(line) for line in wanted if line in mine)
        await call.answered()

    # -- executions ------------------------------------------------------------------------------------------------

    def instant_ns(self) -> int:
        """See `ExecutionStarts.instant_ns`."""
        return self._store.wall_ns()

    async def begin(
        self,
        execution: str,
        reads: Sequence[tuple[str, str]],
        messages: Sequence[tuple[str, QueueMessage]],
        *,
        asked_ns: int,
        owner: int = 0,
    ) -> Begun:
        """See `ExecutionStarts.begin`."""
        self._refuse_if_stopped(execution)
        frames = [(queue, frame) for queue, message in messages for frame in self.frames(queue, (message,))]
        call = self.call(None, execution)
        await call.requested()
        begun = self._starts.begin(execution, reads, frames, asked_ns=asked_ns, owner=owner)
        await call.answered()
        return begun

    async def end(self, execution: str, reads: Sequence[tuple[str, str]], *, failed: bool = False) -> int:
        """See `ExecutionStarts.end`."""
        self._refuse_if_stopped(execution)
        call = self.call(None, execution)
        await call.requested()
        left = self._starts.end(execution, reads, failed=failed)
        await call.answered()
        return left

    async def holdings(self, execution: str) -> Sequence[Holding]:
        """See `ExecutionStarts.holdings`."""
        self._refuse_if_stopped(execution)
        call = self.call(None, execution)
        await call.requested()
        found = self._store.holdings(execution)
        await call.answered()
        return found

    @property
    def url(self) -> str:
        """See `ResumableStarts.url`."""
        return self._url

    async def can_resume(self, execution: str, *, asked_ns: int) -> bool:
        """See `ResumableStarts.can_resume`."""
        call = self.call(None, execution)
        await call.requested()
        can = self._starts.can_resume(execution, asked_ns=asked_ns)
        await call.answered()
        return can

    @property
    def states(self) -> "BrokerStates":
        """See `StateProvider.states`."""
        return BrokerStates(self, self._owners)

    # -- calls -----------------------------------------------------------------------------------------------------

    def call(self, operation: Operation | None, queue: str) -> BrokerCall:
        """Begin a call.

        Args:
            operation: Operation that faults may hit; None for another one.
            queue: Name of the queue, for errors.

        Raises:
            DeadProcessError: The process is dead.
        """
        if self.died_ns is not None:
            raise DeadProcessError(queue, f"process {self.process} has died in the simulation")
        return BrokerCall(self, queue, None if operation is None else self._store.mischief.of_call(operation, queue))

    def frames(self, queue: str, messages: Sequence[QueueMessage]) -> list[Frame]:
        """Return messages as they are stored.

        Raises:
            QueueError: One does not encode to a frame.
        """
        try:
            return [as_frame(message) for message in messages]
        except CodecError as error:
            self._store.note("refused", queue, None, str(error))
            raise QueueError(queue, f"a message does not encode to a frame: {error}") from error

    def _refuse_if_stopped(self, queue: str) -> None:
        if self._is_stopped:
            raise QueueClosedError(queue, "the connection to the simulated broker was stopped")


def _name(line: Line) -> tuple[str, str]:
    return line.queue, line.subscription


class BrokerStates:
    """Store of states of stages, for one process; see `factflow_protocols.StateProtocol` for the contracts."""

    def __init__(self, connection: BrokerConnection, owners: Owners) -> None:
        self._connection = connection
        self._owners = owners

    @property
    def lease_seconds(self) -> float:
        """See `StateProtocol.lease_seconds`."""
        return self._owners.lease_ns / 1e9

    async def join(
        self,
        execution: str,
        stages: Sequence[Place],
        *,
        opens: bool = False,
        shapes: Mapping[Place, StageShape] = MappingProxyType({}),
    ) -> Joined:
        """See `StateProtocol.join`."""
        call = self._connection.call(None, execution)
        await call.requested()
        joined = self._owners.join(execution, stages, opens=opens, shapes=shapes)
        await call.answered()
        return joined

    async def opened(self, execution: str, owner: int) -> None:
        """See `StateProtocol.opened`."""
        call = self._connection.call(None, execution)
        await call.requested()
        self._owners.opened(execution, owner)
        await call.answered()

    async def begin(self, execution: str, owner: int) -> None:
        """See `StateProtocol.begin`."""
        call = self._connection.call(None, execution)
        await call.requested()
        self._owners.begin(execution, owner)
        await call.answered()

    async def renew(self, execution: str, owner: int) -> None:
        """See `StateProtocol.renew`."""
        call = self._connection.call(None, execution)
        await call.requested()
        self._owners.renew(execution, owner)
        await call.answered()

    async def answers(self, execution: str, route: str, roots: Sequence[bytes]) -> Sequence[StoredAnswer]:
        """See `StateProtocol.answers`."""
        call = self._connection.call(None, execution)
        await call.requested()
        found = self._owners.answers(execution, route, roots)
        await call.answered()
        return found

    async def conclude(self, execution: str, owner: int, seen: Mapping[int, int]) -> Conclusion:
        """See `StateProtocol.conclude`."""
        call = self._connection.call(None, execution)
        await call.requested()
        conclusion = self._owners.conclude(execution, owner, seen)
        await call.answered()
        return conclusion

    async def leave(self, execution: str, owner: int) -> None:
        """See `StateProtocol.leave`."""
        call = self._connection.call(None, execution)
        await call.requested()
        self._owners.leave(execution, owner)
        await call.answered()

    async def forget(self, execution: str, owner: int) -> bool:
        """See `StateProtocol.forget`."""
        call = self._connection.call(None, execution)
        await call.requested()
        forgotten = self._owners.forget(execution, owner)
        await call.answered()
        return forgotten
