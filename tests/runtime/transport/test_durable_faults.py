"""Random pipelines under random faults on a queue that outlives them: executions die, are cancelled, drained, and go on.

The oracle is that of executions in memory: what is at the outbounds, and what the dead letters would have led to, is what
the inputs lead to. Here a message may come twice; then it has the same id.
"""

import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from factflow_engine.queues.memory import MemoryQueue
from factflow_engine.runtime.execution.manager import OrchestratorManager
from factflow_engine.testing import in_virtual_time
from support.elsewhere import Connection, TransactionalConnection
from support.faulty import (
    adapters,
    as_yaml,
    assert_all_is_where_it_must_be,
    collecting,
    faulty_pipelines,
    headers_of,
)
from support.pipelines import assert_nothing_is_left, load, registry_of

ENDS = ["killed", "cancelled", "abandoned", "drained"]


async def end(how, execution, connection, scope):
    if how == "killed":
        connection.cut()
        scope.cancel()
    elif how == "abandoned":
        scope.cancel()
    elif how == "cancelled":
        await execution.cancel()
    else:
        await execution.drain(1.0)


INPUTS = (
    faulty_pipelines(),
    st.lists(st.tuples(st.sampled_from(ENDS), st.floats(0, 3)), max_size=4),
    st.integers(1, 12),
    st.integers(0, 2**32),
    st.sampled_from([Connection, TransactionalConnection]),
)


@given(*INPUTS)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_what_an_execution_leaves_the_next_one_finishes(routes, lives, inputs, seed, kind):
    check(routes, lives, inputs, seed, kind)


@pytest.mark.slow
@given(*INPUTS)
@settings(max_examples=3000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_what_thousands_of_executions_leave_the_next_ones_finish(routes, lives, inputs, seed, kind):
    check(routes, lives, inputs, seed, kind)


def check(routes, lives, inputs, seed, kind):
    out, dead, accepted = [], [], []

    async def main(simulation):
        registry = registry_of(**adapters(simulation.randomness))
        config = load(registry, as_yaml(routes))
        store = MemoryQueue()

        def connected(store):
            pace = {}  # some queues are slow: what is published to them is long on its way
            return kind(
                store,
                publish_seconds=lambda queue: pace.setdefault(queue, simulation.randomness.uniform(0, 1) ** 4),
            )

        async def publish(execution):
            while len(accepted) < inputs:
                number = len(accepted)
                message = {"id": number, "trail": [], "key": f"k{number % 3}"}
                await execution.publish("r0", message, headers=headers_of(number))
                accepted.append(number)

        async def live(how, seconds):
            connection = connected(store)
            with trio.CancelScope() as scope:
                async with OrchestratorManager(registry=registry, seams=simulation.seams, queue=connection) as manager:
                    execution = await manager.start(config, execution_id="x")
                    async with trio.open_nursery() as nursery:
                        nursery.start_soon(publish, execution)
                        await trio.sleep(seconds)
                        nursery.cancel_scope.cancel()  # who publishes dies with it
                    await end(how, execution, connection, scope)

        with trio.fail_after(1000):
            async with collecting(store, out, dead):
                for how, seconds in lives:
                    await live(how, seconds)
                async with OrchestratorManager(
                    registry=registry, seams=simulation.seams, queue=connected(store)
                ) as manager:
                    execution = await manager.start(config, execution_id="x")
                    await publish(execution)
                    report = await execution.complete()
        return report

    report = in_virtual_time(main, seed=seed)
    assert_nothing_is_left(report)
    assert_all_is_where_it_must_be(routes, inputs, out, dead)
