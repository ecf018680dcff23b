"""Errors that are awkward to look at: in groups, with text that cannot be encoded, with properties that raise."""

import asyncio
import gc
from decimal import Decimal

import pytest
import trio

from factflow_engine.runtime.report import ExecutionStatus, Outcome
from factflow_protocols import AdapterResult, CircuitOpenError, PipelineAdapter, Reject, RetryLater, StatefulAdapter
from support.internals import route_of
from support.pipelines import assert_counters_balance, run, running

LETTERS = "error_handling: {dead_letter_queue: /queue/dead}"


class Unreadable(Exception):
    """What a client makes of a response, and reads it only when asked."""

    @property
    def retry_after(self):
        raise KeyError("Retry-After")


async def in_a_nursery(*errors):
    """Raise as an adapter does that waits for several things at once."""

    async def fail(error):
        raise error

    async with trio.open_nursery() as nursery:
        for error in errors:
            nursery.start_soon(fail, error)


async def test_what_an_adapter_tells_the_engine_from_within_a_nursery_is_done(autojump_clock):
    calls = []

    async def later(context):
        calls.append(context.attempt)
        if len(calls) < 3:
            await in_a_nursery(RetryLater(5))
        return AdapterResult.forward()

    report = await run("routes: {r: {adapters: [{type: a}]}}", adapters={"a": later}, publish=[("r", 1)])
    assert report.outcomes[Outcome.COMPLETED] == 1
    assert calls == [1, 1, 1]


@pytest.mark.parametrize(
    ("errors", "error_type", "texts"),
    [
        ([Reject("bad input")], "Reject", ["bad input"]),
        ([OSError("db7 is down")], "OSError", ["db7 is down"]),
        ([OSError("db7 is down"), KeyError("n")], "ExceptionGroup", ["OSError: db7 is down", "KeyError: 'n'"]),
    ],
)
async def test_a_report_says_what_a_nursery_wrapped(errors, error_type, texts):
    async def fail(context):
        await in_a_nursery(*errors)

    report = await run("routes: {r: {adapters: [{type: a}]}}", adapters={"a": fail}, publish=[("r", 1)])
    [failure] = report.failures
    assert failure.error_type == error_type
    for text in texts:
        assert text in failure.error


async def test_a_stage_that_cannot_finish_says_what_a_nursery_wrapped():
    class Total(StatefulAdapter):
        async def process(self, context):
            return None

        async def finish(self):
            await in_a_nursery(OSError("the disk is full"))

    report = await run("routes: {r: {adapters: [{type: a}]}}", adapters={"a": Total}, publish=[("r", 1)])
    assert report.status is ExecutionStatus.FAILED
    assert report.error is not None
    assert report.error.endswith("could not finish: OSError: the disk is full")


async def test_a_group_of_one_is_tried_again_by_what_it_holds_or_by_its_own_name(autojump_clock):
    calls = []

    async def fail(context):
        calls.append(context.message)
        await in_a_nursery(OSError())

    for setting in ("retry_on: [OSError]", "give_up_on: [ExceptionGroup]"):
        await run(
            f"routes: {{r: {{adapters: [{{type: a}}], error_handling: {{max_retries: 2, {setting}}}}}}}",
            adapters={"a": fail},
            publish=[("r", setting)],
        )
    assert calls == ["retry_on: [OSError]"] * 3 + ["give_up_on: [ExceptionGroup]"]


async def test_an_error_whose_text_cannot_be_encoded_has_a_dead_letter():
    async def fail(context):
        raise FileNotFoundError("no file report-\udcff.pdf")

    async with running(f"routes: {{r: {{adapters: [{{type: a}}], {LETTERS}}}}}", adapters={"a": fail}) as execution:
        async with execution.subscribe("/queue/dead") as letters:
            await execution.publish("r", 1)
            [letter] = await letters.receive(1)
            await letters.settle([letter])
        report = await execution.complete()
    assert letter.message.headers["dead_letter"]["error"] == r"no file report-\udcff.pdf"
    assert report.status is ExecutionStatus.COMPLETED
    assert_counters_balance(report)


@pytest.mark.parametrize("breaker", ["", ", circuit_breaker: {minimum_calls: 5}"])
async def test_an_error_whose_properties_raise_is_like_any_other(autojump_clock, breaker):
    async def fail(context):
        raise Unreadable("503")

    async with running(
        f"routes: {{r: {{adapters: [{{type: a{breaker}}}], error_handling: {{max_retries: 1}}}}}}", adapters={"a": fail}
    ) as execution:
        await execution.publish("r", 1)
        report = await execution.complete()
        totals = [metrics.totals for metrics in execution.circuits().values()]
    [failure] = report.failures
    assert (failure.error_type, failure.error, failure.attempts) == ("Unreadable", "503", 2)
    assert all(total.failed == 2 for total in totals)
    assert len(totals) == bool(breaker)


class Busy(RetryLater):
    def __init__(self, *delay):
        self.args = delay
        if delay:
            [self.delay_seconds] = delay


@pytest.mark.parametrize("error", [Busy(), Busy(float("nan")), Busy("soon"), Busy(None), Busy(-1)])
async def test_an_instruction_without_a_number_fails_its_message(autojump_clock, error):
    async def busy(context):
        raise error

    async with running(
        "routes: {r: {adapters: [{type: a}], error_handling: {max_retries: 1}}}", adapters={"a": busy}
    ) as execution:
        await execution.publish("r", 1)
        report = await execution.complete()
    assert report.status is ExecutionStatus.COMPLETED
    [failure] = report.failures
    assert (failure.error_type, failure.attempts) == ("UnreadableInstructionError", 2)
    assert "Busy.delay_seconds is no number of seconds" in failure.error


@pytest.mark.parametrize("error", [RetryLater(Decimal(1)), CircuitOpenError("x", Decimal(1))])
async def test_any_kind_of_number_is_one(autojump_clock, error):
    async def once(context):
        if not calls:
            calls.append(1)
            raise error
        return AdapterResult.forward()

    calls = []
    async with running("routes: {r: {adapters: [{type: a}]}}", adapters={"a": once}) as execution:
        await execution.publish("r", 1)
        assert (await execution.complete()).routes["r"].completed == 1


def failing(*errors):
    async def fail(context):
        async def raise_it(error):
            raise error

        async with trio.open_nursery() as nursery:
            for error in errors:
                nursery.start_soon(raise_it, error)

    return fail


@pytest.mark.parametrize(
    ("errors", "outcome", "seconds"),
    [
        ((RetryLater(5), RetryLater(7)), None, 7),
        ((CircuitOpenError("x", 3), CircuitOpenError("y", 9)), None, 9),
        ((CircuitOpenError("x", 3), RetryLater(9)), None, 9),
        ((RetryLater(5), Reject("never")), "Reject", 0),
        ((RetryLater(5), OSError("down")), "ExceptionGroup", 0),
    ],
)
async def test_of_several_instructions_the_strongest_holds(autojump_clock, errors, outcome, seconds):
    async with running(
        "routes: {r: {adapters: [{type: a}]}}", adapters={"a": failing(*errors)}, seconds=1000
    ) as execution:
        await execution.publish("r", 1)
        await trio.sleep(seconds - 0.5 if seconds else 1)
        assert execution.statistics().routes["r"].retrying == (outcome is None)
        [due] = [waiting.due for waiting in route_of(execution, "r").waiting] or [0]
        assert due == pytest.approx(trio.current_time() + 0.5 if seconds else 0, abs=0.1)
        report = await execution.cancel()
    assert [failure.error_type for failure in report.failures] == ([] if outcome is None else [outcome])


@pytest.mark.parametrize("bound", ["null", "604800"])
@pytest.mark.parametrize(
    "error", [RetryLater(10**400), CircuitOpenError("x", float("inf")), CircuitOpenError("x", float("nan"))]
)
async def test_no_wait_that_an_adapter_asks_for_harms_its_route(autojump_clock, error, bound):
    async def later(context):
        if context.message == 1:
            raise error
        return AdapterResult.forward()

    async with running(
        f"routes: {{r: {{adapters: [{{type: a}}], error_handling: {{max_deferral_seconds: {bound}}}}}}}",
        adapters={"a": later},
    ) as execution:
        await execution.publish("r", 1)
        await trio.sleep(0.9)
        await execution.publish("r", 2)
        await trio.sleep(0.01)
        route = execution.statistics().routes["r"]
        waits = bound == "null" or "nan" in str(error)  # which is no time: it asks again
        assert (route.completed, route.retrying, route.failed) == (1, waits, not waits)
        report = await execution.cancel()
    assert report.routes["r"].waiting == waits


async def test_code_for_asyncio_is_told_where_it_runs():
    async def asks(context):
        await asyncio.sleep(0.1)

    async def forgets(context):
        return AdapterResult(message={"n": asks(context)})

    with pytest.warns(RuntimeWarning, match="never awaited"):  # noqa: PT031 - the warning comes when it is collected
        report = await run(
            "routes: {r: {adapters: [{type: asks}]}, s: {adapters: [{type: forgets}]}}\n"
            "init_message: [{route: r, payload: 1}, {route: s, payload: 1}]",
            adapters={"asks": asks, "forgets": forgets},
        )
        gc.collect()
    said = sorted(failure.error for failure in report.failures)
    assert said[0] == "message.n: cannot carry a coroutine; use await value, which nobody has awaited"
    assert said[1].startswith("no running event loop; this is trio, not asyncio: write trio.sleep")


async def test_code_that_runs_trio_itself_or_awaits_nothing_is_told_how_to_write_it():
    async def nests(context):
        trio.run(trio.sleep, 0)

    class Forgets(PipelineAdapter):
        def process(self, context):
            return trio.sleep(0)

    report = await run(
        "routes: {r: {adapters: [{type: nests}]}, s: {adapters: [{type: forgets}]}}\n"
        "init_message: [{route: r, payload: 1}, {route: s, payload: 1}]",
        adapters={"nests": nests, "forgets": Forgets},
    )
    said = {failure.route: failure.error for failure in report.failures}
    assert said["r"].endswith("trio runs here already: write `await function()` in an async process")
    assert said["s"].endswith("which nobody awaited: write `async def process`, and await there")


class Text(str):
    """A text that cannot be measured."""

    __slots__ = ()

    def __len__(self):
        raise ArithmeticError


class Opaque(Exception):
    """An error whose text cannot be had, or not be examined."""

    text = None

    def __str__(self):
        if isinstance(self.text, BaseException):
            raise self.text
        return self.text


class OpaqueLater(Opaque, RetryLater):
    """The same of an instruction."""


@pytest.mark.parametrize("make_text", [SystemExit, Text])
@pytest.mark.parametrize("is_told", [False, True])
async def test_a_message_is_tried_again_though_its_error_cannot_be_examined(autojump_clock, make_text, is_told):
    """That a wait has a reason for people must not kill the route of an error without one."""
    attempts = []

    async def fail(context):
        attempts.append(context.attempt)
        if len(attempts) < 3:
            error = OpaqueLater(1) if is_told else Opaque()
            error.text = make_text("text")
            raise error
        return AdapterResult.forward()

    errors = "error_handling: {max_retries: 2, retry_delay_seconds: 1}"
    report = await run(
        f"routes: {{r: {{adapters: [{{type: a}}], {errors}}}}}", adapters={"a": fail}, publish=[("r", 1)]
    )
    assert report.status is ExecutionStatus.COMPLETED
    assert report.outcomes[Outcome.COMPLETED] == 1
    assert len(attempts) == 3
