"""Ends at awkward moments: while something opens, from inside, too late, twice; each within its budget."""

import logging

import pytest
import trio

from factflow_engine.errors import ExecutionClosedError, ExecutionStartError
from factflow_engine.queues.memory import MemoryQueue
from factflow_engine.runtime.execution.manager import OrchestratorManager
from factflow_protocols import AdapterResult, StatefulAdapter
from support.pipelines import Recorder, assert_counters_balance, load, registry_of, running
from support.stages import raising_in


class RecordingQueue(MemoryQueue):
    """Remembers which executions have subscribed and which were forgotten, by prefix; is false."""

    def __init__(self):
        super().__init__()
        self.made = set()

    def __bool__(self):
        return False

    def channel(self, queue, subscription, capacity=None, *, prefetch=1):
        self.made.add(queue.rpartition(":")[0] + ":")
        return super().channel(queue, subscription, capacity, prefetch=prefetch)

    def discard(self, prefix):
        self.made.discard(prefix)
        super().discard(prefix)


class OddError(BaseException):
    """Of a class that nobody expects."""


class NeverOpens(StatefulAdapter):
    async def open(self, stage):
        await trio.sleep_forever()

    async def process(self, context):
        return None


OPENING = "routes: {r: {adapters: [{type: stage}]}}"
SLOW = "routes: {r: {inbound: {concurrency: 1}, adapters: [{type: slow}]}}"


async def slow(context):
    await trio.sleep(1000)


async def test_a_drain_has_its_budget_while_a_stage_opens(autojump_clock):
    registry = registry_of(stage=NeverOpens)
    async with OrchestratorManager(registry=registry) as manager, trio.open_nursery() as nursery:
        nursery.start_soon(lambda: manager.start(load(registry, OPENING), execution_id="x"))
        await trio.sleep(1)
        with trio.fail_after(10):
            report = await manager.executions["x"].drain(5)
        assert trio.current_time() == 6
        assert (report.status, report.error) == (
            "cancelled",
            "drain gave up: what had begun or waited was not done within 5 s",
        )


@pytest.mark.parametrize("leaving", ["error", "cancelled", "cancelled while it waits"])
async def test_a_manager_is_left_though_another_task_starts_something_that_never_opens(leaving, autojump_clock):
    registry = registry_of(stage=NeverOpens)
    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            scope = trio.CancelScope()
            try:
                with scope:
                    async with OrchestratorManager(registry=registry) as manager:
                        nursery.start_soon(manager.start, load(registry, OPENING))
                        await trio.sleep(1)
                        if leaving == "error":
                            raise KeyError("body")
                        if leaving == "cancelled":
                            scope.cancel()
                            await trio.sleep(1)
                        scope.deadline = trio.current_time() + 1
            except KeyError:
                assert leaving == "error"
            assert not manager.executions


async def test_a_start_as_the_manager_is_left_is_refused_and_leaves_nothing(autojump_clock):
    registry = registry_of()
    config = load(registry, "routes: {r: {adapters: [{type: forward}]}}")
    provider = RecordingQueue()
    refusals = []
    async with trio.open_nursery() as nursery, OrchestratorManager(registry=registry, queue=provider) as manager:
        execution = await manager.start(config)

        async def start_at_the_end():
            await execution.complete()
            for _ in range(3):
                try:
                    await manager.start(config, execution_id="late")
                except RuntimeError as error:
                    refusals.append(str(error))
                await trio.lowlevel.checkpoint()

        nursery.start_soon(start_at_the_end)
    assert not manager.executions
    assert any("nothing more can be started" in text or "needs the manager" in text for text in refusals)
    assert not provider.made


async def test_last_words_that_come_back_prolong_a_drain_once(autojump_clock):
    class Talks(StatefulAdapter):
        async def process(self, context):
            return None

        async def finish(self):
            await trio.sleep(0.1)
            return AdapterResult(message={"n": 1})

    text = "orchestrator: {finish_seconds: 2}\nroutes: {a: {adapters: [{type: talks}], outbound: [{route: a}]}}"
    async with running(text, adapters={"talks": Talks}, seconds=100) as execution:
        report = await execution.drain(5)
    assert trio.current_time() <= 5 + 2 + 1
    assert report.status == "cancelled"
    assert report.error is not None
    assert report.error.startswith("drain gave up")


@pytest.mark.parametrize("death", [OddError("x"), BaseExceptionGroup("g", [SystemExit(1)])])
@pytest.mark.parametrize("grace", [500, float("inf")])
async def test_a_cancel_does_not_wait_for_an_adapter_that_has_died(death, grace, autojump_clock):
    release = trio.Event()

    async def die(context):
        await release.wait()
        raise death

    text = "routes: {r: {adapters: [{type: die}]}}"
    async with running(text, adapters={"die": die}, seconds=100) as execution, trio.open_nursery() as nursery:
        await execution.publish("r", 1)
        await trio.sleep(1)
        nursery.start_soon(execution.cancel, grace)
        await trio.sleep(1)
        release.set()
        report = await execution.complete()
        assert trio.current_time() == 2
        assert report.status == "cancelled"
        assert any("died" in text for text in report.close_errors)


@pytest.mark.parametrize("first", ["drain", "cancel"])
async def test_of_a_drain_and_a_grace_the_shorter_holds(first, autojump_clock):
    seconds = {"drain": 3, "cancel": 100}
    second = "cancel" if first == "drain" else "drain"
    async with running(SLOW, adapters={"slow": slow}, seconds=200) as execution, trio.open_nursery() as nursery:
        await execution.publish("r", 1)
        nursery.start_soon(getattr(execution, first), seconds[first])
        await trio.sleep(1)
        await getattr(execution, second)(seconds[second])
        assert trio.current_time() == (3 if first == "drain" else 4)


async def test_a_later_and_longer_drain_grants_no_grace(autojump_clock):
    async with running(SLOW, adapters={"slow": slow}, seconds=200) as execution, trio.open_nursery() as nursery:
        await execution.publish("r", 1)
        nursery.start_soon(execution.cancel, 2)
        await trio.sleep(1)
        await execution.drain(50)
        assert trio.current_time() == 2


async def test_statistics_after_the_end_are_those_of_the_report(autojump_clock):
    async with running(SLOW, adapters={"slow": slow}) as execution:
        for number in range(3):
            await execution.publish("r", number)
        await trio.sleep(1)
        report = await execution.cancel()
    assert execution.statistics().routes == report.routes
    assert report.routes["r"].waiting == 3


async def test_a_subscription_that_is_entered_after_the_end_is_refused(autojump_clock):
    text = "routes: {r: {adapters: [{type: forward}], outbound: [{queue: /queue/out}]}}"
    async with running(text) as execution:
        subscribing = execution.subscribe("/queue/out")
        await execution.complete()
        with pytest.raises(ExecutionClosedError, match="is completed"):
            async with subscribing:
                pass


@pytest.mark.parametrize("call", ["complete", "wait_ended", "drain"])
@pytest.mark.parametrize("place", ["process", "a nursery", "finish"])
async def test_an_execution_is_not_waited_for_from_inside(call, place, autojump_clock):
    executions = []

    async def ask():
        await getattr(executions[0], call)()

    class Asks(StatefulAdapter):
        async def process(self, context):
            if place == "a nursery":
                try:
                    async with trio.open_nursery() as nursery:
                        nursery.start_soon(ask)
                except ExceptionGroup as group:
                    raise group.exceptions[0] from None
            elif place == "process":
                await ask()

        async def finish(self):
            if place == "finish":
                await ask()

    async with running("routes: {r: {adapters: [{type: asks}]}}", adapters={"asks": Asks}) as execution:
        executions.append(execution)
        await execution.publish("r", 1)
        report = await execution.complete()
    told = report.error if place == "finish" else report.failures[0].error
    assert told is not None
    assert f"{call}() was called by an adapter" in told
    assert ("read execution.report" if call == "wait_ended" else "call let_complete(), which does not wait") in told


@pytest.mark.parametrize("grace", [1, float("inf")])
async def test_a_grace_is_not_waited_for_from_inside(grace, autojump_clock):
    executions = []

    async def ask(context):
        await executions[0].cancel(grace)

    async with running("routes: {r: {adapters: [{type: ask}]}}", adapters={"ask": ask}) as execution:
        executions.append(execution)
        await execution.publish("r", 1)
        report = await execution.complete()
    assert report.status == "completed"
    assert "cancel() was called by an adapter" in report.failures[0].error
    assert "call cancel(0), which does not" in report.failures[0].error


async def test_an_adapter_may_cancel_its_own_execution_at_once(autojump_clock):
    executions = []

    async def ask(context):
        await executions[0].cancel()

    async with running("routes: {r: {adapters: [{type: ask}]}}", adapters={"ask": ask}) as execution:
        executions.append(execution)
        await execution.publish("r", 1)
        report = await execution.complete()
    assert report.status == "cancelled"
    assert report.routes["r"].redelivered == 1


async def test_another_execution_may_be_waited_for_from_an_adapter(autojump_clock):
    others = []

    async def wait_for_other(context):
        await others[0].complete()
        return AdapterResult.forward()

    registry = registry_of(wait=wait_for_other)
    async with OrchestratorManager(registry=registry) as manager:
        others.append(await manager.start(load(registry, "routes: {r: {adapters: [{type: forward}]}}")))
        execution = await manager.start(load(registry, "routes: {r: {adapters: [{type: wait}]}}"))
        await execution.publish("r", 1)
        assert (await execution.complete()).outcomes["completed"] == 1


@pytest.mark.parametrize("where", ["open", "process", "finish", "close", "death", "constructor"])
async def test_a_value_of_the_environment_is_in_no_text(where, monkeypatch, caplog, autojump_clock):
    monkeypatch.setenv("TOKEN_OF_TEST", "hunter2secret")
    caplog.set_level(logging.DEBUG)
    error = (OddError if where == "death" else OSError)("refused hunter2secret")

    registry = registry_of(leaks=raising_in(where, error))
    config = load(registry, "description: ${TOKEN_OF_TEST}\nroutes: {r: {adapters: [{type: leaks}]}}")
    async with OrchestratorManager(registry=registry) as manager:
        try:
            execution = await manager.start(config)
            await execution.publish("r", 1)
            told = str(await execution.complete())
        except ExecutionStartError as refused:
            told = str(refused)
    assert "${TOKEN_OF_TEST}" in told
    assert "hunter2" not in told + caplog.text


async def test_a_provider_that_is_false_is_used_all_the_same():
    provider = RecordingQueue()
    registry = registry_of()
    async with OrchestratorManager(registry=registry, queue=provider) as manager:
        await manager.start(load(registry, "routes: {r: {adapters: [{type: forward}]}}"), execution_id="x")
        assert provider.made == {"exec:x:"}


async def test_a_grace_is_not_spent_on_what_waits_for_a_route_that_takes_nothing_more(autojump_clock):
    async def spread(context):
        return AdapterResult(emitted=iter(range(1000)))

    quick = Recorder(seconds=0.05)
    text = (
        "routes: {r: {adapters: [{type: spread}], outbound: [{route: s}]}, "
        "s: {inbound: {concurrency: 1, capacity: 2}, adapters: [{type: quick}]}}"
    )
    async with running(text, adapters={"spread": spread, "quick": quick.adapter()}, seconds=1000) as execution:
        await execution.publish("r", 1)
        await trio.sleep(0.12)
        start = trio.current_time()
        report = await execution.cancel(500)
        assert trio.current_time() - start < 1
    assert report.status == "cancelled"
    assert {held.route for held in report.held} == {"r"}
    assert_counters_balance(report)


async def test_a_drain_without_any_budget_completes_what_has_nothing_to_do(autojump_clock):
    async with running(SLOW, adapters={"slow": slow}, seconds=200) as execution:
        report = await execution.drain(0)
    assert (report.status, report.error) == ("completed", None)


async def test_nobody_subscribes_to_what_was_forgotten_while_stages_close(autojump_clock):
    class Slow(StatefulAdapter):
        async def process(self, context):
            return AdapterResult.forward()

        async def close(self):
            await trio.sleep(3)

    text = "routes: {r: {adapters: [{type: slow}], outbound: [{queue: /queue/out}]}}"
    async with running(text, adapters={"slow": Slow}, seconds=100) as execution:
        await execution.publish("r", 1)
        execution.let_complete()
        await trio.sleep(1)
        with pytest.raises(ExecutionClosedError):
            execution.subscribe("/queue/out")
