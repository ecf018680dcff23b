"""A provider on which a history is played: its processes, their consumers, and what can be seen of it.

Kept separate from `comparison`, which has two of them and compares.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import trio

from factflow_engine.testing.conformance.expectations import OpenQueue, message, values
from factflow_engine.testing.simulation.broker.histories import (
    CONSUMERS,
    QUEUES,
    TOPIC,
    Carry,
    Die,
    Fate,
    Forget,
    Glimpse,
    Leave,
    Publish,
    Receive,
    Reopen,
    Settle,
    SettleAgain,
    Step,
)
from factflow_protocols import (
    Delivery,
    IsolatingSubscription,
    LeasingSubscription,
    Nack,
    OrderedQueueProtocol,
    QueueProtocol,
    Subscription,
    TransactionalSubscription,
)

LATER_SECONDS: Final = 2.25
"""Delay of a message that is given back for later."""

PATIENCE_SECONDS: Final = 0.5
"""Time after which a receive, or a publisher at a full queue, is taken to wait."""

Kill = Callable[[QueueProtocol], object]
"""Ends the process of an opening as a kill does: nothing is given back, and no lease is renewed any more."""


class _Opening:
    """One opening of a provider."""

    def __init__(self, queue: QueueProtocol, leave: trio.Event, left: trio.Event) -> None:
        self.queue = queue
        self._leave = leave
        self._left = left

    async def stop(self) -> None:
        self._leave.set()
        await self._left.wait()


class _Consumer:
    """One consumer, with what it has."""

    def __init__(self, subscription: Subscription, leave: trio.Event, left: trio.Event) -> None:
        self.subscription = subscription
        self.held: list[Delivery] = []
        self.settled: list[Delivery] = []
        self._leave = leave
        self._left = left

    async def stop(self) -> None:
        self._leave.set()
        await self._left.wait()


class Player:
    """A provider on which a history is played: a producer, two processes, and their consumers.

    Attributes:
        features: Which of the optional features may be used.
    """

    def __init__(
        self,
        open_queue: OpenQueue,
        nursery: trio.Nursery,
        *,
        kill: Kill | None,
        capacity: int,
        prefetch: int,
        in_order: bool,
        isolates: bool,
    ) -> None:
        self.features: dict[str, bool] = {}
        self._open_queue = open_queue
        self._nursery = nursery
        self._kill = kill
        self._capacity = capacity
        self._prefetch = prefetch
        self._in_order = in_order
        self._isolates = isolates
        self._producer: _Opening | None = None
        self._processes: dict[int, _Opening] = {}
        self._consumers: dict[int, _Consumer] = {}
        self._waits: set[int] = set()  # queues with a publisher that waits for room
        self._late: list[object] = []  # statuses of publishers that have waited, since the last look
        self._published: set[tuple[int, int]] = set()

    async def start(self) -> None:
        """Open everything."""
        self._producer = await self._nursery.start(self._run_process)
        await self._enter()
        queue, subscription = self._processes[0].queue, self._consumers[0].subscription
        self.features = {
            "durable": queue.outlives_process,
            "transactions": isinstance(subscription, TransactionalSubscription),
            "leases": isinstance(subscription, LeasingSubscription),
            "deaths": self._kill is not None and queue.outlives_process,
        }

    # -- steps -----------------------------------------------------------------------------------------------------

    async def play(self, step: Step | None) -> object:
        """Do one step; return what it shows. None stands for receiving and acknowledging everything."""
        match step:
            case Publish():
                return await self._publish(step.queue, step.numbers)
            case Receive():
                return await self._receive(self._consumers[step.consumer], step.limit)
            case Glimpse():
                return await self._glimpse(self._consumers[step.consumer])
            case Settle():
                return await self._settle(self._consumers[step.consumer], step.fates)
            case SettleAgain():
                consumer = self._consumers[step.consumer]
                await consumer.subscription.settle(consumer.settled, [Nack(each) for each in consumer.settled])
            case Carry():
                return await self._carry(self._consumers[step.consumer], step)
            case Leave() if self.features["durable"] or CONSUMERS[step.consumer][1] != TOPIC:
                await self._leave(step.consumer)
                await self._join(step.consumer)
            case Die():
                await self._die(step.process)
            case Reopen():
                await self._reopen()
            case Forget():
                process, queue = CONSUMERS[step.consumer]
                if queue:  # the first one has consumers of several processes, and some of them would be surprised
                    await self._processes[process].queue.forget_empty(QUEUES[queue])
            case None:
                return await self._drain()
            case _:  # it does nothing here, or lets time pass: the next step begins later
                pass
        return None

    async def _publish(self, queue: int, numbers: Sequence[int]) -> object:
        if queue in self._waits:
            return "another publisher waits"
        if not self.features["durable"]:  # it may know no duplicates
            numbers = [number for number in dict.fromkeys(numbers) if (queue, number) not in self._published]
            self._published.update((queue, number) for number in numbers)
        self._waits.add(queue)
        done: list[object] = []
        self._nursery.start_soon(self._publish_all, queue, numbers, done)
        with trio.move_on_after(PATIENCE_SECONDS):
            while queue in self._waits:  # noqa: ASYNC110 - a provider may take any time
                await trio.sleep(PATIENCE_SECONDS / 50)
        self._late.clear()
        return done or "waits for room"

    async def _publish_all(self, queue: int, numbers: Sequence[int], done: list[object]) -> None:
        assert self._producer is not None
        result = await self._producer.queue.publish_batch(QUEUES[queue], [message(number) for number in numbers])
        done += [status.value for status in result.statuses]
        self._late.append((queue, list(done)))
        self._waits.discard(queue)

    async def _receive(self, consumer: _Consumer, limit: int) -> object:
        if len(consumer.held) >= self._prefetch:
            return "has as many as it may have"
        if self._isolates or not self.features["durable"]:
            limit = self._prefetch  # which one of several comes first is the provider's own affair
        with trio.move_on_after(PATIENCE_SECONDS):
            deliveries = await consumer.subscription.receive(limit)
            if not self.features["durable"]:
                deliveries = sorted(deliveries, key=lambda each: each.message.message_id)
            consumer.held += deliveries
            return _shown(deliveries)
        return "waits"

    async def _glimpse(self, consumer: _Consumer) -> object:
        if len(consumer.held) >= self._prefetch or not self.features["durable"]:
            return None
        with trio.move_on_after(0):
            deliveries = await consumer.subscription.receive(1)
            with trio.CancelScope(shield=True):
                await consumer.subscription.settle([], [Nack(each, counts=False) for each in deliveries])
        return None

    async def _settle(self, consumer: _Consumer, fates: Sequence[tuple[int, Fate]]) -> object:
        chosen = {place: fate for place, fate in fates if place < len(consumer.held)}
        acks = [consumer.held[place] for place, fate in chosen.items() if fate is Fate.ACK]
        nacks = [
            Nack(
                consumer.held[place],
                delay_seconds=LATER_SECONDS if fate is Fate.LATER and self.features["durable"] else 0.0,
                counts=fate is not Fate.INTERRUPTED,
            )
            for place, fate in chosen.items()
            if fate is not Fate.ACK
        ]
        await consumer.subscription.settle(acks, nacks)
        consumer.settled += [consumer.held[place] for place in chosen]
        consumer.held = [each for place, each in enumerate(consumer.held) if place not in chosen]
        return None

    async def _carry(self, consumer: _Consumer, step: Carry) -> object:
        subscription = consumer.subscription
        if not self.features["transactions"] or not isinstance(subscription, TransactionalSubscription):
            return None
        publications = [
            (QUEUES[queue], [message(number) for number in numbers]) for queue, numbers in step.publications
        ]
        acks = consumer.held[: step.acks]
        done = await subscription.publish_and_settle(publications, acks)
        if done:
            consumer.settled += acks
            del consumer.held[: step.acks]
        return done

    async def _die(self, process: int) -> None:
        if self.features["deaths"] and self._kill is not None:
            self._kill(self._processes[process].queue)
            await self._enter(process)

    async def _reopen(self) -> None:
        if self.features["durable"]:
            for number in list(self._consumers):
                await self._leave(number)
            for process in self._processes.values():
                await process.stop()
            await self._enter()

    async def _drain(self) -> object:
        """Receive and acknowledge everything, one queue after the other."""
        came: list[object] = []
        for number in (0, 2, 3):
            consumer = self._consumers[number]
            while isinstance(shown := await self._receive(consumer, self._prefetch), list):
                came += shown
                await consumer.subscription.settle(consumer.held)
                consumer.held = []
        return came

    # -- looks -----------------------------------------------------------------------------------------------------

    async def look(self) -> Mapping[str, object]:
        """Return everything that can be seen now."""
        seen: dict[str, object] = {"publishers that wait": sorted(self._waits), "publishers that waited": self._late}
        self._late = []
        for number, consumer in self._consumers.items():
            subscription, name = consumer.subscription, f"consumer {number} of {QUEUES[CONSUMERS[number][1]]}"
            seen[f"depth, {name}"] = await subscription.depth()
            if self.features["durable"]:  # others may count what they have given back for later
                seen[f"unsettled, {name}"] = subscription.statistics().unsettled
            if self.features["leases"] and isinstance(subscription, LeasingSubscription):
                seen[f"leased elsewhere, {name}"] = (await subscription.leased_elsewhere()).messages
        return seen

    # -- processes and consumers -----------------------------------------------------------------------------------

    async def _enter(self, only: int | None = None) -> None:
        """Start processes and their consumers; only one of them if a number is given."""
        for process in (0, 1) if only is None else (only,):
            self._processes[process] = await self._nursery.start(self._run_process)
        for number, (process, _) in enumerate(CONSUMERS):
            if only is None or process == only:
                await self._join(number)

    async def _join(self, number: int) -> None:
        self._consumers[number] = await self._nursery.start(self._run_consumer, number)

    async def _leave(self, number: int) -> None:
        await self._consumers[number].stop()

    async def _run_process(self, *, task_status: trio.TaskStatus[_Opening]) -> None:
        leave, left = trio.Event(), trio.Event()
        async with self._open_queue() as queue:
            task_status.started(_Opening(queue, leave, left))
            await leave.wait()
        left.set()

    async def _run_consumer(self, number: int, *, task_status: trio.TaskStatus[_Consumer]) -> None:
        leave, left = trio.Event(), trio.Event()
        process, queue = CONSUMERS[number]
        provider = self._processes[process].queue
        subscribe = provider.subscribe
        if self._in_order and isinstance(provider, OrderedQueueProtocol):
            subscribe = provider.subscribe_in_order
        async with subscribe(QUEUES[queue], "s", self._prefetch, self._capacity) as subscription:
            if self._isolates and isinstance(subscription, IsolatingSubscription):
                subscription.isolate_suspects()
            task_status.started(_Consumer(subscription, leave, left))
            await leave.wait()
        left.set()


def _shown(deliveries: Sequence[Delivery]) -> list[tuple[object, int]]:
    """Return the number and the attempt of each delivery."""
    return list(zip(values(deliveries), [each.message.attempt for each in deliveries], strict=True))
