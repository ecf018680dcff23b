"""One message whose stage emits many through three routes, lazily or as a list; says the process's peak of memory."""

import json
import sys
import time

import trio

from bench import pipelines
from bench.programs.memory import peak
from factflow_engine import AdapterResult, OrchestratorManager, Outcome, PipelineAdapter, PipelineContext


class Emit(PipelineAdapter):
    async def process(self, context: PipelineContext) -> AdapterResult:
        elements = ({"kind": "order", "id": number} for number in range(context.message["count"]))
        return AdapterResult(emitted=list(elements) if context.message["as_list"] else elements)


async def main(how: str, count: int) -> None:
    known = pipelines.registry(emit=Emit)
    config = pipelines.load(pipelines.linear("pass", capacity=100).replace("{type: pass", "{type: emit", 1), known)
    async with OrchestratorManager(registry=known) as manager:
        execution = await manager.start(config)
        started = time.process_time()
        await execution.publish("r0", {"kind": "order", "count": count, "as_list": how == "list"})
        report = await execution.complete()
    if report.routes["r2"].outcomes[Outcome.COMPLETED] != count:
        raise RuntimeError(f"of {count} messages not all arrived: {report}")
    took = time.process_time() - started
    print(json.dumps({"peak": peak(), "hop": took / count / 3 * 1e6}))


trio.run(main, sys.argv[1], int(sys.argv[2]))
