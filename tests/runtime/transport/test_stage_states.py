"""What stages keep across messages on a queue that outlives the process: stored with acknowledgements, restored, said once."""

import pytest
import trio

from factflow_engine.errors import ExecutionStartError, StateLossError
from factflow_protocols import AdapterResult, StatefulAdapter
from support.stored_states import World, messages, said_by, slowly

ONE = """
routes:
  r:
    inbound: {concurrency: 4, prefetch: 10}
    adapters: [{type: ledger}, {type: work}]
    outbound: [{queue: /queue/out}]
"""


async def test_a_drained_execution_keeps_its_state_for_the_next_one(autojump_clock, tmp_path):
    world = World(tmp_path / "q.db", ONE, work=slowly)
    async with world.life() as life:
        await life.execution.publish_batch("r", messages(100))
        await trio.sleep(0.5)
        report = await life.execution.drain(60)
    assert report.status == "cancelled"
    assert world.said == [], "the next one says it"
    assert report.close_errors == (), "nothing is lost"
    report = await world.complete()
    assert report.status == "completed"
    assert said_by(world) == [messages(100)]
    assert [info.resumed for info in world.infos] == [False, True]
    assert all(info.durable for info in world.infos)
    assert await world.rows() == (0, 0), "nothing is kept of what has completed"


@pytest.mark.parametrize("how", ["cancel", "die", "drain gives up"])
async def test_what_was_acknowledged_is_in_the_state_and_nothing_is_in_it_twice(autojump_clock, tmp_path, how):
    world = World(tmp_path / "q.db", ONE, work=slowly)
    async with world.life() as life:
        await life.execution.publish_batch("r", messages(100))
        await trio.sleep(0.73)
        if how == "die":
            await life.die()
        else:
            report = await (life.execution.cancel() if how == "cancel" else life.execution.drain(0.01))
            assert report.close_errors == ()
    report = await world.complete()
    assert report.status == "completed"
    assert said_by(world) == [messages(100)]


async def test_a_process_that_dies_between_the_last_acknowledgement_and_finish_is_finished_by_the_next(
    autojump_clock, tmp_path
):
    world = World(tmp_path / "q.db", ONE + "init_message: {route: r, payload: {n: 1}}", work=slowly)
    async with world.life() as life:
        await trio.sleep(5)
        await life.die()
    assert said_by(world) == []
    report = await world.complete()
    assert report.status == "completed"
    assert report.routes["r"].received == 1, "the summary: no init message was published again"
    assert said_by(world) == [[{"n": 1}]]
    await world.complete()
    assert said_by(world) == [[{"n": 1}], [{"n": 1}]], "what has completed begins anew"


async def test_acknowledgements_are_held_and_hold_up_nobody(autojump_clock, tmp_path):
    """Of messages that have ended more may be held than the prefetch, and they are stored at the latest after a while."""
    world = World(tmp_path / "q.db", ONE + "processor: {snapshot_seconds: 20}", work=slowly)
    async with world.life() as life:
        await life.execution.publish_batch("r", messages(200))
        await trio.sleep(10)
        assert len(world.seen) == 200, "the prefetch of 10 held nothing up"
        statistics = await life.queue.administration.statistics()
        [held] = [line.leased for line in statistics.lines if line.queue.endswith("/r")]
        assert held == 200
        await trio.sleep(15)
        statistics = await life.queue.administration.statistics()
        assert [line.leased for line in statistics.lines if line.queue.endswith("/r")] == [0]
        start = trio.current_time()
        await life.execution.complete()
        assert trio.current_time() - start < 2, "the end does not wait for company"
    assert said_by(world) == [messages(200)]


async def test_later_stages_that_fail_do_not_change_the_state_again(autojump_clock, tmp_path):
    async def fails_twice(context):
        if context.attempt < 3:
            raise OSError("not yet")
        return AdapterResult.forward()

    retries = ONE + "error_handling: {max_retries: 3, retry_delay_seconds: 0.5, jitter: none}"
    world = World(tmp_path / "q.db", retries, work=fails_twice)
    kinds = [{"n": 0}, {"n": 1, "do": "drop"}, {"n": 2, "do": "split"}, {"n": 3, "do": "change"}]
    async with world.life() as life:
        await life.execution.publish_batch("r", kinds)
        report = await life.execution.complete()
    assert report.status == "completed"
    assert said_by(world) == [kinds]
    assert set(world.seen.values()) == {1}, "its adapter was asked once for each"
    out = await world.out()
    expected = [{"n": 0}, {"n": 3, "changed": True}, *({"n": 2, "part": part} for part in range(3))]
    assert sorted(out, key=str) == sorted([*expected, {"total": 4, "by": "ledger"}], key=str)


async def test_what_cannot_be_remembered_fails_its_message_once(autojump_clock, tmp_path):
    world = World(tmp_path / "q.db", ONE + "error_handling: {max_retries: 3}", work=slowly)
    async with world.life() as life:
        await life.execution.publish("r", {"n": 1, "do": "lazy"})
        report = await life.execution.complete()
    [failure] = report.failures
    assert "write AdapterResult(emitted=[...])" in failure.error
    assert failure.attempts == 1


async def test_effects_are_flushed_before_messages_are_acknowledged(autojump_clock, tmp_path):
    text = ONE.replace("ledger", "flushing")
    world = World(tmp_path / "q.db", text, work=slowly)
    async with world.life() as life:
        await life.execution.publish_batch("r", messages(100))
        await trio.sleep(0.73)
        await life.die()
    acknowledged = set(world.durable)
    assert 0 < len(acknowledged) < 100
    await world.complete()
    assert sorted(each["n"] for each in world.durable.values()) == list(range(100))
    assert said_by(world, "flushing") == [100], "said once"


@pytest.mark.parametrize("how", ["cancel", "drain", "from outside"])
async def test_stages_are_open_for_as_long_as_they_are_asked_to_keep(autojump_clock, tmp_path, how):
    is_open, asked = False, []

    class Opened(StatefulAdapter):
        durable_batches = True

        async def open(self, stage):
            nonlocal is_open
            is_open = True

        async def process(self, context):
            return AdapterResult.forward()

        async def flush(self):
            await trio.sleep(0.3)
            asked.append(is_open)

        def snapshot(self):
            asked.append(is_open)

        def restore(self, state):
            pass

        async def close(self):
            nonlocal is_open
            is_open = False

    world = World(tmp_path / "q.db", ONE.replace("ledger", "opened"), work=slowly, opened=Opened)
    with trio.CancelScope() as scope:
        async with world.life() as life:
            await life.execution.publish_batch("r", messages(100))
            await trio.sleep(0.73)
            if how == "from outside":
                scope.cancel()
            await (life.execution.drain(0) if how == "drain" else life.execution.cancel())
    assert asked
    assert all(asked)
    report = await world.complete()
    assert report.routes["r"].received < 100, "what had ended by then was acknowledged"


@pytest.mark.parametrize("what", ["flush", "snapshot", "hangs"])
async def test_a_stage_that_cannot_keep_fails_the_execution_by_name_and_acknowledges_nothing(
    autojump_clock, tmp_path, what
):
    class Fails(StatefulAdapter):
        durable_batches = what != "snapshot"

        async def process(self, context):
            return AdapterResult.forward()

        if what == "snapshot":

            def snapshot(self):
                raise OSError("the disk is on fire")

            def restore(self, state):
                pass

        else:

            async def flush(self):
                if what == "hangs":
                    await trio.sleep_forever()
                raise OSError("the disk is on fire")

    world = World(tmp_path / "q.db", ONE.replace("ledger", "fails"), work=slowly, fails=Fails)
    with trio.fail_after(100):
        async with world.life() as life:
            await life.execution.publish("r", {"n": 1})
            report = await life.execution.complete()
    assert report.status == "failed"
    name = "snapshot" if what == "snapshot" else "flush"
    assert f"route 'r', stage 'fails': {name}() failed" in report.error
    assert ("flush_seconds" if what == "hangs" else "on fire") in report.error
    async with world.life() as life:
        statistics = await life.queue.administration.statistics()
        assert sum(line.waiting + line.leased for line in statistics.lines if line.queue.endswith("/r")) == 1
        await life.execution.cancel()


async def test_a_stage_that_would_lose_its_state_is_refused_unless_that_is_allowed(autojump_clock, tmp_path):
    class Loses(StatefulAdapter):
        async def process(self, context):
            return AdapterResult.forward()

        async def finish(self):
            return AdapterResult(message="a sum")

    world = World(tmp_path / "q.db", ONE.replace("ledger", "loses"), work=slowly, loses=Loses)
    with pytest.raises(StateLossError, match="r/loses: adapter type 'loses' keeps something"):
        async with world.life():
            pass
    async with world.life(allow_loss=True) as life:
        assert (await life.execution.complete()).status == "completed"


async def test_a_start_that_fails_leaves_nothing_that_keeps_the_next_one_from_beginning(autojump_clock, tmp_path):
    broken = True

    class Opens(StatefulAdapter):
        async def open(self, stage):
            if broken:
                raise OSError("not there")

        async def process(self, context):
            return AdapterResult.forward()

    text = ONE.replace("{type: work}", "{type: opens}") + "init_message: {route: r, payload: {n: 1}}"
    world = World(tmp_path / "q.db", text, opens=Opens)
    with pytest.raises(ExecutionStartError):
        async with world.life():
            pass
    broken = False
    await world.complete()
    assert said_by(world) == [[{"n": 1}]]
