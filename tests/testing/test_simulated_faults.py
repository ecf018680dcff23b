"""Faults of processes and queues in simulated runs: nothing is lost, what happened can be done again, and is listed."""

import pytest
import trio

from factflow_engine.testing import SimulationError, simulate
from factflow_engine.testing.simulation import (
    CancelExecution,
    Crash,
    Delay,
    DropDelivery,
    Duplicate,
    FailQueue,
    FailStage,
    FailStorage,
    FaultRates,
    Input,
    LoseLease,
    PowerCut,
    Record,
    Reorder,
    Replace,
    SkewClock,
    SlowStage,
    StageModel,
    StepClock,
)
from factflow_engine.testing.simulation.models import Constant
from factflow_protocols import AdapterResult, always, eventually, leads_to, reached, sometimes
from support.pipelines import registry_of
from testing.test_simulate import HEAD, MAIL, shop

RATES = FaultRates(
    until=60,
    duplicate=0.1,
    delay=0.1,
    reorder=0.1,
    drop_delivery=0.1,
    lose_lease=0.1,
    fail_queue=0.02,
    fail_stage=0.1,
    slow_stage=0.1,
    crash_seconds=20,
    cancel_seconds=20,
)
MANY = {"orders": [{"pieces": n} for n in range(30)]}


@pytest.mark.parametrize("seed", range(6))
def test_nothing_is_lost_whatever_happens_for_a_while(seed):
    report = shop(queue="broker://", processes=2, seed=seed, inputs=MANY, faults=[RATES]).check()
    assert report.ended
    assert report.counts.crashes + report.counts.cancellations > 0
    assert len(report.fired) > 10
    assert sum(report.outcomes.values()) >= len(MANY["orders"])


def test_calls_of_stages_fail_before_their_work_and_after_it():
    rates = FaultRates(fail_stage=0.2, until=60)
    handled = []

    async def price(context):
        handled.append(context.message["pieces"])
        return AdapterResult.forward()

    report = shop([Replace("orders/price", price), *MAIL], inputs=MANY, faults=[rates]).check()
    fired = [fault for fault in report.fired if fault.stage == "orders/price"]
    before, after = ([fault for fault in fired if fault.done is done] for done in (False, True))
    assert before
    assert after
    assert len(handled) == len(MANY["orders"]) - len(before), "the route tries nothing again"


def test_a_stage_that_is_slow_for_a_time_is_as_slow_again():
    report = shop(inputs=MANY, faults=[SlowStage(stage="letters/send", seconds=50, extra_seconds=4)]).check()
    again = shop(inputs=MANY, faults=report.fired)
    assert str(again.trace).count("! fault") > 1
    assert str(again.trace) == str(report.trace)


@pytest.mark.parametrize("nth", [None, 2])
def test_a_fault_that_is_planned_twice_happens_twice_again(nth):
    twice = [SlowStage(stage="letters/send", seconds=50, extra_seconds=4, nth=nth) for _ in range(2)]
    report = shop(inputs=MANY, faults=twice).check()
    assert list(report.fired) == twice
    assert str(shop(inputs=MANY, faults=report.fired).trace) == str(report.trace)


def test_of_two_cancellations_the_first_has_happened():
    faults = [CancelExecution(at=1), CancelExecution(at=1.001)]
    report = shop(queue="broker://", faults=faults).check()
    assert list(report.fired) == faults[:1]
    assert str(shop(queue="broker://", faults=report.fired).trace) == str(report.trace)


def test_a_crash_during_a_cancellation_happens_again_with_it():
    both = 0
    for step in range(40, 200, 5):
        faults = [CancelExecution(at=1), Crash(step=step)]
        report = shop(queue="broker://", faults=faults)
        again = shop(queue="broker://", faults=report.fired)
        assert str(again.trace) == str(report.trace)
        both += [type(fault) for fault in report.fired] == [CancelExecution, Crash]
    assert both


def test_what_has_happened_happens_again_without_the_rates():
    report = shop(queue="broker://", processes=2, seed=5, inputs=MANY, faults=[RATES])
    again = shop(queue="broker://", processes=2, seed=5, inputs=MANY, faults=report.fired)
    assert str(again.trace) == str(report.trace)
    assert again.fired == report.fired


@pytest.mark.parametrize("step", range(1, 120, 7))
def test_a_process_that_crashes_after_any_step_loses_nothing(step):
    report = shop(queue="broker://", faults=[Crash(step=step)]).check()
    assert sorted(report.payloads("/queue/sent"), key=str) == [{"total": 12}, {"total": 20}]
    if report.counts.crashes:
        assert any(event.event == "! crashed" for event in report.trace)


def test_each_life_of_each_process_has_its_own_steps():
    faults = [Crash(process=None, step=40), Crash(step=30, life=1), CancelExecution(step=35, life=2), Crash(step=90)]
    report = shop(queue="broker://", processes=2, faults=faults).check()
    ended = [
        (event.process, event.event, event.detail)
        for event in report.trace
        if event.event in {"! crashed", "! cancelled"}
    ]
    assert sorted(ended) == [
        (0, "! cancelled", repr(faults[2])),
        (0, "! crashed", repr(faults[1])),
        (0, "! crashed", repr(faults[0])),
        (1, "! crashed", repr(faults[0])),
    ]
    assert report.fired == tuple(faults[:3])  # the other one came too late


def test_an_ending_that_another_one_overtook_changes_nothing_of_a_run_without_it():
    """Found by the soak: it was taken for the first life's, and without it the next one was."""
    plan = [CancelExecution(step=10_000), CancelExecution(at=0.2), Crash(step=3, life=1, restart_after=None)]
    report = shop(queue="broker://", faults=plan)
    again = shop(queue="broker://", faults=report.fired)
    assert str(again.trace) == str(report.trace)
    assert len(report.fired) == 2


@pytest.mark.parametrize("step", range(1, 120, 13))
def test_an_execution_that_is_cancelled_after_any_step_loses_nothing(step):
    report = shop(queue="broker://", faults=[CancelExecution(step=step)]).check()
    assert sorted(report.payloads("/queue/sent"), key=str) == [{"total": 12}, {"total": 20}]


@pytest.mark.parametrize(
    "fault",
    [
        Duplicate(queue="/queue/orders", nth=2),
        Delay(queue="/queue/letters", seconds=9),
        Reorder(queue="/queue/orders", nth=1, behind=2),
        DropDelivery(queue="/queue/letters", nth=1),
        LoseLease(queue="/queue/orders", nth=1),
        FailQueue(operation="receive", nth=2, done=True),
        FailQueue(operation="settle", nth=1),
        Crash(at=0.2),
        Crash(process=None, at=0.2, restart_after=5),
        CancelExecution(at=0.2),
        FailStage(stage="letters/send", done=True),
    ],
    ids=lambda fault: fault.kind,
)
def test_each_fault_happens_once_and_loses_nothing(fault):
    report = shop(queue="broker://", faults=[fault], processes=2).check()
    assert fault in report.fired
    assert report.ended
    assert len(report.fired) == 1
    assert {payload["total"] for payload in report.payloads("/queue/sent")} == {12, 20}
    assert any(event.event.startswith("! ") for event in report.trace)


@pytest.mark.parametrize("seed", range(4))
def test_processes_on_a_file_crash_and_lose_their_power_and_nothing_else(seed):
    faults = [Crash(step=60 + 31 * seed), PowerCut(at=0.3 + seed / 10, restart_after=2), PowerCut(step=150 + 10 * seed)]
    report = shop(
        queue="sqlite://", processes=2, seed=seed, inputs={"orders": [{"pieces": n} for n in range(12)]}, faults=faults
    )
    report.check()
    assert report.ended
    assert any(event.event == "! power cut" for event in report.trace)
    sent = {payload["total"] for payload in report.payloads("/queue/sent")}
    assert sent == {4 * n for n in range(12) if 4 * n > 10}


def test_a_run_on_a_file_is_a_function_of_its_seed():
    options = {"queue": "sqlite://", "processes": 2, "faults": [Crash(step=100), PowerCut(at=0.4)]}
    first, again = (shop(seed=3, **options).check() for _ in range(2))
    assert str(first.trace) == str(again.trace)


STORING = (
    "routes:\n  a:\n    adapters: [{type: forward, store: {what: output}}]\n"
    "    error_handling: {max_retries: 5, retry_delay_seconds: 1}\n"
)


@pytest.mark.parametrize("done", [False, True])
def test_a_failing_store_makes_a_stage_try_again(done):
    report = simulate(
        HEAD + STORING,
        registry=registry_of(),
        inputs={"a": range(5)},
        faults=[FailStorage(operation="write", nth=2, done=done)],
    ).check()
    assert report.outcomes["completed"] == 5
    assert report.counts.retries == 1
    assert report.fired == (FailStorage(operation="write", nth=2, done=done),)


def test_stores_fail_at_random_and_lose_their_power():
    report = simulate(
        HEAD + STORING,
        registry=registry_of(),
        inputs=[Input("a", n, at=n / 10) for n in range(20)],
        queue="sqlite://",
        seed=4,
        faults=[FaultRates(until=30, fail_storage=0.2), PowerCut(at=0.7, restart_after=0.2), PowerCut(at=1.4)],
    ).check()
    assert report.counts.crashes >= 1
    assert any(isinstance(fault, FailStorage) for fault in report.fired)
    assert report.ended


@pytest.mark.parametrize("queue", ["broker://", "sqlite://"])
def test_wrong_clocks_lose_nothing(queue):
    clocks = [
        SkewClock(rate=1.5, process=1),
        StepClock(at=0.3, seconds=-3600, process=0),
        StepClock(at=0.5, seconds=7200),
    ]
    report = shop(queue=queue, processes=2, faults=clocks, until=40_000)
    assert report.ok
    assert report.ended
    assert set(report.fired) == set(clocks)
    assert {payload["total"] for payload in report.payloads("/queue/sent")} == {12, 20}


def test_a_process_that_is_not_started_again_leaves_its_work_to_others():
    report = shop(queue="broker://", faults=[Crash(at=0.3, restart_after=None)], processes=2)
    assert {payload["total"] for payload in report.payloads("/queue/sent")} == {12, 20}
    assert not report.ended
    assert report.ok


def test_a_dead_process_does_nothing_more():
    """What its `finally` blocks do when it is buried is not in the trace, and its places are free for others."""
    report = shop(
        models=[StageModel(stage="letters/send", time=Constant(5), capacity=1), Record("letters/send")],
        queue="broker://",
        faults=[Crash(at=2, restart_after=3)],
    ).check()
    crashed = next(place for place, event in enumerate(report.trace) if event.event == "! crashed")
    started = next(place for place, event in enumerate(report.trace) if place > crashed and event.event == "> started")
    assert not [event for event in report.trace[crashed + 1 : started] if event.process == 0]
    assert {payload["total"] for payload in report.payloads("/queue/sent")} == {12, 20}


def test_safety_alone_is_judged_when_faults_never_stop():
    forever = FaultRates(fail_stage=0.5, crash_seconds=5)
    report = shop(
        queue="broker://",
        faults=[forever],
        until=100,
        inputs=[Input("orders", {"pieces": 3}, at=at) for at in range(0, 200, 9)],
    )
    report.check()
    assert report.seconds >= 100
    with pytest.raises(SimulationError, match="FaultRates without an end never let the run end; write until="):
        shop(queue="broker://", faults=[forever])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"faults": [Crash(at=1)]}, "Crash needs a queue that outlives its process; write queue='broker://'"),
        ({"faults": [FaultRates(until=1, duplicate=0.1)]}, r"FaultRates\(duplicate=\.\.\.\) needs a queue"),
        ({"faults": [Duplicate(queue="/queue/order")], "queue": "broker://"}, "expected a queue of the configuration"),
        ({"faults": [Crash(process=1, at=1)], "queue": "broker://"}, "expected a number below processes=1, got 1"),
        (
            {"faults": [LoseLease(queue="/queue/orders")], "queue": "sqlite://"},
            "LoseLease of queues needs the simulated broker",
        ),
        ({"faults": [PowerCut(at=1)], "queue": "broker://"}, "PowerCut needs files; write queue='sqlite://'"),
    ],
)
def test_faults_that_cannot_happen_are_refused(options, said):
    with pytest.raises(SimulationError, match=said):
        shop(**options)


# -- assertions of the code that runs ----------------------------------------------------------------------------------------


def asserting(make, **options):
    registry = registry_of(check=make)
    text = HEAD + "routes:\n  a:\n    adapters: [{type: check}]\n"
    return simulate(text, registry=registry, inputs={"a": range(4)}, **options)


def test_assertions_of_adapters_are_judged():
    async def check(context):
        always(context.message < 3, "numbers are small", context.message)
        sometimes(context.message == 2, "a two is seen")
        sometimes(context.message == 7, "a seven is seen")
        leads_to("begun", "done", within=5)
        reached("begun", context.message)
        await trio.sleep(1)
        if context.message != 1:
            reached("done", context.message)
        flags = []
        eventually(lambda: bool(flags), "a flag is set", within=10)
        if context.message != 0:
            flags.append(1)
        return AdapterResult.forward()

    report = asserting(check)
    names = sorted(broken.name for broken in report.broken)
    assert len(names) == 3, names
    assert "numbers are small" in names[0]
    assert "a flag is set" in names[1]
    assert "begun" in names[2]
    counted = {name: count for (_, name), count in report.assertions.items()}
    assert counted["a two is seen"].held == 1
    assert counted["a seven is seen"].held == 0


def test_a_failed_execution_is_no_success():
    text = HEAD + "orchestrator: {max_failed_messages: 0}\nroutes:\n  a:\n    adapters: [{type: work}]\n"
    report = simulate(text, models=[StageModel(stage="a/work", errors=1)], inputs=[("a", 1)])
    assert [broken.name for broken in report.broken] == ["executions complete"]


@pytest.mark.parametrize("queue", ["memory://", "broker://", "sqlite://"])
def test_what_leaves_after_a_cancellation_is_seen(queue):
    text = (
        HEAD + "routes:\n  a: {adapters: [{name: s, type: forward}], outbound: [{queue: /queue/out, external: true}]}\n"
    )
    models = [StageModel(stage="a/s", time=Constant(3))]
    report = simulate(
        text, registry=registry_of(), models=models, inputs=[("a", 1)], faults=[CancelExecution(at=1)], queue=queue
    ).check()
    assert report.counts.cancellations == 1
    assert report.payloads("/queue/out") == [1]
