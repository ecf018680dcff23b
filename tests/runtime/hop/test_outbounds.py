"""A message that leaves for several places leaves for all of them or for none, whichever of them is full."""

import pytest
import trio
import trio.testing

from factflow_protocols import AdapterResult
from support.pipelines import assert_counters_balance, running

CAPACITY = 2
QUEUES = ("/queue/x", "/queue/y", "/queue/z")


async def values_of(execution, queue):
    """What waits there."""
    async with execution.subscribe(queue, prefetch=100) as subscription:
        with trio.move_on_after(0.01):
            return [delivery.message.value() for delivery in await subscription.receive(100)]
    return []


async def published(outbound, values, *, bounded, mode="all"):
    """Publish values through a route with these outbounds, of which some lead to short queues that nobody reads."""
    async with running(
        f"routes: {{r: {{adapters: [{{type: forward}}], outbound: [{outbound}], outbound_mode: {mode}}}}}"
    ) as execution:
        for queue in bounded:
            async with execution.subscribe(queue, capacity=CAPACITY):
                pass  # names the capacity, and goes
        for value in values:
            await execution.publish("r", value)
        await trio.testing.wait_all_tasks_blocked()
        arrived = {queue: await values_of(execution, queue) for queue in QUEUES}
        report = await execution.cancel()
    assert_counters_balance(report)
    assert {failure.error_type for failure in report.failures} <= {"QueueFullError"}
    return report.routes["r"], arrived


ODD = "condition: {field: odd, operator: eq, value: true}"
MESSAGES = [{"odd": number % 2 == 1, "number": number} for number in range(8)]


def numbers(messages):
    return [message["number"] for message in messages]


@pytest.mark.parametrize("full", QUEUES)
async def test_what_one_queue_cannot_take_goes_to_none_of_the_others(full):
    route, arrived = await published(", ".join(f"{{queue: {queue}}}" for queue in QUEUES), MESSAGES, bounded=[full])
    assert {queue: numbers(messages) for queue, messages in arrived.items()} == {queue: [0, 1] for queue in QUEUES}
    assert (route.completed, route.failed, route.emitted) == (2, 6, 6)


@pytest.mark.parametrize("position", range(3))
async def test_a_full_queue_stops_only_the_messages_that_would_go_there(position):
    """Of those that its condition chooses, the first find room; the others go to nobody, and the rest to the rest."""
    conditional = QUEUES[position]
    outbound = ", ".join(
        f"{{queue: {queue}, {ODD}}}" if queue == conditional else f"{{queue: {queue}}}" for queue in QUEUES
    )
    route, arrived = await published(outbound, MESSAGES, bounded=[conditional])
    for queue in QUEUES:
        assert numbers(arrived[queue]) == ([1, 3] if queue == conditional else [0, 1, 2, 3, 4, 6])
    assert (route.completed, route.failed, route.emitted) == (6, 2, 14)


async def test_the_first_that_takes_a_message_is_no_other_when_it_is_full():
    route, arrived = await published(
        f"{{queue: /queue/x, {ODD}}}, {{queue: /queue/y}}", MESSAGES, bounded=["/queue/x"], mode="first"
    )
    assert (numbers(arrived["/queue/x"]), numbers(arrived["/queue/y"])) == ([1, 3], [0, 2, 4, 6])
    assert (route.completed, route.failed, route.emitted) == (6, 2, 6)


async def test_a_queue_that_is_read_takes_what_was_on_its_way_when_it_filled(autojump_clock):
    """Room was waited for before the messages were taken: that two routes fill it at once fails nobody's message."""

    async def rest(context):
        await trio.sleep(1)

    sources = "".join(
        f"  {name}: {{inbound: {{concurrency: 1}}, adapters: [{{type: leave}}], "
        "outbound: [{route: sink}, {queue: /queue/x}]}\n"
        for name in ("a", "b", "c")
    )

    async def leave(context):
        await trio.sleep(1)
        return AdapterResult.forward()

    async with running(
        f"routes:\n{sources}  sink: {{inbound: {{concurrency: 1, capacity: 1}}, adapters: [{{type: rest}}]}}\n",
        adapters={"leave": leave, "rest": rest},
        seconds=1000,
    ) as execution:
        for number in range(5):
            for name in ("a", "b", "c"):
                await execution.publish(name, number)
        report = await execution.complete()
    assert report.routes["sink"].filtered == 15
    assert report.failures == ()
