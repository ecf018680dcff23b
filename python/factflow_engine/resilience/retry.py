"""Whether and when a failed message is tried again: a pure decision.

Apart from the runtime so that it can be read, tested and reused without one.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from factflow_engine.resilience.error_classes import ErrorClasses, Verdict


class RetrySection(Protocol):
    """What a configuration's `error_handling` section says about retries."""

    @property
    def max_retries(self) -> int: ...  # noqa: D102
    @property
    def retry_delay_seconds(self) -> float: ...  # noqa: D102
    @property
    def backoff(self) -> Literal["exponential", "fixed"]: ...  # noqa: D102
    @property
    def max_delay_seconds(self) -> float: ...  # noqa: D102
    @property
    def jitter(self) -> Literal["full", "none"]: ...  # noqa: D102
    @property
    def retry_on(self) -> Sequence[str]: ...  # noqa: D102
    @property
    def give_up_on(self) -> Sequence[str]: ...  # noqa: D102


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """When a failed attempt is followed by another.

    Full jitter draws the delay between zero and what it would be: of messages that failed together, each comes back at
    a time of its own (Brooker, "Exponential Backoff And Jitter", 2015).

    Attributes:
        max_retries: How many attempts may follow the first.
        delay_seconds: The wait before the second attempt.
        backoff: Whether each later wait is twice the one before, or the same.
        max_delay_seconds: No wait is longer.
        jitter: Whether chance shortens the waits.
        errors: Which exceptions are worth another attempt.
    """

    max_retries: int = 0
    delay_seconds: float = 1.0
    backoff: Literal["exponential", "fixed"] = "exponential"
    max_delay_seconds: float = 60.0
    jitter: Literal["full", "none"] = "full"
    errors: ErrorClasses = field(default_factory=ErrorClasses)

    @staticmethod
    def of(section: RetrySection) -> "RetryPolicy":
        """The policy that a configuration's section means."""
        return RetryPolicy(
            max_retries=section.max_retries,
            delay_seconds=section.retry_delay_seconds,
            backoff=section.backoff,
            max_delay_seconds=section.max_delay_seconds,
            jitter=section.jitter,
            errors=ErrorClasses(record=frozenset(section.retry_on), ignore=frozenset(section.give_up_on)),
        )

    def delay(self, error: Exception, attempt: int, uniform: Callable[[float, float], float]) -> float | None:
        """Seconds to wait before the next attempt; None if there is none.

        Args:
            error: What the attempt raised.
            attempt: Which it was, from 1.
            uniform: Draws a number between two bounds.
        """
        if attempt > self.max_retries or self.errors.gives_up(error):
            return None
        if self.errors.judge(error)[0] is not Verdict.FAILURE:
            return None
        seconds = min(self.delay_seconds, self.max_delay_seconds)
        if self.backoff == "exponential":
            doublings = min(attempt - 1, 64)  # 2**64 of any delay is more than any bound
            seconds = min(self.delay_seconds * 2.0**doublings, self.max_delay_seconds)
        return uniform(0.0, seconds) if self.jitter == "full" else seconds
