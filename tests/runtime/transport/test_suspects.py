"""What a process held when it died is handed out by itself, so that `max_deliveries` gives up what kills and nothing else."""

import pytest
import trio

from factflow_engine.runtime.execution.manager import OrchestratorManager
from factflow_protocols import AdapterResult, Nack
from support.clocks import seams_on_trio_time
from support.deaths import mortal
from support.internals import store_of, threads_of
from support.pipelines import load, registry_of
from support.sqlite_queues import message, simulated, values

QUEUE = "/queue/q"

HELD_BY_ONE = """
routes:
  a:
    inbound: {concurrency: 10, prefetch: 60}
    adapters: [{type: work}]
    error_handling: {max_deliveries: 3, dead_letter_queue: /queue/dead}
  b:
    inbound: {concurrency: 10, prefetch: 60}
    adapters: [{type: work}]
    error_handling: {max_deliveries: 3, dead_letter_queue: /queue/dead}
"""


@pytest.mark.parametrize("neighbours", ["a", "b"])
@pytest.mark.parametrize("poisons", [1, 3])
async def test_only_what_kills_its_process_is_given_up(autojump_clock, tmp_path, neighbours, poisons):
    threads = []
    done = set()

    async def work(context):
        if context.message < poisons:
            await trio.sleep(0.05)
            threads[-1].works = 0  # the process dies of it: nothing that it does reaches the file
            await trio.sleep_forever()
        await trio.sleep(0.1)
        done.add(context.message)
        return AdapterResult.forward()

    registry = registry_of(work=work)
    config = load(registry, HELD_BY_ONE)
    deaths = 0
    for life in range(40):
        queue = mortal(tmp_path / "q.db", seed=life)
        threads.append(threads_of(queue))
        async with OrchestratorManager(registry=registry, queue=queue, seams=seams_on_trio_time()) as manager:
            execution = await manager.start(config, execution_id="x")
            if not life:
                await execution.publish_batch("a", list(range(poisons)))
                await execution.publish_batch(neighbours, list(range(100, 150)))
            report = await execution.complete()
        store_of(queue).close()
        if report.status == "completed":
            break
        deaths += 1
    assert report.status == "completed"
    assert deaths <= 3 * poisons
    letters = mortal(tmp_path / "q.db")
    found = [stored async for stored in letters.administration.browse("exec:x:/queue/dead")]
    await letters.stop()
    assert len(found) == poisons
    assert done == set(range(100, 150))


async def test_a_suspect_comes_by_itself_and_nothing_beside_it(autojump_clock, tmp_path):
    path = tmp_path / "q.db"
    first = simulated(path)
    queue = simulated(path)
    async with first.subscribe(QUEUE, "s", 10) as lost:
        await first.publish_batch(QUEUE, [message(number) for number in range(3)])
        await lost.receive(10)
        store_of(first).close()  # its process dies
        await trio.sleep(2)
        await queue.publish_batch(QUEUE, [message(number) for number in range(3, 6)])
        async with queue.subscribe(QUEUE, "s", 10) as subscription:
            subscription.isolate_suspects()
            for number in range(3):
                received = await subscription.receive(10)
                assert values(received) == [number]
                with trio.move_on_after(5):
                    pytest.fail(f"beside a suspect came {values(await subscription.receive(10))}")
                await subscription.settle(received)
            received = await subscription.receive(10)
            assert values(received) == [3, 4, 5]
            await subscription.settle([], [Nack(one) for one in received])
            assert values(await subscription.receive(10)) == [3, 4, 5], "what was given back is no suspect"
        with pytest.raises(Exception, match="was stopped"):
            await lost.receive(1)
        first._stopped = True
    await queue.stop()


async def test_a_suspect_waits_until_what_the_consumer_has_is_settled(autojump_clock, tmp_path):
    path = tmp_path / "q.db"
    queue, other = simulated(path), simulated(path)
    async with queue.subscribe(QUEUE, "s", 10) as subscription:
        subscription.isolate_suspects()
        async with other.subscribe(QUEUE, "s", 1) as lost:
            await other.publish_batch(QUEUE, [message(number) for number in range(2)])
            await lost.receive(1)
            held = await subscription.receive(10)
            assert values(held) == [1]
            store_of(other).close()
            other._stopped = True
            await trio.sleep(2)
            with trio.move_on_after(5):
                pytest.fail(f"got {values(await subscription.receive(10))}")
            async with trio.open_nursery() as nursery:

                async def settle_later():
                    await trio.sleep(1)
                    await subscription.settle(held)

                nursery.start_soon(settle_later)
                with trio.fail_after(3):
                    assert values(await subscription.receive(10)) == [0]
    await queue.stop()


async def test_without_isolation_what_a_dead_consumer_had_comes_in_one_batch(autojump_clock, tmp_path):
    path = tmp_path / "q.db"
    queue, other = simulated(path), simulated(path)
    async with other.subscribe(QUEUE, "s", 10) as lost:
        await other.publish_batch(QUEUE, [message(number) for number in range(5)])
        await lost.receive(10)
        store_of(other).close()
        other._stopped = True
    await trio.sleep(2)
    async with queue.subscribe(QUEUE, "s", 10) as subscription:
        assert values(await subscription.receive(10)) == list(range(5))
    await queue.stop()
