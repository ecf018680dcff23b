"""`run_adapter`: one message through one adapter, with the outcome that an execution would give it."""

import contextvars
import threading
from pathlib import Path

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from factflow_engine import OrchestratorManager
from factflow_engine.testing import (
    Assertions,
    AssertionsBrokenError,
    FakeContext,
    FakeUseError,
    NotReturnedError,
    RecordingStorage,
    Simulation,
    in_virtual_time,
    observed,
    run_adapter,
    run_adapter_async,
    validating_registry,
)
from factflow_protocols import (
    AdapterResult,
    CircuitOpenError,
    Emit,
    Overloaded,
    PipelineAdapter,
    Reject,
    RetryLater,
    StatefulAdapter,
    StorageBackendAdapter,
    always,
    leads_to,
    reached,
)
from support.pipelines import load


class TokensConfig(BaseModel):
    field: str = "text"


class CountTokens(PipelineAdapter):
    config_model = TokensConfig

    def __init__(self, config):
        self.config = config

    async def process(self, context):
        message = context.message
        message["tokens"] = len(message[self.config.field].split())
        return AdapterResult(message=message)


def test_a_class_is_configured_as_the_engine_does():
    assert run_adapter(CountTokens, {"text": "two words"}).output == {"text": "two words", "tokens": 2}
    assert run_adapter(CountTokens, {"body": "one"}, config={"field": "body"}).output["tokens"] == 1
    with pytest.raises(ValidationError, match="feild"):
        run_adapter(CountTokens, {}, config={"feild": "body"})


def test_an_instance_a_context_and_a_function_are_taken_as_they_are():
    context = FakeContext("a", headers={"h": 1}, key="k", attempt=3)

    def show(given):
        assert given is context
        return AdapterResult(message=[given.message, given.headers["h"], given.key, given.attempt])

    assert run_adapter(show, context).output == ["a", 1, "k", 3]
    shown = run_adapter(lambda c: AdapterResult(message=[c.headers["h"], c.key, c.attempt]), headers={"h": 2}, key="j")
    assert shown.output == [2, "j", 1]
    assert run_adapter(CountTokens(TokensConfig()), {"text": ""}).output["tokens"] == 0


def raising(error):
    async def process(context):
        raise error

    return process


@pytest.mark.parametrize(
    ("error", "outcome", "wait"),
    [
        (KeyError("text"), "failed", None),
        (Reject("bad"), "failed", None),
        (Overloaded(3.0), "failed", None),
        (RetryLater(5.0), "retry", 5.0),
        (CircuitOpenError("api", 7.0), "retry", 7.0),
        (ExceptionGroup("nursery", [RetryLater(2.0)]), "retry", 2.0),
    ],
)
def test_an_error_is_the_outcome_that_it_asks_for(error, outcome, wait):
    run = run_adapter(raising(error))
    assert (run.outcome, run.outputs, run.retry_after_seconds) == (outcome, (), wait)
    assert run.error is error or run.error is error.exceptions[0]
    with pytest.raises(type(run.error)):
        _ = run.output


def test_none_is_filtered_and_forward_is_the_message_itself():
    assert run_adapter(lambda context: None, 1).outcome == "filtered"
    forwarded = run_adapter(lambda context: AdapterResult.forward(), {"a": 1}, headers={"h": 2})
    assert (forwarded.outcome, forwarded.output, dict(forwarded.headers[0])) == ("completed", {"a": 1}, {"h": 2})


@pytest.mark.parametrize("result", [{"text": 1}, [1], "text"])
def test_a_wrong_result_fails_with_the_engines_text(result):
    run = run_adapter(lambda context: result)
    assert run.outcome == "failed"
    assert "expected AdapterResult or None" in str(run.error)


def test_a_coroutine_that_nobody_awaited_fails_and_warns_nobody():
    async def work():
        return AdapterResult.forward()

    assert "process() returned coroutine" in str(run_adapter(lambda context: work()).error)


def test_a_value_that_no_message_can_carry_fails_the_message():
    assert run_adapter(lambda context: AdapterResult(message=object())).outcome == "failed"


def test_headers_are_merged_as_the_next_stage_sees_them():
    def emit(context):
        return AdapterResult(emitted=[1, Emit(2, headers={"a": None, "c": 3})], headers={"b": 2, "gone": None})

    run = run_adapter(emit, headers={"a": 1, "gone": 1})
    assert [dict(each) for each in run.headers] == [{"a": 1, "b": 2}, {"b": 2, "c": 3}]
    assert run.outputs == (1, 2)
    with pytest.raises(FakeUseError, match="expected one output, got 2"):
        _ = run.output


@pytest.mark.parametrize("is_async", [True, False])
def test_an_error_while_emitting_keeps_what_was_emitted_before(is_async):
    closed = []

    def lines():
        yield 1
        raise ValueError("torn")

    async def lines_async():
        try:
            yield 1
            await trio.sleep(1)
            raise ValueError("torn")
        finally:
            closed.append(True)

    run = run_adapter(lambda context: AdapterResult(emitted=lines_async() if is_async else lines()))
    assert (run.outcome, run.outputs, str(run.error)) == ("failed", (1,), "torn")
    assert closed == [True] * is_async


def test_waiting_takes_no_time_and_waiting_for_ever_ends():
    async def slow(context):
        await trio.sleep(600)
        return AdapterResult.forward()

    async def stuck(context):
        await trio.sleep_forever()

    assert run_adapter(slow, 1).seconds == 600
    run = run_adapter(stuck, 1, seconds=30)
    assert isinstance(run.error, NotReturnedError)
    assert "did not return within 30 s" in str(run.error)


def test_a_synchronous_process_and_what_it_emits_run_in_a_thread_where_trio_can_be_called():
    where = []
    variable = contextvars.ContextVar("variable", default=0)
    variable.set(7)

    def process(context):
        def emitted():
            where.append(threading.current_thread())
            yield variable.get()

        where.append(threading.current_thread())
        trio.from_thread.run(trio.sleep, 0)
        return AdapterResult(emitted=emitted())

    assert run_adapter(process).output == 7
    assert threading.main_thread() not in where
    assert len(where) == 2


class Sum(StatefulAdapter):
    def __init__(self):
        self.calls = []

    async def open(self, stage):
        self.calls.append("open")
        (stage.directory / "file").write_text("text")
        self.directory = stage.directory

    async def process(self, context):
        self.calls.append("process")
        if context.message == "bad":
            raise ValueError("bad")
        return None

    async def finish(self):
        self.calls.append("finish")
        return AdapterResult(message="sum")

    async def close(self):
        self.calls.append("close")


@pytest.mark.parametrize(("message", "outcome"), [("good", "filtered"), ("bad", "failed")])
def test_a_stateful_adapter_is_opened_finished_and_closed(message, outcome, tmp_path: Path):
    adapter = Sum()
    run = run_adapter(adapter, message)
    assert (run.outcome, run.finished) == (outcome, ("sum",))
    assert adapter.calls == ["open", "process", "finish", "close"]
    assert not adapter.directory.exists()
    run_adapter(adapter, message, directory=tmp_path)
    assert (tmp_path / "file").exists()


def test_a_stateful_adapter_is_closed_when_the_test_is_cancelled_and_when_finish_raises():
    class Stuck(Sum):
        async def process(self, context):
            await trio.sleep_forever()

    class Broken(Sum):
        async def finish(self):
            raise OSError("disk full")

    async def main():
        adapter = Stuck()
        with trio.move_on_after(1):
            await run_adapter_async(adapter)
        assert adapter.calls == ["open", "close"]

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
    broken = Broken()
    with pytest.raises(OSError, match="disk full"):
        run_adapter(broken)
    assert broken.calls[-1] == "close"


class Store(StorageBackendAdapter):
    async def process(self, context):
        await self.storage.write(f"texts/{context.message_id}", context.payload)
        return AdapterResult.forward()


def test_an_adapter_with_a_store_gets_one_and_keeps_the_one_that_it_has():
    assert run_adapter(Store, 1).outcome == "completed"
    given, own = RecordingStorage(), RecordingStorage()
    run_adapter(Store, 1, storage=given)
    assert list(given.objects.values()) == [b"\x01"]
    adapter = Store()
    adapter.bind_storage(own)
    run_adapter(adapter, 2)
    assert list(own.objects.values()) == [b"\x02"]


class Asserting(PipelineAdapter):
    def __init__(self):
        leads_to("in", "out")

    def process(self, context):
        reached("in")
        always(context.message >= 0, "never negative", context.message)
        return AdapterResult.forward()


def test_an_assertion_that_does_not_hold_fails_the_test_unless_the_test_judges_itself():
    assert run_adapter(Asserting, 1).outcome == "completed"  # one message cannot show that an effect never comes
    with pytest.raises(AssertionsBrokenError, match=r"always 'never negative' was false at .* with -1") as caught:
        run_adapter(Asserting, -1)
    assert isinstance(caught.value, AssertionError)
    [violation] = caught.value.violations
    assert violation.name == "never negative"
    judged = Assertions(now=lambda: 0.0)
    with observed(judged):
        assert run_adapter(Asserting, -1).outcome == "completed"
    assert {violation.name for violation in judged.finish()} == {"never negative", "in -> out"}


async def test_where_trio_runs_the_async_form_is_named():
    with pytest.raises(FakeUseError, match="write await run_adapter_async"):
        run_adapter(CountTokens, {"text": ""})
    assert (await run_adapter_async(CountTokens, {"text": "a"})).output["tokens"] == 1


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"adapter": CountTokens(TokensConfig()), "config": {}}, "got an instance, which has one already"),
        ({"adapter": CountTokens, "message": FakeContext(), "key": "k"}, "got a context, which has its own"),
        ({"adapter": CountTokens, "message": FakeContext(), "attempt": 1}, "got a context"),
        (
            {"adapter": CountTokens, "storage": RecordingStorage()},
            "expected a StorageBackendAdapter .* got CountTokens",
        ),
        ({"adapter": 7}, "expected a function of a context, got a int"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(arguments, text):
    with pytest.raises(FakeUseError, match=text):
        run_adapter(**arguments)


BEHAVIOURS = {
    "result": lambda context: AdapterResult(message=context.message),
    "forward": lambda context: AdapterResult.forward(),
    "none": lambda context: None,
    "emit": lambda context: AdapterResult(emitted=[1, 2]),
    "wrong": lambda context: 7,
    "raise": lambda context: 1 / 0,
    "reject": lambda context: (_ for _ in ()).throw(Reject("no")),
}


@given(st.sampled_from(sorted(BEHAVIOURS)), st.booleans(), st.integers(0, 5))
def test_outcome_and_outputs_are_those_of_an_execution(behaviour, is_async, message):
    """Held against the engine, for adapters of each kind."""
    function = BEHAVIOURS[behaviour]

    async def process_async(context):
        return function(context)

    process = process_async if is_async else function
    run = run_adapter(process, message)
    seen = []
    registry = validating_registry(under_test=process, note=lambda context: seen.append(context.message))
    text = "routes: {a: {adapters: [{type: under_test}], outbound: [{route: b}]}, b: {adapters: [{type: note}]}}"

    async def main(simulation: Simulation):
        async with OrchestratorManager(registry=registry, seams=simulation.seams) as manager:
            execution = await manager.start(load(registry, text))
            await execution.publish("a", message)
            return await execution.complete()

    report = in_virtual_time(main, seed=1)
    # A message whose children have ended is completed too: children are counted besides it.
    assert report.routes["a"].outcomes[run.outcome] >= 1
    assert sum(report.routes["a"].outcomes.values()) == report.routes["a"].outcomes[run.outcome]
    assert sorted(seen) == sorted(run.outputs)
