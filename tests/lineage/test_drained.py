"""Rows that a simulated run drains: all of them, in the order in which they were written, and none is kept from the sink."""

from dataclasses import replace

import pytest
import trio

from factflow_engine.frames import unpack
from factflow_engine.runtime.execution.manager import OrchestratorManager
from factflow_engine.testing import in_virtual_time
from factflow_protocols import AdapterResult, LineageEntry, OutcomeEntry
from support.pipelines import load, registry_of

TEXT = """
lineage: {mode: sampled, sample_rate: 0.01}
routes:
  a:
    adapters: [{type: work}, {type: odd, condition: {field: n, operator: gt, value: 5}}]
    outbound: [{route: b}]
  b: {adapters: [{type: work}]}
"""


class Sink:
    def __init__(self):
        self.rows = []

    async def write(self, entries, outcomes):
        self.rows += [*entries, *outcomes]

    async def close(self):
        pass


class Hooks:
    hashes_payloads = False

    def __init__(self):
        self.drained = []

    def breaker(self, name, subscribe):
        pass

    def rows(self, execution_id, drain):
        self.drain = drain

    def take(self):
        for ahead_ns, parts in self.drain():
            self.drained += [(ahead_ns, row) for part in parts for row in unpack(part)]


def named(row):
    return LineageEntry._make(row) if len(row) == len(LineageEntry._fields) else OutcomeEntry._make(row)


@pytest.mark.parametrize("every", [0.05, 0.3, 100])
def test_what_is_drained_is_what_the_sink_gets_whoever_takes_it_first(every):
    sink, hooks = Sink(), Hooks()

    async def work(context):
        await trio.sleep(0.1)
        return AdapterResult.forward()

    async def odd(context):
        if context.message["n"] % 2:
            raise ValueError("odd")
        return AdapterResult.forward()

    async def main(simulation):
        registry = registry_of(work=work, odd=odd)
        async with trio.open_nursery() as nursery:

            async def look():
                while True:
                    await trio.sleep(every)
                    hooks.take()

            nursery.start_soon(look)
            seams = replace(simulation.seams, hooks=hooks)
            async with OrchestratorManager(registry=registry, lineage=sink, seams=seams) as manager:
                execution = await manager.start(load(registry, TEXT))
                await execution.publish_batch("a", [{"n": n} for n in range(20)])
                report = await execution.complete()
            nursery.cancel_scope.cancel()
        return report

    report = in_virtual_time(main, seed=1)
    hooks.take()
    rows = [named(row) for _, row in hooks.drained]
    assert sorted(rows, key=repr) == sorted(sink.rows, key=repr)
    assert report.lineage.written == len(rows) == report.lineage.recorded
    rows = [row for row in rows if getattr(row, "status", "") != "pending"]
    assert len(rows) == 20 * 2 + 20 + 2 * (20 - 7)
    times = [row.started_ns + row.duration_ns if isinstance(row, LineageEntry) else row.ended_ns for row in rows]
    assert times == sorted(times)
