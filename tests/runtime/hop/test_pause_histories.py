"""Long random histories of pausing and resuming, against sets: what is paused for what, and what is held back by it."""

import random
from collections import Counter

import pytest
import trio
import trio.testing

from factflow_protocols import AdapterResult
from support.pipelines import assert_counters_balance, running

ROUTES = ("a", "b", "c")
NEXT = {"a": "b"}
REASONS = ("operator", "maintenance", "memory", "drain", "circuit_open")
PIPELINE = """
routes:
  a: {inbound: {concurrency: 1, capacity: 1000000}, adapters: [{type: note}], outbound: [{route: b}]}
  b: {inbound: {concurrency: 2, capacity: 1000000}, adapters: [{type: note}]}
  c: {inbound: {concurrency: 3, capacity: 1000000}, adapters: [{type: note}]}
"""


class Model:
    """A set of reasons and a number of messages a route."""

    def __init__(self):
        self.reasons = {route: set() for route in ROUTES}
        self.waiting = Counter()
        self.done = Counter()

    def pause(self, route, reason):
        for each in ROUTES if route is None else [route]:
            self.reasons[each].add(reason)

    def resume(self, route, reason):
        for each in ROUTES if route is None else [route]:
            self.reasons[each].discard(reason)

    def run(self):
        for route in ROUTES:  # upstream first
            if not self.reasons[route]:
                self.done[route] += self.waiting[route]
                if route in NEXT:
                    self.waiting[NEXT[route]] += self.waiting[route]
                self.waiting[route] = 0


async def history(steps, choices):
    done = Counter()

    async def note(context):
        done[context.route] += 1
        return AdapterResult.forward()

    model = Model()
    async with running(PIPELINE, adapters={"note": note}, seconds=600) as execution:
        for step in range(steps):
            route = choices.choice((None, *ROUTES))
            reason = choices.choice(REASONS)
            # Resumed more often than paused, so that every route runs now and then.
            for subject in (execution, model):
                (subject.resume if step % 5 else subject.pause)(route, reason)
            statistics = execution.statistics().routes
            assert {name: set(statistics[name].pauses) for name in ROUTES} == model.reasons
            if choices.random() < 0.01:
                target = choices.choice(ROUTES)
                execution.publish_nowait(target, step)
                model.waiting[target] += 1
                await trio.testing.wait_all_tasks_blocked()
                model.run()
                assert done == +model.done, "what is paused takes nothing, what is not takes all"
                statistics = execution.statistics()
                assert {name: statistics.routes[name].waiting for name in ROUTES} == {
                    name: model.waiting[name] for name in ROUTES
                }
                assert_counters_balance(statistics)
        for reason in REASONS:
            execution.resume(None, reason)
            model.resume(None, reason)
        report = await execution.complete()
        model.run()
        assert {name: report.routes[name].completed for name in ROUTES} == {name: model.done[name] for name in ROUTES}
    assert min(done.values()) > 0
    return done


async def test_pauses_are_what_a_model_says():
    await history(20_000, random.Random(1))


@pytest.mark.slow
async def test_pauses_are_what_a_model_says_for_a_million_steps():
    for seed in range(4):
        await history(250_000, random.Random(seed))
