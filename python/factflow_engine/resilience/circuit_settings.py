"""Parameters of a circuit breaker in seconds and per cent, checked when they are made.

Kept separate from the configuration's section because a breaker is usable without one: the section has the same
parameters, and `CircuitBreakerSettings.of` accepts it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from factflow_engine.native import BreakerSettings
from factflow_engine.resilience.error_classes import ErrorClasses, Predicate


class CircuitBreakerSection(Protocol):
    """The parameters in a configuration; `CircuitBreakerSettings` documents them."""

    @property
    def failure_rate_threshold(self) -> float: ...  # noqa: D102
    @property
    def slow_call_rate_threshold(self) -> float: ...  # noqa: D102
    @property
    def slow_call_duration_seconds(self) -> float: ...  # noqa: D102
    @property
    def sliding_window_type(self) -> Literal["count", "time"]: ...  # noqa: D102
    @property
    def sliding_window_size(self) -> int: ...  # noqa: D102
    @property
    def minimum_calls(self) -> int: ...  # noqa: D102
    @property
    def wait_duration_seconds(self) -> float: ...  # noqa: D102
    @property
    def wait_multiplier(self) -> float: ...  # noqa: D102
    @property
    def max_wait_duration_seconds(self) -> float: ...  # noqa: D102
    @property
    def wait_jitter(self) -> float: ...  # noqa: D102
    @property
    def automatic_half_open(self) -> bool: ...  # noqa: D102
    @property
    def permitted_calls_in_half_open(self) -> int: ...  # noqa: D102
    @property
    def max_half_open_seconds(self) -> float | None: ...  # noqa: D102
    @property
    def after_half_open(self) -> Literal["open", "closed"]: ...  # noqa: D102
    @property
    def half_open_lease_seconds(self) -> float | None: ...  # noqa: D102
    @property
    def retry_after(self) -> Literal["extend", "open", "ignore"]: ...  # noqa: D102
    @property
    def max_retry_after_seconds(self) -> float: ...  # noqa: D102
    @property
    def record_errors(self) -> Sequence[str]: ...  # noqa: D102
    @property
    def ignore_errors(self) -> Sequence[str]: ...  # noqa: D102


@dataclass(frozen=True, slots=True, kw_only=True)
class CircuitBreakerSettings:
    """Thresholds and waits of a breaker. The defaults suit messages.

    Attributes:
        failure_rate_threshold: Failure rate at which it opens, in per cent, above 0 and up to 100.
        slow_call_rate_threshold: Slow call rate at which it opens, likewise.
        slow_call_duration_seconds: A call that takes longer is slow, failed or not.
        sliding_window_type: `count` for rates of the last calls, `time` for rates of the last seconds.
        sliding_window_size: Number of these calls or seconds, up to a million. A window of seconds moves in tenths.
        minimum_calls: Calls before a rate is defined; at most the size of a window of calls.
        wait_duration_seconds: First wait in the open state, at least 1 ms.
        wait_multiplier: Factor of the wait each time that it opens again.
        max_wait_duration_seconds: Longest wait.
        wait_jitter: Largest part (0 to 1) by which a wait is shortened at random, so that breakers that opened together
        do not retry together.
        automatic_half_open: True to end the wait without a call, when `advance` is called.
        permitted_calls_in_half_open: Number of trial calls; all of them, or `minimum_calls`, decide.
        max_half_open_seconds: Longest half-open state; None: no bound.
        after_half_open: State after `max_half_open_seconds`.
        half_open_lease_seconds: Time after which a trial call that has not ended loses its place; None: 30, or twice
        `slow_call_duration_seconds` if that is more.
        retry_after: Effect of a failure's `retry_after_seconds` or `retry_after`. `extend`: when the breaker opens, it
        stays open at least that long. `open`: it opens at once, for that long. `ignore`: none.
        max_retry_after_seconds: Longest wait that a failure may ask for.
        record_errors: Names of exception classes that count as failures, subclasses too; empty: all.
        ignore_errors: Names of exception classes that count as nothing; takes precedence.
        record_if: Predicate on other exceptions: True if they count as failures.
        ignore_if: Predicate on other exceptions: True if they count as nothing; takes precedence.

    Raises:
        ValueError: A parameter is outside its bounds; the text names it.
    """

    failure_rate_threshold: float = 50.0
    slow_call_rate_threshold: float = 100.0
    slow_call_duration_seconds: float = 60.0
    sliding_window_type: Literal["count", "time"] = "count"
    sliding_window_size: int = 100
    minimum_calls: int = 20
    wait_duration_seconds: float = 5.0
    wait_multiplier: float = 2.0
    max_wait_duration_seconds: float = 60.0
    wait_jitter: float = 0.1
    automatic_half_open: bool = False
    permitted_calls_in_half_open: int = 3
    max_half_open_seconds: float | None = None
    after_half_open: Literal["open", "closed"] = "open"
    half_open_lease_seconds: float | None = None
    retry_after: Literal["extend", "open", "ignore"] = "extend"
    max_retry_after_seconds: float = 3600.0
    record_errors: Sequence[str] = ()
    ignore_errors: Sequence[str] = ()
    record_if: Predicate | None = None
    ignore_if: Predicate | None = None
    native: BreakerSettings = field(init=False, repr=False, compare=False)
    """The same settings for the state machine."""
    errors: ErrorClasses = field(init=False, repr=False, compare=False)
    """The same settings for classifying exceptions."""

    def __post_init__(self) -> None:
        lease_seconds = self.half_open_lease_seconds
        if lease_seconds is None:
            lease_seconds = min(max(2 * self.slow_call_duration_seconds, 30.0), 1e9)
        longest = self.max_half_open_seconds
        native = BreakerSettings(
            failure_rate_threshold=self.failure_rate_threshold,
            slow_call_rate_threshold=self.slow_call_rate_threshold,
            slow_call_duration_ns=_ns("slow_call_duration_seconds", self.slow_call_duration_seconds),
            sliding_window_type=self.sliding_window_type,
            sliding_window_size=_count("sliding_window_size", self.sliding_window_size),
            minimum_calls=_count("minimum_calls", self.minimum_calls),
            wait_ns=_ns("wait_duration_seconds", self.wait_duration_seconds),
            wait_multiplier=self.wait_multiplier,
            max_wait_ns=_ns("max_wait_duration_seconds", self.max_wait_duration_seconds),
            wait_jitter=self.wait_jitter,
            automatic_half_open=self.automatic_half_open,
            trial_calls=_count("permitted_calls_in_half_open", self.permitted_calls_in_half_open),
            max_half_open_ns=None if longest is None else _ns("max_half_open_seconds", longest),
            after_half_open=self.after_half_open,
            lease_ns=_ns("half_open_lease_seconds", lease_seconds),
            retry_after=self.retry_after,
            max_retry_after_ns=_ns("max_retry_after_seconds", self.max_retry_after_seconds),
        )
        errors = ErrorClasses(
            record=_names(self.record_errors),
            ignore=_names(self.ignore_errors),
            record_if=self.record_if,
            ignore_if=self.ignore_if,
        )
        object.__setattr__(self, "native", native)
        object.__setattr__(self, "errors", errors)

    @staticmethod
    def of(section: "CircuitBreakerSettings | CircuitBreakerSection") -> "CircuitBreakerSettings":
        """Return the settings of a configuration's section; settings are returned unchanged.

        Raises:
            ValueError: A parameter is outside its bounds.
        """
        if isinstance(section, CircuitBreakerSettings):
            return section
        return CircuitBreakerSettings(
            failure_rate_threshold=section.failure_rate_threshold,
            slow_call_rate_threshold=section.slow_call_rate_threshold,
            slow_call_duration_seconds=section.slow_call_duration_seconds,
            sliding_window_type=section.sliding_window_type,
            sliding_window_size=section.sliding_window_size,
            minimum_calls=section.minimum_calls,
            wait_duration_seconds=section.wait_duration_seconds,
            wait_multiplier=section.wait_multiplier,
            max_wait_duration_seconds=section.max_wait_duration_seconds,
            wait_jitter=section.wait_jitter,
            automatic_half_open=section.automatic_half_open,
            permitted_calls_in_half_open=section.permitted_calls_in_half_open,
            max_half_open_seconds=section.max_half_open_seconds,
            after_half_open=section.after_half_open,
            half_open_lease_seconds=section.half_open_lease_seconds,
            retry_after=section.retry_after,
            max_retry_after_seconds=section.max_retry_after_seconds,
            record_errors=tuple(section.record_errors),
            ignore_errors=tuple(section.ignore_errors),
        )


def _ns(name: str, seconds: float) -> int:
    if not (math.isfinite(seconds) and 0 <= seconds <= 1e9):
        raise ValueError(f"{name}: expected seconds, 0 to 1000000000, got {seconds!r}")
    return round(seconds * 1e9)


def _count(name: str, count: int) -> int:
    if not 0 <= count < 1 << 32:
        raise ValueError(f"{name}: expected 1 to 1000000, got {count!r}")
    return count


def _names(names: Sequence[str]) -> frozenset[str]:
    if isinstance(names, str):
        raise ValueError(f"names of exception classes: expected a list, got the text {names!r}; write [{names!r}]")  # noqa: TRY004 - one class for what is wrong with settings
    return frozenset(names)
