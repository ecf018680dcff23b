"""Messages that their adapters defer: no attempt is spent, and still nothing spins and nothing is deferred for ever."""

from itertools import pairwise

import pytest
import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st

from factflow_engine.runtime.report import Outcome
from factflow_protocols import AdapterResult, CircuitOpenError, RetryLater
from support.clocks import seams_on_trio_time
from support.pipelines import assert_counters_balance, run, running

INSTANT = {
    "RetryLater": lambda: RetryLater(0, "busy"),
    "CircuitOpenError": lambda: CircuitOpenError("the adapter's own", 0),
    "CircuitOpenError without a time": lambda: CircuitOpenError("the adapter's own", None),
    "a group": lambda: ExceptionGroup("", [RetryLater(0), RetryLater(0)]),
    "a tiny delay": lambda: RetryLater(1e-12),
}
WITH_BREAKER = "adapters: [{type: a, circuit_breaker: {minimum_calls: 1}}]"
WITH_KEYED_BREAKER = "adapters: [{type: a, circuit_breaker: {key: host, minimum_calls: 1}}]"


def deferring(make, times=10**9):
    calls = []

    async def process(context):
        calls.append((trio.current_time(), context.attempt))
        if len(calls) <= times:
            raise make()
        return AdapterResult.forward()

    return calls, process


@pytest.mark.parametrize("make", INSTANT.values(), ids=INSTANT)
@pytest.mark.parametrize("route", ["adapters: [{type: a}]", WITH_BREAKER, WITH_KEYED_BREAKER])
async def test_no_instruction_makes_a_message_spin(autojump_clock, make, route):
    calls, process = deferring(make)
    async with running(f"routes: {{r: {{{route}}}}}", adapters={"a": process}) as execution:
        await execution.publish("r", {"host": "h"})
        await trio.sleep(4.5)
        assert 4 <= len(calls) <= 14, "the wait doubles up to a second"
        pauses = [later - sooner for (sooner, _), (later, _) in pairwise(calls)]
        assert all(later >= sooner * (1 - 1e-6) for sooner, later in pairwise(pauses))
        assert {attempt for _, attempt in calls} == {1}
        assert_counters_balance(execution.statistics())
        assert execution.statistics().routes["r"].retrying == 1
        await execution.cancel()


@pytest.mark.parametrize("make", INSTANT.values(), ids=INSTANT)
@pytest.mark.parametrize("letters", [True, False])
async def test_a_message_that_is_deferred_too_often_is_given_up_and_says_so(autojump_clock, make, letters):
    calls, process = deferring(make)
    dead = "dead_letter_queue: /queue/dead, " if letters else ""
    async with running(
        f"routes: {{r: {{adapters: [{{type: a}}], error_handling: {{{dead}max_retries: 5, max_deferrals: 3}}}}}}",
        adapters={"a": process},
    ) as execution:
        async with execution.subscribe("/queue/dead") as subscription:
            await execution.publish("r", 1)
            if letters:
                [letter] = await subscription.receive(1)
                why = letter.message.headers["dead_letter"]
                await subscription.settle([letter])
                error_type, text = why["error_type"], why["error"]
            report = await execution.complete()
        if not letters:
            [failure] = report.failures
            error_type, text = failure.error_type, failure.error
    assert len(calls) == 4, "no attempt follows: deferrals are no attempts"
    assert error_type == "DeferralsExhaustedError"
    assert text.startswith("deferred 3 times; error_handling.max_deferrals is 3; the last time: ")
    assert report.outcomes[Outcome.DEAD_LETTERED if letters else Outcome.FAILED] == 1
    assert_counters_balance(report)


async def test_there_is_a_bound_where_none_is_written(autojump_clock):
    calls, process = deferring(lambda: RetryLater(0))
    report = await run("routes: {r: {adapters: [{type: a}]}}", adapters={"a": process}, publish=[("r", 1)], seconds=1e6)
    assert len(calls) == 10_001
    assert report.failures[0].error_type == "DeferralsExhaustedError"


async def test_a_message_that_would_be_deferred_for_too_long_is_given_up_at_once(autojump_clock):
    calls, process = deferring(lambda: RetryLater(4))
    began = trio.current_time()
    report = await run(
        "routes: {r: {adapters: [{type: a}], error_handling: {max_deferral_seconds: 10}}}",
        adapters={"a": process},
        publish=[("r", 1)],
        seams=seams_on_trio_time(),
    )
    assert len(calls) == 3
    assert trio.current_time() - began == pytest.approx(8)
    assert report.failures[0].error == (
        "deferred 2 times in 8 s, and another 4 s are asked for; error_handling.max_deferral_seconds is 10; "
        "the last time: retry in 4 s"
    )


async def test_deferrals_are_counted_across_attempts_and_by_message(autojump_clock):
    calls = {}

    async def process(context):
        calls.setdefault(context.message, []).append(context.attempt)
        if context.message == "fine":
            return AdapterResult.forward()
        if len(calls[context.message]) == 3:
            raise OSError
        raise RetryLater(0)

    report = await run(
        "routes: {r: {adapters: [{type: a}], error_handling: {max_retries: 1, max_deferrals: 3}}}",
        adapters={"a": process},
        publish=[("r", "one"), ("r", "fine"), ("r", "two")],
    )
    assert calls == {"one": [1, 1, 1, 2, 2], "two": [1, 1, 1, 2, 2], "fine": [1]}
    assert report.outcomes[Outcome.FAILED] == 2


async def test_what_a_stage_emitted_is_bounded_too(autojump_clock):
    calls, process = deferring(lambda: RetryLater(0))

    async def emit(context):
        return AdapterResult(emitted=[1])

    report = await run(
        "routes: {r: {adapters: [{type: e}, {type: a}], error_handling: {max_deferrals: 2}}}",
        adapters={"e": emit, "a": process},
        publish=[("r", 0)],
    )
    assert len(calls) == 3
    assert (report.routes["r"].failed, report.routes["r"].completed) == (1, 1)


async def test_waiting_for_a_breaker_of_the_stage_is_no_deferral(autojump_clock):
    calls = []

    async def down(context):
        calls.append(trio.current_time())
        if len(calls) < 3:
            raise OSError
        return AdapterResult.forward()

    report = await run(
        "routes: {r: {adapters: [{type: a, circuit_breaker: {minimum_calls: 1, sliding_window_size: 1, "
        "wait_duration_seconds: 60, permitted_calls_in_half_open: 1}}], "
        "error_handling: {max_retries: 5, max_deferrals: 0, max_deferral_seconds: 0.1}}}",
        adapters={"a": down},
        publish=[("r", 1)],
        seams=seams_on_trio_time(),
        seconds=1000,
    )
    assert (len(calls), report.routes["r"].completed) == (3, 1)


@given(
    asked=st.lists(st.sampled_from([0.0, 1e-9, 0.05, 2.0]), max_size=40),
    most=st.integers(0, 30),
    breaker=st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_the_rate_of_calls_and_their_number_are_bounded_whatever_is_asked_for(asked, most, breaker):
    left = list(asked)
    calls, process = deferring(
        lambda: CircuitOpenError("own", left.pop()) if breaker else RetryLater(left.pop()), times=len(asked)
    )

    async def main():
        return await run(
            f"routes: {{r: {{adapters: [{{type: a}}], error_handling: {{max_deferrals: {most}}}}}}}",
            adapters={"a": process},
            publish=[("r", 0)],
            seconds=1000,
        )

    report = trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
    assert len(calls) == min(len(asked), most) + 1
    assert report.routes["r"].failed == (len(asked) > most)
    for begin in range(len(calls) - 1):
        within = [time for time, _ in calls if calls[begin][0] <= time < calls[begin][0] + 1.0]
        assert len(within) <= 11
