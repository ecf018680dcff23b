"""The controller and a slow, obvious one give the same permits and find the same limits, in any history."""

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from factflow_engine import BackpressureController
from factflow_engine.native import LimitPermit
from factflow_engine.resilience.limits import new_limit
from resilience.permit_model import Model, ModelPermit

MS = 1_000_000


class Comparison(RuleBasedStateMachine):
    """One history of both."""

    @initialize(
        monitor_only=st.booleans(),
        bounds=st.tuples(st.integers(1, 20), st.integers(0, 60)),
        initial=st.integers(0, 80),
        own_least=st.integers(1, 20),
    )
    def begin(self, monitor_only: bool, bounds: tuple[int, int], initial: int, own_least: int) -> None:
        least, most = bounds[0], sum(bounds)
        first = min(most, max(least, initial))
        # A reset begins within the algorithm's own bounds, which a first limit need not keep.
        own_least = min(own_least, first)
        self.first: dict[str, Any] = {"initial": first, "min": own_least, "max": 200}
        self.controller = BackpressureController(
            algorithm="aimd",
            min_concurrency=least,
            max_concurrency=most,
            initial_concurrency=self.first["initial"],
            monitor_only=monitor_only,
            min=own_least,
            max=200,
        )
        self.model = Model(new_limit("aimd", **self.first), least, most, monitor_only)
        self.now = 0
        self.pairs: list[tuple[LimitPermit, ModelPermit]] = []

    @rule(after=st.integers(0, 20 * MS), count=st.integers(1, 12))
    def acquire(self, after: int, count: int) -> None:
        self.now += after
        for _ in range(count):
            permit, wanted = self.controller.try_acquire(self.now), self.model.try_acquire(self.now)
            assert (permit is None) == (wanted is None)
            if permit is not None and wanted is not None:
                assert permit.acquired_ns == wanted.start_ns
                self.pairs.append((permit, wanted))

    @rule(data=st.data(), after=st.integers(0, 20 * MS), dropped=st.sampled_from([False, False, True, None]))
    def settle(self, data: Any, after: int, dropped: bool | None) -> None:
        if not self.pairs:
            return
        self.now += after
        permit, wanted = self.pairs[data.draw(st.integers(0, len(self.pairs) - 1))]  # settled ones, too
        counts = self.model.settle(wanted, self.now, dropped)
        if dropped is None:
            permit.release()
        else:
            assert permit.record(self.now, dropped) is counts
        assert permit.is_settled

    @rule(back=st.integers(0, 50 * MS))
    def read_an_earlier_time(self, back: int) -> None:
        earlier = max(self.now - back, 0)
        self.controller.advance(earlier)
        permit, wanted = self.controller.try_acquire(earlier), self.model.try_acquire(earlier)
        assert (permit is None) == (wanted is None)
        if permit is not None and wanted is not None:
            self.pairs.append((permit, wanted))

    @rule()
    def drop(self) -> None:
        if self.pairs:
            _, wanted = self.pairs.pop()  # the last reference: it is released
            self.model.settle(wanted, self.now, None)

    @rule()
    def freeze(self) -> None:
        self.controller.freeze()
        self.model.frozen = True

    @rule(most=st.integers(0, 10))
    def cap(self, most: int) -> None:
        self.controller.cap(most, self.now)
        self.model.most_now = most

    @rule()
    def reset(self) -> None:
        self.controller.reset(self.now)
        self.model.reset(new_limit("aimd", **self.first))

    @invariant()
    def they_agree(self) -> None:
        controller, model = self.controller, self.model
        assert controller.limit == model.limit
        assert 1 <= controller.limit <= model.most
        assert controller.in_flight == len(model.out)
        figures = controller.statistics()
        assert figures.acquired == len(model.given)
        assert figures.refused == model.refused
        assert (figures.answered, figures.dropped) == (model.sampled.count(False), model.sampled.count(True))
        kept = figures.answered + figures.dropped + figures.released + figures.stale
        assert kept == sum(one.is_settled for one in model.given)
        assert figures.least_limit <= figures.median_limit <= figures.greatest_limit

    def teardown(self) -> None:
        for permit, _ in self.pairs:
            permit.release()
        self.controller.reset(self.now)
        assert self.controller.in_flight == 0
        assert self.controller.try_acquire(self.now) is not None


Comparison.TestCase.settings = settings(deadline=None, max_examples=60, stateful_step_count=40)
TestComparison = Comparison.TestCase
