"""A provider outside the execution's process, as far as the execution can tell: a store, and connections to it."""

from contextlib import asynccontextmanager

import trio

from factflow_engine.queues.memory import MemoryQueue


class Connection:
    """What one process has of a store (a memory provider) that outlives it.

    `cut` is what the store sees when the process dies: nothing more is accepted or settled, and what was handed out comes
    back once the subscriptions are left.
    """

    outlives_process = True

    def __init__(self, store: MemoryQueue, *, publish_seconds=lambda queue: 0.001) -> None:
        self.store = store
        self.publish_seconds = publish_seconds
        self.is_cut = False
        self.error: Exception | None = None
        self.batches = []
        self.failing = {}  # calls to the errors that they raise
        self.on_depth = lambda queue: None

    def fail(self, call, error):
        self.failing[call] = error

    def cut(self):
        self.is_cut = True

    def validate_name(self, queue):
        return self.store.validate_name(queue)

    async def publish(self, queue, message):
        return (await self.publish_batch(queue, (message,))).statuses[0]

    async def publish_batch(self, queue, messages):
        if self.error is not None:
            raise self.error
        await trio.sleep(self.publish_seconds(queue))
        if self.is_cut:
            await trio.sleep_forever()
        self.batches.append((queue, len(messages)))
        return await self.store.publish_batch(queue, messages)

    @asynccontextmanager
    async def subscribe(self, queue, subscription, prefetch, capacity=None):
        async with self.store.subscribe(queue, subscription, prefetch, capacity) as inner:
            yield self.make_subscription(queue, inner)

    def make_subscription(self, queue, inner):
        return ConnectedSubscription(queue, inner, self)

    async def forget_empty(self, prefix):
        if "forget_empty" in self.failing:
            raise self.failing["forget_empty"]
        await self.store.forget_empty(prefix)

    async def stop(self):
        await trio.lowlevel.checkpoint()


class ConnectedSubscription:
    def __init__(self, queue, inner, connection):
        self.queue = queue
        self.inner = inner
        self.connection = connection

    async def receive(self, max_messages):
        if self.connection.is_cut:
            await trio.sleep_forever()
        if self.connection.error is not None:
            raise self.connection.error
        return await self.inner.receive(max_messages)

    async def settle(self, acks, nacks=()):
        await trio.sleep(0.001)
        if self.connection.is_cut:
            await trio.sleep_forever()
        await self.inner.settle(acks, nacks)

    def statistics(self):
        return self.inner.statistics()

    async def depth(self):
        self.connection.on_depth(self.queue)
        if "depth" in self.connection.failing:
            raise self.connection.failing["depth"]
        return await self.inner.depth()


class TransactionalConnection(Connection):
    """The same to a store that publishes and settles in one step.

    Attributes:
        steps: What was published in each step that was done, by queue, and the number of deliveries settled.
        declined: How many steps were not done for want of room.
    """

    def __init__(self, store, **options):
        super().__init__(store, **options)
        self.steps = []
        self.declined = 0

    def make_subscription(self, queue, inner):
        return TransactionalConnectedSubscription(queue, inner, self)


class TransactionalConnectedSubscription(ConnectedSubscription):
    async def publish_and_settle(self, publications, acks):
        connection = self.connection
        if connection.error is not None:
            raise connection.error
        await trio.sleep(max(map(connection.publish_seconds, [queue for queue, _ in publications]), default=0.001))
        if connection.is_cut:
            await trio.sleep_forever()
        with trio.CancelScope(shield=True):
            await trio.lowlevel.checkpoint()
            targets = [(connection.store.targets(queue), messages) for queue, messages in publications]
            if any(line.capacity - line.waiting < len(messages) for lines, messages in targets for line in lines):
                connection.declined += 1
                return False
            await self.inner.settle(acks)
            for lines, messages in targets:
                for line in lines:
                    for message in messages:
                        line.append(message)
        connection.steps.append(({queue: len(messages) for queue, messages in publications}, len(acks)))
        return True
