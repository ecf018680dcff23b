"""Generators that an adapter forgets with a nursery open, while it goes on: its message fails by name, and nothing else."""

import gc
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st

from factflow_engine.testing import in_virtual_time
from factflow_protocols import AdapterResult, StatefulAdapter
from support.pipelines import Recorder, assert_counters_balance, running

pytestmark = pytest.mark.filterwarnings("ignore:Async generator .* was garbage collected:ResourceWarning")


class Forgetful:
    """Ways to forget a generator and to go on; counts the tasks that were started and have not ended."""

    def __init__(self):
        self.running = 0

    async def task(self):
        self.running += 1
        try:
            await trio.sleep_forever()
        finally:
            self.running -= 1

    async def lines(self):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.task)
            for number in range(3):
                await trio.sleep(0.01)
                yield number

    @asynccontextmanager
    async def resource(self):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.task)
            yield nursery

    async def lines_of_a_resource(self):
        async with self.resource():
            yield 0

    async def begin(self):
        async for _ in self.lines():
            return

    # -- ways ------------------------------------------------------------------------------------------------------

    async def sleeps(self):
        await self.begin()
        await trio.sleep(0.5)

    async def shields_itself(self):
        with trio.CancelScope(shield=True):
            await self.begin()
            await trio.sleep(0.5)

    async def forgets_a_resource(self):
        async for _ in self.lines_of_a_resource():
            break
        await trio.sleep(0.5)

    async def forgets_by_the_collector(self):
        lines = self.lines()
        box = [lines]
        box.append(box)
        await anext(lines)
        del lines, box
        await trio.sleep(0.1)
        gc.collect()
        await trio.sleep(0.5)

    async def forgets_with_an_error(self):
        error = None
        try:
            async for _ in self.lines():
                raise ValueError("mine")
        except ValueError as raised:
            error = raised
        await trio.sleep(0.2)
        del error
        gc.collect()
        await trio.sleep(0.5)

    async def forgets_two(self):
        await self.begin()
        await self.begin()
        await trio.sleep(0.5)

    async def works_in_a_nursery(self):
        async with trio.open_nursery() as nursery:
            await self.begin()
            nursery.start_soon(trio.sleep, 0.1)
            await trio.sleep(0.5)

    # -- in what is emitted ----------------------------------------------------------------------------------------

    async def then_emits(self):
        await self.begin()
        for number in range(3):
            yield number

    async def emits_slowly(self):
        await self.begin()
        for number in range(3):
            await trio.sleep(0.1)
            yield number


WAYS = ["sleeps", "forgets_a_resource", "forgets_by_the_collector", "forgets_with_an_error", "forgets_two"]
SOURCES = ["then_emits", "emits_slowly"]
PLAIN = "routes: {r: {inbound: {concurrency: N}, adapters: [{type: forgetful}, {type: seen}]}}"
TEXTS = {
    "plain": PLAIN,
    "stage": PLAIN.replace("{type: forgetful}", "{type: forgetful, timeout_seconds: 30}"),
    "route": "error_handling: {timeout_seconds: 30}\n" + PLAIN,
}


def forgetful(ways):
    async def process(context):
        if context.message in SOURCES:
            return AdapterResult(emitted=getattr(ways, context.message)())
        if context.message is not None:
            await getattr(ways, context.message)()
        await trio.sleep(0.05)
        return AdapterResult.forward()

    return process


async def used(text, messages):
    ways, seen = Forgetful(), Recorder(seconds=0.05)
    async with running(
        text, adapters={"forgetful": forgetful(ways), "seen": seen.adapter()}, seconds=1000
    ) as execution:
        for message in messages:
            await execution.publish("r", message)
        report = await execution.complete()
    gc.collect()
    await trio.testing.wait_all_tasks_blocked()
    assert ways.running == 0
    assert (report.status, report.error) == ("completed", None)
    assert_counters_balance(report)
    return report


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
@pytest.mark.parametrize("way", WAYS + SOURCES)
async def test_the_message_fails_by_name(autojump_clock, text, way):
    report = await used(text.replace("N", "1"), [None, way, None])
    [failure] = report.failures
    assert (failure.stage, failure.error_type) == ("forgetful", "LeftOpenError")
    assert "left a nursery open that it entered in " in failure.error
    assert report.routes["r"].completed >= 2


@pytest.mark.parametrize("way", ["works_in_a_nursery", "shields_itself"])
async def test_scopes_around_it_fail_as_trio_says(autojump_clock, way):
    report = await used(PLAIN.replace("N", "1"), [None, way, None])
    assert report.failures[0].stage == "forgetful"
    assert report.routes["r"].completed == 2
    assert report.routes["r"].failed == 1


@settings(max_examples=8, deadline=None)
@given(
    messages=st.lists(st.none() | st.sampled_from([*WAYS, *SOURCES]), max_size=10),
    concurrency=st.integers(1, 4),
    text=st.sampled_from(list(TEXTS.values())),
    seed=st.integers(0, 10**6),
)
def test_whoever_else_is_at_work(messages, concurrency, text, seed):
    async def run(_):
        report = await used(text.replace("N", str(concurrency)), messages)
        assert report.routes["r"].completed >= messages.count(None)
        assert {failure.error_type for failure in report.failures} <= {"LeftOpenError"}

    in_virtual_time(run, seed=seed)


@pytest.mark.parametrize("phase", ["open", "finish", "close"])
async def test_other_phases_of_a_stage(autojump_clock, phase):
    ways = Forgetful()

    async def forget(self, *_):
        await ways.sleeps()

    class Stage(StatefulAdapter):
        async def process(self, context):
            return AdapterResult.forward()

    setattr(Stage, phase, forget)
    other = Recorder(seconds=1)
    async with running("routes: {o: {adapters: [{type: other}]}}", adapters={"other": other.adapter()}) as innocent:
        await innocent.publish("o", 1)
        with (
            pytest.RaisesGroup(Exception, flatten_subgroups=True, allow_unwrapped=True)
            if phase == "open"
            else nothing()
        ):
            async with running("routes: {r: {adapters: [{type: it}]}}", adapters={"it": Stage}) as execution:
                await execution.publish("r", 1)
                report = await execution.complete()
                assert report.status == ("failed" if phase == "finish" else "completed")
        assert (await innocent.complete()).routes["o"].completed == 1
    assert ways.running == 0


def nothing():
    return trio.CancelScope()
