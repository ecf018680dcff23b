"""Adapters whose keeping methods hang, raise, or leave things open: one error that names the stage, nothing acknowledged."""

import pytest
import trio

from factflow_engine.errors import ExecutionStartError
from factflow_protocols import AdapterResult, StatefulAdapter
from support.stored_states import World

TEXT = """
processor: {snapshot_seconds: 0.05, flush_seconds: 3}
routes:
  r: {inbound: {concurrency: 2, prefetch: 4}, adapters: [{type: hostile}]}
"""


class Hostile(StatefulAdapter):
    """Keeps a number; its keeping methods do what a test wants."""

    async def process(self, context):
        return AdapterResult.forward()

    def snapshot(self):
        return 1

    def restore(self, state):
        pass


async def failed(tmp_path, hostile, ending="complete"):
    """What the report says of an execution whose stage is hostile, and how long its end took."""
    world = World(tmp_path / "q.db", TEXT, hostile=hostile)
    with trio.fail_after(60):
        async with world.life() as life:
            await life.execution.publish_batch("r", [{"n": number} for number in range(20)])
            if ending == "complete":
                report = await life.execution.complete()
            else:
                await trio.sleep(0.01)
                start = trio.current_time()
                report = await (life.execution.cancel() if ending == "cancel" else life.execution.drain(1))
                assert trio.current_time() - start < 20
            statistics = await life.queue.administration.statistics()
    [line] = [line for line in statistics.lines if line.queue.endswith("/r")]
    assert line.waiting + line.delayed + line.leased == 20, "nothing was acknowledged"
    return report


def names(report):
    text = " ".join([report.error or "", *report.close_errors])
    assert "route 'r', stage 'hostile'" in text, text
    return text


@pytest.mark.parametrize("ending", ["complete", "cancel", "drain"])
async def test_a_flush_that_hangs_is_bounded_and_named(autojump_clock, tmp_path, ending):
    class Hangs(StatefulAdapter):
        durable_batches = True

        async def process(self, context):
            return AdapterResult.forward()

        async def flush(self):
            await trio.sleep_forever()

    report = await failed(tmp_path, Hangs, ending)
    assert "flush() failed" in names(report)
    assert ("within 2 s of the end" if ending == "cancel" else "flush_seconds") in names(report)


@pytest.mark.parametrize(
    "raised", [OSError("no"), SystemExit(3), KeyboardInterrupt(), BaseException("odd"), trio.TooSlowError()]
)
async def test_a_flush_that_raises_anything_is_named(autojump_clock, tmp_path, raised):
    class Raises(StatefulAdapter):
        durable_batches = True

        async def process(self, context):
            return AdapterResult.forward()

        async def flush(self):
            raise raised

    report = await failed(tmp_path, Raises)
    assert report.status == "failed"
    assert "flush() failed" in names(report)


@pytest.mark.parametrize("what", ["nursery", "scope"])
async def test_a_flush_that_leaves_something_open_is_named(autojump_clock, tmp_path, what):
    class Leaves(StatefulAdapter):
        durable_batches = True

        async def process(self, context):
            return AdapterResult.forward()

        async def flush(self):
            if what == "nursery":
                self.nursery = trio.open_nursery()
                inner = await self.nursery.__aenter__()
                inner.start_soon(trio.sleep_forever)
            else:
                self.scope = trio.CancelScope()
                self.scope.__enter__()

    report = await failed(tmp_path, Leaves)
    assert report.status == "failed"
    assert "flush() failed" in names(report)


@pytest.mark.parametrize(
    "value",
    [{1, 2}, object(), 1 << 70, {1: 2}, float, b"x" * 100_000_000, [[]]],
    ids=lambda value: type(value).__name__,
)
async def test_a_snapshot_that_cannot_be_stored_is_named(autojump_clock, tmp_path, value):
    class Snaps(Hostile):
        def snapshot(self):
            return value

    if value == [[]]:
        nested = value
        for _ in range(5000):
            nested = [nested]
        value = nested
    report = await failed(tmp_path, Snaps)
    assert report.status == "failed"
    assert "snapshot() failed" in names(report)


@pytest.mark.parametrize("raised", [OSError("no"), SystemExit(3), KeyboardInterrupt(), BaseException("odd")])
async def test_a_snapshot_that_raises_anything_is_named(autojump_clock, tmp_path, raised):
    class Snaps(Hostile):
        def snapshot(self):
            raise raised

    report = await failed(tmp_path, Snaps)
    assert report.status == "failed"
    assert "snapshot() failed" in names(report)


@pytest.mark.parametrize("raised", [OSError("no"), SystemExit(3), BaseException("odd")])
@pytest.mark.parametrize("when", ["start", "end"])
async def test_a_restore_that_raises_anything_is_named_and_what_it_was_given_stays(
    autojump_clock, tmp_path, raised, when
):
    broken = True

    class Restores(Hostile):
        def __init__(self):
            self.count = 0

        async def process(self, context):
            await trio.sleep(0.1)
            self.count += 1
            return AdapterResult.forward()

        def snapshot(self):
            return self.count

        def restore(self, state):
            if broken:
                raise raised
            self.count += state

        async def finish(self):
            world.said.append(self.count)

    world = World(tmp_path / "q.db", TEXT, hostile=Restores)
    with trio.fail_after(60):
        async with world.life() as life:
            await life.execution.publish_batch("r", [{"n": number} for number in range(20)])
            if when == "start":
                await trio.sleep(0.5)
                await life.execution.drain(0)
                with pytest.raises(ExecutionStartError, match="'r', stage 'hostile'"):
                    async with world.life():
                        pass
            else:
                async with world.life() as other:
                    await trio.sleep(0.5)
                    await other.execution.drain(0)
                report = await life.execution.complete()
                assert report.status == "failed"
                assert "restore()" in names(report)
    broken = False
    assert (await world.complete()).status == "completed"
    assert world.said == [20]
