"""Cancellation at every scheduler step of a pipeline in which all goes wrong that can, on a queue that outlives it.

Retries, `RetryLater`, `Reject`, time-outs, circuit breakers with and without a key, dead letters and a lazy fan-out. What
the cancelled execution leaves, the next one of its id finishes: then each input is where it must be.
"""

from contextlib import nullcontext

import pytest
import trio

from factflow_engine.queues.memory import MemoryQueue
from factflow_engine.runtime.execution.manager import OrchestratorManager
from factflow_engine.testing import in_virtual_time
from factflow_protocols import AdapterResult, Reject, RetryLater
from support.elsewhere import Connection
from support.faulty import collecting
from support.internals import routes_of, workers_of
from support.interrupts import CancelAtStep
from support.pipelines import assert_counters_balance, load, registry_of

BREAKER = "minimum_calls: 2, sliding_window_size: 4, failure_rate_threshold: 50, wait_duration_seconds: 1"
PIPELINE = f"""
routes:
  a:
    inbound: {{concurrency: 2}}
    adapters:
      - {{type: faulty, timeout_seconds: 1, circuit_breaker: {{{BREAKER}}}}}
      - {{type: rest, circuit_breaker: {{key: host, {BREAKER}}}}}
    outbound: [{{route: b}}]
    error_handling:
      {{max_retries: 3, retry_delay_seconds: 0.2, jitter: none, deadline_seconds: 500, dead_letter_queue: /queue/dead}}
  b:
    inbound: {{concurrency: 2, capacity: 2}}
    adapters: [{{type: spread}}, {{type: rest}}]
    outbound: [{{queue: /queue/out}}]
"""
OUT = {(number, part) for number in (0, 1, 2, 5) for part in range(2)}
DEAD = {3, 4}


async def rest(context):
    try:
        await trio.sleep(0.3)
    except trio.Cancelled:
        if context.message["number"] == 0:
            raise OSError("made of a cancellation, as some clients do") from None
        raise
    return AdapterResult.forward()


async def spread(context):
    message = context.message

    async def children():
        for part in range(2):
            await trio.sleep(0.1)
            yield {**message, "part": part}

    return AdapterResult(emitted=children())


def registry():
    put_off = set()

    async def faulty(context):
        await trio.sleep(0.1)
        match context.message["number"]:
            case 1 if context.attempt < 3:
                raise OSError("works the third time")
            case 2 if context.message_id not in put_off:
                put_off.add(context.message_id)
                raise RetryLater(0.5)
            case 3:
                raise Reject("never")
            case 4:
                raise ValueError("never works")
            case 5 if context.attempt == 1:
                await trio.sleep(100)
        return AdapterResult.forward()

    return registry_of(faulty=faulty, rest=rest, spread=spread)


CONFIG = load(registry(), PIPELINE)


def assert_all_is_given_back(execution):
    assert_counters_balance(execution.report)
    for route in routes_of(execution):
        assert route.carrier.busy == 0, "every permit is back"
        assert [*route.drivers, *route.children, *route.waiting] == []
        assert route.counters.in_flight == route.counters.retrying == 0
    for name, circuits in execution.circuits().items():
        assert circuits.totals.in_flight == 0, name
        if name == "a/rest":
            assert circuits.totals.failed == 0, "a cancelled call is no failure"
    assert not workers_of(execution)


def run_cancelled_at(step, how):
    """Run the pipeline, cancel it at a step, and let the next execution finish; whether it had ended before the step."""
    out, dead = [], []

    async def first(simulation, store, nursery):
        scope = trio.CancelScope()
        instrument = CancelAtStep(scope, step)

        async def cancel_when_told(execution):
            with scope:
                await trio.sleep_forever()
            await execution.cancel()

        with scope if how == "scope" else nullcontext():
            async with OrchestratorManager(
                registry=registry(), seams=simulation.seams, queue=Connection(store)
            ) as manager:
                execution = await manager.start(CONFIG, execution_id="x")
                for number in range(6):
                    await execution.publish("a", {"number": number, "host": number % 2})
                if how == "cancel":
                    nursery.start_soon(cancel_when_told, execution)
                trio.lowlevel.add_instrument(instrument)
                await execution.complete()
        trio.lowlevel.remove_instrument(instrument)
        assert not manager.executions
        assert_all_is_given_back(execution)
        return instrument.left > 0

    async def main(simulation):
        store = MemoryQueue()
        with trio.fail_after(1000):
            async with collecting(store, out, dead) as nursery:
                ended_before = await first(simulation, store, nursery)
                async with OrchestratorManager(
                    registry=registry(), seams=simulation.seams, queue=Connection(store)
                ) as manager:
                    execution = await manager.start(CONFIG, execution_id="x")
                    report = await execution.complete()
        assert report.status == "completed"
        assert_all_is_given_back(execution)
        return ended_before

    ended_before = in_virtual_time(main, seed=step)
    arrived = [(frame.value()["number"], frame.value()["part"]) for frame in out]
    assert set(arrived) == OUT, f"step {step}"
    assert {letter.value()["number"] for letter in dead} == DEAD, f"step {step}"
    assert len({frame.message_id for frame in out}) == len(OUT), "a repeat has the same id"
    assert len({letter.message_id for letter in dead}) == len(DEAD)
    return ended_before


def cancelled_at_steps(how, steps):
    for step in steps:
        if run_cancelled_at(step, how):
            return step
    raise AssertionError("it never ended by itself")


@pytest.mark.parametrize("how", ["scope", "cancel"])
def test_cancelled_at_some_steps_while_all_goes_wrong(how):
    assert cancelled_at_steps(how, range(1, 5000, 11)) > 100


@pytest.mark.slow
@pytest.mark.parametrize("how", ["scope", "cancel"])
def test_cancelled_at_every_step_while_all_goes_wrong(how):
    last = cancelled_at_steps(how, range(1, 5000))
    print(f"{last} steps")
    assert last > 100
