"""Circuit breakers in routes: what waits for one spends no attempt, others flow, a route whose work all waits pauses."""

import itertools

import trio

from factflow_protocols import AdapterResult
from support.clocks import seams_on_trio_time
from support.pipelines import assert_books_balance, running

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
        assert_books_balance(execution.statistics())
        assert execution.circuits()["r/dial"].states == {"open": 1}
        host.down.clear()
        report = await execution.wait()
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
        report = await execution.wait()
    assert report.routes["r"].completed == 40
    assert_books_balance(report)


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
        report = await execution.wait()
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
        report = await execution.wait()
    assert report.routes["r"].completed == 1
    assert [round(after - before) for before, after in itertools.pairwise(calls)] == [30, 30]
