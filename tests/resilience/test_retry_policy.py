"""The decisions whether and when a failed or deferred message is tried again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from factflow_engine.resilience import DeferralPolicy, RetryPolicy
from factflow_engine.resilience.error_classes import ErrorClasses
from factflow_engine.resilience.retry import FIRST_DEFERRAL_SECONDS, LONGEST_FLOOR_SECONDS


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


# -- deferrals ---------------------------------------------------------------------------------------------------------

deferral_policies = st.builds(
    DeferralPolicy,
    max_deferrals=st.none() | st.integers(0, 200),
    max_seconds=st.none() | st.floats(0.001, 1e6),
)


@given(asked=st.floats(0, 1e9), deferrals=st.integers(0, 10**9))
def test_a_deferral_is_never_shorter_than_asked_for_and_never_instant_and_its_floor_only_grows(asked, deferrals):
    policy = DeferralPolicy()
    seconds = policy.seconds(asked, deferrals)
    assert seconds >= max(asked, FIRST_DEFERRAL_SECONDS)
    assert seconds == asked or seconds <= LONGEST_FLOOR_SECONDS
    assert policy.seconds(asked, deferrals + 1) >= seconds


@given(policy=deferral_policies, asked=st.lists(st.sampled_from([0.0, 0.01, 3.0, 1e5]), min_size=1, max_size=300))
def test_the_number_and_the_duration_of_deferrals_are_bounded_and_their_pace_is(policy, asked):
    waited = 0.0
    for deferrals, wish in enumerate(asked):
        seconds = policy.seconds(wish, deferrals)
        if policy.problem(deferrals, waited, seconds) is not None:
            break
        waited += seconds
        assert policy.max_deferrals is None or deferrals < policy.max_deferrals
        assert policy.max_seconds is None or waited <= policy.max_seconds * (1 + 1e-9)
        # After n deferrals at least so much time has passed: however little is asked for, nothing spins.
        assert waited >= min(deferrals + 1, 1) * FIRST_DEFERRAL_SECONDS + max(deferrals - 10, 0) * LONGEST_FLOOR_SECONDS
    else:
        return
    assert policy != DeferralPolicy(), "without a bound there is no problem"


def test_a_problem_names_the_bound_and_the_field_that_sets_it():
    policy = DeferralPolicy(max_deferrals=2, max_seconds=10)
    assert policy.problem(1, 0.5, 1) is None
    assert policy.problem(2, 0.5, 1) == "deferred 2 times; error_handling.max_deferrals is 2"
    assert policy.problem(1, 8, 3) == (
        "deferred 1 times in 8 s, and another 3 s are asked for; error_handling.max_deferral_seconds is 10"
    )
