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
    DomainMetrics,
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


def calls_of(breaker: CircuitBreaker) -> list[CircuitEvent]:
    events: list[CircuitEvent] = []
    breaker.events.subscribe(events.append)
    return events


def test_calls_are_reported_if_asked_for_before_what_they_led_to():
    breaker = CircuitBreaker(
        CircuitBreakerSettings(minimum_calls=1, wait_jitter=0.0, ignore_errors=["KeyError"]), report_calls=True
    )
    events = calls_of(breaker)
    for error in (None, KeyError(), OSError()):
        permit = breaker.try_acquire(1)
        assert permit is not None
        permit.record(2, 5, error)
    assert breaker.try_acquire(3) is None
    assert [event.kind for event in events] == [
        "success",
        "ignored_error",
        "error",
        "failure_rate_exceeded",
        "transition",
        "not_permitted",
    ]
    assert [event.duration_ns for event in events] == [5, 5, 5, None, None, None]


@pytest.mark.parametrize("state", [CircuitState.DISABLED, CircuitState.FORCED_OPEN])
def test_disabled_and_forced_open_report_no_calls(state):
    breaker = CircuitBreaker(SETTINGS, initial_state=state, report_calls=True)
    assert breaker.state is state
    events = calls_of(breaker)
    permit = breaker.try_acquire(1)
    if permit is not None:
        permit.record(2, 5, OSError())
    assert events == []


def test_calls_are_not_reported_unless_asked_for(breaker):
    events = calls_of(breaker)
    permit = breaker.try_acquire(1)
    assert permit is not None
    permit.record(2, 5)
    assert events == []


@pytest.mark.parametrize("state", [CircuitState.OPEN, CircuitState.HALF_OPEN])
def test_a_breaker_cannot_begin_in_a_state_that_time_ends(state):
    with pytest.raises(ValueError, match="cannot begin"):
        CircuitBreaker(SETTINGS, initial_state=state)


def test_a_keyed_family_passes_the_calls_of_all_its_breakers_on():
    family = DomainMetrics(SETTINGS, name="fetch", report_calls=True)
    events: list[CircuitEvent] = []
    family.events.subscribe(events.append)
    for key in "ab":
        permit = family.breaker(key).try_acquire(0)
        assert permit is not None
        permit.record(1, 1)
    assert [(event.name, event.kind) for event in events] == [("fetch[a]", "success"), ("fetch[b]", "success")]
