"""Cancellation at every scheduler step of a pipeline that stores: old or new, never a message that went on without its object."""

from contextlib import nullcontext

import pytest
import trio

from factflow_engine.frames import unpack
from factflow_engine.queues.memory import MemoryQueue
from factflow_engine.runtime.execution.manager import OrchestratorManager
from factflow_engine.stages.keys import parse_key
from factflow_engine.testing import in_virtual_time
from factflow_protocols import AdapterResult
from support.internals import routes_of, workers_of
from support.interrupts import CancelAtStep
from support.object_stores import FakeStore
from support.pipelines import assert_counters_balance, load, registry_of

PIPELINE = """
routes:
  a:
    inbound: {concurrency: 2}
    adapters: [{type: emit, store: true}, {type: rest, store: {what: input}}]
    outbound: [{route: b}]
  b:
    adapters: [{type: store_object}]
    outbound: [{route: c}]
  c: {adapters: [{type: note}]}
"""
INPUTS = 3
CHILDREN = 3


async def emit(context):
    async def children():
        for number in range(CHILDREN):
            await trio.sleep(0.1)
            yield [context.message, number]

    return AdapterResult(emitted=children())


async def rest(context):
    await trio.sleep(0.1)
    return AdapterResult.forward()


arrived = []


def note(context):
    arrived.append(context.message["key"])
    return AdapterResult.forward()


REGISTRY = registry_of(emit=emit, rest=rest, note=note)
CONFIG = load(REGISTRY, PIPELINE)


class KeepingQueue(MemoryQueue):
    """Keeps what waits for the last two routes when an execution ends."""

    left: dict[str, list[object]]

    def discard(self, prefix):
        if not hasattr(self, "left"):
            self.left = {
                queue.rsplit(":", 1)[1]: [frame.value() for frame in line.frames()]
                for queue, [line] in self._channels.items()
            }
        super().discard(prefix)


def run_cancelled_at(step, how):
    """Run the pipeline and cancel it at a step; return the report, the store, the queue, and whether it had ended before."""
    queue, store = KeepingQueue(), FakeStore(seconds=0.05)
    arrived.clear()

    async def main(simulation):
        scope = trio.CancelScope()
        instrument = CancelAtStep(scope, step)

        async def cancel_when_told(execution):
            with scope:
                await trio.sleep_forever()
            await execution.cancel()

        async with trio.open_nursery() as nursery:
            with scope if how == "scope" else nullcontext():
                manager = OrchestratorManager(registry=REGISTRY, seams=simulation.seams, queue=queue, storage=store)
                async with manager:
                    execution = await manager.start(CONFIG, execution_id="x")
                    for number in range(INPUTS):
                        execution.publish_nowait("a", number)
                    if how == "cancel":
                        nursery.start_soon(cancel_when_told, execution)
                    trio.lowlevel.add_instrument(instrument)
                    await execution.complete()
            nursery.cancel_scope.cancel()
        trio.lowlevel.remove_instrument(instrument)
        assert [route.carrier.busy for route in routes_of(execution)] == [0, 0, 0], "every permit is back"
        assert not workers_of(execution)
        return execution.report, instrument.left > 0

    report, ended_before = in_virtual_time(main, seed=7)
    return report, store, queue.left, ended_before


def by_stage(store):
    stages = {}
    for key, data in store.data().items():
        parts = parse_key(key)
        stages.setdefault((parts.route, parts.stage), {})[parts.message_id] = data
    return stages


@pytest.mark.parametrize("how", ["scope", "cancel"])
def test_cancelled_at_every_step(how):
    _, whole, _, _ = run_cancelled_at(1_000_000, how)
    assert {place: len(found) for place, found in by_stage(whole).items()} == {
        ("a", "emit"): INPUTS * CHILDREN,
        ("a", "rest"): INPUTS * CHILDREN,
        ("b", "store_object"): INPUTS * CHILDREN,
    }
    statuses = set()
    for step in range(1, 5000):
        report, store, left, ended_before = run_cancelled_at(step, how)
        assert_counters_balance(report)
        assert store.now == 0, "no write outlives its message"
        assert store.data().items() <= whole.data().items(), f"step {step}: an object of no undisturbed run"
        stages = by_stage(store)
        emitted = stages.get(("a", "emit"), {})
        assert stages.get(("a", "rest"), {}).items() <= emitted.items()
        went_on = {tuple(value) for value in left["/queue/b"]}
        went_on |= {tuple(unpack(data)) for data in stages.get(("b", "store_object"), {}).values()}
        assert went_on <= {tuple(unpack(data)) for data in emitted.values()}, f"step {step}: went on without its object"
        keys = {*arrived, *(value["key"] for value in left["/queue/c"])}
        assert keys <= store.data().keys(), f"step {step}: a reference to nothing"
        statuses.add(report.status.value)
        if ended_before:
            break
    assert ended_before
    assert step > 50
    assert store.data() == whole.data()
    assert statuses == {"completed", "cancelled"}
