"""No cycle of bounded queues deadlocks, and queues outside cycles stay within their capacity."""

import random

import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from factflow_engine.runtime.execution.manager import OrchestratorManager
from factflow_engine.testing import in_virtual_time
from factflow_protocols import AdapterResult, Reject
from support.pipelines import assert_counters_balance, load, registry_of, run, running
from support.stages import PAUSABLE_CYCLE, count_down


async def branch(context):
    depth = context.message
    return AdapterResult(emitted=[depth - 1] * 2) if depth > 0 else None


@pytest.mark.parametrize("capacity", [1, 3])
@pytest.mark.parametrize("concurrency", [1, 2])
async def test_a_route_that_feeds_itself_through_a_full_queue_goes_on(capacity, concurrency):
    report = await run(
        f"""
routes:
  r:
    inbound: {{capacity: {capacity}, concurrency: {concurrency}}}
    adapters: [{{type: count_down}}]
    outbound: [{{route: r}}]
""",
        adapters={"count_down": count_down},
        publish=[("r", 20)] * 10,
    )
    assert report.routes["r"].filtered == 10
    assert report.routes["r"].completed == 200


async def test_messages_that_multiply_in_a_cycle_of_tiny_queues_all_end():
    report = await run(
        """
routes:
  a: {inbound: {capacity: 1, concurrency: 1}, adapters: [{type: branch}], outbound: [{route: b}]}
  b: {inbound: {capacity: 1, concurrency: 1}, adapters: [{type: forward}], outbound: [{route: a}]}
""",
        adapters={"branch": branch},
        publish=[("a", 7)],
    )
    assert report.routes["a"].filtered == 2**7
    assert_counters_balance(report)


@st.composite
def graphs(draw):
    count = draw(st.integers(2, 5))
    names = [f"r{n}" for n in range(count)]
    routes = {
        name: {
            "inbound": {"capacity": draw(st.integers(1, 3)), "concurrency": draw(st.integers(1, 3))},
            "stage": draw(st.sampled_from(["count_down", "branch", "rest"])),
            "out": draw(st.lists(st.sampled_from(names), max_size=2, unique=True)),
        }
        for name in names
    }
    inputs = draw(st.lists(st.tuples(st.sampled_from(names), st.integers(0, 4)), min_size=1, max_size=12))
    return routes, inputs


@given(graphs(), st.integers(0, 2**32))
@settings(max_examples=75, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_graph_of_small_queues_comes_to_an_end(graph, seed):
    routes, inputs = graph

    async def rest(context):
        if context.message <= 0:
            return None
        await trio.sleep(0.01)
        return AdapterResult(message=context.message - 1)

    text = "routes:\n" + "".join(
        f"  {name}:\n"
        f"    inbound: {{capacity: {route['inbound']['capacity']}, concurrency: {route['inbound']['concurrency']}}}\n"
        f"    adapters: [{{type: {route['stage']}}}]\n"
        + (f"    outbound: [{', '.join(f'{{route: {target}}}' for target in route['out'])}]\n" if route["out"] else "")
        for name, route in routes.items()
    )
    registry = registry_of(count_down=count_down, branch=branch, rest=rest)
    config = load(registry, text)

    async def main(simulation):
        with trio.fail_after(1000):
            async with OrchestratorManager(registry=registry, seams=simulation.seams) as manager:
                execution = await manager.start(config)
                for name, depth in inputs:
                    await execution.publish(name, depth)
                return await execution.complete()

    report = in_virtual_time(main, seed=seed)
    assert report.status == "completed"
    assert_counters_balance(report)
    for name, (received, completed, filtered, emitted) in expected(routes, inputs).items():
        route = report.routes[name]
        assert route.waiting == route.in_flight == 0
        assert (route.received, route.completed, route.filtered, route.emitted) == (
            received,
            completed,
            filtered,
            emitted,
        )


def expected(routes, inputs):
    """What each route must have counted, worked out with an unbounded list instead of queues."""
    counts = {name: [0, 0, 0, 0] for name in routes}
    pending = list(inputs)
    while pending:
        name, depth = pending.pop()
        counts[name][0] += 1
        if depth <= 0:
            counts[name][2] += 1
            continue
        copies = 1
        if routes[name]["stage"] == "branch":
            copies = 2
            counts[name][0] += 2
            counts[name][1] += 1
        counts[name][1] += copies
        for target in routes[name]["out"] * copies:
            counts[name][3] += 1
            pending.append((target, depth - 1))
    return {name: tuple(count) for name, count in counts.items()}


async def test_a_paused_route_in_a_cycle_is_not_overrun(autojump_clock):
    async with running(PAUSABLE_CYCLE, adapters={"count_down": count_down}) as execution:
        execution.pause("b")
        with trio.move_on_after(5):
            for _ in range(50):
                await execution.publish("a", 3)
        routes = execution.statistics().routes
        assert routes["b"].waiting <= 3
        assert routes["a"].waiting <= 3
        execution.resume("b")
        report = await execution.complete()
    assert_counters_balance(report)


@pytest.mark.parametrize("seed", range(25))
def test_a_cycle_through_a_dead_letter_queue_does_not_wait_for_itself(seed):
    generator = random.Random(seed)
    left = generator.randint(5, 30)

    async def reject(context):
        nonlocal left
        if generator.random() < 0.7:
            await trio.sleep(generator.uniform(0, 0.5))
        if left > 0:
            left -= 1
            raise Reject("not yet")

    async def forward(context):
        await trio.sleep(generator.uniform(0, 0.5))
        return AdapterResult.forward()

    async def main(simulation):
        a, dead = generator.randint(1, 3), generator.randint(1, 3)
        registry = registry_of(reject=reject, slowly=forward)
        config = load(
            registry,
            f"""
routes:
  a:
    inbound: {{queue: /queue/a, capacity: {a}, concurrency: {generator.randint(1, 2)}}}
    adapters: [{{type: reject}}]
    error_handling: {{dead_letter_queue: /queue/dead}}
  again:
    inbound: {{queue: /queue/dead, capacity: {dead}, concurrency: {generator.randint(1, 2)}}}
    adapters: [{{type: slowly}}]
    outbound: [{{route: a}}]
""",
        )
        with trio.fail_after(5000):
            async with OrchestratorManager(registry=registry, seams=simulation.seams) as manager:
                execution = await manager.start(config)
                async with trio.open_nursery() as nursery:
                    for number in range(8):
                        nursery.start_soon(execution.publish, "a", number)
                return await execution.complete()

    report = in_virtual_time(main, seed=seed)
    assert report.routes["a"].filtered == 8
