"""Circuit breakers in routes: what waits for one spends no attempt, others flow, a route whose work all waits pauses."""

import itertools
from datetime import timedelta

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from factflow_engine.runtime.stages.breaker_guard import MAX_KEY_CHARACTERS, bounded_key
from factflow_protocols import AdapterResult, CircuitOpenError, RetryLater
from support.clocks import seams_on_trio_time
from support.pipelines import assert_counters_balance, running

BREAKER = (
    "minimum_calls: 2, sliding_window_size: 4, failure_rate_threshold: 50, wait_duration_seconds: 5, "
    "permitted_calls_in_half_open: 1"
)


class Host:
    """What an adapter calls: down until somebody mends it."""

    def __init__(self):
        self.down = set()
        self.calls = []

    async def process(self, context):
        host = context.message["host"]
        self.calls.append((host, context.attempt))
        if host in self.down:
            raise ConnectionError(host)
        return AdapterResult.forward()


async def test_a_route_whose_work_all_waits_is_paused_and_probes_by_itself(autojump_clock):
    host = Host()
    host.down.add("a")
    async with running(
        f"""
routes:
  r:
    inbound: {{concurrency: 1}}
    adapters: [{{type: dial, circuit_breaker: {{{BREAKER}}}}}]
    error_handling: {{max_retries: 4, retry_delay_seconds: 0, jitter: none}}
""",
        adapters={"dial": host.process},
        seams=seams_on_trio_time(),
    ) as execution:
        for _ in range(50):
            await execution.publish("r", {"host": "a"})
        await trio.sleep(1)
        calls = len(host.calls)
        statistics = execution.statistics().routes["r"]
        assert calls <= 4, "the breaker has opened"
        assert statistics.pauses == ("circuit_open",)
        assert statistics.retrying + statistics.waiting + statistics.in_flight == 50, "none was given up"
        assert_counters_balance(execution.statistics())
        assert execution.circuits()["r/dial"].states == {"open": 1}
        host.down.clear()
        report = await execution.complete()
    route = report.routes["r"]
    assert (route.completed, route.failed) == (50, 0), "waiting spent nobody's attempts"
    assert route.pauses == ()
    assert max(attempt for _, attempt in host.calls) <= 4


async def test_other_keys_flow_while_one_waits(autojump_clock):
    host = Host()
    host.down.add("a")
    async with running(
        f"""
routes:
  r:
    inbound: {{concurrency: 2}}
    adapters: [{{type: dial, circuit_breaker: {{key: host, {BREAKER}}}}}]
    error_handling: {{max_retries: 9, retry_delay_seconds: 0, jitter: none}}
""",
        adapters={"dial": host.process},
        seams=seams_on_trio_time(),
    ) as execution:
        for _ in range(20):
            await execution.publish("r", {"host": "a"})
            await execution.publish("r", {"host": "b"})
        await trio.sleep(1)
        statistics = execution.statistics().routes["r"]
        assert (statistics.completed, statistics.retrying, statistics.pauses) == (20, 20, ())
        host.down.clear()
        report = await execution.complete()
    assert report.routes["r"].completed == 40
    assert_counters_balance(report)


async def test_cancelled_calls_are_not_counted(autojump_clock):
    async def stuck(context):
        await trio.sleep_forever()

    async with running(
        f"routes: {{r: {{adapters: [{{type: stuck, circuit_breaker: {{{BREAKER}}}}}]}}}}", adapters={"stuck": stuck}
    ) as execution:
        for _ in range(5):
            await execution.publish("r", 1)
        await trio.sleep(1)
        await execution.cancel()
        totals = execution.circuits()["r/stuck"].totals
    assert (totals.succeeded, totals.failed) == (0, 0)


async def test_time_outs_count_as_failures(autojump_clock):
    async def stuck(context):
        await trio.sleep_forever()

    async with running(
        f"routes: {{r: {{adapters: [{{type: stuck, timeout_seconds: 1, circuit_breaker: {{{BREAKER}}}}}]}}}}",
        adapters={"stuck": stuck},
        seams=seams_on_trio_time(),
    ) as execution:
        for _ in range(2):
            await execution.publish("r", 1)
        await trio.sleep(2)
        assert execution.circuits()["r/stuck"].states == {"open": 1}
        report = await execution.complete()
    assert report.routes["r"].failed == 2


async def test_an_error_that_says_when_to_come_back_keeps_its_breaker_open(autojump_clock):
    class BusyError(Exception):
        retry_after_seconds = 30

    calls = []

    async def busy(context):
        calls.append(trio.current_time())
        if len(calls) < 3:
            raise BusyError
        return AdapterResult.forward()

    async with running(
        """
routes:
  r:
    adapters: [{type: busy, circuit_breaker: {retry_after: open, wait_jitter: 0, minimum_calls: 2}}]
    error_handling: {max_retries: 5, retry_delay_seconds: 0, jitter: none}
""",
        adapters={"busy": busy},
        seams=seams_on_trio_time(),
        seconds=100,
    ) as execution:
        await execution.publish("r", 1)
        report = await execution.complete()
    assert report.routes["r"].completed == 1
    assert [round(after - before) for before, after in itertools.pairwise(calls)] == [30, 30]


class BusyError(Exception):
    """What a client of an HTTP service raises on 429 or 503."""

    def __init__(self, **attributes):
        self.__dict__.update(attributes)


RETRY = "error_handling: {max_retries: 9, retry_delay_seconds: 0, jitter: none}"


@pytest.mark.parametrize(
    ("breaker", "error", "gaps"),
    [
        ("minimum_calls: 2", BusyError(retry_after=30), [0, 30, 30]),
        ("minimum_calls: 2", BusyError(retry_after=timedelta(seconds=30)), [0, 30, 30]),
        ("minimum_calls: 2", BusyError(retry_after=1), [0, 5, 10]),  # the breaker's own waits are longer
        ("minimum_calls: 2, max_retry_after_seconds: 20", BusyError(retry_after=30), [0, 20, 20]),
        ("minimum_calls: 2, retry_after: ignore", BusyError(retry_after=30), [0, 5, 10]),
        ("minimum_calls: 2, retry_after: open", BusyError(retry_after=30), [30, 30, 30]),
        # An instruction to the engine is no failure unless the breaker is told so; then others wait as well.
        ("minimum_calls: 2, retry_after: open, record_errors: [RetryLater]", RetryLater(30), [30, 30, 30]),
    ],
)
async def test_a_breaker_stays_open_for_as_long_as_the_adapters_error_asks(autojump_clock, breaker, error, gaps):
    calls = []

    async def busy(context):
        calls.append(trio.current_time())
        if len(calls) <= len(gaps):
            raise error
        return AdapterResult.forward()

    async with running(
        f"""
routes:
  r:
    adapters: [{{type: busy, circuit_breaker: {{permitted_calls_in_half_open: 1, wait_jitter: 0, {breaker}}}}}]
    {RETRY}
""",
        adapters={"busy": busy},
        seams=seams_on_trio_time(),
        seconds=1000,
    ) as execution:
        await execution.publish("r", 1)
        report = await execution.complete()
    assert report.routes["r"].completed == 1
    assert [round(after - before) for before, after in itertools.pairwise(calls)] == gaps


@pytest.mark.parametrize("key", ["", "key: host, "])
@pytest.mark.parametrize(("automatic", "state"), [("true", "half_open"), ("false", "open")])
async def test_an_open_breaker_becomes_half_open_without_a_call_if_told_so(autojump_clock, key, automatic, state):
    async def down(context):
        raise OSError

    async with running(
        f"routes: {{r: {{adapters: [{{type: down, circuit_breaker: {{{key}automatic_half_open: {automatic}, "
        "minimum_calls: 1, wait_duration_seconds: 5, wait_jitter: 0}}]}}",
        adapters={"down": down},
        seams=seams_on_trio_time(),
    ) as execution:
        await execution.publish("r", {"host": "a"})
        await trio.sleep(4.9)
        assert execution.circuits()["r/down"].states == {"open": 1}
        await trio.sleep(0.2)
        assert execution.circuits()["r/down"].states == {state: 1}
        assert (await execution.complete()).routes["r"].failed == 1


@pytest.mark.parametrize("after", ["open", "closed"])
async def test_half_open_without_calls_ends_in_time(autojump_clock, after):
    async def down(context):
        raise OSError

    async with running(
        "routes: {r: {adapters: [{type: down, circuit_breaker: {automatic_half_open: true, max_half_open_seconds: 10, "
        f"after_half_open: {after}, minimum_calls: 1, wait_duration_seconds: 5, wait_jitter: 0}}}}]}}}}",
        adapters={"down": down},
        seams=seams_on_trio_time(),
    ) as execution:
        await execution.publish("r", 1)
        states = []
        for _ in range(3):
            await trio.sleep(7)
            states.extend(execution.circuits()["r/down"].states)
    assert states == ["half_open", "half_open", after]


async def test_what_waits_for_a_breaker_goes_on_when_time_closes_it(autojump_clock):
    """One trial call hangs; the others need not wait for it."""
    calls = []

    async def hangs(context):
        calls.append(trio.current_time())
        if len(calls) == 1:
            raise OSError
        if len(calls) == 2:
            await trio.sleep(1000)
        return AdapterResult.forward()

    async with running(
        "routes: {r: {adapters: [{type: hangs, circuit_breaker: {max_half_open_seconds: 10, after_half_open: closed, "
        "permitted_calls_in_half_open: 1, minimum_calls: 1, wait_duration_seconds: 5, wait_jitter: 0}}]}}",
        adapters={"hangs": hangs},
        seams=seams_on_trio_time(),
        seconds=2000,
    ) as execution:
        for number in range(4):
            await execution.publish("r", number)
        await trio.sleep(16)
        assert execution.statistics().routes["r"].completed == 2
        report = await execution.complete()
    assert [round(time) for time in calls] == [0, 5, 15, 15]
    assert report.routes["r"].completed == 3


async def test_no_more_breakers_than_max_keys(autojump_clock):
    async with running(
        f"routes: {{r: {{adapters: [{{type: forward, circuit_breaker: {{key: host, max_keys: 2, {BREAKER}}}}}]}}}}"
    ) as execution:
        for host in "abc":
            await execution.publish("r", {"host": host})
        await execution.complete()
    metrics = execution.circuits()["r/forward"]
    assert (set(metrics.circuits), metrics.evicted) == ({"b", "c"}, 1)


@pytest.mark.parametrize("path", ["'urls[0].host'", "/urls/0/host", "'urls[-1].\"host\"'"])
async def test_a_key_is_a_path_as_conditions_write_it(autojump_clock, path):
    async with running(
        f"routes: {{r: {{adapters: [{{type: forward, circuit_breaker: {{key: {path}, {BREAKER}}}}}]}}}}"
    ) as execution:
        for host in ["a", 7, None]:
            await execution.publish("r", {"urls": [{"host": host}]})
        await execution.publish("r", {"urls": []})
        await execution.complete()
    circuits = execution.circuits()["r/forward"].circuits
    assert {key: stats.totals.succeeded for key, stats in circuits.items()} == {"a": 1, "7": 1, "": 2}


@given(texts=st.lists(st.text(st.sampled_from("ab\ud800"), min_size=190, max_size=210), min_size=1))
def test_keys_are_bounded_and_differ_as_their_texts_do(texts):
    keys = {text: bounded_key(text) for text in texts}
    assert len(set(keys.values())) == len(keys)
    assert max(map(len, keys.values())) <= MAX_KEY_CHARACTERS


@pytest.mark.parametrize("calls", ["few", "slow"])
async def test_a_breaker_counts_slow_calls_in_a_window_of_time(autojump_clock, calls):
    async def slow(context):
        await trio.sleep(2)

    async with running(
        "routes: {r: {inbound: {concurrency: 1}, adapters: [{type: slow, circuit_breaker: {sliding_window_type: time, "
        "sliding_window_size: 60, slow_call_duration_seconds: 1, slow_call_rate_threshold: 100, "
        f"minimum_calls: {3 if calls == 'slow' else 9}}}}}]}}}}",
        adapters={"slow": slow},
        seams=seams_on_trio_time(),
        seconds=100,
    ) as execution:
        await execution.publish_batch("r", [1, 2, 3, 4])
        await trio.sleep(7)
        assert execution.circuits()["r/slow"].states == {"open" if calls == "slow" else "closed": 1}
        await execution.complete()


async def test_messages_that_skip_the_stage_of_an_open_breaker_flow(autojump_clock):
    host = Host()
    host.down.add("a")
    async with running(
        f"""
routes:
  r:
    adapters:
      - {{type: dial, circuit_breaker: {{{BREAKER}}}, condition: {{field: host, operator: eq, value: a}}}}
    error_handling: {{max_retries: 20, retry_delay_seconds: 0}}
""",
        adapters={"dial": host.process},
        seams=seams_on_trio_time(),
    ) as execution:
        for _ in range(20):
            await execution.publish("r", {"host": "a"})
        await trio.sleep(0.1)
        assert execution.circuits()["r/dial"].states == {"open": 1}
        for _ in range(5):
            await execution.publish("r", {"host": "b"})
        await trio.sleep(0.1)
        assert execution.statistics().routes["r"].completed == 5
        await execution.cancel()


async def test_a_breaker_of_the_adapters_own_pauses_no_route(autojump_clock):
    async def dial(context):
        if context.message == "a":
            raise CircuitOpenError("host a", 60)
        return AdapterResult.forward()

    async with running(
        f"routes: {{r: {{adapters: [{{type: dial, circuit_breaker: {{{BREAKER}}}}}]}}}}", adapters={"dial": dial}
    ) as execution:
        for host in "ab":
            await execution.publish("r", host)
        await trio.sleep(0.1)
        route = execution.statistics().routes["r"]
        assert (route.completed, route.retrying, route.pauses) == (1, 1, ())
        await execution.cancel()
