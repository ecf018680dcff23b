"""The breaker and a slow, obvious one answer alike, in any history."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resilience.breaker_histories import Comparison


@settings(deadline=None)
@given(choices=st.randoms(use_true_random=False), seed=st.integers(0, (1 << 64) - 1), steps=st.integers(1, 150))
def test_a_breaker_does_what_its_model_does(choices: random.Random, seed: int, steps: int) -> None:
    comparison = Comparison(choices.randrange, seed)
    for _ in range(steps):
        comparison.step()


def test_random_histories_meet_every_rule() -> None:
    """The comparison would be worth little if its histories avoided the odd corners."""
    met: set[str] = set()
    for seed in range(60):
        choices = random.Random(seed)
        comparison = Comparison(choices.randrange, seed)

        def note(event) -> None:
            met.add(event.kind)
            met.add(f"{event.from_state} to {event.to_state}: {event.reason}")

        comparison.breaker.events.subscribe(note)
        for _ in range(400):
            comparison.step()
        totals = comparison.breaker.stats().totals
        met.update(name for name in ("stale", "unrecorded", "leases_expired", "ignored") if getattr(totals, name))
    assert met >= {
        "stale",
        "unrecorded",
        "leases_expired",
        "ignored",
        "reset",
        "failure_rate_exceeded",
        "slow_call_rate_exceeded",
        "closed to open: failure_rate",
        "closed to open: slow_call_rate",
        "closed to open: retry_after",
        "half_open to open: failure_rate",
        "half_open to open: slow_call_rate",
        "half_open to open: retry_after",
        "half_open to open: half_open_timeout",
        "half_open to closed: half_open_timeout",
        "half_open to closed: trials_passed",
        "open to half_open: wait_elapsed",
        "disabled to half_open: manual",
        "forced_open to open: manual",
        "metrics_only to closed: reset",
    }


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_breaker_does_what_its_model_does_for_a_million_steps() -> None:
    steps = 0
    for seed in range(500):
        choices = random.Random(1_000_003 * seed)
        comparison = Comparison(choices.randrange, seed)
        for _ in range(2_000):
            comparison.step()
            steps += 1
    assert steps >= 1_000_000
