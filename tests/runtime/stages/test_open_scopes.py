"""Cancel scopes and nurseries that an adapter leaves open fail its message by name, and are nobody else's."""

import gc
import logging

import pytest
import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st

from factflow_engine.native import Worker
from factflow_engine.runtime.execution.manager import OrchestratorManager
from factflow_engine.runtime.stages import open_scopes
from factflow_engine.runtime.stages.open_scopes import LeftEarlyError, LeftOpenError
from factflow_engine.testing import in_virtual_time
from factflow_protocols import AdapterResult, StatefulAdapter
from support.pipelines import Recorder, assert_counters_balance, load, registry_of, running

ABANDONED = pytest.mark.filterwarnings("ignore:Async generator .* was garbage collected:ResourceWarning")


class Misuse:
    """Ways to leave something open; each a coroutine function of a context. Keeps what it entered, if `keep`."""

    def __init__(self, *, keep: bool = True) -> None:
        self.kept = []
        self.running = 0  # tasks of nurseries
        self._keep = keep

    def entered(self, scope):
        scope.__enter__()
        self.hold(scope)
        return scope

    def hold(self, what):
        if self._keep:
            self.kept.append(what)

    async def task(self):
        self.running += 1
        try:
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep(0.05)
            self.running -= 1

    async def nursery(self):
        manager = trio.open_nursery()
        self.hold(manager)
        return await manager.__aenter__()

    # -- ways ------------------------------------------------------------------------------------------------------

    async def scope(self, _: object):
        self.entered(trio.CancelScope())

    async def scope_with_deadline(self, _: object):
        self.entered(trio.move_on_after(0.3))

    async def scope_of_the_past(self, _: object):
        self.entered(trio.CancelScope(deadline=trio.current_time() - 1))

    async def cancelled_scope(self, _: object):
        self.entered(trio.CancelScope()).cancel()

    async def shielded_scope(self, _: object):
        self.entered(trio.CancelScope(shield=True))

    async def scope_and_wait(self, _: object):
        self.entered(trio.move_on_after(10))
        await trio.sleep(0.1)

    async def two_scopes(self, _: object):
        self.entered(trio.move_on_after(0.5))
        self.entered(trio.move_on_after(0.3))

    async def waits_beyond_its_deadline(self, _: object):
        self.entered(trio.move_on_after(0.1))
        await trio.sleep(10)

    async def empty_nursery(self, _: object):
        await self.nursery()

    async def nursery_with_a_task(self, _: object):
        (await self.nursery()).start_soon(self.task)

    async def nurseries_in_scopes(self, _: object):
        self.entered(trio.move_on_after(0.2))
        (await self.nursery()).start_soon(self.task)
        self.entered(trio.CancelScope(shield=True))
        (await self.nursery()).start_soon(self.task)
        await trio.sleep(0.1)

    async def abandoned_time_limit(self, _: object):
        async def lines():
            with trio.fail_after(0.3):
                for number in range(10):
                    await trio.sleep(0.01)
                    yield number

        iteration = lines()
        self.hold(iteration)
        async for _ in iteration:
            return

    async def abandoned_nursery(self, _: object):
        async def lines():
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self.task)
                for number in range(10):
                    await trio.sleep(0.01)
                    yield number

        iteration = lines()
        self.hold(iteration)
        async for _ in iteration:
            return


WAYS = [name for name, way in vars(Misuse).items() if "_" in getattr(way, "__annotations__", {})]

PLAIN = "routes: {r: {inbound: {concurrency: N}, adapters: [{type: leaky}, {type: slow}]}}"
GUARDED = {
    "plain": PLAIN,
    "stage": PLAIN.replace("{type: leaky}", "{type: leaky, timeout_seconds: 30}"),
    "route": "error_handling: {timeout_seconds: 30}\n" + PLAIN,
    "deadline": "error_handling: {deadline_seconds: 300}\n" + PLAIN,
    "breaker": PLAIN.replace(
        "{type: leaky}", "{type: leaky, circuit_breaker: {minimum_calls: 1000, sliding_window_size: 1000}}"
    ),
}


def test_the_ways_are_all_tried():
    assert len(WAYS) == 13


def leaky(misuse):
    async def process(context):
        if context.message is not None:
            await getattr(misuse, context.message)(context)
        return AdapterResult.forward()

    return process


async def used(misuse, text, messages, *, also=()):
    """Run these messages beside another execution; the report, after both have completed."""
    slow, other_seen = Recorder(seconds=0.2), Recorder(seconds=5)
    registry = registry_of(leaky=leaky(misuse), slow=slow.adapter(), other=other_seen.adapter(), **dict(also))
    living = trio.lowlevel.current_statistics().tasks_living
    with trio.fail_after(1000):
        async with OrchestratorManager(registry=registry) as manager:
            other = await manager.start(load(registry, "routes: {o: {adapters: [{type: other}]}}"))
            await other.publish("o", "other")
            execution = await manager.start(load(registry, text))
            for message in messages:
                await execution.publish("r", message)
            report = await execution.complete()
            assert (await other.complete()).routes["o"].completed == 1
            assert misuse.running == 0
    assert (report.status, report.error, report.close_errors) == ("completed", None, ())
    misuse.kept.clear()
    if any("abandoned" in (message or "") for message in messages):
        gc.collect()
    await trio.testing.wait_all_tasks_blocked()  # generators are finalised in tasks of trio's
    assert trio.lowlevel.current_statistics().tasks_living == living
    assert_counters_balance(report)
    good = sum(message is None for message in messages)
    assert len(slow.seen) == report.routes["r"].completed == good
    return report


def assert_named(report, count):
    assert report.routes["r"].failed == len(report.failures) == count
    for failure in report.failures:
        assert (failure.route, failure.stage, failure.error_type) == ("r", "leaky", "LeftOpenError")
        assert "stage r/leaky left a " in failure.error
        assert "open that it entered in process()" in failure.error


@ABANDONED
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("text", "keep"), [(GUARDED["plain"], True), (GUARDED["plain"], False), (GUARDED["stage"], True)]
)
async def test_only_the_message_fails_and_by_name(autojump_clock, caplog, text, way, keep):
    caplog.set_level(logging.WARNING, "trio")
    report = await used(Misuse(keep=keep), text.replace("N", "1"), [None, way, None, way, None])
    assert_named(report, 2)
    assert ("nursery" in report.failures[0].error) == ("nurser" in way)
    # trio itself tells of a nursery in a generator that is not closed: a group of its GeneratorExit.
    assert all("GeneratorExit" in str(record.exc_info) for record in caplog.records)


@ABANDONED
@settings(max_examples=40, deadline=None)
@given(
    messages=st.lists(st.none() | st.sampled_from(WAYS), max_size=12),
    concurrency=st.integers(1, 4),
    text=st.sampled_from(list(GUARDED.values())),
    seed=st.integers(0, 10**6),
)
def test_whatever_is_left_open_whoever_else_is_at_work(messages, concurrency, text, seed):
    async def run(_):
        report = await used(Misuse(), text.replace("N", str(concurrency)), messages)
        assert_named(report, sum(message is not None for message in messages))

    in_virtual_time(run, seed=seed)


async def test_no_deadline_is_left_behind(autojump_clock):
    async def leave(_):
        trio.move_on_after(3600).__enter__()

    async with running("routes: {r: {adapters: [{type: leave}]}}", adapters={"leave": leave}, seconds=100) as execution:
        for _ in range(5):
            await execution.publish("r", None)
        await execution.complete()
        assert trio.lowlevel.current_statistics().seconds_to_next_deadline <= 100


async def test_what_a_task_of_a_nursery_raised_is_the_cause(autojump_clock, caplog):
    caplog.set_level(logging.DEBUG, "factflow_engine.runtime")

    async def fail():
        raise LookupError("in the background")

    async def leave(_):
        nursery = await trio.open_nursery().__aenter__()
        nursery.start_soon(fail)
        return AdapterResult.forward()

    async with running("routes: {r: {adapters: [{type: leave}]}}", adapters={"leave": leave}) as execution:
        await execution.publish("r", None)
        report = await execution.complete()
    assert_named_as(report, "LeftOpenError")
    assert "LookupError: in the background" in caplog.text


def assert_named_as(report, *types):
    assert report.status == "completed"
    assert [failure.error_type for failure in report.failures] == list(types)


@pytest.mark.parametrize("text", GUARDED.values(), ids=GUARDED)
async def test_its_own_error_stays_the_error(autojump_clock, text):
    class Raising(Misuse):
        async def raises(self, _):
            self.entered(trio.move_on_after(0.1))
            (await self.nursery()).start_soon(self.task)
            raise ValueError("mine")

    report = await used(Raising(), text.replace("N", "1"), [None, "raises", None])
    assert_named_as(report, "ValueError")
    assert report.failures[0].error == "mine"


async def test_a_scope_may_be_left_in_another_messages_call(autojump_clock):
    class Late(Misuse):
        async def leaves_late(self, _):
            self.kept.pop().__exit__(None, None, None)

        async def leaves_nursery_late(self, _):
            await self.kept.pop().__aexit__(None, None, None)

    ways = ["scope_with_deadline", "nursery_with_a_task"]
    later = ["leaves_nursery_late", "leaves_late"]
    misuse = Late()
    slow = Recorder(seconds=0.2)
    async with running(PLAIN.replace("N", "1"), adapters={"leaky": leaky(misuse), "slow": slow.adapter()}) as execution:
        for message in [*ways, None, *later, None]:
            await execution.publish("r", message)
        report = await execution.complete()
    assert_named_as(report, "LeftOpenError", "LeftOpenError")
    assert len(slow.seen) == 4
    assert misuse.kept == []


async def test_a_generator_that_is_kept_may_go_on_in_another_message(autojump_clock):
    kept = []

    async def numbers():
        with trio.move_on_after(5):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(trio.sleep, 1)
                for number in range(3):
                    yield number

    async def process(context):
        if context.message == "first":
            kept.append(numbers())
            await anext(kept[0])
        elif context.message == "last":
            async with trio.open_nursery():  # is on top of the task's nurseries when the other one is left
                assert [number async for number in kept[0]] == [1, 2]
        return AdapterResult.forward()

    async with running(
        "routes: {r: {inbound: {concurrency: 1}, adapters: [{type: it}]}}", adapters={"it": process}
    ) as execution:
        for message in ["first", "other", "last", "other"]:
            await execution.publish("r", message)
        report = await execution.complete()
    assert_named_as(report, "LeftOpenError")
    assert report.routes["r"].completed == 3


@pytest.mark.parametrize("concurrency", [1, 2])
async def test_what_a_thread_enters_in_its_task(concurrency):
    def enter():
        trio.move_on_after(0.05).__enter__()

    async def open_nursery():
        await trio.open_nursery().__aenter__()

    def process(context):
        if context.message:
            trio.from_thread.run_sync(enter)
            trio.from_thread.run(open_nursery)
        return AdapterResult.forward()

    seen = Recorder(seconds=0.1)
    async with running(
        f"routes: {{r: {{inbound: {{concurrency: {concurrency}}}, adapters: [{{type: it}}, {{type: slow}}]}}}}",
        adapters={"it": process, "slow": seen.adapter()},
    ) as execution:
        for message in [True, False, True, False]:
            await execution.publish("r", message)
        report = await execution.complete()
    assert_named_as(report, "LeftOpenError", "LeftOpenError")
    assert len(seen.seen) == 2


async def test_a_message_that_is_really_cancelled_comes_back_whatever_it_left_open(autojump_clock):
    misuse = Misuse()

    async def process(_):
        misuse.entered(trio.move_on_after(100))
        (await misuse.nursery()).start_soon(misuse.task)
        await trio.sleep_forever()

    async with running("routes: {r: {adapters: [{type: it}]}}", adapters={"it": process}) as execution:
        await execution.publish("r", 1)
        await trio.sleep(1)
        report = await execution.cancel()
    assert report.status == "cancelled"
    assert report.routes["r"].waiting == 1
    assert [held.stage for held in report.held] == ["it"]
    assert misuse.running == 0


def innermost_scope():
    return trio.lowlevel.current_task()._cancel_status._scope


@pytest.mark.parametrize("text", [GUARDED["plain"], GUARDED["breaker"]])
async def test_leaving_the_workers_own_scope_fails_the_message(autojump_clock, text):
    class Early(Misuse):
        async def leaves(self, _):
            innermost_scope().__exit__(None, None, None)

        async def leaves_and_enters(self, _):
            innermost_scope().__exit__(None, None, None)
            await self.nursery_with_a_task(_)

    report = await used(Early(), text.replace("N", "1"), [None, "leaves", None, "leaves_and_enters", "scope", None])
    assert_named_as(report, "LeftEarlyError", "LeftEarlyError", "LeftOpenError")
    assert "stage r/leaky left a cancel scope in process() that it had not entered" in report.failures[0].error


async def test_a_child_of_a_driver_leaves_something_open_and_the_others_go_on(autojump_clock):
    async def emit(_):
        async def numbers():
            for number in range(6):
                await trio.sleep(0.01)
                yield number

        return AdapterResult(emitted=numbers())

    async def process(context):
        if context.message % 2:
            trio.move_on_after(0.02).__enter__()
            (await trio.open_nursery().__aenter__()).start_soon(trio.sleep_forever)
        await trio.sleep(0.001)
        return AdapterResult.forward()

    seen = Recorder(seconds=0.1)
    async with running(
        "routes: {r: {inbound: {concurrency: 1}, adapters: [{type: emit}, {type: it}, {type: slow}]}}",
        adapters={"emit": emit, "it": process, "slow": seen.adapter()},
    ) as execution:
        await execution.publish("r", 1)
        report = await execution.complete()
    assert_named_as(report, "LeftOpenError", "LeftOpenError", "LeftOpenError")
    assert seen.seen == [0, 2, 4]


async def test_other_phases_keep_their_own_ways(autojump_clock):
    class Finishing(StatefulAdapter):
        async def process(self, context):
            return AdapterResult.forward()

        async def finish(self):
            trio.move_on_after(1).__enter__()

    async with running("routes: {r: {adapters: [{type: it}]}}", adapters={"it": Finishing}) as execution:
        await execution.publish("r", 1)
        report = await execution.complete()
    assert report.status == "failed"
    assert "NotLeftError" in str(report.error)


class TestInternals:
    """What is used of trio's own names; the engine supports the versions that have them."""

    async def test_this_trio_tells_where_its_tasks_are(self):
        assert open_scopes.SUPPORTED

    async def test_a_scope_and_a_nursery_are_noticed_as_long_as_they_are_open(self):
        worker = Worker(quantum_ns=1, quantum_turns=1)
        assert not worker.is_astray
        seen = []

        async def work():
            standing = open_scopes.Footing(worker)
            standing.enter()
            seen.append(worker.is_astray)
            with trio.CancelScope():
                seen.append(worker.is_astray)
            async with trio.open_nursery() as nursery:
                seen.append(worker.is_astray)
                nursery.start_soon(trio.lowlevel.checkpoint)
            seen.append(worker.is_astray)
            standing.leave()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(work)
        assert seen == [False, True, True, False]

    async def test_without_those_names_nothing_is_noticed_and_nothing_else_changes(self, monkeypatch, autojump_clock):
        monkeypatch.setattr(open_scopes, "SUPPORTED", False)
        for text in GUARDED.values():
            report = await used(Misuse(), text.replace("N", "2"), [None, None])
            assert report.routes["r"].completed == 2

    async def test_errors_say_who_and_what(self):
        class Place:
            route, stage = "r", "s"

        assert str(LeftOpenError(Place(), "nursery")).startswith("stage r/s left a nursery open that it entered in pro")
        assert "r/s" in str(LeftEarlyError(Place()))
