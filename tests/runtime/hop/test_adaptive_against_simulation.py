"""A route against a simulated server finds the limits that its algorithm finds alone: the runtime adds nothing.

Ties of one instant may be decided otherwise (trio shuffles tasks), so that limits are compared over time.
"""

from functools import partial
from statistics import mean, median

import pytest
import trio

from factflow_engine import BackpressureController
from factflow_engine.runtime.execution.manager import OrchestratorManager
from factflow_engine.testing import in_virtual_time
from factflow_protocols import AdapterResult, Overloaded
from support.limited_servers import MS, SECOND, FifoServer, bare, in_trio
from support.pipelines import load, registry_of

SCENARIOS = {
    "steady": ([(0, 8)], 50 * MS, None, 100, 15, [(0, 15, 8)]),
    "cap_step": (
        [(0, 12), (10 * SECOND, 3), (20 * SECOND, 12)],
        50 * MS,
        None,
        100,
        30,
        [(0, 10, 12), (10, 20, 3), (20, 30, 12)],
    ),
    "reject": ([(0, 100)], 100 * MS, 12, 200, 20, [(0, 20, 12)]),
}
"""Workers, service time, refusal, target in milliseconds, seconds, and the best limits: from, to, limit."""

REFUSED_NS = 5 * MS
EVERY_NS = SECOND // 4


def through_the_runtime(make, target_ms, seconds, seed):
    text = f"""
routes:
  r:
    inbound: {{concurrency: 100, capacity: 100000}}
    adapters: [{{type: work}}]
    backpressure: {{algorithm: adaptive, target_latency_ms: {target_ms}, max_concurrency: 100}}
"""

    async def main(simulation):
        seen = []
        async with in_trio(make) as call:

            async def work(context):
                if not await call():
                    await trio.sleep(REFUSED_NS / 1e9)
                    raise Overloaded
                return AdapterResult.forward()

            async with OrchestratorManager(registry=registry_of(work=work), seams=simulation.seams) as manager:
                execution = await manager.start(load(registry_of(work=work), text))
                for number in range(20 * seconds * 20):
                    execution.publish_nowait("r", number)
                for _ in range(round(seconds * SECOND / EVERY_NS)):
                    await trio.sleep(EVERY_NS / 1e9)
                    seen.append(execution.statistics().limits["r"].limit)
                await execution.cancel(grace=0)
        return seen

    return in_virtual_time(main, seed=seed)


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_route_finds_the_limits_of_the_bare_algorithm(name):
    workers, service_ns, refuses_above, target_ms, seconds, phases = SCENARIOS[name]
    make = partial(FifoServer, workers, service_ns=service_ns, refuses_above=refuses_above)
    alone = []
    for seed in range(4):
        controller = BackpressureController(target_latency_ms=target_ms, max_concurrency=100, seed=seed)
        alone.append(bare(controller, make, until_ns=seconds * SECOND, every_ns=EVERY_NS, refused_ns=REFUSED_NS))
    within = through_the_runtime(make, target_ms, seconds, seed=1)
    for begin, end, best in phases:
        later = slice(round((begin + (end - begin) / 2) * 4), end * 4)  # after it has converged
        for average in (median, mean):
            usual = [average(limits[later]) for limits in alone]
            found = average(within[later])
            assert min(usual) * 0.85 - 1 <= found <= max(usual) * 1.15 + 1, (name, begin, found, usual)
        assert median(within[later]) <= best * 2
