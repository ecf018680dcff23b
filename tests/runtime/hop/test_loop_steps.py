"""What a message costs in steps of trio's scheduler: none of its own, and nobody is woken who has nothing to do.

The clock stands still in all of these: no quantum ends, so a worker has no other reason to stop than the one under test.
"""

from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
import trio
import trio.testing

from factflow_engine.seams import Seams
from factflow_engine.testing import Simulation
from factflow_protocols import AdapterResult, PipelineAdapter
from support.clocks import CallClock
from support.internals import is_worker, parked_workers_of, workers_of
from support.pipelines import adapter, running

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
        if is_worker(task):
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
        if context.message == "checkpoint":
            await trio.lowlevel.checkpoint()
        return AdapterResult.forward()

    async with running(POOL, adapters={"stage": stage}, seams=Simulation(1).seams) as execution:
        for number in range(ROUTES):
            execution.publish_nowait(f"r{number}", "wait")
        await trio.testing.wait_all_tasks_blocked()
        gate.set()
        await trio.testing.wait_all_tasks_blocked()
        assert len(parked_workers_of(execution)) >= ROUTES
        yield execution
        report = await execution.complete()
    assert {route.waiting for route in report.routes.values()} == {0}


async def steps_for(execution, message, *, times):
    """Count the steps of workers while a message is carried so many times, once after the other."""
    with Steps() as steps:
        for _ in range(times):
            execution.publish_nowait("r0", message)
            await trio.testing.wait_all_tasks_blocked()
    return steps.number


async def test_a_message_wakes_one_worker_for_all_its_hops(mock_clock):
    async with warm() as execution:
        assert await steps_for(execution, "go", times=20) == 20
        assert execution.statistics().routes["next0"].completed == 21


async def test_arrivals_at_many_routes_at_once_wake_one_worker(mock_clock):
    async with warm() as execution:
        with Steps() as steps:
            for _ in range(20):
                for number in range(ROUTES):
                    execution.publish_nowait(f"r{number}", "go")
                await trio.testing.wait_all_tasks_blocked()
        assert steps.number == 20


async def test_a_worker_that_goes_on_after_waiting_serves_what_it_publishes_itself(mock_clock):
    async with warm() as execution:
        assert await steps_for(execution, "checkpoint", times=20) == 2 * 20, "one to begin, one to go on"


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
            await execution.complete()
        assert steps.number <= 10


async def test_a_worker_that_has_waited_begins_a_new_quantum(autojump_clock):
    """Else it would yield after the next message that does not wait: it has used up a quantum by waiting."""

    async def rest(context):
        if context.message % 2:
            await trio.sleep(1)

    async with running(
        "routes: {r: {inbound: {concurrency: 1}, adapters: [{type: rest}]}}",
        adapters={"rest": rest},
        seams=Simulation(1).seams,
        seconds=1000,
    ) as execution:
        execution.pause()
        for number in range(50):
            execution.publish_nowait("r", number)
        with Steps() as steps:
            execution.resume()
            await execution.complete()
        assert steps.number <= 25 + 10


async def test_arrivals_wake_nobody_while_the_running_worker_only_yields():
    now = 0

    async def cost(context):
        nonlocal now
        now += 1_000_000

    async with running(
        "routes: {a: {inbound: {concurrency: 1}, adapters: [{type: cost}]}, b: {adapters: [{type: cost}]}}",
        adapters={"cost": cost},
        seams=replace(Seams.real(), clock=CallClock(lambda: now)),
    ) as execution:
        for _ in range(20):
            execution.publish_nowait("a", 0)
        for _ in range(20):
            await trio.lowlevel.checkpoint()
            execution.publish_nowait("b", 0)
        assert len(workers_of(execution)) == 1
        await execution.complete()


class Compiled:
    """Looks like a coroutine function, as compiled ones do, and gives an awaitable that is no native coroutine."""

    def __init__(self, function):
        self._function = function
        for name in ("__name__", "__code__", "__defaults__", "__kwdefaults__", "__annotations__"):
            setattr(self, name, getattr(function, name))

    def __call__(self, context):
        outer = self

        class Awaitable:
            def __await__(self):
                return outer._function(context).__await__()

        return Awaitable()


class SlowToClose:
    def __aiter__(self):
        return self

    async def __anext__(self):
        raise StopAsyncIteration

    async def aclose(self):
        await trio.sleep(10)


class SlowToBegin(SlowToClose):
    async def __anext__(self):
        await trio.sleep(10)
        raise StopAsyncIteration


async def _compiled(context):
    await trio.sleep(10)
    return AdapterResult.forward()


class CompiledAdapter(PipelineAdapter):
    def __init__(self):
        self.process = Compiled(_compiled)

    async def process(self, context):
        raise AssertionError("the instance's own is called")


def source(kind):
    async def emit(context):
        return AdapterResult(emitted=kind())

    return adapter(emit)


@pytest.mark.parametrize(
    "waits",
    [source(SlowToClose), source(SlowToBegin), CompiledAdapter],
    ids=["closing", "pulling", "compiled"],
)
async def test_whoever_waits_delays_nobody_whatever_it_waits_for(waits, autojump_clock):
    """Neither what was listed before it began to wait, of which nobody is told, nor what comes meanwhile."""
    start = trio.current_time()
    times = []

    async def note(context):
        times.append(trio.current_time() - start)

    async with running(
        "routes: {slow: {adapters: [{type: waits}]}, quick: {adapters: [{type: note}]}}",
        adapters={"waits": waits, "note": note},
    ) as execution:
        execution.pause()
        for _ in range(3):
            execution.publish_nowait("slow", 0)
            execution.publish_nowait("quick", 0)
        execution.resume()
        await trio.sleep(5)
        execution.publish_nowait("quick", 0)
        await execution.complete()
    assert times == [0, 0, 0, 5]
