"""Pausing one route while all are busy: the others go on to the instant, and the paused one loses nothing.

The others are compared with a run in which nobody was paused: each message of theirs at the same virtual time.
"""

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from factflow_engine.testing import in_virtual_time
from factflow_protocols import AdapterResult
from support.floods import WorkClock
from support.pipelines import running

ROUTES = 4
MESSAGES = 60


def pipeline(concurrency):
    return "routes:\n" + "\n".join(
        f"  r{position}: {{inbound: {{concurrency: {concurrency}, capacity: 1000}}, adapters: [{{type: work}}]}}"
        for position in range(ROUTES)
    )


def run_with_pauses(concurrency, windows, seed):
    """Flood all routes, pause `r0` in these windows of virtual time; return what reached each route, and when."""
    visits = {f"r{position}": [] for position in range(ROUTES)}

    async def work(context):
        visits[context.route].append((round(trio.current_time(), 6), context.message))
        await trio.sleep(0.01 + context.message % 7 / 100)
        return AdapterResult.forward()

    async def main(simulation):
        async with running(
            pipeline(concurrency), adapters={"work": work}, seconds=10_000, seams=simulation.seams
        ) as execution:
            for number in range(MESSAGES):
                for route in visits:
                    execution.publish_nowait(route, number)
            for begin, seconds in windows:
                await trio.sleep(begin)
                execution.pause("r0", reason="window")
                await trio.sleep(0)  # what had its permit when the pause came is in its adapter by now
                before = len(visits["r0"])
                await trio.sleep(seconds)
                statistics = execution.statistics().routes["r0"]
                assert len(visits["r0"]) == before, "a paused route takes nothing"
                assert statistics.pauses == ("window",)
                execution.resume("r0", reason="window")
            return await execution.complete()

    report = in_virtual_time(main, seed=seed)
    assert [route.completed for route in report.routes.values()] == [MESSAGES] * ROUTES
    return visits


@given(
    st.integers(1, 5),
    st.lists(st.tuples(st.floats(0, 0.3), st.floats(0.001, 2)), min_size=1, max_size=4),
    st.integers(0, 2**32),
)
@settings(max_examples=20, deadline=None)
def test_the_other_routes_do_what_they_would_have_done(concurrency, windows, seed):
    undisturbed = run_with_pauses(concurrency, [], seed)
    paused = run_with_pauses(concurrency, windows, seed)
    for position in range(1, ROUTES):
        assert sorted(paused[f"r{position}"]) == sorted(undisturbed[f"r{position}"])
    assert [number for _, number in paused["r0"]] == list(range(MESSAGES)), "resumed where it was, in order"
    assert paused["r0"][-1][0] >= undisturbed["r0"][-1][0]


@pytest.mark.parametrize("downstream", ["paused before", "paused after"])
async def test_a_paused_route_still_accepts_what_its_capacity_allows(downstream):
    async with running(
        "routes: {a: {adapters: [{type: forward}], outbound: [{route: b}]}, "
        "b: {inbound: {capacity: 50}, adapters: [{type: forward}]}}"
    ) as execution:
        if downstream == "paused before":
            execution.pause("b")
        for number in range(40):
            execution.publish_nowait("a", number)
        if downstream == "paused after":
            execution.pause("b")
        await trio.testing.wait_all_tasks_blocked()
        routes = execution.statistics().routes
        assert (routes["a"].completed, routes["b"].waiting) == (40, 40)
        execution.resume("b")
        assert (await execution.complete()).routes["b"].completed == 40


async def test_a_pause_in_the_middle_of_a_flood_takes_effect_before_the_next_message():
    """The adapter itself pauses its route: not one more message of that route begins."""
    seen = []
    box = []

    async def pausing(context):
        seen.append(context.message)
        if context.message % 10 == 9:
            box[0].pause("r", reason="itself")
        return AdapterResult.forward()

    async with running(
        "routes: {r: {adapters: [{type: pausing}]}, other: {adapters: [{type: forward}]}}",
        adapters={"pausing": pausing},
        seams=WorkClock().seams,
    ) as execution:
        box.append(execution)
        for number in range(100):
            execution.publish_nowait("r", number)
            execution.publish_nowait("other", number)
        for window in range(1, 11):
            await trio.testing.wait_all_tasks_blocked()
            assert seen == list(range(10 * window))
            assert execution.statistics().routes["other"].completed == 100
            execution.resume("r", reason="itself")
        report = await execution.complete()
    assert report.routes["r"].completed == 100


async def test_children_of_a_paused_route_wait_too(autojump_clock):
    """What has begun ends; what it emits is not pulled while the route is paused."""
    pulled = []

    async def source():
        for number in range(20):
            await trio.sleep(1)
            pulled.append(number)
            yield number

    async def emit(context):
        return AdapterResult(emitted=source())

    async with running(
        "routes: {r: {inbound: {concurrency: 2}, adapters: [{type: emit}, {type: forward}]}}",
        adapters={"emit": emit},
        seconds=1000,
    ) as execution:
        await execution.publish("r", 1)
        await trio.sleep(5.5)
        execution.pause("r")
        await trio.sleep(2)
        held = len(pulled)
        await trio.sleep(50)
        assert len(pulled) == held <= 6
        execution.resume("r")
        report = await execution.complete()
    assert len(pulled) == 20
    assert report.routes["r"].completed == 21
