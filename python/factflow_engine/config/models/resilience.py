"""Sections on failure and load: retries, concurrency limits, circuit breakers.

Kept separate because the document, its routes and (the breaker) its stages all have them, field by field.
"""

from typing import Any, Final, Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticCustomError

from factflow_engine.config.frozen import FrozenDict
from factflow_engine.config.models.base import ConfigModel, Sequence_
from factflow_engine.native import FieldPath
from factflow_engine.resilience.limit_settings import (
    DEFAULT_ALGORITHM,
    ParameterProblem,
    is_imported,
    is_known,
    parameter_problems,
)
from factflow_engine.resilience.limits import registered

GROUP_PATTERN: Final = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$"
"""Pattern of names of shared limits: they become keys of statistics."""


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


ALGORITHM_FIELD: Final = "algorithm"
"""Field of a section on limits that says what its parameters mean."""


def field_path(key: str | None) -> str | None:
    """Return the path of a message field; an error if it is none."""
    if key is not None:
        try:
            FieldPath(key)
        except ValueError as error:
            problem, _, remedy = str(error).partition("; ")
            context = {"problem": problem, "remedy": remedy or "write a path, such as host or urls[0].host"}
            raise PydanticCustomError("field_path", "{problem}", context) from None
    return key


class BackpressureConfig(ConfigModel):
    """Limit on the messages in flight on a route, or on the calls of a stage, and the algorithm that adjusts it."""

    algorithm: str = Field(
        default=DEFAULT_ALGORITHM,
        min_length=1,
        max_length=128,
        description="Algorithm that adjusts the limit; fixed: none. `docs/limits.md` says which when. A program's own by "
        "its name.",
    )
    parameters: FrozenDict[str, Any] = Field(
        default_factory=FrozenDict,
        validate_default=True,  # an algorithm may need some, or not be importable
        description="The algorithm's own parameters, such as {backoff: 0.8} for aimd. A route that names another algorithm "
        "inherits none.",
    )
    target_latency_ms: float | None = Field(
        default=None,
        ge=0.001,
        le=86_400_000,
        description="Milliseconds that an attempt should not exceed: a ceiling, not an aim.",
    )
    min_concurrency: int = Field(default=1, ge=1, le=100_000, description="The limit never falls below this.")
    max_concurrency: int = Field(default=200, ge=1, le=100_000, description="The limit never rises above this.")
    initial_concurrency: int | None = Field(
        default=None, ge=1, le=100_000, description="The limit at the start; by default the algorithm's own."
    )
    monitor_only: bool = Field(
        default=False, description="True: the limit is computed and reported, and nothing waits for it."
    )
    warm_start: bool = Field(
        default=False,
        description="True: the limit begins where that of the last recorded execution of this pipeline was at its end. "
        "`docs/executions.md` says what is recorded.",
    )
    group: str | None = Field(
        default=None,
        pattern=GROUP_PATTERN,
        description="Name of a limit that all routes and stages with this group share; their settings must be equal.",
    )
    key: str | None = Field(
        default=None,
        min_length=1,
        description="In a stage: path of a message field, as conditions write it; each of its values has its own limit "
        "(one a host, say), and messages without it share one.",
    )
    max_keys: int = Field(
        default=1_000,
        ge=1,
        le=1_000_000,
        description="Most limits of one stage or group; beyond that, the least recently used one without calls is evicted.",
    )

    @property
    def is_fixed(self) -> bool:
        """True if nothing adjusts the limit."""
        return self.algorithm == "fixed"

    _check_key = field_validator("key")(field_path)

    @field_validator("algorithm")
    @classmethod
    def _is_known(cls, algorithm: str) -> str:
        if not is_known(algorithm):
            problem = ParameterProblem((), f"there is no limit algorithm {algorithm[:60]!r}", known=registered())
            raise _limit_error("E503", (problem,))
        return algorithm

    @field_validator("parameters")
    @classmethod
    def _algorithm_takes_them(cls, parameters: FrozenDict[str, Any], info: ValidationInfo) -> FrozenDict[str, Any]:
        algorithm, imports = info.data.get("algorithm"), (info.context or {}).get("imports", True)
        if algorithm is not None and (imports or not is_imported(algorithm)):
            problems = parameter_problems(algorithm, parameters)
            if problems:
                raise _limit_error("E504", problems)
        return parameters

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
        if self.target_latency_ms is not None and "timeout_ms" in self.parameters:
            raise contradiction(
                f"target_latency_ms ({self.target_latency_ms:g}) is what {self.algorithm} takes for timeout_ms "
                f"({self.parameters['timeout_ms']:g})",
                "parameters",
                "target_latency_ms",
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

    _check_key = field_validator("key")(field_path)

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


def _limit_error(code: str, problems: tuple[ParameterProblem, ...]) -> PydanticCustomError:
    """Return the error of a limit's algorithm, with one problem or more."""
    return PydanticCustomError("limit", "{text}", {"text": problems[0].problem, "code": code, "problems": problems})
