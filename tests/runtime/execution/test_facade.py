"""The object that users hold: batches with headers and keys, and one snapshot of everything that has state."""

import pytest
import trio

from factflow_engine.queues.memory import MemoryQueue
from factflow_engine.runtime.execution.manager import OrchestratorManager
from factflow_engine.runtime.report import Holder
from factflow_protocols import AdapterResult
from support.clocks import seams_on_trio_time
from support.elsewhere import Connection
from support.pipelines import load, registry_of, running

KEYED = """
routes:
  r: {inbound: {concurrency: 8, capacity: 3, ordering: key}, adapters: [{type: look}], outbound: [{route: s}]}
  s: {adapters: [{type: look}]}
"""


@pytest.mark.parametrize("durable", [False, True])
async def test_a_batch_carries_headers_for_all_and_a_key_for_each(durable, autojump_clock):
    seen = []

    async def look(context):
        seen.append((context.message_id, context.message, context.headers["tenant"]))
        return AdapterResult.forward()

    registry = registry_of(look=look)
    queue = Connection(MemoryQueue()) if durable else None
    async with OrchestratorManager(registry=registry, queue=queue, seams=seams_on_trio_time()) as manager:
        execution = await manager.start(load(registry, KEYED))
        ids = await execution.publish_batch(
            "r", list(range(10)), headers={"tenant": "a"}, keys=[f"k{number % 2}" for number in range(10)]
        )
        more = await execution.publish_batch("r", [10, 11], headers={"tenant": "b"})
        await execution.complete()
    assert len(set(ids + more)) == 12
    first = {(message_id, message, tenant) for message_id, message, tenant in seen if message_id in ids + more}
    assert first == {(name, number, "b" if number > 9 else "a") for number, name in enumerate(ids + more)}
    assert len(seen) == 24, "what messages lead to has their headers"


@pytest.mark.parametrize("durable", [False, True])
async def test_messages_of_one_key_in_a_batch_are_handled_in_their_order(durable, autojump_clock):
    now, most, order = {}, {}, []

    async def look(context):
        key = context.message % 3
        now[key] = now.get(key, 0) + 1
        most[key] = max(most.get(key, 0), now[key])
        await trio.sleep(1 if context.message < 3 else 0.1)
        order.append(context.message)
        now[key] -= 1

    text = "routes: {r: {inbound: {concurrency: 8, ordering: key}, adapters: [{type: look}]}}"
    registry = registry_of(look=look)
    queue = Connection(MemoryQueue()) if durable else None
    async with OrchestratorManager(registry=registry, queue=queue, seams=seams_on_trio_time()) as manager:
        execution = await manager.start(load(registry, text))
        await execution.publish_batch("r", list(range(12)), keys=[f"k{number % 3}" for number in range(12)])
        await execution.complete()
    assert set(most.values()) == {1}
    for key in range(3):
        assert [number for number in order if number % 3 == key] == list(range(key, 12, 3))


@pytest.mark.parametrize("durable", [False, True])
@pytest.mark.parametrize(
    ("keys", "problem"), [(["a"], "got 1 keys for 2 payloads"), ("ab", "got a string"), ([], "got 0 keys for 2")]
)
async def test_a_batch_without_a_key_for_each_payload_publishes_nothing(durable, keys, problem, autojump_clock):
    registry = registry_of()
    queue = Connection(MemoryQueue()) if durable else None
    async with OrchestratorManager(registry=registry, queue=queue, seams=seams_on_trio_time()) as manager:
        execution = await manager.start(load(registry, "routes: {r: {adapters: [{type: forward}]}}"))
        with pytest.raises(ValueError, match=problem):
            await execution.publish_batch("r", [1, 2], keys=keys)
        with pytest.raises(TypeError, match="key= needs a string or None, got int"):
            await execution.publish_batch("r", [1, 2], keys=["a", 1])
        assert (await execution.complete()).outcomes["completed"] == 0


async def test_a_batch_with_keys_that_waits_for_room_can_be_cancelled(autojump_clock):
    async with running("routes: {r: {inbound: {capacity: 4}, adapters: [{type: forward}]}}") as execution:
        execution.pause("r")
        with trio.move_on_after(1) as scope:
            await execution.publish_batch("r", list(range(9)), keys=["a"] * 9)
        assert scope.cancelled_caught
        assert execution.statistics().routes["r"].waiting == 4, "the first messages were published"
        execution.resume("r")


async def test_one_snapshot_has_everything_that_has_state(autojump_clock):
    async def fail(context):
        raise OSError("down")

    async def slow(context):
        await trio.sleep(100)

    text = """
routes:
  down:
    adapters: [{type: fail, circuit_breaker: {minimum_calls: 1, sliding_window_size: 1, wait_duration_seconds: 60}}]
    error_handling: {max_retries: 0}
  slow: {adapters: [{type: slow}]}
"""
    async with running(text, adapters={"fail": fail, "slow": slow}, seams=seams_on_trio_time()) as execution:
        await execution.publish_batch("down", [1, 2])
        [message_id] = await execution.publish_batch("slow", [3])
        await trio.sleep(5)
        statistics = execution.statistics()
        assert statistics.circuits["down/fail"].states == {"open": 1}
        assert statistics.circuits == execution.circuits()
        assert ("slow", "slow", message_id, Holder.ADAPTER) in {
            (held.route, held.stage, held.message_id, held.by) for held in statistics.held
        }
        assert {(held.route, held.message_id) for held in statistics.held} == {
            (held.route, held.message_id) for held in execution.held()
        }
        await execution.cancel()
        after = execution.statistics()
    assert after.held == ()
    assert after.circuits["down/fail"].totals.failed == 1
