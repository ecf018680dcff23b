"""Nobody starves: other tasks of the program, other routes and other executions get their turns, by count."""

import contextvars

import pytest
import trio
import trio.testing

from factflow_engine.runtime.execution.manager import OrchestratorManager
from factflow_protocols import AdapterResult
from support.floods import RealWork, Trace, WorkClock, beat
from support.pipelines import load, registry_of, running

NUMBER = contextvars.ContextVar("NUMBER", default=0)

HEAVY_US = 300  # longer than any quantum that the engine gives itself by default
BEATS = 40
FEW = 4
"""Quanta that others may work between two turns of a task: its own worker's, a backup's, and as many to spare."""


@pytest.fixture(params=[WorkClock, RealWork], ids=["virtual", "real"])
def clock(request):
    return request.param()


def publish_while_paused(execution, **messages):
    execution.pause()
    for route, count in messages.items():
        for number in range(count):
            execution.publish_nowait(route, number)
    execution.resume()


@pytest.mark.parametrize("concurrency", [1, 8])
async def test_heavy_adapters_leave_a_heartbeat_its_turns(clock, concurrency):
    trace = Trace()
    async with running(
        f"routes: {{r: {{inbound: {{concurrency: {concurrency}}}, adapters: [{{type: heavy}}]}}}}",
        adapters={"heavy": trace.adapter(lambda: clock.work(HEAVY_US))},
        seams=clock.seams,
    ) as execution:
        publish_while_paused(execution, r=BEATS * 2)
        await beat(trace, BEATS)
        await execution.complete()
    assert trace.longest_run(lambda event: event == "r", without="beat") <= FEW
    assert trace.events.count("r") == BEATS * 2


@pytest.mark.parametrize("routes", [2, 5])
async def test_heavy_adapters_of_many_routes_leave_a_heartbeat_its_turns(clock, routes):
    trace = Trace()
    names = [f"r{number}" for number in range(routes)]
    async with running(
        "routes: {" + ", ".join(f"{name}: {{adapters: [{{type: heavy}}]}}" for name in names) + "}",
        adapters={"heavy": trace.adapter(lambda: clock.work(HEAVY_US))},
        seams=clock.seams,
    ) as execution:
        publish_while_paused(execution, **dict.fromkeys(names, BEATS))
        await beat(trace, BEATS)
        await execution.complete()
    assert trace.longest_run(lambda event: event != "beat", without="beat") <= FEW


async def test_heavy_adapters_leave_a_heartbeat_its_turns_after_all_permits_had_been_suspended(clock, autojump_clock):
    """Many workers were needed once; they must not all go on to work a quantum each between two turns of a task."""
    trace = Trace()

    async def first_suspend(context):
        if context.message < 8:
            await trio.sleep(1)
        else:
            clock.work(HEAVY_US)
            trace.note("r")

    async with running(
        "routes: {r: {inbound: {concurrency: 8}, adapters: [{type: first_suspend}]}}",
        adapters={"first_suspend": first_suspend},
        seams=clock.seams,
    ) as execution:
        for number in range(8 + BEATS * 2):
            execution.publish_nowait("r", number)
        await trio.sleep(1)
        await beat(trace, BEATS)
        await execution.complete()
    assert trace.longest_run(lambda event: event == "r", without="beat") <= FEW
    assert trace.events.count("r") == BEATS * 2


async def test_heavy_adapters_of_one_route_let_another_route_go_on(clock):
    trace = Trace()
    async with running(
        "routes: {heavy: {adapters: [{type: heavy}]}, light: {adapters: [{type: light}]}}",
        adapters={"heavy": trace.adapter(lambda: clock.work(HEAVY_US)), "light": trace.adapter()},
        seams=clock.seams,
    ) as execution:
        publish_while_paused(execution, heavy=200)
        for number in range(BEATS):  # one at a time, so that each of them has to get in between
            execution.publish_nowait("light", number)
            while trace.events.count("light") <= number:
                await trio.lowlevel.checkpoint()
        await execution.complete()
    assert trace.events.count("light") == BEATS
    assert trace.longest_run(lambda event: event == "heavy", without="light") <= FEW


@pytest.mark.parametrize("adapters", ["[{type: emit}]", "[{type: emit}, {type: heavy}]"], ids=["last", "chain"])
@pytest.mark.parametrize("concurrency", [1, 4])
@pytest.mark.parametrize("sets", ["nothing", "source", "stage"])
async def test_a_long_source_of_one_route_lets_another_route_go_on(clock, adapters, concurrency, sets):
    trace = Trace()

    def work():
        clock.work(HEAVY_US)
        if sets == "stage":
            NUMBER.set(len(trace.events))  # a worker yields whenever the next message begins with other variables

    heavy = trace.adapter(work)

    async def emit(context):
        def children():
            for number in range(200):
                if sets == "source":
                    NUMBER.set(number)
                trace.events.append("heavy")
                clock.work(HEAVY_US)
                yield number

        return AdapterResult(emitted=children())

    async with running(
        f"""
routes:
  long: {{inbound: {{concurrency: {concurrency}}}, adapters: {adapters}}}
  light: {{adapters: [{{type: light}}]}}
""",
        adapters={"emit": emit, "heavy": heavy, "light": trace.adapter()},
        seams=clock.seams,
    ) as execution:
        execution.publish_nowait("long", "all")
        for number in range(BEATS):
            execution.publish_nowait("light", number)
            while trace.events.count("light") <= number:
                await trio.lowlevel.checkpoint()
        assert execution.statistics().routes["long"].in_flight > 0, "the source has ended before its time"
        await execution.complete()
    assert trace.longest_run(lambda event: event == "heavy", without="light") <= FEW


async def test_heavy_adapters_of_one_execution_let_another_execution_go_on(clock):
    trace = Trace()
    registry = registry_of(heavy=trace.adapter(lambda: clock.work(HEAVY_US)), light=trace.adapter())
    with trio.fail_after(30):
        async with OrchestratorManager(registry=registry, seams=clock.seams) as manager:
            heavy = await manager.start(load(registry, "routes: {heavy: {adapters: [{type: heavy}]}}"))
            light = await manager.start(load(registry, "routes: {light: {adapters: [{type: light}]}}"))
            publish_while_paused(heavy, heavy=200)
            for number in range(BEATS):
                await light.publish("light", number)
                while trace.events.count("light") <= number:
                    await trio.lowlevel.checkpoint()
    assert trace.longest_run(lambda event: event == "heavy", without="light") <= FEW


@pytest.mark.parametrize("microseconds", [10, HEAVY_US])
async def test_a_route_that_publishes_to_itself_leaves_turns_by_time(microseconds):
    clock = WorkClock()
    trace = Trace()
    async with running(
        """
processor: {quantum_microseconds: 100}
routes:
  again: {adapters: [{type: work}], outbound: [{route: again}]}
  other: {adapters: [{type: light}]}
""",
        adapters={"work": trace.adapter(lambda: clock.work(microseconds)), "light": trace.adapter()},
        seams=clock.seams,
    ) as execution:
        await execution.publish("again", 1)
        for number in range(BEATS):
            execution.publish_nowait("other", number)
            await beat(trace, 3)
        report = await execution.cancel()
    again_in_a_quantum = max(1, 100 // microseconds) + 1
    assert trace.longest_run(lambda event: event == "again", without="beat") <= FEW * again_in_a_quantum
    assert trace.events.count("other") >= BEATS - 1
    assert trace.events.count("again") > BEATS, "it did run meanwhile"
    assert report.routes["again"].waiting == 1


@pytest.mark.parametrize("suspend", [False, True], ids=["running", "suspending"])
@pytest.mark.parametrize("quiet", [1, 4, 20])
async def test_a_message_of_a_quiet_route_waits_for_few_of_a_noisy_one(quiet, suspend):
    clock = WorkClock()
    trace = Trace()
    names = [f"quiet{number}" for number in range(quiet)]
    async with running(
        "routes: {noisy: {adapters: [{type: noisy}]}, "
        + ", ".join(f"{name}: {{adapters: [{{type: light}}]}}" for name in names)
        + "}",
        adapters={
            "noisy": trace.adapter(lambda: clock.work(10), suspend=suspend),
            "light": trace.adapter(lambda: clock.work(10)),
        },
        seams=clock.seams,
    ) as execution:
        publish_while_paused(execution, noisy=1000)
        waits = []
        while execution.statistics().routes["noisy"].waiting > 100:
            for name in names:
                execution.publish_nowait(name, 0)
            begin = len(trace.events)
            while not set(names) <= set(trace.events[begin:]):
                await trio.lowlevel.checkpoint()
            last = max(len(trace.events) - 1 - trace.events[::-1].index(name) for name in names)
            waits.append(trace.events[begin:last].count("noisy"))
        await execution.complete()
    assert len(waits) >= 5
    assert max(waits) <= 48, "three short turns of the noisy route, whatever the depth of its queue"


@pytest.mark.parametrize("position", [0, 15, 30])
async def test_quiet_routes_that_wait_together_with_a_noisy_one_pass_in_its_first_turns(position):
    trace = Trace()
    names = [f"quiet{number}" for number in range(30)]
    order = [*names[:position], "noisy", *names[position:]]
    async with running(
        "routes: {" + ", ".join(f"{name}: {{adapters: [{{type: light}}]}}" for name in order) + "}",
        adapters={"light": trace.adapter()},
        seams=WorkClock().seams,
    ) as execution:
        publish_while_paused(execution, noisy=1000, **dict.fromkeys(names, 3))
        await execution.complete()
    quiet = [position for position, event in enumerate(trace.events) if event != "noisy"]
    assert len(quiet) == 90
    assert trace.events[: quiet[-1]].count("noisy") <= 3 * 32, "a turn for each of theirs, and one before"


@pytest.mark.parametrize("routes", [1, 3])
async def test_a_heartbeat_goes_on_beside_adapters_that_suspend_all_the_time(routes):
    trace = Trace()
    names = [f"r{number}" for number in range(routes)]
    async with running(
        "routes: {"
        + ", ".join(f"{name}: {{inbound: {{concurrency: 4}}, adapters: [{{type: rest}}]}}" for name in names)
        + "}",
        adapters={"rest": trace.adapter(suspend=True)},
        seams=WorkClock().seams,
    ) as execution:
        publish_while_paused(execution, **dict.fromkeys(names, 300))
        await beat(trace, 50)
        await execution.complete()
    # Each permit's adapter is resumed once between two turns of this task, and each then goes on to the next message.
    assert trace.longest_run(lambda event: event != "beat", without="beat") <= 2 * 4 * routes


async def test_a_heartbeat_goes_on_beside_adapters_that_hold_every_permit(autojump_clock):
    trace = Trace()
    gate = trio.Event()

    async def stuck(context):
        await gate.wait()

    async with running(
        "routes: {stuck: {inbound: {concurrency: 50}, adapters: [{type: stuck}]}, quick: {adapters: [{type: quick}]}}",
        adapters={"stuck": stuck, "quick": trace.adapter()},
    ) as execution:
        publish_while_paused(execution, stuck=200)
        await trio.testing.wait_all_tasks_blocked()
        for number in range(20):
            execution.publish_nowait("quick", number)
            await beat(trace, 2)
        assert execution.statistics().routes["stuck"].in_flight == 50
        gate.set()
        await execution.complete()
    assert trace.longest_run(lambda event: event == "beat", without="quick") <= 3
