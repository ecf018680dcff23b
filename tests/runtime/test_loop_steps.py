"""What a message costs in steps of trio's scheduler: none of its own, and nobody is woken who has nothing to do.

The clock stands still in all of these: no quantum ends, so a worker has no other reason to stop than the one under test.
"""

from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing

from factflow_engine.testing import Simulation
from factflow_protocols import AdapterResult
from support.pipelines import running

ROUTES = 4
POOL = "routes:\n" + "".join(
    f"  r{number}: {{inbound: {{concurrency: 1}}, adapters: [{{type: stage}}], outbound: [{{route: next{number}}}]}}\n"
    f"  next{number}: {{inbound: {{concurrency: 1}}, adapters: [{{type: forward}}]}}\n"
    for number in range(ROUTES)
)


class Steps(trio.abc.Instrument):
    """Counts the times that trio ran a worker."""

    def __init__(self):
        self.number = 0

    def before_task_step(self, task):
        if "_run_worker" in task.name:
            self.number += 1

    def __enter__(self):
        self.number = 0
        trio.lowlevel.add_instrument(self)
        return self

    def __exit__(self, *_):
        trio.lowlevel.remove_instrument(self)


@asynccontextmanager
async def warm():
    """An execution with a worker for each of its routes, all parked: there are many to wake."""
    gate = trio.Event()

    async def stage(context):
        if context.message == "wait":
            await gate.wait()
        return AdapterResult.forward()

    async with running(POOL, adapters={"stage": stage}, seams=Simulation(1).seams) as execution:
        for number in range(ROUTES):
            execution.publish_nowait(f"r{number}", "wait")
        await trio.testing.wait_all_tasks_blocked()
        gate.set()
        await trio.testing.wait_all_tasks_blocked()
        assert len(execution._loop._parked) >= ROUTES
        yield execution
        report = await execution.wait()
    assert {route.waiting for route in report.routes.values()} == {0}


async def test_a_message_wakes_one_worker_for_all_its_hops(mock_clock):
    async with warm() as execution:
        with Steps() as steps:
            for _ in range(20):
                execution.publish_nowait("r0", "go")
                await trio.testing.wait_all_tasks_blocked()
        assert steps.number == 20
        assert execution.statistics().routes["next0"].completed == 21


async def test_arrivals_at_many_routes_at_once_wake_one_worker(mock_clock):
    async with warm() as execution:
        with Steps() as steps:
            for _ in range(20):
                for number in range(ROUTES):
                    execution.publish_nowait(f"r{number}", "go")
                await trio.testing.wait_all_tasks_blocked()
        assert steps.number == 20


async def headers(context):
    return AdapterResult(message=1, headers={"seen": True})


async def fails(context):
    raise ValueError("no")


async def emits(context):
    return AdapterResult(emitted=[1])


def awaitable():
    class Ready:
        def __await__(self):
            return AdapterResult.forward()
            yield

    async def given(context):
        return await Ready()

    return given


@pytest.mark.parametrize("stage", [headers, fails, emits, awaitable()], ids=["headers", "fails", "emits", "awaits"])
async def test_what_an_adapter_says_costs_no_step_whatever_it_is(stage, mock_clock):
    """If something were awaited between its answer and the end of the message, each would take a step at least."""
    async with running(
        "routes: {a: {adapters: [{type: stage}], outbound: [{route: b}]}, b: {adapters: [{type: forward}]}}",
        adapters={"stage": stage},
        seams=Simulation(1).seams,
    ) as execution:
        await execution.publish("a", 0)
        await trio.testing.wait_all_tasks_blocked()
        execution.pause()
        for number in range(200):
            execution.publish_nowait("a", number)
        with Steps() as steps:
            execution.resume()
            await execution.wait()
        assert steps.number <= 10
