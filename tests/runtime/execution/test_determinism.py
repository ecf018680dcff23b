"""Under a virtual clock and a seed, a run is a function of its inputs: the demo's shape, twice, with the same trace."""

import trio

from factflow_engine.runtime.execution.manager import OrchestratorManager
from factflow_engine.testing import in_virtual_time
from factflow_protocols import AdapterResult, StatefulAdapter
from support.pipelines import load, registry_of

PIPELINE = """
name: index
routes:
  files:
    adapters: [{type: walk}]
    outbound:
      - {route: parse, condition: {all_of: [{field: suffix, operator: eq, value: .py}, {field: size, operator: lt, value: 90}]}}
  parse:
    inbound: {concurrency: 4, capacity: 5}
    adapters: [{type: parse}]
    outbound:
      - {route: classes, condition: {field: kind, operator: eq, value: class}}
      - {route: functions}
    outbound_mode: first
  classes: {inbound: {concurrency: 2}, adapters: [{type: fetch}, {type: index}]}
  functions: {adapters: [{type: fetch}, {type: index}]}
init_message: {route: files, payload: {files: 60}}
"""


def trace_of(seed):
    trace = []

    def note(context, what):
        trace.append((round(trio.current_time(), 9), context.route, context.stage, context.message_id, what))

    class Index(StatefulAdapter):
        async def process(self, context):
            note(context, "indexed")
            return AdapterResult.forward()

    async def walk(context):
        return AdapterResult(
            emitted=({"suffix": ".py" if n % 5 else ".txt", "size": n} for n in range(context.message["files"]))
        )

    def parse(context):
        note(context, "parsed")
        size = context.message["size"]
        if size % 7 == 0:
            raise SyntaxError(f"bad file of size {size}")
        return AdapterResult(emitted=[{"kind": kind, "size": size} for kind in ("class", "function", "function")])

    async def main(simulation):
        async def fetch(context):
            await trio.sleep(simulation.randomness.uniform(0, 0.2))
            note(context, "fetched")
            return AdapterResult.forward()

        registry = registry_of(walk=walk, parse=parse, fetch=fetch, index=Index)
        async with OrchestratorManager(registry=registry, seams=simulation.seams) as manager:
            execution = await manager.start(load(registry, PIPELINE))
            return await execution.complete()

    report = in_virtual_time(main, seed=seed)
    return trace, report


def test_one_seed_gives_one_trace_and_another_seed_another():
    trace, report = trace_of(7)
    again, report_again = trace_of(7)
    assert trace == again
    assert report == report_again
    assert len(trace) > 100
    assert report.outcomes["failed"] > 0
    other, _ = trace_of(8)
    assert [entry[:3] for entry in other] != [entry[:3] for entry in trace]
