"""Limits of stages: permits for a stage's own calls, by key and by group, that nothing leaks and nothing waits for ever for."""

import json
import random

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from factflow_engine.resilience.limits import register
from factflow_engine.runtime.execution.manager import OrchestratorManager
from factflow_engine.runtime.report import Holder
from factflow_engine.testing import in_virtual_time
from factflow_protocols import AdapterResult, Overloaded, Reject, RetryLater
from support.clocks import seams_on_trio_time
from support.internals import troubled_of
from support.pipelines import Recorder, assert_counters_balance, assert_nothing_is_left, load, registry_of, running

FIXED = "algorithm: fixed, max_concurrency: %d"


def assert_no_permit_is_out(execution_or_report):
    for name, limit in execution_or_report.limits.items():
        assert (limit.in_flight, limit.waiting) == (0, 0), name


# -- properties ------------------------------------------------------------------------------------------------------

SECTIONS = st.fixed_dictionaries(
    {"algorithm": st.sampled_from(["fixed", "aimd", "vegas", "gradient2", "arc", "adaptive"])},
    optional={
        "max_concurrency": st.integers(1, 4),
        "key": st.just("key"),
        "max_keys": st.integers(1, 2),
        "monitor_only": st.booleans(),
        "group": st.just("shared"),
        "target_latency_ms": st.just(50),
    },
)


class Server:
    """Counts the calls at a time by key, and fails as the seed says."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.now = {}
        self.most = {}

    async def process(self, context):
        key = context.message.get("key", "")
        self.now[key] = self.now.get(key, 0) + 1
        self.most[key] = max(self.most.get(key, 0), self.now[key])
        try:
            await trio.sleep(self.random.choice([0, 0.001, 0.1, 1]))
            fault = self.random.random()
            if fault < 0.4:
                raise self.random.choice(
                    [OSError("down"), Overloaded(0.1), Overloaded(), RetryLater(0.01), Reject("no")]
                )
            return AdapterResult.forward()
        finally:
            self.now[key] -= 1


def text_of(section):
    return f"""
routes:
  r:
    inbound: {{concurrency: 6}}
    error_handling: {{max_retries: 1, retry_delay_seconds: 0.1}}
    adapters:
      - {{type: dial, backpressure: {json.dumps(section)}}}
      - {{type: dial, name: again, timeout_seconds: 0.5, backpressure: {json.dumps(section)}}}
"""


@given(section=SECTIONS, seed=st.integers(0, 2**32), cancelled_after=st.none() | st.floats(0, 3))
@settings(max_examples=60, deadline=None)
def test_permits_are_conserved_whatever_fails_and_whenever_it_is_cancelled(section, seed, cancelled_after):
    server = Server(seed)
    registry = registry_of(dial=server.process)

    async def main(simulation):
        with trio.fail_after(10_000):
            async with OrchestratorManager(registry=registry, seams=simulation.seams) as manager:
                execution = await manager.start(load(registry, text_of(section)))
                for number in range(25):
                    await execution.publish("r", {"n": number, "key": server.random.choice("ab")})
                if cancelled_after is not None:
                    await trio.sleep(cancelled_after)
                    assert_counters_balance(execution.statistics())
                    await execution.cancel()
                    return await execution.wait_ended()
                return await execution.complete()

    report = in_virtual_time(main, seed=seed)
    assert_no_permit_is_out(report)
    assert_counters_balance(report)
    if cancelled_after is None:
        assert sum(report.outcomes.values()) == 25
    if section["algorithm"] == "fixed" and "max_concurrency" in section and not section.get("monitor_only"):
        stages = 1 if "group" in section else 2
        keys = server.most if "key" in section else {"": sum(server.most.values())} if len(server.most) == 1 else {}
        assert all(most <= stages * section["max_concurrency"] for most in keys.values())


# -- one stage -------------------------------------------------------------------------------------------------------


async def test_no_more_calls_than_the_limit_are_in_flight_first_come_first_served(autojump_clock):
    recorder = Recorder(seconds=1)
    async with running(
        f"routes: {{r: {{inbound: {{concurrency: 9}}, adapters: [{{type: a, backpressure: {{{FIXED % 3}}}}}]}}}}",
        adapters={"a": recorder.adapter()},
        seams=seams_on_trio_time(),
    ) as execution:
        began = trio.current_time()
        for number in range(9):
            await execution.publish("r", number)
            await trio.sleep(0.01)  # else trio decides who waits first
        report = await execution.complete()
    assert recorder.most == 3
    assert recorder.seen == list(range(9))
    assert trio.current_time() - began == pytest.approx(3, abs=0.05)
    assert_nothing_is_left(report)
    assert report.limits["r/a"].answered == 9
    assert (report.limits["r/a"].least_limit, report.limits["r/a"].greatest_limit) == (3, 3)


async def test_the_wait_is_visible_and_says_what_for(autojump_clock, caplog):
    release = trio.Event()

    async def hang(context):
        await release.wait()
        return AdapterResult.forward()

    async with running(
        "processor: {stall_seconds: 5}\n"
        f"routes: {{r: {{adapters: [{{type: a, backpressure: {{{FIXED % 2}, key: host}}}}]}}}}",
        adapters={"a": hang},
        seams=seams_on_trio_time(),
    ) as execution:
        for _ in range(5):
            await execution.publish("r", {"host": "example.org"})
        await trio.sleep(2)
        statistics = execution.statistics()
        [wait] = statistics.waits
        assert str(wait) == "r/a: 3 waiting for a permit of a (limit 2, key example.org), longest 2.0 s"
        held = [(one.by, one.reason) for one in statistics.held]
        assert held.count((Holder.STAGE_PERMIT, "a (limit 2, key example.org)")) == 3
        assert held.count((Holder.ADAPTER, "")) == 2
        limit = statistics.limits["r/a[example.org]"]
        assert (limit.limit, limit.in_flight, limit.waiting) == (2, 2, 3)
        await trio.sleep(10)
        assert "route 'r', stage 'a' has had a message for" in caplog.text, "the adapter is what takes long"
        assert "does not move" not in caplog.text
        release.set()
        report = await execution.complete()
    assert_nothing_is_left(report)


async def test_a_route_whose_messages_wait_for_the_permits_of_another_is_not_stuck(autojump_clock, caplog):
    release = trio.Event()

    async def hang(context):
        await release.wait()
        return AdapterResult.forward()

    section = f"backpressure: {{{FIXED % 1}, group: api}}"
    async with running(
        "processor: {stall_seconds: 5}\nroutes:\n"
        f"  first: {{adapters: [{{type: a, {section}}}]}}\n  second: {{adapters: [{{type: a, name: b, {section}}}]}}\n",
        adapters={"a": hang},
        seams=seams_on_trio_time(),
    ) as execution:
        await execution.publish("first", 1)
        await trio.sleep(1)
        for _ in range(20):
            await execution.publish("second", 1)
        await trio.sleep(12)
        assert "route 'second', stage 'b' waits for a permit of b (group api, limit 1)" in caplog.text
        assert "nothing that is known" not in caplog.text
        assert list(execution.statistics().limits) == ["group api"]
        release.set()
        assert_nothing_is_left(await execution.complete())


async def test_the_wait_is_not_in_the_sample_nor_in_the_stages_time(autojump_clock):
    async def work(context):
        await trio.sleep(1)
        return AdapterResult.forward()

    async with running(
        "routes: {r: {adapters: [{type: a, timeout_seconds: 1.5, "
        "backpressure: {algorithm: aimd, min_concurrency: 1, max_concurrency: 1, target_latency_ms: 1200}}]}}",
        adapters={"a": work},
        seams=seams_on_trio_time(),
    ) as execution:
        for number in range(6):
            await execution.publish("r", number)
        report = await execution.complete()
    assert report.routes["r"].completed == 6
    assert report.limits["r/a"].changes == {}, "no call was late"
    assert report.limits["r/a"].answered == 6


@pytest.mark.parametrize(
    ("error", "answered", "dropped"),
    [(OSError, 1, 0), (Overloaded, 0, 1), (lambda: RetryLater(1), 1, 0), (lambda: Reject("x"), 1, 0)],
)
async def test_overload_drops_a_sample_and_other_failures_are_answers(autojump_clock, error, answered, dropped):
    calls = []

    async def fail(context):
        calls.append(1)
        await trio.sleep(0.1)
        if len(calls) == 1:
            raise error()
        return AdapterResult.forward()

    async with running(
        "routes: {r: {error_handling: {max_retries: 1}, adapters: [{type: a, backpressure: {algorithm: aimd}}]}}",
        adapters={"a": fail},
        seams=seams_on_trio_time(),
    ) as execution:
        await execution.publish("r", 1)
        report = await execution.complete()
    limit = report.limits["r/a"]
    assert (limit.answered - (len(calls) - 1), limit.dropped) == (answered, dropped)


async def test_a_stages_timeout_is_overload_and_a_routes_teaches_its_stage_nothing(autojump_clock):
    async def hang(context):
        await trio.sleep_forever()

    for place, expected in (("timeout_seconds: 1, ", (0, 1, 0)), ("", (0, 0, 1))):
        async with running(
            f"routes: {{r: {{error_handling: {{timeout_seconds: 2}}, adapters: [{{type: a, {place}backpressure: {{}}}}]}}}}",
            adapters={"a": hang},
            seams=seams_on_trio_time(),
        ) as execution:
            await execution.publish("r", 1)
            limit = (await execution.complete()).limits["r/a"]
        assert (limit.answered, limit.dropped, limit.released) == expected


async def test_a_limit_that_only_monitors_gates_nothing(autojump_clock):
    recorder = Recorder(seconds=1)
    async with running(
        "routes: {r: {inbound: {concurrency: 9}, adapters: [{type: a, backpressure: "
        f"{{{FIXED % 2}, monitor_only: true}}}}]}}}}",
        adapters={"a": recorder.adapter()},
        seams=seams_on_trio_time(),
    ) as execution:
        for number in range(9):
            await execution.publish("r", number)
        report = await execution.complete()
    assert recorder.most == 9
    assert (report.limits["r/a"].limit, report.limits["r/a"].is_monitor_only) == (2, True)


async def test_a_lazy_source_is_pulled_without_the_permit_that_later_stages_wait_for(autojump_clock):
    async def emit(context):
        async def children():
            for number in range(20):
                await trio.sleep(0.01)
                yield {"n": number}

        return AdapterResult(emitted=children())

    section = f"backpressure: {{{FIXED % 1}, group: one}}"
    async with running(
        f"routes: {{r: {{inbound: {{concurrency: 2}}, adapters: [{{type: emit, {section}}}, {{type: forward, {section}}}]}}}}",
        adapters={"emit": emit},
        seams=seams_on_trio_time(),
    ) as execution:
        for _ in range(3):
            await execution.publish("r", {})
        report = await execution.complete()
    assert report.routes["r"].received == 63
    assert_nothing_is_left(report)
    assert_no_permit_is_out(report)


@pytest.mark.parametrize("end", ["cancel", "drain"])
async def test_messages_that_wait_for_permits_are_given_back(autojump_clock, end):
    async def hang(context):
        await trio.sleep_forever()

    async with running(
        f"routes: {{r: {{adapters: [{{type: a, backpressure: {{{FIXED % 1}}}}}]}}}}",
        adapters={"a": hang},
        seams=seams_on_trio_time(),
    ) as execution:
        for _ in range(5):
            await execution.publish("r", 1)
        await trio.sleep(1)
        await (execution.cancel() if end == "cancel" else execution.drain(5))
        report = await execution.wait_ended()
    assert {held.by for held in report.held} == {Holder.ADAPTER, Holder.STAGE_PERMIT}
    assert sum(report.outcomes.values()) == 0
    assert_no_permit_is_out(report)


# -- with a circuit breaker ------------------------------------------------------------------------------------------

BREAKER = "circuit_breaker: {minimum_calls: 2, sliding_window_size: 4, wait_duration_seconds: 5, permitted_calls_in_half_open: 1, wait_jitter: 0}"


async def test_an_open_breaker_freezes_the_limit_and_refuses_before_the_permit(autojump_clock):
    state = {"down": True, "calls": 0}

    async def dial(context):
        state["calls"] += 1
        await trio.sleep(0.1)
        if state["down"]:
            raise ConnectionError
        return AdapterResult.forward()

    async with running(
        f"routes: {{r: {{inbound: {{concurrency: 9}}, error_handling: {{max_retries: 9, retry_delay_seconds: 0}}, adapters: "
        f"[{{type: a, {BREAKER}, backpressure: {{{'algorithm: aimd, initial_concurrency: 8, max_concurrency: 8'}}}}}]}}}}",
        adapters={"a": dial},
        seams=seams_on_trio_time(),
    ) as execution:
        for _ in range(30):
            await execution.publish("r", 1)
        await trio.sleep(3)
        limit = execution.statistics().limits["r/a"]
        assert (limit.is_frozen, limit.limit, limit.in_flight, limit.waiting) == (True, 8, 0, 0)
        seen = limit.acquired
        await trio.sleep(1)
        assert execution.statistics().limits["r/a"].acquired == seen, "nothing asks for permits while it is open"
        state["down"] = False
        report = await execution.complete()
    limit = report.limits["r/a"]
    assert report.routes["r"].completed == 30
    assert limit.changes["circuit closed"] == 1
    assert limit.least_limit == 1, "the limit of the trial call"
    assert not limit.is_frozen
    assert_no_permit_is_out(report)


async def test_a_breaker_by_key_restarts_the_limit_of_its_key_alone(autojump_clock):
    state = {"down": {"a"}}

    async def dial(context):
        await trio.sleep(0.1)
        if context.message["host"] in state["down"]:
            raise ConnectionError
        return AdapterResult.forward()

    keyed = BREAKER.replace("{", "{key: host, ")
    async with running(
        "routes: {r: {inbound: {concurrency: 20}, error_handling: {max_retries: 20, retry_delay_seconds: 0}, adapters: "
        f"[{{type: a, {keyed}, backpressure: {{key: host, algorithm: aimd, initial_concurrency: 8, max_concurrency: 8}}}}]}}}}",
        adapters={"a": dial},
        seams=seams_on_trio_time(),
    ) as execution:
        for number in range(40):
            await execution.publish("r", {"host": "ab"[number % 2]})
        await trio.sleep(3)
        limits = execution.statistics().limits
        assert (limits["r/a[a]"].is_frozen, limits["r/a[b]"].is_frozen) == (True, False)
        state["down"].clear()
        report = await execution.complete()
    assert report.limits["r/a[a]"].changes["circuit closed"] == 1
    assert "circuit closed" not in report.limits["r/a[b]"].changes


async def test_a_limit_learns_again_when_the_breaker_that_froze_it_was_evicted(autojump_clock):
    """Breakers by key are bounded in number, and one that is made anew is closed without an event."""
    down = {"a"}

    async def dial(context):
        await trio.sleep(0.1)
        if context.message["host"] in down:
            raise ConnectionError
        return AdapterResult.forward()

    keyed = BREAKER.replace("{", "{key: host, max_keys: 1, ")
    async with running(
        f"routes: {{r: {{adapters: [{{type: a, {keyed}, "
        "backpressure: {key: host, algorithm: aimd, initial_concurrency: 8, max_concurrency: 8}}]}}",
        adapters={"a": dial},
        seams=seams_on_trio_time(),
    ) as execution:
        for _ in range(2):
            await execution.publish("r", {"host": "a"})
        await trio.sleep(1)
        assert execution.statistics().limits["r/a[a]"].is_frozen
        await execution.publish("r", {"host": "b"})
        await trio.sleep(1)
        down.clear()
        for _ in range(3):
            await execution.publish("r", {"host": "a"})
        report = await execution.complete()
    limit = report.limits["r/a[a]"]
    assert not limit.is_frozen
    assert limit.changes["circuit closed"] == 1
    assert limit.answered >= 3


async def test_a_limit_made_anew_while_its_breaker_is_on_trial_is_frozen_too(autojump_clock):
    """Limits by key behind one breaker: those that are made while it is half open learn nothing from its trials."""
    state = {"down": True}

    async def dial(context):
        await trio.sleep(2)
        if state["down"]:
            raise ConnectionError
        return AdapterResult.forward()

    async with running(
        f"routes: {{r: {{adapters: [{{type: a, {BREAKER}, backpressure: {{key: host, algorithm: aimd}}}}]}}}}",
        adapters={"a": dial},
        seams=seams_on_trio_time(),
    ) as execution:
        for host in "ab":
            await execution.publish("r", {"host": host})
        await trio.sleep(8)
        state["down"] = False
        await execution.publish("r", {"host": "c"})
        await trio.sleep(1)
        limit = execution.statistics().limits["r/a[c]"]
        assert (limit.is_frozen, limit.limit, limit.in_flight) == (True, 1, 1)
        await trio.sleep(2)
        assert not execution.statistics().limits["r/a[c]"].is_frozen
        report = await execution.complete()
    assert_no_permit_is_out(report)


async def test_names_of_evicted_breakers_are_bounded(autojump_clock):
    async def dial(context):
        raise ConnectionError

    keyed = BREAKER.replace("{", "{key: host, max_keys: 2, ")
    async with running(
        f"routes: {{r: {{inbound: {{capacity: 1000}}, adapters: [{{type: a, {keyed}, "
        "backpressure: {key: host, algorithm: aimd, max_keys: 2}}]}}",
        adapters={"a": dial},
        seams=seams_on_trio_time(),
    ) as execution:
        for number in range(400):
            await execution.publish("r", {"host": str(number // 2)})
        await trio.sleep(1)
        assert len(troubled_of(execution, "r", 0)) <= 70
        await execution.cancel(grace=0)


# -- a program's own algorithm ---------------------------------------------------------------------------------------


class Odd:
    """An algorithm that fails, or asks for a limit that is none, as its parameters say."""

    def __init__(self, fault=""):
        self.limit = 2
        self._fault = fault

    def on_sample(self, *, start_ns, rtt_ns, in_flight, dropped=False):
        if self._fault == "raises":
            raise RuntimeError("a bug")
        if self._fault == "zero":
            self.limit = 0
        if not self._fault:
            self.limit = 3


@pytest.mark.parametrize("fault", ["", "raises", "zero"])
async def test_a_programs_own_algorithm_limits_a_stage_and_its_errors_leak_no_permit(autojump_clock, fault, caplog):
    register("test-stage-limits-odd", Odd)
    recorder = Recorder(seconds=1)
    section = f"{{algorithm: test-stage-limits-odd, parameters: {{fault: '{fault}'}}}}"
    async with running(
        f"routes: {{r: {{inbound: {{concurrency: 9}}, adapters: [{{type: a, backpressure: {section}}}]}}}}",
        adapters={"a": recorder.adapter()},
        seams=seams_on_trio_time(),
    ) as execution:
        for number in range(9):
            await execution.publish("r", number)
        report = await execution.complete()
    assert len(recorder.seen) == 9
    assert recorder.most == (2 if fault else 3)
    assert_no_permit_is_out(report)
    assert_counters_balance(report)
    assert report.limits["r/a"].algorithm == "test-stage-limits-odd"
    assert report.routes["r"].completed == 9, "no message fails by the limit's fault"
    assert caplog.text.count("limit algorithm test-stage-limits-odd does not learn") == bool(fault)
    assert report.limits["r/a"].faults == (9 if fault else 0)
