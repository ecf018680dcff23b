"""What operators do with what stages keep: they look at it, and drop it with the execution or by itself."""

import pytest
import trio

from factflow_engine.errors import ExecutionStartError
from factflow_protocols import QueueError
from support.pipelines import load
from support.sqlite_queues import message, simulated
from support.stored_states import World, slowly

ONE = """
routes:
  r:
    inbound: {concurrency: 4, prefetch: 10}
    adapters: [{type: ledger}, {type: ledger, name: other}, {type: work}]
    outbound: [{queue: /queue/out}]
init_message: {route: r, payload: {n: 1000}}
processor: {snapshot_seconds: 0.1}
"""
WITHOUT = ONE.replace("{type: ledger}, ", "")


async def left(path, text=ONE):
    """An execution that left states, and messages, and answers to some of them."""
    world = World(path, text, work=slowly)
    async with world.life() as life:
        await life.execution.publish_batch("r", [{"n": number} for number in range(50)])
        await trio.sleep(0.33)
        await life.die()
    await trio.sleep(2)  # its lease
    return world


async def administered(path, call):
    queue = simulated(path)
    try:
        return await call(queue.administration)
    finally:
        await queue.stop()


async def test_with_the_last_queue_of_an_execution_go_its_states_and_answers(autojump_clock, tmp_path):
    world = await left(tmp_path / "q.db")
    states, answers = await world.rows()
    assert states == 2
    assert answers > 0
    queue = simulated(world.path)
    await queue.publish("exec:x:/queue/out", message(1))
    await queue.stop()
    forgotten = await administered(world.path, lambda admin: admin.forget("exec:x:/queue/r"))
    assert (forgotten.lines, forgotten.states) == (1, 0)
    assert (await world.rows())[0] == 2, "the execution has another queue"
    forgotten = await administered(world.path, lambda admin: admin.forget("exec:x:/queue/out"))
    assert (forgotten.lines, forgotten.states) == (1, 2)
    assert await world.rows() == (0, 0)


async def test_purging_an_execution_leaves_what_its_stages_keep_of_messages_that_are_done(autojump_clock, tmp_path):
    world = await left(tmp_path / "q.db")
    await administered(world.path, lambda admin: admin.purge("exec:x:/queue/r"))
    assert (await world.rows())[0] == 2
    report = await world.complete()
    assert report.status == "completed"
    [said] = [what for who, what in world.said if who == "ledger"]
    assert 0 < len(said) < 51


@pytest.mark.parametrize("way", ["forget", "discard"])
async def test_an_execution_is_forgotten_whole_and_begins_anew(autojump_clock, tmp_path, way):
    world = await left(tmp_path / "q.db")
    other = World(world.path, ONE, work=slowly)
    async with other.life(execution_id="xx") as life:
        await life.execution.publish_batch("r", [{"n": number} for number in range(50)])
        await trio.sleep(0.3)
        await life.execution.cancel()
    if way == "forget":
        forgotten = await administered(world.path, lambda admin: admin.forget_execution("x"))
        assert forgotten.states == 2
        assert forgotten.purged.messages > 0
    else:
        queue = simulated(world.path)
        await queue.discard("exec:x:")
        await queue.stop()
    statistics = await administered(world.path, lambda admin: admin.statistics())
    assert {stage.execution for stage in statistics.stages} == {"exec:xx:"}, "another one's stay"
    world.said.clear()
    await world.complete()
    assert ("ledger", [{"n": 1000}]) in world.said


async def test_what_a_process_keeps_that_lives_is_not_forgotten(autojump_clock, tmp_path):
    world = World(tmp_path / "q.db", ONE, work=slowly)
    async with world.life() as life:
        await trio.sleep(0.02)
        admin = life.queue.administration
        with pytest.raises(QueueError, match="has consumers"):
            await admin.forget_execution("x")
        with pytest.raises(QueueError, match="is run by 1 process whose stages keep state; stop what runs it"):
            await admin.forget_stage("x", "r", "ledger")
        await trio.sleep(0.3)
        with pytest.raises(QueueError, match="is run by 1 process"):
            await admin.forget_execution("x")
        assert (await admin.forget("exec:x:/queue/out")).states == 0
        with pytest.raises(QueueError, match="is run by 1 process"):
            await admin.forget("exec:x:/queue/r")
        report = await life.execution.complete()
    assert report.status == "completed"
    assert len(world.said) == 2


async def test_a_state_of_a_stage_that_is_gone_can_be_dropped_by_the_command_that_the_error_names(
    autojump_clock, tmp_path
):
    world = await left(tmp_path / "q.db")
    world.config = load(world.registry, WITHOUT)
    with pytest.raises(ExecutionStartError) as caught:
        async with world.life():
            pass
    assert "`factflow queue forget URL --execution x --stage r/ledger`" in str(caught.value)
    assert await administered(world.path, lambda admin: admin.forget_stage("x", "r", "ledger")) == 1
    statistics = await administered(world.path, lambda admin: admin.statistics())
    assert [(stage.route, stage.stage, stage.states) for stage in statistics.stages] == [("r", "other", 1)]
    report = await world.complete()
    assert report.status == "completed"
    [(who, said)] = world.said
    assert who == "other"
    assert [each["n"] for each in said] == [*range(50), 1000], "what the other one keeps is whole"


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda admin: admin.forget_execution("y"), "holds nothing of this execution; it has x"),
        (lambda admin: admin.forget_execution("xs"), "holds nothing of this execution; did you mean x"),
        (
            lambda admin: admin.forget_stage("x", "r", "ledgr"),
            "keeps no state of stage 'r/ledgr'; it does of r/ledger, r/other",
        ),
        (lambda admin: admin.forget_stage("z", "r", "ledger"), "nor of any other stage"),
    ],
)
async def test_what_is_not_there_is_named_with_what_is(autojump_clock, tmp_path, call, said):
    world = await left(tmp_path / "q.db")
    with pytest.raises(QueueError) as caught:
        await administered(world.path, call)
    assert said in str(caught.value)
