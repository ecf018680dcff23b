"""`error_handling.timeout_seconds`: what one attempt may take through a whole route."""

import pytest
import trio

from factflow_protocols import AdapterResult
from support.clocks import seams_on_trio_time
from support.pipelines import assert_books_balance, run

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
    assert_books_balance(report)
    if not through:
        [failure] = report.failures
        assert failure.error_type == "RouteTimeoutError"
        assert "route 'r' within its timeout_seconds: 1" in failure.error
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
