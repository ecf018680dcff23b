"""Retry policy: decides whether and when a failed or deferred message is tried again.

Pure, and kept separate from the runtime so that it can be read, tested and reused without it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, Protocol

from factflow_engine.resilience.error_classes import ErrorClasses, Verdict
from factflow_engine.resilience.overload import asked_wait

FIRST_DEFERRAL_SECONDS: Final = 0.001
"""Least duration of a message's first deferral; it doubles with each later one."""

LONGEST_FLOOR_SECONDS: Final = 1.0
"""Bound on that least duration: a message that asks for no delay is then tried once a second."""


class RetrySection(Protocol):
    """Fields of a configuration's `error_handling` section about retries."""

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
    """Conditions under which a failed attempt is followed by another.

    Full jitter draws the delay between zero and its nominal value, so that messages that failed together are not
    retried together (Brooker, "Exponential Backoff And Jitter", 2015).

    Attributes:
        max_retries: Most attempts after the first.
        delay_seconds: Delay before the second attempt.
        backoff: `exponential` to double each later delay, `fixed` to keep it.
        max_delay_seconds: Longest delay.
        jitter: `full` to draw delays at random, `none` for nominal delays.
        errors: Exceptions that are worth another attempt.
    """

    max_retries: int = 0
    delay_seconds: float = 1.0
    backoff: Literal["exponential", "fixed"] = "exponential"
    max_delay_seconds: float = 60.0
    jitter: Literal["full", "none"] = "full"
    errors: ErrorClasses = field(default_factory=ErrorClasses)

    @staticmethod
    def of(section: RetrySection) -> "RetryPolicy":
        """Make the policy of a configuration's section."""
        return RetryPolicy(
            max_retries=section.max_retries,
            delay_seconds=section.retry_delay_seconds,
            backoff=section.backoff,
            max_delay_seconds=section.max_delay_seconds,
            jitter=section.jitter,
            errors=ErrorClasses(record=frozenset(section.retry_on), ignore=frozenset(section.give_up_on)),
        )

    def delay(self, error: Exception, attempt: int, uniform: Callable[[float, float], float]) -> float | None:
        """Return the seconds to wait before the next attempt; None if there is none.

        The wait that an `Overloaded` asks for is waited at least, even beyond `max_delay_seconds`.

        Args:
            error: Exception of the attempt.
            attempt: Number of the attempt, from 1.
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
        return max(uniform(0.0, seconds) if self.jitter == "full" else seconds, asked_wait(error))


class DeferralSection(Protocol):
    """Fields of a configuration's `error_handling` section about deferrals."""

    @property
    def max_deferrals(self) -> int | None: ...  # noqa: D102
    @property
    def max_deferral_seconds(self) -> float | None: ...  # noqa: D102


@dataclass(frozen=True, slots=True, kw_only=True)
class DeferralPolicy:
    """Policy for messages that their adapter defers: duration and number of the deferrals.

    A deferral (`RetryLater`, or a refusal by the adapter's own circuit breaker) spends no attempt, so that
    `max_retries` does not bound it. Instead the wait has a floor, which doubles with each deferral of a message up to
    `LONGEST_FLOOR_SECONDS`, so that no message is retried without a pause; and the number and total duration of
    deferrals are bounded.

    Attributes:
        max_deferrals: Most deferrals of one message; None: no bound.
        max_seconds: Longest time from a message's first deferral to the end of the last; None: no bound.
    """

    max_deferrals: int | None = None
    max_seconds: float | None = None

    @staticmethod
    def of(section: DeferralSection) -> "DeferralPolicy":
        """Make the policy of a configuration's section."""
        return DeferralPolicy(max_deferrals=section.max_deferrals, max_seconds=section.max_deferral_seconds)

    def seconds(self, asked: float, deferrals: int) -> float:
        """Return the seconds that a message waits: the time asked for, or the floor if that is longer.

        Args:
            asked: Seconds that its adapter asked for.
            deferrals: Number of deferrals before.
        """
        doublings = min(deferrals, 64)  # 2**64 of the first is more than the longest
        return max(asked, min(FIRST_DEFERRAL_SECONDS * 2.0**doublings, LONGEST_FLOOR_SECONDS))

    def problem(self, deferrals: int, deferred_seconds: float, seconds: float) -> str | None:
        """Return the bound that a deferral would exceed, in words; None if there is none.

        Args:
            deferrals: Number of deferrals before.
            deferred_seconds: Seconds since the first deferral; 0 if there was none.
            seconds: Wait of the next deferral.
        """
        if self.max_deferrals is not None and deferrals >= self.max_deferrals:
            return f"deferred {deferrals} times; error_handling.max_deferrals is {self.max_deferrals}"
        if self.max_seconds is not None and deferred_seconds + seconds > self.max_seconds:
            return (
                f"deferred {deferrals} times in {deferred_seconds:g} s, and another {seconds:g} s are asked for; "
                f"error_handling.max_deferral_seconds is {self.max_seconds:g}"
            )
        return None
