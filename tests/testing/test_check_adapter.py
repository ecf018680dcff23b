"""`check_adapter`: right adapters of every shape pass, and each check finds the adapters that are wrong in its way."""

from contextlib import AsyncExitStack
from typing import ClassVar

import pytest
import trio
from pydantic import BaseModel

from factflow_engine import ValidatingAdapterRegistry
from factflow_engine.testing import (
    ADAPTER_CHECKS,
    STATEFUL_ADAPTER_CHECKS,
    FakeContext,
    Verdict,
    check_adapter,
    check_name,
)
from factflow_engine.testing.conformance.running import NotApplicableError
from factflow_protocols import AdapterResult, Emit, PipelineAdapter, Reject, StatefulAdapter, StorageBackendAdapter
from support.wrong_adapters import WRONG, KeepsTheMessageOnItselfInThreads

CHECKS = [*map(check_name, ADAPTER_CHECKS), *map(check_name, STATEFUL_ADAPTER_CHECKS)]
MESSAGES = [FakeContext({"n": number}, headers={"list": [0]}, message_id=f"{number:032x}") for number in range(1, 5)]


def test_there_is_a_wrong_adapter_for_each_check():
    assert list(WRONG) == CHECKS


CASES = [
    (check, wrong, virtual)
    for check, all_of in WRONG.items()
    for wrong in all_of
    for virtual in (True, False)
    if not (virtual and wrong is KeepsTheMessageOnItselfInThreads)  # there are no threads in virtual time
]


@pytest.mark.parametrize(("check", "wrong", "virtual"), CASES)
def test_a_check_finds_the_adapter_that_is_wrong_in_its_way(check, wrong, virtual):
    report = check_adapter(wrong, messages=MESSAGES, only=check, virtual=virtual, longest_step_seconds=0.03)
    [result] = report.results
    assert result.verdict is Verdict.FAILED, "the check does not find it"
    assert "raised NameError" not in result.text


class Doubles(PipelineAdapter):
    class Settings(BaseModel):
        factor: int = 2

    config_model = Settings

    def __init__(self, config):
        self.factor = config.factor

    async def process(self, context):
        if context.message["n"] == 3:
            raise Reject("three is refused")
        await trio.sleep(0.001)
        message = context.message  # private to the call
        message["n"] *= self.factor
        return AdapterResult(message=message, headers={"seen": True})


class Patient(PipelineAdapter):
    """Has time limits, shields, children and cleanups, all of them allowed."""

    async def process(self, context):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep, 0.001)
            nursery.start_soon(trio.sleep, 0.002)
        with trio.move_on_after(0.001):
            await trio.sleep_forever()
        try:
            await trio.lowlevel.checkpoint()
        finally:
            with trio.move_on_after(0.002, shield=True):
                await trio.sleep_forever()
        return AdapterResult.forward()


class Emits(PipelineAdapter):
    async def process(self, context):
        await trio.lowlevel.checkpoint()
        return AdapterResult(emitted=self.parts(context.message["n"]))

    async def parts(self, number):
        with trio.CancelScope():
            for part in range(3):
                await trio.sleep(0.001)
                yield Emit({"n": number, "part": part}, key=f"{part}")


class InAThread(PipelineAdapter):
    def process(self, context):
        return None if context.message["n"] % 2 else AdapterResult(emitted=({"n": n} for n in range(2)))


class Sums(StatefulAdapter):
    """Has a nursery of its own, and a state that is stored."""

    def __init__(self):
        self.total = 0

    async def open(self, stage):
        async with AsyncExitStack() as stack:
            nursery = await stack.enter_async_context(trio.open_nursery())
            nursery.start_soon(trio.sleep_forever)
            self.file = stack.enter_context((stage.directory / "log").open("a"))
            await trio.sleep(0.001)
            self.nursery, self.stack = nursery, stack.pop_all()

    async def process(self, context):
        await trio.sleep(0.001)
        self.total += context.message["n"]

    async def finish(self):
        return AdapterResult(message={"total": self.total})

    def snapshot(self):
        return self.total

    def restore(self, state):
        self.total += state

    async def close(self):
        self.nursery.cancel_scope.cancel()
        await self.stack.aclose()


class Flushes(StatefulAdapter):
    """Makes its effects durable, idempotent by the message's id."""

    durable_batches: ClassVar[bool] = True

    async def open(self, stage):
        self.path = stage.directory / "seen"
        self.seen = set(self.path.read_text().split()) if stage.resumed else set()

    async def process(self, context):
        await trio.sleep(0.001)
        self.seen.add(context.message_id)

    async def flush(self):
        self.path.write_text(" ".join(sorted(self.seen)))

    async def finish(self):
        return AdapterResult(message=len(self.seen))


class Stores(StorageBackendAdapter):
    async def process(self, context):
        await self.storage.write(f"numbers/{context.message['n']}", context.payload)
        return AdapterResult(message=(await self.storage.read(f"numbers/{context.message['n']}"))[0])


@pytest.mark.parametrize("virtual", [True, False])
@pytest.mark.parametrize("adapter", [Doubles, Patient, Emits, InAThread, Sums, Flushes, Stores])
def test_a_right_adapter_passes(adapter, virtual):
    report = check_adapter(adapter, messages=MESSAGES, virtual=virtual)
    report.raise_if_failed()
    assert [result.name for result in report.results] == CHECKS
    assert report.subject == adapter.__name__


def test_reasons_say_why_a_check_does_not_apply():
    def reasons(*arguments, **options):
        report = check_adapter(*arguments, **options)
        return {result.name: result.text for result in report.not_applicable}

    found = reasons(InAThread, messages=MESSAGES[:1])
    assert (
        found["it_lets_cancellation_through"]
        == "process is a plain function, which is called in a thread and never interrupted"
    )
    assert found["messages_do_not_disturb_each_other"] == "it needs two different messages"
    assert found["its_state_survives_a_restart"] == "InAThread is no StatefulAdapter"
    assert found["an_iterator_that_is_left_early_is_closed"] == "it emits no iterator for these messages"
    found = reasons(Sums, messages=MESSAGES, deterministic=False)
    assert found["its_state_survives_a_restart"] == "it was said to be deterministic=False"
    found = reasons(Sums, messages=MESSAGES[:1])
    assert found["the_same_message_gives_the_same_again"] == "it keeps state across messages"
    assert found["its_state_survives_a_restart"] == "it needs two messages"


def test_an_adapter_that_cannot_be_made_fails_the_first_check_alone():
    report = check_adapter(Doubles, config={"fcator": 3}, messages=MESSAGES)
    [failed] = report.failed
    assert failed.name == CHECKS[0]
    assert "fcator" in failed.text
    assert {result.text for result in report.not_applicable} == {"no instance can be made"}
    [failed] = check_adapter("no_such_type", messages=MESSAGES).failed
    assert "no adapter type 'no_such_type' is registered" in failed.text


def test_a_type_of_a_registry_a_class_and_a_function_are_the_same():
    registry = ValidatingAdapterRegistry()
    registry.register("doubles", Doubles)
    for adapter, options in (
        ("doubles", {"registry": registry, "config": {"factor": 3}}),
        (Doubles, {"config": {"factor": 3}}),
        (lambda: Doubles(Doubles.Settings(factor=3)), {}),
    ):
        report = check_adapter(adapter, messages=[{"n": 1}, {"n": 2}], virtual=True, **options)
        report.raise_if_failed()
        assert len(report.passed) == 11


def test_wrong_uses_are_told():
    with pytest.raises(ValueError, match="expected at least one message"):
        check_adapter(Doubles, messages=[])
    with pytest.raises(ValueError, match="expected none beside a function"):
        check_adapter(lambda: Doubles(Doubles.Settings()), config={}, messages=[1])
    with pytest.raises(ValueError, match="did you mean 'it_lets_cancellation_through'"):
        check_adapter(Doubles, messages=[1], only="it_lets_cancelation_through")


def test_an_exception_of_the_adapter_is_told_with_its_line():
    report = check_adapter(Doubles, messages=[{"no": 1}], only="it_returns_a_result_or_none")
    [failed] = report.failed
    assert failed.text.startswith("raised KeyError: 'n', at test_check_adapter.py:")


def test_an_adapter_that_hangs_fails():
    class Hangs(PipelineAdapter):
        async def process(self, context):
            with trio.CancelScope(shield=True):
                await trio.sleep_forever()

    [failed] = check_adapter(Hangs, messages=[1], only="it_returns_a_result_or_none", seconds=0.2).failed
    assert failed.text.startswith("did not end within 0.2 s; it waits at test_check_adapter.py:")


def test_what_does_not_apply_is_no_failure_of_the_check():
    assert not issubclass(NotApplicableError, AssertionError)
