"""Random pipelines under random faults, against an oracle that knows where every message must be in the end.

What is at the outbounds, together with what the dead letters would have led to, must be what all inputs lead to: nothing
lost, nothing spurious, nothing changed.
"""

import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from factflow_engine.runtime.manager import OrchestratorManager
from factflow_engine.testing import simulate
from support.faulty import adapters, as_yaml, assert_all_is_where_it_must_be, collect, faulty_pipelines
from support.pipelines import assert_books_balance, load, registry_of


@given(faulty_pipelines(), st.integers(1, 15), st.integers(0, 2**32))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_whatever_fails_every_message_is_where_it_must_be(routes, inputs, seed):
    out, dead = [], []

    async def main(simulation):
        registry = registry_of(**adapters(simulation.randomness))
        config = load(registry, as_yaml(routes))

        async def watch(execution):
            while True:
                assert_books_balance(execution.statistics())
                await trio.sleep(0.07)

        with trio.fail_after(100_000):
            async with (
                OrchestratorManager(registry=registry, seams=simulation.seams) as manager,
                trio.open_nursery() as nursery,
            ):
                execution = await manager.start(config)
                async with execution.subscribe("/queue/out") as outs, execution.subscribe("/queue/dead") as letters:
                    nursery.start_soon(collect, outs, out)
                    nursery.start_soon(collect, letters, dead)
                    nursery.start_soon(watch, execution)
                    for number in range(inputs):
                        await execution.publish("r0", {"id": number, "trail": [], "key": f"k{number % 3}"})
                    report = await execution.wait()
                    nursery.cancel_scope.cancel()
        return report

    report = simulate(main, seed=seed)
    assert report.status == "completed"
    assert_books_balance(report)
    for route in report.routes.values():
        assert route.waiting == route.in_flight == route.retrying == route.failed == 0
    assert_all_is_where_it_must_be(routes, inputs, out, dead)
    assert report.outcomes["dead_lettered"] == len(dead)
