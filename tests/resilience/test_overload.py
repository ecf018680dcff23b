"""`Overloaded`: what a concurrency limit takes for a sign of overload, and the wait before the next attempt."""

import copy
import math
import pickle

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from factflow_engine.resilience.error_classes import ErrorClasses, Verdict
from factflow_engine.resilience.overload import LONGEST_SECONDS, asked_wait, is_overload
from factflow_engine.resilience.retry import RetryPolicy
from factflow_engine.runtime.stages.crossing import pack_error, result_of
from factflow_engine.runtime.stages.timeouts import RouteTimeoutError, StageTimeoutError
from factflow_protocols import AdapterResult, FactflowError, Overloaded
from support.clocks import seams_on_trio_time
from support.pipelines import run


class Awkward(Overloaded):
    """An error whose author made something else of its fields."""

    @property
    def retry_after(self):
        raise RuntimeError

    def __init__(self):
        FactflowError.__init__(self, "busy")


def with_wait(wait):
    error = Overloaded()
    error.retry_after = wait
    return error


def test_it_says_what_it_knows():
    assert str(Overloaded()) == "the dependency is overloaded"
    assert str(Overloaded(2, "429")) == "the dependency is overloaded, and asks for a wait of 2 s: 429"
    assert (Overloaded(2, "429").retry_after, Overloaded(2, "429").reason) == (2.0, "429")


@pytest.mark.parametrize("wait", [-1, math.nan, -math.inf])
def test_a_wait_is_zero_or_more_seconds(wait):
    with pytest.raises(ValueError, match="Overloaded needs a wait of zero or more seconds, or none, got"):
        Overloaded(wait)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (Overloaded(), True),
        (StageTimeoutError(1), True),
        (RouteTimeoutError("r", "s", 1), True),
        (ExceptionGroup("", [OSError(), ExceptionGroup("", [Overloaded(3)])]), True),
        (ExceptionGroup("", [OSError()]), False),
        (OSError(), False),
        (TimeoutError(), False),
    ],
)
def test_only_overloaded_is_a_sign_of_overload(error, expected):
    assert is_overload(error) is expected


@pytest.mark.parametrize(
    ("error", "seconds"),
    [
        (Overloaded(), 0),
        (Overloaded(7), 7),
        (ExceptionGroup("", [Overloaded(1), Overloaded(9), OSError()]), 9),
        (Overloaded(math.inf), LONGEST_SECONDS),
        (Overloaded(10**400), LONGEST_SECONDS),
        (with_wait("soon"), 0),
        (with_wait(math.nan), 0),
        (with_wait(-3), 0),
        (Awkward(), 0),
        (OSError(), 0),
    ],
)
def test_the_longest_usable_wait_applies(error, seconds):
    assert asked_wait(error) == seconds


@pytest.mark.parametrize("error", [Overloaded(4, "busy"), StageTimeoutError(2), RouteTimeoutError("r", "s", 1)])
@pytest.mark.parametrize("travel", [copy.copy, lambda error: pickle.loads(pickle.dumps(error))])
def test_it_can_be_copied_and_pickled(error, travel):
    again = travel(error)
    assert (type(again), str(again), again.retry_after) == (type(error), str(error), error.retry_after)


def test_it_crosses_worker_processes():
    with pytest.raises(Overloaded, match="busy") as caught:
        result_of(pack_error(Overloaded(4, "busy")))
    assert caught.value.retry_after == 4


def test_a_circuit_breaker_counts_it_and_hears_its_wait():
    assert ErrorClasses().judge(Overloaded(3)) == (Verdict.FAILURE, 3_000_000_000)


@given(
    asked=st.floats(0, 1e6),
    delay=st.floats(0, 1e3),
    attempt=st.integers(1, 9),
    drawn=st.floats(0, 1),
    jitter=st.sampled_from(["full", "none"]),
)
def test_a_retry_waits_for_what_was_asked_or_longer(asked, delay, attempt, drawn, jitter):
    policy = RetryPolicy(max_retries=8, delay_seconds=delay, max_delay_seconds=1e3, jitter=jitter)

    def uniform(low, high):
        return low + drawn * (high - low)

    plain, waited = (policy.delay(error, attempt, uniform) for error in (OSError(), Overloaded(asked)))
    assert (waited is None) == (plain is None) == (attempt > 8)
    if waited is not None:
        assert waited == max(plain, asked)


async def test_a_route_tries_an_overloaded_call_again_after_its_wait(autojump_clock):
    times = []

    async def process(context):
        times.append((trio.current_time(), context.attempt))
        if context.attempt < 3:
            raise Overloaded(5)
        return AdapterResult.forward()

    report = await run(
        "routes: {r: {adapters: [{type: a}], error_handling: {max_retries: 2, retry_delay_seconds: 1, max_delay_seconds: 2}}}",
        adapters={"a": process},
        publish=[("r", 1)],
        seams=seams_on_trio_time(),
    )
    assert report.routes["r"].completed == 1
    assert [(round(time - times[0][0], 6), attempt) for time, attempt in times] == [(0, 1), (5, 2), (10, 3)]


async def test_without_retries_it_is_a_failure(autojump_clock):
    async def process(context):
        raise Overloaded(5, "full")

    report = await run("routes: {r: {adapters: [{type: a}]}}", adapters={"a": process}, publish=[("r", 1)])
    [failure] = report.failures
    assert failure.error_type == "Overloaded"
    assert failure.error == "the dependency is overloaded, and asks for a wait of 5 s: full"
