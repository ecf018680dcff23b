"""Breakers by key: each for itself, no more of them than allowed, and nothing lost from the counts."""

import gc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from factflow_engine.resilience import (
    CircuitBreaker,
    CircuitBreakerSettings,
    CircuitEvent,
    CircuitState,
    CircuitTotals,
    DomainMetrics,
)
from factflow_engine.testing.virtual_time import SimulatedClock, SimulatedRandomness
from factflow_protocols import CircuitOpenError

SECOND = 1_000_000_000
SETTINGS = CircuitBreakerSettings(minimum_calls=1, wait_jitter=0.0, permitted_calls_in_half_open=1)


def family(max_keys: int = 3, settings: CircuitBreakerSettings = SETTINGS) -> DomainMetrics:
    return DomainMetrics(
        settings, name="fetch", max_keys=max_keys, clock=SimulatedClock(), randomness=SimulatedRandomness(1)
    )


def call(breakers: DomainMetrics, key: str, error: Exception | None = None, now_ns: int = 0) -> None:
    permit = breakers.breaker(key).try_acquire(now_ns)
    assert permit is not None
    permit.record(now_ns, 0, error)


async def test_one_host_that_fails_does_not_stop_the_others(autojump_clock):
    breakers = family()
    with pytest.raises(OSError, match="down"):
        async with breakers.breaker("a.example"):
            raise OSError("down")
    with pytest.raises(CircuitOpenError, match=r"fetch\[a\.example\]"):
        async with breakers.breaker("a.example"):
            raise AssertionError("it is open")
    async with breakers.breaker("b.example"):
        pass
    stats = breakers.stats()
    assert {key: one.state for key, one in stats.items()} == {"a.example": "open", "b.example": "closed"}
    assert (stats["a.example"].totals.rejected, stats["b.example"].totals.succeeded) == (1, 1)


def test_a_key_keeps_its_breaker():
    breakers = family()
    assert breakers.breaker("a") is breakers.breaker("a")
    call(breakers, "a", OSError())
    assert breakers.breaker("a").state is CircuitState.OPEN
    assert "a" in breakers
    assert "b" not in breakers


def test_the_least_recently_used_goes_first():
    breakers = family()
    for key in "abcad":
        breakers.breaker(key)
    assert set(breakers.stats()) == {"c", "a", "d"}


def test_one_that_refuses_calls_goes_last():
    breakers = family()
    call(breakers, "down", OSError())
    for key in "abcdef":
        breakers.breaker(key)
    assert set(breakers.stats()) == {"down", "e", "f"}
    for key in "xyz":
        call(breakers, key, OSError())
    # Where all refuse, the least recently used of them goes.
    breakers.breaker("new")
    assert set(breakers.stats()) == {"y", "z", "new"}
    assert breakers.metrics().evicted == 4 + 3 + 1


def test_one_that_recovered_is_like_the_others_again():
    breakers = family(max_keys=2)
    call(breakers, "down", OSError())
    call(breakers, "down", now_ns=6 * SECOND)
    assert breakers.breaker("down").state is CircuitState.CLOSED
    breakers.breaker("a")
    breakers.breaker("b")
    assert "down" not in breakers


def test_timers_of_all_keys_are_one():
    breakers = family(settings=CircuitBreakerSettings(minimum_calls=1, wait_jitter=0.0, automatic_half_open=True))
    assert breakers.next_deadline_ns is None
    call(breakers, "a", OSError(), now_ns=2 * SECOND)
    call(breakers, "b", OSError(), now_ns=SECOND)
    assert breakers.next_deadline_ns == 6 * SECOND
    breakers.advance(6 * SECOND)
    assert [breakers.breaker(key).state for key in "ab"] == ["open", "half_open"]
    assert breakers.next_deadline_ns == 7 * SECOND


def test_what_happens_to_any_of_them_is_told_until_it_is_evicted():
    breakers = family(max_keys=1)
    told: list[CircuitEvent] = []
    breakers.events.subscribe(told.append)
    call(breakers, "a", OSError())
    assert [event.name for event in told] == ["fetch[a]"] * 2
    old = breakers.breaker("a")
    breakers.breaker("b")
    old.reset(0)
    assert len(told) == 2
    assert set(breakers.stats()) == {"b"}


def test_a_permit_of_an_evicted_breaker_may_still_be_given_back():
    breakers = family(max_keys=1)
    permit = breakers.breaker("a").try_acquire(0)
    breakers.breaker("b")
    assert permit.record(0, 0, OSError()) is True
    assert set(breakers.stats()) == {"b"}


def test_a_call_that_ends_after_its_breaker_was_evicted_is_counted():
    breakers = family(max_keys=1)
    permits = [breakers.breaker(key).try_acquire(0) for key in "abcdefgh"]
    assert breakers.metrics().totals == CircuitTotals(permitted=8, in_flight=8)
    for permit in permits[:-1]:
        permit.record(0, 0, OSError())
    assert breakers.metrics().totals == CircuitTotals(permitted=8, failed=7, in_flight=1)


def test_metrics_add_up_what_the_breakers_counted_and_the_evicted_ones():
    breakers = family(max_keys=2)
    call(breakers, "gone")
    call(breakers, "a")
    call(breakers, "b", OSError())
    metrics = breakers.metrics()
    assert metrics.states == {CircuitState.CLOSED: 1, CircuitState.OPEN: 1}
    assert not metrics.is_open
    assert metrics.totals == CircuitTotals(permitted=3, succeeded=2, failed=1)
    assert metrics.circuits == breakers.stats()


def test_a_stage_is_open_if_every_breaker_is_and_there_is_one():
    breakers = family()
    assert not breakers.metrics().is_open
    call(breakers, "a", OSError())
    assert breakers.metrics().is_open


def test_there_must_be_room_for_one():
    with pytest.raises(ValueError, match="max_keys: expected 1 or more, got 0"):
        family(max_keys=0)


@given(
    max_keys=st.integers(1, 4),
    steps=st.lists(st.tuples(st.sampled_from("abcdefg"), st.booleans(), st.integers(0, 8 * SECOND)), max_size=80),
)
def test_keys_are_bounded_and_totals_conserved(max_keys, steps):
    breakers = family(max_keys)
    now_ns, permitted, rejected = 0, 0, 0
    for key, failing, passing in steps:
        now_ns += passing
        known = key in breakers
        before = {other: breakers.breaker(other).state for other in sorted(breakers.stats())} if not known else {}
        permit = breakers.breaker(key).try_acquire(now_ns)
        if before and len(before) == max_keys:
            (gone,) = set(before) - set(breakers.stats())
            assert before[gone] == "closed" or "closed" not in before.values()
        if permit is None:
            rejected += 1
        else:
            permitted += 1
            permit.record(now_ns, 0, OSError() if failing else None)
        assert len(breakers) <= max_keys
        assert set(breakers.stats()) == {key for key in "abcdefg" if key in breakers}
        totals = breakers.metrics().totals
        assert (totals.permitted, totals.rejected, totals.succeeded + totals.failed) == (permitted, rejected, permitted)


def test_breakers_that_went_leave_nothing_for_the_collector():
    breakers = family(max_keys=2)
    gc.collect()
    gc.disable()
    try:
        for number in range(1000):
            call(breakers, str(number), OSError())
        left = sum(type(one) is CircuitBreaker for one in gc.get_objects())
    finally:
        gc.enable()
    assert left < 20
