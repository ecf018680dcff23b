"""SIGINT at every line that the engine runs: what was accepted is accounted for, and nobody waits for ever.

Two programs: one catches the interrupt where it publishes and drains; the other lets it end everything.
"""

from dataclasses import dataclass, field
from typing import Any

import pytest
import trio
import trio.testing

from factflow_engine.errors import ExecutionClosedError
from factflow_engine.runtime.execution.manager import OrchestratorManager
from factflow_protocols import QueueFullError, StatefulAdapter
from support.interrupts import InterruptAtLine, interruptible
from support.pipelines import load, registry_of

PIPELINE = """
routes:
  a: {inbound: {capacity: 3}, adapters: [{type: forward}], outbound: [{route: b}]}
  b: {inbound: {concurrency: 2, capacity: 2}, adapters: [{type: rest}]}
"""
MESSAGES = 8


@dataclass
class Outcome:
    """What one interrupted run left behind."""

    where: str
    ended_before: bool
    accepted: int
    report: Any
    error: BaseException | None
    seen: list[int] = field(default_factory=list)

    def complaints(self) -> list[str]:
        """What is wrong with it."""
        if self.report is None:
            return ["there is no report"]
        a, b = self.report.routes["a"], self.report.routes["b"]
        published = a.completed + a.waiting
        rules = {
            f"{self.accepted} accepted, {published} known": self.accepted <= published <= self.accepted + 1,
            f"{a.completed} completed, {a.emitted} emitted": a.completed == a.emitted,
            f"{a.emitted} emitted, {b.filtered + b.waiting} known": a.emitted == b.filtered + b.waiting,
            "something is in flight": not (a.in_flight or b.in_flight),
            f"failed: {self.report.error}": self.report.status != "failed",
            f"it raised {self.error!r}": self.error is None or is_interrupt(self.error),
        }
        return [rule for rule, holds in rules.items() if not holds]


def is_interrupt(error: BaseException) -> bool:
    if isinstance(error, BaseExceptionGroup):
        return all(is_interrupt(one) for one in error.exceptions)
    return isinstance(error, KeyboardInterrupt)


def run_interrupted_at(line, *, caught):
    """Publish from the main task, wait, and be interrupted; only while it publishes if it is to be caught."""
    seen, accepted, executions = [], [], []
    publishing = False

    async def rest(context):
        await trio.lowlevel.checkpoint()
        seen.append(context.message)

    async def publish(execution):
        nonlocal publishing
        for number in range(MESSAGES):
            publishing = True
            if number % 2:
                await execution.publish("a", number)
            else:
                try:
                    execution.publish_nowait("a", number)
                except QueueFullError:
                    await execution.publish("a", number)
            publishing = False
            accepted.append(number)

    registry = registry_of(rest=rest)
    config = load(registry, PIPELINE)
    interrupt = InterruptAtLine(line, inside=lambda: publishing or not caught)

    async def main():
        nonlocal publishing
        with trio.fail_after(100):  # virtual: a hang ends at once
            async with OrchestratorManager(registry=registry) as manager:
                execution = await manager.start(config)
                executions.append(execution)
                interrupt.begin()
                if not caught:
                    await publish(execution)
                    await execution.complete()
                    return
                try:
                    await publish(execution)
                except KeyboardInterrupt:
                    publishing = False
                await execution.drain()

    error = None
    try:
        trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
    except BaseException as raised:
        error = raised
    finally:
        interrupt.end()
    [execution] = executions
    return Outcome(interrupt.where, interrupt.left > 0, len(accepted), execution.report, error, seen)


def check_lines(*, caught, first, stride):
    """Interrupt at every so many-th line, and fail with what is wrong, by line."""
    found = []
    with interruptible():
        for line in range(first, 100_000, stride):
            outcome = run_interrupted_at(line, caught=caught)
            if wrong := outcome.complaints():
                found.append(f"{line}: {outcome.where}: {', '.join(wrong)}")
            if outcome.ended_before:
                assert sorted(outcome.seen) == list(range(MESSAGES))
                break
        else:
            raise AssertionError("it never ends")
    if found:  # without a traceback, which would be as long as a thousand runs of trio
        pytest.fail("\n".join([f"{len(found)} lines:", *found[:40]]), pytrace=False)


@pytest.mark.parametrize("first", range(1, 5))
def test_a_program_that_catches_the_interrupt_while_it_publishes_goes_on_and_drains(first):
    check_lines(caught=True, first=first, stride=8)


def test_a_program_that_is_ended_by_the_interrupt_has_a_report_that_accounts_for_everything():
    check_lines(caught=False, first=5, stride=41)


@pytest.mark.slow
@pytest.mark.parametrize("caught", [True, False])
def test_every_single_line(caught):
    check_lines(caught=caught, first=1, stride=1)


async def test_what_is_published_while_an_execution_is_cancelled_from_outside_is_refused_or_reported(autojump_clock):
    """Its stateful stage takes a second to close: until then nothing may be accepted that the report does not know."""

    class SlowToClose(StatefulAdapter):
        async def process(self, context):
            return None

        async def close(self):
            await trio.sleep(1)

    registry = registry_of(slow=SlowToClose)
    config = load(registry, "routes: {r: {adapters: [{type: slow}]}}")
    executions, accepted = [], 0

    async def own(*, task_status):
        with trio.CancelScope() as scope:
            async with OrchestratorManager(registry=registry) as manager:
                executions.append(await manager.start(config))
                task_status.started(scope)
                await trio.sleep_forever()

    async with trio.open_nursery() as nursery:
        scope = await nursery.start(own)
        [execution] = executions
        scope.cancel()
        for number in range(10):
            await trio.sleep(0.3)
            try:
                execution.publish_nowait("r", number)
            except ExecutionClosedError:
                continue
            accepted += 1
    route = execution.report.routes["r"]
    assert accepted == route.received + route.waiting
