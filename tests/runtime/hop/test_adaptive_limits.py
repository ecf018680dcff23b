"""Adaptive limits of routes: who may be in adapters, what is a sample, and what breakers, pauses and sharing do."""

import contextlib
import random
from typing import ClassVar

import pytest
import trio

from factflow_engine.resilience import limits
from factflow_protocols import AdapterResult, Overloaded, Reject, RetryLater
from support.floods import Presence
from support.limited import flood, route, simulated, work
from support.pipelines import assert_counters_balance


def test_no_more_are_in_adapters_than_the_limit_says():
    presence = Presence()

    async def watched(context):
        presence.enter("r")
        try:
            return await work(context)
        finally:
            presence.leave("r")

    text = route("algorithm: aimd, initial_concurrency: 4, max_concurrency: 4")
    _, report = simulated(text, {"work": watched}, flood())
    assert presence.most["r"] == 4
    figures = report.limits["r"]
    assert (figures.answered, figures.in_flight, figures.acquired) == (200, 0, 200)
    assert report.outcomes["completed"] == 200


def test_adaptive_finds_out_that_more_may_run():
    statistics, report = simulated(route("algorithm: adaptive"), {"work": work}, flood(3000))
    figures = report.limits["r"]
    assert figures.greatest_limit >= 80
    assert {reason.partition(":")[0] for reason in figures.changes} == {"search"}
    assert statistics.routes["r"].limit == figures.limit
    assert figures.refused > 0


def test_a_route_without_a_backlog_keeps_its_limit():
    async def one_at_a_time(execution):
        for number in range(200):
            await execution.publish("r", number)
            await trio.sleep(0.06)

    _, report = simulated(route("algorithm: adaptive"), {"work": work}, [], look=one_at_a_time)
    assert report.limits["r"].changes == {}
    assert report.limits["r"].refused == 0


def test_the_sample_is_the_time_in_adapters_alone():
    """Neither the wait for a retry nor that in the queue counts; each attempt is a sample."""
    samples = []

    class Noting:
        limit = 3

        def on_sample(self, *, start_ns, rtt_ns, in_flight, dropped=False):
            samples.append((rtt_ns, in_flight, dropped))

    async def fails_first(context):
        await trio.sleep(0.01)
        if context.attempt == 1:
            raise OSError("once")
        return AdapterResult.forward()

    limits.register("noting", Noting)
    try:
        text = route(
            "algorithm: noting",
            stage="{type: work}, {type: forward}",
            more="error_handling: {max_retries: 1, retry_delay_seconds: 5, jitter: none}",
        )
        _, report = simulated(text, {"work": fails_first}, flood(9))
    finally:
        del limits._REGISTERED["noting"]
    assert report.outcomes["completed"] == 9
    assert len(samples) == 18
    assert {rtt_ns for rtt_ns, _, _ in samples} == {10_000_000}
    assert {in_flight for _, in_flight, _ in samples} == {1, 2, 3}
    assert not any(dropped for _, _, dropped in samples)


class Latencies:
    """A program's own algorithm that notes the latencies that it is given."""

    seen: ClassVar = []

    def __init__(self, initial=1):
        self.limit = initial
        self.seen.clear()

    def on_sample(self, *, rtt_ns, **_):
        self.seen.append(rtt_ns)


@pytest.fixture
def latencies():
    limits.register("latencies", Latencies)
    yield Latencies.seen
    del limits._REGISTERED["latencies"]


@pytest.mark.parametrize("times_out", [False, True])
def test_the_wait_for_a_permit_of_a_stage_is_in_no_sample_of_the_route(latencies, times_out):
    """A route's limit judges the adapters: what waits for the limit of one of them says nothing about it."""

    async def quick(context):
        await trio.sleep(0.01)
        return AdapterResult.forward()

    text = route(
        "algorithm: latencies, initial_concurrency: 8",
        stage="{type: quick}, {type: work, backpressure: {algorithm: fixed, max_concurrency: 1}}, {type: quick, name: q}",
        more="error_handling: {timeout_seconds: 0.11, max_retries: 0}" if times_out else "",
    )
    _, report = simulated(text, {"work": work, "quick": quick}, flood(8))
    assert (report.outcomes["completed"], report.outcomes["failed"]) == ((1, 7) if times_out else (8, 0))
    assert report.limits["r"].dropped == report.outcomes["failed"]
    assert len(latencies) == 8
    if times_out:
        assert max(latencies) == 70_000_000
    else:
        assert set(latencies) == {70_000_000}


def test_what_a_deadline_forbids_or_cuts_short_teaches_nothing():
    """It would pass for a fast answer: most of them have waited in the queue for longer than they may."""
    text = route(
        "algorithm: aimd, initial_concurrency: 1, max_concurrency: 1",
        concurrency=1,
        more="error_handling: {deadline_seconds: 0.12}",
    )
    _, report = simulated(text, {"work": work}, flood(20))
    figures = report.limits["r"]
    assert (figures.answered, figures.dropped, figures.released) == (2, 0, 18)
    assert (report.outcomes["completed"], report.outcomes["failed"]) == (2, 18)


@pytest.mark.parametrize(
    ("raised", "counted"),
    [
        (Overloaded(), "dropped"),
        (OSError("down"), "answered"),
        (Reject("never"), "answered"),
        (RetryLater(0.001), "answered"),
        (None, "answered"),
    ],
)
@pytest.mark.parametrize("suspends", [True, False])
def test_each_end_of_an_attempt_is_a_sample_of_its_kind(raised, counted, suspends):
    async def end(context):
        if suspends:
            await trio.sleep(0.01)
        if raised is None:
            return None  # filtered
        if isinstance(raised, RetryLater) and context.attempt > 3:
            return None
        raise raised

    more = "error_handling: {max_deferrals: 2}"
    _, report = simulated(route("algorithm: aimd, initial_concurrency: 10", more=more), {"work": end}, flood(5))
    figures = report.limits["r"]
    assert getattr(figures, counted) == figures.acquired >= 5
    assert figures.in_flight == 0


def test_a_time_out_is_overload():
    async def slow(context):
        await trio.sleep(10)

    text = route("algorithm: aimd, initial_concurrency: 10", stage="{type: work, timeout_seconds: 1}")
    _, report = simulated(text, {"work": slow}, flood(5))
    assert report.limits["r"].dropped == 5


def test_what_is_cancelled_teaches_nothing():
    async def slow(context):
        await trio.sleep(10)

    text = route("algorithm: aimd, initial_concurrency: 10")
    _, report = simulated(text, {"work": slow}, flood(50), until=5)
    figures = report.limits["r"]
    assert (figures.acquired, figures.released, figures.answered, figures.dropped) == (10, 10, 0, 0)
    assert figures.in_flight == 0


def test_a_cancellation_that_an_adapter_swallows_teaches_nothing():
    async def stubborn(context):
        with contextlib.suppress(trio.Cancelled):
            await trio.sleep(10)
        return AdapterResult.forward()

    async def impatient(context):
        with trio.move_on_after(1):  # its own time-out is an answer
            await trio.sleep(10)
        return AdapterResult.forward()

    _, report = simulated(route("algorithm: aimd, initial_concurrency: 10"), {"work": stubborn}, flood(50), until=5)
    figures = report.limits["r"]
    assert (figures.answered, figures.dropped) == (0, 0)
    assert figures.released == figures.acquired >= 10
    _, report = simulated(route("algorithm: aimd, initial_concurrency: 10"), {"work": impatient}, flood(50))
    assert report.limits["r"].answered == 50


def test_a_permit_comes_back_even_if_nobody_can_say_whether_it_was_cancelled(monkeypatch):
    async def impatient(context):
        with trio.move_on_after(1):
            await trio.sleep(10)
        monkeypatch.setattr(trio._core._run.CancelStatus, "effective_deadline", deny)
        return AdapterResult.forward()

    def deny(_):
        monkeypatch.undo()
        raise RecursionError("no room to look")

    _, report = simulated(route("algorithm: aimd, initial_concurrency: 1"), {"work": impatient}, flood(1))
    assert report.error == "route 'r' died: RecursionError: no room to look"
    assert report.limits["r"].acquired == 1
    assert report.limits["r"].in_flight == 0


def test_a_message_that_skips_every_stage_is_no_sample():
    """It would pass for an answer without a latency."""
    stage = "{type: work, condition: {field: n, operator: gt, value: 3}}"
    _, report = simulated(route("algorithm: aimd, initial_concurrency: 10", stage=stage), {"work": work}, flood(10))
    figures = report.limits["r"]
    assert (figures.acquired, figures.answered, figures.released) == (10, 6, 4)


def test_each_message_that_waits_for_a_permit_is_refused_once():
    text = route("algorithm: fixed, min_concurrency: 2, max_concurrency: 2, group: g")
    _, report = simulated(text, {"work": work}, flood(20))
    assert report.outcomes["completed"] == 20
    assert report.limits["group g"].refused == 18
    _, report = simulated(
        route("algorithm: aimd, max_concurrency: 2, initial_concurrency: 2"), {"work": work}, flood(20)
    )
    assert report.limits["r"].refused == 18


def test_one_that_only_monitors_gates_nothing():
    presence = Presence()

    async def watched(context):
        presence.enter("r")
        try:
            return await work(context)
        finally:
            presence.leave("r")

    text = route("algorithm: aimd, initial_concurrency: 2, max_concurrency: 5, monitor_only: true", concurrency=30)
    statistics, report = simulated(text, {"work": watched}, flood())
    assert presence.most["r"] == 30
    assert statistics.routes["r"].limit == 30
    figures = report.limits["r"]
    assert (figures.is_monitor_only, figures.limit, figures.answered) == (True, 5, 200)


def test_one_that_only_monitors_learns_from_calls_beyond_its_limit():
    _, report = simulated(route("algorithm: adaptive, monitor_only: true"), {"work": work}, flood(3000))
    figures = report.limits["r"]
    assert figures.greatest_limit >= 80
    assert {reason.partition(":")[0] for reason in figures.changes} == {"search"}
    assert figures.refused > 0, "as many as would have waited"


def test_an_open_breaker_freezes_the_limit_and_it_restarts_at_half():
    down = {"until": 20.0}
    seen = []

    async def call(context):
        await trio.sleep(0.05)
        if trio.current_time() < down["until"]:
            raise Overloaded
        return AdapterResult.forward()

    async def look(execution):
        for _ in range(300):
            figures = execution.statistics().limits["r"]
            seen.append((figures.is_frozen, figures.limit, figures.in_flight))
            await trio.sleep(0.1)

    stage = (
        "{type: work, circuit_breaker: {minimum_calls: 10, sliding_window_size: 10, wait_duration_seconds: 1, "
        "max_wait_duration_seconds: 1, wait_jitter: 0, permitted_calls_in_half_open: 2, automatic_half_open: true}}"
    )
    more = "error_handling: {max_retries: 1000, retry_delay_seconds: 0.1, backoff: fixed}"
    text = route("algorithm: aimd, initial_concurrency: 40", stage=stage, more=more)
    _, report = simulated(text, {"work": call}, flood(400), look=look)
    frozen = [(limit, in_flight) for is_frozen, limit, in_flight in seen if is_frozen]
    assert len(frozen) > 150
    assert max(in_flight for _, in_flight in frozen[5:]) <= 2
    figures = report.limits["r"]
    assert figures.changes["circuit closed"] >= 1
    assert figures.changes["half open"] >= 1
    assert not figures.is_frozen
    assert figures.dropped <= 60, "while it is open nothing is learnt from its trials"
    assert report.outcomes["completed"] == 400


def test_children_are_within_the_limit_of_their_route():
    presence = Presence()

    async def spread(context):
        async def children():
            for number in range(20):
                await trio.sleep(0.001)
                yield {"n": number}

        return AdapterResult(
            emitted=[{"n": number} for number in range(20)] if context.message["n"] % 2 else children()
        )

    async def watched(context):
        presence.enter("r")
        try:
            return await work(context)
        finally:
            presence.leave("r")

    for most in (1, 2, 5):
        presence.most.clear()
        text = route(
            f"algorithm: aimd, initial_concurrency: {most}, max_concurrency: {most}",
            stage="{type: spread}, {type: work}",
        )
        _, report = simulated(text, {"spread": spread, "work": watched}, flood(10))
        assert presence.most["r"] <= most
        assert report.outcomes["completed"] == 210
        assert report.limits["r"].in_flight == 0


class Unchanging:
    """A program's own algorithm whose limit stays what it was at first."""

    def __init__(self, initial=1):
        self.limit = initial

    def on_sample(self, **_):
        pass


@pytest.fixture
def unchanging():
    limits.register("unchanging", Unchanging)
    yield
    del limits._REGISTERED["unchanging"]


@pytest.mark.usefixtures("unchanging")
def test_a_driver_gets_the_permit_that_another_one_gave_back_before_a_silence():
    ended = []

    async def spread(context):
        name = context.message["n"]

        async def children():
            await trio.sleep(0.1 + name / 10)
            for _ in range(name + 1):
                yield {"n": name}
            if name == 0:
                await trio.sleep(1000)

        return AdapterResult(emitted=children())

    async def watched(context):
        await trio.sleep(1)
        ended.append((context.message["n"], trio.current_time() - begun[0]))
        return AdapterResult.forward()

    begun = []

    async def look(_):
        begun.append(trio.current_time())

    text = route(
        "algorithm: unchanging, initial_concurrency: 1", concurrency=2, stage="{type: spread}, {type: watched}"
    )
    _, report = simulated(text, {"spread": spread, "watched": watched}, flood(2), look=look)
    assert ended == [(number, pytest.approx(at, abs=0.01)) for number, at in ((0, 1.1), (1, 2.1), (1, 3.1))]
    assert report.outcomes["completed"] == 5


GROUP = """
routes:
  a: {inbound: {concurrency: 50, capacity: 10000}, adapters: [{type: work}], backpressure: {algorithm: aimd, initial_concurrency: 6, max_concurrency: 6, group: g}}
  b: {inbound: {concurrency: 50, capacity: 10000}, adapters: [{type: work}], backpressure: {algorithm: aimd, initial_concurrency: 6, max_concurrency: 6, group: g}}
"""


def test_routes_of_a_group_share_one_limit_fairly():
    presence, begun = Presence(), []

    async def watched(context):
        presence.enter("all")
        begun.append(context.route)
        try:
            return await work(context)
        finally:
            presence.leave("all")

    _, report = simulated(GROUP, {"work": watched}, [*flood(300, "a"), *flood(300, "b")])
    assert presence.most["all"] == 6
    first = begun[:400]
    assert 160 <= first.count("a") <= 240, "neither starves while both have work"
    [figures] = report.limits.values()
    assert (figures.answered, figures.in_flight) == (600, 0)


@pytest.mark.parametrize("seed", range(25))
def test_permits_are_conserved_whatever_happens(seed):
    """Random cancellations, failures, retries, fan-out and limits that shrink; the limit holds at each start."""
    generator = random.Random(seed)
    presence = Presence()
    kinds = ["plain", "fails", "emits", "slow", "rejects", "filters"]

    async def anything(context):
        presence.enter(context.route)
        try:
            kind = generator.choice(kinds)
            if generator.random() < 0.7:
                await trio.sleep(generator.choice([0, 0.01, 0.3]))
            if kind == "fails":
                raise generator.choice([OSError("x"), Overloaded(), RetryLater(0.01)])
            if kind == "rejects":
                raise Reject("no")
            if kind == "filters":
                return None
            if kind == "emits" and context.stage == "s0":
                count = generator.randint(0, 5)
                return AdapterResult(emitted=[1] * count if generator.random() < 0.5 else slow(count))
            return AdapterResult.forward()
        finally:
            presence.leave(context.route)

    async def slow(count):
        for number in range(count):
            await trio.sleep(generator.choice([0, 0.02]))
            yield number

    algorithm = generator.choice(["aimd", "adaptive", "arc", "gradient2"])
    most = generator.randint(1, 12)
    section = f"algorithm: {algorithm}, initial_concurrency: {generator.randint(1, most)}, max_concurrency: {most}"
    text = f"""
routes:
  a:
    inbound: {{concurrency: {generator.randint(1, 20)}, capacity: 5}}
    adapters: [{{type: any, name: s0}}, {{type: any, name: s1}}]
    outbound: [{{route: b}}]
    error_handling: {{max_retries: 2, retry_delay_seconds: 0.1}}
    backpressure: {{{section}}}
  b:
    inbound: {{concurrency: {generator.randint(1, 20)}, capacity: 3}}
    adapters: [{{type: any, name: s0}}]
    error_handling: {{max_retries: 1, retry_delay_seconds: 0.1}}
    backpressure: {{{section}}}
"""
    cancelled = generator.random() < 0.4

    async def publish(execution):
        with trio.move_on_after(2 if cancelled else 600):
            for number in range(120):
                await execution.publish("a", number)

    _, report = simulated(text, {"any": anything}, [], seed=seed, look=publish, until=0.5 if cancelled else None)
    assert_counters_balance(report)
    for name, figures in report.limits.items():
        assert figures.in_flight == 0, name
        assert figures.acquired == figures.answered + figures.dropped + figures.released
        assert figures.stale == 0
        assert presence.most[name] <= figures.greatest_limit
