"""Executions on a real file: what outlives them there, and what does not."""

from factflow_engine.frames import Frame, pack
from factflow_engine.queues.sqlite import SqliteQueue
from factflow_engine.runtime.manager import OrchestratorManager
from support.pipelines import Recorder, load, registry_of
from support.sqlite_queues import settings

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
        await (await manager.start(config, execution_id="x")).wait()
    assert work.seen == ["meanwhile"]
    await queue.stop()


async def test_an_execution_that_completes_leaves_what_has_left_the_pipeline_and_no_empty_queue(tmp_path):
    registry = registry_of(work=Recorder().adapter())
    config = load(registry, TOPIC.replace("/topic/t", "/queue/r"))
    queue = SqliteQueue(settings(tmp_path / "q.db"))
    async with OrchestratorManager(registry=registry, queue=queue) as manager:
        for number in range(3):
            execution = await manager.start(config, execution_id=f"x{number}")
            ids = await execution.publish_batch("r", [1, 2])
            assert len(set(ids)) == 2
            await execution.wait()
    statistics = await queue.administration.statistics()
    assert {line.queue: line.waiting for line in statistics.lines} == {f"exec:x{n}:/queue/out": 2 for n in range(3)}
    await queue.stop()
