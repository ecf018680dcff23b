"""From start to report: order of starting, isolation, pausing, the three ways to end, and who may not outlive whom."""

import pytest
import trio

from factflow_engine.errors import (
    ExecutionClosedError,
    ExecutionStartError,
    TooManyConcurrentExecutionsError,
)
from factflow_engine.runtime.execution.manager import OrchestratorManager
from factflow_engine.testing import Simulation
from factflow_protocols import AdapterResult, QueueFullError, StatefulAdapter
from support.pipelines import Recorder, assert_counters_balance, load, registry_of, run, running

TWO = """
routes:
  one: {inbound: {capacity: 5}, adapters: [{type: stage}], outbound: [{route: two}]}
  two: {inbound: {capacity: 5}, adapters: [{type: stage}]}
"""


async def test_every_route_is_open_before_the_init_message_is_published():
    order = []

    class Opened(StatefulAdapter):
        async def open(self, stage):
            await trio.sleep(0)
            order.append(f"open {stage.route}")

        async def process(self, context):
            order.append("message")

    await run(
        """
routes:
  a: {adapters: [{type: opened}]}
  b: {adapters: [{type: opened}]}
init_message: [{route: a, payload: 1}, {route: a, payload: 2}]
""",
        adapters={"opened": Opened},
    )
    assert order == ["open a", "open b", "message", "message"]


async def test_more_init_messages_than_a_queue_holds_are_published_all_the_same():
    seen = Recorder()
    messages = ", ".join(f"{{route: r, payload: {n}}}" for n in range(50))
    await run(
        f"routes: {{r: {{inbound: {{capacity: 2}}, adapters: [{{type: seen}}]}}}}\ninit_message: [{messages}]",
        adapters={"seen": seen.adapter()},
    )
    assert seen.seen == list(range(50))


async def test_executions_of_one_configuration_do_not_see_each_other():
    seen = []

    async def look(context):
        seen.append((context.execution_id, context.message))

    registry = registry_of(look=look)
    config = load(registry, "routes: {r: {adapters: [{type: look}]}}")
    async with OrchestratorManager(registry=registry) as manager:
        executions = [await manager.start(config) for _ in range(3)]
        for number, execution in enumerate(executions):
            await execution.publish("r", number)
        reports = [await execution.complete() for execution in executions]
    assert sorted(seen) == sorted((execution.id, number) for number, execution in enumerate(executions))
    assert [report.outcomes["filtered"] for report in reports] == [1, 1, 1]
    assert len({report.config_hash for report in reports}) == 1


async def test_every_execution_gets_what_is_published_to_a_topic():
    seen = []

    async def look(context):
        seen.append((context.execution_id, context.message))

    registry = registry_of(look=look)
    config = load(
        registry,
        """
routes:
  source: {adapters: [{type: forward}], outbound: [{queue: /topic/news}]}
  reader: {inbound: {queue: /topic/news}, adapters: [{type: look}]}
""",
    )
    async with OrchestratorManager(registry=registry) as manager:
        first, second = await manager.start(config), await manager.start(config)
        await first.publish("source", "hello")
        await first.complete()
        await second.complete()
    assert sorted(seen) == sorted([(first.id, "hello"), (second.id, "hello")])


async def test_a_manager_refuses_more_executions_than_it_may_run():
    registry = registry_of()
    config = load(registry, "routes: {r: {adapters: [{type: forward}]}}")
    async with OrchestratorManager(registry=registry, max_concurrent_executions=1) as manager:
        execution = await manager.start(config)
        with pytest.raises(TooManyConcurrentExecutionsError, match="1 executions are running, which is the limit"):
            await manager.start(config)
        await execution.complete()
        assert not manager.executions
        await (await manager.start(config)).complete()


async def test_an_execution_stays_open_until_somebody_waits_for_its_end():
    async with running(TWO, adapters={"stage": Recorder().adapter()}) as execution:
        await execution.publish("one", 1)
        await trio.testing.wait_all_tasks_blocked()
        assert execution.status == "running"
        await execution.publish("one", 2)
        report = await execution.complete()
        assert report.routes["two"].completed == 2
        assert execution.status == "completed"
        assert execution.report == report
        with pytest.raises(ExecutionClosedError, match="is completed and takes no more messages"):
            await execution.publish("one", 3)
        with pytest.raises(ExecutionClosedError):
            execution.publish_nowait("one", 3)
        assert await execution.complete() == report


async def test_leaving_the_manager_waits_for_executions_to_complete(autojump_clock):
    seen = Recorder(seconds=3)
    async with running(TWO, adapters={"stage": seen.adapter()}) as execution:
        await execution.publish("one", 1)
    assert execution.report is not None
    assert execution.report.status == "completed"
    assert seen.seen == [1, 1]


async def test_an_exception_leaves_the_manager_as_it_was_raised_and_cancels_executions(autojump_clock):
    seen = Recorder(seconds=3)
    with pytest.raises(KeyError, match="mine"):
        async with running(TWO, adapters={"stage": seen.adapter()}) as execution:
            await execution.publish("one", 1)
            await trio.sleep(1)
            raise KeyError("mine")
    assert execution.report.status == "cancelled"
    assert execution.report.routes["one"].waiting == 1
    assert seen.seen == []
    assert seen.now == 0


async def test_cancelling_the_program_cancels_executions(autojump_clock):
    seen = Recorder(seconds=30)
    with trio.move_on_after(1) as scope:
        async with running(TWO, adapters={"stage": seen.adapter()}, seconds=60) as execution:
            await execution.publish("one", 1)
            await trio.sleep_forever()
    assert scope.cancelled_caught
    assert execution.report.status == "cancelled"
    assert_counters_balance(execution.report)


async def test_drain_closes_the_intake_and_completes(autojump_clock):
    seen = Recorder(seconds=1)
    async with running(TWO, adapters={"stage": seen.adapter()}) as execution:
        for number in range(4):
            await execution.publish("one", number)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(execution.drain)
            await trio.testing.wait_all_tasks_blocked()
            with pytest.raises(ExecutionClosedError, match="is draining"):
                await execution.publish("one", 9)
    assert execution.report.status == "completed"
    assert execution.report.routes["two"].completed == 4


async def test_drain_gives_up_after_its_timeout_and_names_what_is_held(autojump_clock):
    slow = Recorder(seconds=100)
    async with running(
        "routes: {r: {inbound: {concurrency: 2}, adapters: [{type: slow}]}}",
        adapters={"slow": slow.adapter()},
        seconds=1000,
        seams=Simulation(1).seams,
    ) as execution:
        for number in range(5):
            await execution.publish("r", number)
        report = await execution.drain(budget=10)
    assert report.status == "cancelled"
    assert [(held.route, held.stage, held.seconds) for held in report.held] == [("r", "slow", 10)] * 2
    assert len({held.message_id for held in report.held}) == 2
    assert report.routes["r"].waiting == 5, "three never taken, two given back"
    assert_counters_balance(report)


async def test_cancel_lets_what_is_in_flight_end_within_the_grace(autojump_clock):
    slow = Recorder(seconds=2)
    async with running(
        "routes: {r: {inbound: {concurrency: 1}, adapters: [{type: slow}]}}",
        adapters={"slow": slow.adapter()},
        seams=Simulation(1).seams,
    ) as execution:
        for number in range(3):
            await execution.publish("r", number)
        await trio.sleep(1)
        report = await execution.cancel(grace=5)
    assert report.status == "cancelled"
    assert slow.seen == [0]
    assert report.routes["r"].completed == 1
    assert report.routes["r"].waiting == 2
    assert report.held == ()
    assert report.duration_seconds == pytest.approx(2, abs=0.1)


async def test_a_second_cancel_shortens_the_grace(autojump_clock):
    slow = Recorder(seconds=100)
    async with running(
        "routes: {r: {adapters: [{type: slow}]}}", adapters={"slow": slow.adapter()}, seams=Simulation(1).seams
    ) as execution:
        await execution.publish("r", 1)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(execution.cancel, 50)
            await trio.sleep(2)
            report = await execution.cancel(0)
    assert report.duration_seconds == pytest.approx(2, abs=0.1)
    assert [held.stage for held in report.held] == ["slow"]


async def test_a_paused_route_runs_again_when_every_reason_is_gone(autojump_clock):
    seen = Recorder()
    async with running(TWO, adapters={"stage": seen.adapter()}) as execution:
        execution.pause("two")
        execution.pause("two", reason="maintenance")
        execution.resume("two", reason="never given")
        await execution.publish("one", 1)
        await trio.sleep(5)
        assert execution.statistics().routes["two"].waiting == 1
        assert execution.statistics().routes["two"].pauses == ("maintenance", "operator")
        execution.resume("two")
        await trio.sleep(5)
        assert execution.statistics().routes["two"].waiting == 1
        with trio.move_on_after(5) as scope:
            await execution.complete()
        assert scope.cancelled_caught, "a paused route that holds messages keeps the execution open"
        execution.resume("two", reason="maintenance")
        report = await execution.complete()
    assert report.routes["two"].completed == 1


async def test_publish_waits_for_room_and_publish_nowait_raises():
    async with running(TWO, adapters={"stage": Recorder().adapter()}) as execution:
        execution.pause("one")
        for number in range(5):
            execution.publish_nowait("one", number)
        with pytest.raises(QueueFullError, match="'/queue/one': holds 5 messages, which is its capacity"):
            execution.publish_nowait("one", 5)
        with trio.move_on_after(0.01) as scope:
            await execution.publish("one", 5)
        assert scope.cancelled_caught
        async with trio.open_nursery() as nursery:
            for number in range(5, 20):
                nursery.start_soon(execution.publish, "one", number)
            await trio.testing.wait_all_tasks_blocked()
            execution.resume("one")
        ids = await execution.publish_batch("one", list(range(20, 40)))
        assert len(set(ids)) == 20
        report = await execution.complete()
    assert report.routes["two"].completed == 40


async def test_publishers_that_wait_are_told_when_the_execution_ends():
    async with running(TWO, adapters={"stage": Recorder().adapter()}) as execution:
        execution.pause()
        for number in range(5):
            execution.publish_nowait("one", number)
        async with trio.open_nursery() as nursery:

            async def publish():
                with pytest.raises(ExecutionClosedError):
                    await execution.publish("one", 9)

            nursery.start_soon(publish)
            await trio.testing.wait_all_tasks_blocked()
            report = await execution.cancel()
    assert report.routes["one"].waiting == 5


async def test_an_unknown_route_names_the_nearest():
    async with running(TWO, adapters={"stage": Recorder().adapter()}) as execution:
        with pytest.raises(LookupError, match="no route 'tow'; did you mean 'two'"):
            await execution.publish("tow", 1)
        with pytest.raises(LookupError, match="it has 'one', 'two'"):
            execution.pause("zzzzzz")


async def test_a_stage_that_cannot_open_fails_the_start_and_closes_the_others():
    events = []

    class Good(StatefulAdapter):
        async def open(self, stage):
            events.append("opened")

        async def close(self):
            await trio.sleep(0)
            events.append("closed")

        async def process(self, context):
            return None

    class Bad(Good):
        async def open(self, stage):
            raise PermissionError("no such right")

    registry = registry_of(good=Good, bad=Bad)
    config = load(registry, "routes: {a: {adapters: [{type: good}]}, b: {adapters: [{type: good}, {type: bad}]}}")
    async with OrchestratorManager(registry=registry) as manager:
        with pytest.raises(
            ExecutionStartError, match="route 'b', stage 'bad' could not be opened: PermissionError"
        ) as caught:
            await manager.start(config)
        assert caught.value.place == f"{__file__}:{Bad.open.__code__.co_firstlineno + 1}", "the line that raised"
        assert str(caught.value).endswith(f"({caught.value.place})")
        assert not manager.executions
    assert events == ["opened", "opened", "closed", "closed"]


async def test_a_dead_worker_fails_its_route_loudly(caplog):
    async def leave(context):
        raise SystemExit(3)

    async with running(TWO, adapters={"stage": leave}) as execution:
        await execution.publish("one", 1)
        report = await execution.complete()
    assert report.status == "failed"
    assert report.error == "route 'one' died: SystemExit: 3"
    assert report.routes["one"].waiting == 1, "the message was given back"
    assert "route 'one' died" in caplog.text
    caplog.clear()


async def test_start_needs_an_entered_manager():
    registry = registry_of()
    config = load(registry, "routes: {r: {adapters: [{type: forward}]}}")
    with pytest.raises(RuntimeError, match="async with OrchestratorManager"):
        await OrchestratorManager(registry=registry).start(config)


async def test_messages_that_leave_the_pipeline_can_be_consumed():
    async with running("routes: {r: {adapters: [{type: forward}], outbound: [{queue: /queue/out}]}}") as execution:
        async with execution.subscribe("/queue/out", capacity=3) as subscription:
            got = []
            async with trio.open_nursery() as nursery:

                async def consume():
                    while len(got) < 20:
                        deliveries = await subscription.receive(2)
                        got.extend(delivery.message.value() for delivery in deliveries)
                        await subscription.settle(deliveries)

                nursery.start_soon(consume)
                for number in range(20):
                    await execution.publish("r", number)
        assert got == list(range(20))
        report = await execution.complete()
    assert report.outcomes["failed"] == 0


async def test_a_synchronous_adapter_runs_in_a_thread_under_the_limit():
    import threading

    threads = set()
    at_once = [0, 0]
    lock = threading.Lock()
    gate = threading.Barrier(3, timeout=60)

    def block(context):
        with lock:
            at_once[0] += 1
            at_once[1] = max(at_once)
        threads.add(threading.current_thread())
        gate.wait()
        with lock:
            at_once[0] -= 1
        return AdapterResult(message=context.message)

    report = await run(
        "routes: {r: {inbound: {concurrency: 3}, adapters: [{type: block}]}}",
        adapters={"block": block},
        publish=[("r", n) for n in range(9)],
    )
    assert report.outcomes["completed"] == 9
    assert at_once[1] == 3
    assert threading.main_thread() not in threads


def tasks_below(task):
    children = [child for nursery in task.child_nurseries for child in nursery.child_tasks]
    return len(children) + sum(map(tasks_below, children))


async def test_a_route_without_stateful_stages_has_no_task_of_its_own(autojump_clock):
    tasks = []
    for number in (1, 5):
        routes = ", ".join(f"r{place}: {{adapters: [{{type: forward}}]}}" for place in range(number))
        async with running(f"routes: {{{routes}}}") as execution:
            await trio.sleep(1)
            tasks.append(tasks_below(trio.lowlevel.current_task()))
            await execution.cancel()
    assert tasks[0] == tasks[1]
