"""The machine's clocks are read natively; any other is asked, also one that stands in for the machine's own."""

import functools
import itertools
import time
import uuid
from dataclasses import replace

import pytest
import trio

from factflow_engine.seams import Seams
from support.pipelines import running

PERF_COUNTER_NS = time.perf_counter_ns  # the real one, also where a test replaces it
ROUTE = "routes: {r: {inbound: {capacity: 100}, adapters: [{type: count}]}}"


class Clock:
    """Two functions, as `factflow_engine.seams.Clock` has them."""

    def __init__(self, monotonic_ns, wall_ns):
        self.monotonic_ns = monotonic_ns
        self.wall_ns = wall_ns


def route(clock, handled):
    async def count(context):
        handled.append(context.message)

    return running(ROUTE, adapters={"count": count}, seams=replace(Seams.real(), clock=clock))


def milliseconds(message_id):
    """Return the time that an id of version 7 begins with."""
    return uuid.UUID(message_id).int >> 80


@pytest.mark.parametrize("wall_ns", [time.time_ns, functools.partial(time.time_ns)], ids=["read", "asked"])
async def test_a_message_has_the_time_at_which_it_was_published(wall_ns):
    async with route(Clock(time.perf_counter_ns, wall_ns), []) as execution:
        for _ in range(3):
            before = time.time_ns() // 1_000_000
            published = milliseconds(execution.publish_nowait("r", 1))
            assert before <= published <= time.time_ns() // 1_000_000


async def test_what_stands_in_for_the_wall_clock_is_asked(monkeypatch):
    monkeypatch.setattr(time, "time_ns", lambda: 5_000_000_000)
    async with route(Clock(time.perf_counter_ns, time.time_ns), []) as execution:
        assert milliseconds(execution.publish_nowait("r", 1)) == 5_000


async def longest_turn(monotonic_ns):
    """Return the most messages, each longer than a quantum, that were handled between two turns of another task."""
    done = [0]
    seen = [0]

    async def spend(context):
        until = PERF_COUNTER_NS() + 200_000
        while PERF_COUNTER_NS() < until:
            pass
        done[0] += 1

    async with running(
        "processor: {quantum_microseconds: 100}\n" + ROUTE.replace("count", "spend"),
        adapters={"spend": spend},
        seams=replace(Seams.real(), clock=Clock(monotonic_ns, time.time_ns)),
    ) as execution:
        for number in range(20):
            execution.publish_nowait("r", number)
        while done[0] < 20:
            await trio.lowlevel.checkpoint()
            seen.append(done[0])
        await execution.complete()
    return max(after - before for before, after in itertools.pairwise(seen))


async def test_a_clock_that_is_read_ends_a_quantum():
    # trio runs ready tasks in any order: between two turns of one, another may have two.
    assert await longest_turn(PERF_COUNTER_NS) <= 2


async def test_what_stands_in_for_the_monotonic_clock_is_asked(monkeypatch):
    asked = []

    def frozen():
        asked.append(None)
        return 1 << 62  # later than the machine's clock, by which no quantum would end

    monkeypatch.setattr(time, "perf_counter_ns", frozen)
    handled = []
    async with route(Clock(time.perf_counter_ns, time.time_ns), handled) as execution:
        for number in range(50):
            execution.publish_nowait("r", number)
        before = len(asked)
        await execution.complete()
    assert sorted(handled) == list(range(50))
    assert len(asked) - before >= 50
