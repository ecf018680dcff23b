"""What an execution records of its messages: each visit, each outcome, and why a stage was skipped."""

import hashlib
import json

import pytest
import trio

from factflow_engine import NoLineageError
from factflow_engine.conditions import ConditionOperator, OperatorRegistry
from factflow_engine.config import PipelineConfigLoader
from factflow_engine.frames import pack
from factflow_engine.runtime.execution.manager import OrchestratorManager
from factflow_engine.storages.memory import MemoryStorage
from factflow_engine.testing import in_virtual_time
from factflow_protocols import AdapterResult, Reject, RetryLater
from support.lineage import KeptLineage, PackedLineage
from support.pipelines import load, registry_of, run, running

ROUTE = """
lineage: {LINEAGE}
routes:
  r:
    inbound: {concurrency: 1}
    error_handling: {max_retries: 2, retry_delay_seconds: 1, jitter: none}
    adapters: [STAGES]
"""


def text(*stages, lineage="mode: full", more=""):
    stages = ", ".join(stages)
    return ROUTE.replace("LINEAGE", lineage).replace("STAGES", stages) + more


def recorded(config, payloads, *, adapters=None, route="r", sink=None, storage=None):
    """Run under a virtual clock; return the sink and the report."""
    if adapters is None:
        adapters = {}
    sink = KeptLineage() if sink is None else sink
    reports = []

    async def main(simulation):
        registry = registry_of(**adapters)
        async with OrchestratorManager(
            registry=registry, seams=simulation.seams, lineage=sink, storage=storage
        ) as manager:
            execution = await manager.start(load(registry, config), execution_id="x")
            for payload in payloads:
                await execution.publish(route, payload)
            reports.append(await execution.complete())

    in_virtual_time(main, seed=0)
    return sink, reports[0]


async def change(context):
    return AdapterResult(message={"n": context.message["n"] + 1})


async def wait_a_second(context):
    await trio.sleep(1)
    return AdapterResult.forward()


async def forward(context):
    return AdapterResult.forward()


async def drop(context):
    return None


@pytest.mark.parametrize("make", [KeptLineage, PackedLineage])
def test_a_visit_and_an_outcome_of_each_message_are_recorded(make):
    sink, report = recorded(
        text("{type: change}", "{type: wait_a_second}"),
        [{"n": 1}, {"n": 2}],
        adapters={"change": change, "wait_a_second": wait_a_second},
        sink=make(),
    )
    first = [row for row in sink.entries if row.message_id == sink.entries[0].message_id]
    assert [(row.stage, row.position, row.status, row.attempt) for row in first if row.status != "pending"] == [
        ("change", 0, "completed", 1),
        ("wait_a_second", 1, "completed", 1),
    ]
    slow = first[-1]
    assert (slow.execution_id, slow.route, slow.duration_ns) == ("x", "r", 1_000_000_000)
    assert slow.parent_id is None
    assert slow.correlation_id == slow.message_id
    assert slow.input_hash is slow.output_hash is slow.detail is slow.waited_for is None
    assert [(row.outcome, row.attempts, row.emitted) for row in sink.outcomes] == [("completed", 1, 0)] * 2
    assert sink.outcomes[0].ended_ns == slow.started_ns + slow.duration_ns
    assert report.lineage.recorded == report.lineage.written == len(sink.entries) + len(sink.outcomes)
    assert report.lineage.lost == report.lineage.errors == 0


def test_times_are_those_of_the_wall_clock():
    sink, _ = recorded(text("{type: wait_a_second}"), [{"n": 1}], adapters={"wait_a_second": wait_a_second})
    millisecond = int.from_bytes(sink.outcomes[0].message_id[:6], "big")
    assert abs(sink.outcomes[0].ended_ns / 1e6 - millisecond - 1000) < 2


def test_a_skipped_stage_says_which_part_of_its_condition_did_not_hold():
    condition = (
        "{all_of: [{field: kind, operator: eq, value: order}, {not: {any_of: [{field: tags, operator: contains, value: old}, "
        "{field: n, operator: gt, value: 5}]}}, {field: lang, operator: exists, value: true}]}"
    )
    sink, report = recorded(
        text(f"{{type: forward, condition: {condition}}}"),
        [
            {"kind": "page"},
            {"kind": "order", "tags": ["old"]},
            {"kind": "order", "n": 7},
            {"kind": "order", "n": 1},
            {"kind": "order", "lang": "en"},
        ],
    )
    assert report.routes["r"].skipped == 4
    assert [row.status for row in sink.entries] == ["skipped"] * 4 + ["completed"]
    assert [json.loads(row.detail) for row in sink.entries[:4]] == [
        {"field": "kind", "operator": "eq", "value": "order", "actual": "page"},
        {"field": "tags", "operator": "contains", "value": "old", "negated": True, "actual": ["old"]},
        {"field": "n", "operator": "gt", "value": 5, "negated": True, "actual": 7},
        {"field": "lang", "operator": "exists", "value": True, "missing": True},
    ]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, None),
        (1.5, 1.5),
        (float("nan"), "NaN"),
        (2**64 - 1, 2**64 - 1),
        (b"abc", "bytes of 3"),
        ("x" * 1000, "x" * 200 + "…"),
        ({"a": [1, {"b": None}], "c": {}}, {"a": [1, {"b": None}], "c": {}}),
        (list(range(1000)), "a list of 1000"),
        ({str(n): n for n in range(1000)}, "a mapping of 1000"),
        ('quote " and \\ and \n and \x01', 'quote " and \\ and \n and \x01'),
        ("y" * 50_000, "y" * 200 + "…"),
    ],
)
def test_what_was_there_is_json_and_bounded(value, shown):
    sink, _ = recorded(text("{type: forward, condition: {field: a, operator: eq, value: nothing}}"), [{"a": value}])
    assert json.loads(sink.entries[0].detail)["actual"] == shown


def test_what_was_there_is_left_out_on_request():
    sink, _ = recorded(
        text("{type: forward, condition: {field: a, operator: eq, value: 1}}", lineage="record_values: false"),
        [{"a": "secret"}],
    )
    assert json.loads(sink.entries[0].detail) == {"field": "a", "operator": "eq", "value": 1}


def test_values_from_the_environment_are_never_recorded(monkeypatch):
    monkeypatch.setenv("TOKEN", 'hun"ter2')

    async def explode(context):
        raise Reject('no hun"ter2 here')

    sink, _ = recorded(
        text("{type: forward, condition: {field: a, operator: eq, value: '${TOKEN}'}}", "{type: explode}"),
        [{"a": 'it is hun"ter2'}, {"a": ['hun"ter2']}, {"a": "z" * 195 + 'hun"ter2'}],
        adapters={"explode": explode},
    )
    everything = " ".join(str(row) for row in (*sink.entries, *sink.outcomes))
    assert "hun" not in everything
    assert everything.count("${TOKEN}") >= 6


class Odd(ConditionOperator):
    name = "odd"

    def __init__(self):
        self.calls = 0

    def matches(self, field_value, literal):
        self.calls += 1
        return field_value % 2 == 1


def test_a_users_own_operator_is_not_run_again():
    operators, odd, sink = OperatorRegistry(), Odd(), KeptLineage()
    operators.register(odd)
    condition = "{all_of: [{field: n, operator: odd, value: 0}, {field: n, operator: lt, value: 5}]}"

    async def main(simulation):
        registry = registry_of()
        config = PipelineConfigLoader(registry, operators=operators).load_text(
            'version: "1.0"' + text(f"{{type: forward, condition: {condition}}}")
        )
        manager = OrchestratorManager(registry=registry, operators=operators, seams=simulation.seams, lineage=sink)
        async with manager:
            execution = await manager.start(config)
            await execution.publish("r", {"n": 2})
            await execution.publish("r", {"n": 7})
            await execution.complete()

    in_virtual_time(main, seed=0)
    assert odd.calls == 2
    even, high = (json.loads(row.detail) for row in sink.entries)
    assert even == {"field": "n", "operator": "odd", "value": 0, "actual": 2}
    assert high == {"field": "n", "operator": "lt", "value": 5, "actual": 7}


async def test_without_a_store_an_execution_that_records_is_refused():
    with pytest.raises(NoLineageError, match=r"OrchestratorManager\(lineage=...\)"):
        await run(text("{type: forward}"))


async def test_off_needs_no_store_and_records_nothing():
    sink = KeptLineage()
    for lineage in ("mode: off", None):
        config = (
            text("{type: forward}", lineage="mode: off") if lineage else "routes: {r: {adapters: [{type: forward}]}}"
        )
        report = await run(config, publish=[("r", 1)], lineage=sink)
        assert report.lineage is None
    assert not sink.entries
    assert not sink.outcomes
    assert not sink.is_closed


def test_each_attempt_is_recorded_and_what_it_waited_for():
    async def fail_twice(context):
        if context.attempt < 3:
            raise ValueError("not yet")
        return AdapterResult.forward()

    sink, _ = recorded(text("{type: forward}", "{type: fail_twice}"), [{"n": 1}], adapters={"fail_twice": fail_twice})
    visits = sorted(sink.last_visits().values(), key=lambda row: (row.attempt, row.position))
    assert [(row.attempt, row.stage, row.status) for row in visits] == [
        (1, "forward", "completed"), (1, "fail_twice", "failed"),
        (2, "forward", "completed"), (2, "fail_twice", "failed"),
        (3, "forward", "completed"), (3, "fail_twice", "completed"),
    ]  # fmt: skip
    failure = json.loads(visits[1].detail)
    assert (failure["type"], failure["error"]) == ("ValueError", "not yet")
    assert failure["place"].startswith("test_recording.py:")
    assert [(row.waited_for, row.waited_ns) for row in visits if row.stage == "forward"] == [
        (None, 0), ("retry", 1_000_000_000), ("retry", 2_000_000_000),
    ]  # fmt: skip
    [outcome] = sink.outcomes
    assert (outcome.outcome, outcome.attempts) == ("completed", 3)


def test_a_message_that_failed_says_why():
    async def explode(context):
        raise Reject("never")

    sink, _ = recorded(text("{type: explode}"), [{"n": 1}], adapters={"explode": explode})
    assert sink.outcomes[0].outcome == "failed"
    assert json.loads(sink.outcomes[0].detail)["error"] == "never"


def test_a_deferred_visit_is_replaced_by_the_one_that_came_of_it():
    calls = []

    async def later(context):
        calls.append(context.attempt)
        if len(calls) == 1:
            raise RetryLater(3)
        return AdapterResult.forward()

    sink, _ = recorded(text("{type: later}"), [{"n": 1}], adapters={"later": later})
    assert [row.status for row in sink.entries] == ["cancelled", "completed"]
    [visit] = sink.last_visits().values()
    assert (visit.status, visit.attempt, visit.waited_for, visit.waited_ns) == ("completed", 1, "retry", 3_000_000_000)


def test_outcomes_say_where_messages_went():
    more = """
    outbound:
      - {route: a, condition: {field: n, operator: gt, value: 1}}
      - {queue: /topic/audit, condition: {field: n, operator: gt, value: 2}}
  a:
    adapters: [{type: drop}]
"""
    sink, _ = recorded(text("{type: forward}", more=more), [{"n": 1}, {"n": 2}, {"n": 3}], adapters={"drop": drop})
    assert [
        (row.outcome, row.emitted, row.detail and json.loads(row.detail)) for row in sink.outcomes if row.route == "r"
    ] == [
        ("filtered", 0, {"reason": "unrouted"}),
        ("completed", 1, {"outbounds": ["a"]}),
        ("completed", 2, {"outbounds": ["a", "/topic/audit"]}),
    ]
    assert [(row.outcome, row.detail) for row in sink.outcomes if row.route == "a"] == [("filtered", None)] * 2
    roots = {row.message_id for row in sink.outcomes if row.route == "r"}
    assert all(
        row.parent_id in roots and row.correlation_id == row.parent_id for row in sink.outcomes if row.route == "a"
    )


def test_a_stage_that_emits_has_a_visit_until_its_source_ends():
    async def spread(context):
        async def children():
            for n in range(3):
                await trio.sleep(1)
                yield {"n": n}

        return AdapterResult(emitted=children())

    sink, _ = recorded(text("{type: spread}", "{type: forward}"), [{"n": 1}], adapters={"spread": spread})
    visits = sink.last_visits().values()
    [visit] = [row for row in visits if row.stage == "spread"]
    assert (visit.status, visit.duration_ns) == ("completed", 3_000_000_000)
    assert next(row.status for row in sink.entries if row.stage == "spread") == "pending"
    assert sorted(row.status for row in visits) == ["completed"] * 4
    [root] = [row for row in sink.outcomes if row.parent_id is None]
    assert (root.outcome, root.emitted) == ("completed", 3)
    assert {row.parent_id for row in sink.outcomes} == {None, root.message_id}


def test_hashes_are_those_of_the_payload_before_and_after():
    def of(value):
        return hashlib.sha256(pack(value)).digest()[:16]

    sink, _ = recorded(
        text("{type: change}", "{type: drop}", lineage="hash_payloads: true"), [{"n": 1}],
        adapters={"change": change, "drop": drop},
    )  # fmt: skip
    first, second = sink.entries
    assert (first.input_hash, first.output_hash) == (of({"n": 1}), of({"n": 2}))
    assert (second.input_hash, second.output_hash) == (of({"n": 2}), None)


def test_sampling_takes_whole_families_and_the_same_ones_each_time():
    def kept():
        async def spread(context):
            return AdapterResult(emitted=[{"n": 1}, {"n": 2}])

        sink, report = recorded(
            text("{type: spread}", "{type: forward}", lineage="mode: sampled, sample_rate: 0.25"),
            [{"n": n} for n in range(400)],
            adapters={"spread": spread},
        )
        return sink, report

    sink, report = kept()
    roots = {row.message_id for row in sink.outcomes if row.parent_id is None}
    assert 50 < len(roots) < 150
    families = {row.correlation_id for row in (*sink.entries, *sink.outcomes)}
    assert families == roots
    assert len(sink.outcomes) == 3 * len(roots)
    assert report.outcomes["completed"] == 1200
    assert {row.message_id for row in kept()[0].outcomes if row.parent_id is None} == roots


async def test_an_interrupted_visit_is_cancelled_and_has_no_outcome():
    sink = KeptLineage()

    async def stay(context):
        await trio.sleep_forever()

    with trio.fail_after(20):
        async with running(text("{type: stay}"), adapters={"stay": stay}, lineage=sink) as execution:
            await execution.publish("r", 1)
            while not any(row.status == "pending" for row in sink.entries):
                await trio.sleep(0.05)
            assert execution.statistics().lineage.written == 1
            report = await execution.cancel()
    assert [row.status for row in sink.entries] == ["pending", "cancelled"]
    assert not sink.outcomes
    assert report.lineage.written == 2


@pytest.mark.parametrize("what", ["input", "output"])
def test_waits_stay_with_the_stage_whose_object_cannot_be_stored(what):
    store = f"{{what: {what}, metadata: {{fields: [{{name: title, required: true}}]}}}}"
    sink, report = recorded(
        text(f"{{type: forward, store: {store}}}"), [{"n": 1}], adapters={"forward": forward}, storage=MemoryStorage()
    )
    assert report.outcomes["failed"] == 1
    visits = sorted(sink.last_visits().values(), key=lambda row: row.attempt)
    assert [(row.stage, row.status, row.waited_ns, row.waited_for) for row in visits] == [
        ("forward", "failed", 0, None),
        ("forward", "failed", 1_000_000_000, "retry"),
        ("forward", "failed", 2_000_000_000, "retry"),
    ]
    assert all("title" in row.detail for row in visits)


def test_waits_of_what_a_storing_stage_emitted_are_those_of_its_next_stage():
    async def emit(context):
        return AdapterResult(emitted=[{"n": 1}])

    async def fail_once(context):
        if context.attempt == 1:
            raise ValueError("once")
        return AdapterResult.forward()

    config = text("{type: emit, store: true}", "{type: fail_once, store: {what: input}}", "{type: forward}")
    adapters = {"emit": emit, "fail_once": fail_once, "forward": forward}
    sink, _ = recorded(config, [{"n": 0}], adapters=adapters, storage=MemoryStorage())
    assert {(row.stage, row.attempt, row.status, row.waited_ns) for row in sink.last_visits().values()} == {
        ("emit", 1, "completed", 0),
        ("fail_once", 1, "failed", 0),
        ("fail_once", 2, "completed", 1_000_000_000),
        ("forward", 2, "completed", 0),
    }


def test_a_stage_that_emits_no_message_is_told_from_one_that_passes_it_on():
    async def emit(context):
        return AdapterResult(emitted=[])

    sink, _ = recorded(text("{type: emit}"), [{"n": 1}], adapters={"emit": emit})
    [end] = sink.outcomes
    assert (end.outcome, end.emitted, json.loads(end.detail)) == ("completed", 0, {"reason": "emitted_none"})
