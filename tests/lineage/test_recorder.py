"""What sinks do reaches no message: slow, failing, full, cancelled and dying ones, under a virtual clock."""

import logging
import math

import pytest
import trio
import trio.testing

from factflow_engine.lineage import recorder
from factflow_engine.runtime.execution.manager import OrchestratorManager
from factflow_engine.testing import in_virtual_time
from factflow_protocols import AdapterResult, LineageError
from support.lineage import FailingLineage, KeptLineage, SlowLineage
from support.pipelines import load, registry_of

PIPELINE = """
lineage: {LINEAGE}
routes:
  r:
    inbound: {capacity: 100000}
    adapters: [{type: forward}]
"""


def carried(sink, count, *, lineage="mode: full", spread_seconds=0.0):
    """Run `count` messages; return the report and the virtual seconds that the run took."""
    taken = []

    async def main(simulation):
        registry = registry_of()
        begun = trio.current_time()
        config = load(registry, PIPELINE.replace("LINEAGE", lineage))
        async with OrchestratorManager(registry=registry, seams=simulation.seams, lineage=sink) as manager:
            execution = await manager.start(config)
            for _ in range(10):
                await execution.publish_batch("r", [{"n": 1}] * (count // 10))
                await trio.sleep(spread_seconds / 10)
            report = await execution.complete()
        taken.append(trio.current_time() - begun)
        return report

    return in_virtual_time(main, seed=0), taken[0]


def test_rows_come_within_the_interval():
    sink, seen = KeptLineage(), []

    async def main(simulation):
        registry = registry_of()
        config = load(registry, PIPELINE.replace("LINEAGE", "mode: full"))
        async with OrchestratorManager(registry=registry, seams=simulation.seams, lineage=sink) as manager:
            execution = await manager.start(config)
            await trio.sleep(10)
            await execution.publish("r", 1)
            published = trio.current_time()
            while not sink.outcomes:
                await trio.sleep(0.01)
            seen.append(trio.current_time() - published)
            await execution.complete()

    in_virtual_time(main, seed=0)
    assert seen[0] <= recorder.INTERVAL_SECONDS + 0.02


def test_a_slow_store_delays_nothing_but_the_end_and_that_within_the_budget():
    sink = SlowLineage(100)
    report, seconds = carried(sink, 1000, lineage="finish_seconds: 3", spread_seconds=2)
    assert report.status == "completed"
    assert report.outcomes["completed"] == 1000
    assert 2 <= seconds <= 5.01
    assert report.lineage.recorded == 2000
    assert report.lineage.written == 0
    assert report.lineage.lost == 2000


def test_what_does_not_fit_is_counted_and_nothing_waits(caplog):
    sink = SlowLineage(1)
    with caplog.at_level(logging.WARNING):
        report, _ = carried(sink, 20_000, lineage="buffer_bytes: 65536", spread_seconds=5)
    lineage = report.lineage
    assert report.outcomes["completed"] == 20_000
    assert lineage.recorded == 40_000 == lineage.written + lineage.lost
    assert lineage.written == len(sink.entries) + len(sink.outcomes)
    assert 0 < lineage.written < 20_000
    assert len([record for record in caplog.records if "lineage rows are lost" in record.message]) == 1


def test_a_store_that_was_away_gets_everything_once_it_is_back(caplog):
    sink = FailingLineage(5)
    with caplog.at_level(logging.WARNING):
        report, _ = carried(sink, 1000, lineage="finish_seconds: 60")
    assert report.lineage.written == 2000 == len(sink.entries) + len(sink.outcomes)
    assert (report.lineage.lost, report.lineage.errors) == (0, 5)
    assert report.lineage.last_error == "LineageError: the store is away"
    assert len(caplog.records) == 1


@pytest.mark.parametrize(
    "error", [LineageError("no"), ValueError("bug"), SystemExit(3), ExceptionGroup("several", [OSError("disk full")])]
)
def test_a_store_that_refuses_everything_fails_no_message(error):
    sink = FailingLineage(math.inf, error)
    report, _ = carried(sink, 1000, lineage="finish_seconds: 100")
    assert report.status == "completed"
    assert report.outcomes["completed"] == 1000
    assert report.lineage.lost == 2000
    assert report.lineage.errors == recorder.MOST_ATTEMPTS


def test_a_cancelled_run_still_writes_its_last_rows():
    sink = KeptLineage()

    async def stay(context):
        await trio.sleep_forever()

    async def main(simulation):
        registry = registry_of(stay=stay)
        config = load(registry, PIPELINE.replace("LINEAGE", "mode: full").replace("forward", "stay"))
        with trio.move_on_after(5):
            async with OrchestratorManager(registry=registry, seams=simulation.seams, lineage=sink) as manager:
                execution = await manager.start(config)
                await execution.publish("r", 1)
                await trio.sleep_forever()
        return execution.report

    report = in_virtual_time(main, seed=0)
    assert report.status == "cancelled"
    assert [row.status for row in sink.entries] == ["pending", "cancelled"]
    assert report.lineage.written == 2


def test_a_store_that_is_cancelled_by_itself_counts_as_failed_and_nothing_is_swallowed():
    class Impatient(KeptLineage):
        async def write(self, entries, outcomes):
            with trio.move_on_after(0.5):
                await trio.sleep_forever()
            raise LineageError("took too long")

    report, _ = carried(Impatient(), 10, lineage="finish_seconds: 2")
    assert report.lineage.errors >= 1
    assert report.lineage.lost == 20


def test_secrets_in_a_stores_error_are_not_told(monkeypatch):
    monkeypatch.setenv("DATABASE_PASSWORD", "correct-horse")
    text = "mode: full"
    sink = FailingLineage(1, LineageError("login failed: correct-horse"))

    async def main(simulation):
        registry = registry_of()
        config = load(registry, PIPELINE.replace("LINEAGE", text) + "name: ${DATABASE_PASSWORD}\n")
        async with OrchestratorManager(registry=registry, seams=simulation.seams, lineage=sink) as manager:
            execution = await manager.start(config)
            await execution.publish("r", 1)
            return await execution.complete()

    assert in_virtual_time(main, seed=0).lineage.last_error == "LineageError: login failed: ${DATABASE_PASSWORD}"


async def test_rows_of_a_part_are_refused_unless_they_are_such():
    with pytest.raises(ValueError, match="packed lineage rows"):
        await recorder.rows_of([b"\x01"])
    with pytest.raises(ValueError, match="expected"):
        await recorder.rows_of([b"\x92\x90\x90", b"\x92\x91\x91\x01\x90"])


def test_a_drained_execution_and_its_statistics_count_alike():
    sink = KeptLineage()

    async def slow(context):
        await trio.sleep(0.3)
        return AdapterResult.forward()

    async def main(simulation):
        registry = registry_of(slow=slow)
        config = load(registry, PIPELINE.replace("LINEAGE", "mode: full").replace("forward", "slow"))
        async with OrchestratorManager(registry=registry, seams=simulation.seams, lineage=sink) as manager:
            execution = await manager.start(config)
            await execution.publish_batch("r", [1] * 20)
            await trio.sleep(0.5)
            counts = execution.statistics().lineage
            assert counts.recorded >= counts.written + counts.lost
            return await execution.drain()

    report = in_virtual_time(main, seed=0)
    assert report.lineage.written == report.lineage.recorded == len(sink.entries) + len(sink.outcomes)
    assert {row.status for row in sink.last_visits().values()} == {"completed"}
