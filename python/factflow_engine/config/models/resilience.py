"""Sections on failure and load: retries, concurrency limits, circuit breakers.

Kept separate because the document, its routes and (the breaker) its stages all have them, field by field.
"""

from typing import TYPE_CHECKING, Literal, Self, TypeAlias

from pydantic import Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from factflow_engine.config.models.base import ConfigModel, Sequence_
from factflow_engine.native import LIMIT_ALGORITHMS, FieldPath


class ErrorHandlingConfig(ConfigModel):
    """Treatment of a message whose adapter failed."""

    max_retries: int = Field(default=0, ge=0, le=1_000, description="Most retries of a failed message; 0: none.")
    retry_delay_seconds: float = Field(
        default=1.0,
        ge=0,
        le=86_400,
        description="Seconds before the first retry, during which the message holds no permit.",
    )
    backoff: Literal["exponential", "fixed"] = Field(
        default="exponential", description="exponential: the delay doubles with each retry; fixed: it stays."
    )
    max_delay_seconds: float = Field(default=60.0, gt=0, le=86_400, description="Longest delay, in seconds.")
    jitter: Literal["full", "none"] = Field(
        default="full",
        description="full: the delay is drawn between zero and its nominal value; none: the nominal value.",
    )
    retry_on: Sequence_[str] = Field(
        default=(), description="Names of the exception classes to retry, subclasses included; empty: all."
    )
    give_up_on: Sequence_[str] = Field(
        default=(), description="Names of exception classes never to retry; takes precedence over retry_on."
    )
    dead_letter_queue: str | None = Field(
        default=None, description="Queue for messages that failed for good; without it they end as failed."
    )
    timeout_seconds: float | None = Field(
        default=None,
        gt=0,
        le=86_400,
        description="Seconds that one attempt may take through all stages of the route; one that takes longer has "
        "failed. An emitted async iterator has them for each element. Circuit breakers count nothing of a call that "
        "is cut off so: a stage's own timeout_seconds is what they count.",
    )
    deadline_seconds: float | None = Field(
        default=None,
        gt=0,
        le=31_536_000,
        description="Seconds since a message was published after which its adapters are cancelled and none is tried again.",
    )

    max_deferrals: int | None = Field(
        default=10_000,
        ge=0,
        le=1_000_000_000,
        description="Most deferrals of a message by adapters (RetryLater, or a circuit breaker of their own) while one "
        "process has it; the next deferral is a failure. The least wait doubles with each, up to a "
        "second. None: no bound.",
    )
    max_deferral_seconds: float | None = Field(
        default=604_800.0,
        gt=0,
        le=31_536_000,
        description="Seconds from a message's first deferral to the end of its last; one that would end later is a "
        "failure. None: no bound.",
    )

    max_deliveries: int | None = Field(
        default=None,
        ge=1,
        le=1_000_000,
        description="Most deliveries of a message by a durable queue without an outcome, because its process died "
        "or exceeded its lease; then it fails without another attempt. A process that dies spends a delivery of every message "
        "that it had; from then on each of these is handed out alone until it has ended, so that the next death counts "
        "against that one only. With 1 the messages beside one that kills the process fail, too. None: no bound.",
    )

    @model_validator(mode="after")
    def _delays_agree(self) -> Self:
        if self.backoff == "exponential" and self.retry_delay_seconds > self.max_delay_seconds:
            raise contradiction(
                f"retry_delay_seconds ({self.retry_delay_seconds:g}) is more than max_delay_seconds "
                f"({self.max_delay_seconds:g})",
                "retry_delay_seconds",
                "max_delay_seconds",
            )
        return self

    @model_validator(mode="after")
    def _lists_agree(self) -> Self:
        both = sorted(set(self.retry_on) & set(self.give_up_on))
        if both:
            raise contradiction(f"{', '.join(both)} is in both retry_on and give_up_on", "give_up_on", "retry_on")
        return self


if TYPE_CHECKING:
    LimitAlgorithm: TypeAlias = str
else:
    LimitAlgorithm = Literal[LIMIT_ALGORITHMS]
"""Name of an algorithm that adjusts a limit; the list is the native module's."""


class BackpressureConfig(ConfigModel):
    """Limit on the messages in flight on a route, and the algorithm that adjusts it."""

    algorithm: LimitAlgorithm = Field(default="adaptive", description="Algorithm that adjusts the limit; fixed: none.")
    target_latency_ms: float | None = Field(
        default=None, gt=0, le=86_400_000, description="Milliseconds that an attempt should not exceed."
    )
    min_concurrency: int = Field(default=1, ge=1, le=100_000, description="The limit never falls below this.")
    max_concurrency: int = Field(default=200, ge=1, le=100_000, description="The limit never rises above this.")
    initial_concurrency: int | None = Field(
        default=None, ge=1, le=100_000, description="The limit at the start; by default the algorithm's own."
    )

    @property
    def is_fixed(self) -> bool:
        """True if nothing adjusts the limit."""
        return self.algorithm == "fixed"

    @model_validator(mode="after")
    def _bounds_agree(self) -> Self:
        if self.min_concurrency > self.max_concurrency:
            raise contradiction(
                f"min_concurrency ({self.min_concurrency}) is more than max_concurrency ({self.max_concurrency})",
                "min_concurrency",
                "max_concurrency",
            )
        initial = self.initial_concurrency
        if initial is not None and not self.min_concurrency <= initial <= self.max_concurrency:
            raise contradiction(
                f"initial_concurrency ({initial}) is outside min_concurrency ({self.min_concurrency}) "
                f"to max_concurrency ({self.max_concurrency})",
                "initial_concurrency",
                "max_concurrency",
            )
        return self


class CircuitBreakerConfig(ConfigModel):
    """Conditions under which a stage stops calling a failing dependency, and for how long."""

    key: str | None = Field(
        default=None,
        min_length=1,
        description="Path of a message field, as conditions write it; each of its values has its own breaker (one "
        "a host, say), and messages without it share one.",
    )
    max_keys: int = Field(
        default=1_000,
        ge=1,
        le=1_000_000,
        description="Most breakers of one stage; beyond that, the least recently used one is evicted.",
    )
    failure_rate_threshold: float = Field(
        default=50.0, ge=0.001, le=100, description="Per cent of failed calls at which the breaker opens."
    )
    slow_call_rate_threshold: float = Field(
        default=100.0, ge=0.001, le=100, description="Per cent of slow calls at which the breaker opens."
    )
    slow_call_duration_seconds: float = Field(
        default=60.0, ge=1e-6, le=86_400, description="Seconds; a call that takes longer is slow, failed or not."
    )
    sliding_window_type: Literal["count", "time"] = Field(
        default="count", description="count: rates of the last calls; time: rates of the last seconds."
    )
    sliding_window_size: int = Field(default=100, ge=1, le=100_000, description="Calls, or seconds, in the window.")
    minimum_calls: int = Field(
        default=20, ge=1, le=100_000, description="Calls before a rate is defined; at most the size of a count window."
    )
    wait_duration_seconds: float = Field(
        default=5.0, ge=0.001, le=86_400, description="Seconds that the breaker stays open the first time."
    )
    wait_multiplier: float = Field(
        default=2.0, ge=1, le=100, description="Factor of the wait each time the breaker opens again."
    )
    max_wait_duration_seconds: float = Field(default=60.0, ge=0.001, le=86_400, description="Longest wait, in seconds.")
    wait_jitter: float = Field(
        default=0.1,
        ge=0,
        le=1,
        description="Largest part by which a wait is shortened at random, so that breakers do not retry together.",
    )
    retry_after: Literal["extend", "open", "ignore"] = Field(
        default="extend",
        description="Effect of the retry_after_seconds, or retry_after, of an adapter's error. extend: a breaker that opens "
        "stays open at least that long; open: it opens at once for that long; ignore: none.",
    )
    max_retry_after_seconds: float = Field(
        default=3_600.0, ge=0.001, le=86_400, description="Longest wait that an error may ask for, in seconds."
    )
    automatic_half_open: bool = Field(
        default=False,
        description="True: the end of the wait makes it half open; false: the next call does, which may be long after.",
    )
    permitted_calls_in_half_open: int = Field(
        default=3, ge=1, le=10_000, description="Trial calls that decide whether the breaker closes."
    )
    max_half_open_seconds: float | None = Field(
        default=None, ge=1e-6, le=86_400, description="Seconds of half-open after which it opens again; none: no bound."
    )
    after_half_open: Literal["open", "closed"] = Field(default="open", description="State after max_half_open_seconds.")
    half_open_lease_seconds: float | None = Field(
        default=None,
        ge=1e-6,
        le=86_400,
        description="Seconds after which a trial call that never ended loses its place; by default 30, or twice "
        "slow_call_duration_seconds if that is more.",
    )
    record_errors: Sequence_[str] = Field(
        default=(), description="Names of the exception classes that count as failures; empty: all."
    )
    ignore_errors: Sequence_[str] = Field(
        default=(), description="Names of exception classes that count as nothing; takes precedence over record_errors."
    )

    @field_validator("key")
    @classmethod
    def _is_a_path(cls, key: str | None) -> str | None:
        if key is not None:
            try:
                FieldPath(key)
            except ValueError as error:
                problem, _, remedy = str(error).partition("; ")
                context = {"problem": problem, "remedy": remedy or "write a path, such as host or urls[0].host"}
                raise PydanticCustomError("field_path", "{problem}", context) from None
        return key

    @model_validator(mode="after")
    def _waits_agree(self) -> Self:
        if self.wait_duration_seconds > self.max_wait_duration_seconds:
            raise contradiction(
                f"wait_duration_seconds ({self.wait_duration_seconds:g}) is more than max_wait_duration_seconds "
                f"({self.max_wait_duration_seconds:g})",
                "wait_duration_seconds",
                "max_wait_duration_seconds",
            )
        return self


def contradiction(problem: str, *fields: str) -> PydanticCustomError:
    """Return the error of a model whose fields contradict each other; the loader points at the first written one."""
    return PydanticCustomError("contradiction", "{problem}", {"problem": problem, "fields": fields})
