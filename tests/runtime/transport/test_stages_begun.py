"""Every stage of an execution that completes finishes once, whether it had a message or not, and whoever began it."""

import random

import pytest
import trio

from factflow_engine.config import InitMessageConfig
from factflow_protocols import AdapterResult, StatefulAdapter
from support.sqlite_queues import message, simulated
from support.stored_states import World, after_any_history

INIT = "init_message: {route: r, payload: {n: 1}}\n"
SINKS = "routes:\n  r: {adapters: [{type: work}, {type: ledger}, {type: flushing}]}\n"


def sieve(seconds=1.0):
    """An adapter that lets nothing through, and takes its time."""

    async def work(context):
        if isinstance(context.message, dict) and "by" in context.message:  # what a ledger has said
            return AdapterResult.forward()
        await trio.sleep(seconds)
        return None

    return work


def said(world):
    return sorted(world.said, key=str)


NOTHING = [("flushing", 0), ("ledger", [])]


async def cut_short(life, how):
    """End a life that has begun the execution, before a message came to its end."""
    await trio.sleep(0.1)
    if how == "die":
        await life.die()
    else:
        await (life.execution.drain(0) if how == "drain" else life.execution.cancel())


@pytest.mark.parametrize("how", ["die", "drain", "cancel"])
@pytest.mark.parametrize("lives", [1, 3])
async def test_a_stage_that_never_had_a_message_finishes_after_the_process_that_began_is_gone(
    autojump_clock, tmp_path, how, lives
):
    world = World(tmp_path / "q.db", SINKS + INIT, work=sieve())
    for _ in range(lives):
        async with world.life() as life:
            await cut_short(life, how)
    assert world.said == []
    report = await world.complete()
    assert (report.status, report.routes["r"].filtered) == ("completed", 1)
    assert said(world) == NOTHING
    assert await world.rows() == (0, 0)
    await world.complete()  # begins anew
    assert said(world) == sorted(NOTHING * 2, key=str)


@pytest.mark.parametrize("first_to_end", [0, 1, 2])
async def test_of_several_processes_one_finishes_what_none_had_a_message_for(autojump_clock, tmp_path, first_to_end):
    world = World(tmp_path / "q.db", SINKS + INIT, work=sieve())
    with trio.fail_after(60):
        async with world.life() as one, world.life() as other, world.life() as third:
            lives = [one, other, third]
            if first_to_end == 2:
                await one.die()  # the one that began it
                lives.remove(one)
            else:
                await lives[first_to_end].execution.complete()
            async with trio.open_nursery() as nursery:
                for life in lives:
                    nursery.start_soon(life.execution.complete)
    assert said(world) == NOTHING
    assert await world.rows() == (0, 0)


async def test_messages_that_were_there_before_the_first_process_do_not_keep_stages_from_finishing(
    autojump_clock, tmp_path
):
    world = World(tmp_path / "q.db", SINKS, work=sieve())
    queue = simulated(tmp_path / "q.db")
    await queue.publish("exec:x:/queue/r", message(1))
    await queue.stop()
    async with world.life() as life:
        assert not life.execution.begun.published
        await life.die()
    await world.complete()
    assert said(world) == NOTHING


async def test_without_init_messages_stages_finish_too(autojump_clock, tmp_path):
    world = World(tmp_path / "q.db", SINKS, work=sieve())
    async with world.life(publish_init=False) as life:
        await cut_short(life, "die")
    await world.complete()
    assert said(world) == NOTHING


async def test_a_stage_that_is_new_in_an_unfinished_execution_finishes_with_the_rest(autojump_clock, tmp_path):
    world = World(tmp_path / "q.db", SINKS + INIT, work=sieve())
    async with world.life() as life:
        await cut_short(life, "die")
    more = World(
        tmp_path / "q.db", SINKS.replace("{type: ledger}", "{type: ledger}, {type: ledger, name: new}"), work=sieve()
    )
    await more.complete()
    [new] = [what for who, what in more.said if who == "new"]
    assert new == [{"total": 0, "by": "ledger"}], "it had nothing but what the stage before it has said"
    assert len(more.said) == 3


async def test_an_execution_that_failed_with_nothing_left_is_begun_anew(autojump_clock, tmp_path):
    async def breaks(context):
        raise ValueError("no such file")

    text = "routes:\n  r: {adapters: [{type: work}], outbound: [{route: sink}]}\n" + SINKS.partition("\n")[2].replace(
        "r:", "sink:"
    )
    world = World(tmp_path / "q.db", text + INIT + "orchestrator: {max_failed_messages: 0}", work=breaks)
    for _ in range(2):
        report = await world.complete()
        assert report.status == "failed"
        assert report.routes["r"].failed == 1, "its init message was published"
    assert world.said == []
    assert await world.rows() == (0, 0)


async def test_what_a_failed_execution_has_made_is_gone_on_with(autojump_clock, tmp_path):
    async def breaks(context):
        if context.message["n"] == 2:
            raise ValueError("no such line")
        return AdapterResult.forward()

    text = SINKS + "orchestrator: {max_failed_messages: 0}"
    world = World(tmp_path / "q.db", text, work=breaks)
    first = [InitMessageConfig(route="r", payload={"n": 1}), InitMessageConfig(route="r", payload={"n": 2})]
    async with world.life(init=first) as life:
        assert (await life.execution.complete()).status == "failed"
    await world.complete()
    assert ("ledger", [{"n": 1}]) in world.said


@pytest.mark.parametrize("how", ["drain", "die"])
async def test_a_stage_is_resumed_only_where_there_is_something_to_go_on_with(autojump_clock, tmp_path, how):
    async def passes_ones(context):
        await trio.sleep(0.05)
        return AdapterResult.forward() if context.message["n"] == 1 else None

    text = SINKS.replace("{type: flushing}", "{type: work, name: sieve}, {type: flushing}") + INIT
    text += "processor: {snapshot_seconds: 0.1}"
    world = World(tmp_path / "q.db", text, work=sieve())
    async with world.life() as life:
        await cut_short(life, "drain")
    async with world.life(lease=1) as life:
        await cut_short(life, "die")
    await trio.sleep(1.5)
    kept = World(tmp_path / "q.db", text, work=passes_ones)
    async with kept.life() as life:
        await life.execution.publish("r", {"n": 2})
        await trio.sleep(0.7)
        await (life.execution.drain(0) if how == "drain" else life.die())
    await kept.complete()
    assert [(info.resumed, info.kept) for info in world.infos] == [(False, False)] * 4, "nothing had any effect"
    assert [(info.stage, info.resumed, info.kept) for info in kept.infos] == [
        ("ledger", False, False),
        ("flushing", False, False),
        ("ledger", True, True),
        ("flushing", True, True),
    ]


async def test_a_process_that_comes_after_the_end_leaves_no_stage_to_finish(autojump_clock, tmp_path):
    world = World(tmp_path / "q.db", SINKS + INIT, work=sieve())
    for budget in [k / 2_000 for k in range(12)]:  # cut short after any of its steps
        await world.complete(asked_ns=1)
        async with world.life(asked_ns=1) as life:
            await life.execution.drain(budget)
        assert await world.rows() == (0, 0)
    await world.complete(asked_ns=1)
    assert said(world) == NOTHING


class Target:
    """A file that is replaced when an execution completes."""

    def __init__(self):
        self.content = "yesterday"

    def adapter(self):
        class Replaces(StatefulAdapter):
            durable_batches = True

            async def process(self, context):
                return AdapterResult.forward()

            async def flush(self):
                pass

            async def finish(self):
                target.content = "today"

        target = self
        return Replaces


async def history(path, seed):
    """A random one of lives that begin, join, end and die; nothing ever comes to the stages."""
    chance = random.Random(seed)
    target = Target()
    text = SINKS.replace("{type: flushing}", "{type: flushing}, {type: replaces}") + INIT
    world = World(path, text, work=sieve(chance.choice([0, 0.5, 3])), replaces=target.adapter())

    async def one_life(fate):
        async with world.life(asked_ns=1) as life:  # so that nothing is begun anew
            await trio.sleep(chance.uniform(0, 2))
            if fate == "complete":
                await life.execution.complete()
            elif life.execution.report is None:
                await {
                    "die": life.die,
                    "cancel": life.execution.cancel,
                    "drain": lambda: life.execution.drain(chance.uniform(0, 1)),
                }[fate]()

    with trio.fail_after(10_000):
        for _ in range(chance.randint(1, 3)):
            async with trio.open_nursery() as nursery:
                for _ in range(chance.randint(1, 3)):
                    nursery.start_soon(one_life, chance.choice(["complete", "die", "drain", "cancel"]))
        await world.complete(asked_ns=1)
    return world, target, await world.rows()


@pytest.mark.parametrize("examples", [10, pytest.param(300, marks=pytest.mark.slow)])
def test_after_any_history_each_stage_has_finished_once(tmp_path_factory, examples):
    def judge(world, target, rows):
        assert said(world) == NOTHING
        assert target.content == "today"
        assert rows == (0, 0)

    after_any_history(history, judge, tmp_path_factory, examples)
