"""Failed messages: tried again outside the permit, from the original frame, then dead-lettered or failed."""

import pytest
import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st

from factflow_engine.runtime.report import ExecutionStatus, Outcome
from factflow_protocols import AdapterResult, Reject, RetryLater
from support.clocks import seams_on_trio_time
from support.pipelines import assert_counters_balance, run, running

RETRY = "error_handling: {max_retries: 3, retry_delay_seconds: 1, jitter: none}"


class Failing:
    """An adapter that raises as often as the message says, and notes when it was asked."""

    def __init__(self, error=OSError):
        self.calls = []
        self._error = error

    async def process(self, context):
        message = context.message
        self.calls.append((trio.current_time(), context.attempt, message["n"]))
        message["n"] = "changed"  # no later attempt may see this
        if context.attempt <= message["fails"]:
            raise self._error(f"attempt {context.attempt}")
        return AdapterResult.forward()


async def test_a_failed_message_is_tried_again_after_growing_delays_from_its_original_payload(autojump_clock):
    failing = Failing()
    began = trio.current_time()
    report = await run(
        f"routes: {{r: {{adapters: [{{type: a}}], {RETRY}}}}}",
        adapters={"a": failing.process},
        publish=[("r", {"n": 7, "fails": 3})],
    )
    assert report.routes["r"].completed == 1
    assert [(round(time - began), attempt, n) for time, attempt, n in failing.calls] == [
        (0, 1, 7),
        (1, 2, 7),
        (3, 3, 7),
        (7, 4, 7),
    ]


async def test_a_message_that_used_up_its_attempts_fails_once(autojump_clock):
    failing = Failing()
    report = await run(
        f"routes: {{r: {{adapters: [{{type: a}}], {RETRY}}}}}",
        adapters={"a": failing.process},
        publish=[("r", {"n": 1, "fails": 99})],
    )
    assert len(failing.calls) == 4
    assert (report.routes["r"].failed, report.routes["r"].received) == (1, 1)
    [failure] = report.failures
    assert (failure.attempts, failure.error) == (4, "attempt 4")
    assert_counters_balance(report)


async def test_waiting_for_a_retry_holds_no_permit_and_is_counted(autojump_clock):
    failing = Failing()
    async with running(
        f"routes: {{r: {{inbound: {{concurrency: 1}}, adapters: [{{type: a}}], {RETRY}}}}}",
        adapters={"a": failing.process},
    ) as execution:
        await execution.publish("r", {"n": 0, "fails": 1})
        for number in range(1, 20):
            await execution.publish("r", {"n": number, "fails": 0})
        await trio.sleep(0.5)
        route = execution.statistics().routes["r"]
        assert (route.completed, route.retrying, route.in_flight) == (19, 1, 0)
        assert_counters_balance(execution.statistics())
        assert execution.statistics().stalled == ()
        report = await execution.complete()
    assert report.routes["r"].completed == 20


async def test_waiting_messages_are_bounded_by_the_capacity(autojump_clock):
    failing = Failing()
    async with running(
        f"routes: {{r: {{inbound: {{concurrency: 1, capacity: 5}}, adapters: [{{type: a}}], {RETRY}}}}}",
        adapters={"a": failing.process},
    ) as execution:

        async def feed():
            for number in range(30):
                await execution.publish("r", {"n": number, "fails": 2})

        async with trio.open_nursery() as nursery:
            nursery.start_soon(feed)
            most = 0
            for _ in range(200):
                await trio.sleep(0.1)
                route = execution.statistics().routes["r"]
                most = max(most, route.retrying)
                assert route.retrying <= 5 + 1, "as many as may wait in the inbound queue, and what was in flight"
        assert most >= 5
        report = await execution.complete()
    assert report.routes["r"].completed == 30


async def test_give_up_and_retry_names(autojump_clock):
    failing = Failing(KeyError)
    report = await run(
        "routes: {r: {adapters: [{type: a}], error_handling: {max_retries: 3, give_up_on: [LookupError]}}}",
        adapters={"a": failing.process},
        publish=[("r", {"n": 1, "fails": 9})],
    )
    assert (len(failing.calls), report.routes["r"].failed) == (1, 1)


async def test_retry_later_waits_as_long_as_it_says_and_spends_no_attempt(autojump_clock):
    calls = []

    async def later(context):
        calls.append((round(trio.current_time() - began), context.attempt))
        if len(calls) < 3:
            raise RetryLater(10, "busy")
        return AdapterResult.forward()

    began = trio.current_time()
    report = await run("routes: {r: {adapters: [{type: a}]}}", adapters={"a": later}, publish=[("r", 1)])
    assert calls == [(0, 1), (10, 1), (20, 1)]
    assert report.routes["r"].completed == 1


async def test_reject_is_final(autojump_clock):
    async def reject(context):
        raise Reject("never")

    report = await run(
        f"routes: {{r: {{adapters: [{{type: a}}], {RETRY}}}}}", adapters={"a": reject}, publish=[("r", 1)]
    )
    assert [failure.error_type for failure in report.failures] == ["Reject"]
    assert report.failures[0].attempts == 1


async def test_a_child_is_tried_again_without_its_parent(autojump_clock):
    emitted, tried = [], []

    async def spread(context):
        emitted.append(context.message)
        return AdapterResult(emitted=[1, 2, 3])

    async def second(context):
        tried.append((context.message, context.attempt))
        if context.message == 2 and context.attempt < 3:
            raise OSError
        return AdapterResult.forward()

    report = await run(
        f"routes: {{r: {{adapters: [{{type: s}}, {{type: t}}], {RETRY}}}}}",
        adapters={"s": spread, "t": second},
        publish=[("r", 0)],
    )
    assert emitted == [0]
    assert sorted(tried) == [(1, 1), (2, 1), (2, 2), (2, 3), (3, 1)]
    assert report.routes["r"].completed == 4
    assert_counters_balance(report)


async def test_a_parent_whose_source_fails_is_tried_again_and_its_children_keep_their_ids(autojump_clock):
    ids = []

    async def spread(context):
        attempt = context.attempt

        def source():
            yield "a"
            if attempt == 1:
                raise OSError
            yield "b"

        return AdapterResult(emitted=source())

    async def note(context):
        ids.append((context.message, context.message_id))
        return AdapterResult.forward()

    report = await run(
        f"routes: {{r: {{adapters: [{{type: s}}, {{type: n}}], {RETRY}}}}}",
        adapters={"s": spread, "n": note},
        publish=[("r", 0)],
    )
    assert [message for message, _ in ids] == ["a", "a", "b"]
    assert ids[0] == ids[1]
    assert report.routes["r"].completed == 4
    assert_counters_balance(report)


async def test_what_waits_when_the_execution_is_cancelled_goes_back_and_is_named(autojump_clock):
    failing = Failing()
    async with running(
        f"routes: {{r: {{adapters: [{{type: a}}], {RETRY}}}}}",
        adapters={"a": failing.process},
        seams=seams_on_trio_time(),
    ) as execution:
        await execution.publish("r", {"n": 1, "fails": 9})
        await trio.sleep(0.5)
        report = await execution.cancel()
    assert report.status is ExecutionStatus.CANCELLED
    route = report.routes["r"]
    assert (route.received, route.waiting, route.retrying) == (0, 1, 0)
    [held] = report.held
    assert (held.route, held.stage, held.seconds) == ("r", "a", pytest.approx(0.5))


async def test_a_deadline_bounds_adapters_and_retries(autojump_clock):
    calls = []

    async def slow(context):
        calls.append(context.attempt)
        if context.attempt == 2:
            await trio.sleep(100)
        raise OSError

    with trio.fail_after(1000):
        report = await run(
            "routes: {r: {adapters: [{type: a}], error_handling: "
            "{max_retries: 9, retry_delay_seconds: 2, backoff: fixed, jitter: none, deadline_seconds: 5}}}",
            adapters={"a": slow},
            publish=[("r", 1)],
            seams=seams_on_trio_time(),
        )
    assert calls == [1, 2]
    [failure] = report.failures
    assert failure.error_type == "DeadlineExceededError"


async def test_a_retry_that_cannot_fit_in_the_deadline_is_not_waited_for(autojump_clock):
    failing = Failing()
    began = trio.current_time()
    report = await run(
        "routes: {r: {adapters: [{type: a}], error_handling: "
        "{max_retries: 9, retry_delay_seconds: 2, backoff: fixed, jitter: none, deadline_seconds: 5}}}",
        adapters={"a": failing.process},
        publish=[("r", {"n": 1, "fails": 99})],
        seams=seams_on_trio_time(),
    )
    assert len(failing.calls) == 3
    assert trio.current_time() - began == pytest.approx(4)
    assert report.routes["r"].failed == 1


async def test_a_wait_that_a_message_asks_for_fits_in_the_deadline_or_is_not_waited_for(autojump_clock):
    async def later(context):
        raise RetryLater(1000, "rate limit")

    began = trio.current_time()
    report = await run(
        "routes: {r: {adapters: [{type: a}], error_handling: {deadline_seconds: 5}}}",
        adapters={"a": later},
        publish=[("r", 1)],
        seams=seams_on_trio_time(),
        seconds=5000,
    )
    assert trio.current_time() - began < 5
    assert report.failures[0].error == "retry in 1000 s: rate limit"


async def test_a_message_waits_for_a_circuit_breaker_until_its_deadline(autojump_clock):
    async def down(context):
        raise OSError

    async with running(
        "routes: {r: {adapters: [{type: a, circuit_breaker: {minimum_calls: 1, sliding_window_size: 1, wait_jitter: 0, "
        "wait_duration_seconds: 60}}], error_handling: {deadline_seconds: 5}}}",
        adapters={"a": down},
        seams=seams_on_trio_time(),
        seconds=5000,
    ) as execution:
        await execution.publish("r", 1)
        await execution.publish("r", 2)
        began = trio.current_time()
        report = await execution.complete()
    assert trio.current_time() - began < 5.2
    assert [failure.error_type for failure in report.failures] == ["OSError", "DeadlineExceededError"]


def waiting_for_long():
    async def numbers():
        yield 1
        await trio.sleep(1000)
        yield 2

    return numbers()


def without_end():
    while True:
        yield 1


@pytest.mark.parametrize("emit", [waiting_for_long, without_end])
async def test_a_deadline_bounds_what_a_stage_emits(autojump_clock, emit):
    async def emitting(context):
        return AdapterResult(emitted=emit())

    async def second(context):
        await trio.sleep(1)
        return AdapterResult.forward()

    began = trio.current_time()
    report = await run(
        "routes: {r: {inbound: {concurrency: 1}, adapters: [{type: a}, {type: b}], "
        "error_handling: {deadline_seconds: 5, max_retries: 3}}}",
        adapters={"a": emitting, "b": second},
        publish=[("r", 1)],
        seams=seams_on_trio_time(),
    )
    assert trio.current_time() - began == pytest.approx(5)
    assert {failure.error_type for failure in report.failures} == {"DeadlineExceededError"}
    assert report.failures[-1].stage == "a"


@given(fails=st.lists(st.integers(0, 6), min_size=1, max_size=30), retries=st.integers(0, 4), letters=st.booleans())
@settings(max_examples=60, deadline=None)
def test_every_message_ends_once_whatever_fails(fails, retries, letters):
    failing = Failing()
    dead = "dead_letter_queue: /queue/dead, " if letters else ""
    text = (
        f"routes: {{r: {{adapters: [{{type: a}}], error_handling: {{{dead}max_retries: {retries}, "
        "retry_delay_seconds: 0.5, jitter: full}}}"
    )

    async def main():
        return await run(
            text, adapters={"a": failing.process}, publish=[("r", {"n": n, "fails": k}) for n, k in enumerate(fails)]
        )

    report = trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
    lost = sum(count > retries for count in fails)
    assert report.outcomes == {
        Outcome.COMPLETED: len(fails) - lost,
        Outcome.FILTERED: 0,
        Outcome.DEAD_LETTERED: lost if letters else 0,
        Outcome.FAILED: 0 if letters else lost,
    }
    assert sorted(n for _, attempt, n in failing.calls if attempt == 1) == list(range(len(fails)))
    assert len(failing.calls) == sum(min(count, retries) + 1 for count in fails)
    assert_counters_balance(report)
