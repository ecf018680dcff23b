"""Cancellation at every scheduler step of a reference pipeline: nothing lost, nothing booked twice, nobody left."""

from contextlib import nullcontext

import pytest
import trio

from factflow_engine.queues.memory import MemoryQueue
from factflow_engine.runtime.execution.manager import OrchestratorManager
from factflow_engine.testing import in_virtual_time
from factflow_protocols import AdapterResult, StatefulAdapter
from support.internals import routes_of, workers_of
from support.interrupts import CancelAtStep
from support.pipelines import assert_counters_balance, load, registry_of, running

PIPELINE = """
routes:
  a:
    inbound: {concurrency: 2}
    adapters: [{type: rest}]
    outbound: [{route: b}]
  b:
    inbound: {concurrency: 2, capacity: 2}
    adapters: [{type: rest}, STAGES]
    outbound: [{route: c}]
  c:
    inbound: {concurrency: 1, capacity: 2}
    adapters: [{type: count}, {type: blocking}]
"""
INPUTS = 4
CHILDREN = 3


class Count(StatefulAdapter):
    opened = 0

    async def open(self, stage):
        await trio.lowlevel.checkpoint()
        Count.opened += 1

    async def process(self, context):
        return AdapterResult.forward()

    async def finish(self):
        await trio.sleep(0.1)
        return AdapterResult(message="the end")

    async def close(self):
        await trio.sleep(0.1)
        Count.opened -= 1


async def rest(context):
    await trio.sleep(0.5)
    return AdapterResult.forward()


async def children_in_time():
    for number in range(CHILDREN):
        await trio.sleep(0.1)
        yield number


async def children_at_once():
    for number in range(CHILDREN):
        yield number


def children_in_scopes():
    for number in range(CHILDREN):
        with trio.CancelScope():
            yield number


SOURCES = {
    "in_time": children_in_time,
    "at_once": children_at_once,
    "in_scopes": children_in_scopes,
    "lazily": lambda: (number for number in range(CHILDREN)),
    "listed": lambda: [*range(CHILDREN)],
}


def emitting(source):
    async def emit(context):
        return AdapterResult(emitted=source())

    return emit


class KeepingQueue(MemoryQueue):
    """Keeps what an execution leaves behind, to be looked at."""

    def discard(self, prefix):
        self.left = getattr(self, "left", None) or {
            queue.rsplit(":", 1)[1]: [(frame.correlation_id, frame.message_id) for frame in line.frames()]
            for queue, [line] in self._channels.items()
        }
        super().discard(prefix)


done = []


def blocking(context):
    done.append((bytes.fromhex(context.correlation_id), bytes.fromhex(context.message_id)))
    return AdapterResult.forward()


SPREADING = {name: emitting(source) for name, source in SOURCES.items()}
REGISTRY = registry_of(rest=rest, count=Count, blocking=blocking, **SPREADING)
LAST = {name: f"{{type: {name}}}" for name in SOURCES}
IN_CHAIN = {f"{name}, then rest": f"{stage}, {{type: rest, name: again}}" for name, stage in LAST.items()}
CONFIGS = {name: load(REGISTRY, PIPELINE.replace("STAGES", stages)) for name, stages in (LAST | IN_CHAIN).items()}


def run_cancelled_at(step, how, config):
    """Run the pipeline and cancel it at a step.

    Returns:
        The report, what was left in the queues, the inputs' ids, and whether the run had ended before that step.
    """
    queue = KeepingQueue()
    done.clear()

    async def main(simulation):
        scope = trio.CancelScope()
        instrument = CancelAtStep(scope, step)
        roots = []

        async def cancel_when_told(execution):
            with scope:
                await trio.sleep_forever()
            await execution.cancel()

        async with trio.open_nursery() as nursery:
            with scope if how == "scope" else nullcontext():
                async with OrchestratorManager(registry=REGISTRY, seams=simulation.seams, queue=queue) as manager:
                    execution = await manager.start(config)
                    roots += [bytes.fromhex(execution.publish_nowait("a", number)) for number in range(INPUTS)]
                    if how == "cancel":
                        nursery.start_soon(cancel_when_told, execution)
                    trio.lowlevel.add_instrument(instrument)
                    await execution.complete()
            nursery.cancel_scope.cancel()
        trio.lowlevel.remove_instrument(instrument)
        assert not manager.executions
        routes = routes_of(execution)
        assert [route.carrier.busy for route in routes] == [0, 0, 0], "every permit is back"
        assert not any(route.drivers or route.children for route in routes)
        assert not workers_of(execution)
        return execution.report, roots, instrument.left > 0

    report, roots, ended_before = in_virtual_time(main, seed=step)
    assert Count.opened == 0, "what was opened is closed"
    return report, queue.left, roots, ended_before


def lost(left, roots):
    """Inputs that are neither waiting somewhere nor wholly arrived at the last route."""
    waiting = {root for queue in ("/queue/a", "/queue/b") for root, _ in left[queue]}
    arrived = {root: set() for root in roots}
    for root, message_id in [*left["/queue/c"], *done]:
        if root in arrived:
            arrived[root].add(message_id)
    return [root for root in roots if root not in waiting and len(arrived[root]) != CHILDREN]


@pytest.mark.parametrize(("how", "name"), [("cancel", "in_time, then rest"), *(("scope", name) for name in CONFIGS)])
def test_cancelled_at_every_step(how, name):
    statuses = set()
    for step in range(1, 5000):
        report, left, roots, ended_before = run_cancelled_at(step, how, CONFIGS[name])
        assert_counters_balance(report)
        assert lost(left, roots) == [], f"step {step}"
        assert [route.in_flight for route in report.routes.values()] == [0, 0, 0]
        a, b, _ = report.routes.values()
        assert a.completed + a.waiting == INPUTS, f"step {step}: an input is acknowledged twice, or never"
        assert a.emitted == a.completed, "acknowledged means accepted by the next queue"
        assert b.received - b.emitted + b.waiting == a.emitted
        statuses.add(report.status.value)
        if ended_before:
            break
    assert ended_before
    assert step > 50
    assert report.status == "completed"
    assert len(set(done)) == INPUTS * CHILDREN + 1
    assert statuses == {"completed", "cancelled"}


@pytest.mark.parametrize("grace", [-1, float("nan"), None, "5"])
async def test_a_wrong_grace_is_the_callers_error_and_ends_nothing(grace):
    async with running("routes: {r: {adapters: [{type: forward}]}}") as execution:
        with pytest.raises((ValueError, TypeError)):
            await execution.cancel(grace)
        await execution.publish("r", 1)
        report = await execution.complete()
    assert report.routes["r"].completed == 1
