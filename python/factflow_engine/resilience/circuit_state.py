"""Names of a circuit breaker's states, of what it reports, and of the reasons that it gives.

Kept separate because events, statistics and the breaker all speak of them; each value is the name that the Rust machine uses.
"""

from enum import StrEnum


class CircuitState(StrEnum):
    """States of a breaker, by its treatment of calls."""

    CLOSED = "closed"
    """Permits every call and watches the rates."""
    OPEN = "open"
    """Permits none until its wait is over."""
    HALF_OPEN = "half_open"
    """Permits a few trial calls, whose results decide."""
    FORCED_OPEN = "forced_open"
    """Permits none until somebody moves it."""
    DISABLED = "disabled"
    """Permits every call and records nothing."""
    METRICS_ONLY = "metrics_only"
    """Permits every call and records it, but never trips."""


class CircuitEventKind(StrEnum):
    """Kinds of events that a breaker reports."""

    TRANSITION = "transition"
    """The state changed."""
    RESET = "reset"
    """It was made as new."""
    FAILURE_RATE_EXCEEDED = "failure_rate_exceeded"
    """The failure rate reached its threshold, while closed or metrics only."""
    SLOW_CALL_RATE_EXCEEDED = "slow_call_rate_exceeded"
    """The slow call rate reached its threshold, while closed or metrics only."""
    SUCCESS = "success"
    """A call succeeded; of calls only with `report_calls`, and before what it led to."""
    ERROR = "error"
    """A call failed."""
    IGNORED_ERROR = "ignored_error"
    """A call ended in a way that counts as nothing."""
    NOT_PERMITTED = "not_permitted"
    """A call was refused."""
    LEASES_EXPIRED = "leases_expired"
    """Trial calls did not report within their lease; their places are free again."""


class CircuitReason(StrEnum):
    """Why the state changed."""

    FAILURE_RATE = "failure_rate"
    """The failure rate reached its threshold, of calls or of trial calls; named also where both rates did."""
    SLOW_CALL_RATE = "slow_call_rate"
    """The slow call rate reached its threshold."""
    RETRY_AFTER = "retry_after"
    """A failure said for how long to stay away."""
    WAIT_ELAPSED = "wait_elapsed"
    """The wait in open was over."""
    TRIALS_PASSED = "trials_passed"
    """The trial calls stayed below both thresholds."""
    HALF_OPEN_TIMEOUT = "half_open_timeout"
    """Half open had lasted as long as it may."""
    MANUAL = "manual"
    """Somebody moved it."""
    RESET = "reset"
    """Somebody reset it."""
