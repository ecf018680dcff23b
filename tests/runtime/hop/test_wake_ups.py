"""What messages cost the scheduler: a busy pool is hardly woken, a suspended adapter costs its own resume and one more.

Seen through trio's instruments, for every task that is not the test's own.
"""

import pytest
import trio
import trio.testing

from factflow_protocols import AdapterResult
from support.floods import EngineSteps, WorkClock
from support.pipelines import running

MESSAGES = 500


def chain(length, kind, concurrency=8):
    lines = ["routes:"]
    for position in range(length):
        outbound = f", outbound: [{{route: r{position + 1}}}]" if position + 1 < length else ""
        lines.append(
            f"  r{position}: {{inbound: {{concurrency: {concurrency}, capacity: 1000}}, "
            f"adapters: [{{type: {kind}}}]{outbound}}}"
        )
    return "\n".join(lines)


def suspending(times):
    async def suspend(context):
        for _ in range(times):
            await trio.lowlevel.checkpoint()
        return AdapterResult.forward()

    return suspend


async def flooded(text, publish, **adapters):
    """Publish with the clock standing still, let everything settle, and return what trio saw."""
    async with running(text, adapters=adapters, seams=WorkClock().seams) as execution:
        await execution.publish("r0", -1)  # workers that are started once and for all
        await trio.testing.wait_all_tasks_blocked()
        with EngineSteps() as engine:
            await publish(execution)
            await trio.testing.wait_all_tasks_blocked()
        report = await execution.complete()
    assert all(route.completed == MESSAGES + 1 for route in report.routes.values())
    return engine


async def in_one_go(execution):
    for number in range(MESSAGES):
        execution.publish_nowait("r0", number)


async def one_at_a_time(execution):
    for number in range(MESSAGES):
        execution.publish_nowait("r0", number)
        await trio.testing.wait_all_tasks_blocked()


@pytest.mark.parametrize("length", [1, 3, 8])
async def test_a_flood_through_adapters_that_never_suspend_costs_a_handful_of_steps(length):
    engine = await flooded(chain(length, "forward"), in_one_go)
    assert engine.steps <= 8 * length + 8


@pytest.mark.parametrize("length", [1, 3, 8])
async def test_a_lonely_message_costs_one_wake_up_and_a_backup_for_each_hop_at_most(length):
    engine = await flooded(chain(length, "forward"), one_at_a_time)
    assert MESSAGES <= engine.scheduled <= MESSAGES * (1 + length)


@pytest.mark.parametrize("length", [1, 8])
async def test_whatever_is_published_one_worker_is_woken_for_it(length):
    """At most one wake-up is under way: many messages for many routes, and still one task made ready."""
    async with running(
        "routes: {" + ", ".join(f"r{position}: {{adapters: [{{type: forward}}]}}" for position in range(length)) + "}",
        seams=WorkClock().seams,
    ) as execution:
        for position in range(length):
            await execution.publish(f"r{position}", 0)
            await trio.testing.wait_all_tasks_blocked()
        with EngineSteps() as engine:
            for number in range(MESSAGES):
                execution.publish_nowait(f"r{number % length}", number)
            assert engine.scheduled == engine.most_pending == 1
        await execution.complete()


@pytest.mark.parametrize("concurrency", [1, 8])
@pytest.mark.parametrize("times", [1, 3])
@pytest.mark.parametrize("length", [1, 4])
async def test_an_adapter_that_suspends_costs_its_resumes_and_one_wake_up(length, times, concurrency):
    engine = await flooded(chain(length, "suspend", concurrency), in_one_go, suspend=suspending(times))
    visits = MESSAGES * length
    assert visits * times <= engine.scheduled <= visits * (times + 1) + 100


async def test_workers_do_not_outnumber_the_permits():
    engine = await flooded(chain(2, "suspend", 3), in_one_go, suspend=suspending(1))
    assert engine.most_pending <= 2 * 3


async def test_resuming_every_route_wakes_one_worker():
    names = [f"r{position}" for position in range(10)]
    async with running(
        "routes: {" + ", ".join(f"{name}: {{adapters: [{{type: forward}}]}}" for name in names) + "}",
        seams=WorkClock().seams,
    ) as execution:
        execution.pause()
        for name in names:
            execution.publish_nowait(name, 1)
        await trio.testing.wait_all_tasks_blocked()
        with EngineSteps() as engine:
            execution.resume()
            assert engine.scheduled == 1
        await execution.complete()


async def test_nothing_is_woken_while_there_is_nothing_to_do(autojump_clock):
    async with running(chain(3, "forward"), seconds=10_000) as execution:
        for number in range(10):
            await execution.publish("r0", number)
        await trio.sleep(600)  # the watchdog has seen messages, and looks whether they go on
        with EngineSteps() as engine:
            await trio.sleep(3600)
            assert engine.scheduled == 0
        await execution.complete()


async def test_a_publish_in_a_thread_without_trio_raises_and_stops_nothing():
    """The worker that it took for woken was never woken, and no later message was carried."""
    async with running("routes: {r: {adapters: [{type: forward}]}}") as execution:
        await execution.publish("r", 0)
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(RuntimeError, match="async context"):
            await trio.to_thread.run_sync(execution.publish_nowait, "r", 1)
        await execution.publish("r", 2)
        assert (await execution.complete()).routes["r"].completed == 3, "what was accepted before it raised, too"


async def test_a_first_publish_in_a_thread_without_trio_stops_nothing():
    async with running("routes: {r: {adapters: [{type: forward}]}}") as execution:
        with pytest.raises(RuntimeError, match="async context"):
            await trio.to_thread.run_sync(execution.publish_nowait, "r", 1)
        await execution.publish("r", 2)
        assert (await execution.complete()).routes["r"].completed == 2
