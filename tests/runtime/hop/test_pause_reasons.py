"""Reasons for pausing against a model of sets: what is paused, what runs, what stays in order."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from factflow_protocols import AdapterResult
from support.pipelines import assert_counters_balance
from support.stepping import SteppedExecution

ROUTES = ("a", "b", "c")
NEXT = {"a": "b", "b": None, "c": None}
REASONS = ("operator", "maintenance", "memory")

PIPELINE = """
routes:
  a: {inbound: {concurrency: 1}, adapters: [{type: note}], outbound: [{route: b}]}
  b: {inbound: {concurrency: 2}, adapters: [{type: note}]}
  c: {inbound: {concurrency: 3}, adapters: [{type: note}, {type: forward}]}
"""

routes = st.sampled_from(ROUTES)
targets = st.sampled_from([None, *ROUTES])
reasons = st.sampled_from(REASONS)


class PauseMachine(RuleBasedStateMachine):
    """The model: a set of reasons and two lists of messages a route."""

    def __init__(self):
        super().__init__()
        self.seen = {route: [] for route in ROUTES}
        self.reasons = {route: set() for route in ROUTES}
        self.waiting = {route: [] for route in ROUTES}
        self.done = {route: [] for route in ROUTES}
        self.next = 0

        async def note(context):
            self.seen[context.route].append(context.message)
            return AdapterResult.forward()

        self.execution = SteppedExecution(PIPELINE, {"note": note})

    def teardown(self):
        self.execution.close()

    def model_runs(self):
        for route in ROUTES:  # upstream first
            if not self.reasons[route]:
                moved, self.waiting[route] = self.waiting[route], []
                self.done[route] += moved
                if NEXT[route]:
                    self.waiting[NEXT[route]] += moved

    @rule(route=routes, count=st.integers(1, 20))
    def publish(self, route, count):
        numbers = list(range(self.next, self.next + count))
        self.next += count
        self.execution.step(lambda execution: [execution.publish_nowait(route, number) for number in numbers])
        self.waiting[route] += numbers
        self.model_runs()

    @rule(which=targets, reason=reasons)
    def pause(self, which, reason):
        self.execution.step(lambda execution: execution.pause(which, reason=reason))
        for route in ROUTES if which is None else [which]:
            self.reasons[route].add(reason)

    @rule(which=targets, reason=reasons)
    def resume(self, which, reason):
        self.execution.step(lambda execution: execution.resume(which, reason=reason))
        for route in ROUTES if which is None else [which]:
            self.reasons[route].discard(reason)
        self.model_runs()

    @rule(route=routes, reason=reasons)
    def pause_and_resume_at_once(self, route, reason):
        def both(execution):
            execution.pause(route, reason=reason)
            execution.resume(route, reason=reason)

        self.execution.step(both)
        self.reasons[route].discard(reason)
        self.model_runs()

    @invariant()
    def the_execution_is_as_the_model(self):
        statistics = self.execution.step(lambda execution: execution.statistics())
        assert_counters_balance(statistics)
        for name, route in statistics.routes.items():
            assert route.pauses == tuple(sorted(self.reasons[name]))
            assert (route.waiting, route.in_flight) == (len(self.waiting[name]), 0)
            assert self.seen[name] == self.done[name]
            assert route.completed == len(self.done[name])


TestPauseReasons = PauseMachine.TestCase
TestPauseReasons.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)
