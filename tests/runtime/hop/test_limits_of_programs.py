"""Limits by algorithms of a program's own, and when they are advanced and fail."""

import pytest
import trio

from factflow_engine.resilience import limits
from factflow_engine.runtime.hop.limiting import Limiting
from factflow_engine.runtime.hop.timers import Timers
from factflow_engine.testing import in_virtual_time
from factflow_protocols import AdapterResult
from support.limited import flood, route, simulated, work
from support.pipelines import assert_counters_balance


class Fading:
    """A program's own algorithm whose limit falls by one each second without a call."""

    def __init__(self, initial=10, fault=""):
        self.limit = initial
        self.next_deadline_ns = None
        self._fault = fault

    def on_sample(self, *, start_ns, rtt_ns, **_):
        self.limit, self.next_deadline_ns = 10, start_ns + rtt_ns + 1_000_000_000

    def advance(self, now_ns):
        assert now_ns >= self.next_deadline_ns
        self.limit -= 1
        self.next_deadline_ns = now_ns if self._fault else now_ns + 1_000_000_000 if self.limit > 5 else None


@pytest.mark.parametrize("fault", ["", "stands still"])
def test_a_programs_own_algorithm_may_change_its_limit_by_time_alone(fault):
    seen = []

    async def look(execution):
        for _ in range(10):
            await trio.sleep(1)
            seen.append(execution.statistics().routes["r"].limit)

    limits.register("fading", Fading)
    try:
        text = route(f"algorithm: fading, max_concurrency: 10, parameters: {{fault: '{fault}'}}")
        _, report = simulated(text, {"work": work}, flood(1), look=look)
    finally:
        del limits._REGISTERED["fading"]
    if fault:
        assert report.status == "failed"
        assert "expected a next_deadline_ns after" in report.error
    else:
        assert seen == [10, 9, 8, 7, 6, 5, 5, 5, 5, 5]
        assert report.limits["r"].changes == {"own algorithm": 5}


class Limited:
    """A route, as far as its limit is concerned."""

    shares_limit, stages, has_work, drivers, has_deadlines = False, (), True, (), True

    def __init__(self, limiter, notified):
        self.limiter = limiter
        self.notify = lambda: notified.append(1)


class Due:
    """A limit that wants to be called at times."""

    def __init__(self, *due_ns):
        self.due_ns = list(due_ns)
        self.advanced_ns = []

    @property
    def next_deadline_ns(self):
        return self.due_ns[0] if self.due_ns else None

    def advance(self, now_ns):
        self.advanced_ns.append(now_ns)
        self.due_ns = [due_ns for due_ns in self.due_ns if due_ns > now_ns]


def test_a_limit_is_advanced_when_it_wants_to_be():
    notified = []

    async def main(simulation):
        limiter = Due(2_000_000_000, 5_000_000_000)
        one = Limited(limiter, notified)
        start_ns = simulation.seams.clock.monotonic_ns()
        limiter.due_ns = [start_ns + due_ns for due_ns in limiter.due_ns]
        async with trio.open_nursery() as nursery:
            timers = Timers(on_death=lambda _, error: pytest.fail(str(error)))
            timers.start(nursery)
            limiting = Limiting([one], timers, now=simulation.seams.clock.monotonic_ns)
            limiting.attend(one)
            await trio.sleep(10)
            nursery.cancel_scope.cancel()
        return [(now_ns - start_ns) / 1e9 for now_ns in limiter.advanced_ns]

    assert in_virtual_time(main, seed=1) == pytest.approx([2, 5], abs=1e-3)
    assert len(notified) == 2


async def emits(context):
    await trio.sleep(0.05)
    return AdapterResult(emitted=[1, 2])


@pytest.mark.parametrize("stage", [work, emits])
def test_an_error_of_a_programs_own_algorithm_fails_its_route_and_not_a_message(stage):
    class Wrong:
        limit = 3

        def on_sample(self, **_):
            raise ZeroDivisionError("by the algorithm")

    limits.register("wrong", Wrong)
    try:
        _, report = simulated(route("algorithm: wrong"), {"work": stage}, flood(9))
    finally:
        del limits._REGISTERED["wrong"]
    assert report.status == "failed"
    assert report.error == "route 'r' died: ZeroDivisionError: by the algorithm"
    assert report.outcomes["failed"] == 0
    assert report.limits["r"].in_flight == 0
    assert_counters_balance(report)
    if stage is emits:
        assert sum(report.outcomes.values()) == 0
        assert report.routes["r"].in_flight == 0, "the message that emits is given back"
