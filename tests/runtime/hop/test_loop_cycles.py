"""How far a cycle of queues goes over its capacities when it would be stuck: by one message at a time."""

import pytest
import trio

from factflow_protocols import AdapterResult, Reject
from support.clocks import seams_on_trio_time
from support.internals import route_of, routes_of
from support.pipelines import assert_counters_balance, running


async def test_a_stuck_cycle_goes_over_a_capacity_by_one():
    most = 0

    async def count_down(context):
        nonlocal most
        most = max(most, *(route.inbound.waiting for route in routes_of(execution)))
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
        report = await execution.complete()
    assert report.outcomes["filtered"] == 10
    assert most <= 6


async def test_a_driver_in_a_stuck_cycle_lets_the_others_take_before_it_goes_over_a_capacity():
    most = 0

    async def emit(context):
        return AdapterResult(emitted=range(100))

    async def drop(context):
        nonlocal most
        most = max(most, route_of(execution, "b").inbound.waiting)

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
        report = await execution.complete()
    assert report.routes["b"].filtered == 300
    assert most <= 2


async def test_a_cycle_that_was_not_stuck_when_it_began_to_wait_is_asked_again(autojump_clock):
    """`a` waits for itself; `b`, of the same component, for a dead-letter queue outside, which is read in its time."""
    never = "condition: {field: never, operator: exists}"

    async def reject(context):
        raise Reject("no")

    async def read(context):
        await trio.sleep(3)

    async with running(
        f"""
routes:
  a: {{inbound: {{capacity: 1}}, outbound: [{{route: a, {never}}}, {{route: b, {never}}}]}}
  b:
    adapters: [{{type: reject}}]
    outbound: [{{route: c, {never}}}]
    error_handling: {{dead_letter_queue: /queue/dead}}
  c: {{outbound: [{{route: a, {never}}}]}}
  dead: {{inbound: {{queue: /queue/dead, capacity: 1, concurrency: 1}}, adapters: [{{type: read}}]}}
""",
        adapters={"reject": reject, "read": read},
    ) as execution:
        for number in range(4):
            execution.publish_nowait("b", number)
        await trio.sleep(0.5)
        execution.publish_nowait("a", {})
        await trio.testing.wait_all_tasks_blocked()
        assert execution.statistics().routes["a"].filtered == 1, "what waits for itself alone waits for nobody else"
        report = await execution.complete()
    assert report.routes["b"].dead_lettered == 4


@pytest.mark.parametrize("key", ["", "key: host, "])
@pytest.mark.parametrize("capacity", [1, 5])
async def test_a_trial_call_that_emits_into_its_own_full_queue_does_not_wait_for_its_lease(
    autojump_clock, key, capacity
):
    """The breaker's one trial is a driver without room; the messages in its way wait for the breaker."""
    most, calls = 0, 0

    async def expand(context):
        nonlocal calls
        calls += 1
        if calls == 1:
            raise ConnectionError("down")
        return AdapterResult(emitted=({"leaf": number} for number in range(50)))

    async def age(context):
        nonlocal most
        route = route_of(execution, "r")
        if calls == 2:  # the trial
            most = max(most, route.inbound.waiting + len(route.waiting) + len(route.children))
        return AdapterResult(message={"leaf": context.message["leaf"] + 60})

    async with running(
        f"""
routes:
  r:
    inbound: {{concurrency: 8, capacity: {capacity}}}
    error_handling: {{max_retries: 5, retry_delay_seconds: 0.01}}
    adapters:
      - type: expand
        condition: {{field: host, operator: exists}}
        circuit_breaker: {{{key}minimum_calls: 1, sliding_window_size: 1, wait_duration_seconds: 1,
          permitted_calls_in_half_open: 1, half_open_lease_seconds: 1000}}
      - {{type: age, condition: {{field: leaf, operator: exists}}}}
    outbound: [{{route: r, condition: {{field: leaf, operator: lt, value: 100}}}}]
""",
        adapters={"expand": expand, "age": age},
        seams=seams_on_trio_time(),
        seconds=100,
    ) as execution:
        async with trio.open_nursery() as nursery:
            for _ in range(20):
                nursery.start_soon(execution.publish, "r", {"host": "h"})
        report = await execution.complete()
    assert_counters_balance(report)
    assert report.outcomes["failed"] == 0
    assert calls == 21
    assert most <= 50 + 2 * capacity + 1


async def test_what_a_driver_emits_in_a_stuck_cycle_goes_on_before_it_emits_more():
    pulled, carried = 0, 0

    async def emit(context):
        def numbers():
            nonlocal pulled
            for number in range(100):
                pulled += 1
                assert pulled - carried <= 2, "it is pulled no faster than it is carried"
                yield number

        return AdapterResult(emitted=numbers())

    async def carry(context):
        nonlocal carried
        carried += 1
        return AdapterResult.forward()

    async with running(
        """
routes:
  a:
    inbound: {capacity: 1, concurrency: 1}
    adapters: [{type: emit, condition: {field: "@", operator: eq, value: first}}, {type: carry}]
    outbound: [{route: a, condition: {field: "@", operator: eq, value: first}}, {route: b}]
  b: {inbound: {capacity: 1, concurrency: 1}, outbound: [{route: a, condition: {field: "@", operator: eq, value: -1}}]}
""",
        adapters={"emit": emit, "carry": carry},
    ) as execution:
        await execution.publish("a", "first")
        await execution.publish("a", "other")
        report = await execution.complete()
    assert report.failures == ()
    assert pulled == 100


async def test_no_route_goes_ahead_into_the_queue_of_one_whose_permits_are_all_at_work(autojump_clock):
    """It would only be overrun: what waits for it may go on when it has come so far."""

    async def rest(context):
        await trio.sleep(100)
        return AdapterResult(message=context.message - 1) if context.message else None

    async with running(
        """
routes:
  a: {inbound: {capacity: 2, concurrency: 1}, adapters: [{type: rest}], outbound: [{route: b}]}
  b: {inbound: {capacity: 2}, outbound: [{route: a}]}
""",
        adapters={"rest": rest},
        seconds=1e6,
    ) as execution:
        async with trio.open_nursery() as nursery:
            for _ in range(20):
                nursery.start_soon(execution.publish, "b", 1)
            await trio.sleep(50)
            assert execution.statistics().routes["a"].waiting == 2
            assert execution.statistics().routes["b"].waiting == 2
        report = await execution.complete()
    assert report.routes["a"].filtered == 20


@pytest.mark.parametrize("seconds", [0, 0.1])
@pytest.mark.parametrize("order", ["ab", "ba"])
async def test_publishers_from_outside_do_not_fill_a_cycle_that_goes_over_its_capacities(
    autojump_clock, seconds, order
):
    """Room that a message made which went ahead is not for them to take: they would make it stuck again, for ever."""
    most = 0

    async def step(context):
        nonlocal most
        routes = routes_of(execution)
        most = max(most, sum(route.inbound.waiting + route.carrier.busy for route in routes))
        if seconds:
            await trio.sleep(seconds)
        return AdapterResult(message=context.message - 1) if context.message else None

    routes = {
        "a": "a: {inbound: {capacity: 3, concurrency: 1}, adapters: [{type: step}], outbound: [{route: b}]}",
        "b": "b: {inbound: {capacity: 3, concurrency: 1}, adapters: [{type: step}], outbound: [{route: a}]}",
    }
    async with running(
        "routes:\n" + "".join(f"  {routes[name]}\n" for name in order),
        adapters={"step": step},
        seams=seams_on_trio_time(),
        seconds=1e5,
    ) as execution:
        async with trio.open_nursery() as nursery:
            for _ in range(40):
                nursery.start_soon(execution.publish, "a", 50)
        report = await execution.complete()
    assert report.outcomes["filtered"] == 40
    assert most <= 3 + 3 + 2 + 1
