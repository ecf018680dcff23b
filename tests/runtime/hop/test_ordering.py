"""`inbound.ordering: key`: of messages with one key the next begins when the one before has ended; others go on."""

import math
from collections import Counter

import pytest
import trio
import trio.testing
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from factflow_engine.queues.memory import MemoryQueue
from factflow_engine.runtime.execution.manager import OrchestratorManager
from factflow_engine.runtime.report import ExecutionStatus
from factflow_engine.testing import in_virtual_time
from factflow_protocols import AdapterResult, CircuitOpenError, Reject, RetryLater
from support.clocks import seams_on_trio_time
from support.lives import Lives
from support.pipelines import assert_counters_balance, load, registry_of, running

ORDERED = "ordering: key"


class Log:
    """What happened to messages, in order: every entry into and every way out of an adapter, by key and number."""

    def __init__(self):
        self.events = []
        self.attempts = Counter()
        self.inside = Counter()
        self.together = 0

    def assert_in_order(self):
        """Whatever happened to one message of a key happened before anything did to the next."""
        by_key = {}
        for key, number in self.events:
            if key is not None:
                by_key.setdefault(key, []).append(number)
        for key, numbers in by_key.items():
            assert numbers == sorted(numbers), f"{key}: {numbers}"

    def worker(self, seconds):
        """An adapter that takes so long for each message, which is its number."""

        async def work(context):
            await self.within(context, context.message, seconds)

        return work

    async def within(self, context, number, seconds):
        key = context.key
        self.events.append((key, number))
        self.inside[key] += 1
        assert key is None or self.inside[key] == 1, "two of one key in flight"
        self.together = max(self.together, sum(self.inside.values()))
        try:
            await trio.sleep(seconds)
        finally:
            self.inside[key] -= 1
            self.events.append((key, number))


def acting(log):
    """An adapter that does to each attempt at a message what the message says."""

    async def process(context):
        message = context.message
        number = message["n"]
        attempt = log.attempts[number]
        log.attempts[number] += 1
        action, seconds = message["does"][attempt] if attempt < len(message["does"]) else ("pass", 0.0)
        await log.within(context, number, seconds)
        if action == "fail":
            raise OSError("down")
        if action == "later":
            raise RetryLater(seconds)
        if action == "refuse":
            raise CircuitOpenError("own", seconds)
        if action == "reject":
            raise Reject("no")
        if action == "filter":
            return None
        if action == "emit":

            async def children():
                for child in range(3):
                    await trio.sleep(seconds)
                    yield {"n": number, "child": child}

            return AdapterResult(emitted=children())
        return AdapterResult.forward()

    return process


def following(log):
    """A later stage, which messages and what was emitted of them come to; children may be there together."""

    async def process(context):
        log.events.append((context.key, context.message["n"]))
        try:
            if "child" in context.message:
                await trio.sleep(0.3 / (context.message["child"] + 1))
                if context.message["child"] == 1 and context.attempt == 1:
                    raise OSError("a child")
        finally:
            log.events.append((context.key, context.message["n"]))
        return AdapterResult.forward()

    return process


ACTIONS = st.tuples(
    st.sampled_from(["pass", "pass", "fail", "later", "refuse", "reject", "filter", "emit"]),
    st.sampled_from([0.0, 0.0, 0.1, 0.7]),
)
MESSAGES = st.lists(
    st.tuples(st.sampled_from(["a", "a", "b", "c", None]), st.lists(ACTIONS, max_size=3)), min_size=1, max_size=30
)
TEXT = """
routes:
  r:
    inbound: {{concurrency: {concurrency}, capacity: {capacity}, ordering: key}}
    adapters: [{{type: act}}, {{type: follow}}]
    outbound: [{{route: next}}]
    error_handling: {{max_retries: 2, retry_delay_seconds: 0.5, {letters}}}
  next:
    inbound: {{concurrency: {concurrency}, capacity: {capacity}, ordering: key}}
    adapters: [{{type: arrive}}]
  dead:
    inbound: {{queue: /queue/dead, concurrency: 1, capacity: 1}}
    adapters: [{{type: bury}}]
"""


@given(
    messages=MESSAGES,
    concurrency=st.integers(1, 4),
    capacity=st.integers(1, 6),
    letters=st.booleans(),
    pauses=st.lists(st.floats(0, 3), max_size=4),
    seed=st.integers(0, 2**32),
)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_each_key_is_handled_in_order_and_one_at_a_time_whatever_happens(
    messages, concurrency, capacity, letters, pauses, seed
):
    log, further = Log(), Log()
    buried = []

    async def arrive(context):
        await further.within(context, context.message["n"], 0.2)
        return AdapterResult.forward()

    async def bury(context):
        await trio.sleep(1)
        buried.append((context.key, context.message["n"]))
        return AdapterResult.forward()

    registry = registry_of(act=acting(log), follow=following(log), arrive=arrive, bury=bury)
    text = TEXT.format(
        concurrency=concurrency,
        capacity=capacity,
        letters="dead_letter_queue: /queue/dead" if letters else "jitter: full",
    )
    config = load(registry, text)

    async def main(simulation):
        async def trouble(execution):
            for seconds in pauses:
                await trio.sleep(seconds)
                execution.pause("r")
                await trio.sleep(seconds)
                execution.resume("r")

        async def watch(execution):
            while True:
                assert_counters_balance(execution.statistics())
                assert execution.statistics().routes["r"].in_flight <= 4 * concurrency + 4
                await trio.sleep(0.11)

        with trio.fail_after(10_000):
            async with (
                trio.open_nursery() as nursery,
                OrchestratorManager(registry=registry, seams=simulation.seams) as manager,
            ):
                execution = await manager.start(config)
                nursery.start_soon(watch, execution)
                nursery.start_soon(trouble, execution)
                for number, (key, does) in enumerate(messages):
                    await execution.publish("r", {"n": number, "does": does}, key=key)
                report = await execution.complete()
                nursery.cancel_scope.cancel()
                return report

    report = in_virtual_time(main, seed=seed)
    assert report.status is ExecutionStatus.COMPLETED
    assert_counters_balance(report)
    log.assert_in_order()
    further.assert_in_order()
    for key in "abc":
        numbers = [number for at, number in buried if at == key]
        assert numbers == sorted(numbers)
    assert set(log.attempts) == set(range(len(messages)))


@pytest.mark.parametrize("step", range(12))
def test_what_is_given_back_at_a_cancellation_is_before_what_is_parked_behind_it(step):
    log, left = Log(), {}

    class KeepingQueue(MemoryQueue):
        def discard(self, scope):
            if not left:
                for queue, [line] in self._channels.items():
                    left[queue.rsplit("/", 1)[1]] = [(frame.key, frame.value()["n"]) for frame in line.frames()]
            super().discard(scope)

    registry = registry_of(act=acting(log), follow=following(log))
    config = load(
        registry,
        "routes: {r: {inbound: {concurrency: 3, ordering: key}, adapters: [{type: act}, {type: follow}], "
        "error_handling: {max_retries: 3, jitter: none}}}",
    )
    kinds = [[], [("fail", 0.5), ("later", 3.0)], [("emit", 0.2)], [("pass", 0.8)]]

    async def main(simulation):
        async with OrchestratorManager(registry=registry, seams=simulation.seams, queue=KeepingQueue()) as manager:
            execution = await manager.start(config)
            for number in range(16):
                await execution.publish("r", {"n": number, "does": kinds[number % 4]}, key="abc"[number % 3])
            await trio.sleep(0.35 * step)
            return await execution.cancel()

    report = in_virtual_time(main, seed=step)
    log.assert_in_order()
    done = report.routes["r"].completed
    assert done or step < 3
    for key in "abc":
        numbers = [number for at, number in left["r"] if at == key]
        published = [number for number in range(16) if "abc"[number % 3] == key]
        assert numbers == published[len(published) - len(numbers) :], "the last ones of the key, in order"


async def test_different_keys_go_on_together_and_messages_without_one_too(autojump_clock):
    log = Log()

    work = log.worker(1)
    async with running(
        f"routes: {{r: {{inbound: {{concurrency: 16, {ORDERED}}}, adapters: [{{type: w}}]}}}}", adapters={"w": work}
    ) as execution:
        began = trio.current_time()
        for key in ("a", "b", "c", None):
            for number in range(5):
                await execution.publish("r", number, key=key)
        await execution.complete()
    assert trio.current_time() - began == pytest.approx(5), "as long as the five of one key, not the twenty"
    assert log.together == 3 + 5
    log.assert_in_order()


async def test_another_key_is_told_of_where_all_that_waits_is_parked(autojump_clock):
    log = Log()

    work = log.worker(10)
    async with running(
        f"routes: {{r: {{inbound: {{concurrency: 2, {ORDERED}}}, adapters: [{{type: w}}]}}}}", adapters={"w": work}
    ) as execution:
        await execution.publish("r", 0, key="a")
        await execution.publish("r", 1, key="a")
        execution.pause("r")
        execution.resume("r")  # a worker looks, and finds nothing that it may take
        await trio.sleep(1)
        await execution.publish("r", 2, key="b")
        await trio.sleep(1)
        assert log.inside == {"a": 1, "b": 1}
        await execution.complete()


async def test_a_key_that_waits_for_a_retry_holds_up_nobody_else(autojump_clock):
    log = Log()
    async with running(
        f"routes: {{r: {{inbound: {{concurrency: 1, {ORDERED}}}, adapters: [{{type: w}}], "
        "error_handling: {max_retries: 1, retry_delay_seconds: 10, jitter: none}}}",
        adapters={"w": acting(log)},
    ) as execution:
        await execution.publish("r", {"n": 0, "does": [("fail", 0)]}, key="a")
        for number in range(1, 10):
            await execution.publish("r", {"n": number, "does": []}, key="ab"[number % 2])
        await trio.sleep(5)
        route = execution.statistics().routes["r"]
        assert (route.completed, route.retrying, route.waiting, route.in_flight) == (5, 1, 4, 0)
        assert execution.statistics().stalled == ()
        report = await execution.complete()
    assert report.routes["r"].completed == 10
    log.assert_in_order()


async def test_the_next_of_a_key_waits_for_a_full_dead_letter_queue(autojump_clock):
    begun = []

    async def reject(context):
        begun.append(context.message)
        raise Reject("no")

    async with (
        running(
            f"routes: {{r: {{inbound: {{concurrency: 4, {ORDERED}}}, adapters: [{{type: w}}], "
            "error_handling: {dead_letter_queue: /queue/dead}}}",
            adapters={"w": reject},
            seconds=100,
        ) as execution,
        execution.subscribe("/queue/dead", capacity=1, prefetch=1) as subscription,
    ):
        for number in range(4):
            await execution.publish("r", number, key="a")
        for expected in range(4):
            await trio.sleep(10)
            # One letter is in the queue, another waits for room: nothing after that one has begun.
            assert begun == list(range(min(expected + 2, 4)))
            [letter] = await subscription.receive(1)
            assert letter.message.value() == expected
            await subscription.settle([letter])
        await execution.complete()


async def test_the_next_of_a_key_waits_for_an_open_circuit_breaker(autojump_clock):
    log = Log()
    async with running(
        f"routes: {{r: {{inbound: {{concurrency: 4, {ORDERED}}}, adapters: [{{type: w, circuit_breaker: {{key: host, "
        "minimum_calls: 1, sliding_window_size: 1, permitted_calls_in_half_open: 1}}], "
        "error_handling: {max_retries: 3, retry_delay_seconds: 0.1}}}",
        adapters={"w": acting(log)},
        seams=seams_on_trio_time(),
    ) as execution:
        await execution.publish("r", {"n": 0, "does": [("fail", 0)], "host": "h"}, key="a")
        for number in range(1, 6):
            await execution.publish("r", {"n": number, "does": [], "host": "i"}, key="a")
        await execution.publish("r", {"n": 6, "does": [], "host": "j"}, key="b")
        await trio.sleep(0.5)
        assert execution.statistics().routes["r"].completed == 1
        report = await execution.complete()
    assert report.routes["r"].completed == 7
    log.assert_in_order()


@pytest.mark.parametrize("capacity", [1, 2, 5])
async def test_a_route_that_publishes_to_itself_with_the_same_key_does_not_stand_still(autojump_clock, capacity):
    seen = []

    async def countdown(context):
        seen.append(context.message)
        await trio.sleep(0.1)
        if context.message["left"]:
            return AdapterResult(emitted=[{"left": context.message["left"] - 1}] * 2)
        return None

    async with running(
        f"routes: {{r: {{inbound: {{concurrency: 4, capacity: {capacity}, {ORDERED}}}, adapters: [{{type: c}}], "
        "outbound: [{route: r}]}}",
        adapters={"c": countdown},
        seconds=1000,
    ) as execution:
        await execution.publish("r", {"left": 5}, key="a")
        await execution.publish("r", {"left": 3}, key="a")
        await execution.complete()
    assert len(seen) == (2**6 - 1) + (2**4 - 1)


@given(
    emits=st.sampled_from(["list", "iterator"]),
    capacity=st.sampled_from([1, 3, 1_000]),
    concurrency=st.integers(1, 8),
    seed=st.integers(0, 10**6),
)
@settings(max_examples=20, deadline=None)
def test_what_the_last_stage_emits_reaches_the_next_route_in_order(emits, capacity, concurrency, seed):
    async def emit(context):
        number = context.message
        await trio.sleep(0.01 * (number % 3))

        async def pause_between():
            for child in range(20):
                if child % 7 == number % 7:
                    await trio.sleep(0.01)
                yield (number, child)

        return AdapterResult(emitted=[(number, child) for child in range(20)] if emits == "list" else pause_between())

    seen = {"a": [], "b": []}

    async def work(context):
        await trio.sleep(0.001 * (context.message[1] % 5))
        seen[context.key].append(tuple(context.message))
        return AdapterResult.forward()

    async def run(_):
        async with running(
            f"routes: {{r: {{inbound: {{concurrency: {concurrency}, {ORDERED}}}, adapters: [{{type: emit}}], "
            f"outbound: [{{route: s}}]}}, s: {{inbound: {{concurrency: {concurrency}, capacity: {capacity}, {ORDERED}}}, "
            "adapters: [{type: work}]}}",
            adapters={"emit": emit, "work": work},
            seconds=1000,
        ) as execution:
            for number in range(5):
                for key in seen:
                    await execution.publish("r", number, key=key)
            await execution.complete()

    in_virtual_time(run, seed=seed)
    expected = [(number, child) for number in range(5) for child in range(20)]
    assert seen == {"a": expected, "b": expected}


async def test_a_key_that_fills_the_queue_holds_the_others_up_no_longer_than_it_does(autojump_clock):
    seen = []

    async def work(context):
        seen.append(context.key)
        await trio.sleep(1)

    async with running(
        f"routes: {{r: {{inbound: {{concurrency: 4, capacity: 3, {ORDERED}}}, adapters: [{{type: w}}]}}}}",
        adapters={"w": work},
    ) as execution:
        began = trio.current_time()
        for _ in range(6):
            await execution.publish("r", None, key="hot")
        await execution.publish("r", None, key="cold")
        assert trio.current_time() - began == pytest.approx(3), "one in flight, three wait, three more had to go before"
        await trio.sleep(0.01)
        assert seen[-1] == "cold"
        await execution.complete()


async def test_two_routes_that_read_one_queue_share_its_order(autojump_clock):
    log = Log()

    async def work(context):
        await log.within(context, context.message, 0.5 + 0.3 * (context.route == "s"))

    async with running(
        f"""
routes:
  r: {{inbound: {{queue: /queue/in, concurrency: 2, {ORDERED}}}, adapters: [{{type: w}}]}}
  s: {{inbound: {{queue: /queue/in, concurrency: 2}}, adapters: [{{type: w}}]}}
""",
        adapters={"w": work},
    ) as execution:
        for number in range(30):  # of one more key than either route takes messages at a time
            await execution.publish("r", number, key="abc"[number % 3])
        report = await execution.complete()
    assert log.together == 3
    assert min(route.filtered for route in report.routes.values()) > 0
    log.assert_in_order()


async def test_a_consumer_from_outside_holds_a_key_until_it_settles(autojump_clock):
    log = Log()

    work = log.worker(0.1)
    async with running(
        f"routes: {{r: {{inbound: {{queue: /queue/in, {ORDERED}}}, adapters: [{{type: w}}]}}}}", adapters={"w": work}
    ) as execution:
        execution.pause("r")
        async with execution.subscribe("/queue/in") as subscription:
            for number in range(4):
                await execution.publish("r", number, key="ab"[number % 2])
            deliveries = await subscription.receive(10)
            assert [delivery.message.value() for delivery in deliveries] == [0, 1], "one of each key"
            execution.resume("r")
            await trio.sleep(1)
            assert log.events == []
            await subscription.settle(deliveries[:1])
            await trio.sleep(1)
            assert log.events == [("a", 2), ("a", 2)]
        report = await execution.complete()
    assert report.routes["r"].filtered == 3, "what was not settled came back"
    assert log.events[2:] == [("b", 1), ("b", 1), ("b", 3), ("b", 3)]


async def test_who_is_behind_a_key_is_told_where_nothing_moves(autojump_clock):
    async def stuck(context):
        await trio.sleep(math.inf)

    async with running(
        f"processor: {{stall_seconds: 5}}\nroutes: {{r: {{inbound: {{{ORDERED}}}, adapters: [{{type: w}}]}}}}",
        adapters={"w": stuck},
        seconds=100,
    ) as execution:
        for number in range(4):
            await execution.publish("r", number, key="a")
        await trio.sleep(30)
        [text] = execution.statistics().stalled
        assert text.startswith("route 'r', stage 'w' has had a message for ")
        assert text.endswith("s, and 3 wait, 3 of them behind one of their key")
        report = await execution.cancel()
    assert report.routes["r"].waiting == 4


@pytest.mark.parametrize("ends", ["cancel", "drain"])
async def test_the_order_holds_from_one_life_of_a_durable_execution_to_the_next(autojump_clock, ends):
    log = Log()
    lives = Lives(
        f"routes: {{r: {{inbound: {{concurrency: 3, prefetch: 6, {ORDERED}}}, adapters: [{{type: act}}], "
        "error_handling: {max_retries: 5, retry_delay_seconds: 0.3}}}",
        act=acting(log),
    )
    published, left = 0, 1
    with trio.fail_after(1000):
        for seconds in (0.2, 0.9, 0.5, 1.7, 100):
            async with lives.manager() as manager:
                execution = await lives.start(manager)
                for _ in range(6):
                    does = [[], [("fail", 0.2)], [("later", 0.4), ("fail", 0.1)]][published % 3]
                    await execution.publish("r", {"n": published, "does": does}, key="ab"[published % 2])
                    published += 1
                await trio.sleep(seconds)
                report = await (execution.cancel() if ends == "cancel" else execution.drain(0.3))
                left = report.routes["r"].waiting
    log.assert_in_order()
    assert set(log.attempts) == set(range(published))
    assert left == 0


async def test_a_provider_that_cannot_keep_the_order_among_processes_is_named(autojump_clock, caplog):
    lives = Lives(f"routes: {{r: {{inbound: {{{ORDERED}}}}}, s: {{}}}}")
    async with lives.manager() as manager:
        await (await lives.start(manager)).cancel()
    [record] = [record for record in caplog.records if "orders messages by key" in record.message]
    assert record.message.startswith(
        "route 'r' orders messages by key, and its queue provider, Connection, cannot keep"
    )


async def test_without_the_setting_a_key_orders_nothing(autojump_clock):
    inside = Log()

    async def work(context):
        inside.together += 1
        await trio.sleep(1)

    async with running(
        "routes: {r: {inbound: {concurrency: 4}, adapters: [{type: w}]}}", adapters={"w": work}
    ) as execution:
        for number in range(4):
            await execution.publish("r", number, key="a")
        await trio.sleep(0.5)
        assert inside.together == 4
        await execution.complete()
