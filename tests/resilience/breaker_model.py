"""A circuit breaker written to be read: it keeps every result and every permit, and counts them anew each time.

The machine that the engine uses is compared with it, step by step. It shares nothing with that one but its parameters.
"""

import struct
from dataclasses import dataclass, field

from factflow_engine.resilience import CircuitBreakerSettings

PERMITTING = ("closed", "disabled", "metrics_only")
LEGAL = {
    "closed": {"closed", "open", "forced_open", "disabled", "metrics_only"},
    "metrics_only": {"closed", "forced_open", "disabled", "metrics_only"},
}
ALL = {"closed", "open", "half_open", "forced_open", "disabled", "metrics_only"}


def single(number: float) -> float:
    """The number in single precision, which is that of the rates."""
    return struct.unpack("f", struct.pack("f", number))[0]


def draw(seed: int, ordinal: int) -> float:
    """The n-th number, from 0 up to 1, of the splitmix64 generator."""
    mask = (1 << 64) - 1
    bits = (seed + (ordinal + 1) * 0x9E3779B97F4A7C15) & mask
    bits = ((bits ^ (bits >> 30)) * 0xBF58476D1CE4E5B9) & mask
    bits = ((bits ^ (bits >> 27)) * 0x94D049BB133111EB) & mask
    return ((bits ^ (bits >> 31)) >> 11) / (1 << 53)


def ns(seconds: float) -> int:
    return round(seconds * 1e9)


@dataclass(eq=False)
class ModelPermit:
    generation: int
    lease_until: int | None = None
    is_expired: bool = False


@dataclass(eq=False)
class Model:
    settings: CircuitBreakerSettings
    seed: int
    state: str = "closed"
    generation: int = 1
    now: int = 0
    since: int = 0
    results: list[tuple[int, bool, bool]] = field(default_factory=list)
    are_trials: bool = False
    rejected: int = 0
    attempt: int = 0
    level: float = 0.0
    draws: int = 0
    open_until: int = 0
    asked_until: int = 0
    reported: set[str] = field(default_factory=set)
    out: list[ModelPermit] = field(default_factory=list)
    totals: dict[str, int] = field(
        default_factory=lambda: dict.fromkeys(
            [
                "permitted",
                "rejected",
                "succeeded",
                "failed",
                "slow",
                "ignored",
                "released",
                "unrecorded",
                "stale",
                "leases_expired",
            ],
            0,
        )
    )
    events: list[tuple[object, ...]] = field(default_factory=list)

    # What is asked of it

    def try_acquire(self, now: int) -> ModelPermit | None:
        self.advance(now)
        if self.state == "open" and self.now > self.open_until:
            self.enter("half_open", "wait_elapsed")
        if self.state in PERMITTING:
            permit = ModelPermit(self.generation)
        elif self.trial_places() > 0:
            permit = ModelPermit(self.generation, self.now + self.lease_ns())
        else:
            self.rejected += 1
            self.totals["rejected"] += 1
            return None
        self.totals["permitted"] += 1
        self.out.append(permit)
        return permit

    def record(self, permit: ModelPermit, now: int, duration: int, verdict: str, asked: int | None) -> bool:
        if verdict == "release":
            self.release(permit)
            return False
        self.advance(now)
        self.out.remove(permit)
        is_current = permit.generation == self.generation and not permit.is_expired
        if verdict == "ignored":
            self.totals["ignored"] += 1
            return False
        if is_current and self.state == "disabled":
            self.totals["unrecorded"] += 1
            return False
        failed, slow = verdict == "failure", duration > ns(self.settings.slow_call_duration_seconds)
        self.totals["failed" if failed else "succeeded"] += 1
        self.totals["slow"] += slow
        if not is_current:
            self.totals["stale"] += 1
            return False
        opens_for = 0
        if failed and asked is not None and self.settings.retry_after != "ignore":
            asked = min(asked, ns(self.settings.max_retry_after_seconds))
            self.asked_until = max(self.asked_until, self.now + asked)
            opens_for = asked if self.settings.retry_after == "open" else 0
        self.results.append((self.now, failed, slow))
        self.judge(opens_for)
        return True

    def release(self, permit: ModelPermit) -> None:
        self.out.remove(permit)
        self.totals["released"] += 1

    def advance(self, now: int) -> None:
        self.now = max(self.now, now)
        if self.state == "open" and self.settings.automatic_half_open and self.now >= self.open_until:
            self.enter("half_open", "wait_elapsed")
        elif self.state == "half_open":
            longest = self.settings.max_half_open_seconds
            if longest is not None and self.now >= self.since + ns(longest):
                self.enter(self.settings.after_half_open, "half_open_timeout")
                return
            expired = [permit for permit in self.trials_out() if permit.lease_until <= self.now]
            for permit in expired:
                permit.is_expired = True
            if expired:
                self.totals["leases_expired"] += len(expired)
                self.report("leases_expired", leases_expired=len(expired))

    def move_to(self, state: str, now: int) -> bool:
        if state not in LEGAL.get(self.state, ALL):
            return False
        self.now = max(self.now, now)
        self.enter(state, "manual")
        return True

    def move_to_open_for(self, wait: int, now: int) -> bool:
        if "open" not in LEGAL.get(self.state, ALL):
            return False
        self.now = max(self.now, now)
        self.enter("open", "manual", wait=wait)
        return True

    def reset(self, now: int) -> None:
        self.now = max(self.now, now)
        self.enter("closed", "reset")
        self.report("reset")

    # What follows from it

    def minimum(self) -> int:
        settings = self.settings
        if self.are_trials:
            return min(settings.minimum_calls, settings.permitted_calls_in_half_open)
        if settings.sliding_window_type == "count":
            return min(settings.minimum_calls, settings.sliding_window_size)
        return settings.minimum_calls

    def inside(self, now: int) -> list[tuple[int, bool, bool]]:
        size = self.settings.sliding_window_size
        if self.are_trials:
            return self.results
        if self.settings.sliding_window_type == "count":
            return self.results[-size:]
        tenth = size * 100_000_000
        return [result for result in self.results if now // tenth - result[0] // tenth < 10]

    def rates(self, now: int) -> tuple[float | None, float | None]:
        inside = self.inside(now)
        if len(inside) < self.minimum():
            return None, None
        failed, slow = sum(result[1] for result in inside), sum(result[2] for result in inside)
        return single(failed * 100 / len(inside)), single(slow * 100 / len(inside))

    def judge(self, opens_for: int) -> None:
        failure_rate, slow_call_rate = self.rates(self.now)
        reasons = []
        if failure_rate is not None and failure_rate >= single(self.settings.failure_rate_threshold):
            reasons.append("failure_rate")
        if slow_call_rate is not None and slow_call_rate >= single(self.settings.slow_call_rate_threshold):
            reasons.append("slow_call_rate")
        if self.state != "half_open":
            for reason in reasons:
                if reason not in self.reported:
                    self.report(f"{reason}_exceeded")
        if self.state == "metrics_only":
            self.reported.update(reasons)
        elif reasons:
            self.enter("open", reasons[0])
        elif opens_for > 0:
            self.enter("open", "retry_after", wait=opens_for)
        elif self.state == "half_open" and len(self.results) >= self.minimum():
            self.enter("closed", "trials_passed")

    def enter(self, state: str, reason: str, wait: int | None = None) -> None:
        before, rates = self.state, self.rates(self.now)
        if state == "forced_open" or (state == "open" and wait is None):
            settings = self.settings
            longer = min(self.level * settings.wait_multiplier, float(ns(settings.max_wait_duration_seconds)))
            self.level = float(ns(settings.wait_duration_seconds)) if self.attempt == 0 else longer
            self.attempt += 1
        if state == "open":
            if wait is None:
                shortened = int(self.level * self.settings.wait_jitter * draw(self.seed, self.draws))
                self.draws += 1
                wait = max(int(self.level) - shortened, 1, self.asked_until - self.now)
            self.open_until = self.now + wait
        else:
            self.results, self.are_trials, self.rejected = [], state == "half_open", 0
            if state in PERMITTING:
                self.attempt, self.level = 0, 0.0
        self.state, self.since, self.generation = state, self.now, self.generation + 1
        self.asked_until, self.reported = 0, set()
        if before != state:
            self.report("transition", before, state, reason, wait, rates=rates)

    def report(
        self,
        kind: str,
        before: str | None = None,
        after: str | None = None,
        reason: str | None = None,
        wait: int | None = None,
        *,
        rates: tuple[float | None, float | None] | None = None,
        leases_expired: int = 0,
    ) -> None:
        rates = self.rates(self.now) if rates is None else rates
        self.events.append((kind, self.now, self.generation, *rates, before, after, reason, wait, leases_expired))

    def lease_ns(self) -> int:
        given = self.settings.half_open_lease_seconds
        return ns(max(2 * self.settings.slow_call_duration_seconds, 30) if given is None else given)

    def trials_out(self) -> list[ModelPermit]:
        return [permit for permit in self.out if permit.generation == self.generation and not permit.is_expired]

    def trial_places(self) -> int:
        if self.state != "half_open":
            return 0
        return self.settings.permitted_calls_in_half_open - len(self.results) - len(self.trials_out())

    def next_deadline(self) -> int | None:
        if self.state == "open":
            return self.open_until + (not self.settings.automatic_half_open)
        if self.state != "half_open":
            return None
        deadlines = [permit.lease_until for permit in self.trials_out()]
        if self.settings.max_half_open_seconds is not None:
            deadlines.append(self.since + ns(self.settings.max_half_open_seconds))
        return min(deadlines, default=None)

    def retry_after(self, now: int) -> int | None:
        if self.state in PERMITTING or self.trial_places() > 0:
            return 0
        if self.state == "forced_open":
            return None
        deadline = self.next_deadline()
        wait = max(deadline - now, 0) if deadline is not None else 1 << 64
        return wait if self.state == "open" else min(wait, ns(self.settings.wait_duration_seconds))

    def stats(self, now: int) -> dict[str, object]:
        now = max(now, self.now)
        inside, rates = self.inside(now), self.rates(now)
        return {
            "state": self.state,
            "since_ns": self.since,
            "generation": self.generation,
            "calls": len(inside),
            "failed": sum(result[1] for result in inside),
            "slow": sum(result[2] for result in inside),
            "failure_rate": rates[0],
            "slow_call_rate": rates[1],
            "rejected": self.rejected,
            "attempt": self.attempt,
            "trial_places": self.trial_places(),
            "retry_after_ns": self.retry_after(now),
            "totals": {**self.totals, "in_flight": len(self.out)},
        }
