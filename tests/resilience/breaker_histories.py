"""Random histories for circuit breakers, and the comparison of one breaker with its model along them.

Kept separate from the tests because the quick one and the long one walk the same way.
"""

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from factflow_engine.resilience import CircuitBreaker, CircuitBreakerSettings, CircuitEvent
from resilience.breaker_model import ALL, Model, ModelPermit

SECOND = 1_000_000_000
Choose = Callable[[int], int]
"""A number from 0 up to the argument, without it."""


class Refused(RuntimeError):
    """A failure; its class is recorded by the name of its base."""

    def __init__(self, retry_after_seconds: float | None = None) -> None:
        if retry_after_seconds is not None:
            self.retry_after_seconds = retry_after_seconds


class Seeded:
    """Randomness that gives one seed."""

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def uniform(self, low: float, high: float) -> float:
        raise AssertionError("a breaker draws its seed and nothing else")

    def token(self, size: int) -> bytes:
        return self._seed.to_bytes(size)


def settings_from(choose: Choose) -> CircuitBreakerSettings:
    """Small numbers, so that every rule is met often."""
    wait = (choose(8) + 1) / 2
    return CircuitBreakerSettings(
        failure_rate_threshold=(100 / 3, 50.0, 66.7, 100.0, 1.0)[choose(5)],
        slow_call_rate_threshold=(100.0, 50.0, 200 / 3)[choose(3)],
        slow_call_duration_seconds=1.0,
        sliding_window_type=("count", "time")[choose(2)],
        sliding_window_size=choose(12) + 1,
        minimum_calls=choose(6) + 1,
        wait_duration_seconds=wait,
        wait_multiplier=(1.0, 1.5, 2.0)[choose(3)],
        max_wait_duration_seconds=wait * (choose(10) + 1),
        wait_jitter=(0.0, 0.1, 1.0)[choose(3)],
        automatic_half_open=bool(choose(2)),
        permitted_calls_in_half_open=choose(5) + 1,
        max_half_open_seconds=(None, 0.5, 7.0)[choose(3)],
        after_half_open=("open", "closed")[choose(2)],
        half_open_lease_seconds=(None, 0.3, 2.0)[choose(3)],
        retry_after=("extend", "open", "ignore")[choose(3)],
        max_retry_after_seconds=20.0,
        record_errors=("RuntimeError",),
        ignore_errors=("LookupError",),
    )


class Comparison:
    """One breaker, its model, and the permits that both gave."""

    def __init__(self, choose: Choose, seed: int) -> None:
        self.choose = choose
        settings = settings_from(choose)
        self.breaker = CircuitBreaker(settings, name="compared", randomness=Seeded(seed))
        self.model = Model(settings, seed)
        self.events: list[tuple[object, ...]] = []
        self.breaker.events.subscribe(lambda event: self.events.append(_row(event)))
        self.permits: list[tuple[Any, ModelPermit]] = []
        self.now = 0

    def step(self) -> None:
        """One random step on both, then everything that can be read of them must be equal."""
        breaker, model, choose, now = self.breaker, self.model, self.choose, self.now
        what = choose(100)
        if what < 35:
            one, other = breaker.try_acquire(now), model.try_acquire(now)
            assert (one is None) == (other is None)
            if one is not None and other is not None:
                self.permits.append((one, other))
        elif what < 65 and self.permits:
            self._end()
        elif what < 85:
            self._pass()
        elif what < 90:
            breaker.advance(now)
            model.advance(now)
        elif what < 93:
            state = sorted(ALL)[choose(len(ALL))]
            assert breaker.move_to(state, now) == model.move_to(state, now)
        elif what == 93:
            wait = choose(5) * SECOND
            assert breaker.move_to_open_for(wait, now) == model.move_to_open_for(wait, now)
        elif what == 94:
            breaker.reset(now)
            model.reset(now)
        elif what == 95:
            # A reading that went back is not time that went back.
            self.now = max(0, now - choose(10 * SECOND))
        self._compare()

    def _end(self) -> None:
        one, other = self.permits.pop(self.choose(len(self.permits)))
        duration = (0, SECOND, SECOND + 1, 5 * SECOND)[self.choose(4)]
        ending = self.choose(12)
        if ending == 0:
            one.release()
            self.model.release(other)
        elif ending == 1:
            del one
            self.model.release(other)
        elif ending == 2:
            asked = (None, self.choose(3) * SECOND)[self.choose(2)]
            counted = self.model.record(other, self.now, duration, "failure", asked)
            assert one.record_failure(self.now, duration, asked) == counted
        else:
            seconds = (0, 1, 6, 1000)[self.choose(4)]
            error, verdict, asked = (
                (None, "success", None),
                (None, "success", None),
                (ValueError("an answer"), "success", None),
                (KeyError("not our fault"), "ignored", None),
                (KeyboardInterrupt(), "release", None),
                (Refused(), "failure", None),
                (Refused(seconds), "failure", seconds * SECOND),
                (RuntimeError(), "failure", None),
                (RuntimeError(), "failure", None),
            )[ending - 3]
            counted = self.model.record(other, self.now, duration, verdict, asked)
            assert one.record(self.now, duration, error) == counted

    def _pass(self) -> None:
        """To around the next deadline, or by any time, a short one more often."""
        deadline = self.model.next_deadline()
        way = self.choose(6)
        if way < 3 and deadline is not None:
            self.now = max(self.now, deadline + way - 1)
        else:
            self.now += self.choose((SECOND, 4 * SECOND, 40 * SECOND)[way // 2])

    def _compare(self) -> None:
        assert self.events == self.model.events
        self.events.clear()
        self.model.events.clear()
        later = self.now + (self.choose(3) == 0) * self.choose(3 * SECOND)
        stats = asdict(self.breaker.stats(later))
        assert stats.pop("name") == "compared"
        assert stats == self.model.stats(later)
        assert self.breaker.next_deadline_ns == self.model.next_deadline()


def _row(event: CircuitEvent) -> tuple[object, ...]:
    return (
        event.kind, event.time_ns, event.generation, event.failure_rate, event.slow_call_rate, event.from_state,
        event.to_state, event.reason, event.wait_ns, event.leases_expired,
    )  # fmt: skip
