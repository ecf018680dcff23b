"""`error_handling.timeout_seconds`: what one attempt may take through a whole route."""

import pytest
import trio

from factflow_protocols import AdapterResult
from support.clocks import seams_on_trio_time
from support.pipelines import assert_counters_balance, run, running

TWO_STAGES = """
routes:
  r:
    adapters: [{type: first}, {type: second}]
    error_handling: {timeout_seconds: 1, max_retries: %d, retry_delay_seconds: 5, jitter: none}
"""


@pytest.mark.parametrize(("first", "second", "through"), [(0.4, 0.4, True), (0.6, 0.6, False), (2, 0, False)])
async def test_all_stages_of_an_attempt_share_it(autojump_clock, first, second, through):
    def waits(seconds):
        async def wait(context):
            await trio.sleep(seconds)
            return AdapterResult(message={"seen": context.message})

        return wait

    report = await run(
        TWO_STAGES % 0,
        adapters={"first": waits(first), "second": waits(second)},
        publish=[("r", 1)],
        seams=seams_on_trio_time(),
    )
    assert report.routes["r"].completed == through
    assert_counters_balance(report)
    if not through:
        [failure] = report.failures
        assert failure.error_type == "RouteTimeoutError"
        assert failure.error == (
            "the attempt was not through route 'r' within error_handling.timeout_seconds: 1; "
            f"it was at stage {failure.stage!r}"
        )
        assert failure.stage == ("second" if first < 1 else "first")


async def test_each_attempt_has_all_of_it_and_waiting_takes_none(autojump_clock):
    attempts = []

    async def first(context):
        attempts.append(context.attempt)
        await trio.sleep(0.9)
        if context.attempt < 3:
            raise OSError
        return AdapterResult.forward()

    async def second(context):
        return AdapterResult.forward()

    report = await run(
        TWO_STAGES % 3,
        adapters={"first": first, "second": second},
        publish=[("r", 1)],
        seams=seams_on_trio_time(),
    )
    assert attempts == [1, 2, 3]
    assert report.routes["r"].completed == 1


async def test_a_message_behind_a_slow_one_and_an_emitted_one_have_their_own(autojump_clock):
    async def first(context):
        await trio.sleep(0.7)
        return AdapterResult(emitted=[1, 2, 3])

    async def second(context):
        await trio.sleep(0.7)
        return AdapterResult.forward()

    report = await run(
        TWO_STAGES.replace("{adapters", "{inbound: {concurrency: 1}, adapters") % 0,
        adapters={"first": first, "second": second},
        publish=[("r", 1), ("r", 2)],
        seams=seams_on_trio_time(),
    )
    assert report.routes["r"].completed == 8


async def test_one_that_ran_out_is_tried_again_and_its_dead_letter_says_where_it_was(autojump_clock):
    times = []

    async def first(context):
        return AdapterResult(message={"seen": context.message})

    async def second(context):
        times.append(trio.current_time())
        await trio.sleep(9)

    async with (
        running(
            TWO_STAGES.replace("jitter", "dead_letter_queue: /queue/dead, jitter") % 2,
            adapters={"first": first, "second": second},
            seams=seams_on_trio_time(),
        ) as execution,
        execution.subscribe("/queue/dead") as dead,
    ):
        await execution.publish("r", 1)
        [letter] = await dead.receive(1)
        await dead.settle([letter])
        report = await execution.complete()
    assert times == [0, 1 + 5, 6 + 1 + 10]  # its second each, and the delays
    assert report.routes["r"].dead_lettered == 1
    why = letter.message.headers["dead_letter"]
    assert (why["route"], why["stage"], why["error_type"]) == ("r", "second", "RouteTimeoutError")
    assert why["error"].endswith("it was at stage 'second'")
    assert (why["attempts"], letter.message.value()) == (3, 1)


@pytest.mark.parametrize(("between", "through"), [(0.9, True), (1.1, False)])
async def test_an_emitted_async_iterator_has_it_for_each_message(autojump_clock, between, through):
    closed = []

    async def emit(context):
        async def numbers():
            try:
                for number in range(4):
                    await trio.sleep(between if number == 2 else 0.5)
                    yield number
            finally:
                closed.append(trio.current_time())

        return AdapterResult(emitted=numbers())

    async def second(context):
        return AdapterResult.forward()

    report = await run(
        TWO_STAGES % 1,
        adapters={"first": emit, "second": second},
        publish=[("r", 1)],
        seams=seams_on_trio_time(),
    )
    assert_counters_balance(report)
    route = report.routes["r"]
    if through:
        assert (route.completed, route.failed, len(closed)) == (5, 0, 1)
    else:
        assert (route.completed, route.failed, len(closed)) == (4, 1, 2)
        [failure] = report.failures
        assert (failure.stage, failure.error_type, failure.attempts) == ("first", "SourceTimeoutError", 2)
        assert failure.error == (
            "what stage 'first' of route 'r' emitted gave no next message within error_handling.timeout_seconds: 1"
        )


async def test_an_iterator_that_waits_for_room_spends_nothing(autojump_clock):
    async def emit(context):
        async def numbers():
            for number in range(5):
                yield number

        return AdapterResult(emitted=numbers())

    async def second(context):
        await trio.sleep(0.9)
        return AdapterResult.forward()

    report = await run(
        TWO_STAGES.replace("{adapters", "{inbound: {concurrency: 1}, adapters") % 0,
        adapters={"first": emit, "second": second},
        publish=[("r", 1)],
        seams=seams_on_trio_time(),
    )
    assert report.routes["r"].completed == 6


async def test_a_circuit_breaker_counts_a_stages_own_time_out_and_not_the_routes(autojump_clock):
    async def first(context):
        return AdapterResult.forward()

    async def second(context):
        await trio.sleep_forever()

    counted = []
    for stage in ("type: second", "type: second, timeout_seconds: 0.5"):
        async with running(
            TWO_STAGES.replace("type: second", stage + ", circuit_breaker: {}") % 0,
            adapters={"first": first, "second": second},
            seams=seams_on_trio_time(),
        ) as execution:
            await execution.publish("r", 1)
            await execution.complete()
            counted.append(execution.circuits()["r/second"].totals.failed)
    assert counted == [0, 1]
