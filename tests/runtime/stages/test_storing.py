"""Stages that store: what lies under which key, when, and what a failing store does to a message."""

import pytest
import trio

from factflow_engine.errors import StageStorageError
from factflow_engine.frames import pack, unpack
from factflow_engine.runtime.report import Outcome
from factflow_engine.stages.keys import parse_key
from factflow_engine.testing import in_virtual_time
from factflow_protocols import (
    AdapterResult,
    Emit,
    Overloaded,
    StatefulAdapter,
)
from support.clocks import seams_on_trio_time
from support.object_stores import FakeStore
from support.pipelines import Seen, assert_counters_balance, assert_nothing_is_left, run, running
from support.process_adapters import Work


def stored_by(store, stage):
    """Bytes by message id of what a stage has stored."""
    found = {}
    for key, data in store.data().items():
        parts = parse_key(key)
        assert parts is not None
        assert parts.extension == "msgpack"
        if parts.stage == stage:
            found[parts.message_id] = data
    return found


async def lazily():
    for number in range(200):
        yield number


async def changes(context):
    return AdapterResult(message={"was": context.message})


async def emits_a_list(context):
    return AdapterResult(emitted=[1, Emit(1, key="k"), Emit({"b": b"\xff"}, headers={"h": 1}), 1])


async def emits_a_generator(context):
    return AdapterResult(emitted=(number for number in range(200)))


async def emits_asynchronously(context):
    return AdapterResult(emitted=lazily())


def emits_from_a_thread(context):
    return AdapterResult(emitted=(number for number in range(200)))


def in_a_thread(context):
    return AdapterResult(message={"thread": True})


STAGES = [changes, emits_a_list, emits_a_generator, emits_asynchronously, emits_from_a_thread, in_a_thread]


@pytest.mark.parametrize("made", STAGES, ids=lambda made: made.__name__)
@pytest.mark.parametrize("is_last", [False, True])
async def test_what_a_stage_makes_lies_under_the_id_under_which_it_goes_on(made, is_last):
    store, seen = FakeStore(), Seen()
    later = "" if is_last else ", {type: seen}"
    text = f"routes: {{r: {{adapters: [{{type: made, store: true}}{later}]}}}}"
    report = await run(text, adapters={"made": made, "seen": seen.process}, publish=[("r", 1), ("r", 2)], storage=store)
    assert_nothing_is_left(report)
    stored = stored_by(store, "made")
    if not is_last:
        assert stored == seen.payloads
    assert len(stored) == {"emits_a_list": 8}.get(made.__name__, 400 if made.__name__.startswith("emits") else 2)


async def test_a_forwarded_message_is_stored_as_it_came():
    store = FakeStore()
    message = {"b": b"\x00\xff", "n": 2**64 - 1, "f": 1.0}
    async with running("routes: {r: {adapters: [{type: forward, store: true}]}}", storage=store) as execution:
        message_id = await execution.publish("r", message, headers={"tenant": "a"}, key="k")
        await execution.complete()
    [(key, (data, metadata))] = store.objects.items()
    assert key == f"executions/{execution.id}/r/forward/{message_id}.msgpack"
    assert data == pack(message)
    assert metadata.content_type == "application/vnd.msgpack"
    provenance = metadata.custom["provenance"]
    assert provenance["time"].endswith("Z")
    assert {**provenance, "time": ""} == {
        "execution": execution.id,
        "route": "r",
        "stage": "forward",
        "adapter": "forward",
        "what": "output",
        "message_id": message_id,
        "correlation_id": message_id,
        "parent_id": None,
        "attempt": 1,
        "time": "",
        "config_hash": execution.config.hash,
        "engine_version": provenance["engine_version"],
    }


async def test_nothing_is_stored_of_messages_that_a_stage_filters_or_skips():
    store, seen = FakeStore(), Seen()

    report = await run(
        """
routes:
  r:
    adapters:
      - {type: wraps}
      - {type: filters, store: true, condition: {field: n, operator: lt, value: 3}}
      - {type: filters, name: input, store: {what: input}, condition: {field: n, operator: eq, value: 3}}
      - {type: seen}
""",
        adapters={
            "wraps": lambda context: AdapterResult(message={"n": context.message}),
            "filters": lambda context: None if context.message["n"] == 1 else AdapterResult.forward(),
            "seen": seen.process,
        },
        publish=[("r", number) for number in range(5)],
        storage=store,
    )
    assert_nothing_is_left(report)
    assert sorted(unpack(data)["n"] for data in stored_by(store, "filters").values()) == [0, 2]
    assert [unpack(data)["n"] for data in stored_by(store, "input").values()] == [3]
    assert sorted(unpack(payload)["n"] for payload in seen.payloads.values()) == [0, 2, 3, 4]
    assert report.routes["r"].skipped == 2 + 3, "once for each skipped stage"


async def test_the_result_of_finish_is_stored():
    store, seen = FakeStore(), Seen()

    class Counts(StatefulAdapter):
        count = 0

        async def process(self, context):
            self.count += 1

        async def finish(self):
            return AdapterResult(message={"count": self.count})

    text = "routes: {r: {adapters: [{type: counts, store: true}, {type: seen}]}}"
    report = await run(
        text, adapters={"counts": Counts, "seen": seen.process}, publish=[("r", 1), ("r", 2)], storage=store
    )
    assert_nothing_is_left(report)
    assert stored_by(store, "counts") == seen.payloads
    assert [unpack(data) for data in seen.payloads.values()] == [{"count": 2}]


async def test_an_input_is_stored_before_its_stage_whatever_becomes_of_it():
    store = FakeStore()

    async def fails(context):
        assert len(store.objects) == 1
        raise OSError("down")

    text = "routes: {r: {adapters: [{type: fails, store: {what: input}}], error_handling: {max_retries: 0}}}"
    report = await run(text, adapters={"fails": fails}, publish=[("r", 1)], storage=store)
    assert report.outcomes[Outcome.FAILED] == 1
    [metadata] = [metadata for _, metadata in store.objects.values()]
    assert metadata.custom["provenance"]["what"] == "input"


async def test_a_failure_is_never_stored_as_a_result():
    store = FakeStore()

    async def fails(context):
        if context.attempt < 3:
            raise OSError(f"down {context.attempt}")
        return AdapterResult(message="works")

    async def breaks_off(context):
        return AdapterResult(emitted=half())

    def half():
        yield "first"
        raise OSError("half way")

    text = """
routes:
  r:
    adapters: [{type: fails, store: true}]
    error_handling: {max_retries: 2, retry_delay_seconds: 0.001}
  dead:
    adapters: [{type: always, store: true}]
    error_handling: {max_retries: 1, retry_delay_seconds: 0.001, dead_letter_queue: /queue/dlq}
  half:
    adapters: [{type: breaks_off, store: true}]
    error_handling: {max_retries: 1, retry_delay_seconds: 0.001}
"""

    async def always(context):
        raise OSError("down")

    report = await run(
        text,
        adapters={"fails": fails, "breaks_off": breaks_off, "always": always},
        publish=[("r", 1), ("half", 1), ("dead", 1)],
        storage=store,
    )
    assert_counters_balance(report)
    assert [unpack(data) for data in stored_by(store, "fails").values()] == ["works"]
    assert [unpack(data) for data in stored_by(store, "breaks_off").values()] == ["first"], "once, under one id"
    assert not stored_by(store, "always")


async def test_a_retry_overwrites_its_own_object():
    store = FakeStore()
    attempts = []

    async def made(context):
        attempts.append(context.attempt)
        return AdapterResult(message={"attempt": context.attempt})

    async def later(context):
        if context.attempt < 3:
            raise OSError("down")
        return AdapterResult.forward()

    text = """
routes:
  r:
    adapters: [{type: made, store: true}, {type: later}]
    error_handling: {max_retries: 2, retry_delay_seconds: 0.001}
"""
    report = await run(text, adapters={"made": made, "later": later}, publish=[("r", 1)], storage=store)
    assert_nothing_is_left(report)
    assert attempts == [1, 2, 3]
    assert len(store.writes) == 3
    [(data, metadata)] = store.objects.values()
    assert unpack(data) == {"attempt": 3}
    assert metadata.custom["provenance"]["attempt"] == 3


async def test_a_child_that_is_tried_again_is_stored_under_its_own_key():
    store = FakeStore()

    async def later(context):
        if context.attempt == 1:
            raise OSError("down")
        return AdapterResult.forward()

    text = """
routes:
  r:
    adapters: [{type: emits, store: true}, {type: later}]
    error_handling: {max_retries: 1, retry_delay_seconds: 0.001}
"""
    report = await run(text, adapters={"emits": emits_a_list, "later": later}, publish=[("r", 1)], storage=store)
    assert_nothing_is_left(report)
    assert len(store.writes) == 8
    assert len(store.objects) == 4


async def test_a_failure_of_the_store_fails_the_attempt_and_nothing_goes_on():
    faults = [True, False, True, True]
    store, seen, calls = FakeStore(fail=lambda key: faults.pop(0)), Seen(), []

    async def made(context):
        calls.append(context.message)
        return AdapterResult.forward()

    text = """
routes:
  r:
    inbound: {concurrency: 1}
    adapters: [{type: made, store: true}, {type: seen}]
    error_handling: {max_retries: 1, retry_delay_seconds: 0.001}
"""
    report = await run(text, adapters={"made": made, "seen": seen.process}, publish=[("r", 1)], storage=store)
    assert_nothing_is_left(report)
    assert calls == [1, 1]
    assert len(seen.payloads) == 1
    report = await run(text, adapters={"made": made, "seen": seen.process}, publish=[("r", 2)], storage=store)
    [failure] = report.failures
    assert (failure.route, failure.stage) == ("r", "made")
    assert "the disk is full" in failure.error
    assert len(seen.payloads) == 1


async def test_a_missing_required_field_is_one_clear_failure():
    store = FakeStore()
    text = """
storage: {metadata: {fields: [{name: title, required: true}]}}
routes:
  r:
    adapters: [{type: forward, store: {metadata: {fields: [{name: lang, source: meta.lang, type: string, default: en}]}}}]
    error_handling: {max_retries: 0}
"""
    report = await run(text, publish=[("r", {"title": "t"}), ("r", {"meta": {"lang": "de"}})], storage=store)
    [(_, metadata)] = store.objects.values()
    assert (metadata.custom["title"], metadata.custom["lang"]) == ("t", "en")
    [failure] = report.failures
    problem = "metadata field 'title' is read from 'title': the message lacks it"
    assert failure.error_type == "StageStorageError"
    assert failure.error == f"message {failure.message_id} cannot be stored: {problem}"


# -- breakers, limits and time ---------------------------------------------------------------------------------------


async def test_a_failing_store_does_not_open_the_stages_breaker():
    text = """
routes:
  r:
    adapters:
      - {type: forward, store: true, circuit_breaker: {minimum_calls: 1, sliding_window_size: 1, failure_rate_threshold: 1}}
    error_handling: {max_retries: 0}
"""
    store = FakeStore(fail=lambda key: True)
    async with running(text, storage=store) as execution:
        for number in range(5):
            await execution.publish("r", number)
        report = await execution.complete()
    assert report.outcomes[Outcome.FAILED] == 5
    [circuit] = execution.statistics().circuits.values()
    assert circuit.states == {"closed": 1}


@pytest.mark.parametrize("what", ["output", "input"])
def test_storing_is_in_no_sample_of_a_limit(what):
    """With a ceiling of 50 ms a store of 10 s would cut every limit to its least."""
    text = f"""
routes:
  r:
    inbound: {{concurrency: 4}}
    backpressure: {{algorithm: aimd, target_latency_ms: 50, initial_concurrency: 4, max_concurrency: 4}}
    adapters:
      - type: quick
        store: {{what: {what}}}
        backpressure: {{algorithm: aimd, target_latency_ms: 50, initial_concurrency: 4, max_concurrency: 4}}
"""

    async def quick(context):
        await trio.sleep(0.001)
        return AdapterResult.forward()

    async def main(simulation):
        publish = [("r", number) for number in range(20)]
        return await run(
            text, adapters={"quick": quick}, publish=publish, storage=FakeStore(seconds=10), seconds=1e6,
            seams=seams_on_trio_time(),
        )  # fmt: skip

    report = in_virtual_time(main, seed=1)
    assert_nothing_is_left(report)
    assert {name: limit.least_limit for name, limit in report.limits.items()} == {"r": 4, "r/quick": 4}


def test_storing_is_within_the_time_of_the_route_and_not_of_the_stage():
    text = """
routes:
  r:
    adapters: [{type: forward, store: true, timeout_seconds: 1}]
    error_handling: {max_retries: 0, timeout_seconds: 5}
"""

    async def main(simulation, seconds):
        store = FakeStore(seconds=seconds)
        return await run(text, publish=[("r", 1)], storage=store, seams=seams_on_trio_time()), store

    report, store = in_virtual_time(lambda simulation: main(simulation, 3), seed=1)
    assert_nothing_is_left(report)
    assert len(store.objects) == 1
    report, store = in_virtual_time(lambda simulation: main(simulation, 7), seed=1)
    assert report.failures[0].error_type == "RouteTimeoutError"
    assert not store.objects
    assert store.now == 0


async def test_children_are_stored_as_they_are_pulled_under_the_routes_limit():
    store = FakeStore(seconds=0.001)
    pulled = 0
    most = 0

    async def emits(context):
        return AdapterResult(emitted=numbers())

    async def numbers():
        nonlocal pulled, most
        for number in range(300):
            pulled += 1
            most = max(most, pulled - len(store.objects))
            yield number

    text = "routes: {r: {inbound: {concurrency: 4}, adapters: [{type: emits, store: true}]}}"
    report = await run(text, adapters={"emits": emits}, publish=[("r", 1)], storage=store)
    assert_nothing_is_left(report)
    assert len(store.objects) == 300
    assert 2 <= store.most <= 4
    assert most <= 12, "no faster than they are stored"


async def test_a_report_says_that_a_held_message_is_being_stored():
    text = """
orchestrator: {close_seconds: 1}
routes: {r: {adapters: [{type: forward, store: true}]}}
"""
    async with running(text, storage=FakeStore(seconds=1_000)) as execution:
        await execution.publish("r", 1)
        while not (held := execution.statistics(details=True).held):
            await trio.sleep(0.001)
        assert [(each.route, each.stage, each.by, each.reason) for each in held] == [
            ("r", "forward", "adapter", "storing its output")
        ]
        await execution.cancel()


# -- worker processes and states -------------------------------------------------------------------------------------


async def test_what_a_worker_process_makes_is_stored():
    store, seen = FakeStore(), Seen()
    text = "routes: {r: {adapters: [{type: work, store: true, processes: 1}, {type: seen}]}}"
    publish = [("r", {"do": "who"})] * 3
    report = await run(text, adapters={"work": Work, "seen": seen.process}, publish=publish, storage=store)
    assert_counters_balance(report)
    assert report.failures == ()
    assert stored_by(store, "work") == seen.payloads
    assert len(seen.payloads) == 3


# -- secrets and determinism -----------------------------------------------------------------------------------------


async def test_no_value_of_the_environment_is_in_metadata(monkeypatch):
    monkeypatch.setenv("TOKEN", "hunter2-hunter2")
    store = FakeStore()
    text = """
storage: {metadata: {fields: [{name: token, default: "${TOKEN}"}, {name: copied, source: copy}]}}
routes: {r: {adapters: [{type: forward, store: {metadata: {fields: [{name: own, default: "x ${TOKEN}"}]}}}]}}
init_message: {route: r, payload: {copy: "a ${TOKEN}"}, headers: {auth: "${TOKEN}"}}
"""
    report = await run(text, storage=store)
    assert_nothing_is_left(report)
    [(_, metadata)] = store.objects.values()
    assert "hunter2" not in repr(metadata)
    custom = metadata.custom
    assert (custom["token"], custom["copied"], custom["own"]) == ("${TOKEN}", "a ${TOKEN}", "x ${TOKEN}")
    assert custom["provenance"]["envelope_left_out"] == "it holds a value of the environment"


def test_two_runs_of_one_seed_store_the_same():
    def once():
        store = FakeStore(seconds=0.01)

        async def main(simulation):
            text = "routes: {r: {adapters: [{type: emits, store: true}, {type: forward, store: {what: input}}]}}"
            await run(
                text,
                adapters={"emits": emits_asynchronously},
                publish=[("r", 1)],
                storage=store,
                seams=simulation.seams,
            )

        in_virtual_time(main, seed=3)
        return store.objects

    first = once()
    assert first == once()
    assert len(first) == 400


async def test_errors_that_an_author_may_catch_are_public():
    error = StageStorageError("0" * 32, "the message lacks it", field="f", source="a.b")
    assert not isinstance(error, Overloaded)
    assert (error.field, error.source) == ("f", "a.b")
