"""The native hop at its edges: what adapters keep, what runs when objects go, who waits beside whom."""

import gc
import sys
import weakref
from contextlib import suppress

import pytest
import trio
import trio.testing

from factflow_protocols import AdapterResult, Nack, PipelineAdapter
from support.pipelines import assert_counters_balance, run, running

TOPIC = "routes: {r: {inbound: {queue: /topic/t, capacity: 1}, adapters: [{type: forward}]}}"
ONE = "routes: {a: {adapters: [{type: x}]}}"


class Payloads(list):
    """A list that can be referred to weakly."""


async def test_an_adapter_that_keeps_its_context_goes_with_its_execution():
    adapters = []

    class Keeps(PipelineAdapter):
        def __init__(self):
            adapters.append(weakref.ref(self))

        async def process(self, context):
            self.last = context
            return AdapterResult.forward()

    await run(ONE, adapters={"x": Keeps}, publish=[("a", number) for number in range(3)])
    gc.collect()
    assert [adapter() for adapter in adapters] == [None]


async def test_what_a_stage_emitted_is_not_kept_by_an_idle_worker():
    emitted = []

    async def emits(context):
        values = Payloads([1, 2])
        emitted.append(weakref.ref(values))
        return AdapterResult(emitted=values)

    async with running(ONE, adapters={"x": emits}) as execution:
        await execution.publish("a", 0)
        await trio.testing.wait_all_tasks_blocked()
        gc.collect()
        assert [values() for values in emitted] == [None]


class Curious:
    """Part of a message; when it goes, it asks the execution who holds what."""

    execution = None
    answers = 0

    def __del__(self):
        if self.execution is not None:
            self.execution.held()
            assert_counters_balance(self.execution.statistics())
            Curious.answers += 1


async def test_a_message_may_ask_who_holds_what_when_it_goes(monkeypatch):
    errors = []
    monkeypatch.setattr(sys, "unraisablehook", lambda unraisable: errors.append(unraisable.exc_value))
    monkeypatch.setattr(Curious, "answers", 0)

    async def adds(context):
        context.message.append(Curious())
        return AdapterResult.forward()

    async with running(ONE, adapters={"x": adds}) as execution:
        monkeypatch.setattr(Curious, "execution", execution)
        for number in range(5):
            await execution.publish("a", [number])
        await execution.complete()
    monkeypatch.setattr(Curious, "execution", None)
    assert errors == []
    assert Curious.answers == 5


class Liar(list):
    """Says that it is longer than any memory."""

    def __len__(self):
        return 1 << 60


async def test_a_batch_believes_no_length():
    async with running("routes: {a: {adapters: [{type: forward}]}}") as execution:
        assert len(await execution.publish_batch("a", Liar([1, 2]))) == 2
        report = await execution.complete()
    assert report.routes["a"].completed == 2


async def test_room_is_not_lost_when_the_publisher_who_was_told_of_it_waits_for_another_line():
    async with (
        running(TOPIC, seconds=5) as execution,
        execution.subscribe("/topic/t", prefetch=1, capacity=1) as outside,
        trio.open_nursery() as nursery,
    ):
        execution.pause("r")
        await execution.publish("r", 0)  # both lines are full
        first, published = trio.CancelScope(), []

        async def publish(number, scope):
            with scope:
                await execution.publish("r", number)
                published.append(number)

        for number, scope in ((1, first), (2, trio.CancelScope())):
            nursery.start_soon(publish, number, scope)
            await trio.testing.wait_all_tasks_blocked()
        execution.resume("r")  # makes room for one, who then waits for the other line
        await trio.testing.wait_all_tasks_blocked()
        first.cancel()
        await trio.testing.wait_all_tasks_blocked()
        await outside.settle(await outside.receive(1))
        await trio.testing.wait_all_tasks_blocked()
        assert published == [2]
        nursery.cancel_scope.cancel()


class Steps(trio.abc.Instrument):
    def __init__(self):
        self.number = 0

    def before_task_step(self, task):
        self.number += 1


async def test_completion_does_not_spin_while_a_publisher_waits_for_a_consumer_from_outside():
    steps = Steps()
    async with (
        running(TOPIC, seconds=5) as execution,
        execution.subscribe("/topic/t", prefetch=1, capacity=1) as outside,
        trio.open_nursery() as nursery,
    ):
        await execution.publish("r", 0)
        nursery.start_soon(execution.publish, "r", 1)
        await trio.testing.wait_all_tasks_blocked()
        execution.let_complete()
        trio.lowlevel.add_instrument(steps)
        for _ in range(100):
            await trio.lowlevel.checkpoint()
        trio.lowlevel.remove_instrument(steps)
        assert steps.number < 150
        await outside.settle(await outside.receive(1))
        report = await execution.complete()
    assert report.routes["r"].completed == 2


@pytest.mark.parametrize("steps", range(8))
async def test_a_consumer_from_outside_may_give_back_while_the_execution_ends(steps):
    async with running("routes: {a: {inbound: {queue: /queue/q}, adapters: [{type: forward}]}}") as execution:
        execution.pause("a")
        taken, ending = trio.Event(), trio.Event()

        async def consume():
            async with execution.subscribe("/queue/q") as outside:
                await execution.publish("a", 1)
                deliveries = await outside.receive(1)
                taken.set()
                await ending.wait()
                for _ in range(steps):
                    await trio.lowlevel.checkpoint()
                await outside.settle([], [Nack(delivery=delivery) for delivery in deliveries])

        async with trio.open_nursery() as nursery:
            nursery.start_soon(consume)
            await taken.wait()
            ending.set()
            report = await execution.cancel()
    assert report.status == "cancelled"


class Unspeakable(Exception):
    def __str__(self):
        raise SystemExit(3)


async def test_an_error_that_has_no_text_has_failed_its_message():
    async def fails(context):
        raise Unspeakable

    report = await run(ONE, adapters={"x": fails}, publish=[("a", 1)])
    assert report.status == "completed"
    assert [failure.error for failure in report.failures] == ["<its text cannot be had: SystemExit>"]
    assert report.routes["a"].failed == 1
    assert_counters_balance(report)
    assert report.routes["a"].in_flight == 0


async def test_what_is_not_trios_to_wait_for_is_the_adapters_error():
    """trio throws where the adapter waits, rather than send; the adapter may catch it and go on."""

    class Foreign:
        def __await__(self):
            yield "a trap of another framework"

    async def awaits(context):
        if context.message["catch"]:
            with suppress(TypeError):
                await Foreign()
            await trio.lowlevel.checkpoint()
            return AdapterResult.forward()
        await Foreign()

    async with running(
        "routes: {r: {adapters: [{type: awaits}], outbound: [{queue: /queue/out}]}}", adapters={"awaits": awaits}
    ) as execution:
        for number in range(20):
            await execution.publish("r", {"catch": number % 2 == 0})
        report = await execution.complete()
    assert (report.routes["r"].completed, report.routes["r"].failed) == (10, 10)
    assert {failure.error_type for failure in report.failures} == {"TypeError"}
    assert_counters_balance(report)
