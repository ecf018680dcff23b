"""Where a cancellation meets a message that emits, and who is named as interrupted."""

from dataclasses import replace

import pytest
import trio

from factflow_engine.seams import Seams
from factflow_protocols import AdapterResult
from support.internals import route_of
from support.pipelines import assert_counters_balance, publish_together, running


async def cancelled_while(emit, stage=None):
    """Cancel a route in the second second of a message whose first stage emits; return the report."""
    adapters = {"emit": emit, **({} if stage is None else {"stage": stage})}
    rest = "" if stage is None else ", {type: stage}"
    async with running(f"routes: {{r: {{adapters: [{{type: emit}}{rest}]}}}}", adapters=adapters) as execution:
        message_id = await execution.publish("r", 0)
        await trio.sleep(1)
        report = await execution.cancel()
    assert_counters_balance(report)
    return report, message_id


def assert_given_back(report):
    route = report.routes["r"]
    assert (route.completed, route.failed, route.waiting, route.redelivered) == (0, 0, 1, 1)
    assert report.failures == ()


async def test_a_message_whose_source_is_interrupted_goes_back_and_is_named(autojump_clock):
    async def emit(context):
        async def numbers():
            await trio.sleep(100)
            yield 1

        return AdapterResult(emitted=numbers())

    report, message_id = await cancelled_while(emit)
    assert_given_back(report)
    assert [(held.stage, held.message_id) for held in report.held] == [("emit", message_id)]


async def test_a_message_whose_source_makes_an_error_of_its_cancellation_goes_back(autojump_clock):
    async def emit(context):
        async def numbers():
            try:
                await trio.sleep(100)
            except trio.Cancelled:
                raise ValueError("the connection is gone") from None
            yield 1

        return AdapterResult(emitted=numbers())

    report, _ = await cancelled_while(emit)
    assert_given_back(report)


async def test_a_message_whose_source_is_interrupted_while_it_cleans_up_goes_back(autojump_clock):
    class Source:
        def __aiter__(self):
            return self

        async def __anext__(self):
            raise StopAsyncIteration

        async def aclose(self):
            await trio.sleep(100)

    async def emit(context):
        return AdapterResult(emitted=Source())

    report, _ = await cancelled_while(emit)
    assert_given_back(report)


async def test_an_interrupted_child_is_named_and_its_parent_is_not(autojump_clock):
    async def emit(context):
        return AdapterResult(emitted=[1, 2, 3])

    async def stage(context):
        await trio.sleep(100)

    report, message_id = await cancelled_while(emit, stage)
    route = report.routes["r"]
    assert (route.received, route.completed, route.waiting, route.redelivered) == (0, 0, 1, 1)
    assert {held.stage for held in report.held} == {"stage"}
    assert message_id not in {held.message_id for held in report.held}


@pytest.mark.parametrize("ending", ["result", "error", "suspended"])
async def test_nobody_holds_a_message_that_has_ended(ending, autojump_clock):
    async def end(context):
        if ending == "suspended":
            await trio.sleep(1)
        if ending == "error":
            raise ValueError("no")
        return AdapterResult.forward()

    async with running("routes: {r: {adapters: [{type: end}]}}", adapters={"end": end}) as execution:
        await execution.publish("r", 0)
        await trio.sleep(2)
        assert execution.statistics().routes["r"].in_flight == 0
        assert execution.held() == ()
        await execution.complete()


async def assert_three_of_five_end(execution, error):
    """The third message breaks something between messages: it ends all the same, once, and the others wait."""
    publish_together(execution, r=range(5))
    report = await execution.complete()
    assert report.status == "failed"
    assert error in report.error
    route = report.routes["r"]
    assert (route.received, route.filtered, route.failed, route.waiting) == (3, 3, 0, 2)
    assert_counters_balance(report)


async def test_a_worker_that_dies_between_messages_blames_none_of_them(caplog):
    """Who listens for room fails: the message taken is not lost, and the one before it has ended once."""

    def broken():
        raise OSError("a listener")

    async def stage(context):
        if context.message == 2:
            route_of(execution, "r").inbound.watch(broken)

    async with running(
        "routes: {r: {inbound: {concurrency: 1}, adapters: [{type: stage}]}}", adapters={"stage": stage}
    ) as execution:
        await assert_three_of_five_end(execution, "a listener")


@pytest.mark.parametrize("waits", [False, True])
async def test_a_clock_that_fails_after_a_message_has_ended_does_not_end_it_again(waits, caplog):
    class Clock:
        broken = False

        def monotonic_ns(self):
            if self.broken:
                self.broken = False
                raise OSError("the clock")
            return 0

        def wall_ns(self):
            return 0

    clock = Clock()

    async def stage(context):
        if waits:
            await trio.lowlevel.checkpoint()
        clock.broken = context.message == 2

    async with running(
        "routes: {r: {inbound: {concurrency: 1}, adapters: [{type: stage}]}}",
        adapters={"stage": stage},
        seams=replace(Seams.real(), clock=clock),
    ) as execution:
        await assert_three_of_five_end(execution, "the clock")


async def test_a_driver_that_pulls_again_holds_the_parent_and_not_the_child_before(autojump_clock):
    async def emit(context):
        async def numbers():
            yield 1
            await trio.sleep(100)

        return AdapterResult(emitted=numbers())

    async def stage(context):
        await trio.sleep(0.5)

    async with running(
        "routes: {r: {inbound: {concurrency: 1}, adapters: [{type: emit}, {type: stage}]}}",
        adapters={"emit": emit, "stage": stage},
    ) as execution:
        message_id = await execution.publish("r", 0)
        await trio.sleep(1)
        assert [(held.stage, held.message_id) for held in execution.held()] == [("emit", message_id)]
        report = await execution.cancel()
    assert [(held.stage, held.message_id) for held in report.held] == [("emit", message_id)]
    # The child had ended; its parent comes back and will emit it again.
    assert (report.routes["r"].filtered, report.routes["r"].waiting) == (1, 1)


@pytest.mark.parametrize("skipped", [False, True])
async def test_a_message_that_cannot_leave_fails_behind_the_last_stage_with_what_became_of_it(skipped):
    async def change(context):
        return AdapterResult(message="changed")

    never = ", condition: {field: '@', operator: eq, value: nothing}" if skipped else ""
    async with running(
        f"""
routes:
  r:
    adapters: [{{type: change{never}}}]
    outbound: [{{queue: /queue/out, condition: {{field: "@", operator: eq, value: else}}}}]
    unrouted: fail
""",
        adapters={"change": change},
    ) as execution:
        for _ in range(3):
            await execution.publish("r", "original")
        report = await execution.complete()
    assert report.status == "completed"
    assert report.routes["r"].failed == 3
    assert {(failure.stage, failure.payload_preview) for failure in report.failures} == {
        (None, repr("original" if skipped else "changed"))
    }
