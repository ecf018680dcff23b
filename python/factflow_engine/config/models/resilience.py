"""Sections on failure and load: retries, concurrency limits, circuit breakers.

Kept separate because the top of a document, its routes and (the breaker) its stages all take them, field by field.
"""

from typing import Literal, Self

from pydantic import Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from factflow_engine.config.models.base import ConfigModel, Sequence_
from factflow_engine.native import FieldPath


class ErrorHandlingConfig(ConfigModel):
    """Treatment of a message whose adapter failed."""

    max_retries: int = Field(
        default=0, ge=0, le=1_000, description="How many times a failed message is tried again; 0: never."
    )
    retry_delay_seconds: float = Field(
        default=1.0, ge=0, le=86_400, description="Seconds before the first retry, outside the route's limit."
    )
    backoff: Literal["exponential", "fixed"] = Field(
        default="exponential", description="Whether the delay doubles with each retry or stays."
    )
    max_delay_seconds: float = Field(default=60.0, gt=0, le=86_400, description="Seconds; no delay is longer.")
    jitter: Literal["full", "none"] = Field(
        default="full", description="full: the delay is drawn between zero and what it would be; none: it is that."
    )
    retry_on: Sequence_[str] = Field(
        default=(), description="Names of the exception classes to retry, subclasses too; empty: every one."
    )
    give_up_on: Sequence_[str] = Field(
        default=(), description="Names of exception classes never to retry; wins over retry_on."
    )
    dead_letter_queue: str | None = Field(
        default=None, description="Queue for messages that were given up; without it they end as failed."
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
        description="How many times adapters may defer a message (RetryLater, or a circuit breaker of their own) while one "
        "process has it; the next deferral is a failure. Each of them waits longer than the one before at least, up to a "
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
        description="How many times a durable queue may hand a message out without an end of it, because its process died "
        "or held it beyond its lease; then it is given up untried. A process that dies spends a delivery of everything "
        "that it held; from then on each of these is handed out by itself until it has ended, so that the next death is "
        "only its own. With 1 the neighbours of a message that kills are given up, too. None: no bound.",
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


class BackpressureConfig(ConfigModel):
    """Limit of the messages in flight on a route, and the algorithm that sets it."""

    algorithm: Literal["adaptive", "fixed", "aimd", "vegas", "gradient2", "arc"] = Field(
        default="adaptive", description="What moves the limit; fixed: nothing does."
    )
    target_latency_ms: float | None = Field(
        default=None, gt=0, le=86_400_000, description="Milliseconds that an attempt should not exceed."
    )
    min_concurrency: int = Field(default=1, ge=1, le=100_000, description="The limit never falls below this.")
    max_concurrency: int = Field(default=200, ge=1, le=100_000, description="The limit never rises above this.")
    initial_concurrency: int | None = Field(
        default=None, ge=1, le=100_000, description="The limit at the start; by default the algorithm's own."
    )

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
    """When a stage stops calling what keeps failing, and for how long."""

    key: str | None = Field(
        default=None,
        min_length=1,
        description="Path of a message field, as conditions write it; each of its values has a breaker of its own (one "
        "a host, say), and messages without it share one.",
    )
    max_keys: int = Field(
        default=1_000,
        ge=1,
        le=1_000_000,
        description="Breakers of one stage at most; beyond, the one that was not used for longest is forgotten.",
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
        default="count", description="Whether the rates are those of the last calls or of the last seconds."
    )
    sliding_window_size: int = Field(default=100, ge=1, le=100_000, description="Calls, or seconds, in the window.")
    minimum_calls: int = Field(
        default=20, ge=1, le=100_000, description="Calls before a rate means anything; no more than a count window."
    )
    wait_duration_seconds: float = Field(
        default=5.0, ge=0.001, le=86_400, description="Seconds that the breaker stays open the first time."
    )
    wait_multiplier: float = Field(
        default=2.0, ge=1, le=100, description="By how much the wait grows each time it opens again."
    )
    max_wait_duration_seconds: float = Field(
        default=60.0, ge=0.001, le=86_400, description="Seconds; no wait is longer."
    )
    wait_jitter: float = Field(
        default=0.1,
        ge=0,
        le=1,
        description="Up to which part chance shortens a wait, so that breakers that opened together do not try together.",
    )
    retry_after: Literal["extend", "open", "ignore"] = Field(
        default="extend",
        description="What the retry_after_seconds, or retry_after, of an adapter's error does: a breaker that opens "
        "stays open so long at least; or it opens at once for so long; or nothing.",
    )
    max_retry_after_seconds: float = Field(
        default=3_600.0, ge=0.001, le=86_400, description="Seconds; no wait that an error asks for is longer."
    )
    automatic_half_open: bool = Field(
        default=False,
        description="Whether the end of the wait alone makes it half open; else the next call does, which may be long "
        "after.",
    )
    permitted_calls_in_half_open: int = Field(
        default=3, ge=1, le=10_000, description="Trial calls that decide whether the breaker closes."
    )
    max_half_open_seconds: float | None = Field(
        default=None, ge=1e-6, le=86_400, description="Seconds of half-open after which it opens again; none: no bound."
    )
    after_half_open: Literal["open", "closed"] = Field(
        default="open", description="What it becomes after max_half_open_seconds."
    )
    half_open_lease_seconds: float | None = Field(
        default=None,
        ge=1e-6,
        le=86_400,
        description="Seconds after which a trial call that never ended loses its place; by default 30, or twice "
        "slow_call_duration_seconds if that is more.",
    )
    record_errors: Sequence_[str] = Field(
        default=(), description="Names of the exception classes that count as failures; empty: every one."
    )
    ignore_errors: Sequence_[str] = Field(
        default=(), description="Names of exception classes that count as nothing; wins over record_errors."
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
    """The error of a model whose fields do not go together; the loader points at the first of them that is written."""
    return PydanticCustomError("contradiction", "{problem}", {"problem": problem, "fields": fields})
