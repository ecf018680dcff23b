"""What exceptions mean to a breaker."""

from datetime import timedelta

import pytest
import trio

from factflow_engine.resilience import CircuitBreaker, CircuitBreakerSettings, CircuitState, ErrorClasses, Verdict
from factflow_protocols import CircuitOpenError, Reject, RetryLater

EVERYTHING = ErrorClasses()
CHOSEN = ErrorClasses(record=frozenset({"OSError", "RetryLater"}), ignore=frozenset({"TimeoutError", "KeyError"}))


async def cancelled() -> trio.Cancelled:
    caught: list[trio.Cancelled] = []
    with trio.CancelScope() as scope:
        scope.cancel()
        try:
            await trio.lowlevel.checkpoint()
        except trio.Cancelled as error:
            caught.append(error)
            raise
    return caught[0]


def repr_without_sets(value):
    """The same name in every test process, whatever order a set has there."""
    return value.__class__.__name__ if isinstance(value, (ErrorClasses, BaseException)) else str(value)


@pytest.mark.parametrize(
    ("classes", "error", "verdict"),
    [
        (EVERYTHING, ValueError(), Verdict.FAILURE),
        (EVERYTHING, KeyboardInterrupt(), Verdict.RELEASE),
        (EVERYTHING, SystemExit(), Verdict.RELEASE),
        (EVERYTHING, GeneratorExit(), Verdict.RELEASE),
        (EVERYTHING, Reject("no"), Verdict.IGNORED),
        (EVERYTHING, RetryLater(1), Verdict.IGNORED),
        (EVERYTHING, CircuitOpenError("other", 1.0), Verdict.IGNORED),
        (CHOSEN, OSError(), Verdict.FAILURE),
        (CHOSEN, ConnectionResetError(), Verdict.FAILURE),  # a subclass of what is recorded
        (CHOSEN, TimeoutError(), Verdict.IGNORED),  # a subclass of OSError; ignoring wins
        (CHOSEN, ValueError(), Verdict.SUCCESS),
        (CHOSEN, RetryLater(1), Verdict.FAILURE),  # named
        (CHOSEN, Reject("no"), Verdict.IGNORED),  # not named
        (ErrorClasses(record=frozenset({"Exception"})), Reject("no"), Verdict.IGNORED),  # not named either
        (ErrorClasses(record=frozenset({"EngineInstruction"})), Reject("no"), Verdict.FAILURE),
        (CHOSEN, ExceptionGroup("", [ValueError(), OSError()]), Verdict.FAILURE),
        (CHOSEN, ExceptionGroup("", [ValueError(), KeyError()]), Verdict.SUCCESS),
        (CHOSEN, ExceptionGroup("", [KeyError(), ExceptionGroup("", [TimeoutError()])]), Verdict.IGNORED),
        (CHOSEN, BaseExceptionGroup("", [KeyboardInterrupt()]), Verdict.RELEASE),
        (CHOSEN, BaseExceptionGroup("", [KeyboardInterrupt(), OSError()]), Verdict.FAILURE),
        (ErrorClasses(ignore=frozenset({"ExceptionGroup"})), ExceptionGroup("", [OSError()]), Verdict.IGNORED),
    ],
    ids=repr_without_sets,
)
def test_an_exception_counts_by_its_classes(classes, error, verdict):
    assert classes.judge(error) == (
        verdict,
        1_000_000_000 if isinstance(error, RetryLater) and verdict is Verdict.FAILURE else None,
    )


async def test_cancellation_counts_as_nothing_alone_and_in_groups():
    error = await cancelled()
    assert EVERYTHING.judge(error) == (Verdict.RELEASE, None)
    assert EVERYTHING.judge(BaseExceptionGroup("", [error, error])) == (Verdict.RELEASE, None)
    assert EVERYTHING.judge(BaseExceptionGroup("", [error, OSError()])) == (Verdict.FAILURE, None)


def asking(value: object, *, error: Exception | None = None) -> Exception:
    error = OSError() if error is None else error
    error.retry_after_seconds = value
    return error


@pytest.mark.parametrize(
    ("asked", "heard"),
    [
        (30, 30_000_000_000),
        (0.5, 500_000_000),
        (0, 0),
        (1e300, 10**18),
        (float("inf"), 10**18),
        (10**400, 10**18),
        (-1, None),
        (float("nan"), None),
        (True, None),
        ("30", None),
        (None, None),
    ],
)
def test_a_wait_is_heard_if_it_is_a_number_of_seconds(asked, heard):
    assert EVERYTHING.judge(asking(asked)) == (Verdict.FAILURE, heard)


@pytest.mark.parametrize(
    ("attributes", "heard"),
    [
        ({"retry_after": 30}, 30_000_000_000),
        ({"retry_after": timedelta(minutes=1)}, 60_000_000_000),
        ({"retry_after": timedelta(minutes=-1)}, None),
        ({"retry_after": "Tue, 29 Oct 2024 16:56:32 GMT"}, None),
        ({"retry_after": lambda: 30}, None),
        ({"retry_after": 30, "retry_after_seconds": 5}, 5_000_000_000),
        ({"retry_after": 30, "retry_after_seconds": 0}, 0),
        ({"retry_after": 30, "retry_after_seconds": None}, 30_000_000_000),
    ],
)
def test_the_name_that_clients_use_is_heard_where_the_engines_own_says_nothing(attributes, heard):
    error = OSError()
    error.__dict__.update(attributes)
    assert EVERYTHING.judge(error) == (Verdict.FAILURE, heard)


def test_only_a_failures_wait_is_heard_and_of_a_group_the_longest():
    assert CHOSEN.judge(asking(30, error=ValueError())) == (Verdict.SUCCESS, None)
    assert CHOSEN.judge(asking(30, error=KeyError())) == (Verdict.IGNORED, None)
    group = ExceptionGroup("", [asking(3), asking(9), asking(99, error=ValueError())])
    assert CHOSEN.judge(group) == (Verdict.FAILURE, 9_000_000_000)


def test_groups_may_be_nested_deeper_than_the_stack():
    group = ExceptionGroup("", [OSError()])
    for _ in range(5_000):
        group = ExceptionGroup("", [group])
    assert EVERYTHING.judge(group) == (Verdict.FAILURE, None)


@pytest.mark.parametrize(
    ("settings", "failed"),
    [
        ({"record_if": lambda error: "503" in str(error)}, [True, False]),
        ({"record_if": lambda error: "503" in str(error), "record_errors": ["OSError"]}, [True, True]),
        ({"ignore_if": lambda error: "404" in str(error)}, [True, None]),
        ({"ignore_if": lambda error: True, "record_errors": ["OSError"]}, [None, None]),
    ],
)
def test_a_function_may_say_what_an_exception_counts_as(settings, failed):
    breaker = CircuitBreaker(CircuitBreakerSettings(minimum_calls=10, **settings))
    for error, expected in zip([OSError("503"), OSError("404")], failed, strict=True):
        before = breaker.stats()
        permit = breaker.try_acquire(0)
        assert permit is not None
        assert permit.record(now_ns=0, duration_ns=0, error=error) is (expected is not None)
        after = breaker.stats()
        assert after.failed - before.failed == bool(expected)
        assert after.calls - before.calls == (expected is not None)


def test_times_may_be_given_by_name():
    breaker = CircuitBreaker(CircuitBreakerSettings())
    breaker.advance(now_ns=1)
    permit = breaker.try_acquire(now_ns=2)
    assert permit is not None
    permit.record_failure(now_ns=3, duration_ns=1, retry_after_ns=None)
    breaker.transition_to(CircuitState.OPEN, now_ns=4)
    assert breaker.retry_after_ns(now_ns=5) is not None
    breaker.reset(now_ns=6)
    assert breaker.state is CircuitState.CLOSED
