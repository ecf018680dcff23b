"""Branches that are stuck cost the others nothing: counted in scheduler steps and in virtual time."""

import pytest
import trio
import trio.testing

from factflow_engine.runtime.execution.manager import OrchestratorManager
from factflow_protocols import AdapterResult
from support.floods import EngineSteps, Gate, WorkClock, flood
from support.pipelines import load, registry_of, running

BRANCHES = 6
KEPT = 0.95
stuck_counts = pytest.mark.parametrize("stuck", [1, 3, 5])


def branches(work, *, stages=""):
    """Branches `b0`, `b1` ...; each leads to a sink of its own with little room."""
    lines = ["routes:"]
    for number in range(BRANCHES):
        lines += [
            (
                f"  b{number}: {{inbound: {{concurrency: 4, capacity: 10}}, adapters: [{stages}{{type: {work}}}], "
                f"outbound: [{{route: s{number}}}]}}"
            ),
            f"  s{number}: {{inbound: {{concurrency: 4, capacity: 10}}, adapters: [{{type: gated}}]}}",
        ]
    return "\n".join(lines)


def gated(gate, stuck):
    """An adapter that holds everything of the first so many branches."""

    class Gated(gate.adapter()):
        async def process(self, context):
            if int(context.route[1:]) < stuck:
                return await super().process(context)
            return None

    return Gated


async def completed_in(seconds, stuck):
    gate = Gate()

    async def rest(context):
        await trio.sleep(0.01)
        return AdapterResult.forward()

    async with running(
        branches("rest"), adapters={"rest": rest, "gated": gated(gate, stuck)}, seconds=10_000
    ) as execution:
        async with trio.open_nursery() as nursery:
            for number in range(BRANCHES):
                nursery.start_soon(flood, execution, f"b{number}", 10**9, [])
            await trio.sleep(seconds)
            routes = execution.statistics().routes
            nursery.cancel_scope.cancel()
        for number in range(stuck):
            assert (routes[f"s{number}"].in_flight, routes[f"s{number}"].waiting) == (4, 10), "it is stuck indeed"
        await execution.cancel()
    return [routes[f"s{number}"].filtered for number in range(BRANCHES)]


@stuck_counts
async def test_the_others_keep_their_throughput_in_virtual_time(stuck, autojump_clock):
    undisturbed = await completed_in(2, 0)
    disturbed = await completed_in(2, stuck)
    assert min(undisturbed) > 700
    for number in range(stuck, BRANCHES):
        assert disturbed[number] >= KEPT * undisturbed[number]


async def steps_for(messages, stuck):
    """How many scheduler steps the branches that are not stuck need for so many messages each."""
    gate = Gate()
    async with running(
        branches("forward"), adapters={"gated": gated(gate, stuck)}, seams=WorkClock().seams
    ) as execution:
        for number in range(stuck):
            for value in range(4 + 10 + 10):
                await execution.publish(f"b{number}", value)
        await trio.testing.wait_all_tasks_blocked()
        assert gate.held == 4 * stuck
        with EngineSteps() as engine:
            for _ in range(messages // 10):
                for number in range(stuck, BRANCHES):
                    for value in range(10):
                        execution.publish_nowait(f"b{number}", value)
                await trio.testing.wait_all_tasks_blocked()
        routes = execution.statistics().routes
        gate.open()
        await execution.complete()
    assert all(routes[f"s{number}"].filtered == messages for number in range(stuck, BRANCHES))
    return engine.steps


@stuck_counts
async def test_the_others_need_no_more_scheduler_steps(stuck):
    undisturbed = await steps_for(300, 0)
    assert await steps_for(300, stuck) <= undisturbed / KEPT


async def test_a_stuck_execution_costs_its_neighbours_nothing(autojump_clock):
    """Several executions of one manager, one of them with every permit held and every queue full."""

    async def completed(stuck):
        gate = Gate()

        async def rest(context):
            await trio.sleep(0.01)

        registry = registry_of(held=gate.adapter(), rest=rest)
        text = "routes: {r: {inbound: {concurrency: 4, capacity: 10}, adapters: [{type: KIND}]}}"
        async with OrchestratorManager(registry=registry) as manager:
            free = await manager.start(load(registry, text.replace("KIND", "rest")))
            others = [await manager.start(load(registry, text.replace("KIND", "held"))) for _ in range(stuck)]
            async with trio.open_nursery() as nursery:
                for execution in (free, *others):
                    nursery.start_soon(flood, execution, "r", 10**9, [])
                await trio.sleep(2)
                count = free.statistics().routes["r"].filtered
                nursery.cancel_scope.cancel()
            assert gate.held == 4 * stuck
            for execution in (free, *others):
                await execution.cancel()
        return count

    undisturbed = await completed(0)
    assert undisturbed > 700
    assert await completed(5) >= KEPT * undisturbed


async def test_a_branch_of_a_fan_out_that_is_stuck_holds_up_the_others_only_when_its_queue_is_full():
    gate = Gate()
    lines = ["routes:", "  hub: {adapters: [{type: forward}], outbound: [{route: s0}, {route: s1}, {route: s2}]}"]
    lines += [
        f"  s{number}: {{inbound: {{concurrency: 2, capacity: 100}}, adapters: [{{type: gated}}]}}"
        for number in range(3)
    ]
    async with running("\n".join(lines), adapters={"gated": gated(gate, 1)}) as execution:
        for number in range(200):
            execution.publish_nowait("hub", number)
        await trio.testing.wait_all_tasks_blocked()
        routes = execution.statistics().routes
        assert (routes["s0"].in_flight, routes["s0"].waiting) == (2, 100)
        assert routes["s1"].filtered == routes["s2"].filtered == 102, "bounded: as far as the full queue allows"
        gate.open()
        report = await execution.complete()
    assert [report.routes[f"s{number}"].outcomes["filtered"] for number in (1, 2)] == [200, 200]
