"""A worker's turn at a route: how long, in which order, and what it says of the message in hand."""

import types
from collections import Counter
from dataclasses import replace

import pytest
import trio
import trio.testing

from factflow_engine.runtime.hop.route_state import TURN
from factflow_engine.seams import Seams
from factflow_engine.testing import Simulation
from factflow_protocols import AdapterResult
from support.clocks import CallClock
from support.pipelines import Recorder, publish_together, running
from support.stages import endless

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
        publish_together(execution, noisy=range(4 * TURN), calm=range(5))
        await execution.complete()
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
        publish_together(execution, r=range(4))
        await execution.complete()
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
        await execution.complete()


async def test_a_message_that_has_waited_is_held_since_it_began_and_not_since_it_went_on(autojump_clock):
    async def stage(context):
        with trio.move_on_after(2):
            await trio.sleep_forever()
        await trio.sleep(2)
        await trio.sleep(4)

    async with running(ONE_AT_A_TIME, adapters={"stage": stage}, seams=Simulation(1).seams) as execution:
        await execution.publish("r", 0)
        await trio.sleep(7)
        assert [held.seconds for held in execution.held()] == [pytest.approx(7, abs=0.001)]
        await execution.complete()


async def test_routes_with_much_to_do_take_turns_of_one_length(mock_clock):
    order = []

    async def note(context):
        order.append(context.route)

    async with running(
        "routes: {"
        + ", ".join(f"{name}: {{inbound: {{concurrency: 1}}, adapters: [{{type: note}}]}}" for name in "abc")
        + "}",
        adapters={"note": note},
        seams=Simulation(1).seams,
    ) as execution:
        execution.pause()
        for _ in range(4 * TURN):
            for name in "abc":
                execution.publish_nowait(name, 0)
        execution.resume()
        await execution.complete()
    turns = ["".join(order[start : start + TURN]) for start in range(0, len(order), TURN)]
    assert {len(set(turn)) for turn in turns} == {1}
    rounds = [{turn[0] for turn in turns[start : start + 3]} for start in range(0, len(turns), 3)]
    assert rounds == [set("abc")] * 4


@pytest.mark.parametrize("limit", [1, 2, 5])
async def test_a_driver_hands_on_as_many_children_as_others_may_soon_have_permits_for(limit, autojump_clock):
    pulled = []

    async def stage(context):
        await trio.sleep_forever()

    async with running(
        f"routes: {{r: {{inbound: {{concurrency: {limit}}}, adapters: [{{type: emit}}, {{type: stage}}]}}}}",
        adapters={"emit": endless(pulled), "stage": stage},
    ) as execution:
        await execution.publish("r", 0)
        await trio.testing.wait_all_tasks_blocked()
        held = Counter(held.by for held in execution.held())
        assert held == Counter({"adapter": limit, "permit": limit - 1})
        assert len(pulled) == 2 * limit - 1
        await execution.cancel()


async def test_a_child_is_held_since_its_worker_began_it(autojump_clock):
    """The driver runs the first child itself; the other worker then takes the others in a row."""
    now = 0

    async def emit(context):
        return AdapterResult(emitted=["driven", "spends", "waits"])

    async def stage(context):
        nonlocal now
        if context.message == "spends":
            now += 10_000
            return
        await trio.sleep_forever()

    async with running(
        "routes: {r: {inbound: {concurrency: 2}, adapters: [{type: emit}, {type: stage}]}}",
        adapters={"emit": emit, "stage": stage},
        seams=replace(Seams.real(), clock=CallClock(lambda: now)),
    ) as execution:
        await execution.publish("r", 0)
        await trio.testing.wait_all_tasks_blocked()
        assert sorted(held.seconds for held in execution.held()) == pytest.approx([0, 10e-6])
        await execution.cancel()


async def test_a_driver_that_has_waited_for_room_is_held_since_its_message_began(autojump_clock):
    async def emit(context):
        return AdapterResult(emitted=range(10))

    async def slow(context):
        await trio.sleep(5)

    async with running(
        """
routes:
  r: {inbound: {concurrency: 1}, adapters: [{type: emit}], outbound: [{route: sink}]}
  sink: {inbound: {concurrency: 1, capacity: 1}, adapters: [{type: slow}]}
""",
        adapters={"emit": emit, "slow": slow},
        seams=Simulation(1).seams,
        seconds=1000,
    ) as execution:
        await execution.publish("r", 0)
        await trio.sleep(17)
        assert {held.route: held.seconds for held in execution.held()} == pytest.approx({"r": 17, "sink": 2}, abs=0.001)
        await execution.complete()


@pytest.mark.parametrize("copes", [True, False])
async def test_an_adapter_that_awaits_what_trio_does_not_know_is_told_and_may_go_on(copes, autojump_clock):
    @types.coroutine
    def foreign():
        yield "something of another library"

    async def stage(context):
        await trio.sleep(3)
        try:
            await foreign()
        except TypeError:
            if not copes:
                raise
        await trio.sleep(3)
        return AdapterResult(message="came through")

    seen = Recorder()
    async with running(
        "routes: {r: {inbound: {concurrency: 1}, adapters: [{type: stage}, {type: seen}]}}",
        adapters={"stage": stage, "seen": seen.adapter()},
        seams=Simulation(1).seams,
    ) as execution:
        for number in range(2):  # a turn each
            execution.publish_nowait("r", number)
            await trio.testing.wait_all_tasks_blocked()
        await trio.sleep(5)
        assert [held.seconds for held in execution.held()] == pytest.approx([5 if copes else 2], abs=0.001)
        report = await execution.complete()
    assert report.status == "completed"
    assert (report.routes["r"].completed, report.routes["r"].failed) == ((2, 0) if copes else (0, 2))
    assert seen.seen == (["came through"] * 2 if copes else [])
