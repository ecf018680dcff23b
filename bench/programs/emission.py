"""One message whose stage emits many, lazily, through three routes; says the process's peak of memory."""

import json
import resource
import sys
import time

import trio

from bench import pipelines
from factflow_engine import AdapterResult, OrchestratorManager, Outcome, PipelineAdapter, PipelineContext


class Emit(PipelineAdapter):
    async def process(self, context: PipelineContext) -> AdapterResult:
        return AdapterResult(emitted=({"kind": "order", "id": number} for number in range(context.message["count"])))


async def main(count: int) -> None:
    known = pipelines.registry(emit=Emit)
    config = pipelines.load(pipelines.linear("pass", capacity=100).replace("{type: pass", "{type: emit", 1), known)
    async with OrchestratorManager(registry=known) as manager:
        execution = await manager.start(config)
        started = time.process_time()
        await execution.publish("r0", {"kind": "order", "count": count})
        report = await execution.wait()
    if report.routes["r2"].outcomes[Outcome.COMPLETED] != count:
        raise RuntimeError(f"of {count} messages not all arrived: {report}")
    took = time.process_time() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"peak": peak, "hop": took / count / 3 * 1e6}))


trio.run(main, int(sys.argv[1]))
