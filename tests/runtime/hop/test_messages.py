"""What happens to a message: stages, conditions, results, outbounds, failures, identity."""

import pytest

from factflow_engine.frames import pack
from factflow_protocols import AdapterResult, Reject
from support.pipelines import Recorder, assert_counters_balance, run


async def test_each_stage_sees_what_the_one_before_returned():
    async def double(context):
        return AdapterResult(message=context.message * 2)

    seen = Recorder()
    report = await run(
        "routes: {r: {adapters: [{type: double}, {type: double, name: again}, {type: seen}]}}",
        adapters={"double": double, "seen": seen.adapter()},
        publish=[("r", 1), ("r", 5)],
    )
    assert seen.seen == [4, 20]
    assert report.status == "completed"
    assert report.outcomes == {"completed": 2, "filtered": 0, "dead_lettered": 0, "failed": 0}


async def test_a_stage_whose_condition_is_false_is_skipped():
    seen = Recorder()
    report = await run(
        """
routes:
  r:
    adapters:
      - {type: seen, condition: {field: n, operator: gt, value: 1}}
""",
        adapters={"seen": seen.adapter()},
        publish=[("r", {"n": n}) for n in range(4)],
    )
    assert seen.seen == [{"n": 2}, {"n": 3}]
    assert report.routes["r"].skipped == 2
    assert report.outcomes["completed"] == 4


async def test_none_ends_the_chain_as_filtered():
    async def odd(context):
        return AdapterResult.forward() if context.message % 2 else None

    seen = Recorder()
    report = await run(
        "routes: {r: {adapters: [{type: odd}, {type: seen}]}}",
        adapters={"odd": odd, "seen": seen.adapter()},
        publish=[("r", n) for n in range(5)],
    )
    assert seen.seen == [1, 3]
    assert (report.outcomes["completed"], report.outcomes["filtered"]) == (2, 3)


async def test_forward_leaves_the_bytes_alone_even_if_the_decoded_message_was_changed():
    payloads = []

    async def change(context):
        context.message["list"].append(1)
        return AdapterResult.forward()

    async def look(context):
        payloads.append(context.payload)
        return AdapterResult.forward()

    await run(
        "routes: {r: {adapters: [{type: change}, {type: look}]}}",
        adapters={"change": change, "look": look},
        publish=[("r", {"list": []})],
    )
    assert payloads == [pack({"list": []})]


@pytest.mark.parametrize(
    ("mode", "expected"), [("all", {"low": [1], "small": [1, 5]}), ("first", {"low": [1], "small": [5]})]
)
async def test_outbounds_get_a_message_each_or_the_first_that_takes_it(mode, expected):
    seen = {"low": Recorder(), "small": Recorder()}
    report = await run(
        f"""
routes:
  start:
    outbound:
      - {{route: low, condition: {{field: "@", operator: lt, value: 3}}}}
      - {{route: small, condition: {{field: "@", operator: lt, value: 9}}}}
    outbound_mode: {mode}
  low: {{adapters: [{{type: low}}]}}
  small: {{adapters: [{{type: small}}]}}
""",
        adapters={name: recorder.adapter() for name, recorder in seen.items()},
        publish=[("start", n) for n in (1, 5, 20)],
    )
    assert {name: recorder.seen for name, recorder in seen.items()} == expected
    assert report.routes["start"].outcomes == {"completed": 2, "filtered": 1, "dead_lettered": 0, "failed": 0}


async def test_an_unrouted_message_fails_if_the_route_says_so():
    report = await run(
        """
routes:
  start:
    outbound: [{route: end, condition: {field: "@", operator: eq, value: 1}}]
    unrouted: fail
  end: {adapters: [{type: forward}]}
""",
        publish=[("start", 1), ("start", 2)],
    )
    assert report.routes["start"].failed == 1
    assert report.status == "completed"
    [failure] = report.failures
    assert (failure.route, failure.stage, failure.error_type) == ("start", None, "UnroutedError")


async def test_a_failing_message_is_recorded_and_disturbs_nothing_else():
    async def explode(context):
        if context.message == 2:
            raise ValueError("two is not welcome")
        return AdapterResult.forward()

    seen = Recorder()
    report = await run(
        "routes: {r: {adapters: [{type: explode}, {type: seen}]}}",
        adapters={"explode": explode, "seen": seen.adapter()},
        publish=[("r", n) for n in range(5)],
    )
    assert seen.seen == [0, 1, 3, 4]
    [failure] = report.failures
    assert (failure.route, failure.stage, failure.error_type, failure.error) == (
        "r",
        "explode",
        "ValueError",
        "two is not welcome",
    )
    assert failure.payload_preview == "2"
    assert len(failure.message_id) == 32
    assert report.status == "completed"
    assert report.error is None
    assert_counters_balance(report)


@pytest.mark.parametrize(
    "result",
    [
        pytest.param(lambda context: {"text": "not a result"}, id="a bare message"),
        pytest.param(lambda context: AdapterResult(message={1, 2}), id="a value no message can carry"),
        pytest.param(lambda context: AdapterResult(emitted=[object()]), id="a child no message can carry"),
        pytest.param(lambda context: AdapterResult(emitted=5), id="nothing to iterate over"),
    ],
)
async def test_a_wrong_result_fails_the_message_and_names_the_stage(result):
    async def wrong(context):
        return result(context)

    report = await run("routes: {r: {adapters: [{type: wrong}]}}", adapters={"wrong": wrong}, publish=[("r", 1)])
    [failure] = report.failures
    assert failure.stage == "wrong"
    assert report.outcomes["failed"] == 1
    assert_counters_balance(report)


async def test_only_as_many_failures_are_kept_as_the_configuration_says():
    async def explode(context):
        raise Reject("no")

    report = await run(
        "orchestrator: {max_recorded_failures: 3}\nroutes: {r: {adapters: [{type: explode}]}}",
        adapters={"explode": explode},
        publish=[("r", n) for n in range(10)],
    )
    assert len(report.failures) == 3
    assert report.failures_omitted == 7
    assert report.outcomes["failed"] == 10


async def test_too_many_failed_messages_fail_the_execution():
    async def explode(context):
        raise ValueError("no")

    report = await run(
        "orchestrator: {max_failed_messages: 2}\nroutes: {r: {adapters: [{type: explode}]}}",
        adapters={"explode": explode},
        publish=[("r", n) for n in range(3)],
    )
    assert report.status == "failed"
    assert "max_failed_messages is 2" in (report.error or "")


async def test_headers_travel_and_are_merged():
    seen = []

    async def mark(context):
        return AdapterResult(message=context.message, headers={"b": 2, "a": None})

    async def look(context):
        seen.append((dict(context.headers), context.key))
        return AdapterResult.forward()

    from support.pipelines import running

    async with running(
        """
routes:
  start: {adapters: [{type: mark}, {type: look}], outbound: [{route: end}]}
  end: {adapters: [{type: look}]}
""",
        adapters={"mark": mark, "look": look},
    ) as execution:
        await execution.publish("start", 1, headers={"a": 1, "c": 3}, key="k")
        await execution.complete()
    assert seen == [({"b": 2, "c": 3}, "k")] * 2


async def test_identity_is_derived_from_the_parent():
    trail = []

    async def look(context):
        trail.append((context.route, context.message_id, context.parent_id, context.correlation_id, context.attempt))
        return AdapterResult.forward()

    await run(
        """
routes:
  start: {adapters: [{type: look}], outbound: [{route: end}]}
  end: {adapters: [{type: look}]}
""",
        adapters={"look": look},
        publish=[("start", 1)],
    )
    (_, root, no_parent, root_correlation, attempt), (_, child, parent, child_correlation, _) = trail
    assert no_parent is None
    assert parent == root == root_correlation == child_correlation
    assert child != root
    assert child[:12] == root[:12]
    assert attempt == 1


async def test_a_full_queue_that_nobody_reads_fails_the_message_rather_than_hang():
    report = await run(
        "routes: {r: {adapters: [{type: forward}], outbound: [{queue: /queue/nobody}]}}",
        publish=[("r", n) for n in range(1001)],
    )
    assert report.outcomes["completed"] == 1000
    [failure] = report.failures
    assert failure.error_type == "QueueFullError"
    assert "'/queue/nobody'" in failure.error
    assert "nobody reads it" in failure.error


async def test_a_stage_that_takes_too_long_fails_its_message(autojump_clock):
    slow = Recorder(seconds=5)
    report = await run(
        "routes: {r: {adapters: [{type: slow, timeout_seconds: 1.5}]}}",
        adapters={"slow": slow.adapter()},
        publish=[("r", 1)],
    )
    [failure] = report.failures
    assert failure.error_type == "StageTimeoutError"
    assert "timeout_seconds: 1.5" in failure.error


@pytest.mark.parametrize("mode", ["all", "first"])
async def test_many_outbounds_are_asked_together_as_if_each_were_asked(mode):
    bounds = [None if n % 7 == 6 else n * 3 for n in range(20)]
    seen = {n: Recorder() for n in range(20)}
    outbounds = "\n".join(
        f"      - {{route: r{n}"
        + ("" if bound is None else f", condition: {{field: n, operator: gte, value: {bound}}}")
        + "}"
        for n, bound in enumerate(bounds)
    )
    routes = "\n".join(f"  r{n}: {{adapters: [{{type: seen_{n}}}]}}" for n in range(20))
    values = [0, 5, 17, 33, 60]
    await run(
        f"routes:\n  start:\n    outbound_mode: {mode}\n    outbound:\n{outbounds}\n{routes}",
        adapters={f"seen_{n}": recorder.adapter() for n, recorder in seen.items()},
        publish=[("start", {"n": value}) for value in values],
    )
    for value in values:
        takers = [n for n, bound in enumerate(bounds) if bound is None or value >= bound]
        expected = takers if mode == "all" else takers[:1]
        assert [n for n, recorder in seen.items() if {"n": value} in recorder.seen] == expected
