"""The end: exact, whoever still waits, and nobody is woken for it before its time."""

import trio
import trio.testing

from factflow_engine.conditions import ConditionOperator, OperatorRegistry
from factflow_engine.config import PipelineConfigLoader
from factflow_engine.runtime.execution.manager import OrchestratorManager
from factflow_engine.testing import in_virtual_time
from factflow_protocols import AdapterResult, StatefulAdapter
from support.internals import replace_routes
from support.pipelines import load, registry_of, running


def test_publishers_that_were_told_of_room_come_before_the_end_in_any_order_of_tasks():
    registry = registry_of()
    config = load(registry, "routes: {r: {inbound: {capacity: 1, concurrency: 1}, adapters: [{type: forward}]}}")

    async def main(simulation):
        async with OrchestratorManager(registry=registry, seams=simulation.seams) as manager:
            execution = await manager.start(config)
            execution.pause()
            async with trio.open_nursery() as nursery:
                for number in range(4):
                    nursery.start_soon(execution.publish, "r", number)
                await trio.testing.wait_all_tasks_blocked()
                execution.let_complete()
                execution.resume()
            return await execution.complete()

    for seed in range(40):
        assert in_virtual_time(main, seed=seed).routes["r"].completed == 4


async def test_what_reaches_a_stage_while_it_finishes_is_finished_too(autojump_clock):
    finished = []

    class Sums(StatefulAdapter):
        def __init__(self):
            self.seen = []

        async def open(self, stage):
            pass

        async def process(self, context):
            self.seen.append(context.message)
            return AdapterResult.forward()

        async def finish(self):
            seen, self.seen = self.seen, []
            await trio.sleep(10)
            finished.append(seen)

        async def close(self):
            pass

    async with running("routes: {r: {adapters: [{type: sums}]}}", adapters={"sums": Sums}, seconds=1000) as execution:
        await execution.publish("r", 1)
        execution.let_complete()
        await trio.sleep(5)
        await execution.publish("r", 2)
        await execution.complete()
    assert finished == [[1], [2]]


async def test_who_waits_for_the_end_is_not_woken_while_something_is_in_flight(autojump_clock):
    steps = 0

    class Steps(trio.abc.Instrument):
        def before_task_step(self, task):
            nonlocal steps
            steps += "OrchestratorManager._run" in task.name

    async def slow(context):
        await trio.sleep(1000)

    async with running(
        "routes: {slow: {adapters: [{type: slow}]}, quick: {adapters: [{type: forward}]}}",
        adapters={"slow": slow},
        seconds=10_000,
    ) as execution:
        execution.let_complete()
        execution.publish_nowait("slow", 0)
        await trio.sleep(1)
        instrument = Steps()
        trio.lowlevel.add_instrument(instrument)
        for number in range(50):
            execution.publish_nowait("quick", number)
            await trio.sleep(1)
        assert execution.statistics().routes["quick"].completed == 50
        assert steps == 0
        await execution.complete()
        assert steps > 0, "this is the task that waits for the end"
        trio.lowlevel.remove_instrument(instrument)


async def test_a_condition_that_raises_fails_its_message_at_its_own_stage():
    class Fails(ConditionOperator):
        name = "fails"
        needs_value = False

        def matches(self, field_value, literal):
            raise OSError("the operator")

    operators = OperatorRegistry()
    operators.register(Fails())
    registry = registry_of()
    config = PipelineConfigLoader(registry, operators=operators).load_text(
        """
version: "1.0"
routes:
  r:
    adapters:
      - {type: forward, name: before}
      - {type: forward, name: asks, condition: {field: "@", operator: fails}}
"""
    )
    async with OrchestratorManager(registry=registry, operators=operators) as manager:
        execution = await manager.start(config)
        for number in range(3):
            await execution.publish("r", number)
        report = await execution.complete()
    assert report.status == "completed"
    assert report.routes["r"].failed == 3
    assert {failure.stage for failure in report.failures} == {"asks"}


async def test_the_last_acknowledgement_of_a_consumer_from_outside_ends_an_execution(autojump_clock):
    """It is told of it: nothing else moves any more, and the consumer stays."""
    async with running("routes: {r: {inbound: {queue: /queue/q}, adapters: [{type: forward}]}}") as execution:
        execution.pause()
        await execution.publish("r", 0)
        async with execution.subscribe("/queue/q") as subscription, trio.open_nursery() as nursery:
            deliveries = await subscription.receive(1)
            execution.resume()
            ended = []

            async def wait():
                ended.append(await execution.complete())

            nursery.start_soon(wait)
            await trio.sleep(5)
            assert ended == []
            await subscription.settle(deliveries)
            await trio.sleep(5)
            assert [report.status for report in ended] == ["completed"]


async def test_whoever_waits_for_the_end_costs_no_look_at_all_routes_while_a_message_is_in_an_adapter(autojump_clock):
    class Counted(tuple):
        __slots__ = ()
        looks = 0

        def __iter__(self):
            Counted.looks += 1
            return tuple.__iter__(self)

    async def rest(context):
        await trio.sleep(1000)

    async with running(
        "routes: {slow: {adapters: [{type: rest}]}, fast: {adapters: [{type: forward}]}}",
        adapters={"rest": rest},
        seconds=1e6,
    ) as execution:
        replace_routes(execution, Counted)
        await execution.publish("slow", 0)
        execution.let_complete()
        await trio.testing.wait_all_tasks_blocked()
        Counted.looks = 0
        for number in range(100):
            await execution.publish("fast", number)
            await trio.testing.wait_all_tasks_blocked()
        assert Counted.looks < 10
        assert (await execution.complete()).routes["fast"].completed == 100
