"""A queue that a route shares with a consumer from outside: whoever waits hears of what comes."""

import pytest
import trio
import trio.testing

from support.internals import route_of
from support.pipelines import running

SHARED = "routes: {r: {inbound: {concurrency: 1, queue: /queue/q}, adapters: [{type: stage}]}}"


async def values_of(subscription, settles):
    deliveries = await subscription.receive(10)
    if settles:
        await subscription.settle(deliveries)
    return [delivery.message.value() for delivery in deliveries]


async def stuck(context):
    await trio.sleep(1000)


@pytest.mark.parametrize("occupied", ["paused", "busy"])
@pytest.mark.parametrize("attached", ["before", "after"])
@pytest.mark.parametrize("settles", [True, False])
async def test_a_consumer_beside_a_route_that_takes_nothing_hears_of_every_message(
    occupied, attached, settles, autojump_clock
):
    async with running(SHARED, adapters={"stage": stuck}, seconds=100) as execution:
        if occupied == "paused":
            execution.pause()
        else:
            execution.publish_nowait("r", "taken")
            await trio.testing.wait_all_tasks_blocked()
        if attached == "after":
            execution.publish_nowait("r", 0)
            await trio.testing.wait_all_tasks_blocked()
        async with execution.subscribe("/queue/q", prefetch=10) as subscription:
            if attached == "before":
                execution.publish_nowait("r", 0)
                await trio.testing.wait_all_tasks_blocked()
            assert await values_of(subscription, settles) == [0]
            for number in range(1, 4):
                got = []

                async def receive(got=got):
                    got += await values_of(subscription, settles)

                async with trio.open_nursery() as nursery:
                    nursery.start_soon(receive)
                    await trio.testing.wait_all_tasks_blocked()
                    execution.publish_nowait("r", number)
                assert got == [number]
        await execution.cancel()


@pytest.mark.parametrize("others", [(), (3,), (9, 4)])
async def test_a_batch_fills_no_queue_beyond_its_capacity(others, autojump_clock):
    capacities = (5, *others)
    seen = []

    async def note(context):
        seen.append(context.message)

    async with running(
        "routes:\n"
        + "".join(
            f"  r{n}: {{inbound: {{queue: /topic/t, capacity: {capacity}}}, adapters: [{{type: note}}]}}\n"
            for n, capacity in enumerate(capacities)
        ),
        adapters={"note": note},
        seconds=100,
    ) as execution:
        execution.pause()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(execution.publish_batch, "r0", list(range(20)))
            await trio.testing.wait_all_tasks_blocked()
            routes = execution.statistics().routes
            assert [route.waiting for route in routes.values()] == [min(capacities)] * len(capacities)
            execution.resume()
        await execution.complete()
    assert sorted(seen) == sorted(list(range(20)) * len(capacities))


async def test_a_message_that_one_queue_cannot_take_goes_to_none():
    async with running(
        """
routes:
  a: {adapters: [{type: forward}], outbound: [{route: b}, {queue: /queue/out}, {route: b}]}
  b: {adapters: [{type: forward}]}
"""
    ) as execution:
        async with execution.subscribe("/queue/out", capacity=2):
            pass  # names the capacity, and goes: nobody reads it any more
        for number in range(5):
            execution.publish_nowait("a", number)
        report = await execution.complete()
    a, b = report.routes.values()
    assert (a.completed, a.failed, a.emitted) == (2, 3, 6)
    assert b.received == 4
    assert {failure.error_type for failure in report.failures} == {"QueueFullError"}


@pytest.mark.parametrize(("mode", "expected"), [("first", (3, 0)), ("all", (3, 3))])
async def test_outbounds_without_conditions_get_a_message_each_or_only_the_first_does(mode, expected):
    async with running(
        f"""
routes:
  a: {{adapters: [{{type: forward}}], outbound: [{{route: b}}, {{route: c}}], outbound_mode: {mode}}}
  b: {{adapters: [{{type: forward}}]}}
  c: {{adapters: [{{type: forward}}]}}
"""
    ) as execution:
        for number in range(3):
            execution.publish_nowait("a", number)
        routes = (await execution.complete()).routes
    assert (routes["b"].completed, routes["c"].completed) == expected
    assert routes["a"].emitted == sum(expected)


def publishers(execution):
    return {
        "publish": lambda: execution.publish("r", 0),
        "publish_batch": lambda: execution.publish_batch("r", [0, 1]),
    }


@pytest.mark.parametrize("how", ["publish", "publish_batch"])
async def test_a_cancelled_publisher_publishes_nothing(how):
    async with running("routes: {r: {adapters: [{type: forward}]}}") as execution:
        execution.pause()
        with trio.CancelScope() as scope:
            scope.cancel()
            await publishers(execution)[how]()
        assert scope.cancelled_caught
        assert execution.statistics().routes["r"].waiting == 0
        await execution.cancel()


@pytest.mark.parametrize("how", ["publish", "publish_batch"])
async def test_a_publisher_that_is_cancelled_when_it_has_published_hears_of_its_ids(how):
    async with running("routes: {r: {adapters: [{type: forward}]}}") as execution:
        execution.pause()
        ids = None
        with trio.CancelScope() as scope:
            route_of(execution, "r").inbound.listen(scope.cancel)  # as soon as something arrives
            ids = await publishers(execution)[how]()
        assert scope.cancel_called
        assert not scope.cancelled_caught
        assert ids is not None
        await execution.cancel()
