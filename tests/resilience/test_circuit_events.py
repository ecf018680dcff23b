"""Who is told what happened to a breaker, and in which order."""

import logging

import pytest

from factflow_engine.resilience import (
    CircuitBreaker,
    CircuitBreakerSettings,
    CircuitEvent,
    CircuitEventKind,
    CircuitReason,
    CircuitState,
)

SETTINGS = CircuitBreakerSettings(minimum_calls=1, wait_jitter=0.0)


@pytest.fixture
def breaker() -> CircuitBreaker:
    return CircuitBreaker(SETTINGS, name="api")


def fail(breaker: CircuitBreaker, now_ns: int = 0) -> None:
    permit = breaker.try_acquire(now_ns)
    assert permit is not None
    permit.record(now_ns, 0, OSError())


def test_a_transition_says_from_where_to_where_why_when_and_at_what_rates(breaker):
    events: list[CircuitEvent] = []
    breaker.events.subscribe(events.append)
    fail(breaker, now_ns=7)
    assert [event.kind for event in events] == [CircuitEventKind.FAILURE_RATE_EXCEEDED, CircuitEventKind.TRANSITION]
    assert events[1] == CircuitEvent(
        name="api",
        kind=CircuitEventKind.TRANSITION,
        time_ns=7,
        generation=2,
        failure_rate=100.0,
        slow_call_rate=0.0,
        from_state=CircuitState.CLOSED,
        to_state=CircuitState.OPEN,
        reason=CircuitReason.FAILURE_RATE,
        wait_ns=5_000_000_000,
    )


def test_listeners_are_told_until_they_unsubscribe_each_for_itself(breaker):
    first: list[CircuitEvent] = []
    second: list[CircuitEvent] = []
    unsubscribe = breaker.events.subscribe(first.append)
    breaker.events.subscribe(second.append)
    breaker.events.subscribe(second.append)
    breaker.reset(0)
    unsubscribe()
    unsubscribe()
    breaker.reset(0)
    assert (len(first), len(second)) == (1, 4)


def test_a_listener_that_fails_is_logged_and_harms_nobody(breaker, caplog):
    told: list[CircuitEvent] = []

    def broken(event: CircuitEvent) -> None:
        raise ValueError("in the listener")

    breaker.events.subscribe(broken)
    breaker.events.subscribe(told.append)
    with caplog.at_level(logging.ERROR):
        fail(breaker)
    assert len(told) == 2
    assert [record.exc_info[1].args for record in caplog.records] == [("in the listener",)] * 2
    assert "'api'" in caplog.text


def test_a_listener_may_move_the_breaker_and_all_hear_of_it_in_order(breaker):
    told: list[tuple[str, CircuitState | None]] = []

    def force(event: CircuitEvent) -> None:
        if event.to_state is CircuitState.OPEN:
            breaker.transition_to(CircuitState.FORCED_OPEN, event.time_ns)

    breaker.events.subscribe(force)
    breaker.events.subscribe(lambda event: told.append((event.kind, event.to_state)))
    fail(breaker)
    assert breaker.state is CircuitState.FORCED_OPEN
    assert told == [
        ("failure_rate_exceeded", None),
        ("transition", CircuitState.OPEN),
        ("transition", CircuitState.FORCED_OPEN),
    ]


def test_what_interrupts_a_listener_passes_and_later_events_are_told(breaker):
    told: list[CircuitEvent] = []

    def interrupted(event: CircuitEvent) -> None:
        if event.kind is CircuitEventKind.FAILURE_RATE_EXCEEDED:
            raise KeyboardInterrupt

    breaker.events.subscribe(interrupted)
    breaker.events.subscribe(told.append)
    permit = breaker.try_acquire(0)
    with pytest.raises(KeyboardInterrupt):
        permit.record(0, 0, OSError())
    assert breaker.state is CircuitState.OPEN
    breaker.reset(0)
    assert [event.kind for event in told] == ["transition", "transition", "reset"]
