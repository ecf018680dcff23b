"""A circuit breaker's parameters in seconds and per cent, checked when they are made.

Kept separate from the configuration's section because a breaker is usable without one: the section names the same parameters,
and `CircuitBreakerSettings.of` takes it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from factflow_engine.native import BreakerSettings
from factflow_engine.resilience.error_classes import ErrorClasses, Predicate


class CircuitBreakerSection(Protocol):
    """The parameters that a configuration has; `CircuitBreakerSettings` says what they mean."""

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
    """When a breaker opens, and for how long. The defaults are for messages.

    Attributes:
        failure_rate_threshold: Per cent of failed calls at which it opens, above 0 and up to 100.
        slow_call_rate_threshold: Per cent of slow calls at which it opens, likewise.
        slow_call_duration_seconds: A call that takes longer is slow, failed or not.
        sliding_window_type: True if the rates are those of the last calls or of the last seconds.
        sliding_window_size: How many of them, up to a million. Seconds pass in tenths of the window.
        minimum_calls: Calls before a rate means anything; no more than a window of calls holds.
        wait_duration_seconds: How long it stays open the first time, 1 ms at least.
        wait_multiplier: What that is multiplied by each time that it opens again.
        max_wait_duration_seconds: No wait is longer.
        wait_jitter: Up to which part (0 to 1) chance shortens a wait, so that breakers that opened together do not
            try again together.
        automatic_half_open: True if the end of the wait makes it half open without a call, when `advance` is called.
        permitted_calls_in_half_open: Trial calls; as many of them as there are, or `minimum_calls`, decide.
        max_half_open_seconds: How long it may be half open; None: for ever.
        after_half_open: Where it goes then.
        half_open_lease_seconds: After how long a trial call that never ended loses its place; None: 30, or twice
            `slow_call_duration_seconds` if that is more.
        retry_after: What a failure's `retry_after_seconds` or `retry_after` does. `extend`: when the breaker opens, it stays open that
            long at least. `open`: it opens at once, for that long. `ignore`: nothing.
        max_retry_after_seconds: No wait that a failure asks for is longer.
        record_errors: Names of exception classes that count as failures, subclasses too; empty: all.
        ignore_errors: Names of exception classes that count as nothing; wins.
        record_if: Says of other exceptions whether they count as failures.
        ignore_if: Says of other exceptions whether they count as nothing; wins.

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
    """The same for the machine."""
    errors: ErrorClasses = field(init=False, repr=False, compare=False)
    """The same for classifying exceptions."""

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
        """The settings that a configuration's section means; settings are themselves.

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
