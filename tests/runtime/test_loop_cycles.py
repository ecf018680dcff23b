"""How far a cycle of queues goes over its capacities when it would be stuck: by one message at a time."""

from factflow_protocols import AdapterResult
from support.pipelines import running


async def test_a_stuck_cycle_goes_over_a_capacity_by_one():
    most = 0

    async def count_down(context):
        nonlocal most
        most = max(most, *(processor.lane.inbox.waiting for processor in execution._processors.values()))
        return AdapterResult(message=context.message - 1) if context.message else None

    async with running(
        """
routes:
  a: {inbound: {capacity: 5, concurrency: 1}, adapters: [{type: count_down}], outbound: [{route: b}]}
  b: {inbound: {capacity: 5, concurrency: 1}, adapters: [{type: count_down}], outbound: [{route: a}]}
""",
        adapters={"count_down": count_down},
    ) as execution:
        execution.pause()
        for name in "ab":
            for _ in range(5):
                execution.publish_nowait(name, 20)
        execution.resume()
        report = await execution.wait()
    assert report.outcomes["filtered"] == 10
    assert most <= 6


async def test_a_driver_in_a_stuck_cycle_lets_the_others_take_before_it_goes_over_a_capacity():
    most = 0

    async def emit(context):
        return AdapterResult(emitted=range(100))

    async def drop(context):
        nonlocal most
        most = max(most, execution._processors["b"].lane.inbox.waiting)

    async with running(
        """
routes:
  a: {inbound: {capacity: 1, concurrency: 1}, adapters: [{type: emit}], outbound: [{route: b}]}
  b: {inbound: {capacity: 1, concurrency: 1}, adapters: [{type: drop}], outbound: [{route: a}]}
""",
        adapters={"emit": emit, "drop": drop},
    ) as execution:
        for number in range(3):
            await execution.publish("a", number)
        report = await execution.wait()
    assert report.routes["b"].filtered == 300
    assert most <= 2
