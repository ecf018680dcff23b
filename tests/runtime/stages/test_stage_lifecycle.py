"""What a stage enters in `open`, a nursery above all: it lives until `close`, and what dies in it fails the route."""

from contextlib import AsyncExitStack, asynccontextmanager

import pytest
import trio

from factflow_engine.errors import ExecutionStartError
from factflow_engine.runtime.execution.manager import OrchestratorManager
from factflow_protocols import AdapterResult, StatefulAdapter
from support.pipelines import load, registry_of, running
from support.stages import giving_back_slowly

CALM = "routes: {r: {adapters: [{type: forward}]}}"
ONE = "orchestrator: {close_seconds: 2}\nroutes: {r: {adapters: [{type: pooled}]}}"


@asynccontextmanager
async def pool(task):
    """As many clients are made: with a task inside that keeps a connection alive."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(task)
        try:
            yield nursery
        finally:
            nursery.cancel_scope.cancel()


def pooled(task=trio.sleep_forever, *, events=None, close=None, opening=None):
    """A stage that holds such a client, and notes when its task is opened, ends and is closed."""
    seen = [] if events is None else events

    class Pooled(StatefulAdapter):
        async def open(self, stage):
            self.name = stage.stage
            async with AsyncExitStack() as stack:
                self.nursery = await stack.enter_async_context(pool(self.live))
                if opening is not None:
                    await opening()
                self.stack = stack.pop_all()
            seen.append(f"{self.name} opened")

        async def live(self):
            try:
                await task()
            finally:
                seen.append(f"{self.name} ends")

        async def process(self, context):
            return AdapterResult.forward()

        async def close(self):
            seen.append(f"{self.name} closes")
            if close is not None:
                await close(self)
            await self.stack.aclose()

    return Pooled


async def die():
    await trio.sleep(2)
    raise OSError("connection lost")


def forgetful(task=trio.sleep_forever, *, opening=None):
    """A stage that enters a nursery and never leaves it."""

    class Forgetful(StatefulAdapter):
        async def open(self, stage):
            self.manager = trio.open_nursery()
            nursery = await self.manager.__aenter__()
            nursery.start_soon(task)
            if opening is not None:
                await opening()

        async def process(self, context):
            return AdapterResult.forward()

    return Forgetful


@pytest.mark.parametrize("end", ["complete", "drain", "cancel", "the manager"])
async def test_nurseries_of_several_stages_are_left_by_each_and_live_until_it_closes(end, autojump_clock):
    events = []

    async def say_goodbye(stage):
        await trio.sleep(1)

    text = """
orchestrator: {close_seconds: 2}
routes:
  r: {adapters: [{type: pooled, name: a}, {type: forward}, {type: pooled, name: b}], outbound: [{route: s}]}
  s: {adapters: [{type: pooled, name: c}]}
"""
    with trio.CancelScope() as scope:
        async with running(text, adapters={"pooled": pooled(events=events, close=say_goodbye)}) as execution:
            await execution.publish("r", 1)
            await trio.sleep(1)
            if end == "the manager":
                scope.cancel()
            else:
                await getattr(execution, end)()
    assert execution.report.close_errors == ()
    assert execution.report.status == ("completed" if end in {"complete", "drain"} else "cancelled")
    assert [event for event in events if event[0] in "ab"] == [
        *("a opened", "b opened"),
        *("b closes", "b ends", "a closes", "a ends"),
    ]
    assert [event for event in events if event[0] == "c"] == ["c opened", "c closes", "c ends"]


async def test_a_task_of_open_that_dies_fails_the_route_with_its_cause(autojump_clock):
    registry = registry_of(pooled=pooled(die))
    async with OrchestratorManager(registry=registry) as manager:
        other = await manager.start(load(registry, CALM))
        execution = await manager.start(load(registry, ONE))
        await trio.sleep(3)
        report = execution.report
        assert trio.current_time() == 3
        assert report is not None
        assert report.status == "failed"
        assert report.error is not None
        assert report.error.startswith("route 'r' died: ")
        assert "stage 'pooled'" in report.error
        assert "connection lost" in report.error
        assert report.close_errors == ("r/pooled: OSError: connection lost",)
        await other.publish("r", 1)
        assert (await other.complete()).outcomes["completed"] == 1


@pytest.mark.parametrize("place", [0, 1, 2])
async def test_a_stage_that_dies_does_not_reach_those_opened_around_or_within_it(place, autojump_clock):
    events = []
    types = ["calm"] * 3
    types[place] = "dies"
    stages = ", ".join(f"{{type: {type_}, name: {name}}}" for type_, name in zip(types, "abc", strict=True))
    adapters = {"calm": pooled(events=events), "dies": pooled(die, events=events)}
    async with running(f"routes: {{r: {{adapters: [{stages}]}}}}", adapters=adapters) as execution:
        await trio.sleep(3)
        report = execution.report
    name = "abc"[place]
    assert report is not None
    assert report.close_errors == (f"r/{name}: OSError: connection lost",)
    events.remove(f"{name} ends")
    rest = [event for other in "cba" for event in (f"{other} closes", f"{other} ends") if event != f"{name} ends"]
    assert events == ["a opened", "b opened", "c opened", *rest]


async def test_a_dead_stage_is_closed_once_its_messages_are_given_back(autojump_clock):
    events = []

    slow = giving_back_slowly(events, pooled(die, events=events))
    async with running(ONE, adapters={"pooled": slow}) as execution:
        await execution.publish("r", 1)
        await execution.complete()
    assert events == ["pooled opened", "pooled ends", "given back", "pooled closes"]


async def test_an_execution_that_was_cancelled_before_is_cancelled_and_tells_of_the_death(autojump_clock):
    async def slow(context):
        await trio.sleep(100)

    text = "routes: {r: {adapters: [{type: pooled}, {type: slow}]}}"
    async with running(text, adapters={"pooled": pooled(die), "slow": slow}, seconds=300) as execution:
        await execution.publish("r", 1)
        await trio.sleep(1)
        report = await execution.cancel(200)
    assert report.status == "cancelled"
    assert any("died" in text for text in report.close_errors)
    assert report.close_errors[-1] == "r/pooled: OSError: connection lost"


@pytest.mark.parametrize("made", [pooled, forgetful])
async def test_a_task_that_dies_while_its_stage_opens_fails_the_start(made, autojump_clock):
    registry = registry_of(pooled=made(die, opening=trio.sleep_forever))
    async with OrchestratorManager(registry=registry) as manager:
        other = await manager.start(load(registry, CALM))
        with pytest.raises(ExecutionStartError, match="connection lost"):
            await manager.start(load(registry, ONE))
        assert trio.current_time() == pytest.approx(2, abs=0.1)
        assert other.status == "running"


async def test_a_stage_that_dies_while_another_opens_fails_the_execution(autojump_clock):
    class Slow(StatefulAdapter):
        async def open(self, stage):
            await trio.sleep(10)

        async def process(self, context):
            return None

    text = "routes: {r: {adapters: [{type: pooled}]}, s: {adapters: [{type: slow}]}}"
    async with running(text, adapters={"pooled": pooled(die), "slow": Slow}) as execution:
        report = await execution.complete()
    assert trio.current_time() == 2
    assert report.status == "failed"
    assert "connection lost" in str(report.error)


async def test_a_cause_is_told_at_whatever_step_of_an_execution_a_task_dies(autojump_clock):
    ends = []

    async def some_steps(count):
        for _ in range(count):
            await trio.lowlevel.checkpoint()

    for steps in range(60):

        async def die_then(steps=steps):
            await some_steps(steps)
            raise OSError("connection lost")

        registry = registry_of(pooled=pooled(die_then, opening=lambda: some_steps(3)))
        async with OrchestratorManager(registry=registry) as manager:
            other = await manager.start(load(registry, CALM))
            try:
                execution = await manager.start(load(registry, ONE + "\ninit_message: {route: r, payload: 1}"))
                report = await execution.complete()
                ends.append(report.status.value)
                told = f"{report.error} {report.close_errors}"
                assert (report.error is None) is (report.status == "completed")
            except ExecutionStartError as error:
                ends.append("refused")
                told = str(error)
            assert other.status == "running"
            assert "connection lost" in told or told == "None ()"
    assert set(ends) == {"refused", "failed", "completed"}


@pytest.mark.parametrize("end", ["complete", "cancel"])
async def test_a_nursery_that_close_forgets_is_ended_and_told(end, autojump_clock):
    ended = []

    async def slow_to_end():
        try:
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep(1)
            ended.append(trio.current_time())

    registry = registry_of(pooled=forgetful(slow_to_end))
    async with OrchestratorManager(registry=registry) as manager:
        other = await manager.start(load(registry, CALM))
        execution = await manager.start(load(registry, ONE))
        report = await getattr(execution, end)()
        assert ended == [1]
        [text] = report.close_errors
        assert text.startswith("r/pooled: NotLeftError: ")
        await other.publish("r", 1)
        assert (await other.complete()).outcomes["completed"] == 1


async def test_a_scope_that_close_forgets_is_told(autojump_clock):
    class Scoped(StatefulAdapter):
        async def open(self, stage):
            self.stack = AsyncExitStack()
            self.stack.enter_context(trio.CancelScope())

        async def process(self, context):
            return None

    async with running("routes: {r: {adapters: [{type: scoped}]}}", adapters={"scoped": Scoped}) as execution:
        report = await execution.complete()
    assert report.status == "completed"
    [text] = report.close_errors
    assert text.startswith("r/scoped: NotLeftError: ")


async def test_an_open_that_is_cancelled_and_leaves_its_nursery_hurts_nobody(autojump_clock):
    registry = registry_of(pooled=forgetful(opening=trio.sleep_forever))
    async with OrchestratorManager(registry=registry) as manager, trio.open_nursery() as nursery:
        other = await manager.start(load(registry, CALM))
        nursery.start_soon(lambda: manager.start(load(registry, ONE), execution_id="x"))
        await trio.sleep(1)
        report = await manager.executions["x"].cancel()
        assert report.status == "cancelled"
        [text] = report.close_errors
        assert "NotLeftError" in text
        assert other.status == "running"


async def test_a_close_that_hangs_before_it_leaves_a_nursery_is_given_up(autojump_clock):
    async def hang(stage):
        await trio.sleep_forever()

    async with running(ONE, adapters={"pooled": pooled(close=hang)}) as execution:
        report = await execution.complete()
    assert trio.current_time() == pytest.approx(2, abs=0.1)
    assert "r/pooled: close() did not return within 2 s" in report.close_errors


async def test_messages_may_start_tasks_in_a_nursery_of_open(autojump_clock):
    done = []

    class Background(pooled()):
        async def process(self, context):
            self.nursery.start_soon(self.later, context.message)

        async def later(self, message):
            await trio.sleep(1)
            done.append(message)

        async def finish(self):
            await trio.sleep(2)

    async with running(ONE, adapters={"pooled": Background}) as execution:
        await execution.publish("r", 7)
        report = await execution.complete()
    assert (report.status, report.close_errors, done) == ("completed", (), [7])


async def test_a_nursery_that_finish_forgets_fails_its_execution_and_no_other(autojump_clock):
    class Finishing(StatefulAdapter):
        async def process(self, context):
            return None

        async def finish(self):
            self.manager = trio.open_nursery()
            nursery = await self.manager.__aenter__()
            nursery.start_soon(trio.sleep_forever)

    registry = registry_of(finishing=Finishing)
    async with OrchestratorManager(registry=registry) as manager:
        other = await manager.start(load(registry, CALM))
        report = await (await manager.start(load(registry, "routes: {r: {adapters: [{type: finishing}]}}"))).complete()
        assert report.status == "failed"
        assert "stage 'finishing' could not finish: NotLeftError" in str(report.error)
        await other.publish("r", 1)
        assert (await other.complete()).outcomes["completed"] == 1


@pytest.mark.filterwarnings("ignore:Async generator:ResourceWarning")
@pytest.mark.parametrize("when", ["at once", "later"])
async def test_a_generator_that_is_forgotten_with_a_nursery_open_fails_its_own_execution(autojump_clock, when):
    """trio closes it in another task, and would wake the one that has entered the nursery: that stops all programs."""
    forgotten = []
    ends = []

    async def rows():
        async with trio.open_nursery() as nursery:
            nursery.start_soon(live)
            for number in range(3):
                yield number

    async def live():
        try:
            await trio.sleep_forever()
        finally:
            ends.append(1)

    class Reader(StatefulAdapter):
        async def open(self, stage):
            source = rows()
            await anext(source)
            if when == "later":
                forgotten.append(source)

        async def process(self, context):
            forgotten.clear()
            await trio.sleep(1)
            return AdapterResult.forward()

    registry = registry_of(pooled=Reader)
    with trio.fail_after(100):
        async with OrchestratorManager(registry=registry) as manager:
            other = await manager.start(load(registry, CALM))
            execution = await manager.start(load(registry, ONE))
            if when == "later":
                await execution.publish("r", 1)
            await trio.sleep(5)
            report = await execution.complete()
            await other.publish("r", 1)
            calm = await other.complete()
    assert ends == [1]
    assert report.status == "failed"
    assert report.error == (
        "route 'r' died: StageLostError: what stage 'pooled' entered in open() was cancelled: "
        "left by another task than the one that entered it"
    )
    assert (calm.status, calm.routes["r"].completed) == ("completed", 1)
