"""Errors that raise when they are examined, wherever an adapter raises them: their message ends, and no other is touched."""

import logging

import pytest
import trio

from factflow_engine.queues.memory import MemoryQueue
from factflow_engine.runtime.report import ExecutionStatus, Outcome
from factflow_protocols import AdapterResult
from support.hostile_errors import HOSTILE, broken
from support.pipelines import assert_counters_balance, run, running
from support.sqlite_queues import simulated

BREAKER = "circuit_breaker: {minimum_calls: 100}"
HANDLING = {
    "fails": "{}",
    "is retried": "{max_retries: 2, retry_delay_seconds: 1}",
    "is a dead letter": "{max_retries: 1, dead_letter_queue: /queue/dead}",
    "is named": "{max_retries: 1, retry_on: [RetryLater, CircuitOpenError], give_up_on: [ExceptionGroup]}",
    "has a deadline": "{max_retries: 1, deadline_seconds: 20, max_deferrals: 3}",
}


async def raises(make, _):
    raise make()


async def emits_then_raises(make, _):
    def elements():
        yield 1
        raise make()

    return AdapterResult(emitted=elements())


async def emits_later_then_raises(make, _):
    async def elements():
        yield 1
        await trio.sleep(0.1)
        raise make()

    return AdapterResult(emitted=elements())


async def raises_a_group(make, _):  # not from a nursery: trio itself cannot take some of these errors from a task
    raise ExceptionGroup("both", [make(), OSError("down")])


async def leaves_a_scope_open(make, _):
    trio.CancelScope().__enter__()
    raise make()


WAYS = [raises, emits_then_raises, emits_later_then_raises, raises_a_group, leaves_a_scope_open]


@pytest.mark.parametrize("stored", [False, True], ids=["memory", "durable"])
@pytest.mark.parametrize("handling", HANDLING.values(), ids=HANDLING)
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("breaker", ["", BREAKER], ids=["", "breaker"])
async def test_a_message_ends_whatever_its_error_does(autojump_clock, tmp_path, caplog, stored, handling, way, breaker):
    caplog.set_level(logging.DEBUG, "factflow_engine.runtime")  # tracebacks are printed, too
    kinds, tries = list(HOSTILE), dict.fromkeys(HOSTILE, 0)

    async def fails(context):
        kind = context.message
        if kind not in HOSTILE or tries[kind] >= 4:  # an instruction that can be read is not bounded by retries
            return AdapterResult.forward()
        tries[kind] += 1
        return await way(HOSTILE[kind], context)

    queue = simulated(tmp_path / "q.db", clock=None) if stored else MemoryQueue()
    text = f"routes: {{r: {{adapters: [{{type: fails, {breaker}}}], error_handling: {handling}}}}}"
    async with running(text, adapters={"fails": fails}, seconds=1e4, queue=queue) as execution:
        await execution.publish_batch("r", [*kinds, "well"])
        report = await execution.complete()
    await queue.stop()
    assert report.status is ExecutionStatus.COMPLETED, report.error
    assert_counters_balance(report)
    assert report.routes["r"].in_flight == 0
    assert sum(report.outcomes.values()) >= len(kinds) + 1
    assert report.outcomes[Outcome.COMPLETED] >= 1
    assert all(tries.values())


def _raises_at_once(make):
    raise make()


def _emits_then_raises(make):
    def elements():
        yield 1
        raise make()

    return AdapterResult(emitted=elements())


@pytest.mark.parametrize("way", [_raises_at_once, _emits_then_raises])
@pytest.mark.parametrize("kind", HOSTILE)
async def test_an_error_of_a_thread_reaches_its_message_whatever_it_does(kind, way):
    tries = 0

    def fails(context):
        nonlocal tries
        tries += context.message == kind
        return AdapterResult.forward() if context.message != kind or tries > 2 else way(HOSTILE[kind])

    text = "routes: {r: {adapters: [{type: fails}]}}"
    report = await run(text, adapters={"fails": fails}, publish=[("r", kind), ("r", "well")])
    assert report.status is ExecutionStatus.COMPLETED, report.error
    assert_counters_balance(report)
    assert report.outcomes[Outcome.COMPLETED] >= 1
    assert tries >= 1


async def test_an_error_that_cannot_be_examined_says_so_where_it_was_raised(autojump_clock):
    async def fails(context):
        raise broken("__class__")

    text = "routes: {r: {adapters: [{type: fails}], error_handling: {max_retries: 1}}}"
    async with running(text, adapters={"fails": fails}) as execution:
        await execution.publish("r", 1)
        report = await execution.complete()
    [failure] = report.failures
    assert failure.error_type == "UnreadableErrorError"
    assert (
        failure.error == "Hostile: ; the error could not be examined, because that raised Examined: correct its class"
    )
    assert failure.attempts == 2
    assert failure.place.startswith("test_hostile_errors.py:")
