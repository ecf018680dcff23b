"""Capacity: a route that alone writes to a queue never fills it beyond its bound, however its adapters behave."""

import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from factflow_engine.runtime.execution.manager import OrchestratorManager
from factflow_engine.testing import in_virtual_time
from factflow_protocols import AdapterResult
from support.internals import route_of
from support.pipelines import assert_counters_balance, load, publish_together, registry_of, running


@given(
    concurrency=st.integers(1, 5),
    capacities=st.tuples(st.integers(1, 6), st.integers(1, 6)),
    readers=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    rests=st.sampled_from(["always", "never", "sometimes"]),
    emits=st.integers(0, 5),
    queue=st.sampled_from(["/queue/b", "/topic/b"]),
    seed=st.integers(0, 2**32),
)
@settings(max_examples=60, deadline=None)
def test_a_queue_with_one_writer_never_exceeds_its_capacity(
    concurrency, capacities, readers, rests, emits, queue, seed
):
    most = [0, 0, 0]

    async def main(simulation):
        async def rest(context):
            if rests == "always" or (rests == "sometimes" and simulation.randomness.uniform(0, 1) < 0.5):
                await trio.sleep(simulation.randomness.uniform(0, 0.1))
            return AdapterResult(emitted=range(emits)) if emits else AdapterResult.forward()

        async def slow(context):
            lines = [route_of(execution, name).inbound for name in "bcd"]
            most[:] = [max(before, line.waiting) for before, line in zip(most, lines, strict=True)]
            await trio.sleep(simulation.randomness.uniform(0, 1))

        registry = registry_of(rest=rest, slow=slow)
        config = load(
            registry,
            f"""
routes:
  a:
    inbound: {{concurrency: {concurrency}}}
    adapters: [{{type: rest}}]
    outbound: [{{queue: {queue}}}, {{route: d}}]
  b: {{inbound: {{queue: {queue}, capacity: {capacities[0]}, concurrency: {readers[0]}}}, adapters: [{{type: slow}}]}}
  c:
    inbound: {{queue: {queue.replace("queue", "topic")}, capacity: {capacities[1]}, concurrency: {readers[1]}}}
    adapters: [{{type: slow}}]
  d: {{inbound: {{capacity: {capacities[1]}, concurrency: {readers[1]}}}, adapters: [{{type: slow}}]}}
""",
        )
        with trio.fail_after(10_000):
            async with OrchestratorManager(registry=registry, seams=simulation.seams) as manager:
                execution = await manager.start(config)
                execution.pause("a")  # so that there is enough for long turns
                for number in range(40):
                    execution.publish_nowait("a", number)
                execution.resume("a")
                return await execution.complete()

    report = in_virtual_time(main, seed=seed)
    assert_counters_balance(report)
    assert report.routes["d"].completed + report.routes["d"].filtered == 40 * (emits or 1)
    bounds = (capacities[0], capacities[1], capacities[1])
    assert all(waited <= bound for waited, bound in zip(most, bounds, strict=True)), (most, bounds)


async def test_workers_that_wait_look_at_the_room_again_before_their_next_take(autojump_clock):
    """Each was given a turn as long as the queue had room, and each must see what the others put there meanwhile."""

    async def rest(context):
        await trio.sleep(1)
        return AdapterResult.forward()

    async def stuck(context):
        await trio.sleep(1000)
        return AdapterResult.forward()

    async with running(
        """
routes:
  a: {inbound: {concurrency: 3}, adapters: [{type: rest}], outbound: [{route: b}]}
  b: {inbound: {capacity: 7, concurrency: 1}, adapters: [{type: stuck}]}
""",
        adapters={"rest": rest, "stuck": stuck},
        seconds=100,
    ) as execution:
        publish_together(execution, a=range(40))
        await trio.sleep(50)
        routes = execution.statistics().routes
        assert (routes["b"].in_flight, routes["b"].waiting) == (1, 7)
        assert (routes["a"].in_flight, routes["a"].waiting) == (0, 32)
        await execution.cancel()
