"""Where a cancellation meets a message that emits, and who is named as interrupted."""

import pytest
import trio

from factflow_protocols import AdapterResult
from support.pipelines import assert_books_balance, running


async def cancelled_while(emit, stage=None):
    """Cancel a route in the second second of a message whose first stage emits; return the report."""
    adapters = {"emit": emit, **({} if stage is None else {"stage": stage})}
    rest = "" if stage is None else ", {type: stage}"
    async with running(f"routes: {{r: {{adapters: [{{type: emit}}{rest}]}}}}", adapters=adapters) as execution:
        message_id = await execution.publish("r", 0)
        await trio.sleep(1)
        report = await execution.cancel()
    assert_books_balance(report)
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
        await execution.wait()
