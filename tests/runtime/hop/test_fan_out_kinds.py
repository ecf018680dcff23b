"""Emitted children: lists, iterators, async iterators, from async and synchronous adapters."""

import pytest
import trio

from factflow_protocols import AdapterResult
from support.pipelines import Recorder, adapter, assert_counters_balance, run, running
from support.stages import endless


def kinds():
    async def listed(context):
        return AdapterResult(emitted=list(range(context.message)))

    async def lazily(context):
        return AdapterResult(emitted=iter(range(context.message)))

    async def asynchronously(context):
        async def numbers():
            for number in range(context.message):
                await trio.lowlevel.checkpoint()
                yield number

        return AdapterResult(emitted=numbers())

    def in_thread(context):
        return AdapterResult(emitted=(number for number in range(context.message)))

    return {"listed": listed, "lazily": lazily, "asynchronously": asynchronously, "in_thread": in_thread}


@pytest.mark.parametrize("kind", kinds())
@pytest.mark.parametrize("concurrency", [1, 4])
@pytest.mark.parametrize("capacity", [1, 1000])
async def test_each_element_goes_on_as_a_child(kind, concurrency, capacity):
    seen = Recorder()
    report = await run(
        f"""
routes:
  split:
    inbound: {{concurrency: {concurrency}}}
    adapters: [{{type: emit}}, {{type: forward}}]
    outbound: [{{route: sink}}]
  sink:
    inbound: {{capacity: {capacity}}}
    adapters: [{{type: seen}}]
""",
        adapters={"emit": kinds()[kind], "seen": seen.adapter()},
        publish=[("split", 300)],
    )
    assert sorted(seen.seen) == list(range(300))
    if concurrency == 1:
        assert seen.seen == list(range(300))
    assert report.routes["split"].completed == 301, "the parent and its children"
    assert report.routes["sink"].completed == 300
    assert_counters_balance(report)


async def test_emitting_nothing_completes_the_parent():
    async def nothing(context):
        return AdapterResult(emitted=[])

    report = await run("routes: {r: {adapters: [{type: nothing}]}}", adapters={"nothing": nothing}, publish=[("r", 1)])
    assert report.outcomes["completed"] == 1


async def test_children_may_emit_again():
    async def spread(context):
        return AdapterResult(emitted=[[*context.message, n] for n in range(3)])

    seen = Recorder()
    report = await run(
        "routes: {r: {adapters: [{type: spread}, {type: spread, name: more}, {type: seen}]}}",
        adapters={"spread": spread, "seen": seen.adapter()},
        publish=[("r", [])],
    )
    assert sorted(seen.seen) == [[a, b] for a in range(3) for b in range(3)]
    assert report.routes["r"].received == 1 + 3 + 9
    assert_counters_balance(report)


async def test_children_run_in_parallel_up_to_the_limit(autojump_clock):
    async def spread(context):
        return AdapterResult(emitted=range(20))

    slow = Recorder(seconds=1)
    start = trio.current_time()
    await run(
        "routes: {r: {inbound: {concurrency: 5}, adapters: [{type: spread}, {type: slow}]}}",
        adapters={"spread": spread, "slow": slow.adapter()},
        publish=[("r", 0)],
    )
    assert slow.most == 5
    assert trio.current_time() - start == pytest.approx(4, abs=0.1)


async def test_a_source_is_pulled_no_faster_than_the_route_carries(autojump_clock):
    pulled = []
    gate = trio.Event()

    async def stuck(context):
        await gate.wait()

    async with running(
        """
routes:
  r: {inbound: {concurrency: 1}, adapters: [{type: endless}], outbound: [{route: sink}]}
  sink: {inbound: {concurrency: 2, capacity: 7}, adapters: [{type: stuck}]}
""",
        adapters={"endless": endless(pulled), "stuck": stuck},
    ) as execution:
        await execution.publish("r", None)
        await trio.testing.wait_all_tasks_blocked()
        assert len(pulled) == 2 + 7, "what the sink holds, and what its queue holds"
        await execution.cancel()


async def test_children_derive_the_same_ids_each_time():
    ids = []

    async def spread(context):
        return AdapterResult(emitted=[1, 1, 1])

    async def look(context):
        ids.append((context.message_id, context.parent_id))

    text = "routes: {r: {adapters: [{type: spread}, {type: look}]}}"
    await run(text, adapters={"spread": spread, "look": look}, publish=[("r", 0)])
    assert len({message_id for message_id, _ in ids}) == 3
    assert len({parent for _, parent in ids}) == 1


@pytest.mark.parametrize("kind", ["async", "thread", "inline"])
async def test_a_source_that_raises_fails_the_parent_and_the_children_before_it_stand(kind):
    def numbers():
        yield 1
        yield 2
        raise OSError("the disk is gone")

    async def async_numbers():
        for number in (1, 2):
            yield number
        raise OSError("the disk is gone")

    async def emit(context):
        return AdapterResult(emitted=async_numbers() if kind == "async" else numbers())

    def emit_in_thread(context):
        return AdapterResult(emitted=numbers())

    seen = Recorder()
    report = await run(
        "routes: {r: {adapters: [{type: emit}, {type: seen}]}}",
        adapters={"emit": emit_in_thread if kind == "thread" else emit, "seen": seen.adapter()},
        publish=[("r", 0)],
    )
    assert sorted(seen.seen) == [1, 2]
    assert (report.outcomes["completed"], report.outcomes["failed"]) == (2, 1)
    [failure] = report.failures
    assert (failure.stage, failure.error) == ("emit", "the disk is gone")


async def test_a_failing_child_fails_alone():
    async def spread(context):
        return AdapterResult(emitted=range(5))

    async def picky(context):
        if context.message == 3:
            raise ValueError("not three")

    report = await run(
        "routes: {r: {adapters: [{type: spread}, {type: picky}]}}",
        adapters={"spread": spread, "picky": picky},
        publish=[("r", 0)],
    )
    assert report.outcomes == {"completed": 1, "filtered": 4, "dead_lettered": 0, "failed": 1}


@pytest.mark.parametrize("kind", ["async", "thread", "inline"])
async def test_a_source_is_closed_when_its_message_is_cancelled(kind, autojump_clock):
    closed = []

    def numbers():
        try:
            while True:
                yield 1
        finally:
            closed.append("sync")

    async def async_numbers():
        try:
            while True:
                await trio.sleep(0)
                yield 1
        finally:
            closed.append("async")

    async def emit(context):
        return AdapterResult(emitted=async_numbers() if kind == "async" else numbers())

    def emit_in_thread(context):
        return AdapterResult(emitted=numbers())

    async def stuck(context):
        await trio.sleep_forever()

    from factflow_engine.testing import Simulation

    async with running(
        "routes: {r: {adapters: [{type: emit}, {type: stuck}]}}",
        adapters={"emit": emit_in_thread if kind == "thread" else emit, "stuck": stuck},
        seams=Simulation(1).seams,
    ) as execution:
        await execution.publish("r", 0)
        await trio.sleep(1)
        report = await execution.cancel()
    assert len(closed) == 1
    assert report.routes["r"].waiting == 1, "the parent is back in its queue"
    assert report.routes["r"].in_flight == 0
    assert report.routes["r"].received == 0
    assert_counters_balance(report)


async def test_what_a_source_raises_while_closing_fails_its_parent():
    class Source:
        def __iter__(self):
            return self

        def __next__(self):
            raise StopIteration

        def close(self):
            raise OSError("close failed")

    async def emit(context):
        return AdapterResult(emitted=Source())

    report = await run("routes: {r: {adapters: [{type: emit}]}}", adapters={"emit": adapter(emit)}, publish=[("r", 0)])
    assert report.outcomes["failed"] == 1
    assert report.status == "completed"
