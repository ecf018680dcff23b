"""A watcher ends nothing, and a closed execution says who closed it or what broke it."""

import pytest
import trio
import trio.testing

from factflow_engine.errors import ClosedReason, ExecutionClosedError
from factflow_engine.queues.memory import MemoryQueue
from factflow_engine.runtime.execution.manager import OrchestratorManager
from support.clocks import seams_on_trio_time
from support.elsewhere import Connection
from support.pipelines import Recorder, load, registry_of, running

ONE = "routes: {r: {inbound: {concurrency: 1}, adapters: [{type: stage}]}}"


def refusal_of(execution):
    with pytest.raises(ExecutionClosedError) as caught:
        execution.publish_nowait("r", 9)
    assert caught.value.execution_id == execution.id
    return caught.value


@pytest.mark.parametrize("durable", [False, True])
async def test_a_service_that_is_watched_goes_on_when_it_is_idle(durable, autojump_clock):
    reports = []

    async def watch(execution):
        reports.append(await execution.wait_ended())

    registry = registry_of(stage=Recorder().adapter())
    queue = Connection(MemoryQueue()) if durable else None
    async with (
        trio.open_nursery() as nursery,
        OrchestratorManager(registry=registry, queue=queue, seams=seams_on_trio_time()) as manager,
    ):
        execution = await manager.start(load(registry, ONE))
        nursery.start_soon(watch, execution)
        for number in range(3):
            await execution.publish("r", number)
            await trio.sleep(60)
            assert (execution.status, reports) == ("running", [])
        report = await execution.complete()
    assert reports == [report]
    assert report.routes["r"].completed == 3


@pytest.mark.parametrize("end", ["complete", "drain", "cancel", "failure", "the manager", "an error"])
async def test_a_watcher_has_the_report_of_any_end(end, autojump_clock):
    reports = []

    async def die(context):
        raise SystemExit(1)

    async def watch(execution):
        reports.append(await execution.wait_ended())

    async with trio.open_nursery() as nursery:
        try:
            async with running(ONE, adapters={"stage": die}) as execution:
                nursery.start_soon(watch, execution)
                await trio.testing.wait_all_tasks_blocked()
                if end == "failure":
                    await execution.publish("r", 1)
                    await trio.sleep(1)
                elif end == "an error":
                    raise KeyError("body")
                elif end != "the manager":
                    await getattr(execution, end)()
        except KeyError:
            assert end == "an error"
    assert reports == [execution.report]
    assert await execution.wait_ended() is execution.report, "at once when it has ended"


async def test_a_watcher_that_is_cancelled_changes_nothing(autojump_clock):
    async with running(ONE, adapters={"stage": Recorder().adapter()}) as execution:
        with trio.move_on_after(5) as scope:
            await execution.wait_ended()
        assert scope.cancelled_caught
        await execution.publish("r", 1)
        await trio.sleep(5)
        assert execution.status == "running"


async def test_a_completed_execution_says_that_its_end_was_asked_for(autojump_clock):
    async with running(ONE, adapters={"stage": Recorder().adapter()}) as execution:
        await execution.complete()
        refusal = refusal_of(execution)
    assert (refusal.status, refusal.reason, refusal.error) == ("completed", ClosedReason.COMPLETED, None)
    assert "await wait_ended() rather than complete()" in str(refusal)


async def test_an_execution_that_drains_or_is_cancelled_says_so_before_and_after_its_end(autojump_clock):
    async with (
        running(ONE, adapters={"stage": Recorder(seconds=100).adapter()}, seconds=1000) as execution,
        trio.open_nursery() as nursery,
    ):
        await execution.publish("r", 1)
        nursery.start_soon(execution.drain, 20)
        await trio.sleep(10)
        draining = refusal_of(execution)
        nursery.start_soon(execution.cancel, 5)
        await trio.sleep(1)
        cancelling = refusal_of(execution)
        await execution.wait_ended()
        cancelled = refusal_of(execution)
    assert (draining.status, draining.reason) == ("running", ClosedReason.DRAINING)
    assert "is draining and takes no more messages" in str(draining)
    assert (cancelling.status, cancelling.reason) == ("running", ClosedReason.CANCELLED)
    assert (cancelled.status, cancelled.reason) == ("cancelled", ClosedReason.CANCELLED)
    assert (draining.error, cancelling.error, cancelled.error) == (None, None, None)


async def test_a_drain_that_gave_up_has_cancelled(autojump_clock):
    async with running(ONE, adapters={"stage": Recorder(seconds=100).adapter()}, seconds=1000) as execution:
        await execution.publish("r", 1)
        await execution.drain(1)
        refusal = refusal_of(execution)
    assert (refusal.status, refusal.reason) == ("cancelled", ClosedReason.CANCELLED)


@pytest.mark.parametrize("asked", ["nothing", "a drain"])
async def test_what_broke_is_told_to_who_publishes(asked, autojump_clock):
    async def fail(context):
        await trio.sleep(1)
        raise OSError("no route to host")

    text = f"orchestrator: {{max_failed_messages: 0}}\nerror_handling: {{max_retries: 0}}\n{ONE}"
    async with running(text, adapters={"stage": fail}) as execution, trio.open_nursery() as nursery:
        await execution.publish("r", 1)
        if asked == "a drain":
            nursery.start_soon(execution.drain)
        report = await execution.wait_ended()
        refusal = refusal_of(execution)
    assert (refusal.status, refusal.reason) == ("failed", ClosedReason.FAILED)
    assert refusal.error == report.error == "1 messages failed; orchestrator.max_failed_messages is 0"
    assert "it broke, nobody has closed it" in str(refusal)
    assert str(refusal).endswith(report.error)


async def test_who_waits_for_room_is_told_what_broke(autojump_clock):
    async def die(context):
        await trio.sleep(10)
        raise SystemExit(1)

    refusals = []

    async def publish(execution):
        try:
            for number in range(100):
                await execution.publish("r", number)
        except ExecutionClosedError as error:
            refusals.append(error)

    text = "routes: {r: {inbound: {concurrency: 1, capacity: 2}, adapters: [{type: stage}]}}"
    async with running(text, adapters={"stage": die}) as execution, trio.open_nursery() as nursery:
        nursery.start_soon(publish, execution)
        report = await execution.wait_ended()
    [refusal] = refusals
    assert refusal.reason is ClosedReason.FAILED
    assert refusal.error is not None
    assert refusal.error == report.error
    assert "SystemExit" in refusal.error
