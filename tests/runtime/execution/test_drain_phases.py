"""The budgets of a drain's phases, and who holds what when they are spent."""

import pytest
import trio

from factflow_protocols import AdapterResult, RetryLater, StatefulAdapter
from support.clocks import seams_on_trio_time
from support.pipelines import Recorder, assert_counters_balance, running

SLOW = "routes: {r: {inbound: {concurrency: 1}, adapters: [{type: slow}]}}\n"


async def never(context):
    await trio.sleep_forever()


def saying(events, *, seconds=0.0, says=None):
    """A stage that takes so long for its last words."""

    class Sayer(StatefulAdapter):
        async def process(self, context):
            await trio.sleep(1)

        async def finish(self):
            events.append(("asked", trio.current_time()))
            await trio.sleep(seconds)
            events.append(("said", trio.current_time()))
            return says

    return Sayer


# -- the budget for work ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("configured", "asked", "seconds"), [("5", None, 5), ("5", 2, 2), ("5", 9, 9), ("null", 3, 3), ("0", None, 0)]
)
async def test_work_has_what_is_asked_for_or_configured(autojump_clock, configured, asked, seconds):
    async with running(
        SLOW + f"orchestrator: {{drain_seconds: {configured}}}", adapters={"slow": never}, seams=seams_on_trio_time()
    ) as execution:
        await execution.publish("r", 1)
        report = await (execution.drain() if asked is None else execution.drain(asked))
    assert report.status == "cancelled"
    assert report.duration_seconds == pytest.approx(seconds)
    assert report.error == f"drain gave up: what had begun or waited was not done within {seconds} s"
    assert_counters_balance(report)


async def test_work_has_all_the_time_if_nobody_says_how_long(autojump_clock):
    slow = Recorder(seconds=50_000)
    async with running(SLOW, adapters={"slow": slow.adapter()}, seconds=1e6) as execution:
        await execution.publish("r", 1)
        report = await execution.drain()
    assert (report.status, report.error, report.held) == ("completed", None, ())


async def test_the_shorter_of_two_budgets_counts(autojump_clock):
    async with running(SLOW, adapters={"slow": never}, seams=seams_on_trio_time()) as execution:
        await execution.publish("r", 1)
        async with trio.open_nursery() as nursery:
            for seconds in (20, 4, 10):
                nursery.start_soon(execution.drain, seconds)
    assert execution.report.duration_seconds == pytest.approx(4)
    assert "within 4 s" in execution.report.error


@pytest.mark.parametrize("how", ["cancel", "from outside"])
async def test_a_drain_that_is_cancelled_has_not_given_up(autojump_clock, how):
    with trio.move_on_after(2 if how == "from outside" else 20):
        async with running(SLOW, adapters={"slow": never}) as execution:
            await execution.publish("r", 1)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(execution.drain, 10)
                await trio.sleep(1)
                if how == "cancel":
                    await execution.cancel()
    assert execution.report.status == "cancelled"
    assert execution.report.error == "cancelled before it was drained"


@pytest.mark.parametrize("budget", [-1, float("nan")])
async def test_a_budget_that_is_none_changes_nothing(autojump_clock, budget):
    async with running(SLOW, adapters={"slow": Recorder().adapter()}) as execution:
        with pytest.raises(ValueError, match="zero or more seconds, got"):
            await execution.drain(budget)
        await execution.publish("r", 1)
        assert (await execution.complete()).status == "completed"


# -- who holds what -----------------------------------------------------------------------------------------------------

EVERY_HOLDER = """
routes:
  busy:
    inbound: {concurrency: 2}
    adapters: [{type: emits}, {type: never}]
  retrying:
    adapters: [{type: forward}, {type: fails}]
    error_handling: {max_retries: 3, retry_delay_seconds: 100, max_delay_seconds: 100, jitter: none}
  later:
    adapters: [{type: later}]
  tripped:
    adapters: [{type: refused, circuit_breaker: {minimum_calls: 1, wait_duration_seconds: 50, wait_jitter: 0}}]
    error_handling: {max_retries: 1, retry_delay_seconds: 0, jitter: none}
  full:
    adapters: [{type: fails}]
    error_handling: {dead_letter_queue: /queue/dead}
"""


async def test_every_holder_is_named_with_route_stage_and_how_long(autojump_clock):
    async def emits(context):
        return AdapterResult(emitted=[1, 2, 3])

    async def fails(context):
        raise OSError("down")

    async def later(context):
        raise RetryLater(60)

    async with (
        running(
            EVERY_HOLDER,
            adapters={"emits": emits, "never": never, "fails": fails, "later": later, "refused": fails},
            seams=seams_on_trio_time(),
            seconds=1000,
        ) as execution,
        execution.subscribe("/queue/dead", capacity=1),
    ):
        await trio.sleep(3)  # so that no time is taken for the one since the clock began
        for route in ("busy", "retrying", "later", "tripped", "full", "full"):
            await execution.publish(route, route)
        await trio.sleep(2)
        seen = execution.held()
        report = await execution.drain(5)
    expected = {
        ("busy", "never", "adapter"): 2,
        ("busy", "never", "permit"): 1,
        ("retrying", "fails", "retry"): 1,
        ("later", "later", "retry"): 1,
        ("tripped", "refused", "circuit_open"): 1,
        ("full", "fails", "dead_letter_queue"): 1,
    }
    for held, seconds in ((seen, 2), (report.held, 7)):
        counts = {}
        for message in held:
            place = (message.route, message.stage, message.by)
            counts[place] = counts.get(place, 0) + 1
            assert message.seconds == pytest.approx(seconds), place
        assert counts == expected
        assert len({message.message_id for message in held}) == len(held)
    assert_counters_balance(report)


async def test_a_message_without_a_stage_is_held_between_stages(autojump_clock):
    """Nobody takes it at the end of its route, and the dead-letter queue has no room."""
    async with (
        running(
            """
routes:
  r:
    adapters: [{type: forward}]
    outbound: [{queue: /queue/out, condition: {field: a, operator: exists}}]
    unrouted: dead_letter
    error_handling: {dead_letter_queue: /queue/dead}
""",
            seams=seams_on_trio_time(),
        ) as execution,
        execution.subscribe("/queue/dead", capacity=1),
    ):
        await execution.publish_batch("r", [1, 2])
        report = await execution.drain(3)
    assert [(held.route, held.stage, held.by) for held in report.held] == [("r", "", "dead_letter_queue")]


def made_of_the_cancellation():
    async def emitted():
        try:
            yield 1
            await trio.sleep_forever()
        except trio.Cancelled:
            raise OSError("connection lost") from None

    return emitted()


def cleaning_up_for_long():
    async def emitted():
        try:
            yield 1
            yield object()  # nothing that a message can carry: the iterator is closed
        finally:
            await trio.sleep_forever()

    return emitted()


@pytest.mark.parametrize("emit", [made_of_the_cancellation, cleaning_up_for_long])
async def test_an_iterator_that_is_interrupted_is_named_however_it_ends(autojump_clock, emit):
    async def emitting(context):
        return AdapterResult(emitted=emit())

    async with running("routes: {r: {adapters: [{type: a}]}}", adapters={"a": emitting}) as execution:
        message_id = await execution.publish("r", 1)
        await trio.sleep(1)
        before = execution.held()
        report = await execution.cancel()
    assert [(held.stage, held.message_id) for held in before] == [("a", message_id)]
    assert [(held.stage, held.message_id) for held in report.held] == [("a", message_id)]
    assert report.routes["r"].waiting == 1


async def test_a_message_whose_turn_has_come_again_waits_for_a_permit(autojump_clock):
    async def stage(context):
        if context.attempt == 1 and context.message == "fails":
            raise OSError
        await trio.sleep_forever()

    async with running(
        SLOW + "error_handling: {max_retries: 1, retry_delay_seconds: 2, jitter: none}",
        adapters={"slow": stage},
        seams=seams_on_trio_time(),
    ) as execution:
        fails = await execution.publish("r", "fails")
        await trio.sleep(1)
        stuck = await execution.publish("r", "is stuck")
        report = await execution.drain(9)
    assert [(held.message_id, held.by, held.seconds) for held in report.held] == [
        (stuck, "adapter", pytest.approx(9)),
        (fails, "permit", pytest.approx(8)),
    ]
    assert report.routes["r"].waiting == 2
    assert_counters_balance(report)


# -- the budget for last words --------------------------------------------------------------------------------------------

SAYER = """
routes:
  r: {adapters: [{type: sayer}, {type: after}]}
orchestrator: {finish_seconds: 10}
"""


async def test_no_stage_is_asked_for_last_words_when_work_was_not_done(autojump_clock):
    events = []
    async with running(SAYER, adapters={"sayer": saying(events), "after": Recorder().adapter()}) as execution:
        await execution.publish("r", 1)
        report = await execution.drain(0.5)
    assert (report.status, events) == ("cancelled", [])


@pytest.mark.parametrize("seconds", [9, 11])
async def test_last_words_that_are_being_said_when_the_drain_begins_have_their_whole_budget(autojump_clock, seconds):
    events, after = [], Recorder()
    says = AdapterResult(message="done")
    async with running(
        SAYER, adapters={"sayer": saying(events, seconds=5 + seconds, says=says), "after": after.adapter()}
    ) as execution:
        await execution.publish("r", 1)
        execution.let_complete()
        await trio.sleep(1 + 5)
        report = await execution.drain(0)
    if seconds < 10:
        assert (report.status, after.seen) == ("completed", ["done"])
        assert [round(time) for _, time in events] == [1, 15]
    else:
        assert (report.status, after.seen) == ("failed", [])
        assert "route 'r', stage 'sayer' could not finish" in report.error
        assert "within orchestrator.finish_seconds: 10" in report.error


async def test_a_second_drain_does_not_lengthen_last_words(autojump_clock):
    events = []
    async with running(
        SAYER,
        adapters={"sayer": saying(events, seconds=15), "after": Recorder().adapter()},
        seams=seams_on_trio_time(),
    ) as execution:
        await execution.publish("r", 1)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(execution.drain, 5)
            await trio.sleep(9)
            nursery.start_soon(execution.drain, 50)
    assert execution.report.status == "failed"
    assert execution.report.duration_seconds == pytest.approx(1 + 10)


@pytest.mark.parametrize(("carried", "done"), [(9, True), (12, False)])
async def test_what_last_words_lead_to_shares_their_budget_if_work_has_less(autojump_clock, carried, done):
    """Their ten seconds, and the second that they have at least."""
    events, after = [], Recorder(seconds=carried)
    says = AdapterResult(message="done")
    async with running(
        SAYER, adapters={"sayer": saying(events, says=says), "after": after.adapter()}, seams=seams_on_trio_time()
    ) as execution:
        await execution.publish("r", 1)
        report = await execution.drain(1.5)
    assert after.seen == (["done"] if done else [])
    assert report.status == ("completed" if done else "cancelled")
    if not done:
        assert report.error == (
            "drain gave up: what stages said at their end was not done within orchestrator.finish_seconds: 10"
        )
        assert [(held.stage, held.by, held.seconds) for held in report.held] == [
            ("after", "adapter", pytest.approx(11))
        ]


async def test_last_words_are_cancelled_with_the_execution(autojump_clock):
    events = []
    async with running(
        SAYER, adapters={"sayer": saying(events, seconds=8), "after": Recorder().adapter()}
    ) as execution:
        await execution.publish("r", 1)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(execution.drain, 5)
            await trio.sleep(3)
            report = await execution.cancel()
    assert (report.status, report.error) == ("cancelled", "cancelled before it was drained")
    assert [what for what, _ in events] == ["asked"]
