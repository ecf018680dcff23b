"""Limits of routes and stages on a durable queue: whenever an execution is cancelled, the next one finishes its work."""

import random
from collections import Counter

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from factflow_engine.runtime.execution.manager import OrchestratorManager
from factflow_protocols import AdapterResult, Overloaded
from support.clocks import seams_without_threads
from support.pipelines import assert_counters_balance, load, registry_of
from support.sqlite_queues import simulated

MESSAGES = 40

TEXT = """
error_handling: {max_retries: 20, retry_delay_seconds: 0.1, jitter: none}
backpressure: {algorithm: %s, max_concurrency: 5, group: routes}
routes:
  first:
    inbound: {concurrency: 6, prefetch: 12}
    adapters: [{type: dial, backpressure: {algorithm: aimd, key: key, max_keys: 2, max_concurrency: 3}}]
    outbound: [{route: second}]
  second:
    inbound: {concurrency: 4, prefetch: 4}
    adapters: [{type: dial, backpressure: {algorithm: adaptive, max_concurrency: 2}}]
"""


async def history(path, seed):
    generator = random.Random(seed)
    done = Counter()

    async def dial(context):
        await trio.sleep(generator.choice([0, 0.001, 0.05, 0.4]))
        if generator.random() < 0.2:
            raise generator.choice([OSError("down"), Overloaded(), Overloaded(0.2)])
        done[context.route, context.message["n"]] += 1
        return AdapterResult.forward()

    registry = registry_of(dial=dial)
    config = load(registry, TEXT % generator.choice(["aimd", "adaptive", "fixed"]))
    given_ = [{"n": number, "key": generator.choice("abc")} for number in range(MESSAGES)]
    reports = []

    async def life(cancelled_after):
        queue = simulated(path)
        try:
            async with OrchestratorManager(registry=registry, queue=queue, seams=seams_without_threads()) as manager:
                execution = await manager.start(config, execution_id="x")
                if not reports:
                    await execution.publish_batch("first", given_)
                if cancelled_after is None:
                    await execution.complete()
                else:
                    await trio.sleep(cancelled_after)
                    await execution.cancel(grace=generator.choice([0, 0.1]))
                reports.append(await execution.wait_ended())
        finally:
            await queue.stop()

    with trio.fail_after(10_000):
        for _ in range(generator.randint(1, 4)):
            await life(generator.uniform(0, 2))
        await life(None)
    return done, reports


@pytest.mark.parametrize("examples", [4, pytest.param(200, marks=pytest.mark.slow)])
def test_whenever_it_is_cancelled_no_permit_is_out_and_no_message_lost(tmp_path_factory, examples):
    @settings(max_examples=examples, deadline=None)
    @given(st.integers(0, 2**32))
    def judged(seed):
        path = tmp_path_factory.mktemp("history") / "q.db"
        done, reports = trio.run(history, path, seed, clock=MockClock(autojump_threshold=0))
        for report in reports:
            assert_counters_balance(report)
            for name, limit in report.limits.items():
                assert (limit.in_flight, limit.waiting) == (0, 0), name
                assert limit.acquired == limit.answered + limit.dropped + limit.released, name
        assert reports[-1].status == "completed"
        assert set(done) == {(route, number) for route in ("first", "second") for number in range(MESSAGES)}

    judged()
