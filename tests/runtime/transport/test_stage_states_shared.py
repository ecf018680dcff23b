"""Several processes of one execution whose stages keep state: each effect once, one summary, whoever leaves or dies when."""

import random
import time

import pytest
import trio

from factflow_protocols import AdapterResult, PipelineAdapter, StatefulAdapter
from support.internals import writer_of
from support.sqlite_queues import simulated
from support.stored_states import World, after_any_history, in_order, messages, said_by, slowly

ONE = """
routes:
  r:
    inbound: {concurrency: 4, prefetch: 10}
    adapters: [{type: ledger}, {type: flushing}, {type: work}]
    outbound: [{queue: /queue/out}]
"""


async def test_two_processes_that_end_together_say_one_summary_of_all(autojump_clock, tmp_path):
    world = World(tmp_path / "q.db", ONE, work=slowly)
    with trio.fail_after(60):
        async with world.life() as one, world.life() as other:
            await one.execution.publish_batch("r", messages(100))
            async with trio.open_nursery() as nursery:
                nursery.start_soon(one.execution.complete)
                nursery.start_soon(other.execution.complete)
        reports = [one.execution.report, other.execution.report]
    assert [report.status for report in reports] == ["completed", "completed"]
    assert all(report.routes["r"].received > 5 for report in reports), "they shared the work"
    assert said_by(world) == [messages(100)]
    assert said_by(world, "flushing") == [100]
    assert await world.rows() == (0, 0)
    assert [info.resumed for info in world.infos if info.stage == "ledger"] == [False, True]


class Files:
    """What processes have written that are killed or not, as a file would have it."""

    def __init__(self):
        self.lines, self.opened = [], []

    def adapter(self):
        class Wipes(StatefulAdapter):
            """Removes what it takes for leftovers, as slowly as a disk may be."""

            durable_batches = True

            async def open(self, stage):
                self.buffer = []
                files.opened.append(stage.resumed)
                if not stage.resumed:
                    await trio.sleep(0.7)
                    files.lines.clear()

            async def process(self, context):
                self.buffer.append(context.message["n"])
                return AdapterResult.forward()

            async def flush(self):
                written, self.buffer = self.buffer, []
                files.lines += written

        files = self
        return Wipes


WIPES = """
routes:
  r: {inbound: {concurrency: 2, prefetch: 2}, adapters: [{type: wipes}, {type: work}]}
"""


async def test_a_process_that_joins_waits_until_the_first_one_has_removed_leftovers(autojump_clock, tmp_path):
    files = Files()
    world = World(tmp_path / "q.db", WIPES, work=slowly, wipes=files.adapter())

    async def live(first):
        async with world.life() as life:
            await life.execution.publish_batch("r", messages(40, first))
            await life.execution.complete()

    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(live, 0)
            nursery.start_soon(live, 40)
    assert sorted(files.opened) == [False, True]
    assert sorted(files.lines) == list(range(80))
    assert await world.rows() == (0, 0)


async def test_one_that_dies_while_it_opens_its_stages_keeps_others_waiting_for_its_lease_at_most(
    autojump_clock, tmp_path
):
    files = Files()
    world = World(tmp_path / "q.db", WIPES, work=slowly, wipes=files.adapter())
    queue = simulated(tmp_path / "q.db", lease_seconds=1.0)
    dead = await queue.states.join("exec:x:", [("r", "wipes")], opens=True)
    assert (dead.others, dead.is_opening) == (0, False)
    assert (await queue.states.join("exec:x:", [("r", "wipes")], opens=True)).is_opening
    await queue.stop()
    start = trio.current_time()
    async with world.life() as life:
        assert 0.9 < trio.current_time() - start < 2.5
        await life.execution.publish_batch("r", messages(3))
        await life.execution.complete()
    assert files.opened == [False], "the dead one had begun nothing"
    assert sorted(files.lines) == [0, 1, 2]


async def test_what_is_given_up_before_a_process_has_joined_does_not_fail_it(autojump_clock, tmp_path):
    """It waits for one that died as it opened its stages, and is handed a message that none may have again."""

    async def patiently(context):
        await trio.sleep(100)

    text = ONE.replace("/queue/out}]", "/queue/out}]\n    error_handling: {max_deliveries: 1}")
    world = World(tmp_path / "q.db", text, work=patiently)
    async with world.life() as life:
        await life.execution.publish_batch("r", messages(1))
        await trio.sleep(1)
        await life.die()
    await trio.sleep(5)
    queue = simulated(tmp_path / "q.db", lease_seconds=10.0)
    stages = [("r", "ledger"), ("r", "flushing")]
    await queue.states.join("exec:x:", stages, opens=True)
    assert (await queue.states.join("exec:x:", stages, opens=True)).is_opening
    await queue.stop()
    start = trio.current_time()
    async with world.life() as life:
        assert trio.current_time() - start > 9
        report = await life.execution.complete()
    assert (report.status, report.routes["r"].failed) == ("completed", 1)
    assert await world.rows() == (0, 0)


async def test_one_that_ends_first_leaves_the_last_word_to_one_that_lives_on(autojump_clock, tmp_path):
    world = World(tmp_path / "q.db", ONE, work=slowly)
    with trio.fail_after(60):
        async with world.life() as one:
            async with world.life() as other:
                await one.execution.publish_batch("r", messages(100))
                report = await other.execution.complete()
                assert report.status == "completed"
                assert world.said == []
                await one.execution.publish_batch("r", messages(5, 100))
            await one.execution.complete()
    assert said_by(world) == [messages(105)]


async def test_one_that_joins_when_all_is_said_says_nothing(autojump_clock, tmp_path):
    world = World(tmp_path / "q.db", ONE, work=slowly)
    with trio.fail_after(60):
        async with world.life() as one:
            await one.execution.publish_batch("r", messages(5))
            await one.execution.complete()
        async with world.life(asked_ns=1) as late:  # asked for while the first one ran
            assert late.execution.begun is not None
            assert not late.execution.begun.published
            assert (await late.execution.complete()).status == "completed"
        assert said_by(world) == [messages(5)]
        async with world.life() as next_one:  # a run of its own, of no messages
            await next_one.execution.complete()
    assert said_by(world) == [messages(5), []]


async def test_one_that_joins_while_the_last_word_is_on_its_way_says_nothing(autojump_clock, tmp_path):
    async def for_long(context):
        await trio.sleep(5)
        return AdapterResult.forward()

    text = ONE.replace("{queue: /queue/out}", "{route: said}") + "  said: {adapters: [{type: long}]}\n"
    world = World(tmp_path / "q.db", text, work=slowly, long=for_long)
    with trio.fail_after(60):
        async with world.life() as one, trio.open_nursery() as nursery:
            await one.execution.publish_batch("r", messages(5))
            nursery.start_soon(one.execution.complete)
            while not world.said:
                await trio.sleep(0.1)
            await trio.sleep(1)
            async with world.life() as late:
                assert not late.execution.begun.published
                await late.execution.complete()
    assert said_by(world) == [messages(5)]
    assert said_by(world, "flushing") == [5]


async def test_one_that_dies_at_the_end_is_waited_for_as_long_as_a_lease(autojump_clock, tmp_path):
    world = World(tmp_path / "q.db", ONE, work=slowly)
    with trio.fail_after(100):
        async with world.life(lease=3) as one:
            await one.execution.publish_batch("r", messages(50))
            await trio.sleep(5)
            await one.die()
        start = trio.current_time()
        report = await world.complete(lease=3)
    assert report.status == "completed"
    assert trio.current_time() - start < 3.5
    assert said_by(world) == [messages(50)]


async def test_what_a_blocked_process_has_lost_it_does_not_store(autojump_clock, tmp_path):
    """It gave no sign of life for longer than the lease: another one has its messages and its state by now."""
    world = World(
        tmp_path / "q.db",
        ONE.replace("prefetch: 10", "prefetch: 100") + "processor: {snapshot_seconds: 5}",
        work=slowly,
    )
    with trio.fail_after(100):
        async with world.life() as blocked:
            await blocked.execution.publish_batch("r", messages(20))
            await trio.sleep(2)
            submit = writer_of(blocked.queue).submit

            async def wait(request):
                await trio.sleep(4)
                return await submit(request)

            writer_of(blocked.queue).submit = wait
            report = await world.complete()
            writer_of(blocked.queue).submit = submit
            failed = await blocked.execution.complete()
    assert report.status == "completed"
    assert failed.status == "failed"
    assert "longer than the lease" in failed.error
    assert said_by(world) == [messages(20)]


async def test_real_time_of_a_stage_that_blocks_is_no_virtual_time(autojump_clock, tmp_path):
    """With real threads the clock jumps from lease to lease meanwhile: ten thousand seconds, on a busy machine."""

    class Blocks(PipelineAdapter):
        def process(self, context):
            time.sleep(0.01)
            return AdapterResult.forward()

    text = "routes: {r: {inbound: {concurrency: 1}, adapters: [{type: blocks}]}}"
    world = World(tmp_path / "q.db", text, blocks=Blocks)
    start = trio.current_time()
    async with world.life() as life:
        await life.execution.publish_batch("r", messages(20))
        await life.execution.complete()
    assert trio.current_time() - start < 2


FATES = ("complete", "drain", "drain 0", "cancel", "die", "die late")


async def history(path, seed):
    generator = random.Random(seed)
    seconds = {number: generator.choice([0, 0.001, 0.01, 0.3]) for number in range(1000)}
    dead = {number for number in range(1000) if generator.random() < 0.05}

    async def work(context):
        message = context.message
        if "n" not in message:  # what a ledger has said
            return AdapterResult.forward()
        await trio.sleep(seconds[message["n"]])
        if message["n"] in dead:
            raise ValueError("never works")
        if context.attempt < message["n"] % 3 + 1:
            raise OSError("works later")
        return AdapterResult.forward()

    text = f"""
processor: {{snapshot_seconds: {generator.choice([0, 0.01, 0.3, 1])}}}
error_handling: {{max_retries: 3, retry_delay_seconds: {generator.choice([0.01, 0.4])}, jitter: none, dead_letter_queue: /queue/dead}}
routes:
  first:
    inbound: {{concurrency: {generator.randint(1, 5)}, prefetch: {generator.randint(1, 20)}}}
    adapters: [{{type: ledger, name: early}}, {{type: work}}, {{type: {generator.choice(["ledger", "sync_ledger"])}, name: late}}]
    outbound: [{{route: second}}]
  second:
    inbound: {{concurrency: {generator.randint(1, 5)}, prefetch: {generator.randint(1, 20)}}}
    adapters: [{{type: flushing}}, {{type: ledger, name: end}}]
    outbound: [{{queue: /queue/out}}]
"""
    world = World(path, text, work=work)
    kinds = [None, None, None, "drop", "split", "change"]
    given = [{"n": number, "do": do} if (do := generator.choice(kinds)) else {"n": number} for number in range(60)]

    async def one_life(fate):
        async with world.life() as life:
            await trio.sleep(generator.uniform(0, 3))
            if fate == "complete":
                await life.execution.complete()
            elif fate.startswith("drain"):
                await life.execution.drain(0 if fate == "drain 0" else generator.uniform(0, 2))
            elif fate == "cancel":
                await life.execution.cancel()
            else:
                if fate == "die late":
                    life.execution.let_complete()
                    await trio.sleep(generator.uniform(0, 5))
                if life.execution.report is None:
                    await life.die()

    with trio.fail_after(10_000):
        async with world.life() as life:
            life.execution.pause()
            await life.execution.publish_batch("first", given)
            await life.execution.cancel()
        for _ in range(generator.randint(1, 4)):
            async with trio.open_nursery() as nursery:
                for _ in range(generator.randint(1, 3)):
                    nursery.start_soon(one_life, generator.choice(FATES))
        report = await world.complete()
        rows = await world.rows()
        out, letters = await world.out(), await world.out("/queue/dead")
    return world, given, dead, report, rows, out, letters


@pytest.mark.parametrize("examples", [5, pytest.param(300, marks=pytest.mark.slow)])
def test_after_any_history_the_effects_are_those_of_an_undisturbed_run(tmp_path_factory, examples):
    after_any_history(history, judge, tmp_path_factory, examples)


def judge(world, given_, dead, report, rows, out, letters):
    assert report.status == "completed"
    assert rows == (0, 0)
    early = in_order(given_)
    passed = [each for message in given_ for each in made_of(message)]
    alive = in_order([each for each in passed if each["n"] not in dead])
    late = list(alive)
    end = in_order([each for message in alive for each in made_of(message)])
    assert said_once(world, "early", early)
    assert said_once(world, "late", late)
    assert said_once(world, "end", late)
    assert in_order([each for each in out if "n" in each]) == end
    assert in_order([each for each in world.durable.values() if "n" in each]) == late
    totals = [(each["by"], each["total"]) for each in out if "n" not in each and each["total"] > 2]
    if world.config.routes["first"].adapters[2].type == "ledger":
        expected = [("early", 60), ("end", len(late) + 2), ("late", len(late) + 1)]
    else:
        expected = [("early", 60), ("end", len(late) + 1)]
    assert sorted(totals) == expected, (totals, expected)
    assert len(letters) == len([each for each in passed if each["n"] in dead])


def made_of(message):
    do = message.get("do")
    if do == "drop":
        return []
    if do == "split":
        return [{"n": message["n"], "part": part} for part in range(3)]
    if do == "change":
        return [{"n": message["n"], "changed": True}]
    return [message]


def said_once(world, stage, expected):
    said = [in_order([each for each in what if "n" in each]) for who, what in world.said if who == stage]
    said = [what for what in said if what]  # what has completed begins anew, with nothing
    assert said, f"{stage} has said nothing"
    for what in said:
        assert what == expected, (
            stage,
            [one for one in what if one not in expected],
            [one for one in expected if one not in what],
        )
    return True
