"""Messages of an id that no route reads any more are named, and not done twice."""

import logging

import pytest
import trio

from factflow_engine.frames import Frame, pack
from factflow_engine.runtime.execution.manager import OrchestratorManager
from support.clocks import seams_on_trio_time
from support.deaths import mortal
from support.pipelines import Recorder, load, registry_of

SPREAD = """
routes:
  a: {adapters: [{type: forward}], outbound: [{route: b}]}
  b: {inbound: {concurrency: 1}, adapters: [{type: work}], outbound: [{queue: /queue/out}], error_handling: {dead_letter_queue: /queue/dead}}
init_message: [{route: a, payload: 0}, {route: a, payload: 1}, {route: a, payload: 2}]
"""


class Lives:
    def __init__(self, path, work):
        self.path = path
        self.registry = registry_of(work=work.adapter())

    async def run(self, text, *, seconds=None):
        queue = mortal(self.path)
        async with OrchestratorManager(registry=self.registry, queue=queue, seams=seams_on_trio_time()) as manager:
            execution = await manager.start(load(self.registry, text), execution_id="x")
            if seconds is not None:
                await trio.sleep(seconds)
                await execution.cancel()
            report = await execution.complete()
        await queue.stop()
        return report, execution.begun


async def test_a_renamed_route_s_messages_are_named_and_the_init_messages_not_published_again(
    autojump_clock, tmp_path, caplog
):
    work = Recorder(seconds=1)
    lives = Lives(tmp_path / "q.db", work)
    report, begun = await lives.run(SPREAD, seconds=1.5)
    assert (report.orphans, begun.published) == ((), True)
    renamed = SPREAD.replace("  b:", "  bb:").replace("route: b}", "route: bb}")
    with caplog.at_level(logging.INFO):
        for _ in range(2):
            caplog.clear()
            report, begun = await lives.run(renamed)
            assert [(orphan.queue, orphan.messages) for orphan in report.orphans] == [("exec:x:/queue/b", 2)]
            assert (begun.published, begun.left) == (False, 2)
            assert report.routes["a"].received == 0
            [warning] = [
                record.getMessage()
                for record in caplog.records
                if "runtime" in record.name and record.levelname == "WARNING"
            ]
            assert "2 messages of this execution wait in 'exec:x:/queue/b', which no route reads" in warning
            assert "write `inbound: {queue: /queue/b}`" in warning
            assert "`factflow queue purge URL exec:x:/queue/b`" in warning
    mended = renamed.replace("bb: {inbound: {", "bb: {inbound: {queue: /queue/b, ")
    report, begun = await lives.run(mended)
    assert (report.orphans, begun.published, begun.left) == ((), False, 2)
    assert work.seen == [0, 1, 2], "each once"
    assert (await lives.run(SPREAD))[1].published


async def test_what_an_operator_deletes_of_an_orphan_lets_the_execution_begin_anew(autojump_clock, tmp_path):
    work = Recorder(seconds=1)
    lives = Lives(tmp_path / "q.db", work)
    await lives.run(SPREAD, seconds=1.5)
    queue = mortal(lives.path)
    await queue.administration.purge("exec:x:/queue/b")
    await queue.stop()
    report, begun = await lives.run(SPREAD.replace("  b:", "  bb:").replace("route: b}", "route: bb}"))
    assert (report.orphans, begun.published) == ((), True)


@pytest.mark.parametrize("reader", ["gone", "embedding"])
async def test_a_subscription_that_no_route_has_any_more_is_named_unless_it_is_the_programs(
    autojump_clock, tmp_path, reader
):
    topic = "routes: {a: {inbound: {queue: /topic/t, subscription: %s}, adapters: [{type: work}]}}"
    lives = Lives(tmp_path / "q.db", Recorder())
    await lives.run(topic % reader)
    queue = mortal(lives.path)
    await queue.publish("/topic/t", Frame.create(pack(1), message_id=bytes(range(16))))
    await queue.stop()
    report, _ = await lives.run(topic % "other")
    assert [(orphan.queue, orphan.subscription, orphan.messages) for orphan in report.orphans] == (
        [("/topic/t", "exec:x:gone", 1)] if reader == "gone" else []
    )


async def test_results_and_dead_letters_that_the_configuration_names_are_no_orphans(autojump_clock, tmp_path):
    lives = Lives(tmp_path / "q.db", Recorder())
    queue = mortal(lives.path)
    for number, name in enumerate(("out", "dead", "old")):
        await queue.publish(f"exec:x:/queue/{name}", Frame.create(pack(1), message_id=number.to_bytes(16)))
    await queue.stop()
    report, begun = await lives.run(SPREAD)
    assert [orphan.queue for orphan in report.orphans] == ["exec:x:/queue/old"]
    assert begun.published, "nobody knows that it was a route's"
