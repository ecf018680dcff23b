"""Stages that hold trio's loop are named: which, in which call, where, for how long, and what to write instead.

Time passes only where an adapter works; what waits takes none, however long it waits.
"""

import logging
import time

import pytest
import trio

from factflow_engine.conditions import ConditionOperator, OperatorRegistry
from factflow_engine.config import PipelineConfigLoader
from factflow_engine.native import EMITTED, LoopWatch, WatchedCall
from factflow_engine.runtime.execution.manager import OrchestratorManager
from factflow_engine.runtime.hop import blockers
from factflow_engine.testing.virtual_time import in_virtual_time
from factflow_protocols import AdapterResult, PipelineAdapter, StatefulAdapter
from support.floods import WorkClock
from support.pipelines import load, registry_of, run, running

ONE = "routes: {r: {adapters: [{type: stage}]}}"


class Holder:
    """Works for a while, wherever it is put."""

    def __init__(self, seconds=1.5):
        self.clock = WorkClock()
        self.seconds = seconds

    def hold(self, seconds=None):
        self.clock.work((self.seconds if seconds is None else seconds) * 1e6)

    async def run(self, text, *, adapters, publish=(("r", 1),)):
        return await run(text, adapters=adapters, publish=publish, seams=self.clock.seams)


def found(report):
    return [(one.route, one.stage, one.call, one.longest_seconds, one.times) for one in report.blockers]


def ends():
    """Ways in which a call ends, after it has held the loop."""

    async def filters():
        return None

    async def forwards():
        return AdapterResult.forward()

    async def changes():
        return AdapterResult(message=2)

    async def adds_headers():
        return AdapterResult(message=2, headers={"a": "b"})

    async def raises():
        raise OSError("no")

    async def waits():
        await trio.lowlevel.checkpoint()
        return AdapterResult.forward()

    async def emits():
        return AdapterResult(emitted=[])

    async def leaves_open():
        trio.CancelScope().__enter__()

    return [filters, forwards, changes, adds_headers, raises, waits, emits, leaves_open]


@pytest.mark.parametrize("end", ends(), ids=lambda end: end.__name__)
@pytest.mark.parametrize("position", ["alone", "first", "last", "after a wait"])
async def test_the_stage_that_holds_the_loop_is_named_however_its_call_ends(end, position):
    by = Holder()

    async def stage(context):
        if position == "after a wait":
            await trio.lowlevel.checkpoint()
        by.hold()
        return await end()

    other = "{type: forward}"
    names = {"first": f"{{type: stage}}, {other}", "last": f"{other}, {{type: stage}}"}.get(position, "{type: stage}")
    report = await by.run(f"routes: {{r: {{adapters: [{names}]}}}}", adapters={"stage": stage})
    assert found(report) == [("r", "stage", "process", 1.5, 1)]


async def test_each_step_counts_by_itself_and_the_longest_is_kept():
    by = Holder()

    async def stage(context):
        by.hold(0.6)
        await trio.lowlevel.checkpoint()
        by.hold(0.4)
        await trio.lowlevel.checkpoint()
        by.hold(0.7)
        return AdapterResult.forward()

    report = await by.run(ONE, adapters={"stage": stage}, publish=[("r", n) for n in range(3)])
    assert found(report) == [("r", "stage", "process", 0.7, 6)]


async def test_many_short_messages_are_no_blocker():
    by = Holder()

    async def stage(context):
        by.hold(0.49)
        return AdapterResult.forward()

    report = await by.run(
        "routes: {r: {adapters: [{type: stage}, {type: stage, name: again}], outbound: [{route: s}]}, "
        "s: {adapters: [{type: stage}]}}",
        adapters={"stage": stage},
        publish=[("r", n) for n in range(20)],
    )
    assert report.blockers == ()


async def test_a_child_names_the_stage_that_it_is_at():
    by = Holder()

    async def emits(context):
        return AdapterResult(emitted=range(3))

    async def stage(context):
        if context.message == 1:
            by.hold()
        return AdapterResult.forward()

    text = "routes: {r: {adapters: [{type: emits}, {type: forward}, {type: stage}, {type: forward, name: last}]}}"
    assert found(await by.run(text, adapters={"emits": emits, "stage": stage})) == [("r", "stage", "process", 1.5, 1)]


def sources():
    def listed(by):
        yield 0
        by.hold()
        yield 1

    async def asynchronous(by):
        yield 0
        by.hold()
        yield 1

    async def after_a_wait(by):
        yield 0
        await trio.lowlevel.checkpoint()
        by.hold()
        yield 1

    async def before_a_wait(by):
        yield 0
        by.hold()
        await trio.lowlevel.checkpoint()
        yield 1

    def at_the_end(by):
        yield 0
        by.hold()

    def raising(by):
        by.hold()
        raise OSError("no")
        yield

    return [listed, asynchronous, after_a_wait, before_a_wait, at_the_end, raising]


@pytest.mark.parametrize("source", sources(), ids=lambda source: source.__name__)
@pytest.mark.parametrize(
    "more", ["", ", timeout_seconds: 1000", ", circuit_breaker: {}"], ids=["plain", "timed", "broken"]
)
@pytest.mark.parametrize("rest", ["", ", {type: forward}"], ids=["last", "in the middle"])
async def test_a_source_that_holds_the_loop_is_named_for_the_stage_that_emitted_it(source, more, rest):
    by = Holder()

    async def emits(context):
        return AdapterResult(emitted=source(by))

    report = await by.run(f"routes: {{r: {{adapters: [{{type: emits{more}}}{rest}]}}}}", adapters={"emits": emits})
    assert found(report) == [("r", "emits", EMITTED, 1.5, 1)]
    assert "emit an async iterator that awaits" in report.blockers[0].remedy


@pytest.mark.parametrize("call", ["open", "finish", "close"])
@pytest.mark.parametrize("waits", [False, True], ids=["at once", "after a wait"])
async def test_the_other_calls_of_a_stage_are_named_too(call, waits):
    by = Holder()

    async def act(name):
        if waits:
            await trio.lowlevel.checkpoint()
        if name == call:
            by.hold()

    class Stateful(StatefulAdapter):
        async def open(self, stage):
            await act("open")

        async def process(self, context):
            return None

        async def finish(self):
            await act("finish")

        async def close(self):
            await act("close")

    async with running(ONE, adapters={"stage": Stateful}, seams=by.clock.seams) as execution:
        await execution.publish("r", 1)
        await execution.complete()
    assert [(one.stage, one.call) for one in execution.statistics().blockers] == [("stage", call)]


async def test_a_blocker_is_logged_once_with_its_place_and_its_remedy(caplog):
    by = Holder()

    class Mine(PipelineAdapter):
        async def process(self, context):
            by.hold()

    line = Mine.process.__code__.co_firstlineno
    caplog.set_level(logging.WARNING)
    async with running(ONE.replace("stage", "mine"), adapters={"mine": Mine}, seams=by.clock.seams) as execution:
        for number in range(3):
            await execution.publish("r", number)
        report = await execution.complete()
    [record] = [record for record in caplog.records if "held the loop" in record.message]
    assert record.message == (
        f"execution {execution.id}: stage r/mine held the loop for 1.5 s in process() (test_blockers.py:{line}); nothing "
        "else ran meanwhile: write `def process`, which runs in a thread, or await what takes long"
    )
    assert report.blockers == execution.statistics().blockers
    assert str(report.blockers[0]).startswith("stage r/mine held the loop for 1.5 s in process() (")
    assert ", 3 times; " in str(report.blockers[0])


async def test_an_error_of_the_log_concerns_no_message(monkeypatch):
    by = Holder()

    async def stage(context):
        by.hold()
        return AdapterResult.forward()

    class Broken(logging.Handler):
        def emit(self, record):
            if "held the loop" in record.getMessage():
                raise OSError("disk full")

    handler, unraisable = Broken(), []
    monkeypatch.setattr("sys.unraisablehook", unraisable.append)
    blockers.logger.addHandler(handler)
    try:
        report = await by.run(ONE, adapters={"stage": stage})
    finally:
        blockers.logger.removeHandler(handler)
    assert report.outcomes["completed"] == 1
    assert [str(one.exc_value) for one in unraisable] == ["disk full"]


def test_nothing_blocks_under_a_virtual_clock(monkeypatch):
    monkeypatch.setattr(blockers, "HELD_SECONDS", 1e-6)

    async def stage(context):
        time.sleep(0.001)
        await trio.sleep(3600)
        return AdapterResult(emitted=slow())

    async def slow():
        for number in range(3):
            await trio.sleep(3600)
            yield number

    registry = registry_of(stage=stage)
    config = load(
        registry, "routes: {r: {adapters: [{type: stage}, {type: forward}]}}\ninit_message: {route: r, payload: 1}"
    )

    async def played(simulation):
        async with OrchestratorManager(registry=registry, seams=simulation.seams) as manager:
            return await (await manager.start(config)).complete()

    report = in_virtual_time(played, seed=1)
    assert report.outcomes["completed"] == 4
    assert report.blockers == ()


async def test_the_machines_clock_is_read_in_ticks_and_says_the_same(monkeypatch):
    monkeypatch.setattr(blockers, "HELD_SECONDS", 0.04)

    async def stage(context):
        time.sleep(0.06)
        await trio.lowlevel.checkpoint()
        time.sleep(0.06)
        return AdapterResult.forward()

    report = await run(ONE, adapters={"stage": stage}, publish=[("r", 1)])
    [one] = report.blockers
    assert (one.stage, one.call) == ("stage", "process")
    assert one.times >= 2
    assert one.longest_seconds >= 0.04


async def test_a_watched_call_awaits_as_if_it_were_not_watched():
    noted = []
    watch = LoopWatch(now=lambda: 0, limit_ns=0, note=lambda *what: noted.append(what))
    events = []

    async def call():
        try:
            await trio.sleep_forever()
        except trio.Cancelled:
            events.append("cancelled")
            raise
        finally:
            await trio.lowlevel.cancel_shielded_checkpoint()
            events.append("left")

    with trio.move_on_after(0) as scope:
        await WatchedCall(call(), watch, "stage", "open")
    assert scope.cancelled_caught
    assert events == ["cancelled", "left"]
    assert noted == [("stage", "open", 0)] * 3

    async def returns():
        return (1, 2)

    assert await WatchedCall(returns(), watch, "stage", "open") == (1, 2)

    class Awaitable:
        def __await__(self):
            yield from trio.lowlevel.checkpoint().__await__()
            return "it"

    assert await WatchedCall(Awaitable(), watch, "stage", "open") == "it"
    closed = WatchedCall(call(), watch, "stage", "open")
    assert closed.cr_frame.f_code.co_name == "call"
    assert closed.cr_await is None
    closed.close()


async def test_what_is_awaited_is_what_the_type_says_as_without_the_watch():
    class Instance:
        def __init__(self):
            self.__await__ = trio.lowlevel.checkpoint().__await__

    one = Instance()
    with pytest.raises(AttributeError, match="__await__"):
        WatchedCall(one, LoopWatch(now=lambda: 0, limit_ns=0, note=print), "stage", "open")
    one.__await__().close()


async def test_the_source_is_not_named_for_what_a_condition_behind_it_held():
    by = Holder()

    class Holds(ConditionOperator):
        name = "holds"
        needs_value = False

        def matches(self, field_value, literal):
            by.hold()
            return True

    async def emits(context):
        return AdapterResult(emitted=[{"a": 1}, {"a": 2}, {"a": 3}])

    registry, operators = registry_of(emits=emits), OperatorRegistry()
    operators.register(Holds())
    config = PipelineConfigLoader(registry, operators=operators).load_text(
        'version: "1.0"\nroutes: {r: {adapters: [{type: emits}], outbound: [{queue: /queue/out, condition: '
        "{field: a, operator: holds}}]}}"
    )
    async with OrchestratorManager(registry=registry, operators=operators, seams=by.clock.seams) as manager:
        execution = await manager.start(config)
        await execution.publish("r", 1)
        report = await execution.complete()
    assert report.outcomes["completed"] == 4
    assert [one.call for one in report.blockers] == []
