"""Drivers of emitted iterators: they make no more wait than a queue may hold, and nobody starves beside them."""

import gc
from dataclasses import replace

import pytest
import trio
import trio.testing

from factflow_engine.seams import Seams
from factflow_engine.testing import in_virtual_time
from factflow_protocols import AdapterResult, Reject, RetryLater
from support.clocks import CallClock, seams_on_trio_time
from support.pipelines import assert_counters_balance, running


async def tail(context):
    """Emits a message a second for ever."""

    async def lines():
        number = 0
        while True:
            yield {"parent": context.message, "number": number}
            number += 1
            await trio.sleep(1)

    return AdapterResult(emitted=lines())


@pytest.mark.parametrize("error", [OSError(), RetryLater(3600), Reject("into a full dead-letter queue")])
@pytest.mark.parametrize("concurrency", [1, 2, 5])
async def test_no_more_children_wait_than_the_inbound_may_hold(autojump_clock, error, concurrency):
    pulled = 0

    async def spread(context):
        def children():
            nonlocal pulled
            for number in range(20_000):
                pulled += 1
                yield number

        return AdapterResult(emitted=children())

    async def bad(context):
        raise error

    async with (
        running(
            f"""
routes:
  r:
    inbound: {{concurrency: {concurrency}, capacity: 5}}
    adapters: [{{type: spread}}, {{type: bad}}]
    error_handling: {{max_retries: 3, retry_delay_seconds: 60, jitter: none, dead_letter_queue: /queue/dead}}
""",
            adapters={"spread": spread, "bad": bad},
            seconds=1e6,
        ) as execution,
        execution.subscribe("/queue/dead", capacity=1),
    ):
        await execution.publish("r", 1)
        await trio.sleep(30)
        route = execution.statistics().routes["r"]
        assert 5 <= route.retrying <= 5 + 2 * concurrency
        assert pulled <= route.retrying + 3
        assert_counters_balance(execution.statistics())
        await execution.cancel()


async def test_children_get_their_turn_though_drivers_hold_every_permit(autojump_clock):
    seen = {parent: [] for parent in range(4)}

    async def leaf(context):
        seen[context.message["parent"]].append(context.message["number"])

    async with running(
        "routes: {r: {inbound: {concurrency: 4}, adapters: [{type: tail}, {type: leaf}]}}",
        adapters={"tail": tail, "leaf": leaf},
        seconds=1e6,
    ) as execution:
        for parent in seen:
            await execution.publish("r", parent)
        await trio.sleep(100)
        for numbers in seen.values():
            assert len(numbers) >= 98
            assert sorted(numbers) == list(range(len(numbers)))
        await execution.cancel()


@pytest.mark.parametrize(("concurrency", "parents"), [(1, 1), (2, 2), (4, 4)])
@pytest.mark.parametrize("error", [OSError(), RetryLater(1)])
async def test_a_child_is_tried_again_in_its_time_though_drivers_hold_every_permit(
    autojump_clock, concurrency, parents, error
):
    attempts = []

    async def leaf(context):
        if context.message["number"] == 0:
            parent = context.message["parent"]
            attempts.append((parent, round(trio.current_time() - start)))
            if [one for one, _ in attempts].count(parent) == 1:
                raise error

    async with running(
        f"""
routes:
  r:
    inbound: {{concurrency: {concurrency}}}
    adapters: [{{type: tail}}, {{type: leaf}}]
    error_handling: {{max_retries: 4, retry_delay_seconds: 1, jitter: none}}
""",
        adapters={"tail": tail, "leaf": leaf},
        seconds=1e6,
    ) as execution:
        start = trio.current_time()
        for parent in range(parents):
            await execution.publish("r", parent)
        await trio.sleep(10)
        assert sorted(parent for parent, _ in attempts) == sorted([*range(parents), *range(parents)])
        assert all(when in {0, 1, 2} for _, when in attempts), "at the next pull, at the latest"
        await execution.cancel()


async def test_drivers_that_carry_each_others_children_go_no_deeper_than_the_route(autojump_clock):
    """A thousand messages are due again at once, and all of them emit, beside a driver that holds the one permit."""
    failed, depth = set(), []

    async def twice(context):
        if context.message not in failed and context.message > 0:
            failed.add(context.message)
            raise RetryLater(1)

        async def children():
            for number in range(3 if context.message else 2000):
                await trio.sleep(0 if context.message else 0.01)
                yield number

        return AdapterResult(emitted=children())

    async def leaf(context):
        frame, count = trio.lowlevel.current_task().coro, 0
        while (frame := getattr(frame, "cr_await", None)) is not None:
            count += 1
        depth.append(count)

    async with running(
        "routes: {r: {inbound: {concurrency: 2, capacity: 1000}, adapters: [{type: twice}, {type: leaf}]}}",
        adapters={"twice": twice, "leaf": leaf},
        seconds=1e6,
    ) as execution:
        await execution.publish_batch("r", [*range(1, 1000), 0])
        report = await execution.complete()
    assert report.routes["r"].failed == 0
    assert report.routes["r"].completed == 1000
    assert report.routes["r"].filtered == 999 * 3 + 2000
    assert max(depth) < 20


async def test_cleaning_up_what_was_emitted_is_bounded(autojump_clock):
    async def pages(context):
        async def source():
            try:
                while True:
                    yield 1
            finally:
                await trio.sleep(500)

        return AdapterResult(emitted=source())

    async def leaf(context):
        await trio.sleep(1)

    async with running(
        """
routes:
  r:
    inbound: {concurrency: 1}
    adapters: [{type: pages}, {type: leaf}]
    error_handling: {deadline_seconds: 5}
orchestrator: {close_seconds: 3}
""",
        adapters={"pages": pages, "leaf": leaf},
        seams=seams_on_trio_time(),
        seconds=1e6,
    ) as execution:
        start = trio.current_time()
        await execution.publish("r", 1)
        report = await execution.complete()
        assert trio.current_time() - start < 15
    assert "DeadlineExceededError" in {failure.error_type for failure in report.failures}


async def test_a_source_that_does_not_close_in_time_fails_its_parent(autojump_clock):
    async def pages(context):
        class Hangs:
            def __aiter__(self):
                return self

            async def __anext__(self):
                raise StopAsyncIteration

            async def aclose(self):
                await trio.sleep(500)

        return AdapterResult(emitted=Hangs())

    async with running(
        "routes: {r: {adapters: [{type: pages}]}}\norchestrator: {close_seconds: 3}",
        adapters={"pages": pages},
        seconds=1e6,
    ) as execution:
        await execution.publish("r", 1)
        report = await execution.complete()
    [failure] = report.failures
    assert failure.error_type == "SourceCloseTimeoutError"
    assert "orchestrator.close_seconds: 3" in failure.error


@pytest.mark.parametrize(("tails", "concurrency", "capacity"), [(1, 1, 1), (1, 2, 1), (2, 4, 2), (4, 8, 4)])
async def test_sources_that_say_nothing_reserve_no_room(autojump_clock, tails, concurrency, capacity):
    seen = []

    async def tail(context):
        async def lines():
            yield context.message
            await trio.sleep_forever()

        return AdapterResult(emitted=lines())

    async def sink(context):
        seen.append(context.message)

    async with running(
        f"""
routes:
  r: {{inbound: {{concurrency: {concurrency}}}, adapters: [{{type: tail}}], outbound: [{{route: s}}]}}
  s: {{inbound: {{capacity: {capacity}}}, adapters: [{{type: sink}}]}}
""",
        adapters={"tail": tail, "sink": sink},
        seconds=1e6,
    ) as execution:
        for number in range(tails):
            await execution.publish("r", number)
        await trio.sleep(10)
        assert sorted(seen) == list(range(tails))  # a worker that has had its quantum lets others go first
        await execution.cancel()


async def test_room_that_a_waiting_source_stops_reserving_is_found_by_the_route(autojump_clock):
    """A worker looked at the route between two pulls, found all room reserved, and nobody looked again after that.

    Which worker is first is trio's and the clock's choice: one in six times it was the wrong one.
    """

    async def tail(context):
        async def lines():
            yield context.message
            await trio.sleep_forever()

        return AdapterResult(emitted=lines())

    for quantum in [1, 5, 10, 20] * 15:
        seen = []

        async def sink(context, seen=seen):
            seen.append(context.message)

        async with running(
            f"""
processor: {{quantum_microseconds: {quantum}}}
routes:
  r: {{inbound: {{concurrency: 4}}, adapters: [{{type: tail}}], outbound: [{{route: s}}]}}
  s: {{inbound: {{capacity: 2}}, adapters: [{{type: sink}}]}}
""",
            adapters={"tail": tail, "sink": sink},
            seconds=1e6,
        ) as execution:
            await execution.publish("r", 0)
            await execution.publish("r", 1)
            await trio.sleep(10)
            assert sorted(seen) == [0, 1]
            await execution.cancel()


async def test_a_source_that_says_nothing_does_not_stop_a_cycle(autojump_clock):
    async def multiply(context):
        if context.message == "tail":

            async def nothing():
                await trio.sleep_forever()
                yield 0

            return AdapterResult(emitted=nothing())
        return AdapterResult(emitted=[context.message - 1] * 3 if context.message > 0 else [])

    async with running(
        """
routes:
  a: {inbound: {concurrency: 2, capacity: 2}, adapters: [{type: multiply}], outbound: [{route: b}]}
  b: {inbound: {concurrency: 2, capacity: 2}, adapters: [{type: forward}], outbound: [{route: a}]}
""",
        adapters={"multiply": multiply},
        seconds=1e6,
    ) as execution:
        await execution.publish("a", "tail")
        await trio.sleep(1)
        await execution.publish("a", 5)
        await trio.sleep(100)
        statistics = execution.statistics().routes
        assert (statistics["b"].completed, statistics["a"].in_flight) == (sum(3**level for level in range(1, 6)), 1)
        await execution.cancel()


async def test_a_driver_that_carries_what_waits_gives_way_to_the_program(autojump_clock):
    now_ns, seen, at = 0, set(), []

    class Steps(trio.abc.Instrument):
        count = 0

        def before_task_step(self, task):
            self.count += 1

    async def emit(context):
        async def children():
            for number in range(200):
                yield number
            await trio.sleep(10)
            yield 200

        return AdapterResult(emitted=children())

    async def later(context):
        nonlocal now_ns
        if context.message not in seen:
            seen.add(context.message)
            raise RetryLater(3)
        now_ns += 1_000_000  # longer than a quantum
        at.append(steps.count)

    steps = Steps()
    trio.lowlevel.add_instrument(steps)
    async with running(
        "routes: {r: {inbound: {concurrency: 1}, adapters: [{type: emit}, {type: later}]}}",
        adapters={"emit": emit, "later": later},
        seams=replace(Seams.real(), clock=CallClock(lambda: now_ns)),
        seconds=1e6,
    ) as execution:
        await execution.publish("r", 0)
        await execution.complete()
    trio.lowlevel.remove_instrument(steps)
    assert len(at) == 201
    assert len(set(at)) == 201, "trio had its turn between all of them"


@pytest.mark.parametrize("ends", ["not to be packed", "too late"])
async def test_a_breakers_permit_comes_back_when_an_emission_ends_otherwise(autojump_clock, ends):
    async def emit(context):
        async def children():
            yield 1
            yield object() if ends == "not to be packed" else 2

        return AdapterResult(emitted=children())

    async def leaf(context):
        await trio.sleep(10 if ends == "too late" else 0)

    gc.collect()
    gc.disable()
    try:
        async with running(
            """
routes:
  r:
    inbound: {concurrency: 1}
    adapters: [{type: emit, circuit_breaker: {minimum_calls: 99}}, {type: leaf}]
    error_handling: {deadline_seconds: 5}
""",
            adapters={"emit": emit, "leaf": leaf},
            seams=seams_on_trio_time(),
        ) as execution:
            await execution.publish("r", 1)
            await execution.complete()
            assert execution.circuits()["r/emit"].totals.in_flight == 0
    finally:
        gc.enable()


async def test_what_a_stage_behind_a_breaker_returns_is_judged_as_any(autojump_clock):
    async def bad(context):
        return {"x": 1}

    async with running(
        "routes: {r: {adapters: [{type: bad, circuit_breaker: {minimum_calls: 9}}]}}", adapters={"bad": bad}
    ) as execution:
        await execution.publish("r", 1)
        report = await execution.complete()
    [failure] = report.failures
    assert failure.error_type == "TypeError"
    assert failure.error.startswith("process() returned dict; expected AdapterResult or None")


async def test_a_close_that_makes_an_error_of_its_cancellation_is_no_outcome(autojump_clock):
    class Source:
        def __init__(self):
            self.left = 2

        def __aiter__(self):
            return self

        async def __anext__(self):
            if not self.left:
                raise StopAsyncIteration
            self.left -= 1
            return self.left

        async def aclose(self):
            try:
                await trio.sleep(1)
            except trio.Cancelled:
                raise ValueError("could not close") from None

    async def emit(context):
        return AdapterResult(emitted=Source())

    async with running("routes: {r: {adapters: [{type: emit}]}}", adapters={"emit": emit}) as execution:
        await execution.publish("r", 1)
        await trio.sleep(0.5)
        report = await execution.cancel()
    assert report.routes["r"].failed == 0
    assert [held.stage for held in report.held] == ["emit"]
    assert report.routes["r"].waiting == 1


async def test_what_is_due_again_goes_before_what_waits_in_the_queue(autojump_clock):
    tried = []

    async def work(context):
        if context.message == 0:
            tried.append(trio.current_time() - start)
            if len(tried) == 1:
                raise OSError
        await trio.sleep(10)

    async with running(
        "routes: {r: {inbound: {concurrency: 1}, adapters: [{type: work}], "
        "error_handling: {max_retries: 2, retry_delay_seconds: 1, jitter: none}}}",
        adapters={"work": work},
        seconds=1e6,
    ) as execution:
        start = trio.current_time()
        await execution.publish_batch("r", list(range(100)))
        await execution.complete()
    assert tried == [0, pytest.approx(10, abs=0.1)]


@pytest.mark.parametrize("concurrency", [1, 2])
async def test_a_driver_that_lets_a_letter_go_ahead_is_not_woken_while_it_runs(
    autojump_clock, monkeypatch, concurrency
):
    """A child's letter goes to the route's own queue, which is full: it is posted because its driver cannot go on."""
    reschedule = trio.lowlevel.reschedule
    woken = 0

    def checked(task, *outcome):
        nonlocal woken
        assert task is not trio.lowlevel.current_task(), "woken while it runs"
        woken += 1
        reschedule(task, *outcome)

    monkeypatch.setattr(trio.lowlevel, "reschedule", checked)

    async def emit(context):
        if context.message != "parent":
            return AdapterResult.forward()
        return AdapterResult(emitted=iter(["bad", "good", "bad"]))

    async def judge(context):
        if context.message == "bad" and "dead_letter" not in context.headers:
            raise Reject("no")
        return AdapterResult.forward()

    async with running(
        f"""
routes:
  r:
    inbound: {{queue: /queue/r, capacity: 1, concurrency: {concurrency}}}
    error_handling: {{dead_letter_queue: /queue/r}}
    adapters: [{{type: emit}}, {{type: judge}}]
""",
        adapters={"emit": emit, "judge": judge},
    ) as execution:
        execution.pause("r")
        for _ in range(3):
            execution.publish_nowait("r", "parent")
            execution.resume("r")
            await trio.testing.wait_all_tasks_blocked()
            execution.pause("r")
        execution.resume("r")
        report = await execution.complete()
    assert woken
    assert report.status == "completed"
    assert_counters_balance(report)
    assert report.routes["r"].dead_lettered == 6


@pytest.mark.parametrize("seed", range(6))
def test_a_driver_that_is_woken_for_nothing_holds_up_no_message_that_had_a_permit_and_room(seed):
    """Until it has looked, it has the last room of a queue that is not full; seeds differ in who looks first."""
    attempts = []

    async def spread(context):
        return AdapterResult(emitted=iter([10, 1000, 2000, 1]))

    async def defer(context):
        attempts.append(context.message)
        if attempts.count(context.message) == 1:
            raise RetryLater(context.message)
        return AdapterResult.forward()

    async def main(simulation):
        async with running(
            """
processor: {stall_seconds: 86400}
routes:
  r:
    inbound: {capacity: 1, concurrency: 2}
    adapters: [{type: spread}, {type: defer}]
    outbound: [{route: next}]
  next: {inbound: {capacity: 2, concurrency: 1}, adapters: [{type: forward}]}
""",
            adapters={"spread": spread, "defer": defer},
            seams=simulation.seams,
            seconds=5000,
        ) as execution:
            execution.pause("next")
            await execution.publish("r", "all")
            await trio.sleep(5)
            assert execution.statistics().routes["r"].retrying == 3, "more than places: the driver has to wait"
            execution.publish_nowait("next", "in the way")
            await trio.sleep(10)
            assert attempts.count(10) == 2
            assert execution.statistics().routes["r"].retrying == 2, "the driver has no place yet"
            execution.resume("next")
            return await execution.complete()

    report = in_virtual_time(main, seed=seed)
    assert_counters_balance(report)
    assert report.routes["next"].received == 5
