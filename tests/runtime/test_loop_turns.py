"""A worker's turn at a route: how long, in which order, and what it says of the message in hand."""

import pytest
import trio
import trio.testing

from factflow_engine.runtime.lane import TURN
from factflow_engine.testing import Simulation
from factflow_protocols import AdapterResult
from support.pipelines import running

ONE_AT_A_TIME = "routes: {r: {inbound: {concurrency: 1}, adapters: [{type: stage}]}}"


@pytest.mark.parametrize("says", ["nothing", "headers", "error", "children"])
async def test_a_turn_ends_whatever_the_adapters_say(says, mock_clock):
    """The clock stands still, so only the length of the turn can end it."""
    order = []

    async def noisy(context):
        order.append("noisy")
        if says == "error":
            raise ValueError("no")
        if says == "headers":
            return AdapterResult(message=1, headers={"seen": True})
        return AdapterResult(emitted=[1]) if says == "children" else None

    async def calm(context):
        order.append("calm")

    async with running(
        """
routes:
  noisy: {inbound: {concurrency: 1}, adapters: [{type: noisy}]}
  calm: {adapters: [{type: calm}]}
""",
        adapters={"noisy": noisy, "calm": calm},
        seams=Simulation(1).seams,
    ) as execution:
        execution.pause()
        for number in range(4 * TURN):
            execution.publish_nowait("noisy", number)
        for number in range(5):
            execution.publish_nowait("calm", number)
        execution.resume()
        await execution.wait()
    assert order[: TURN + 5].count("calm") == 5


async def test_a_message_that_emits_ends_before_the_next_one_begins(autojump_clock):
    """With one permit, a driver whose child waits does not take further messages meanwhile."""
    order = []

    async def emit(context):
        return AdapterResult(emitted=[[context.message, number] for number in range(3)])

    async def stage(context):
        await trio.sleep(1)
        order.append(context.message)

    async with running(
        "routes: {r: {inbound: {concurrency: 1}, adapters: [{type: emit}, {type: stage}]}}",
        adapters={"emit": emit, "stage": stage},
    ) as execution:
        execution.pause()
        for number in range(4):
            execution.publish_nowait("r", number)
        execution.resume()
        await execution.wait()
    assert order == [[message, number] for message in range(4) for number in range(3)]


@pytest.mark.parametrize("before", ["waits", "fails", "ends"])
async def test_a_held_message_is_held_since_its_own_beginning(before, autojump_clock):
    async def stage(context):
        if context.message == "before":
            if before == "waits":
                await trio.sleep(10)
            if before == "fails":
                await trio.sleep(10)
                raise ValueError("no")
            return
        await trio.sleep(20)

    async with running(ONE_AT_A_TIME, adapters={"stage": stage}, seams=Simulation(1).seams, seconds=1000) as execution:
        await trio.sleep(3)
        execution.pause()
        for payload in ("before", "now"):
            execution.publish_nowait("r", payload)
        execution.resume()
        await trio.sleep(5 if before == "ends" else 15)
        assert [held.seconds for held in execution.held()] == [pytest.approx(5, abs=0.001)]
        await execution.wait()


async def test_a_message_that_has_waited_is_held_since_it_began_and_not_since_it_went_on(autojump_clock):
    async def stage(context):
        await trio.sleep(4)
        await trio.sleep(4)

    async with running(ONE_AT_A_TIME, adapters={"stage": stage}, seams=Simulation(1).seams) as execution:
        await execution.publish("r", 0)
        await trio.sleep(7)
        assert [held.seconds for held in execution.held()] == [pytest.approx(7, abs=0.001)]
        await execution.wait()
