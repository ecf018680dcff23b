"""Who reads what in simulated runs: shared queues, subscriptions of topics, the outside; found by random tuples."""

import itertools
import re

import pytest
import trio

from factflow_engine.testing import simulate
from factflow_engine.testing.simulation import (
    CancelExecution,
    Crash,
    FailQueue,
    FailStage,
    FaultRates,
    Input,
    LoseLease,
    SlowStage,
)
from factflow_engine.testing.simulation.oracle import Conservation
from factflow_protocols import AdapterResult
from support.pipelines import load, registry_of
from testing.soak_pipelines import PIPELINES, REGISTRY
from testing.test_simulate import HEAD

SHARED = """\
routes:
  a: {outbound: [{route: b}]}
  b: {inbound: {concurrency: 1}, adapters: [{type: slow}]}
  c: {inbound: {queue: /queue/b, concurrency: 1}, adapters: [{type: slow}]}
"""
TOPIC = """\
routes:
  a: {inbound: {queue: /topic/news}, outbound: [{queue: /topic/out}]}
  b: {inbound: {queue: /topic/news}}
"""


async def slow(context):
    await trio.sleep(1)
    return AdapterResult.forward()


def readers():
    return registry_of(slow=slow)


@pytest.mark.parametrize("queue", ["memory://", "broker://"])
def test_routes_that_share_a_queue_share_its_messages(queue):
    inputs = [(route, n) for n in range(6) for route in ("a", "b")]
    report = simulate(HEAD + SHARED, registry=readers(), inputs=inputs, queue=queue).check()
    assert len(report.ends("b")) + len(report.ends("c")) == 12
    assert report.ends("b")
    assert report.ends("c")


def test_each_subscription_of_a_topic_must_end_what_was_published_to_it():
    report = simulate(HEAD + TOPIC, registry=readers(), inputs=[("a", 1)], queue="broker://").check()
    rows = report.trace.outcomes()
    accepted = {"a": [rows[0][2]]}
    judge = Conservation(load(readers(), TOPIC), accepted, {})
    assert judge.broken(rows) == []
    [lost] = judge.broken([row for row in rows if row[1] == "a"])
    assert lost.text.startswith("route 'b' has no end of 1 of the messages published to route 'a'")
    shared = Conservation(load(readers(), SHARED), {"b": [b"x"]}, {})
    [lost] = shared.broken([])
    assert lost.text.startswith("routes 'b', 'c' have no end of 1 of the messages published to route 'b'")


def test_a_message_to_a_topic_is_published_once_its_route_has_subscribed():
    report = simulate(
        HEAD + TOPIC,
        registry=readers(),
        inputs=[("a", 1)],
        queue="broker://",
        faults=[FailQueue(operation="receive", nth=1)],
    ).check()
    assert report.payloads("/topic/out") == [1]


def test_faults_of_queues_do_not_hit_the_outside():
    for seed in range(10):
        report = simulate(
            HEAD + TOPIC,
            registry=readers(),
            inputs=[("a", n) for n in range(5)],
            queue="broker://",
            faults=[FaultRates(until=10, fail_queue=0.3, drop_delivery=0.5)],
            seed=seed,
        ).check()
        assert set(report.payloads("/topic/out")) == set(range(5))


def test_an_execution_that_fails_is_started_again_before_the_last_input():
    report = simulate(
        HEAD + SHARED,
        registry=readers(),
        inputs=[Input("a", 1), Input("a", 2, at=60)],
        queue="broker://",
        faults=[FailQueue(operation="receive", nth=2)],
    ).check()
    started = [event.at_ns / 1e9 for event in report.trace if event.event == "> started"]
    assert len(started) == 2
    assert started[1] < 10


def test_messages_in_memory_go_with_their_cancelled_execution():
    report = simulate(
        HEAD + SHARED, registry=readers(), inputs=[("a", 1), Input("a", 2, at=60)], faults=[CancelExecution(at=0.5)]
    ).check()
    assert report.ended
    assert report.counts.cancellations == 1


def test_the_number_of_a_call_is_that_at_its_beginning():
    faults = [SlowStage(stage="a/forward", nth=1, extra_seconds=5), FailStage(stage="a/forward", nth=2)]
    text = HEAD + "routes:\n  a: {adapters: [{type: forward}]}\n"
    report = simulate(text, registry=readers(), inputs=[("a", 1), Input("a", 2, at=1)], faults=faults).check()
    assert len(report.fired) == 2
    assert report.outcomes["failed"] == 1


def test_what_a_message_emitted_counts_by_its_last_delivery():
    """Delivered again it fails before it emits: what its first delivery emitted was never published."""
    text = HEAD + (
        "routes:\n  a:\n    adapters: [{type: slow}, {type: three}]\n    outbound: [{route: b}]\n"
        "    error_handling: {deadline_seconds: 2}\n  b: {}\n"
    )

    async def three(context):
        return AdapterResult(emitted=[1, 2, 3])

    undone = 0
    for nth in range(1, 5):
        report = simulate(
            text,
            registry=registry_of(slow=slow, three=three),
            inputs=[("a", 0)],
            queue="broker://",
            faults=[FailQueue(operation="publish", nth=nth), FailQueue(operation="settle", nth=1)],
        ).check()
        undone += report.ends("a")[-1].outcome == "failed" and not report.ends("b")
    assert undone


@pytest.mark.parametrize("queue", ["broker://", "sqlite://"])
@pytest.mark.parametrize("is_new", [True, False])
def test_what_a_stage_does_not_emit_again_when_it_is_called_again_is_not_lost(queue, is_new):
    """Its first result was never published: the process died between the end of the message and its acknowledgement."""
    text = (
        HEAD + "routes: {a: {adapters: [{type: fan}, {type: write}], outbound: [{queue: /queue/out, external: true}]}}"
    )
    numbers = itertools.count()

    async def fan(context):
        return AdapterResult(emitted=[{"token": next(numbers) if is_new else 0}])

    async def write(context):
        await trio.sleep(0.1)
        return AdapterResult.forward()

    twice = False
    for at in range(90, 150, 3):
        options = {"registry": registry_of(fan=fan, write=write), "inputs": [("a", 1)], "queue": queue}
        report = simulate(text, faults=[Crash(at=at / 1000)], **options).check()
        ends = [end.message_id for end in report.ends("a") if end.parent_id is not None]
        if len(ends) == 2:
            twice = True
            judge = Conservation(report.config, {}, {"/queue/out": {ends[1]}}, delivered_again=lambda *_: False)
            assert len(set(ends)) == 1 + is_new
            assert bool(judge.broken(report.trace.outcomes())) is is_new
    assert twice


def test_what_was_emitted_and_is_nowhere_is_lost_all_the_same():
    report = simulate(HEAD + SHARED, registry=readers(), inputs=[("a", 1)], queue="broker://").check()
    judge = Conservation(report.config, {}, {})
    [lost] = judge.broken([row for row in report.trace.outcomes() if row[1] == "a"])
    assert "have no end of 1 of the messages that route 'a' sent" in lost.text


@pytest.mark.parametrize("queue", ["memory://", "broker://"])
def test_one_of_several_children_is_missed(queue):
    text = HEAD + "routes: {a: {adapters: [{type: three}, {type: forward}]}}"

    async def three(context):
        return AdapterResult(emitted=[1, 2, 3])

    report = simulate(text, registry=registry_of(three=three), inputs=[("a", 0)], queue=queue).check()
    judge = Conservation(report.config, {}, {}, redelivers=queue != "memory://")
    rows = report.trace.outcomes()
    assert not judge.broken(rows)
    [lost] = judge.broken(rows[1:])
    assert re.fullmatch(r"route 'a' has ended only 2 of 3 that [0-9a-f]{32} became", lost.text)


def test_what_a_stage_emitted_as_it_finished_in_a_process_that_failed_is_not_lost():
    text = HEAD + PIPELINES["gathered"].text
    failed = 0
    for seed in range(10):
        report = simulate(
            text,
            registry=REGISTRY,
            inputs=[("a", {"n": 0}), ("a", {"n": 3})],
            seed=seed,
            faults=[LoseLease(queue="/queue/a", nth=1), FailQueue(operation="publish")],
            queue="broker://",
            processes=3,
        ).check()
        failed += len(report.executions) > 3
    assert failed


def test_what_was_emitted_for_a_message_of_a_queue_is_lost_though_a_process_has_failed():
    report = simulate(HEAD + SHARED, registry=readers(), inputs=[("a", 1)], queue="broker://").check()
    judge = Conservation(report.config, {}, {}, queued=report.trace.queued)
    [lost] = judge.broken([row for row in report.trace.outcomes() if row[1] == "a"])
    assert "that route 'a' sent" in lost.text


def test_a_dead_letter_of_a_delivery_that_was_not_the_last_is_not_missed():
    text = HEAD + "routes: {a: {adapters: [{type: fail}], error_handling: {dead_letter_queue: /queue/dead}}}"

    async def fail(context):
        raise ValueError

    report = simulate(text, registry=registry_of(fail=fail), inputs=[("a", 1)], queue="broker://").check()
    [row] = report.trace.outcomes()
    assert row[5] == "dead_lettered"
    judge = Conservation(report.config, {}, {})
    assert "that route 'a' gave up" in judge.broken([row])[0].text
    assert not judge.broken([row, [*row[:5], "filtered", *row[6:]]])
