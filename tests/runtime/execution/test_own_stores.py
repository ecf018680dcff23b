"""Stores of a simulated execution take its seams: virtual time does not run away from their threads."""

import pytest
import trio

from factflow_engine.lineage.providers import open_lineage, open_lineage_reader
from factflow_engine.runtime.execution.manager import OrchestratorManager
from factflow_engine.storages.providers import open_storage
from factflow_engine.testing import in_virtual_time
from factflow_protocols import AdapterResult, LineageSelection
from support.pipelines import load, registry_of

MESSAGES = 60

PIPELINE = """
lineage: {LINEAGE}
storage: {STORAGE}
routes:
  r:
    inbound: {concurrency: 4}
    adapters: [{type: fetch}, {type: forward, store: true}]
"""


LINEAGE, STORAGE = "sqlite:///lineage", "file://./objects"
"""URLs in the working directory: the stored provenance has a hash of the configuration, and so of its URLs."""


def history_of(*, is_named):
    """Run with stores that the configuration or the manager opens; return what the run did and stored, and its report."""
    text = PIPELINE.replace("{LINEAGE}", f"{{url: '{LINEAGE}'}}" if is_named else "{mode: full}")
    text = text.replace("{STORAGE}", f"{{url: '{STORAGE}'}}" if is_named else "{}")
    trace = []

    async def main(simulation):
        async def fetch(context):
            await trio.sleep(simulation.randomness.uniform(0, 0.02))
            trace.append((trio.current_time(), context.message_id))
            return AdapterResult(message={"n": context.message, "at": trio.current_time()})

        registry = registry_of(fetch=fetch)
        given = {}
        if not is_named:
            given["lineage"] = open_lineage(LINEAGE, seams=simulation.seams)
            given["storage"] = open_storage(STORAGE, seams=simulation.seams)
        async with OrchestratorManager(registry=registry, seams=simulation.seams, **given) as manager:
            execution = await manager.start(load(registry, text))
            for number in range(MESSAGES):
                await execution.publish("r", number)
            report = await execution.complete()
        for store in given.values():
            await store.close()
        return report, trio.current_time()

    report, took = in_virtual_time(main, seed=7)
    rows, objects = trio.run(stored)
    return (trace, took, report.routes, report.lineage, rows, objects), report


async def stored():
    reader, store = open_lineage_reader(LINEAGE), open_storage(STORAGE)
    rows = (
        await reader.visits(LineageSelection(), limit=10 * MESSAGES),
        await reader.outcomes(LineageSelection(), limit=10 * MESSAGES),
    )
    objects = {key: await store.read(key) for key in sorted([key async for key in store.list()])}
    await reader.close()
    await store.close()
    return rows, objects


@pytest.mark.parametrize("is_named", [True, False])
def test_a_run_with_stores_on_disk_is_a_function_of_its_seed(tmp_path, monkeypatch, is_named):
    histories = []
    for name in ("first", "again"):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        histories.append(history_of(is_named=is_named))
    (first, report), (again, _) = histories
    assert first == again
    assert not report.close_errors
    assert (report.lineage.lost, report.lineage.errors) == (0, 0)
    (visits, outcomes), objects = first[-2:]
    assert (len(visits), len(outcomes), len(objects)) == (2 * MESSAGES, MESSAGES, MESSAGES)
