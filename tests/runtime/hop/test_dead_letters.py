"""Messages that were given up: where they go, what they say, and what happens when they cannot go there."""

import dataclasses

import trio

from factflow_engine.runtime.report import ExecutionStatus, Outcome
from factflow_engine.seams import Seams
from factflow_protocols import AdapterResult, Reject
from support.clocks import TrioClock, seams_on_trio_time
from support.pipelines import assert_counters_balance, run, running


async def reject(context):
    raise Reject("never")


async def change_and_fail(context):
    context.message["n"] = 0
    raise ValueError("no good")


DEAD = "error_handling: {max_retries: 2, retry_delay_seconds: 1, dead_letter_queue: /queue/dead}"


async def test_a_dead_letter_is_the_original_message_and_says_why(autojump_clock):
    async with running(
        f"routes: {{r: {{inbound: {{queue: /queue/in}}, adapters: [{{type: forward}}, {{type: a, name: breaks}}], {DEAD}}}}}",
        adapters={"a": change_and_fail},
    ) as execution:
        async with execution.subscribe("/queue/dead") as letters:
            sent = await execution.publish("r", {"n": 7}, headers={"tenant": "x"}, key="k")
            [delivery] = await letters.receive(10)
            await letters.settle([delivery])
        report = await execution.complete()
    letter = delivery.message
    assert letter.value() == {"n": 7}
    assert (letter.message_id.hex(), letter.key, letter.attempt) == (sent, "k", 1)
    assert letter.headers["tenant"] == "x"
    why = letter.headers["dead_letter"]
    assert why.pop("time_ns") > 1_700_000_000_000_000_000
    assert why == {
        "route": "r",
        "stage": "breaks",
        "queue": "/queue/in",
        "error_type": "ValueError",
        "error": "no good",
        "place": f"test_dead_letters.py:{change_and_fail.__code__.co_firstlineno + 2}",
        "attempts": 3,
        "config_hash": report.config_hash,
    }
    assert report.outcomes[Outcome.DEAD_LETTERED] == 1
    assert report.failures == ()
    assert_counters_balance(report)


async def test_the_dead_letter_of_what_a_stage_emitted_names_no_queue(autojump_clock):
    async def cut(context):
        return AdapterResult(emitted=[1, 2])

    async def pick(context):
        if context.message == 2:
            raise Reject("odd one")

    async with running(
        "routes: {r: {adapters: [{type: cut}, {type: pick}], error_handling: {dead_letter_queue: /queue/dead}}}",
        adapters={"cut": cut, "pick": pick},
    ) as execution:
        async with execution.subscribe("/queue/dead") as letters:
            await execution.publish("r", "whole")
            [delivery] = await letters.receive(10)
            await letters.settle([delivery])
        await execution.complete()
    assert delivery.message.value() == 2
    why = delivery.message.headers["dead_letter"]
    assert (why["queue"], why["stage"]) == (None, "pick"), "the queue's reader would begin with another stage"


async def test_a_dead_letter_queue_may_be_another_routes_inbound():
    seen = []

    async def note(context):
        seen.append((context.message, context.headers["dead_letter"]["error_type"]))

    report = await run(
        """
routes:
  r: {adapters: [{type: reject}], error_handling: {dead_letter_queue: /queue/graves}}
  graves: {inbound: {queue: /queue/graves}, adapters: [{type: note}]}
""",
        adapters={"reject": reject, "note": note},
        publish=[("r", 1), ("r", 2)],
    )
    assert seen == [(1, "Reject"), (2, "Reject")]
    assert report.routes["r"].dead_lettered == 2


async def test_a_full_dead_letter_queue_keeps_the_messages_and_holds_the_route_back(autojump_clock):
    """Two letters fit; nobody reads them until later; nothing is lost and nothing grows without bound."""
    async with running(
        """
routes:
  r: {inbound: {capacity: 4, concurrency: 1}, adapters: [{type: reject}], error_handling: {dead_letter_queue: /queue/dead}}
""",
        adapters={"reject": reject},
    ) as execution:

        async def feed():
            for number in range(20):
                await execution.publish("r", number)

        async with (
            execution.subscribe("/queue/dead", capacity=2, prefetch=100) as letters,
            trio.open_nursery() as nursery,
        ):
            nursery.start_soon(feed)
            await trio.sleep(10)
            route = execution.statistics().routes["r"]
            assert route.dead_lettered == 2
            assert 4 <= route.retrying <= 5
            assert route.waiting == 4
            assert_counters_balance(execution.statistics())
            got = []
            while len(got) < 20:
                deliveries = await letters.receive(10)
                await letters.settle(deliveries)
                got += [delivery.message.value() for delivery in deliveries]
        report = await execution.complete()
    assert sorted(got) == list(range(20))
    assert report.routes["r"].dead_lettered == 20


async def test_a_message_that_no_outbound_takes_may_be_dead_lettered_untried(autojump_clock):
    calls = []

    async def count(context):
        calls.append(1)
        return AdapterResult.forward()

    report = await run(
        """
routes:
  r:
    adapters: [{type: count}]
    outbound: [{route: s, condition: {field: n, operator: eq, value: 1}}, {route: s, condition: {field: n, operator: eq, value: 2}}]
    unrouted: dead_letter
    error_handling: {max_retries: 5, dead_letter_queue: /queue/dead}
  s: {adapters: [{type: forward}]}
""",
        adapters={"count": count},
        publish=[("r", {"n": 1}), ("r", {"n": 3})],
    )
    assert len(calls) == 2
    assert report.routes["r"].dead_lettered == 1
    assert report.routes["s"].completed == 1


async def test_a_full_dead_letter_queue_that_nobody_reads_holds_nothing_up(autojump_clock):
    """Nobody will ever make room: waiting for it, the execution could not end."""
    async with running(
        "routes: {r: {adapters: [{type: reject}], error_handling: {dead_letter_queue: /queue/dead}}}",
        adapters={"reject": reject},
    ) as execution:
        for number in range(1002):
            await execution.publish("r", number)
        report = await execution.complete()
    assert (report.routes["r"].dead_lettered, report.routes["r"].failed) == (1000, 2)
    assert {failure.error_type for failure in report.failures} == {"Reject"}
    assert_counters_balance(report)


async def test_a_deadline_counts_anew_for_whoever_reads_dead_letters(autojump_clock):
    async def slow(context):
        await trio.sleep(10)

    report = await run(
        """
error_handling: {deadline_seconds: 5}
routes:
  r: {adapters: [{type: slow}], error_handling: {dead_letter_queue: /queue/graves}}
  graves: {inbound: {queue: /queue/graves}, adapters: [{type: forward}]}
""",
        adapters={"slow": slow},
        publish=[("r", 1)],
        seams=seams_on_trio_time(),
    )
    assert (report.routes["r"].dead_lettered, report.routes["graves"].completed) == (1, 1)


class StoppingClock(TrioClock):
    """Breaks when it is told to."""

    broken = False

    def wall_ns(self):
        if self.broken:
            raise OSError("no clock")
        return super().wall_ns()


async def test_what_fails_while_a_dead_letter_waits_for_room_fails_its_route_alone(autojump_clock):
    clock = StoppingClock()

    async def reject(context):
        raise Reject("never")

    async with (
        running(
            "routes: {r: {adapters: [{type: reject}], error_handling: {dead_letter_queue: /queue/dead}}}",
            adapters={"reject": reject},
            seams=dataclasses.replace(Seams.real(), clock=clock),
        ) as execution,
        execution.subscribe("/queue/dead", capacity=1) as letters,
    ):
        for number in range(2):
            await execution.publish("r", number)
        await trio.sleep(0.5)
        clock.broken = True
        await letters.settle(await letters.receive(1))
        report = await execution.complete()
    assert report.status is ExecutionStatus.FAILED
    assert report.error == "route 'r' died: OSError: no clock"
    assert [held.by for held in report.held] == ["dead_letter_queue"]
    assert (report.routes["r"].waiting, report.routes["r"].in_flight) == (1, 0)
    assert_counters_balance(report)


async def test_a_dead_letter_that_is_given_up_again_tells_of_the_first_time():
    async with running(
        """
routes:
  r: {adapters: [{type: reject}], error_handling: {dead_letter_queue: /queue/dead}}
  again: {inbound: {queue: /queue/dead}, adapters: [{type: reject}], error_handling: {dead_letter_queue: /queue/dead2}}
  third: {inbound: {queue: /queue/dead2}, adapters: [{type: reject}], error_handling: {dead_letter_queue: /queue/dead3}}
""",
        adapters={"reject": reject},
    ) as execution:
        async with execution.subscribe("/queue/dead3") as letters:
            await execution.publish("r", 1)
            [letter] = await letters.receive(1)
            await letters.settle([letter])
        await execution.complete()
    why = letter.message.headers["dead_letter"]
    assert (why["route"], why["first"]["route"], why["first"]["queue"]) == ("third", "r", "/queue/r")
    assert "first" not in why["first"]
