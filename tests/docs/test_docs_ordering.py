"""The page "Order": promises that stand beside its program, which `tests/test_docs.py` runs."""

import pytest
import trio

from factflow_engine.runtime.execution.manager import OrchestratorManager
from factflow_protocols import AdapterResult
from support.clocks import seams_on_trio_time
from support.deaths import mortal
from support.internals import store_of, threads_of
from support.pipelines import load, registry_of, running

ONE = "routes: {r: {inbound: {concurrency: 1, prefetch: 3}, adapters: [{type: work}]}}"
LEASE_SECONDS = 30.0


class Seen:
    """Numbers of the messages that were handled, in order; each takes a second."""

    def __init__(self):
        self.numbers = []

    async def work(self, context):
        await trio.sleep(1)
        self.numbers.append(context.message)
        return AdapterResult.forward()


@pytest.mark.parametrize("ordering", ["none", "key"])
async def test_what_the_last_stage_emits_is_in_the_next_queue_as_it_was_emitted(autojump_clock, ordering):
    async def emit(context):
        return AdapterResult(emitted=range(20))

    seen = Seen()
    text = (
        "routes: {r: {adapters: [{type: emit}], outbound: [{route: s}]}, "
        f"s: {{inbound: {{concurrency: 1, ordering: {ordering}}}, adapters: [{{type: work}}]}}}}"
    )
    async with running(text, adapters={"emit": emit, "work": seen.work}, seconds=1000) as execution:
        await execution.publish("r", None, key="a")
        await execution.complete()
    assert seen.numbers == list(range(20))


async def test_what_a_message_emits_goes_through_later_stages_in_parallel_whatever_the_ordering(autojump_clock):
    inside = most = 0

    async def emit(context):
        return AdapterResult(emitted=range(4))

    async def work(context):
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        await trio.sleep(1)
        inside -= 1

    text = "routes: {r: {inbound: {concurrency: 4, ordering: key}, adapters: [{type: emit}, {type: work}]}}"
    async with running(text, adapters={"emit": emit, "work": work}) as execution:
        await execution.publish("r", None, key="a")
        await execution.complete()
    assert most > 1


async def test_a_batch_is_taken_in_the_order_of_its_list(autojump_clock):
    seen = Seen()
    async with running(ONE, adapters={"work": seen.work}, seconds=1000) as execution:
        await execution.publish_batch("r", list(range(20)))
        await execution.complete()
    assert seen.numbers == list(range(20))


class Lives:
    """Processes of one execution on a file, as far as the file can tell."""

    def __init__(self, path, seen, text=ONE):
        self.path = path
        self.registry = registry_of(work=seen.work)
        self.config = load(self.registry, text)

    async def live(self, use):
        queue = mortal(self.path, lease_seconds=LEASE_SECONDS)
        async with OrchestratorManager(registry=self.registry, queue=queue, seams=seams_on_trio_time()) as manager:
            await use(queue, await manager.start(self.config, execution_id="x"))


@pytest.mark.parametrize("end", ["drain", "cancel"])
async def test_what_a_drain_or_a_cancellation_gives_back_is_taken_first(autojump_clock, tmp_path, end):
    seen = Seen()
    lives = Lives(tmp_path / "q.db", seen)

    async def begin(queue, execution):
        await execution.publish_batch("r", list(range(8)))
        await trio.sleep(2.5)
        await (execution.drain(0) if end == "drain" else execution.cancel())

    async def finish(queue, execution):
        await execution.complete()

    await lives.live(begin)
    assert seen.numbers == [0, 1]
    await lives.live(finish)
    assert seen.numbers == list(range(8))


async def test_what_a_dead_process_had_in_hand_comes_after_what_is_taken_meanwhile(autojump_clock, tmp_path):
    seen = Seen()
    lives = Lives(tmp_path / "q.db", seen)

    async def die(queue, execution):
        await execution.publish_batch("r", list(range(8)))
        await trio.sleep(0.5)
        threads_of(queue).works = 0  # the process dies: from now on nothing reaches the file
        await execution.cancel()
        store_of(queue).close()

    async def finish(queue, execution):
        await execution.complete()

    await lives.live(die)
    await lives.live(finish)
    assert seen.numbers == [3, 4, 5, 6, 7, 0, 1, 2]
