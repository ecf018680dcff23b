"""Dead letters that found their queue full are told of room as publishers are: at once, in order, and in their turn."""

from itertools import pairwise

import pytest
import trio

from factflow_engine.queues.memory import MemoryQueue
from factflow_protocols import AdapterResult, Reject
from support.clocks import seams_on_trio_time
from support.elsewhere import Connection
from support.pipelines import assert_counters_balance, running

PIPELINE = """
routes:
  r: {{inbound: {{capacity: 5}}, adapters: [{{type: reject}}], error_handling: {{dead_letter_queue: /queue/dead}}}}
  s: {{inbound: {{capacity: 5}}, adapters: [{{type: reject}}], error_handling: {{dead_letter_queue: /queue/dead}}}}
  dead: {{inbound: {{queue: /queue/dead, capacity: {capacity}, concurrency: 1}}, adapters: [{{type: read}}]}}
"""


async def reject(context):
    raise Reject("never")


def reading(seen, seconds=0.01):
    async def read(context):
        await trio.sleep(seconds)
        seen.append(context.message)
        return AdapterResult.forward()

    return {"reject": reject, "read": read}


@pytest.mark.parametrize("capacity", [1, 3, 100])
async def test_letters_go_as_fast_as_their_queue_is_read_and_in_order(autojump_clock, capacity):
    seen = []
    async with running(
        PIPELINE.format(capacity=capacity), adapters=reading(seen), seams=seams_on_trio_time()
    ) as execution:
        start = trio.current_time()
        await execution.publish_batch("r", list(range(200)))
        report = await execution.complete()
    assert seen == list(range(200))
    assert trio.current_time() - start < 2.1, "its reader alone needs two seconds"
    assert_counters_balance(report)


async def test_routes_and_publishers_that_share_a_dead_letter_queue_take_turns(autojump_clock):
    seen = []
    async with running(PIPELINE.format(capacity=1), adapters=reading(seen), seams=seams_on_trio_time()) as execution:

        async def publish(route, name):
            for _ in range(100):
                await execution.publish(route, name)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(publish, "r", "r")
            nursery.start_soon(publish, "s", "s")
            nursery.start_soon(publish, "dead", "p")
        await execution.complete()
    first = seen[:150]
    assert all(first.count(name) > 35 for name in "rsp"), {name: first.count(name) for name in "rsp"}
    for name in "rsp":
        places = [place for place, one in enumerate(first) if one == name]
        assert max(later - earlier for earlier, later in pairwise(places)) <= 6


async def test_letters_on_a_durable_queue_go_as_fast_as_it_takes_them(autojump_clock):
    """The way to the queue holds so many; behind it they wait."""
    connection = Connection(MemoryQueue(), publish_seconds=lambda queue: 0.01)
    seen = []
    text = """
routes:
  r:
    inbound: {prefetch: 4000, capacity: 4000}
    adapters: [{type: reject}]
    error_handling: {dead_letter_queue: /queue/dead}
  dead: {inbound: {queue: /queue/dead, prefetch: 4000, capacity: 10000}, adapters: [{type: read}]}
"""
    adapters = reading(seen, 0)
    async with running(text, adapters=adapters, queue=connection, seams=seams_on_trio_time()) as execution:
        await execution.publish_batch("r", list(range(3500)))
        with trio.fail_after(1):
            report = await execution.complete()
    assert report.routes["r"].dead_lettered == 3500
    assert len(set(seen)) == 3500


async def test_letters_whose_last_reader_leaves_fail_at_once(autojump_clock):
    async with running(
        """
routes:
  r: {inbound: {capacity: 5}, adapters: [{type: reject}], error_handling: {dead_letter_queue: /queue/dead}}
""",
        adapters={"reject": reject},
    ) as execution:
        async with execution.subscribe("/queue/dead", capacity=2):
            await execution.publish_batch("r", list(range(6)))
            await trio.testing.wait_all_tasks_blocked()
            assert execution.statistics().routes["r"].retrying == 4
        start = trio.current_time()
        report = await execution.complete()
        assert trio.current_time() == start
    assert (report.routes["r"].dead_lettered, report.routes["r"].failed) == (2, 4)


async def test_letters_that_wait_when_an_execution_is_cancelled_go_back(autojump_clock):
    async with (
        running(
            """
routes:
  r: {inbound: {capacity: 5}, adapters: [{type: reject}], error_handling: {dead_letter_queue: /queue/dead}}
""",
            adapters={"reject": reject},
        ) as execution,
        execution.subscribe("/queue/dead", capacity=1),
    ):
        await execution.publish_batch("r", list(range(3)))
        await trio.testing.wait_all_tasks_blocked()
        report = await execution.cancel()
    assert (report.routes["r"].dead_lettered, report.routes["r"].waiting, report.routes["r"].retrying) == (1, 2, 0)
    assert [held.by for held in report.held] == ["dead_letter_queue"] * 2
    assert_counters_balance(report)
