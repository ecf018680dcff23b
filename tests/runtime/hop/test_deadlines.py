"""Deadlines of messages: the failure names the last error that the message met before."""

import trio

from factflow_engine.queues.dead_letters import HEADER
from factflow_protocols import AdapterResult, RetryLater
from support.clocks import seams_on_trio_time
from support.pipelines import run, running

SEEN = "the message was not done within deadline_seconds: 5, counted since it was published"
ERRORS = "max_retries: 9, retry_delay_seconds: 2, backoff: fixed, jitter: none, deadline_seconds: 5"


async def failure_of(process, errors=ERRORS, stage="type: a"):
    report = await run(
        f"routes: {{r: {{adapters: [{{{stage}}}], error_handling: {{{errors}}}}}}}",
        adapters={"a": process},
        publish=[("r", 1)],
        seams=seams_on_trio_time(),
        seconds=5000,
    )
    [failure] = report.failures
    assert failure.error_type == "DeadlineExceededError"
    return failure


def hanging_at(attempt, error):
    async def process(context):
        if context.attempt == attempt:
            await trio.sleep(100)
        raise error

    return process


async def test_the_last_error_is_kept(autojump_clock):
    failure = await failure_of(hanging_at(3, OSError("boom")))
    assert failure.error == f"{SEEN}; the last error before: OSError: boom"


async def test_without_an_error_before_none_is_named(autojump_clock):
    failure = await failure_of(hanging_at(1, OSError()))
    assert failure.error == SEEN


async def test_a_deferral_counts_as_an_error(autojump_clock):
    waits = iter([RetryLater(1, "rate limit")])

    async def later(context):
        for error in waits:
            raise error
        await trio.sleep(100)

    failure = await failure_of(later)
    assert failure.error == f"{SEEN}; the last error before: RetryLater: retry in 1 s: rate limit"


BREAKER = (
    "type: a, circuit_breaker: {minimum_calls: 1, sliding_window_size: 1, wait_jitter: 0, wait_duration_seconds: 60}"
)


async def test_an_adapters_error_says_more_than_the_breaker_that_it_opened(autojump_clock):
    async def down(context):
        raise OSError("connection refused")

    failure = await failure_of(down, stage=BREAKER)
    assert failure.error == f"{SEEN}; the last error before: OSError: connection refused"


async def test_a_message_that_only_waited_names_the_breaker(autojump_clock):
    async def down(context):
        raise OSError

    async with running(
        f"routes: {{r: {{adapters: [{{{BREAKER}}}], error_handling: {{deadline_seconds: 5}}}}}}",
        adapters={"a": down},
        seams=seams_on_trio_time(),
        seconds=5000,
    ) as execution:
        await execution.publish("r", 1)
        await execution.publish("r", 2)
        report = await execution.complete()
    assert report.failures[1].error.startswith(f"{SEEN}; the last error before: CircuitOpenError: ")
    assert "r/a" in report.failures[1].error


async def test_a_dead_letter_has_it_too(autojump_clock):
    seen = []

    async def read(context):
        seen.append(context.headers[HEADER]["error"])
        return AdapterResult.forward()

    await run(
        f"routes: {{r: {{adapters: [{{type: a}}], error_handling: {{{ERRORS}, dead_letter_queue: /queue/dead}}}}, "
        "d: {inbound: {queue: /queue/dead}, adapters: [{type: read}]}}",
        adapters={"a": hanging_at(2, OSError("boom")), "read": read},
        publish=[("r", 1)],
        seams=seams_on_trio_time(),
    )
    assert seen == [f"{SEEN}; the last error before: OSError: boom"]


async def test_the_last_error_is_bounded_while_its_message_waits(autojump_clock):
    failure = await failure_of(hanging_at(2, OSError("x" * 10_000)))
    assert len(failure.error) < 400
