"""Names of a circuit breaker's states, events and reasons.

Kept separate because events, statistics and the breaker all use them; each value is the name in the Rust machine.
"""

from enum import StrEnum


class CircuitState(StrEnum):
    """States of a breaker."""

    CLOSED = "closed"
    """Permits every call and watches the rates."""
    OPEN = "open"
    """Permits no call until its wait is over."""
    HALF_OPEN = "half_open"
    """Permits a few trial calls, whose results decide."""
    FORCED_OPEN = "forced_open"
    """Permits no call until it is moved by hand."""
    DISABLED = "disabled"
    """Permits every call and records nothing."""
    METRICS_ONLY = "metrics_only"
    """Permits every call and records it, but never opens."""


class CircuitEventKind(StrEnum):
    """Kinds of events that a breaker reports."""

    TRANSITION = "transition"
    """Change of state."""
    RESET = "reset"
    """Reset to the initial state."""
    FAILURE_RATE_EXCEEDED = "failure_rate_exceeded"
    """Failure rate at its threshold, in the state closed or metrics only."""
    SLOW_CALL_RATE_EXCEEDED = "slow_call_rate_exceeded"
    """Slow call rate at its threshold, in the state closed or metrics only."""
    SUCCESS = "success"
    """Successful call; calls are reported only with `report_calls`, and before the events that they cause."""
    ERROR = "error"
    """Failed call."""
    IGNORED_ERROR = "ignored_error"
    """Call whose result counts as nothing."""
    NOT_PERMITTED = "not_permitted"
    """Refused call."""
    LEASES_EXPIRED = "leases_expired"
    """Trial calls that did not report within their lease; their places are free again."""


class CircuitReason(StrEnum):
    """Reason of a change of state."""

    FAILURE_RATE = "failure_rate"
    """The failure rate of calls or of trial calls reached its threshold; also given if both rates did."""
    SLOW_CALL_RATE = "slow_call_rate"
    """The slow call rate reached its threshold."""
    RETRY_AFTER = "retry_after"
    """A failure asked for a pause."""
    WAIT_ELAPSED = "wait_elapsed"
    """The wait in the open state was over."""
    TRIALS_PASSED = "trials_passed"
    """The trial calls stayed below both thresholds."""
    HALF_OPEN_TIMEOUT = "half_open_timeout"
    """The half-open state reached its longest duration."""
    MANUAL = "manual"
    """The state was changed by hand."""
    RESET = "reset"
    """The breaker was reset by hand."""
