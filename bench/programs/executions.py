"""Many executions of five routes in one process: memory of an idle one, and the cost of a burst through all of them."""

import json
import sys
import time

import trio

from bench import pipelines
from bench.programs.memory import resident
from bench.workloads.messages import orders
from factflow_engine import OrchestratorManager, PipelineOrchestrator

ROUTES = 5


async def burst(executions: list[PipelineOrchestrator], count: int) -> float:
    """Microseconds of CPU a hop."""
    share = orders(max(1, count // len(executions)))
    started = time.process_time()

    async def feed(execution: PipelineOrchestrator) -> None:
        for start in range(0, len(share), pipelines.BATCH):
            await execution.publish_batch("r0", share[start : start + pipelines.BATCH])
        pipelines.all_ended(await execution.complete(), len(share), hops=ROUTES)

    async with trio.open_nursery() as nursery:
        for execution in executions:
            nursery.start_soon(feed, execution)
    return (time.process_time() - started) / (len(share) * len(executions) * ROUTES) * 1e6


async def main(number: int, count: int) -> None:
    known = pipelines.registry()
    config = pipelines.load(pipelines.linear("pass", capacity=100, routes=ROUTES), known)
    async with OrchestratorManager(registry=known, max_concurrent_executions=number) as manager:
        await burst([await manager.start(config)], count // 10)  # warm: what only the first one costs is not counted
        one = await burst([await manager.start(config)], count)
        before = resident()
        executions = [await manager.start(config) for _ in range(number)]
        await trio.sleep(0.05)
        each = (resident() - before) / number
        everyone = await burst(executions, count)
    print(json.dumps({"each": each, "one": one, "all": everyone}))


trio.run(main, int(sys.argv[1]), int(sys.argv[2]))
