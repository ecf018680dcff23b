"""Drivers of emitted iterators: they make no more wait than a queue may hold, and nobody starves beside them."""

import pytest
import trio

from factflow_protocols import AdapterResult, Reject, RetryLater
from support.clocks import seams_on_trio_time
from support.pipelines import assert_books_balance, running


@pytest.mark.parametrize("error", [OSError(), RetryLater(3600), Reject("into a full dead-letter queue")])
@pytest.mark.parametrize("concurrency", [1, 2, 5])
async def test_no_more_children_wait_than_the_inbox_may_hold(autojump_clock, error, concurrency):
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
        assert_books_balance(execution.statistics())
        await execution.cancel()


async def test_children_get_their_turn_though_drivers_hold_every_permit(autojump_clock):
    seen = {parent: [] for parent in range(4)}

    async def tail(context):
        async def lines():
            number = 0
            while True:
                yield {"parent": context.message, "number": number}
                number += 1
                await trio.sleep(1)

        return AdapterResult(emitted=lines())

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

    async def tail(context):
        async def lines():
            number = 0
            while True:
                yield {"parent": context.message, "number": number}
                number += 1
                await trio.sleep(1)

        return AdapterResult(emitted=lines())

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
        report = await execution.wait()
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
        report = await execution.wait()
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
        report = await execution.wait()
    [failure] = report.failures
    assert failure.error_type == "EmissionCloseTimeoutError"
    assert "orchestrator.close_seconds: 3" in failure.error
