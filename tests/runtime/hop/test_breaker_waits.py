"""A trial call that emits lazily, and has no place for what it emits: those who have the places wait for it."""

import pytest
import trio

from factflow_engine.queues.memory import MemoryQueue
from factflow_protocols import AdapterResult
from support.clocks import seams_on_trio_time
from support.elsewhere import Connection
from support.pipelines import assert_counters_balance, running

BREAKER = """minimum_calls: 1, sliding_window_size: 1, wait_duration_seconds: 1, permitted_calls_in_half_open: 1,
      half_open_lease_seconds: 3600"""


@pytest.mark.parametrize("key", ["", "key: host, "])
@pytest.mark.parametrize("outbound", ["", "outbound: [{route: next}]"])
@pytest.mark.parametrize("capacity", [1, 3])
async def test_a_trial_on_no_cycle_of_queues_does_not_wait_for_its_lease(autojump_clock, capacity, outbound, key):
    walked, calls = set(), 0

    async def walk(context):
        """Brings the first to the breaker long before the others, which are refused one after the other."""
        if context.message_id not in walked:
            walked.add(context.message_id)
            await trio.sleep(2 + 0.1 * len(walked) if len(walked) > 1 else 0.1)
        return AdapterResult.forward()

    async def expand(context):
        nonlocal calls
        calls += 1
        if calls == 1:
            raise ConnectionError("down")

        async def leaves():
            for number in range(3):
                await trio.sleep(2)
                yield number

        return AdapterResult(emitted=leaves())

    async with running(
        f"""
routes:
  r:
    inbound: {{concurrency: 8, capacity: {capacity}}}
    error_handling: {{max_retries: 5, retry_delay_seconds: 0.01, jitter: none}}
    adapters: [{{type: walk}}, {{type: expand, circuit_breaker: {{{key}{BREAKER}}}}}, {{type: forward}}]
    {outbound}
  next: {{adapters: [{{type: forward}}]}}
""",
        adapters={"walk": walk, "expand": expand},
        seams=seams_on_trio_time(),
        seconds=200,
    ) as execution:
        async with trio.open_nursery() as nursery:
            for _ in range(8):
                nursery.start_soon(execution.publish, "r", {"host": "h"})
        report = await execution.complete()
    assert_counters_balance(report)
    assert report.routes["r"].failed == 0
    assert calls == 9


@pytest.mark.parametrize("options", [{}, {"queue": Connection(MemoryQueue())}], ids=["memory", "durable"])
@pytest.mark.parametrize("key", ["", "key: host, "])
@pytest.mark.parametrize("first", ["trial", "spread"])
async def test_only_the_trial_goes_ahead_and_no_source_whose_messages_wait_for_it(autojump_clock, first, key, options):
    """What another driver emits would wait for the breaker as well, however much that is."""
    most, calls, pulled, walked = 0, 0, 0, set()

    async def spread(context):
        async def numbers():
            nonlocal pulled
            for number in range(50):
                pulled += 1
                yield {"host": "h", "number": number}

        return AdapterResult(emitted=numbers())

    async def walk(context):
        nonlocal most
        number = context.message.get("number")
        if context.message_id not in walked:
            walked.add(context.message_id)
            await trio.sleep(0.1 if number is None else 2 + 0.1 * (number % 7))
        most = max(most, execution.statistics().routes["r"].retrying)
        return AdapterResult.forward()

    async def expand(context):
        nonlocal calls
        calls += 1
        if calls == 1:
            raise ConnectionError("down")

        async def leaves():
            nonlocal most
            for number in range(4):
                await trio.sleep(1)
                most = max(most, execution.statistics().routes["r"].retrying)
                yield number

        return AdapterResult(emitted=leaves())

    async with running(
        f"""
routes:
  r:
    inbound: {{concurrency: 6, capacity: 2, prefetch: 2}}
    error_handling: {{max_retries: 5, retry_delay_seconds: 0.01, jitter: none}}
    adapters:
      - {{type: spread, condition: {{field: kind, operator: eq, value: spread}}}}
      - {{type: walk}}
      - {{type: expand, circuit_breaker: {{{key}{BREAKER}}}}}
      - {{type: forward}}
""",
        adapters={"spread": spread, "walk": walk, "expand": expand},
        seams=seams_on_trio_time(),
        seconds=500,
        **options,
    ) as execution:
        messages = [{"host": "h", "kind": "trial"}, {"host": "h", "kind": "spread"}]
        for message in messages if first == "trial" else reversed(messages):
            await execution.publish("r", message)
        report = await execution.complete()
    assert_counters_balance(report)
    assert report.routes["r"].failed == 0
    assert (calls, pulled) == (52, 50)
    assert most <= 2 + 6 + 6, "its capacity, what was in flight and the children that had been begun when it filled"
