"""Rows of stages that store: one a message and stage, at the stage's own place, whatever steps stand beside it."""

from factflow_engine.runtime.execution.manager import OrchestratorManager
from factflow_engine.testing import in_virtual_time
from factflow_protocols import AdapterResult
from support.lineage import KeptLineage
from support.object_stores import FakeStore
from support.pipelines import load, registry_of

TEXT = """
lineage: {mode: full}
routes:
  r:
    inbound: {concurrency: 1}
    error_handling: {max_retries: RETRIES, retry_delay_seconds: 1, jitter: none}
    adapters:
      - {type: change, name: first, store: true}
      - {type: change, name: second, store: {what: input}, condition: {field: n, operator: lt, value: 5}}
      - {type: forward, name: third, store: {what: input}}
      - {type: change, name: last, store: true, condition: {field: n, operator: lt, value: 5}}
"""


async def change(context):
    return AdapterResult(message={"n": context.message["n"] + 1})


async def emit(context):
    return AdapterResult(emitted=[{"n": 1}, {"n": 2}])


def recorded(text, payloads, *, storage=None, first=change):
    """Run under a virtual clock; return the rows that say what came of a visit, by message, and the report."""
    sink, reports = KeptLineage(), []

    async def main(simulation):
        registry = registry_of(change=change, first=first)
        store = FakeStore() if storage is None else storage
        async with OrchestratorManager(
            registry=registry, seams=simulation.seams, lineage=sink, storage=store
        ) as manager:
            execution = await manager.start(load(registry, text), execution_id="x")
            for payload in payloads:
                await execution.publish("r", payload)
            reports.append(await execution.complete())

    in_virtual_time(main, seed=0)
    rows = {}
    for row in sink.last_visits().values():
        rows.setdefault(row.message_id, []).append((row.stage, row.position, row.status, row.attempt))
    return list(rows.values()), sink, reports[0]


def test_a_stage_that_stores_has_one_row_a_message_at_its_own_place():
    rows, sink, report = recorded(TEXT.replace("RETRIES", "0"), [{"n": 1}, {"n": 8}])
    assert rows == [
        [("first", 0, "completed", 1), ("second", 1, "completed", 1), ("third", 2, "completed", 1), ("last", 3, "completed", 1)],
        [("first", 0, "completed", 1), ("second", 1, "skipped", 1), ("third", 2, "completed", 1), ("last", 3, "skipped", 1)],
    ]  # fmt: skip
    assert len([row for row in sink.entries if row.status != "pending"]) == 8, "none is written twice"
    assert all(row.detail for row in sink.entries if row.status == "skipped"), "the part that did not hold"
    assert report.routes["r"].completed == 2


def test_a_failure_of_the_store_is_the_stages_own_row():
    failures = iter([True])
    storage = FakeStore(fail=lambda key: "/first/" in key and next(failures, False))
    [row], sink, report = recorded(TEXT.replace("RETRIES", "2"), [{"n": 1}], storage=storage)
    assert row[:3] == [("first", 0, "failed", 1), ("first", 0, "completed", 2), ("second", 1, "completed", 2)]
    [failed] = [row for row in sink.entries if row.status == "failed"]
    assert "the disk is full" in (failed.detail or "")
    assert report.routes["r"].completed == 1


def test_children_that_are_stored_have_no_row_of_the_stage_that_made_them():
    text = TEXT.replace("RETRIES", "0").replace("{type: change, name: first", "{type: first, name: first")
    rows, _, report = recorded(text, [{"n": 0}], first=emit)
    parent, *children = sorted(rows, key=lambda row: row[0][1])
    assert parent == [("first", 0, "completed", 1)]
    assert [[each[:3] for each in child] for child in children] == [
        [("second", 1, "completed"), ("third", 2, "completed"), ("last", 3, "completed")]
    ] * 2
    assert report.failures == ()
