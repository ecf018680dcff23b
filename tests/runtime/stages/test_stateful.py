"""Stateful stages: opened before the first message, finished when nothing is left, closed whatever happens."""

import pytest
import trio

from factflow_protocols import AdapterResult, StatefulAdapter
from support.pipelines import Recorder, run, running
from support.stages import giving_back_slowly


def collector(events, *, say=None, fail=None):
    class Collector(StatefulAdapter):
        def __init__(self):
            self.count = 0

        async def open(self, stage):
            events.append(("open", stage.route, stage.stage))

        async def process(self, context):
            self.count += 1

        async def finish(self):
            events.append(("finish", self.count))
            if fail == "finish":
                raise OSError("disk full")
            return None if say is None else say(self.count)

        async def close(self):
            events.append(("close",))
            if fail == "close":
                raise OSError("cannot close")

    return Collector


async def test_what_a_stage_says_at_the_end_goes_through_the_rest_of_its_route():
    events = []
    seen = Recorder()
    report = await run(
        """
routes:
  count: {adapters: [{type: collect}, {type: forward}], outbound: [{route: sink}]}
  sink: {adapters: [{type: seen}]}
""",
        adapters={
            "collect": collector(events, say=lambda count: AdapterResult(message={"count": count})),
            "seen": seen.adapter(),
        },
        publish=[("count", n) for n in range(7)],
    )
    assert seen.seen == [{"count": 7}]
    assert events == [("open", "count", "collect"), ("finish", 7), ("close",)]
    assert report.status == "completed"


async def test_stages_finish_upstream_first_and_again_if_more_reached_them():
    events = []

    async def spread(context):
        return AdapterResult(emitted=range(3))

    await run(
        """
routes:
  late: {adapters: [{type: collect}]}
  early: {adapters: [{type: collect_and_say}], outbound: [{route: middle}]}
  middle: {adapters: [{type: spread}], outbound: [{route: late}]}
""",
        adapters={
            "collect": collector(events),
            "collect_and_say": collector(events, say=lambda count: AdapterResult(message=count)),
            "spread": spread,
        },
        publish=[("early", 1), ("late", 1)],
    )
    assert [event for event in events if event[0] == "finish"] == [("finish", 1), ("finish", 4)]


async def test_a_stage_may_emit_many_at_the_end():
    seen = Recorder()
    await run(
        "routes: {r: {inbound: {concurrency: 1}, adapters: [{type: collect}, {type: seen}]}}",
        adapters={
            "collect": collector([], say=lambda count: AdapterResult(emitted=iter(range(count)))),
            "seen": seen.adapter(),
        },
        publish=[("r", n) for n in range(5)],
    )
    assert seen.seen == [0, 1, 2, 3, 4]


async def test_a_stage_that_cannot_finish_fails_the_execution_and_is_closed():
    events = []
    report = await run(
        "routes: {r: {adapters: [{type: collect}]}}", adapters={"collect": collector(events, fail="finish")}
    )
    assert report.status == "failed"
    assert report.error == "route 'r', stage 'collect' could not finish: OSError: disk full"
    assert events[-1] == ("close",)


async def test_what_goes_wrong_while_closing_is_reported():
    report = await run("routes: {r: {adapters: [{type: collect}]}}", adapters={"collect": collector([], fail="close")})
    assert report.status == "completed"
    assert report.close_errors == ("r/collect: OSError: cannot close",)


async def test_a_close_that_hangs_is_given_up(autojump_clock):
    class Hangs(StatefulAdapter):
        async def process(self, context):
            return None

        async def close(self):
            await trio.sleep_forever()

    report = await run("routes: {r: {adapters: [{type: hangs}]}}", adapters={"hangs": Hangs})
    assert report.close_errors == ("r/hangs: close() did not return within 5 s",)


async def test_a_cancelled_execution_closes_without_finishing():
    events = []
    async with running(
        "routes: {r: {adapters: [{type: collect}]}}", adapters={"collect": collector(events)}
    ) as execution:
        await execution.publish("r", 1)
        await execution.cancel()
    assert [event[0] for event in events] == ["open", "close"]


@pytest.mark.parametrize("said", [AdapterResult.forward(), {"not": "a result"}])
async def test_finish_may_only_return_a_result_with_content(said):
    report = await run(
        "routes: {r: {adapters: [{type: collect}]}}", adapters={"collect": collector([], say=lambda count: said)}
    )
    assert report.status == "failed"
    assert "expected AdapterResult(message=...), (emitted=...) or None" in report.error


async def test_a_stage_is_not_closed_while_its_adapter_still_cleans_up(autojump_clock):
    events = []

    class Slow(giving_back_slowly(events, StatefulAdapter)):
        async def close(self):
            events.append("closed")

    async with running("routes: {r: {adapters: [{type: slow}]}}", adapters={"slow": Slow}) as execution:
        await execution.publish("r", 1)
        await trio.sleep(1)
        await execution.cancel()
    assert events == ["given back", "closed"]


@pytest.mark.parametrize(("seconds", "status"), [(20, "completed"), (40, "failed")])
async def test_last_words_have_a_budget_of_their_own_while_draining(autojump_clock, seconds, status):
    class Slow(StatefulAdapter):
        async def process(self, context):
            await trio.sleep(0.9)

        async def finish(self):
            await trio.sleep(seconds)

    async with running("routes: {r: {adapters: [{type: slow}]}}", adapters={"slow": Slow}, seconds=100) as execution:
        await execution.publish("r", 1)
        report = await execution.drain(1)
    assert report.status == status
    assert report.routes["r"].filtered == 1
    if status == "failed":
        assert "finish() did not return within orchestrator.finish_seconds: 30" in report.error


async def test_last_words_may_take_long_when_nobody_drains(autojump_clock):
    class Slow(StatefulAdapter):
        async def process(self, context):
            return None

        async def finish(self):
            await trio.sleep(1000)

    async with running("routes: {r: {adapters: [{type: slow}]}}", adapters={"slow": Slow}, seconds=2000) as execution:
        await execution.publish("r", 1)
        report = await execution.complete()
    assert report.status == "completed"


async def test_what_a_stage_emits_at_the_end_is_not_pulled_again_after_it_failed(autojump_clock):
    """The rest of a generator that has raised is nothing: another attempt would complete without it."""

    def two_of_three():
        yield 1
        yield 2
        raise OSError("the third is unreadable")

    report = await run(
        "routes: {r: {adapters: [{type: a}], error_handling: {max_retries: 3}}}",
        adapters={"a": collector([], say=lambda _: AdapterResult(emitted=two_of_three()))},
    )
    assert (report.routes["r"].completed, report.routes["r"].failed) == (2, 1)
    assert report.failures[0].error == "the third is unreadable"


async def test_the_dead_letter_of_last_words_holds_them():
    async def fail(context):
        raise OSError

    async with running(
        "routes: {r: {adapters: [{type: a}, {type: fail}], error_handling: {dead_letter_queue: /queue/dead}}}",
        adapters={"a": collector([], say=lambda _: AdapterResult(message={"total": 42})), "fail": fail},
    ) as execution:
        async with execution.subscribe("/queue/dead") as letters:
            execution.let_complete()
            [letter] = await letters.receive(1)
            await letters.settle([letter])
        await execution.complete()
    assert letter.message.value() == {"total": 42}


async def test_what_a_stage_says_at_its_end_does_not_change_while_it_waits_to_be_tried_again(autojump_clock):
    seen = []

    class Total(StatefulAdapter):
        def __init__(self):
            self.total = {"sum": 0}

        async def process(self, context):
            self.total["sum"] += context.message

        async def finish(self):
            return AdapterResult(message=self.total, headers={"h": 1})

    async def store(context):
        seen.append((context.message, context.headers["h"], context.attempt))
        if context.attempt == 1:
            raise OSError("disk full")

    async with running(
        "routes: {r: {adapters: [{type: total}, {type: store}], "
        "error_handling: {max_retries: 1, retry_delay_seconds: 10, jitter: none}}}",
        adapters={"total": Total, "store": store},
    ) as execution:
        await execution.publish("r", 1)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(execution.complete)
            await trio.sleep(1)
            await execution.publish("r", 41)
    assert seen[:2] == [({"sum": 1}, 1, 1), ({"sum": 1}, 1, 2)]
    assert seen[-1] == ({"sum": 42}, 1, 2)
