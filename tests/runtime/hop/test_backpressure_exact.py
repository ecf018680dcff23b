"""Backpressure to the message: what a stuck sink lets its source publish is a sum of the configuration's numbers.

A route is held back before it takes, and what is in its adapters has its room reserved. So where nobody else writes to a
queue it never holds more than its capacity, and a chain whose sink is stuck comes to rest with every queue exactly full
and nothing in flight but the sink's permits:

    sourced == passed + concurrency of the sink + sum of all capacities
"""

import pytest
import trio
from hypothesis import example, given, settings
from hypothesis import strategies as st

from factflow_engine.runtime.execution.manager import OrchestratorManager
from factflow_engine.testing import in_virtual_time
from factflow_protocols import AdapterResult
from support.floods import Gate, flood
from support.pipelines import assert_counters_balance, load, registry_of

AGES = 100_000.0  # virtual seconds after which nothing moves any more
KINDS = ("forward", "rest", "flicker")


def chain_text(routes, sink="stuck"):
    lines = ["routes:"]
    for position, (kind, concurrency, capacity) in enumerate(routes):
        last = position + 1 == len(routes)
        outbound = "" if last else f", outbound: [{{route: r{position + 1}}}]"
        lines.append(
            f"  r{position}: {{inbound: {{concurrency: {concurrency}, capacity: {capacity}}}, "
            f"adapters: [{{type: {sink if last else kind}}}]{outbound}}}"
        )
    return "\n".join(lines)


def adapters(gate, randomness):
    async def rest(context):
        await trio.sleep(randomness.uniform(0, 0.5))
        return AdapterResult.forward()

    async def flicker(context):
        await trio.lowlevel.checkpoint()
        return AdapterResult(message=context.message)

    return {"stuck": gate.adapter(), "rest": rest, "flicker": flicker}


def run_stuck(text, gate, seed, publishers, total, check):
    """Flood routes until nothing moves, check, open the gate, and return the report."""

    async def main(simulation):
        registry = registry_of(**adapters(gate, simulation.randomness))
        async with OrchestratorManager(registry=registry, seams=simulation.seams) as manager:
            execution = await manager.start(load(registry, text))
            sourced = {route: [] for route in publishers}
            async with trio.open_nursery() as nursery:
                for route in publishers:
                    nursery.start_soon(flood, execution, route, total, sourced[route])
                await trio.sleep(AGES)
                assert_counters_balance(execution.statistics())
                check({route: len(numbers) for route, numbers in sourced.items()}, execution.statistics().routes)
                gate.open()
            return await execution.complete()

    return in_virtual_time(main, seed=seed)


chains = st.lists(
    st.tuples(st.sampled_from(KINDS), st.integers(1, 6), st.integers(1, 12)),
    min_size=1,
    max_size=5,
)


@given(chains, st.integers(0, 40), st.integers(0, 2**32))
@example([("forward", 8, 1000)] * 5, 1, 1)
@settings(max_examples=50, deadline=None)
def test_a_stuck_sink_holds_its_source_back_to_the_message(routes, passing, seed):
    gate = Gate(passing)
    permits = routes[-1][1]
    expected = passing + permits + sum(capacity for _, _, capacity in routes)
    total = expected + 20

    def check(sourced, statistics):
        assert sourced["r0"] == expected
        assert gate.passed == passing
        for position, (_, _, capacity) in enumerate(routes):
            route = statistics[f"r{position}"]
            last = position + 1 == len(routes)
            assert (route.waiting, route.in_flight) == (capacity, permits if last else 0)

    report = run_stuck(chain_text(routes), gate, seed, ["r0"], total, check)
    assert report.status == "completed"
    assert [route.completed for route in report.routes.values()] == [total] * len(routes)


@given(chains, st.integers(0, 2**32))
@settings(max_examples=20, deadline=None)
def test_no_queue_of_a_chain_ever_holds_more_than_its_capacity(routes, seed):
    gate = Gate(10_000)

    async def main(simulation):
        registry = registry_of(**adapters(gate, simulation.randomness))
        async with OrchestratorManager(registry=registry, seams=simulation.seams) as manager:
            execution = await manager.start(load(registry, chain_text(routes, sink="rest")))
            async with trio.open_nursery() as nursery:
                nursery.start_soon(flood, execution, "r0", 60, [])
                seen = 0
                while sum(execution.statistics().routes["r0"].outcomes.values()) < 60:
                    for position, route in enumerate(execution.statistics().routes.values()):
                        assert route.waiting <= routes[position][2]
                        assert route.in_flight <= routes[position][1]
                    seen += 1
                    await trio.sleep(0.01)
            assert seen

    in_virtual_time(main, seed=seed)


@given(
    st.lists(st.tuples(st.sampled_from(["rest", "flicker"]), st.integers(1, 5)), min_size=2, max_size=4),
    st.integers(1, 8),
    st.integers(0, 2**32),
)
@settings(max_examples=25, deadline=None)
def test_routes_that_share_a_queue_overfill_it_by_no_more_than_what_they_had_in_adapters(feeders, capacity, seed):
    gate = Gate()
    lines = ["routes:"]
    lines += [
        f"  f{position}: {{inbound: {{concurrency: {concurrency}, capacity: 3}}, adapters: [{{type: {kind}}}], "
        "outbound: [{route: sink}]}"
        for position, (kind, concurrency) in enumerate(feeders)
    ]
    lines.append(f"  sink: {{inbound: {{concurrency: 2, capacity: {capacity}}}, adapters: [{{type: stuck}}]}}")

    def check(sourced, statistics):
        assert all(statistics[route].in_flight == 0 for route in sourced)
        assert all(statistics[route].waiting == 3 for route in sourced)
        assert statistics["sink"].in_flight == 2
        assert capacity <= statistics["sink"].waiting <= capacity + sum(concurrency for _, concurrency in feeders)
        # To the message, whatever the overfill was: what was published is somewhere.
        assert sum(sourced.values()) == 3 * len(feeders) + statistics["sink"].waiting + 2

    run_stuck("\n".join(lines), gate, seed, [f"f{n}" for n in range(len(feeders))], 40, check)


@given(
    kind=st.sampled_from(KINDS),
    concurrency=st.integers(1, 5),
    capacity=st.integers(1, 12),
    permits=st.integers(1, 4),
    seed=st.integers(0, 2**32),
)
@settings(max_examples=25, deadline=None)
def test_children_are_held_back_as_messages_are(kind, concurrency, capacity, permits, seed):
    """A source that emits without end is pulled no further than there is room for what it says."""
    gate = Gate()
    pulled = 0

    async def endless(context):
        nonlocal pulled
        for _ in range(500):
            pulled += 1
            yield pulled

    async def emit(context):
        return AdapterResult(emitted=endless(context))

    text = f"""
routes:
  source: {{inbound: {{concurrency: {concurrency}}}, adapters: [{{type: emit}}, {{type: {kind}}}], outbound: [{{route: sink}}]}}
  sink: {{inbound: {{concurrency: {permits}, capacity: {capacity}}}, adapters: [{{type: stuck}}]}}
"""

    async def main(simulation):
        registry = registry_of(emit=emit, **adapters(gate, simulation.randomness))
        async with OrchestratorManager(registry=registry, seams=simulation.seams) as manager:
            execution = await manager.start(load(registry, text))
            await execution.publish("source", 1)
            await trio.sleep(AGES)
            routes = execution.statistics().routes
            assert (routes["sink"].in_flight, routes["sink"].waiting) == (permits, capacity)
            assert routes["source"].emitted == permits + capacity
            # One child may be held by each other permit, or wait for one: those were pulled before the queue was full.
            assert permits + capacity <= pulled <= permits + capacity + 2 * concurrency - 1
            gate.open()
            return await execution.complete()

    report = in_virtual_time(main, seed=seed)
    assert pulled == 500
    assert report.routes["sink"].completed == 500


@pytest.mark.parametrize("kind", KINDS)
def test_a_paused_sink_holds_its_source_back_as_a_stuck_one(kind):
    gate = Gate(10_000)
    routes = [(kind, 3, 4), (kind, 2, 5), (kind, 1, 6)]

    async def main(simulation):
        registry = registry_of(**adapters(gate, simulation.randomness))
        async with OrchestratorManager(registry=registry, seams=simulation.seams) as manager:
            execution = await manager.start(load(registry, chain_text(routes)))
            execution.pause("r2")
            sourced = []
            async with trio.open_nursery() as nursery:
                nursery.start_soon(flood, execution, "r0", 100, sourced)
                await trio.sleep(AGES)
                assert len(sourced) == 4 + 5 + 6
                execution.resume("r2")
            return await execution.complete()

    assert in_virtual_time(main, seed=1).routes["r2"].completed == 100
