"""How executions on a provider that outlives them end: soon, whatever has no room or fails, and saying what is left."""

from contextlib import asynccontextmanager

import pytest
import trio

from factflow_engine.errors import ExecutionClosedError
from factflow_engine.queues.memory import MemoryQueue
from factflow_engine.runtime.execution.manager import OrchestratorManager
from factflow_protocols import AdapterResult, QueueError, StatefulAdapter
from support.clocks import seams_on_trio_time
from support.elsewhere import Connection
from support.internals import connection_of, lifecycle_of
from support.pipelines import Recorder, assert_counters_balance, load, registry_of

FORWARD = "routes: {r: {adapters: [{type: forward}]}}"


class Wrapped(Connection):
    """A connection whose subscriptions are this class's `Subscription`."""

    @asynccontextmanager
    async def subscribe(self, queue, subscription, prefetch, capacity=None):
        async with super().subscribe(queue, subscription, prefetch, capacity) as inner:
            yield self.Subscription(inner, self)

    class Subscription:
        def __init__(self, inner, connection):
            self.inner = inner
            self.connection = connection

        def __getattr__(self, name):
            return getattr(self.inner, name)


@pytest.mark.parametrize("order", range(20))  # trio's order of tasks within a batch is chance
async def test_a_start_that_is_cancelled_as_it_succeeds_does_not_wait_for_an_end_that_nobody_asks_for(
    order, autojump_clock
):
    class Cancels(Wrapped):
        class Subscription(Wrapped.Subscription):
            async def receive(self, most):
                lifecycle_of(manager.executions["x"]).request_stop(0.0)
                return await self.inner.receive(most)

    registry = registry_of()
    with trio.fail_after(100):
        async with OrchestratorManager(registry=registry, queue=Cancels(MemoryQueue())) as manager:
            execution = await manager.start(load(registry, FORWARD), execution_id="x")
            assert (await execution.complete()).status == "cancelled"


@pytest.mark.parametrize("call", ["receive", "settle", "publish"])
async def test_an_error_that_a_provider_makes_of_its_cancellation_is_one_executions_matter(call, autojump_clock):
    class Spoils(Wrapped):
        async def publish_batch(self, queue, messages):
            return await self.spoilt("publish", super().publish_batch(queue, messages))

        async def spoilt(self, name, awaitable):
            try:
                return await awaitable
            except trio.Cancelled:
                if name == call:
                    raise QueueError("q", "the connection was closed") from None
                raise

        class Subscription(Wrapped.Subscription):
            async def receive(self, most):
                return await self.connection.spoilt("receive", self.inner.receive(most))

            async def settle(self, acks, nacks=()):
                await self.connection.spoilt("settle", trio.sleep(10 if acks else 0))
                await self.inner.settle(acks, nacks)

    registry = registry_of()
    text = "routes: {r: {adapters: [{type: forward}], outbound: [{queue: /queue/out}]}}"
    connection = Spoils(MemoryQueue(), publish_seconds=lambda queue: 10 * (call == "publish" and "out" in queue))
    with trio.fail_after(1000):
        async with OrchestratorManager(registry=registry, queue=connection) as manager:
            one, other = [await manager.start(load(registry, text)) for _ in range(2)]
            await one.publish("r", 1)
            await trio.sleep(1)
            report = await one.cancel() if call != "receive" else await one.complete()
            assert list(manager.executions.values()) == [other]
            await other.publish("r", 2)
            assert (await other.complete()).status == "completed"
    assert report.status == ("cancelled" if call != "receive" else "completed")
    assert any("the connection was closed" in text for text in report.close_errors)


@pytest.mark.parametrize("call", ["depth", "publish_batch"])
@pytest.mark.parametrize("error", [OSError("gone"), QueueError("q", "gone"), ExceptionGroup("g", [ValueError("gone")])])
async def test_whatever_a_provider_raises_as_an_execution_begins_is_its_report(call, error, autojump_clock):
    registry = registry_of()
    connection = Connection(MemoryQueue())

    async def fail(*arguments):
        raise error

    if call == "depth":
        connection.fail("depth", error)
    else:
        connection.publish_batch = fail
    text = FORWARD + "\ninit_message: {route: r, payload: 1}"
    with trio.fail_after(100):
        async with OrchestratorManager(registry=registry, queue=connection) as manager:
            execution = await manager.start(load(registry, text))
            report = await execution.complete()
    assert report.status == "failed"
    assert "gone" in report.error


SPREAD = """
routes:
  r: {adapters: [{type: spread}], outbound: [{route: s}]}
  s: {inbound: {concurrency: 1, capacity: 20, prefetch: 4}, adapters: [{type: quick}]}
"""


@pytest.mark.parametrize("count", [200, 100_000])
async def test_a_drain_does_not_wait_for_room_that_nobody_makes(count, autojump_clock):
    async def spread(context):
        return AdapterResult(emitted=range(count))

    quick = Recorder(seconds=0.1)
    registry = registry_of(spread=spread, quick=quick.adapter())
    store = MemoryQueue()
    async with OrchestratorManager(registry=registry, queue=Connection(store), seams=seams_on_trio_time()) as manager:
        execution = await manager.start(load(registry, SPREAD), execution_id="x")
        await execution.publish("r", 1)
        await trio.sleep(1)
        start = trio.current_time()
        report = await execution.drain(60)
        assert trio.current_time() - start < 2
    assert report.status == "cancelled"
    assert any("'exec:x:/queue/s' has not confirmed" in text for text in report.close_errors)
    assert_counters_balance(report)
    async with OrchestratorManager(registry=registry, queue=Connection(store), seams=seams_on_trio_time()) as manager:
        execution = await manager.start(load(registry, SPREAD), execution_id="x")
        if count == 200:
            assert (await execution.complete()).status == "completed"
            assert set(quick.seen) == set(range(count))
        else:
            await execution.cancel()


async def test_who_waits_for_room_is_told_when_the_execution_is_closed(autojump_clock):
    registry = registry_of(slow=Recorder(seconds=1000).adapter())
    text = "routes: {r: {inbound: {capacity: 2, prefetch: 1, concurrency: 1}, adapters: [{type: slow}]}}"
    published = []

    async def publish(execution, batch):
        with pytest.raises(ExecutionClosedError, match="takes no more"):
            for number in range(10):
                if batch:
                    await execution.publish_batch("r", [number])
                else:
                    await execution.publish("r", number)
                published.append(number)

    store = MemoryQueue()
    with trio.fail_after(100):
        async with (
            trio.open_nursery() as nursery,
            OrchestratorManager(registry=registry, queue=Connection(store)) as manager,
        ):
            execution = await manager.start(load(registry, text), execution_id="x")
            for batch in (False, True):
                nursery.start_soon(publish, execution, batch)
            await trio.sleep(5)
            await execution.drain(1)
    held = [frame.value() for line in store.targets("exec:x:/queue/r") for frame in line.frames()]
    assert sorted(held) == sorted(published), "what was published is there, and nothing else"


async def test_what_was_prefetched_and_has_not_begun_is_counted_as_waiting(autojump_clock):
    registry = registry_of(slow=Recorder(seconds=1000).adapter())
    text = "routes: {r: {inbound: {prefetch: 32, concurrency: 1}, adapters: [{type: slow}]}}"
    async with OrchestratorManager(registry=registry, queue=Connection(MemoryQueue())) as manager:
        execution = await manager.start(load(registry, text), execution_id="x")
        await execution.publish_batch("r", list(range(100)))
        await trio.sleep(1)
        report = await execution.cancel()
    assert report.routes["r"].waiting == 100


@pytest.mark.parametrize("when", ["in the grace", "in the end"])
async def test_a_provider_that_fails_while_an_execution_is_cancelled_is_noted_and_cuts_the_grace(when, autojump_clock):
    registry = registry_of(slow=Recorder(seconds=3).adapter())
    text = "routes: {r: {inbound: {concurrency: 1}, adapters: [{type: slow}], outbound: [{queue: /queue/out}]}}"
    connection = Connection(MemoryQueue())
    async with OrchestratorManager(registry=registry, queue=connection) as manager, trio.open_nursery() as nursery:
        execution = await manager.start(load(registry, text))
        await execution.publish("r", 1)
        await trio.sleep(1)
        nursery.start_soon(execution.cancel, 1000)
        await trio.sleep(0.5)

        async def fail(*arguments):
            raise OSError("the provider is gone")

        if when == "in the grace":
            connection_of(execution).died("the subscription", OSError("the provider is gone"))
        else:
            connection.publish_batch = fail
        start = trio.current_time()
        report = await execution.complete()
        assert trio.current_time() - start < 10
    assert (report.status, report.error) == ("cancelled", "cancelled before it was drained")
    assert any("the provider is gone" in text for text in report.close_errors)


async def test_a_provider_that_fails_after_an_execution_was_cancelled_from_outside_changes_nothing(autojump_clock):
    """The status is decided before the provider hears of the end, and so before it can fail."""

    class Fails(Connection):
        async def publish_batch(self, queue, messages):
            if not queue.endswith("/queue/out"):
                return await super().publish_batch(queue, messages)
            await trio.sleep(1)
            raise OSError("the provider is gone")

    registry = registry_of()
    config = load(
        registry, "routes: {r: {adapters: [{type: forward}], outbound: [{queue: /queue/out, external: true}]}}"
    )
    async with trio.open_nursery() as nursery:

        async def main(task_status):
            async with OrchestratorManager(registry=registry, queue=Fails(MemoryQueue())) as manager:
                task_status.started(await manager.start(config))
                await trio.sleep_forever()

        execution = await nursery.start(main)
        await execution.publish("r", 1)
        await trio.sleep(0.5)
        nursery.cancel_scope.cancel()
    report = execution.report
    assert (report.status, report.error) == ("cancelled", "cancelled before it was drained")
    assert any("the provider is gone" in text for text in report.close_errors)


async def test_stages_that_were_not_asked_for_their_last_words_are_named(autojump_clock):
    class Total(StatefulAdapter):
        async def process(self, context):
            return None

        async def finish(self):
            return AdapterResult(message="a sum")

    class Client(StatefulAdapter):
        async def process(self, context):
            return AdapterResult.forward()

    registry = registry_of(total=Total, client=Client, slow=Recorder(seconds=100).adapter())
    text = "routes: {r: {adapters: [{type: client}, {type: total}]}, unused: {adapters: [{type: total}]}, z: {adapters: [{type: slow}]}}"
    async with OrchestratorManager(registry=registry, queue=Connection(MemoryQueue())) as manager:
        execution = await manager.start(load(registry, text), execution_id="x", allow_loss=True)
        await execution.publish("r", 1)
        await execution.publish("z", 1)
        await trio.sleep(1)
        report = await execution.drain(2)
    assert report.close_errors == ("r/total: was not asked to finish; its state in memory is lost",)
