"""Pausing and closing take effect at the next message, also in the middle of a worker's turn."""

from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing

from factflow_protocols import AdapterResult
from support.pipelines import assert_counters_balance, publish_together, running
from support.stages import PAUSABLE_CYCLE, count_down

ONE_AT_A_TIME = "routes: {r: {inbound: {concurrency: 1}, adapters: [{type: stage}]}}"


@asynccontextmanager
async def at_the_third_of_ten():
    """An execution whose adapter has the third of ten messages, each for a second."""

    async def stage(context):
        await trio.sleep(1)

    async with running(ONE_AT_A_TIME, adapters={"stage": stage}) as execution:
        for number in range(10):
            execution.publish_nowait("r", number)
        await trio.sleep(2.5)
        yield execution


async def test_a_pause_while_an_adapter_waits_lets_only_that_message_end(autojump_clock):
    async with at_the_third_of_ten() as execution:
        execution.pause("r")
        await trio.sleep(10)
        route = execution.statistics().routes["r"]
        assert (route.filtered, route.in_flight, route.waiting) == (3, 0, 7)
        execution.resume("r")
        assert (await execution.complete()).routes["r"].filtered == 10


async def test_an_adapter_that_pauses_its_route_sees_no_further_message():
    async def stage(context):
        if context.message == 3:
            execution.pause("r")

    async with running(ONE_AT_A_TIME, adapters={"stage": stage}) as execution:
        publish_together(execution, r=range(10))
        await trio.testing.wait_all_tasks_blocked()
        route = execution.statistics().routes["r"]
        assert (route.received, route.in_flight, route.waiting) == (4, 0, 6)
        execution.resume()
        assert (await execution.complete()).routes["r"].received == 10


async def test_a_cancel_with_grace_takes_no_further_message(autojump_clock):
    async with at_the_third_of_ten() as execution:
        report = await execution.cancel(grace=100)
    route = report.routes["r"]
    assert (route.filtered, route.waiting, route.redelivered) == (3, 7, 0)
    assert_counters_balance(report)


@pytest.mark.parametrize("seconds", [0, 1])
async def test_the_failure_that_is_too_many_is_the_last(seconds, autojump_clock):
    async def stage(context):
        if seconds:
            await trio.sleep(seconds)
        raise ValueError("no")

    async with running(
        "orchestrator: {max_failed_messages: 2}\n" + ONE_AT_A_TIME, adapters={"stage": stage}
    ) as execution:
        publish_together(execution, r=range(10))
        report = await execution.complete()
    assert report.status == "failed"
    assert (report.routes["r"].failed, report.routes["r"].waiting) == (3, 7)


async def test_children_are_neither_pulled_nor_begun_while_their_route_is_paused(autojump_clock):
    pulled = []

    async def emit(context):
        async def numbers():
            for number in range(10):
                pulled.append(number)
                yield number
                await trio.sleep(1)

        return AdapterResult(emitted=numbers())

    seen = []

    async def note(context):
        seen.append(context.message)

    async with running(
        "routes: {r: {inbound: {concurrency: 3}, adapters: [{type: emit}, {type: note}]}}",
        adapters={"emit": emit, "note": note},
    ) as execution:
        await execution.publish("r", 0)
        await trio.sleep(2.5)
        execution.pause()
        await trio.sleep(10)
        # The one that was being pulled when the pause came is begun by its driver: it holds the permit already.
        assert pulled == [0, 1, 2, 3]
        assert seen == [0, 1, 2, 3]
        execution.resume()
        report = await execution.complete()
    assert sorted(seen) == list(range(10))
    assert report.routes["r"].completed == 1


async def test_a_full_cycle_of_which_a_route_is_paused_is_not_taken_for_stuck(autojump_clock):
    """Nobody in it moves, but somebody will: who asks again meanwhile must not go over a capacity."""
    async with running(PAUSABLE_CYCLE, adapters={"count_down": count_down}) as execution:
        execution.pause("b")
        for _ in range(6):
            await execution.publish("a", 2)
            await trio.testing.wait_all_tasks_blocked()
        for _ in range(3):
            execution.pause("a")
            execution.resume("a")
            await trio.testing.wait_all_tasks_blocked()
        assert [route.waiting for route in execution.statistics().routes.values()] == [3, 3]
        execution.resume("b")
        report = await execution.complete()
    assert report.routes["b"].filtered == 6
    assert_counters_balance(report)
