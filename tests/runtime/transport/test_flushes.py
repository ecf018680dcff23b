"""Flushes of routes whose provider publishes and acknowledges in one step, and what happens when it declines."""

from contextlib import asynccontextmanager
from itertools import pairwise

import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from factflow_engine.queues.memory import MemoryQueue
from factflow_engine.runtime.execution.manager import OrchestratorManager
from factflow_engine.testing import in_virtual_time
from factflow_protocols import AdapterResult, QueueError
from support.clocks import seams_on_trio_time
from support.elsewhere import TransactionalConnection
from support.pipelines import assert_counters_balance, forward, load, registry_of
from support.sqlite_queues import simulated, values

CHAIN = """
routes:
  a: {inbound: {concurrency: 4, prefetch: 8}, adapters: [{type: rest}], outbound: [{route: b}]}
  b: {inbound: {concurrency: 4, prefetch: 8}, adapters: [{type: rest}], outbound: [{queue: /queue/out}]}
"""
OUT = "exec:x:/queue/out"


@asynccontextmanager
async def started(connection, text, **adapters):
    registry = registry_of(**adapters)
    async with OrchestratorManager(registry=registry, queue=connection, seams=seams_on_trio_time()) as manager:
        yield await manager.start(load(registry, text), execution_id="x", allow_loss=True)


def values_in(store, queue):
    return [frame.value() for line in store.targets(queue) for frame in line.frames()]


async def run(connection, text, inputs, **adapters):
    async with started(connection, text, **adapters) as execution:
        await execution.publish_batch("a", inputs)
        return await execution.complete()


async def test_a_message_and_its_acknowledgement_are_one_step(autojump_clock):
    connection = TransactionalConnection(MemoryQueue())
    report = await run(connection, CHAIN, range(50), rest=forward)
    assert report.status == "completed"
    assert values_in(connection.store, OUT) == list(range(50))
    assert connection.batches == [("exec:x:/queue/a", 50)], "routes published nothing beside their flushes"
    assert connection.declined == 0
    assert all(sum(published.values()) == settled for published, settled in connection.steps)
    assert sum(settled for _, settled in connection.steps) == 100


@given(st.lists(st.floats(0.001, 0.4), max_size=6), st.integers(0, 2**32))
@settings(max_examples=30, deadline=None)
def test_nothing_is_published_twice_by_processes_that_die(lives, seed):
    """The store refuses no duplicates: what dies between publishing and acknowledging would leave some."""

    async def main(simulation):
        uniform = simulation.randomness.uniform

        async def rest(context):
            await trio.sleep(uniform(0, 0.05))
            return AdapterResult.forward()

        store = MemoryQueue()

        def connected():
            return TransactionalConnection(store, publish_seconds=lambda _: uniform(0, 0.05))

        registry = registry_of(rest=rest)
        config = load(registry, CHAIN)

        def manager(connection):
            return OrchestratorManager(registry=registry, queue=connection, seams=simulation.seams)

        async with manager(connected()) as first:
            execution = await first.start(config, execution_id="x", allow_loss=True)
            await execution.publish_batch("a", list(range(40)))
            await execution.cancel()
        for seconds in lives:
            connection = connected()
            with trio.CancelScope() as scope:
                async with manager(connection) as one:
                    await one.start(config, execution_id="x", allow_loss=True)
                    await trio.sleep(seconds)
                    connection.cut()
                    scope.cancel()
        async with manager(connected()) as last:
            report = await (await last.start(config, execution_id="x", allow_loss=True)).complete()
        assert report.status == "completed"
        assert sorted(values_in(store, OUT)) == list(range(40))

    in_virtual_time(main, seed=seed)


FULL = """
routes:
  a: {inbound: {prefetch: 4}, adapters: [{type: forward}], outbound: [{queue: /queue/full}, {queue: /queue/out}]}
  b: {adapters: [{type: forward}], outbound: [{queue: /queue/out}]}
"""


async def test_a_full_queue_slows_its_publishers_and_nobody_else(autojump_clock):
    connection = TransactionalConnection(MemoryQueue())
    store = connection.store
    async with store.subscribe("exec:x:/queue/full", "s", 3, 3) as full, started(connection, FULL) as execution:
        await execution.publish_batch("a", list(range(10)))
        await trio.sleep(5)
        assert connection.declined > 0
        await execution.publish("b", "from b")
        await trio.sleep(5)
        assert "from b" in values_in(store, OUT)
        taken = []
        while len(taken) < 10:
            deliveries = await full.receive(3)
            taken += [delivery.message.value() for delivery in deliveries]
            await full.settle(deliveries)
        report = await execution.complete()
    assert report.status == "completed"
    assert taken == list(range(10)), "in order, whoever published them"
    assert sorted(map(str, values_in(store, OUT))) == sorted([*map(str, range(10)), "from b"])
    assert_counters_balance(report)


async def test_what_is_emitted_is_published_before_its_parent_ends(autojump_clock):
    async def spread(context):
        async def elements():
            for number in range(5):
                yield number
                await trio.sleep(1)

        return AdapterResult(emitted=elements())

    connection = TransactionalConnection(MemoryQueue())
    text = "routes: {a: {adapters: [{type: spread}], outbound: [{queue: /queue/out}]}}"
    async with started(connection, text, spread=spread) as execution:
        await execution.publish("a", "parent")
        for count in range(1, 6):
            await trio.sleep(0.5)
            assert values_in(connection.store, OUT) == list(range(count))
            await trio.sleep(0.5)
        report = await execution.complete()
    assert report.status == "completed"


async def test_routes_that_publish_to_one_queue_keep_the_order_of_each(autojump_clock):
    text = """
routes:
  a: {inbound: {concurrency: 1}, adapters: [{type: forward}], outbound: [{queue: /queue/out}]}
  b: {inbound: {concurrency: 1}, adapters: [{type: forward}], outbound: [{queue: /queue/out}]}
"""
    connection = TransactionalConnection(MemoryQueue())
    async with started(connection, text) as execution:
        for turn in range(0, 60, 3):
            await execution.publish_batch("a", [turn, turn + 1])
            await execution.publish("b", 1000 + turn)
            await trio.sleep(0.0007)
        report = await execution.complete()
    assert report.status == "completed"
    found = values_in(connection.store, OUT)
    assert len(found) == 60
    for own in ([v for v in found if v < 1000], [v for v in found if v >= 1000]):
        assert all(before < after for before, after in pairwise(own))


async def test_a_provider_that_fails_a_flush_ends_the_execution(autojump_clock):
    connection = TransactionalConnection(MemoryQueue())
    async with started(connection, CHAIN, rest=forward) as execution:
        await execution.publish("a", 1)
        connection.error = QueueError("/queue/b", "is broken")
        report = await execution.wait_ended()
    assert report.status == "failed"
    assert "is broken" in report.error
    assert_counters_balance(report)


async def test_on_sqlite_too_messages_go_on_in_flushes(autojump_clock, tmp_path, monkeypatch):
    published = []
    queue = simulated(tmp_path / "q.db", dedup_seconds=0)
    publish_batch = queue.publish_batch

    async def noted(name, messages):
        published.append(name)
        return await publish_batch(name, messages)

    monkeypatch.setattr(queue, "publish_batch", noted)
    report = await run(queue, CHAIN, range(200), rest=forward)
    assert report.status == "completed"
    assert published == ["exec:x:/queue/a"], "from outside; the rest by flushes"
    async with queue.subscribe(OUT, "s", 1000) as out:
        assert values(await out.receive(1000)) == list(range(200))
    await queue.stop()
