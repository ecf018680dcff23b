"""Executions on a provider that outlives them: going on, draining, errors of the provider, and who waits for whom."""

from contextlib import asynccontextmanager

import pytest
import trio

from factflow_engine.runtime.execution.manager import OrchestratorManager
from factflow_engine.runtime.transport.subscriptions import Readers, until_ended
from factflow_protocols import AdapterResult, Nack, QueueClosedError, QueueError, StatefulAdapter
from support.elsewhere import Connection
from support.lives import Lives
from support.pipelines import Recorder, assert_counters_balance

ONE = "routes: {r: {inbound: {concurrency: 1, prefetch: 2}, adapters: [{type: work}], outbound: [{queue: /queue/out}]}}"


async def test_a_drained_execution_leaves_what_has_not_begun_to_the_next(autojump_clock):
    work = Recorder(seconds=1)
    lives = Lives(ONE, work=work.adapter())
    async with lives.manager() as manager:
        execution = await lives.start(manager)
        await execution.publish_batch("r", list(range(10)))
        await trio.sleep(2.5)
        report = await execution.drain(60)
    assert report.status == "cancelled"
    assert "7 messages stay in the queue" in report.error
    assert report.routes["r"].completed == 3, "what was in flight ended"
    assert report.held == ()
    assert_counters_balance(report)
    async with lives.manager() as manager:
        execution = await lives.start(manager)
        report = await execution.complete()
    assert (report.status, report.routes["r"].received) == ("completed", 7)
    assert work.seen == list(range(10)), "in their order, each once"
    assert lives.held("/queue/out") == list(range(10)), "what has left the pipeline stays"


async def test_a_drain_with_nothing_left_completes(autojump_clock):
    lives = Lives(ONE, work=Recorder().adapter())
    async with lives.manager() as manager:
        execution = await lives.start(manager)
        await execution.publish("r", 1)
        await trio.sleep(1)
        report = await execution.drain(60)
    assert (report.status, report.error) == ("completed", None)


async def test_init_messages_are_published_once_for_what_goes_on(autojump_clock):
    work = Recorder(seconds=1)
    lives = Lives(ONE + "\ninit_message: [{route: r, payload: 1}, {route: r, payload: 2}]", work=work.adapter())
    for _ in range(2):
        async with lives.manager() as manager:
            execution = await lives.start(manager)
            await trio.sleep(0.5)
            await execution.cancel()
    async with lives.manager() as manager:
        await (await lives.start(manager)).complete()
    assert work.seen == [1, 2]
    async with lives.manager() as manager:
        await (await lives.start(manager)).complete()
    assert work.seen == [1, 2, 1, 2], "what has completed begins anew"


async def test_publishing_returns_once_it_is_stored_and_cannot_be_had_at_once(autojump_clock):
    lives = Lives(ONE, work=Recorder(seconds=10).adapter())
    async with lives.manager() as manager:
        execution = await lives.start(manager)
        execution.pause()
        await execution.publish("r", {"n": 1})
        assert lives.connection.batches == [("exec:x:/queue/r", 1)]
        with pytest.raises(QueueError, match=r"await publish"):
            execution.publish_nowait("r", 2)
        await execution.cancel()
    assert lives.held("/queue/r") == [{"n": 1}]


@pytest.mark.parametrize("when", ["start", "later"])
async def test_an_error_of_the_provider_fails_the_execution_with_its_cause(autojump_clock, when):
    lives = Lives(ONE, work=Recorder(seconds=1).adapter())
    with trio.fail_after(100):
        async with lives.manager() as manager:
            execution = await lives.start(manager)
            await execution.publish("r", 1)
            if when == "later":
                await trio.sleep(0.5)
            lives.connection.error = QueueError("/queue/r", "the disk is on fire")
            report = await execution.complete()
    assert report.status == "failed"
    assert "the disk is on fire" in report.error
    assert lives.held("/queue/r") == [1], "it was not acknowledged"


@pytest.mark.parametrize("call", ["depth", "forget_empty", "init"])
async def test_errors_where_nothing_is_carried_are_the_reports(autojump_clock, call):
    lives = Lives(ONE + "\ninit_message: {route: r, payload: 1}" * (call == "init"), work=Recorder().adapter())
    with trio.fail_after(100):
        async with lives.manager() as manager:
            if call == "init":
                lives.connection.error = QueueError("/queue/r", "the disk is on fire")
            execution = await manager.start(lives.config)
            lives.connection.fail(call, QueueError("/queue/r", "the disk is on fire"))
            report = await execution.complete()
    if call == "forget_empty":
        assert report.status == "completed"
        assert ["the disk is on fire" in text for text in report.close_errors] == [True]
    else:
        assert report.status == "failed"
        assert "the disk is on fire" in report.error


async def test_a_provider_that_cannot_be_subscribed_is_the_starters_error(autojump_clock):
    lives = Lives(ONE, work=Recorder().adapter())

    class Broken(Connection):
        def subscribe(self, queue, subscription, prefetch, capacity=None):
            raise QueueError(queue, "cannot be opened")

    with trio.fail_after(100):
        async with OrchestratorManager(registry=lives.registry, queue=Broken(lives.store)) as manager:
            with pytest.raises(QueueError, match="cannot be opened"):
                await lives.start(manager)
            assert not manager.executions


async def test_a_message_is_acknowledged_after_what_it_led_to_whatever_others_wait_for(autojump_clock):
    text = """
routes:
  fast: {adapters: [{type: work}], outbound: [{queue: /queue/near}]}
  slow: {adapters: [{type: work}], outbound: [{queue: /queue/far}]}
"""
    lives = Lives(text, work=Recorder().adapter())
    async with lives.manager() as manager:
        lives.connection.publish_seconds = lambda queue: 50 if queue.endswith("/far") else 0.001
        execution = await lives.start(manager)
        for route in ("fast", "slow"):
            await execution.publish(route, route)
        await trio.sleep(10)
        [fast], [slow] = (lives.store.targets(f"exec:x:/queue/{route}") for route in ("fast", "slow"))
        assert (fast.outside, lives.held("/queue/near")) == (0, ["fast"])
        assert (slow.outside, lives.held("/queue/far")) == (1, []), "ended, and not acknowledged yet"
        assert execution.statistics().routes["slow"].completed == 1
        await trio.sleep(50)
        assert (slow.outside, lives.held("/queue/far")) == (0, ["slow"])
        report = await execution.complete()
    assert report.status == "completed"


async def test_a_cycle_of_small_queues_does_not_wait_for_itself(autojump_clock):
    text = """
routes:
  a: {inbound: {capacity: 1, prefetch: 1}, adapters: [{type: work}], outbound: [{route: b, condition: {field: n, operator: lt, value: 6}}]}
  b: {inbound: {capacity: 1, prefetch: 1}, adapters: [{type: twice}], outbound: [{route: a}]}
"""

    async def twice(context):
        return AdapterResult(emitted=[{"n": context.message["n"] + 1}] * 2)

    lives = Lives(text, work=Recorder().adapter(), twice=twice)
    with trio.fail_after(1000):
        async with lives.manager() as manager:
            execution = await lives.start(manager)
            await execution.publish("a", {"n": 0})
            report = await execution.complete()
    assert report.status == "completed"
    assert report.routes["a"].received == 2**7 - 1


async def test_two_routes_share_a_queue_and_each_subscription_of_a_topic_gets_all(autojump_clock):
    text = """
routes:
  one: {inbound: {queue: /queue/shared, prefetch: 1}, adapters: [{type: work}], outbound: [{queue: /topic/t}]}
  two: {inbound: {queue: /queue/shared, prefetch: 1}, adapters: [{type: work}], outbound: [{queue: /topic/t}]}
  left: {inbound: {queue: /topic/t}, adapters: [{type: work}]}
  right: {inbound: {queue: /topic/t}, adapters: [{type: work}]}
"""
    lives = Lives(text, work=Recorder(seconds=1).adapter())
    async with lives.manager() as manager:
        execution = await lives.start(manager)
        await execution.publish_batch("one", list(range(8)))
        report = await execution.complete()
    routes = report.routes
    assert routes["one"].completed + routes["two"].completed == 8
    assert routes["one"].completed
    assert routes["two"].completed
    assert routes["left"].completed == routes["right"].completed == 8


async def test_what_a_stateful_stage_says_in_the_end_is_stored(autojump_clock):
    class Count(StatefulAdapter):
        number = 0

        async def process(self, context):
            self.number += 1

        async def finish(self):
            return AdapterResult(message=self.number)

    lives = Lives(ONE, work=Count)
    async with lives.manager() as manager:
        execution = await lives.start(manager)
        await execution.publish_batch("r", list(range(5)))
        report = await execution.complete()
    assert report.status == "completed"
    assert lives.held("/queue/out") == [5]


async def test_results_are_read_until_the_execution_has_ended(autojump_clock):
    lives = Lives(ONE, work=Recorder(seconds=1).adapter())
    read = []
    with trio.fail_after(100):
        async with lives.manager() as manager:
            execution = await lives.start(manager)
            async with execution.subscribe("/queue/out") as results, trio.open_nursery() as nursery:
                nursery.start_soon(execution.complete)
                await execution.publish_batch("r", list(range(5)))
                with pytest.raises(QueueClosedError):
                    while True:
                        deliveries = await results.receive(2)
                        read += [delivery.message.value() for delivery in deliveries]
                        if len(read) == 3:
                            await trio.sleep(50)  # the execution ends meanwhile
                        await results.settle(deliveries)
                        assert results.statistics().unsettled == 0
    assert read == list(range(5))


@pytest.mark.parametrize("cause", ["the caller is cancelled", "the execution ends"])
async def test_what_is_on_its_way_to_a_reader_arrives_whatever_happens_meanwhile(autojump_clock, cause):
    class Slow:  # as one that must not leave a transaction half done
        async def receive(self, max_messages):
            with trio.CancelScope(shield=True):
                await trio.sleep(2)
            return ["message"]

    @asynccontextmanager
    async def subscribing():
        yield Slow()

    async def end_later():
        await trio.sleep(1)
        readers.end()

    readers, received = Readers(), []
    async with until_ended("/queue/out", subscribing(), readers) as results, trio.open_nursery() as nursery:
        if cause == "the execution ends":
            nursery.start_soon(end_later)
        with trio.move_on_after(1 if cause == "the caller is cancelled" else 9):
            received += await results.receive(1)
    assert received == ["message"]


async def test_an_error_while_results_are_read_is_raised_as_it_is(autojump_clock):
    lives = Lives(ONE, work=Recorder(seconds=1).adapter())
    async with lives.manager() as manager:
        execution = await lives.start(manager)
        async with execution.subscribe("/queue/out") as results:
            lives.connection.error = QueueError("/queue/out", "the disk is on fire")
            with pytest.raises(QueueError, match="the disk is on fire"):
                await results.receive(1)
        await execution.cancel()


async def test_what_nobody_read_before_the_end_is_read_after_it(autojump_clock):
    lives = Lives(ONE, work=Recorder().adapter())
    with trio.fail_after(100):
        async with lives.manager() as manager:
            execution = await lives.start(manager)
            await execution.publish_batch("r", [1, 2])
            async with execution.subscribe("/queue/out") as results:
                await execution.complete()
                deliveries = await results.receive(10)
                assert [delivery.message.value() for delivery in deliveries] == [1, 2]
                with pytest.raises(QueueClosedError):
                    await results.receive(10)
    assert sorted(lives.held("/queue/out")) == [1, 2], "what was not settled is there"


@pytest.mark.parametrize("far", ["first", "second", "dead"])
async def test_every_queue_that_a_message_went_to_must_have_taken_it(autojump_clock, far):
    text = """
routes:
  r:
    adapters: [{type: work}]
    outbound: [{queue: /queue/first}, {queue: /queue/second}]
    error_handling: {dead_letter_queue: /queue/dead}
"""

    async def work(context):
        if far == "dead":
            raise ValueError
        return AdapterResult.forward()

    lives = Lives(text, work=work)
    async with lives.manager() as manager:
        lives.connection.publish_seconds = lambda queue: 50 if queue.endswith(far) else 0.001
        execution = await lives.start(manager)
        await execution.publish("r", 1)
        [inbound] = lives.store.targets("exec:x:/queue/r")
        await trio.sleep(10)
        assert inbound.outside == 1
        await trio.sleep(50)
        assert inbound.outside == 0


async def test_an_execution_completes_when_its_last_words_are_stored(autojump_clock):
    class Last(StatefulAdapter):
        async def process(self, context):
            return None

        async def finish(self):
            return AdapterResult(message="last")

    lives = Lives(ONE, work=Last)
    async with lives.manager() as manager:
        lives.connection.publish_seconds = lambda queue: 50 if queue.endswith("/out") else 0.001
        execution = await lives.start(manager)
        await execution.publish("r", 1)
        assert (await execution.complete()).status == "completed"
    assert lives.held("/queue/out") == ["last"]


async def test_an_execution_waits_for_what_another_process_may_give_back(autojump_clock):
    work = Recorder()
    lives = Lives(ONE, work=work.adapter())
    async with trio.open_nursery() as nursery:

        async def other(task_status=trio.TASK_STATUS_IGNORED):
            async with lives.store.subscribe("exec:x:/queue/r", "other", 1) as subscription:
                await subscription.receive(1)
                task_status.started()
                await trio.sleep(100)

        async with lives.manager() as manager:
            execution = await lives.start(manager)
            execution.pause()
            await execution.publish("r", 1)
            await execution.cancel()
        await nursery.start(other)
        began = trio.current_time()
        async with lives.manager() as manager:
            await (await lives.start(manager)).complete()
    assert work.seen == [1]
    assert trio.current_time() - began >= 100


async def test_what_has_ended_before_a_cancellation_is_not_done_again(autojump_clock):
    work = Recorder()
    lives = Lives(ONE, work=work.adapter())
    async with lives.manager() as manager:
        lives.connection.publish_seconds = lambda queue: 2 if queue.endswith("/out") else 0.001
        execution = await lives.start(manager)
        await execution.publish("r", 1)
        await trio.sleep(1)
        report = await execution.cancel()
    assert report.routes["r"].completed == 1
    async with lives.manager() as manager:
        await (await lives.start(manager)).complete()
    assert work.seen == [1]


@pytest.mark.parametrize("execution_id", ["", "a b", "a:b", "x" * 65, "../x"])
async def test_an_id_that_cannot_be_one_is_refused(execution_id):
    lives = Lives(ONE, work=Recorder().adapter())
    async with lives.manager() as manager:
        with pytest.raises(ValueError, match="1 to 64 letters"):
            await manager.start(lives.config, execution_id=execution_id)


async def test_an_id_that_is_running_is_refused(autojump_clock):
    lives = Lives(ONE, work=Recorder().adapter())
    async with lives.manager() as manager:
        await lives.start(manager)
        with pytest.raises(ValueError, match="running already"):
            await lives.start(manager)


async def test_a_start_that_hangs_can_be_cancelled(autojump_clock):
    lives = Lives(ONE, work=Recorder().adapter())

    class Hangs(Connection):
        @asynccontextmanager
        async def subscribe(self, queue, subscription, prefetch, capacity=None):
            await trio.sleep_forever()
            yield

    with trio.move_on_after(5) as scope:
        async with OrchestratorManager(registry=lives.registry, queue=Hangs(lives.store)) as manager:
            await lives.start(manager)
    assert scope.cancelled_caught
    assert trio.current_time() < 6
    assert not manager.executions


@pytest.mark.parametrize("how", ["cancel", "drain", "abandon"])
async def test_a_provider_that_hangs_holds_no_end_up_for_long(autojump_clock, how):
    lives = Lives(ONE, work=Recorder().adapter())
    began = trio.current_time()
    with trio.CancelScope() as scope:
        async with lives.manager() as manager:
            execution = await lives.start(manager)
            await execution.publish("r", 1)
            await trio.sleep(0.5)
            lives.connection.cut()
            await trio.sleep(0.5)
            if how == "abandon":
                scope.cancel()
            elif how == "cancel":
                await execution.cancel()
            else:
                await execution.drain(1)
    assert trio.current_time() - began < 6
    assert execution.report.status in ("cancelled", "completed")
    assert_counters_balance(execution.report)


@pytest.mark.parametrize("call", ["depth", "forget_empty"])
async def test_an_error_that_no_provider_should_raise_ends_its_execution_and_no_other(autojump_clock, call):
    lives = Lives(ONE, work=Recorder().adapter())
    with trio.fail_after(60):
        async with lives.manager() as manager:
            execution = await manager.start(lives.config)
            await execution.publish("r", 1)
            lives.connection.fail(call, OSError("the network is down"))
            report = await execution.complete()
            assert manager.executions == {}
            lives.connection.failing.clear()
            assert (await (await manager.start(lives.config)).complete()).status == "completed"
    assert "the network is down" in str([report.error, *report.close_errors])


async def test_a_subscription_that_fails_with_any_error_fails_the_start_alone(autojump_clock):
    lives = Lives(ONE, work=Recorder().adapter())
    async with lives.manager() as manager:
        subscribe = lives.connection.subscribe

        @asynccontextmanager
        async def broken(*_):
            raise OSError("the network is down")
            yield

        lives.connection.subscribe = broken
        with pytest.raises(QueueError, match="the network is down") as caught:
            await lives.start(manager)
        assert isinstance(caught.value.__cause__, OSError)
        lives.connection.subscribe = subscribe
        assert (await (await lives.start(manager)).complete()).status == "completed"


async def test_a_provider_that_does_not_answer_at_the_end_does_not_keep_an_execution(autojump_clock):
    lives = Lives(ONE, work=Recorder().adapter())
    with trio.fail_after(60):
        async with lives.manager() as manager:

            async def hang(_):
                await trio.sleep(1000)

            lives.connection.forget_empty = hang
            began = trio.current_time()
            report = await (await manager.start(lives.config)).complete()
            assert trio.current_time() - began < 10
    assert report.status == "completed"
    assert "did not answer" in str(report.close_errors)


async def test_the_watchdog_names_a_queue_that_accepts_nothing(autojump_clock, caplog):
    lives = Lives(ONE, work=Recorder().adapter())
    with trio.fail_after(1000):
        async with lives.manager() as manager, lives.store.subscribe("exec:x:/queue/out", "s", 1, 2) as reader:
            execution = await lives.start(manager)
            await execution.publish_batch("r", list(range(5)))
            await trio.sleep(3 * lives.config.processor.stall_seconds)
            [stalled] = execution.statistics().stalled
            assert "messages are not accepted by 'exec:x:/queue/out'" in stalled
            assert caplog.text.count("does not move") == 1, "said once"
            for _ in range(5):
                await reader.settle(await reader.receive(1))
            report = await execution.complete()
            assert execution.statistics().stalled == ()
    assert report.status == "completed"


async def test_what_is_left_is_asked_for_upstream_first(autojump_clock):
    text = """
routes:
  last: {adapters: [{type: work}]}
  middle: {adapters: [{type: work}], outbound: [{route: last}]}
  first: {adapters: [{type: work}], outbound: [{route: middle}]}
"""
    lives = Lives(text, work=Recorder().adapter())
    asked = []
    async with lives.manager() as manager:
        lives.connection.on_depth = asked.append
        execution = await lives.start(manager)
        asked.clear()
        await execution.complete()
    assert [queue.rpartition("/")[2] for queue in asked] == ["first", "middle", "last"]


@pytest.mark.parametrize("letters", [True, False])
async def test_a_message_that_kills_its_process_each_time_is_given_up_untried(autojump_clock, letters):
    """What was handed out and not settled when its process died is handed out again, as another delivery."""
    begun = []

    async def kill(context):
        begun.append((context.message, context.attempt))
        if context.message == "kills":
            await trio.sleep_forever()  # its process dies meanwhile
        return AdapterResult.forward()

    queue = ", dead_letter_queue: /queue/dead" if letters else ""
    lives = Lives(
        "routes: {r: {inbound: {prefetch: 1, concurrency: 1}, adapters: [{type: kill}], "
        f"error_handling: {{max_deliveries: 3{queue}}}, outbound: [{{queue: /queue/out}}]}}}}",
        kill=kill,
    )

    class Counts(Connection):
        """The store counts what a process that died had in hand, as a lease that ends does."""

        @asynccontextmanager
        async def subscribe(self, queue, subscription, prefetch, capacity=None):
            async with self.store.subscribe(queue, subscription, prefetch, capacity) as inner:
                handed = []

                class Remembers:
                    def __getattr__(self, name):
                        return getattr(inner, name)

                    async def receive(self, most):
                        deliveries = await inner.receive(most)
                        handed.extend(deliveries)
                        return deliveries

                try:
                    yield Remembers()
                finally:
                    with trio.CancelScope(shield=True):
                        await inner.settle((), [Nack(delivery) for delivery in handed])

    for _ in range(5):
        async with OrchestratorManager(registry=lives.registry, queue=Counts(lives.store)) as manager:
            execution = await lives.start(manager)
            if not begun:
                await execution.publish_batch("r", ["kills", "harmless"])
            await trio.sleep(1)
            report = await execution.cancel()
    assert begun == [("kills", 1), ("kills", 2), ("kills", 3), ("harmless", 1)]
    assert lives.held("/queue/out") == ["harmless"]
    assert lives.held("/queue/r") == []
    assert lives.held("/queue/dead") == ["kills"] * letters
    assert_counters_balance(report)
