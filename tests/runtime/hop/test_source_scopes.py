"""Sources that keep cancel scopes and nurseries open between two elements: theirs alone, as if nobody else were there."""

import logging
from contextlib import aclosing

import pytest
import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st

from factflow_engine.runtime.execution.manager import OrchestratorManager
from factflow_engine.runtime.hop.sources import THREAD_BATCH
from factflow_engine.testing import in_virtual_time
from factflow_protocols import AdapterResult
from support.pipelines import Recorder, assert_counters_balance, load, registry_of, running

COUNT = 6
PLAIN = "routes: {r: {inbound: {concurrency: N}, adapters: [{type: emit}, {type: slow}]}}"
TEXTS = {
    "plain": PLAIN,
    "route": "error_handling: {timeout_seconds: 50}\n" + PLAIN,
    "deadline": "error_handling: {deadline_seconds: 500}\n" + PLAIN,
    "breaker": PLAIN.replace(
        "{type: emit}", "{type: emit, circuit_breaker: {minimum_calls: 1000, sliding_window_size: 1000}}"
    ),
}
texts = pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)


class Sources:
    """Ways to emit; counts the tasks that nurseries of sources run."""

    def __init__(self, pause: float = 0.01) -> None:
        self.running = 0
        self.closed = 0
        self._pause = pause

    async def rest(self):
        await trio.sleep(self._pause)

    async def plain(self):
        for number in range(COUNT):
            await self.rest()
            yield number

    async def scope(self):
        with trio.CancelScope():
            for number in range(COUNT):
                await self.rest()
                yield number

    async def long_limit(self):
        with trio.fail_after(1000):
            for number in range(COUNT):
                await self.rest()
                with trio.move_on_after(3):
                    yield number

    async def shield(self):
        with trio.CancelScope(shield=True):
            for number in range(COUNT):
                await self.rest()
                yield number

    async def nursery(self):
        async with trio.open_nursery() as nursery:
            send, receive = trio.open_memory_channel(0)
            nursery.start_soon(self._feed, send)
            async for number in receive:
                yield number

    async def nurseries_by_turns(self):
        for number in range(COUNT):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self.rest)
                yield number

    async def nested(self):
        with trio.fail_after(1000):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._forever)
                async with aclosing(self.nursery()) as numbers:
                    async for number in numbers:
                        yield number
                nursery.cancel_scope.cancel()

    def synchronous(self):
        with trio.CancelScope():
            yield from range(COUNT)

    async def _feed(self, send):
        self.running += 1
        try:
            async with send:
                for number in range(COUNT):
                    await self.rest()
                    await send.send(number)
        finally:
            self.running -= 1

    async def _forever(self):
        self.running += 1
        try:
            await trio.sleep_forever()
        finally:
            self.running -= 1

    # -- those that fail -------------------------------------------------------------------------------------------

    async def short_limit(self):
        with trio.fail_after(0.25):
            for number in range(COUNT):
                await self.rest()
                yield number

    async def failing_task(self):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._fail)
            for number in range(COUNT):
                await self.rest()
                yield number

    async def _fail(self):
        await trio.sleep(0.25)
        raise LookupError("in the background")

    async def left_open(self):
        trio.move_on_after(1000).__enter__()
        for number in range(COUNT):
            await self.rest()
            yield number

    async def raises_inside(self):
        trio.move_on_after(1000).__enter__()
        yield 0
        raise ValueError("mine")


GOOD = ["plain", "scope", "long_limit", "shield", "nursery", "nurseries_by_turns", "nested", "synchronous"]
BAD = {
    "short_limit": "TooSlowError",
    "failing_task": "LookupError",
    "left_open": "LeftOpenError",
    "raises_inside": "ValueError",
}


def emitting(sources):
    async def emit(context):
        return AdapterResult(emitted=getattr(sources, context.message)())

    return emit


async def emitted(sources, text, names, *, seconds=0.1):
    """Have these sources emit; the report, and what came of them."""
    seen = Recorder(seconds=seconds)
    registry = registry_of(emit=emitting(sources), slow=seen.adapter())
    living = trio.lowlevel.current_statistics().tasks_living
    with trio.fail_after(1000):
        async with OrchestratorManager(registry=registry) as manager:
            execution = await manager.start(load(registry, text))
            for name in names:
                await execution.publish("r", name)
            report = await execution.complete()
    assert (report.status, report.error) == ("completed", None)
    assert trio.lowlevel.current_statistics().tasks_living == living
    assert sources.running == 0
    assert_counters_balance(report)
    return report, seen.seen


@texts
@pytest.mark.parametrize("name", GOOD)
async def test_a_scope_across_elements_is_in_nobodys_way(autojump_clock, text, name):
    report, seen = await emitted(Sources(), text.replace("N", "1"), [name, name])
    assert seen == [*range(COUNT)] * 2
    assert report.routes["r"].failed == 0


@texts
@pytest.mark.parametrize(("name", "error"), BAD.items())
async def test_what_fails_in_a_source_fails_its_parent_by_name_and_no_child(autojump_clock, text, name, error):
    report, seen = await emitted(Sources(), text.replace("N", "1"), ["plain", name, "plain"])
    assert [(failure.stage, failure.error_type) for failure in report.failures] == [("emit", error)]
    assert report.routes["r"].completed == len(seen) + 2
    assert report.routes["r"].failed == 1
    assert 2 * COUNT < len(seen) <= 3 * COUNT


async def test_a_time_limit_counts_the_time_of_consumers_and_interrupts_the_source_alone(autojump_clock):
    report, seen = await emitted(Sources(0.01), PLAIN.replace("N", "1"), ["short_limit"])
    assert seen == [0, 1, 2]  # at 0.01, 0.12 and 0.23; the limit is noticed at the next checkpoint of the source
    assert report.routes["r"].failed == 1


async def test_a_source_that_leaves_its_scope_open_is_named(autojump_clock):
    report, _ = await emitted(Sources(), PLAIN.replace("N", "1"), ["left_open"])
    [failure] = report.failures
    assert failure.error.startswith(
        "stage r/emit left a cancel scope open that it entered in what it emitted: use `with`"
    )


@settings(max_examples=40, deadline=None)
@given(
    names=st.lists(st.sampled_from([*GOOD, *BAD]), max_size=6),
    concurrency=st.integers(1, 4),
    text=st.sampled_from(list(TEXTS.values())),
    seconds=st.sampled_from([0.0, 0.001, 0.1]),
    seed=st.integers(0, 10**6),
)
def test_any_sources_side_by_side(names, concurrency, text, seconds, seed):
    async def run(_):
        report, seen = await emitted(Sources(), text.replace("N", str(concurrency)), names, seconds=seconds)
        good = [name for name in names if name in GOOD]
        assert len(seen) >= COUNT * len(good)
        assert report.routes["r"].completed >= len(seen) + len(good)
        assert report.routes["r"].failed <= len(names) - len(good)
        assert {failure.stage for failure in report.failures} <= {"emit"}

    in_virtual_time(run, seed=seed)


@texts
@pytest.mark.parametrize("name", ["scope", "nursery", "nested", "shield"])
@pytest.mark.parametrize("end", ["cancel", "drain"])
async def test_an_end_in_the_middle_leaves_nothing(autojump_clock, caplog, text, name, end):
    caplog.set_level(logging.WARNING)
    sources = Sources()
    seen = Recorder(seconds=0.1)
    living = trio.lowlevel.current_statistics().tasks_living
    async with running(
        text.replace("N", "1"), adapters={"emit": emitting(sources), "slow": seen.adapter()}
    ) as execution:
        await execution.publish("r", name)
        await trio.sleep(0.15)
        report = await (execution.cancel() if end == "cancel" else execution.drain(0.1))
        assert report.status == "cancelled"
        assert report.routes["r"].waiting == 1
    assert sources.running == 0
    assert trio.lowlevel.current_statistics().tasks_living == living
    assert not caplog.records


async def test_a_pull_that_takes_too_long_is_timed_out_within_the_sources_own_scopes(autojump_clock):
    class Stuck(Sources):
        async def stuck(self):
            try:
                with trio.CancelScope():
                    async with trio.open_nursery() as nursery:
                        nursery.start_soon(self._forever)
                        yield 0
                        await trio.sleep_forever()
            finally:
                self.closed += 1

    sources = Stuck()
    report, seen = await emitted(sources, TEXTS["route"].replace("N", "1"), ["stuck", "plain"])
    assert [failure.error_type for failure in report.failures] == ["SourceTimeoutError"]
    assert (seen, sources.closed) == ([0, *range(COUNT)], 1)


async def test_a_source_that_does_not_close_is_bounded(autojump_clock):
    class Slow(Sources):
        async def slow(self):
            with trio.CancelScope():
                try:
                    yield 0
                    raise ValueError("closed now")
                finally:
                    await trio.sleep(10_000)

    report, _ = await emitted(Slow(), "error_handling: {timeout_seconds: 5}\n" + PLAIN.replace("N", "1"), ["slow"])
    assert report.routes["r"].failed == 1


@pytest.mark.parametrize("concurrency", [1, 3])
async def test_children_that_emit_under_scopes_themselves(autojump_clock, concurrency):
    sources = Sources()

    async def again(context):
        if context.message % 2:
            return AdapterResult(emitted=sources.nested())
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep, 0.01)
        return AdapterResult.forward()

    seen = Recorder(seconds=0.01)
    async with running(
        f"routes: {{r: {{inbound: {{concurrency: {concurrency}}}, adapters: [{{type: emit}}, {{type: again}}, {{type: slow}}]}}}}",
        adapters={"emit": emitting(sources), "again": again, "slow": seen.adapter()},
        seconds=100,
    ) as execution:
        await execution.publish("r", "nested")
        report = await execution.complete()
    assert report.routes["r"].failed == 0
    assert len(seen.seen) == COUNT // 2 * (COUNT + 1)
    assert sources.running == 0


@pytest.mark.parametrize("concurrency", [1, 2])
@pytest.mark.parametrize("end", ["left", "left open", "opened at the end", "raises"])
async def test_what_a_synchronous_source_enters_from_its_thread(concurrency, end):
    count = 3 * THREAD_BATCH

    def source():
        scope = trio.CancelScope()
        if end != "opened at the end":
            trio.from_thread.run_sync(scope.__enter__)
        yield from range(count)
        if end == "left":
            trio.from_thread.run_sync(scope.__exit__, None, None, None)
        elif end == "opened at the end":
            trio.from_thread.run_sync(scope.__enter__)
        elif end == "raises":
            raise ValueError("no more")

    def emit(context):
        return AdapterResult(emitted=source())

    seen = Recorder(seconds=0)
    text = f"routes: {{r: {{inbound: {{concurrency: {concurrency}}}, adapters: [{{type: emit}}, {{type: it}}]}}}}"
    async with running(text, adapters={"emit": emit, "it": seen.adapter()}) as execution:
        await execution.publish("r", 0)
        report = await execution.complete()
    assert sorted(seen.seen) == [*range(count)]
    assert (report.status, report.error) == ("completed", None)
    failures = [(failure.stage, failure.error_type) for failure in report.failures]
    error = "ValueError" if end == "raises" else "LeftOpenError"
    assert failures == ([] if end == "left" else [("emit", error)])
    assert report.routes["r"].completed == count + (end == "left")


async def test_what_a_synchronous_source_enters_as_it_is_closed():
    def source():
        try:
            yield from range(2 * THREAD_BATCH)
        finally:
            trio.from_thread.run_sync(trio.CancelScope().__enter__)

    def emit(context):
        return AdapterResult(emitted=source())

    async def stop(context):
        await trio.sleep_forever()

    other = Recorder(seconds=0)
    text = "routes: {r: {adapters: [{type: emit}, {type: stop}]}, other: {adapters: [{type: it}]}}"
    adapters = {"emit": emit, "stop": stop, "it": other.adapter()}
    async with running(text, adapters=adapters) as execution:
        await execution.publish("r", 0)
        await execution.publish("other", 1)
        await trio.testing.wait_all_tasks_blocked(0.01)
        report = await execution.cancel()
    assert other.seen == [1]
    assert report.status == "cancelled"
    assert_counters_balance(report)
