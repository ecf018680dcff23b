"""Random pipelines under random faults, against an oracle that knows where every message must be in the end.

What is at the outbounds, together with what the dead letters would have led to, must be what all inputs lead to: nothing
lost, nothing spurious, nothing changed.
"""

import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from factflow_engine.runtime.execution.manager import OrchestratorManager
from factflow_engine.testing import in_virtual_time
from support.faulty import adapters, as_yaml, assert_all_is_where_it_must_be, collect, faulty_pipelines, headers_of
from support.pipelines import assert_counters_balance, assert_nothing_is_left, load, registry_of

INPUTS = (faulty_pipelines(), st.integers(1, 15), st.integers(0, 2**32))


class BooksAtEveryStep(trio.abc.Instrument):
    """Looks at the counters each time a task has had its turn."""

    def __init__(self, execution):
        self.execution = execution
        self.looks = 0

    def after_task_step(self, task):
        self.looks += 1
        assert_counters_balance(self.execution.statistics())


@given(*INPUTS)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_whatever_fails_every_message_is_where_it_must_be(routes, inputs, seed):
    check(routes, inputs, seed)


@pytest.mark.slow
@given(*INPUTS)
@settings(max_examples=5000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_whatever_fails_every_message_is_where_it_must_be_thousands_of_times(routes, inputs, seed):
    check(routes, inputs, seed)


def check(routes, inputs, seed):
    out, dead = [], []

    async def main(simulation):
        registry = registry_of(**adapters(simulation.randomness))
        config = load(registry, as_yaml(routes))
        with trio.fail_after(100_000):
            async with (
                OrchestratorManager(registry=registry, seams=simulation.seams) as manager,
                trio.open_nursery() as nursery,
            ):
                execution = await manager.start(config)
                counters = BooksAtEveryStep(execution)
                trio.lowlevel.add_instrument(counters)
                async with execution.subscribe("/queue/out") as outs, execution.subscribe("/queue/dead") as letters:
                    nursery.start_soon(collect, outs, out)
                    nursery.start_soon(collect, letters, dead)
                    for number in range(inputs):
                        message = {"id": number, "trail": [], "key": f"k{number % 3}"}
                        await execution.publish("r0", message, headers=headers_of(number))
                    report = await execution.complete()
                    nursery.cancel_scope.cancel()
                # An instrument that raises is taken out by trio, and its error is logged only.
                trio.lowlevel.remove_instrument(counters)
                assert counters.looks > inputs
        return report

    report = in_virtual_time(main, seed=seed)
    assert_nothing_is_left(report)
    assert_all_is_where_it_must_be(routes, inputs, out, dead)
    assert report.outcomes["dead_lettered"] == len(dead)
