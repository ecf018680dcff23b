"""What messages wait for is told by `statistics().waits`: by route, stage and reason, with times, and without secrets."""

from collections import Counter

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from factflow_engine import Wait
from factflow_engine.runtime.hop.held import MOST_LOOKED_AT
from factflow_engine.runtime.report import Holder
from factflow_engine.testing import Simulation
from factflow_protocols import AdapterResult, CircuitOpenError, Reject, RetryLater
from support.pipelines import running


async def test_retries_tell_their_stage_their_last_error_and_when_the_next_is_tried(autojump_clock):
    async def fail(context):
        raise ValueError(f"no {context.message}")

    errors = "error_handling: {max_retries: 1, retry_delay_seconds: 60, jitter: none}"
    async with running(
        f"routes: {{r: {{adapters: [{{type: fail}}], {errors}}}}}",
        adapters={"fail": fail},
        seconds=1000,
        seams=Simulation(1).seams,
    ) as execution:
        await execution.publish("r", 1)
        await trio.sleep(30)
        await execution.publish("r", 2)
        await trio.testing.wait_all_tasks_blocked()
        [wait] = execution.statistics().waits
        assert (wait.route, wait.stage, wait.by, wait.messages) == ("r", "fail", Holder.RETRY, 2)
        assert wait.reason == "ValueError: no 2", "the newest one's"
        assert (wait.seconds, wait.next_seconds) == (pytest.approx(30), pytest.approx(30))
        assert [held.reason for held in execution.held()] == ["ValueError: no 1", "ValueError: no 2"]
        await execution.cancel(0)
    assert execution.statistics().waits == ()


async def test_breakers_are_told_by_name_one_wait_each(autojump_clock):
    async def dial(context):
        raise CircuitOpenError(context.message, 50)

    async with running("routes: {r: {adapters: [{type: dial}]}}", adapters={"dial": dial}) as execution:
        await execution.publish_batch("r", ["x", "y", "x"])
        await trio.testing.wait_all_tasks_blocked()
        assert sorted((wait.reason, wait.messages, wait.by) for wait in execution.statistics().waits) == [
            ("x", 2, Holder.CIRCUIT_OPEN),
            ("y", 1, Holder.CIRCUIT_OPEN),
        ]
        await execution.cancel(0)


async def test_a_full_queue_a_full_dead_letter_queue_and_a_pause_are_told(autojump_clock):
    async def fail(context):
        raise OSError("no")

    text = """
routes:
  a: {inbound: {capacity: 9, concurrency: 1}, adapters: [{type: forward}], outbound: [{route: b}]}
  b: {inbound: {capacity: 1}, adapters: [{type: forward}]}
  c: {adapters: [{type: fail}], error_handling: {max_retries: 0, dead_letter_queue: /queue/b}}
"""
    async with running(text, adapters={"fail": fail}) as execution:
        execution.pause("b", reason="an operator")
        await execution.publish("b", 0)
        await execution.publish_batch("a", [1, 2, 3])
        await execution.publish("c", 4)
        await trio.testing.wait_all_tasks_blocked()
        waits = {(wait.route, wait.by): wait for wait in execution.statistics().waits}
        assert waits["a", Holder.ROOM] == Wait(route="a", stage="", by=Holder.ROOM, reason="/queue/b", messages=3)
        assert waits["b", Holder.PAUSE] == Wait(route="b", stage="", by=Holder.PAUSE, reason="an operator", messages=1)
        letters = waits["c", Holder.DEAD_LETTER_QUEUE]
        assert (letters.stage, letters.reason, letters.messages, letters.next_seconds) == ("fail", "/queue/b", 1, None)
        assert len(waits) == 3
        execution.resume("b", reason="an operator")
        await execution.complete()
    assert execution.statistics().waits == ()


async def test_the_reason_of_a_wait_shows_no_secret(autojump_clock, monkeypatch):
    monkeypatch.setenv("FACTFLOW_TEST_TOKEN", "hunter2-hunter2")

    async def fail(context):
        raise ValueError("refused hunter2-hunter2")

    text = """
routes:
  r:
    name: "${FACTFLOW_TEST_TOKEN}"
    adapters: [{type: fail}]
    error_handling: {max_retries: 1, retry_delay_seconds: 60}
"""
    async with running(text, adapters={"fail": fail}) as execution:
        await execution.publish("r", 1)
        await trio.testing.wait_all_tasks_blocked()
        [wait] = execution.statistics().waits
        assert "hunter2" not in f"{wait}{wait!r}{execution.held()}"
        assert wait.reason.startswith("ValueError: refused ")
        await execution.cancel(0)


@given(st.lists(st.tuples(st.sampled_from(["retry", "later", "x", "y", "ends"]), st.integers(1, 90)), max_size=12))
def test_the_numbers_of_waits_add_up_to_what_is_to_be_tried_again(messages):
    async def main():
        async def adapter(context):
            kind, seconds = context.message
            if kind == "later":
                raise RetryLater(seconds)
            if kind == "retry":
                raise ValueError(kind)
            if kind in ("x", "y"):
                raise CircuitOpenError(kind, seconds)
            return AdapterResult.forward()

        errors = "error_handling: {max_retries: 1, retry_delay_seconds: 60}"
        async with running(
            f"routes: {{r: {{adapters: [{{type: adapter}}], {errors}}}}}", adapters={"adapter": adapter}
        ) as execution:
            await execution.publish_batch("r", messages)
            await trio.testing.wait_all_tasks_blocked()
            statistics = execution.statistics()
            counted = Counter()
            for wait in statistics.waits:
                counted[wait.reason if wait.by is Holder.CIRCUIT_OPEN else "retry"] += wait.messages
            expected = Counter("retry" if kind == "later" else kind for kind, _ in messages if kind != "ends")
            assert counted == expected
            assert statistics.routes["r"].retrying == sum(expected.values())
            assert all(wait.next_seconds is not None and wait.seconds is not None for wait in statistics.waits)
            await execution.cancel(0)

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


def test_statistics_can_be_read_where_trio_does_not_run():
    """A service reads them in a thread, and a script after the end; `trio.current_time` raises in both."""

    async def fail(context):
        raise ValueError("no")

    async def main():
        errors = "error_handling: {max_retries: 1, retry_delay_seconds: 60}"
        async with running(
            f"routes: {{r: {{adapters: [{{type: fail}}], {errors}}}}}", adapters={"fail": fail}
        ) as execution:
            await execution.publish("r", 1)
            await trio.testing.wait_all_tasks_blocked()
            [wait] = (await trio.to_thread.run_sync(execution.statistics)).waits
            assert (wait.reason, wait.messages, wait.next_seconds) == ("ValueError: no", 1, None)
            assert wait.seconds is not None
            await execution.cancel(0)
        return execution

    assert trio.run(main).statistics().waits == ()


async def test_a_wait_none_of_whose_messages_was_examined_has_its_reason_all_the_same(autojump_clock, monkeypatch):
    """Breakers' names and the dead-letter queue's were those of messages among the first 1,000, and others unredacted."""
    monkeypatch.setenv("FACTFLOW_TEST_TOKEN", "hunter2-hunter2")

    async def adapter(context):
        if context.message == "reject":
            raise Reject("no")
        if context.message == "again":
            raise ValueError("again")
        raise CircuitOpenError(f"hunter2-hunter2 {context.message}", 50)

    text = """
routes:
  r:
    name: "${FACTFLOW_TEST_TOKEN}"
    inbound: {concurrency: 1, capacity: 2000}
    adapters: [{type: adapter}]
    error_handling: {max_retries: 1, retry_delay_seconds: 10, jitter: none, dead_letter_queue: /queue/dead}
  dead: {inbound: {queue: /queue/dead, capacity: 1}}
"""
    async with running(text, adapters={"adapter": adapter}) as execution:
        execution.pause("dead", reason="x")
        await execution.publish_batch("r", ["again"] * MOST_LOOKED_AT)
        await trio.testing.wait_all_tasks_blocked()
        await execution.publish_batch("r", ["a", "b", "reject", "reject"])
        await trio.testing.wait_all_tasks_blocked()
        waits = {wait.reason: wait for wait in execution.statistics().waits if wait.route == "r"}
        assert set(waits) == {
            "ValueError: again", "${FACTFLOW_TEST_TOKEN} a", "${FACTFLOW_TEST_TOKEN} b", "/queue/dead"
        }  # fmt: skip
        assert waits["${FACTFLOW_TEST_TOKEN} b"].next_seconds == pytest.approx(50)
        assert waits["/queue/dead"].by is Holder.DEAD_LETTER_QUEUE
        await execution.cancel(0)
