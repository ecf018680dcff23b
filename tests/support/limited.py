"""Pipelines with limits under virtual time: routes, floods and adapters that take their time."""

import trio

from factflow_engine.runtime.execution.manager import OrchestratorManager
from factflow_engine.testing import in_virtual_time
from factflow_protocols import AdapterResult
from support.pipelines import load, registry_of


def simulated(text, adapters, publish, *, seed=1, look=None, until=None, **options):
    """Run a pipeline under virtual time; return its last statistics and its report."""

    async def main(simulation):
        registry = registry_of(**adapters)
        async with OrchestratorManager(registry=registry, seams=simulation.seams) as manager:
            execution = await manager.start(load(registry, text))
            for route, payload in publish:
                execution.publish_nowait(route, payload)
            if look is not None:
                await look(execution)
            if until is not None:
                await trio.sleep(until)
                await execution.cancel(grace=0)
            report = await execution.complete() if until is None else await execution.wait_ended()
            return execution.statistics(), report

    return in_virtual_time(main, seed=seed, **options)


def route(backpressure, *, concurrency=100, stage="{type: work}", more=""):
    return f"""
routes:
  r:
    inbound: {{concurrency: {concurrency}, capacity: 10000}}
    adapters: [{stage}]
    backpressure: {{{backpressure}}}
    {more}
"""


async def work(context):
    await trio.sleep(0.05)
    return AdapterResult.forward()


def flood(count=200, name="r"):
    return [(name, {"n": number}) for number in range(count)]
