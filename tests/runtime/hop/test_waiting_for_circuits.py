"""What waits for a circuit breaker holds up nothing that does not, and goes on by one rule: that of its own breaker."""

from collections import Counter

import pytest
import trio

from factflow_protocols import AdapterResult, Reject
from support.clocks import seams_on_trio_time
from support.pipelines import assert_counters_balance, running

ONE_CALL = "minimum_calls: 1, sliding_window_size: 1, permitted_calls_in_half_open: 1, wait_jitter: 0"
LONG = f"{ONE_CALL}, wait_duration_seconds: 3600, max_wait_duration_seconds: 3600"


def pipeline(text, **adapters):
    return running(text, adapters=adapters, seams=seams_on_trio_time(), seconds=1e6)


async def test_what_waits_for_one_key_holds_up_neither_other_keys_nor_their_retries(autojump_clock):
    async def dial(context):
        if context.message["host"] == "a":
            raise ConnectionError
        if context.attempt == 1:
            raise BlockingIOError
        return AdapterResult.forward()

    async with pipeline(
        f"""
routes:
  r:
    inbound: {{concurrency: 1, capacity: 5}}
    adapters: [{{type: dial, circuit_breaker: {{key: host, {LONG}, ignore_errors: [BlockingIOError]}}}}]
    error_handling: {{max_retries: 1, retry_delay_seconds: 1, jitter: none, retry_on: [BlockingIOError]}}
""",
        dial=dial,
    ) as execution:
        for host in "abbbbacccc":
            await execution.publish("r", {"host": host})
        await trio.sleep(10)
        route = execution.statistics().routes["r"]
        assert (route.completed, route.failed, route.retrying) == (8, 1, 1)
        assert route.pauses == ()
        await execution.cancel()


async def test_children_that_are_past_an_open_breaker_are_tried_again_in_their_time(autojump_clock):
    leaves = []

    async def dial(context):
        if context.message == "bad":
            raise ConnectionError
        return AdapterResult(emitted=[1])

    async def leaf(context):
        leaves.append((trio.current_time() - start, context.attempt))
        if context.attempt == 1:
            raise OSError

    async with pipeline(
        f"""
routes:
  r:
    adapters: [{{type: dial, circuit_breaker: {{{LONG}}}}}, {{type: leaf}}]
    error_handling: {{max_retries: 1, retry_delay_seconds: 1, jitter: none, give_up_on: [ConnectionError]}}
""",
        dial=dial,
        leaf=leaf,
    ) as execution:
        start = trio.current_time()
        for message in ("good", "bad", "later", "waits in the queue"):
            await execution.publish("r", message)
        await trio.sleep(10)
        route = execution.statistics().routes["r"]
        assert route.pauses == ("circuit_open",)
        assert (route.retrying, route.waiting) == (1, 1), "nothing more is taken that would only be refused"
        assert [(round(when), attempt) for when, attempt in leaves] == [(0, 1), (1, 2)]
        await execution.cancel()


async def test_a_breaker_that_closes_lets_go_on_what_waits_for_it_and_nothing_else(autojump_clock):
    calls, failing = Counter(), {"a", "b"}

    async def before(context):
        calls[context.message] += 1
        return AdapterResult.forward()

    async def dial(context):
        if context.message in failing:
            raise ConnectionError
        return AdapterResult.forward()

    async with pipeline(
        f"""
routes:
  r:
    adapters:
      - {{type: before}}
      - {{type: dial, circuit_breaker: {{key: "@", {ONE_CALL}, wait_duration_seconds: 5}}}}
    error_handling: {{max_retries: 9, retry_delay_seconds: 0, jitter: none}}
""",
        before=before,
        dial=dial,
    ) as execution:
        await execution.publish_batch("r", ["a", "a", "a"])
        await trio.sleep(6)  # its breaker is open again, for 10 s
        await execution.publish_batch("r", ["b", "b", "b"])
        await trio.sleep(1)
        waits = Counter(calls)
        failing.discard("b")
        await trio.sleep(5)
        assert execution.statistics().routes["r"].completed == 3
        assert calls["b"] == waits["b"] + 3
        assert calls["a"] == waits["a"], "its own breaker is open"
        failing.clear()
        report = await execution.complete()
    assert report.routes["r"].completed == 6
    assert_counters_balance(report)


async def test_a_trial_that_ends_as_nothing_lets_the_next_message_try_at_once(autojump_clock):
    calls = []

    async def dial(context):
        calls.append(trio.current_time() - start)
        await trio.sleep(1)
        if len(calls) <= 4:
            raise ConnectionError
        if len(calls) <= 7:
            raise Reject("a message that never works")
        return AdapterResult.forward()

    async with pipeline(
        """
routes:
  r:
    inbound: {concurrency: 4}
    adapters:
      - type: dial
        circuit_breaker: {minimum_calls: 4, sliding_window_size: 4, permitted_calls_in_half_open: 1, wait_jitter: 0,
          wait_duration_seconds: 600, max_wait_duration_seconds: 600}
    error_handling: {max_retries: 3, retry_delay_seconds: 0.5, jitter: none}
""",
        dial=dial,
    ) as execution:
        start = trio.current_time()
        for number in range(20):
            await execution.publish("r", number)
        report = await execution.complete()
    assert [round(when) for when in calls[4:8]] == [601, 602, 603, 604]
    assert (report.routes["r"].completed, report.routes["r"].failed) == (17, 3)


async def test_a_key_that_stays_open_does_not_stop_the_timers_of_others(autojump_clock):
    async def dial(context):
        if context.message["fails"]:
            raise ConnectionError
        raise Reject("counts as nothing")

    async with pipeline(
        f"""
routes:
  r:
    adapters:
      - type: dial
        circuit_breaker: {{key: host, {ONE_CALL}, wait_duration_seconds: 5, max_half_open_seconds: 10, after_half_open: closed}}
""",
        dial=dial,
    ) as execution:
        for host in "ab":
            await execution.publish("r", {"host": host, "fails": True})
        await trio.sleep(6)
        await execution.publish("r", {"host": "b", "fails": False})
        await trio.sleep(20)
        circuits = execution.circuits()["r/dial"].circuits
        assert {key: circuit.state for key, circuit in circuits.items()} == {"a": "open", "b": "closed"}


@pytest.mark.parametrize("lazily", [True, False])
@pytest.mark.parametrize("fails", [True, False])
async def test_a_call_lasts_as_long_as_what_it_emits_lazily_is_pulled(autojump_clock, lazily, fails):
    async def dial(context):
        async def pages():
            yield 1
            await trio.sleep(7)
            if fails:
                raise ConnectionError("down")

        def lines():
            yield 1
            if fails:
                raise ConnectionError("down")

        return AdapterResult(emitted=pages() if lazily else lines(), headers={"h": 1})

    async def leaf(context):
        assert context.headers["h"] == 1
        await trio.sleep(100)

    async with pipeline(
        f"""
routes:
  r:
    adapters:
      - {{type: dial, circuit_breaker: {{{LONG}, slow_call_duration_seconds: 5, slow_call_rate_threshold: 100}}}}
      - {{type: leaf}}
""",
        dial=dial,
        leaf=leaf,
    ) as execution:
        await execution.publish("r", 1)
        await trio.sleep(3)
        totals = execution.circuits()["r/dial"].totals
        assert (totals.in_flight, totals.succeeded) == ((1, 0) if lazily else (0, not fails))
        await execution.complete()
        totals = execution.circuits()["r/dial"].totals
        assert (totals.succeeded, totals.failed) == (not fails, fails)
        assert totals.slow == lazily, "waiting for room, or for children, is not the call's time"


async def test_a_call_whose_emission_is_cut_off_counts_as_nothing(autojump_clock):
    async def dial(context):
        async def pages():
            yield 1
            await trio.sleep_forever()

        return AdapterResult(emitted=pages())

    async with pipeline(
        f"routes: {{r: {{adapters: [{{type: dial, circuit_breaker: {{{LONG}}}}}, {{type: forward}}]}}}}", dial=dial
    ) as execution:
        await execution.publish("r", 1)
        await trio.sleep(1)
        await execution.cancel()
        totals = execution.circuits()["r/dial"].totals
    assert (totals.released, totals.failed, totals.succeeded, totals.in_flight) == (1, 0, 0, 0)


async def test_an_operators_pause_is_not_withdrawn_by_the_engine_whatever_its_reason_is_called(autojump_clock):
    down = True

    async def dial(context):
        if down:
            raise ConnectionError
        return AdapterResult.forward()

    async with pipeline(
        f"""
routes:
  r:
    adapters: [{{type: dial, circuit_breaker: {{{ONE_CALL}, wait_duration_seconds: 5}}}}]
    error_handling: {{max_retries: 9, retry_delay_seconds: 0}}
""",
        dial=dial,
    ) as execution:
        for number in range(10):
            await execution.publish("r", number)
        await trio.sleep(1)
        execution.pause("r", reason="circuit_open")
        down = False
        await trio.sleep(20)
        route = execution.statistics().routes["r"]
        assert (route.pauses, route.completed) == (("circuit_open",), 0)
        execution.resume("r", reason="circuit_open")
        assert (await execution.complete()).routes["r"].completed == 10
