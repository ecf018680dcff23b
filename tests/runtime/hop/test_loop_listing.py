"""The ready list and who looks at it: a route stands there once, and a worker that died is nobody to wait for."""

import pytest
import trio
import trio.testing

from factflow_engine.runtime.hop.route_state import TURN
from factflow_engine.testing import Simulation
from factflow_protocols import AdapterResult
from support.internals import ready_routes_of
from support.pipelines import assert_counters_balance, publish_together, running


@pytest.mark.parametrize("turns", [1, 4, 20])
@pytest.mark.parametrize("queue", ["", "queue: /queue/q, "], ids=["own", "shared"])
async def test_a_late_route_waits_for_two_turns_of_another_however_many_that_has_had(turns, queue, mock_clock):
    """The one that runs, and the next one, which is listed when that begins; listed twice, it would be ever more."""
    order = []

    async def note(context):
        order.append(context.route)
        if len(order) == turns * TURN + 1:
            execution.publish_nowait("late", 0)

    async with running(
        f"routes: {{busy: {{inbound: {{{queue}concurrency: 1, capacity: 10000}}, adapters: [{{type: note}}]}}, "
        "late: {adapters: [{type: note}]}}",
        adapters={"note": note},
        seams=Simulation(1).seams,  # on a clock that stands still: a quantum would end a turn early
    ) as execution:
        async with execution.subscribe("/queue/q", capacity=10_000):  # who shares a queue hears of each message
            publish_together(execution, busy=range((turns + 10) * TURN))
            await trio.testing.wait_all_tasks_blocked()
        await execution.complete()
    assert len(order) == (turns + 10) * TURN + 1
    assert order.index("late") <= (turns + 2) * TURN


async def test_a_shared_queue_lists_its_route_once_however_many_messages_it_tells_of():
    async with (
        running("routes: {r: {inbound: {queue: /queue/q}, adapters: [{type: forward}]}}") as execution,
        execution.subscribe("/queue/q"),
    ):
        for number in range(100):
            execution.publish_nowait("r", number)
        assert len(ready_routes_of(execution)) == 1
        await execution.cancel()


async def test_what_is_due_while_an_execution_ends_is_done_although_a_worker_has_died(autojump_clock, caplog):
    """The death is noted, the end was asked for before: what has begun goes on for as long as the grace lasts."""
    attempts = []

    async def flaky(context):
        attempts.append(trio.current_time() - start)
        if context.attempt == 1:
            raise OSError("not yet")

    async def dies(context):
        await trio.sleep(1)
        raise SystemExit(3)

    async def long(context):
        await trio.sleep(8)
        return AdapterResult.forward()

    start = trio.current_time()
    async with running(
        """
routes:
  long: {adapters: [{type: long}]}
  dies: {adapters: [{type: dies}]}
  flaky:
    adapters: [{type: flaky}]
    error_handling: {max_retries: 1, retry_delay_seconds: 2, jitter: none}
""",
        adapters={"long": long, "dies": dies, "flaky": flaky},
        seconds=100,
    ) as execution:
        for route in ("long", "flaky", "dies"):
            await execution.publish(route, 0)
        await trio.testing.wait_all_tasks_blocked()
        report = await execution.cancel(5)
    assert attempts == pytest.approx([0, 2], abs=0.01)
    assert report.routes["flaky"].filtered == 1
    assert report.status == "cancelled"
    assert [error.partition(":")[0] for error in report.close_errors] == ["route 'dies' died"]
    assert_counters_balance(report)
