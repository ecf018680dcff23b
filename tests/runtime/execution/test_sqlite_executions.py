"""Executions on a real file: what outlives them there, and what does not."""

import pytest
import trio

from factflow_engine.frames import Frame, pack
from factflow_engine.queues.sqlite import SqliteQueue
from factflow_engine.runtime.execution.manager import OrchestratorManager
from factflow_protocols import AdapterResult, QueueClosedError, Reject
from support.internals import route_of
from support.pipelines import Recorder, adapter, load, registry_of
from support.sqlite_queues import settings, simulated

TOPIC = "routes: {r: {inbound: {queue: /topic/t}, adapters: [{type: work}], outbound: [{queue: /queue/out}]}}"


async def test_a_topic_keeps_what_is_published_while_an_execution_is_away(tmp_path):
    work = Recorder()
    registry = registry_of(work=work.adapter())
    config = load(registry, TOPIC)
    queue = SqliteQueue(settings(tmp_path / "q.db"))
    async with OrchestratorManager(registry=registry, queue=queue) as manager:
        await (await manager.start(config, execution_id="x")).cancel()
    await queue.publish("/topic/t", Frame.create(pack("meanwhile"), message_id=bytes(range(16))))
    async with OrchestratorManager(registry=registry, queue=queue) as manager:
        await (await manager.start(config, execution_id="x")).complete()
    assert work.seen == ["meanwhile"]
    await queue.stop()


async def test_an_execution_that_completes_leaves_what_has_left_the_pipeline_and_no_empty_queue(tmp_path):
    registry = registry_of(work=Recorder().adapter())
    config = load(registry, TOPIC.replace("/topic/t", "/queue/r"))
    queue = SqliteQueue(settings(tmp_path / "q.db"))
    async with OrchestratorManager(registry=registry, queue=queue) as manager:
        prefixes = []
        for _ in range(3):
            execution = await manager.start(config)
            prefixes.append(f"exec:{execution.id}:")
            ids = await execution.publish_batch("r", [1, 2])
            assert len(set(ids)) == 2
            await execution.complete()
    statistics = await queue.administration.statistics()
    assert {line.queue: line.waiting for line in statistics.lines} == {f"{prefix}/queue/out": 2 for prefix in prefixes}
    await queue.stop()


async def test_who_reads_the_results_is_told_of_the_end_and_leaves_no_empty_queue(tmp_path):
    registry = registry_of(work=Recorder().adapter())
    config = load(registry, TOPIC.replace("/topic/t", "/queue/r"))
    queue = SqliteQueue(settings(tmp_path / "q.db"))
    read = []
    with trio.fail_after(60):
        async with OrchestratorManager(registry=registry, queue=queue) as manager, trio.open_nursery() as nursery:
            execution = await manager.start(config)
            async with execution.subscribe("/queue/out") as results:
                await execution.publish_batch("r", [1, 2])
                nursery.start_soon(execution.complete)
                with pytest.raises(QueueClosedError, match="has ended"):
                    while True:
                        deliveries = await results.receive(10)
                        read += [delivery.message.value() for delivery in deliveries]
                        await results.settle(deliveries)
    assert read == [1, 2]
    assert (await queue.administration.statistics()).lines == ()
    await queue.stop()


async def test_two_executions_of_one_id_share_the_work_and_neither_ends_the_other(tmp_path):
    one, other = Recorder(), Recorder()
    here, there = (SqliteQueue(settings(tmp_path / "q.db")) for _ in range(2))
    text = "routes: {r: {inbound: {prefetch: 2}, adapters: [{type: work}]}}"
    with trio.fail_after(60):
        registry = registry_of(work=other.adapter())
        async with OrchestratorManager(registry=registry, queue=there) as manager:
            stays = await manager.start(load(registry, text), execution_id="x")
            registry = registry_of(work=one.adapter())
            async with OrchestratorManager(registry=registry, queue=here) as second:
                goes = await second.start(load(registry, text), execution_id="x")
                for number in range(50):
                    await goes.publish("r", number)
                assert (await goes.complete()).status == "completed"
            await stays.publish("r", 50)
            assert (await stays.complete()).status == "completed"
    assert sorted([*one.seen, *other.seen]) == list(range(51))
    await here.stop()
    await there.stop()


TWO_ON_A_TOPIC = """
routes:
  r: {inbound: {queue: /topic/t}, adapters: [{type: refuse}], error_handling: {dead_letter_queue: /queue/dead}}
  s: {inbound: {queue: /topic/t}, adapters: [{type: refuse}], error_handling: {dead_letter_queue: /queue/dead}}
"""


async def test_each_route_that_gives_a_message_up_leaves_a_dead_letter(tmp_path):
    async def refuse(context):
        raise Reject("no")

    registry = registry_of(refuse=refuse)
    queue = simulated(tmp_path / "q.db")
    async with OrchestratorManager(registry=registry, queue=queue) as manager:
        execution = await manager.start(load(registry, TWO_ON_A_TOPIC))
        sent = await execution.publish("r", 1)
        report = await execution.complete()
        prefix = f"exec:{execution.id}:"
    assert [route.dead_lettered for route in report.routes.values()] == [1, 1]
    letters = [Frame.decode(stored.frame) async for stored in queue.administration.browse(prefix + "/queue/dead")]
    assert sorted(letter.headers["dead_letter"]["route"] for letter in letters) == ["r", "s"]
    assert {letter.parent_id.hex() for letter in letters} == {sent}
    assert {(letter.correlation_id.hex(), letter.value()) for letter in letters} == {(sent, 1)}
    await queue.stop()


async def test_a_dead_letter_that_goes_back_to_the_queue_of_its_message_is_not_taken_for_it(tmp_path):
    attempts = []

    async def refuse_twice(context):
        attempts.append(context.message)
        if len(attempts) < 3:
            raise Reject("no")
        return AdapterResult.forward()

    registry = registry_of(work=refuse_twice)
    text = "routes: {r: {inbound: {queue: /queue/r}, adapters: [{type: work}], error_handling: {dead_letter_queue: /queue/r}}}"
    queue = simulated(tmp_path / "q.db")
    async with OrchestratorManager(registry=registry, queue=queue) as manager:
        execution = await manager.start(load(registry, text))
        await execution.publish("r", 1)
        report = await execution.complete()
    assert attempts == [1, 1, 1]
    assert (report.routes["r"].dead_lettered, report.routes["r"].completed) == (2, 1)
    await queue.stop()


async def test_a_result_that_is_too_long_to_be_stored_fails_its_message_alone(tmp_path):
    async def swell(context):
        return AdapterResult(message=[bytes(1 << 20)] * (70 if context.message == "large" else 1))

    registry = registry_of(swell=swell)
    text = "routes: {r: {adapters: [{type: swell}], outbound: [{queue: /queue/out}]}}"
    queue = simulated(tmp_path / "q.db")
    async with OrchestratorManager(registry=registry, queue=queue) as manager:
        execution = await manager.start(load(registry, text))
        await execution.publish_batch("r", ["small", "large", "small"])
        report = await execution.complete()
    assert report.status == "completed"
    assert (report.routes["r"].completed, report.routes["r"].failed) == (2, 1)
    assert report.failures[0].error_type == "CodecError"
    await queue.stop()


async def test_two_executions_of_one_id_keep_the_order_of_each_key(autojump_clock, tmp_path):
    log = []

    def working(where, seconds):
        async def work(context):
            log.append((context.key, context.message, where))
            await trio.sleep(seconds)
            if context.message % 5 == 0 and context.attempt == 1:
                raise OSError
            log.append((context.key, context.message, where))
            return AdapterResult.forward()

        return registry_of(work=work)

    text = (
        "routes: {r: {inbound: {prefetch: 2, concurrency: 2, ordering: key}, adapters: [{type: work}], "
        "error_handling: {max_retries: 1, retry_delay_seconds: 0.2}}}"
    )
    here, there = (simulated(tmp_path / "q.db", lease_seconds=30) for _ in range(2))
    with trio.fail_after(1000):
        registry = working("here", 0.3)
        async with OrchestratorManager(registry=registry, queue=here) as manager:
            stays = await manager.start(load(registry, text), execution_id="x")
            registry = working("there", 0.1)
            async with OrchestratorManager(registry=registry, queue=there) as second:
                goes = await second.start(load(registry, text), execution_id="x")
                for number in range(60):
                    await goes.publish("r", number, key="abc"[number % 3])
                await trio.sleep(3)
                await goes.cancel()
            assert (await stays.complete()).status == "completed"
    assert {where for _, _, where in log} == {"here", "there"}
    for key in "abc":
        numbers = [number for at, number, _ in log if at == key]
        assert numbers == sorted(numbers)
        assert set(numbers) == {number for number in range(60) if "abc"[number % 3] == key}
    await here.stop()
    await there.stop()


@pytest.mark.parametrize(("limit", "prefetch", "most"), [(2, "", 32), (20, "", 80), (20, ", prefetch: 50", 50)])
async def test_a_route_takes_what_its_limit_can_use_soon_and_leaves_the_rest_to_others(tmp_path, limit, prefetch, most):
    """By default 800 messages may be taken ahead: four for each of the 200 that may be in flight at most."""
    here = []

    async def work(context):
        route = route_of(execution, "r")
        here.append(route.inbound.waiting + route.counters.in_flight)
        await trio.sleep(0)
        return AdapterResult.forward()

    registry = registry_of(work=adapter(work))
    config = load(
        registry,
        f"routes: {{r: {{inbound: {{capacity: 10000{prefetch}}}, adapters: [{{type: work}}], "
        f"backpressure: {{algorithm: fixed, initial_concurrency: {limit}, group: g}}}}}}",
    )
    queue = SqliteQueue(settings(tmp_path / "q.db"))
    with trio.fail_after(60):
        async with OrchestratorManager(registry=registry, queue=queue) as manager:
            execution = await manager.start(config)
            await execution.publish_batch("r", list(range(1000)))
            report = await execution.complete()
    assert report.outcomes["completed"] == 1000
    assert max(here) == most
    await queue.stop()
