"""Connection of one simulated process to a broker: a queue provider whose calls take time, fail, and die with the process.

Kept separate from the broker, which outlives it.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import trio

from factflow_engine.frames import Frame
from factflow_engine.queues.naming import memory_queue_name_problem
from factflow_engine.testing.simulation.broker.calls import Caller, Latency
from factflow_engine.testing.simulation.broker.line import Line
from factflow_engine.testing.simulation.broker.starts import Starts
from factflow_engine.testing.simulation.broker.state_store import BrokerStates
from factflow_engine.testing.simulation.broker.states import Owners
from factflow_engine.testing.simulation.broker.store import Store
from factflow_engine.testing.simulation.broker.subscription import BrokerSubscription
from factflow_protocols import (
    BatchResult,
    Begun,
    Holding,
    MessageStatus,
    QueueClosedError,
    QueueError,
    QueueMessage,
)


class BrokerConnection:
    """Queue provider of one process at a broker; see `factflow_protocols` for the contracts of its methods.

    It is a `QueueProtocol`, an `OrderedQueueProtocol`, a `StateProvider`, an `ExecutionStarts` and a `ResumableStarts`;
    its subscriptions are leasing, isolating, transactional, and store states. Made by `Broker.connect`.
    """

    outlives_process: bool = True

    def __init__(
        self, process: int, *, store: Store, owners: Owners, starts: Starts, latency: Latency, url: str
    ) -> None:
        self._caller = Caller(process, latency=latency, mischief=store.mischief)
        self._store = store
        self._owners = owners
        self._starts = starts
        self._url = url
        self._is_stopped = False
        self._subscriptions: list[BrokerSubscription] = []
        self._sized: set[Line] = set()  # lines whose capacity a consumer of this process has set
        self._forgettable: set[tuple[str, str]] = set()  # lines to be forgotten when no consumer here wants them

    @property
    def process(self) -> int:
        """Number of the process."""
        return self._caller.process

    # -- life and death --------------------------------------------------------------------------------------------

    def die(self) -> None:
        """Lose the process: no call of it has an effect from now on, not even one that is on its way.

        Its leases end by themselves, and its subscriptions count as consumers until then.
        """
        if self._caller.died_ns is None and not self._is_stopped:
            self._caller.died_ns = now = self._store.now_ns()
            for subscription in self._subscriptions:
                subscription.die(now)

    def detach(self) -> None:
        """End in an orderly way: give back what is unsettled, and refuse further calls. Idempotent."""
        if self._caller.died_ns is not None or self._is_stopped:
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
        call = self._caller.call("publish", queue)
        await call.requested()
        statuses: list[MessageStatus] = []
        errors: dict[int, Exception] = {}
        for place, message in enumerate(messages):
            try:
                [frame] = self._store.frames(queue, (message,))
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
        call = self._caller.call(None, queue)
        await call.requested()
        self._refuse_if_stopped(queue)
        line = self._store.line(queue, subscription)
        name = _name(line)
        if not any(subscription.line is line for subscription in self._subscriptions):
            self._forgettable.discard(name)  # that was asked for earlier, by consumers that have left
        if capacity is not None and line not in self._sized:
            self._sized.add(line)
            line.capacity = capacity
        if in_order:
            line.keep_order()
        consumer = BrokerSubscription(line, prefetch, store=self._store, caller=self._caller, owners=self._owners)
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
        if self._caller.died_ns is None:
            self._subscriptions.remove(consumer)
            consumer.close("its subscription was closed")
            line = consumer.line
            if _name(line) in self._forgettable and not any(each.line is line for each in self._subscriptions):
                self._forgettable.discard(_name(line))
                self._store.forget_left(line)

    async def forget_empty(self, prefix: str) -> None:
        """See `QueueProtocol.forget_empty`; those of this process when it has left them."""
        self._refuse_if_stopped(prefix)
        call = self._caller.call(None, prefix)
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
        frames = [(queue, frame) for queue, message in messages for frame in self._store.frames(queue, (message,))]
        call = self._caller.call(None, execution)
        await call.requested()
        begun = self._starts.begin(execution, reads, frames, asked_ns=asked_ns, owner=owner)
        await call.answered()
        return begun

    async def end(self, execution: str, reads: Sequence[tuple[str, str]], *, failed: bool = False) -> int:
        """See `ExecutionStarts.end`."""
        self._refuse_if_stopped(execution)
        call = self._caller.call(None, execution)
        await call.requested()
        left = self._starts.end(execution, reads, failed=failed)
        await call.answered()
        return left

    async def holdings(self, execution: str) -> Sequence[Holding]:
        """See `ExecutionStarts.holdings`."""
        self._refuse_if_stopped(execution)
        call = self._caller.call(None, execution)
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
        call = self._caller.call(None, execution)
        await call.requested()
        can = self._starts.can_resume(execution, asked_ns=asked_ns)
        await call.answered()
        return can

    @property
    def states(self) -> BrokerStates:
        """See `StateProvider.states`."""
        return BrokerStates(self._caller, self._owners)

    # -- helpers -------------------------------------------------------------------------------------------------------

    def _refuse_if_stopped(self, queue: str) -> None:
        if self._is_stopped:
            raise QueueClosedError(queue, "the connection to the simulated broker was stopped")


def _name(line: Line) -> tuple[str, str]:
    return line.queue, line.subscription
