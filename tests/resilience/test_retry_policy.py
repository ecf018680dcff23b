"""The decision whether and when a failed message is tried again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from factflow_engine.resilience import RetryPolicy
from factflow_engine.resilience.error_classes import ErrorClasses


def longest(low: float, high: float) -> float:
    return high


policies = st.builds(
    RetryPolicy,
    max_retries=st.integers(0, 1000),
    delay_seconds=st.floats(0, 60),
    backoff=st.sampled_from(["exponential", "fixed"]),
    max_delay_seconds=st.floats(0.001, 86_400),
    jitter=st.sampled_from(["full", "none"]),
)


@given(policy=policies, attempt=st.integers(1, 1200))
def test_delays_are_bounded_and_never_shrink(policy, attempt):
    delay = policy.delay(ValueError(), attempt, longest)
    assert (delay is None) == (attempt > policy.max_retries)
    if delay is not None:
        assert 0 <= delay <= policy.max_delay_seconds
        later = policy.delay(ValueError(), attempt + 1, longest)
        assert later is None or later >= delay


@pytest.mark.parametrize(("backoff", "delays"), [("exponential", [1, 2, 4, 5, None]), ("fixed", [1, 1, 1, 1, None])])
def test_backoff(backoff, delays):
    policy = RetryPolicy(max_retries=4, delay_seconds=1, backoff=backoff, max_delay_seconds=5, jitter="none")
    assert [policy.delay(OSError(), attempt, longest) for attempt in range(1, 6)] == delays


def test_full_jitter_draws_from_zero():
    asked = []

    def lowest(low, high):
        asked.append((low, high))
        return low

    assert RetryPolicy(max_retries=3, delay_seconds=2).delay(OSError(), 2, lowest) == 0
    assert asked == [(0.0, 4.0)]


def test_names_of_exception_classes_decide_and_giving_up_wins():
    policy = RetryPolicy(
        max_retries=1, errors=ErrorClasses(record=frozenset({"OSError"}), ignore=frozenset({"TimeoutError"}))
    )
    assert policy.delay(ConnectionError(), 1, longest) is not None
    assert policy.delay(TimeoutError(), 1, longest) is None
    assert policy.delay(ValueError(), 1, longest) is None


def test_a_groups_own_class_may_be_named():
    policy = RetryPolicy(max_retries=1, errors=ErrorClasses(record=frozenset({"ExceptionGroup"})))
    assert policy.delay(ExceptionGroup("", [KeyError()]), 1, longest) is not None
    assert policy.delay(KeyError(), 1, longest) is None


def test_what_is_to_be_given_up_is_given_up_in_a_group_too():
    policy = RetryPolicy(max_retries=1, errors=ErrorClasses(ignore=frozenset({"OSError"})))
    assert policy.delay(ExceptionGroup("", [KeyError(), ExceptionGroup("", [ConnectionError()])]), 1, longest) is None
    assert policy.delay(ExceptionGroup("", [KeyError()]), 1, longest) is not None
