"""An execution that goes on with another configuration, or comes too late, takes nothing away from what was kept."""

import pytest
import trio

from factflow_engine.errors import ExecutionStartError
from factflow_protocols import AdapterResult, StatefulAdapter
from support.internals import transport_of
from support.stored_states import World, slowly

INIT = "init_message: {route: r, payload: {n: 1}}"


def pipeline(*stages, route="r"):
    listed = ", ".join(f"{{type: {stage}}}" for stage in stages)
    return f"routes:\n  {route}:\n    inbound: {{queue: /queue/r}}\n    adapters: [{listed}]\n"


async def never_ended(*, failed):
    await trio.lowlevel.checkpoint()


@pytest.mark.parametrize("kept", ["ledger", "flushing"])
@pytest.mark.parametrize("how", ["drain", "die"])
@pytest.mark.parametrize(
    "changed",
    [pipeline("work"), pipeline("work", route="other"), pipeline("idle", "work")],
    ids=["gone", "route", "type"],
)
async def test_a_stage_that_has_gone_fails_the_start_and_nothing_is_lost(autojump_clock, tmp_path, kept, how, changed):
    class Idle(StatefulAdapter):
        async def process(self, context):
            return AdapterResult.forward()

    world = World(tmp_path / "q.db", pipeline(kept, "work") + "processor: {snapshot_seconds: 0.1}", work=slowly)
    async with world.life() as life:
        await life.execution.publish_batch("r", [{"n": number} for number in range(200)])
        await trio.sleep(0.9)
        await (life.execution.drain(60) if how == "drain" else life.die())
    other = World(tmp_path / "q.db", changed, work=slowly, idle=Idle)
    for _ in range(2):  # also while nobody knows yet that the first one is dead
        with pytest.raises(ExecutionStartError, match=f"'r', stage '{kept}'.*no such stage that keeps anything"):
            async with other.life():
                pass
    report = await world.complete()
    assert report.status == "completed"
    [(_, words)] = world.said
    assert (len(words) if kept == "ledger" else words) == 200


@pytest.mark.parametrize("how", ["drain", "die"])
async def test_a_stage_is_told_that_something_is_kept_of_it(autojump_clock, tmp_path, how):
    world = World(tmp_path / "q.db", pipeline("flushing", "work"), work=slowly)
    async with world.life() as life:
        await life.execution.publish_batch("r", [{"n": number} for number in range(200)])
        await trio.sleep(0.9)
        await (life.execution.drain(60) if how == "drain" else life.die())
    await world.complete()
    await world.complete()
    assert [info.kept for info in world.infos] == [False, True, False]


@pytest.mark.parametrize("broken", [False, True])
async def test_what_is_stored_is_discarded_only_when_everything_is_said(autojump_clock, tmp_path, broken):
    calls = []

    class Notes(StatefulAdapter):
        durable_batches = True

        async def process(self, context):
            return AdapterResult.forward()

        async def finish(self):
            calls.append("finish")

        async def flush(self):
            pass

        async def discard(self):
            calls.append("discard")
            raise OSError("not deleted")

        async def close(self):
            calls.append("close")

    class Last(StatefulAdapter):
        keeps_state = False

        async def process(self, context):
            return AdapterResult.forward()

        async def finish(self):
            if broken:
                raise OSError("not now")

    world = World(tmp_path / "q.db", pipeline("notes", "last") + INIT, notes=Notes, last=Last)
    report = await world.complete()
    if broken:
        assert report.status == "failed"
        assert calls == ["finish", "close"]
        broken, calls[:] = False, []
        report = await world.complete()
    assert report.status == "completed"
    assert calls == ["finish", "discard", "close"]
    assert report.close_errors == ("r/notes: OSError: not deleted",)


async def test_one_that_finds_all_done_says_nothing_in_the_place_of_what_was_said(autojump_clock, tmp_path):
    """A process is killed between the end of everything and noting it, or another one comes at that instant."""
    world = World(tmp_path / "q.db", pipeline("ledger", "work") + INIT, work=slowly)
    async with world.life() as life:
        transport_of(life.execution).start.end = never_ended
        await life.execution.complete()
    assert world.said == [("ledger", [{"n": 1}])]
    report = await world.complete()
    assert report.status == "completed"
    assert world.said == [("ledger", [{"n": 1}])]
    await world.complete()
    assert world.said == [("ledger", [{"n": 1}])] * 2, "the next one begins anew"
