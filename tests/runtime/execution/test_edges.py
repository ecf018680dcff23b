"""The edges of an execution: consumers from outside, topics, errors in odd places, cancellation that is nobody's."""

import pytest
import trio

from factflow_engine.errors import ExecutionClosedError, ExecutionStartError
from factflow_engine.runtime.execution.manager import OrchestratorManager
from factflow_engine.testing import Simulation
from factflow_protocols import AdapterResult, QueueClosedError, StatefulAdapter
from support.internals import queues_in
from support.pipelines import Recorder, adapter, assert_counters_balance, load, registry_of, run, running
from support.stages import raising_in

OUT = "routes: {r: {adapters: [{type: forward}], outbound: [{queue: /queue/out}]}}"


async def less(context):
    return AdapterResult(message=context.message - 1) if context.message > 0 else None


async def test_resuming_an_idle_member_of_a_cycle_lets_the_others_go_on(autojump_clock):
    async with running(
        """
routes:
  a: {inbound: {capacity: 1}, adapters: [{type: less}], outbound: [{route: a}, {route: b}]}
  b: {inbound: {capacity: 1}, adapters: [{type: less}], outbound: [{route: a}]}
""",
        adapters={"less": less},
    ) as execution:
        execution.pause("b")
        await execution.publish("a", 2)
        await trio.sleep(1)
        execution.resume("b")
        report = await execution.complete()
    assert report.status == "completed"


async def test_a_cycle_through_a_topic_is_seen_though_the_outbound_names_another_route():
    report = await run(
        """
routes:
  a: {inbound: {queue: /topic/x, capacity: 1, concurrency: 1}, adapters: [{type: less}], outbound: [{route: b}]}
  b: {inbound: {queue: /topic/x, capacity: 1, concurrency: 1}, adapters: [{type: less}]}
""",
        adapters={"less": less},
        publish=[("a", 3)] * 20,
    )
    assert report.status == "completed"
    assert report.routes["a"].filtered > 0


async def test_an_execution_that_does_not_move_says_who_waits_for_whom(autojump_clock, caplog):
    async with (
        running(
            "processor: {stall_seconds: 5}\n" + OUT,
        ) as execution,
        execution.subscribe("/queue/out", capacity=2) as subscription,
    ):
        for number in range(5):
            await execution.publish("r", number)
        await trio.sleep(6)
        [stalled] = execution.statistics().stalled
        assert stalled == "route 'r' holds 3 messages and waits for room in '/queue/out'"
        assert stalled in caplog.text
        caplog.clear()
        got = []
        while len(got) < 5:
            deliveries = await subscription.receive(5)
            got += [delivery.message.value() for delivery in deliveries]
            await subscription.settle(deliveries)
        assert got == [0, 1, 2, 3, 4]
        await execution.complete()


async def test_a_paused_route_is_not_called_stuck(autojump_clock, caplog):
    async with running("routes: {r: {adapters: [{type: forward}]}}", seconds=5000) as execution:
        execution.pause("r")
        await execution.publish("r", 1)
        await trio.sleep(1000)
        assert execution.statistics().stalled == ()
        execution.resume("r")


async def test_when_the_last_consumer_leaves_a_full_queue_its_publishers_are_told():
    async with running(OUT) as execution:
        async with execution.subscribe("/queue/out", capacity=2):
            for number in range(10):
                await execution.publish("r", number)
            await trio.testing.wait_all_tasks_blocked()
        report = await execution.complete()
    assert report.outcomes["completed"] == 2
    assert report.outcomes["failed"] == 8


async def test_a_consumer_gets_what_is_left_after_the_end_and_then_hears_of_it():
    async with running(OUT) as execution, execution.subscribe("/queue/out") as subscription:
        for number in range(10):
            await execution.publish("r", number)
        await execution.complete()
        got = []
        with pytest.raises(QueueClosedError, match="its execution has ended"):
            while True:
                deliveries = await subscription.receive(3)
                got += [delivery.message.value() for delivery in deliveries]
                await subscription.settle(deliveries)
        assert got == list(range(10))
        with pytest.raises(ExecutionClosedError):
            execution.subscribe("/queue/out")


async def test_what_a_consumer_holds_of_a_routes_queue_keeps_the_execution_open():
    seen = Recorder()
    async with running("routes: {r: {adapters: [{type: seen}]}}", adapters={"seen": seen.adapter()}) as execution:
        execution.pause("r")
        await execution.publish("r", 1)
        async with execution.subscribe("/queue/r") as subscription:
            await subscription.receive(1)
            execution.resume("r")
            with trio.move_on_after(0.01) as scope:
                await execution.complete()
            assert scope.cancelled_caught
        report = await execution.complete()
    assert seen.seen == [1]
    assert report.routes["r"].completed == 1


async def test_a_subscription_does_not_change_a_capacity_that_the_configuration_names():
    async with running("routes: {r: {inbound: {capacity: 2}, adapters: [{type: forward}]}}") as execution:
        execution.pause()
        async with execution.subscribe("/queue/r", capacity=1000):
            execution.publish_nowait("r", 1)
            execution.publish_nowait("r", 2)
            with pytest.raises(Exception, match="holds 2 messages"):
                execution.publish_nowait("r", 3)
        execution.resume()


TOPIC = "routes: {p: {adapters: [{type: forward}], outbound: [{queue: /topic/t}]}}"


async def test_an_execution_that_closes_slowly_fails_nobodys_messages():
    class Slow(StatefulAdapter):
        async def process(self, context):
            return None

        async def close(self):
            await trio.sleep(0.2)

    registry = registry_of(slow=Slow)
    reader = load(registry, "routes: {s: {inbound: {queue: /topic/t, capacity: 2}, adapters: [{type: slow}]}}")
    async with OrchestratorManager(registry=registry) as manager:
        publisher, subscriber = await manager.start(load(registry, TOPIC)), await manager.start(reader)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(subscriber.cancel)
            await trio.sleep(0.05)
            for number in range(50):
                await publisher.publish("p", number)
            report = await publisher.complete()
    assert report.outcomes["failed"] == 0


async def test_a_start_that_fails_leaves_no_subscription_behind():
    class Broken(StatefulAdapter):
        def __init__(self):
            raise OSError("no model file")

        async def process(self, context):
            return None

    registry = registry_of(broken=Broken)
    config = load(
        registry,
        "routes: {a: {inbound: {queue: /topic/t}, adapters: [{type: forward}]}, b: {adapters: [{type: broken}]}}",
    )
    async with OrchestratorManager(registry=registry) as manager:
        with pytest.raises(ExecutionStartError, match=r"route 'b', stage 'broken' .* OSError: no model file"):
            await manager.start(config)
        assert not any(queues_in(manager).values())
        assert not manager.executions


async def test_publishing_to_a_topic_waits_for_every_subscriber():
    registry = registry_of()
    config = load(registry, "routes: {a: {inbound: {queue: /topic/t, capacity: 5}, adapters: [{type: forward}]}}")
    async with OrchestratorManager(registry=registry) as manager:
        first, second = await manager.start(config), await manager.start(config)
        second.pause()
        with trio.move_on_after(0.05):
            for number in range(100):
                await first.publish("a", number)
        assert second.statistics().routes["a"].waiting == 5
        second.resume()


async def test_an_error_that_cannot_be_printed_fails_its_message_only():
    class BadText(Exception):
        def __str__(self):
            raise ValueError("no text")

    async def explode(context):
        raise BadText

    report = await run("routes: {r: {adapters: [{type: explode}]}}", adapters={"explode": explode}, publish=[("r", 1)])
    assert report.status == "completed"
    assert report.failures[0].error == "<its text cannot be had: ValueError>"


async def test_the_text_of_an_error_is_bounded():
    async def explode(context):
        raise ValueError("x" * 1_000_000)

    report = await run("routes: {r: {adapters: [{type: explode}]}}", adapters={"explode": explode}, publish=[("r", 1)])
    assert len(report.failures[0].error) == 2000


async def test_draining_while_init_messages_are_still_published_loses_none_of_them():
    seen = Recorder(seconds=0.001)
    registry = registry_of(seen=seen.adapter())
    messages = ", ".join(f"{{route: r, payload: {n}}}" for n in range(20))
    config = load(
        registry, f"routes: {{r: {{inbound: {{capacity: 1}}, adapters: [{{type: seen}}]}}}}\ninit_message: [{messages}]"
    )
    async with OrchestratorManager(registry=registry) as manager, trio.open_nursery() as nursery:
        nursery.start_soon(manager.start, config)
        while not manager.executions:
            await trio.lowlevel.checkpoint()
        [execution] = manager.executions.values()
        report = await execution.drain()
    assert report.status == "completed"
    assert sorted(seen.seen) == list(range(20))


@pytest.mark.parametrize("where", ["open", "finish", "close"])
async def test_a_stage_that_wants_to_exit_ends_its_execution_and_no_other(where):
    registry = registry_of(leaves=raising_in(where, SystemExit(where)))
    calm = load(registry, "routes: {r: {adapters: [{type: forward}]}}")
    async with OrchestratorManager(registry=registry) as manager:
        other = await manager.start(calm)
        config = load(registry, "routes: {r: {adapters: [{type: leaves}]}}")
        if where == "open":
            with pytest.raises(ExecutionStartError, match="SystemExit: open"):
                await manager.start(config)
        else:
            report = await (await manager.start(config)).complete()
            assert (report.error or report.close_errors[0]).endswith(f"SystemExit: {where}")
        await other.publish("r", 1)
        assert (await other.complete()).outcomes["completed"] == 1


async def test_somebody_elses_cancellation_fails_the_route_loudly(caplog):
    kept = []

    async def keep_and_raise(context):
        if not kept:
            with trio.CancelScope() as scope:
                scope.cancel()
                try:
                    await trio.sleep(1)
                except trio.Cancelled as cancelled:
                    kept.append(cancelled)
                    raise
        raise kept[0]

    async with running("routes: {r: {adapters: [{type: keep}]}}", adapters={"keep": keep_and_raise}) as execution:
        await execution.publish("r", 1)
        report = await execution.complete()
    assert report.status == "failed"
    assert report.error.startswith("route 'r' died: Cancelled")
    caplog.clear()


async def test_a_cancellation_that_an_adapter_makes_an_error_of_is_no_outcome(autojump_clock):
    async def convert(context):
        try:
            await trio.sleep_forever()
        except trio.Cancelled:
            raise RuntimeError("connection lost") from None

    async with running("routes: {r: {adapters: [{type: convert}]}}", adapters={"convert": convert}) as execution:
        await execution.publish("r", 1)
        await trio.sleep(1)
        report = await execution.cancel()
    assert report.outcomes["failed"] == 0
    assert report.routes["r"].waiting == 1
    assert len(report.held) == 1
    assert report.close_errors == ()


async def test_the_grace_of_a_cancel_lets_a_fan_out_end(autojump_clock):
    async def spread(context):
        return AdapterResult(emitted=range(5))

    slow = Recorder(seconds=1)
    async with running(
        "routes: {r: {inbound: {concurrency: 2}, adapters: [{type: spread}, {type: slow}]}}",
        adapters={"spread": spread, "slow": slow.adapter()},
        seams=Simulation(1).seams,
    ) as execution:
        await execution.publish("r", 1)
        await trio.sleep(0.5)
        report = await execution.cancel(grace=60)
    assert len(slow.seen) == 5
    assert report.held == ()
    assert report.duration_seconds == pytest.approx(3, abs=0.1)


async def test_a_cancel_reaches_an_execution_that_is_still_opening(autojump_clock):
    class Opens(StatefulAdapter):
        async def open(self, stage):
            await trio.sleep_forever()

        async def process(self, context):
            return None

    registry = registry_of(opens=Opens)
    config = load(registry, "routes: {r: {adapters: [{type: opens}]}}")
    async with OrchestratorManager(registry=registry) as manager, trio.open_nursery() as nursery:
        nursery.start_soon(manager.start, config)
        await trio.sleep(1)
        [execution] = manager.executions.values()
        report = await execution.cancel()
    assert report.status == "cancelled"


async def test_a_publisher_that_waits_for_room_comes_before_the_end():
    for _ in range(30):
        async with running("routes: {r: {inbound: {capacity: 1}, adapters: [{type: forward}]}}") as execution:
            execution.pause()
            await execution.publish("r", 1)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(execution.publish, "r", 2)
                await trio.testing.wait_all_tasks_blocked()
                nursery.start_soon(execution.complete)
                execution.resume()
        assert execution.report.outcomes["completed"] == 2


async def test_a_manager_is_entered_once_at_a_time_and_completes_what_starts_while_it_leaves():
    registry = registry_of()
    config = load(registry, "routes: {r: {adapters: [{type: forward}]}}")
    manager = OrchestratorManager(registry=registry)

    async def start_another(context):
        started.append(await manager.start(config))

    registry.register("start_another", adapter(start_another))
    starts = load(registry, "routes: {r: {adapters: [{type: start_another}]}}\ninit_message: {route: r, payload: 1}")
    started = []
    with trio.fail_after(10):
        async with manager:
            with pytest.raises(RuntimeError, match="entered already"):
                async with manager:
                    pass
            await manager.start(starts)
        assert started[0].report.status == "completed"
        async with manager:
            await manager.start(config)


async def test_a_result_that_everybody_shares_cannot_be_changed():
    with pytest.raises(
        AttributeError, match=r"cannot be changed; return AdapterResult\(message=context.message, headers"
    ):
        AdapterResult.forward().headers = {"a": 1}


async def test_headers_that_no_message_can_carry_fail_at_their_stage():
    async def bad(context):
        return AdapterResult(message=1, headers={5: 1})

    report = await run(
        "routes: {r: {adapters: [{type: bad}, {type: forward}]}}", adapters={"bad": bad}, publish=[("r", 1)]
    )
    assert report.failures[0].stage == "bad"


async def test_wrong_arguments_are_refused_with_what_to_write():
    async with running("routes: {r: {adapters: [{type: forward}]}}") as execution:
        with pytest.raises(TypeError, match="key= needs a string or None, got int"):
            await execution.publish("r", 1, key=5)
        with pytest.raises(ValueError, match="zero or more seconds, got nan"):
            await execution.drain(float("nan"))
        await execution.publish("r", 1)
        assert_counters_balance(await execution.complete())


async def test_a_value_of_the_environment_is_not_in_the_report(monkeypatch):
    monkeypatch.setenv("FACTFLOW_TEST_TOKEN", "hunter2hunter2")

    async def explode(context):
        raise ValueError(f"cannot log in with {context.message['token']}")

    report = await run(
        """
routes: {r: {adapters: [{type: set_fields, config: {fields: {other: "x-${FACTFLOW_TEST_TOKEN}"}}}, {type: explode}]}}
init_message: {route: r, payload: {token: "${FACTFLOW_TEST_TOKEN}"}}
""",
        adapters={"explode": explode},
    )
    [failure] = report.failures
    assert "hunter2" not in repr(report)
    assert failure.error == "cannot log in with ${FACTFLOW_TEST_TOKEN}"
    assert "${FACTFLOW_TEST_TOKEN}" in failure.payload_preview
