"""One test for each invariant of the loop's design comment, by its number there."""

import gc
import itertools

import pytest
import trio
import trio.testing

from factflow_engine.runtime.hop.route_state import TURN
from factflow_engine.testing import Simulation
from factflow_protocols import AdapterResult
from support.clocks import CallClock
from support.internals import is_worker, queues_of, route_of
from support.pipelines import Recorder, assert_counters_balance, publish_together, run, running
from support.tasks import all_tasks


class Steps(trio.abc.Instrument):
    """Counts the times that trio ran each worker."""

    def __init__(self):
        self.of_workers = 0

    def before_task_step(self, task):
        if is_worker(task):
            self.of_workers += 1


async def test_1_nothing_is_awaited_between_an_adapters_result_and_settlement():
    """Two workers whose adapters return in the same instant: neither sees the other half done."""
    steps = Steps()
    trio.lowlevel.add_instrument(steps)
    async with running(
        "routes: {a: {adapters: [{type: forward}], outbound: [{route: b}]}, b: {adapters: [{type: forward}]}}"
    ) as execution:
        before = steps.of_workers
        publish_together(execution, a=range(100))
        report = await execution.complete()
    trio.lowlevel.remove_instrument(steps)
    assert report.routes["b"].completed == 100
    assert steps.of_workers - before <= 20, "200 visits to adapters took a handful of scheduler steps"


async def test_1_a_route_is_held_back_before_its_next_take_and_never_in_between():
    gate = trio.Event()

    async def stuck(context):
        await gate.wait()

    async with running(
        """
routes:
  a: {inbound: {concurrency: 4}, adapters: [{type: forward}], outbound: [{route: b}]}
  b: {inbound: {concurrency: 1, capacity: 6}, adapters: [{type: stuck}]}
""",
        adapters={"stuck": stuck},
    ) as execution:
        for number in range(50):
            await execution.publish("a", number)
        await trio.testing.wait_all_tasks_blocked()
        routes = execution.statistics().routes
        assert (routes["b"].in_flight, routes["b"].waiting) == (1, 6)
        assert (routes["a"].in_flight, routes["a"].waiting) == (0, 43), "no message of `a` is in the middle"
        gate.set()
        await execution.complete()


async def test_2_an_interrupted_message_goes_back_and_its_permit_too(autojump_clock):
    slow = Recorder(seconds=100)
    async with running("routes: {r: {adapters: [{type: slow}]}}", adapters={"slow": slow.adapter()}) as execution:
        await execution.publish("r", 1)
        await trio.sleep(1)
        assert execution.statistics().routes["r"].in_flight == 1
        report = await execution.cancel()
    route = report.routes["r"]
    assert (route.received, route.in_flight, route.waiting, route.redelivered) == (0, 0, 1, 1)
    route = route_of(execution, "r")
    assert route.carrier.busy == 0
    assert_counters_balance(report)


async def test_3_a_suspended_adapter_delays_nobody(autojump_clock):
    async def sleep(context):
        await trio.sleep(10)

    start = trio.current_time()
    quick = Recorder()
    times = []

    async def note(context):
        times.append(trio.current_time() - start)

    await run(
        """
routes:
  slow: {inbound: {concurrency: 2}, adapters: [{type: sleep}]}
  quick: {inbound: {concurrency: 1}, adapters: [{type: note}]}
""",
        adapters={"sleep": sleep, "note": note, "unused": quick.adapter()},
        publish=[("slow", 0), ("slow", 1), ("slow", 2)] + [("quick", n) for n in range(50)],
        seconds=60,
    )
    assert times == [0] * 50


async def test_3_what_a_driver_hands_on_is_taken_although_the_driver_suspends(autojump_clock):
    """A child that sleeps on its driver's permit must not hold up what the others published."""

    async def spread(context):
        return AdapterResult(emitted=range(6))

    async def sleep(context):
        await trio.sleep(1)
        return AdapterResult.forward()

    start = trio.current_time()
    times = []

    async def note(context):
        times.append(trio.current_time() - start)

    await run(
        """
routes:
  r: {inbound: {concurrency: 1}, adapters: [{type: spread}, {type: sleep}], outbound: [{route: sink}]}
  sink: {adapters: [{type: note}]}
""",
        adapters={"spread": spread, "sleep": sleep, "note": note},
        publish=[("r", 0)],
    )
    assert times == pytest.approx([1, 2, 3, 4, 5, 6], abs=0.01)


async def test_3_a_busy_pool_is_not_woken_for_every_message():
    steps = Steps()
    async with running(
        "routes: {a: {adapters: [{type: forward}], outbound: [{route: b}]}, b: {adapters: [{type: forward}]}}"
    ) as execution:
        await execution.publish("a", 0)
        await trio.testing.wait_all_tasks_blocked()
        trio.lowlevel.add_instrument(steps)
        for number in range(500):
            execution.publish_nowait("a", number)
        await execution.complete()
        trio.lowlevel.remove_instrument(steps)
    assert steps.of_workers < 100


@pytest.mark.parametrize("clock", ["real", "still"])
async def test_4_a_route_that_publishes_to_itself_starves_nobody(clock, monkeypatch):
    beats = 0

    async def again(context):
        return AdapterResult.forward()

    options = {} if clock == "real" else {"seams": Simulation(1).seams}
    async with running(
        "routes: {r: {adapters: [{type: again}], outbound: [{route: r}]}}", adapters={"again": again}, **options
    ) as execution:
        await execution.publish("r", 1)
        for _ in range(20):
            await trio.lowlevel.checkpoint()
            beats += 1
        received = execution.statistics().routes["r"].received
        report = await execution.cancel()
    assert beats == 20
    assert received > 20, "it did run meanwhile"
    assert report.routes["r"].waiting == 1


async def test_4_a_worker_yields_after_its_quantum_although_messages_remain():
    done = 0
    now = 0

    async def cost(context):
        nonlocal now, done
        now += 25_000
        done += 1

    from dataclasses import replace

    from factflow_engine.seams import Seams

    async with running(
        "processor: {quantum_microseconds: 100}\nroutes: {r: {inbound: {concurrency: 1}, adapters: [{type: cost}]}}",
        adapters={"cost": cost},
        seams=replace(Seams.real(), clock=CallClock(lambda: now)),
    ) as execution:
        for number in range(100):
            execution.publish_nowait("r", number)
        progress = []
        while done < 100:
            await trio.lowlevel.checkpoint()
            progress.append(done)
        await execution.complete()
    jumps = [after - before for before, after in itertools.pairwise(progress)]
    assert max(jumps) <= 10, "two quanta of five messages at most between two turns of this task"


async def test_5_turns_are_per_route_whatever_the_depth_of_its_queue(mock_clock):
    order = []

    async def note(context):
        order.append(context.route)

    async with running(
        "routes: {noisy: {adapters: [{type: note}]}, calm: {adapters: [{type: note}]}}",
        adapters={"note": note},
        seams=Simulation(1).seams,  # on a clock that stands still: a quantum would end a turn early
    ) as execution:
        publish_together(execution, noisy=range(200), calm=range(5))
        await execution.complete()
    assert order[: TURN + 5].count("calm") == 5


async def test_6_children_never_wait_for_the_permit_that_their_parent_holds(autojump_clock):
    async def spread(context):
        return AdapterResult(emitted=range(context.message))

    async def rest(context):
        await trio.sleep(1)
        return AdapterResult.forward()

    report = await run(
        "routes: {r: {inbound: {concurrency: 2}, adapters: [{type: spread}, {type: rest}]}}",
        adapters={"spread": spread, "rest": rest},
        publish=[("r", 5)] * 6,
        seconds=100,
    )
    assert report.routes["r"].received == 6 + 30


@pytest.mark.parametrize("limit", [1, 3])
async def test_6_the_limit_counts_children_too(limit, autojump_clock):
    async def spread(context):
        return AdapterResult(emitted=range(10))

    slow = Recorder(seconds=1)
    await run(
        f"routes: {{r: {{inbound: {{concurrency: {limit}}}, adapters: [{{type: spread}}, {{type: slow}}]}}}}",
        adapters={"spread": spread, "slow": slow.adapter()},
        publish=[("r", n) for n in range(4)],
        seconds=100,
    )
    assert slow.most == limit


async def test_7_workers_and_the_adapters_they_call_are_protected_from_keyboard_interrupt():
    protected = []

    async def look(context):
        protected.append(trio.lowlevel.currently_ki_protected())
        await trio.lowlevel.checkpoint()
        protected.append(trio.lowlevel.currently_ki_protected())

    await run("routes: {r: {adapters: [{type: look}]}}", adapters={"look": look}, publish=[("r", 1)])
    assert protected == [True, True]


async def test_9_completion_is_never_early(autojump_clock):
    """The last message hops through routes that sleep: at no hop is anything waiting but that message."""
    rest = Recorder(seconds=1)
    report = await run(
        """
routes:
  a: {adapters: [{type: rest}], outbound: [{route: b}]}
  b: {adapters: [{type: rest}], outbound: [{route: c}]}
  c: {adapters: [{type: rest}]}
init_message: {route: a, payload: 1}
""",
        adapters={"rest": rest.adapter()},
        seams=Simulation(1).seams,
    )
    assert report.routes["c"].completed == 1
    assert report.duration_seconds == pytest.approx(3, abs=0.01)


async def test_no_worker_and_no_message_outlives_its_execution():
    async with running("routes: {r: {adapters: [{type: forward}]}}") as execution:
        for number in range(10):
            await execution.publish("r", number)
        await execution.complete()
        await trio.testing.wait_all_tasks_blocked()
        gc.collect()
        assert not [task.name for task in all_tasks() if is_worker(task)]
        assert queues_of(execution) == {}
