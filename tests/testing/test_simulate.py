"""A simulated run: what comes out, what the trace says, what is refused, and that the seed decides everything."""

import itertools
import json
import logging
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import trio

from factflow_engine import AdapterNotFoundError, ExecutionStatus, Outcome
from factflow_engine.testing import Input, Simulation, SimulationError, SimulationFailedError, in_virtual_time, simulate
from factflow_engine.testing.simulation.faults import FailStage, SkewClock, SlowStage, StepClock, StickStage
from factflow_engine.testing.simulation.inputs import InputError
from factflow_engine.testing.simulation.models import (
    Bimodal,
    Constant,
    Lognormal,
    Outage,
    Record,
    Replace,
    StageModel,
    StageModelError,
    Weave,
)
from factflow_engine.testing.simulation.oracle import Conservation
from factflow_engine.testing.simulation.playing import Run
from factflow_engine.testing.virtual_time import SimulatedClock
from factflow_protocols import AdapterResult
from support.pipelines import forward, registry_of

HEAD = 'version: "1.0"\n'
SHOP = """\
version: "1.0"
routes:
  orders:
    inbound: {concurrency: 2}
    adapters: [{type: price}]
    outbound:
      - {route: letters, condition: {field: total, operator: gt, value: 10}}
      - {queue: /queue/small, external: true}
    outbound_mode: first
  letters:
    adapters: [{name: send, type: mail}]
    outbound: [{queue: /queue/sent, external: true}]
    error_handling: {max_retries: 2, retry_delay_seconds: 1, dead_letter_queue: /queue/dead}
"""


async def price(context):
    await trio.sleep(0.5)
    return AdapterResult(message={"total": context.message["pieces"] * 4})


MAIL = (StageModel(stage="letters/send"),)


def shop(models=MAIL, **options):
    given = {"registry": registry_of(price=price), "inputs": {"orders": [{"pieces": n} for n in (1, 3, 5)]}, **options}
    return simulate(SHOP, models=models, **given)


def test_a_run_is_a_text_that_can_be_read():
    report = shop(models=[StageModel(stage="letters/send", time=Constant(2))], seed=3).check()
    assert report.payloads("/queue/small") == [{"total": 4}]
    assert report.payloads("/queue/sent") == [{"total": 12}, {"total": 20}]
    assert [round(output.at, 6) for output in report.outputs["/queue/sent"]] == [2.5, 3]
    assert report.outcomes == {
        Outcome.COMPLETED: 5, Outcome.FILTERED: 0, Outcome.DEAD_LETTERED: 0, Outcome.FAILED: 0,
    }  # fmt: skip
    assert report.ended
    assert report.seconds == 3
    assert report.executions[0].status is ExecutionStatus.COMPLETED
    lines = str(report.trace).splitlines()
    assert lines[0] == "    0.000000 p0                                    > started"
    assert "    0.000000    orders                   1         > published     {'pieces': 1}" in lines
    assert "    0.500000 p0 orders/price             1         completed       took 0.5 s" in lines
    assert "    0.500000 p0 orders                   1         = completed     to /queue/small" in lines
    assert "    2.500000 p0 letters/send             2.1       completed       took 2 s" in lines
    assert lines[-1] == "    3.000000 p0                                    > ended         completed"
    assert len(report.trace) == len(lines)
    assert report.trace[0].event == "> started"


def test_one_seed_gives_one_trace_and_others_other_ones():
    models = [StageModel(stage="letters/send", time=Lognormal(median=1), errors=0.4)]
    first, again, *others = [shop(models, seed=seed) for seed in (1, 1, 2, 3, 4)]
    assert first.trace.digest() == again.trace.digest()
    assert first == again
    assert len({str(report.trace) for report in [first, *others]}) == 4


PROGRAM = """
import sys
sys.path.insert(0, "tests")
from testing.test_simulate import shop, StageModel, Lognormal
print(shop([StageModel(stage="letters/send", time=Lognormal(median=1), errors=0.4)], seed=7).trace.digest())
"""


def test_another_process_and_hash_seed_give_the_same_trace():
    here = shop([StageModel(stage="letters/send", time=Lognormal(median=1), errors=0.4)], seed=7).trace.digest()
    root = Path(__file__).parents[2]
    for hash_seed in ("0", "123"):
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM],
            cwd=root,
            env=dict(os.environ, PYTHONHASHSEED=hash_seed),
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.strip() == here


def test_an_hour_passes_at_once():
    start = time.perf_counter()
    report = shop(inputs=[Input("orders", {"pieces": 1}, at=at) for at in range(0, 3600, 60)])
    assert report.seconds == 3540.5
    assert report.counts.inputs == 60
    assert time.perf_counter() - start < 20  # measured in bench; here only that it does not wait


def test_init_messages_come_first_and_outputs_of_topics_are_seen():
    text = HEAD + (
        "routes:\n  a:\n    adapters: [{type: forward}]\n    outbound: [{queue: /topic/out, external: true}]\n"
        "init_message: {route: a, payload: 1}\n"
    )
    report = simulate(text, registry=registry_of(), inputs=[("a", 2)]).check()
    assert report.payloads("/topic/out") == [1, 2]


# -- models --------------------------------------------------------------------------------------------------------------


def one_stage(models, *, count=4, concurrency=10, more="", **options):
    text = HEAD + f"routes:\n  a:\n    inbound: {{concurrency: {concurrency}}}\n    adapters: [{{type: work}}]\n{more}"
    return simulate(text, models=models, inputs={"a": range(count)}, **options)


def test_a_model_has_places_and_a_knee():
    assert one_stage([StageModel(stage="a/work", time=Constant(1))]).seconds == 1
    assert one_stage([StageModel(stage="a/work", time=Constant(1), capacity=2)]).seconds == 2
    assert one_stage([StageModel(stage="a/work", time=Constant(1), knee=2)]).seconds == 2  # the fourth of four


def test_places_that_waiting_calls_give_up_are_not_lost():
    more = "    error_handling: {max_retries: 3, retry_delay_seconds: 0.1, timeout_seconds: 1.5}\n"
    report = one_stage([StageModel(stage="a/work", time=Constant(1), capacity=1)], count=3, more=more).check()
    assert report.ended
    assert report.counts.retries > 0


def test_distributions_are_what_they_say():
    draws = []

    async def main(simulation: Simulation):
        models = (Lognormal(median=2, sigma=0.5), Bimodal(quick=1, slow=9, slow_share=0.25), Constant(3))
        draws.extend(sorted(model.draw(simulation.randomness) for _ in range(4000)) for model in models)

    in_virtual_time(main, seed=1)
    lognormal, bimodal, constant = draws
    assert lognormal[2000] == pytest.approx(2, rel=0.05)
    assert lognormal[3960] == pytest.approx(2 * 3.2, rel=0.15)
    assert bimodal.count(9) == pytest.approx(1000, rel=0.1)
    assert set(constant) == {3}


def test_an_outage_fails_calls_while_it_lasts():
    report = one_stage(
        [StageModel(stage="a/work", outages=(Outage(from_seconds=0, until_seconds=10),))],
        more="    error_handling: {max_retries: 20, retry_delay_seconds: 4}\n",
    ).check()
    assert report.outcomes[Outcome.COMPLETED] == 4
    assert report.seconds >= 10


def test_a_breaker_opens_and_the_trace_says_so():
    report = one_stage(
        [StageModel(stage="a/work", outages=(Outage(from_seconds=0, until_seconds=100),))],
        count=10,
        more="    circuit_breaker: {minimum_calls: 2, sliding_window_size: 4}\n"
        "    error_handling: {max_retries: 50, retry_delay_seconds: 10}\n",
    ).check()
    assert report.counts.breaker_openings >= 1
    assert any(event.event == "~ breaker" and event.detail == "closed -> open" for event in report.trace)


def test_a_stage_is_replaced_woven_and_recorded_without_another_configuration():
    seen = []
    report = shop(
        [
            Replace("letters/send", lambda context: AdapterResult(message=["sent", context.message["total"]])),
            Weave("orders/price", lambda context: seen.append(context.message)),
            Record("letters/send"),
        ]
    ).check()
    assert sorted(seen, key=str) == [{"pieces": n} for n in (1, 3, 5)]
    assert report.payloads("/queue/sent") == [["sent", 12], ["sent", 20]]
    assert [call.message for call in report.calls["letters/send"]] == [{"total": 12}, {"total": 20}]
    assert [call.result.message for call in report.calls["letters/send"]] == [["sent", 12], ["sent", 20]]


def test_stores_of_the_configuration_are_not_touched(tmp_path):
    text = HEAD + (
        f"storage: {{url: file://{tmp_path}/objects}}\nlineage: {{url: sqlite:///{tmp_path}/lineage}}\n"
        "routes:\n  a:\n    adapters: [{type: forward, store: {what: output}}]\n"
    )
    report = simulate(text, registry=registry_of(), inputs=[("a", 1)]).check()
    assert report.outcomes[Outcome.COMPLETED] == 1
    assert list(tmp_path.iterdir()) == []


# -- faults of stages ------------------------------------------------------------------------------------------------------


def test_faults_of_stages_happen_where_the_plan_says():
    report = shop(
        faults=[FailStage(stage="letters/send", nth=1), SlowStage(stage="orders/price", seconds=0.1, extra_seconds=3)]
    ).check()
    assert report.outcomes[Outcome.COMPLETED] == 5
    assert report.counts.retries == 1
    assert sorted(type(fault).__name__ for fault in report.fired) == ["FailStage", "SlowStage"]


def test_a_stuck_stage_is_stopped_and_the_report_says_who_holds_what():
    report = shop(faults=[StickStage(stage="letters/send")])
    with pytest.raises(
        SimulationFailedError, match=r"everything ends: process 0 had not ended .* letters/send"
    ) as raised:
        report.check()
    assert raised.value.reproducer.startswith("simulate(config, inputs=[Input('orders', {'pieces': 1}), ")
    assert (
        "seed=0, faults=[StickStage(stage='letters/send')], registry=registry, models=models)  # config "
        in raised.value.reproducer
    )
    assert not report.ended


def test_until_stops_a_run_without_a_complaint():
    report = shop(faults=[StickStage(stage="letters/send")], until=60).check()
    assert (report.seconds, report.ended) == (60, False)


def test_a_time_limit_frees_a_stuck_stage():
    text = SHOP.replace("type: mail", "type: mail, timeout_seconds: 5")
    report = simulate(
        text,
        registry=registry_of(price=price),
        inputs={"orders": [{"pieces": 3}]},
        models=[StageModel(stage="letters/send")],
        faults=[StickStage(stage="letters/send")],
    ).check()
    assert report.payloads("/queue/sent") == [{"total": 12}]


# -- the oracle ------------------------------------------------------------------------------------------------------------


def test_the_oracle_misses_what_is_taken_away():
    report = shop()
    outcomes = list(report.trace.outcomes())
    accepted = {"orders": [row[2] for row in outcomes if row[1] == "orders"]}
    left = {queue: {bytes.fromhex(each.message_id) for each in found} for queue, found in report.outputs.items()}
    for found in left.values():
        found.update(accepted["orders"], (row[2] for row in outcomes if row[1] == "letters"))
    conservation = Conservation(report.config, accepted, left)
    assert conservation.broken(outcomes) == []
    for place, row in enumerate(outcomes):
        broken = conservation.broken(outcomes[:place] + outcomes[place + 1 :])
        assert broken, f"the loss of {row} was not noticed"
        assert broken[0].name == "nothing is lost"


@pytest.mark.parametrize("queue", ["memory://", "broker://", "sqlite://"])
@pytest.mark.parametrize("read", ["/queue/x", "/topic/x"])
def test_routes_that_read_one_queue_or_topic_lose_nothing(queue, read):
    text = (
        HEAD
        + f"""routes:
  a: {{outbound: [{{queue: {read}}}]}}
  b: {{inbound: {{queue: {read}}}, outbound: [{{queue: /queue/b_out, external: true}}]}}
  c: {{inbound: {{queue: {read}}}, outbound: [{{queue: /topic/c_out, external: true}}]}}
"""
    )
    report = simulate(text, inputs={"a": range(10), "b": range(4)}, queue=queue).check()
    left = sum(map(len, report.outputs.values()))
    assert left == (14 if read.startswith("/queue") else 28)


def test_many_messages_at_one_instant_are_no_circle():
    routes = {f"r{n}": {"adapters": [], "outbound": [{"route": f"r{n + 1}"}]} for n in range(5)}
    text = json.dumps({"version": "1.0", "routes": {**routes, "r5": {}}}) + "\n"
    assert simulate(text, inputs={"r0": range(20_000)}).check().counts.ends == 120_000


@pytest.mark.parametrize("queue", ["memory://", "broker://", "sqlite://"])
@pytest.mark.parametrize("lost", ["/queue/small", "/queue/sent", "/queue/dead"])
def test_what_does_not_leave_is_noticed(monkeypatch, queue, lost):
    have_left = Run._have_left

    def lossy(run, name, messages, at):
        if name != lost:
            have_left(run, name, messages, at)

    models = [StageModel(stage="letters/send", errors=0.9)]
    options = {"inputs": {"orders": [{"pieces": n} for n in range(12)]}, "seed": 1, "queue": queue}
    report = shop(models, **options).check()
    assert set(report.outputs) == {"/queue/small", "/queue/sent", "/queue/dead"}
    monkeypatch.setattr(Run, "_have_left", lossy)
    with pytest.raises(SimulationFailedError, match=f"nothing is lost: queue '{lost}' has given out none of"):
        shop(models, **options).check()


# -- what is refused -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        (
            {"models": ()},
            AdapterNotFoundError,
            r"stage 'letters/send': no adapter type 'mail' .* give models=\[StageModel",
        ),
        (
            {"inputs": {"order": [1]}},
            SimulationError,
            "input 1: expected a route of the configuration .orders, letters., got",
        ),
        ({"inputs": [1]}, InputError, "expected Input"),
        ({"inputs": [("orders", 1, None, None, -1)]}, InputError, "Input.at: expected seconds"),
        ({"inputs": [("orders", 1, None, None, 1e18)]}, InputError, "Input.at: expected at most 1e.09 seconds"),
        ({"inputs": ""}, InputError, "inputs: expected a list of inputs, or payloads by route, got ''"),
        ({"faults": [StepClock(process=1)]}, SimulationError, "StepClock.process: expected a number below processes=1"),
        ({"faults": [SkewClock(process=7)]}, SimulationError, "SkewClock.process: expected a number below processes=1"),
        ({"processes": 0}, SimulationError, "processes: expected a number from 1, got 0"),
        ({"processes": 2}, SimulationError, "write queue='broker://'"),
        ({"queue": "kafka://"}, SimulationError, "queue: expected memory://"),
        ({"faults": [StickStage(stage="letters/post")]}, SimulationError, "expected a stage of the configuration"),
        ({"until": -1}, SimulationError, "until: expected seconds"),
        ({"until": "soon"}, SimulationError, "until: expected seconds"),
        ({"until": 10**400}, SimulationError, "until: expected seconds"),
        ({"processes": "2"}, SimulationError, "processes: expected a number from 1, got '2'"),
        ({"seed": 1.5}, SimulationError, "seed: expected a whole number, got 1.5"),
        ({"seed": "x"}, SimulationError, "seed: expected a whole number, got 'x'"),
        ({"faults": [None]}, SimulationError, r"faults, element 1: expected faults, such as Crash\(at=1\), got None"),
        ({"faults": "crash"}, SimulationError, "faults: expected a list of faults"),
        ({"faults": StickStage(stage="letters/send")}, SimulationError, r"faults: expected a list .* write \[...\]"),
        ({"models": [*MAIL, 1]}, SimulationError, "models, element 2: expected models, such as StageModel"),
        ({"models": MAIL[0]}, SimulationError, "models: expected a list"),
        ({"schedule": ["a"]}, SimulationError, "schedule, element 1: expected numbers of decisions, got 'a'"),
        ({"schedule": [0]}, SimulationError, "schedule: expected numbers of decisions, from 1, got 0"),
        ({"schedule": 5}, SimulationError, "schedule: expected a list"),
        ({"registry": {}}, SimulationError, "registry: expected ValidatingAdapterRegistry or None, got {}"),
        ({"operators": 5}, SimulationError, "operators: expected OperatorRegistry or None, got 5"),
        ({"inputs": 5}, InputError, "inputs: expected a list of inputs, or payloads by route, got 5"),
        ({"inputs": {"orders": "text"}}, InputError, r"inputs\['orders'\]: expected a list of payloads, got 'text'"),
        ({"inputs": {"orders": {"pieces": 1}}}, InputError, r"inputs\['orders'\]: expected a list of payloads"),
        ({"inputs": [({}, 1)]}, InputError, "Input.route: expected the id of a route"),
        ({"inputs": [("orders", 1, 2)]}, InputError, "Input.key: expected a text or None, got 2"),
        ({"inputs": [("orders", 1, None, 5)]}, InputError, "Input.headers: expected a mapping"),
        ({"inputs": [("orders", 1, None, None, "x")]}, InputError, "Input.at: expected seconds"),
    ],
)
def test_what_does_not_fit_is_refused(options, error, said):
    with pytest.raises(error, match=said):
        shop(**options)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Constant(-1), "Constant.seconds: expected seconds, 0 or more, got -1"),
        (lambda: Lognormal(median=0), "Lognormal.median"),
        (lambda: Bimodal(quick=1, slow=2, slow_share=2), "Bimodal.slow_share"),
        (lambda: Outage(from_seconds=2, until_seconds=1), "Outage: expected"),
        (lambda: StageModel(stage="a"), "StageModel.stage: expected 'route/stage', got 'a'"),
        (lambda: StageModel(stage="a/b", errors=2), "StageModel.errors"),
        (lambda: StageModel(stage="a/b", capacity=0), "StageModel.capacity"),
        (lambda: Replace("a", forward), "Replace.stage"),
        (lambda: Replace("a/b", 5), "Replace.process: expected a function, got 5"),
        (lambda: Weave("a/b", 5), "Weave.before: expected a function, got 5"),
        (lambda: Record(None), "Record.stage: expected 'route/stage', got None"),
        (lambda: Constant("1"), "Constant.seconds: expected seconds, 0 or more, got '1'"),
        (lambda: Lognormal(median=1, sigma="x"), "Lognormal.sigma"),
        (lambda: Bimodal(quick=1, slow=2, slow_share=None), "Bimodal.slow_share"),
        (lambda: Outage(from_seconds=0, until_seconds="x"), "Outage: expected"),
        (lambda: StageModel(stage="a/b", time=5), r"StageModel.time: expected a service time, such as Constant\(1\)"),
        (lambda: StageModel(stage="a/b", time=Constant), "StageModel.time: expected a service time, .* got <class"),
        (lambda: StageModel(stage="a/b", errors="x"), "StageModel.errors"),
        (lambda: StageModel(stage="a/b", capacity=1.5), "StageModel.capacity"),
        (lambda: StageModel(stage="a/b", outages=5), "StageModel.outages: expected a tuple"),
        (lambda: StageModel(stage="a/b", process=5), "StageModel.process: expected a function"),
    ],
)
def test_a_model_that_cannot_be_is_refused(make, said):
    with pytest.raises(StageModelError, match=said):
        make()


def test_the_quick_clock_reads_what_trio_says():
    clock = trio.testing.MockClock(autojump_threshold=0)

    async def main():
        for _ in range(5):
            await trio.sleep(0.7)
            assert SimulatedClock(clock).monotonic_ns() == round(trio.current_time() * 1e9) > 0

    trio.run(main, clock=clock)


def test_changes_of_limits_are_in_the_trace():
    text = HEAD + (
        "routes:\n  a:\n    inbound: {concurrency: 50}\n    backpressure: {algorithm: aimd, initial_concurrency: 4}\n"
        "    adapters: [{name: work, type: call_it}]\n"
    )
    report = simulate(text, models=[StageModel(stage="a/work", time=Constant(0.1))], inputs={"a": range(100)}).check()
    changes = [event.detail for event in report.trace if event.event == "~ limit"]
    assert len(changes) > 2
    numbers = [change.partition(",")[0].split(" -> ") for change in changes]
    assert all(one[1] == other[0] for one, other in itertools.pairwise(numbers))
    assert int(numbers[-1][1]) == report.executions[0].limits["a"].limit
    fixed = text.replace("algorithm: aimd, initial_concurrency: 4", "algorithm: fixed, max_concurrency: 4")
    again = simulate(fixed, models=[StageModel(stage="a/work", time=Constant(0.1))], inputs={"a": range(100)})
    assert not any(event.event == "~ limit" for event in again.trace)


def test_the_trace_of_a_long_chain_is_short_enough_to_be_read():
    text = HEAD + (
        "routes:\n  a:\n    adapters: [{type: nap}]\n"
        "    outbound: [{route: a, condition: {field: n, operator: lt, value: 3000}}]\n"
    )

    async def nap(context):
        await trio.sleep(0.001)
        return AdapterResult(message={"n": context.message["n"] + 1})

    report = simulate(text, registry=registry_of(nap=nap), inputs=[("a", {"n": 0})]).check()
    labels = [event.message for event in report.trace if event.event.startswith("= ")]
    assert labels[:3] == ["1", "1.1", "1.1.1"]
    assert labels[7:10] == ["1.1.1.1.1.1.1.1", "1.1.1.1.1.1.1.1.~1", "1.1.1.1.1.1.1.1.~2"]
    assert len(labels) == len(set(labels)) == 3000


@pytest.mark.parametrize("level", [logging.DEBUG, logging.CRITICAL])
def test_the_trace_does_not_depend_on_how_the_program_logs(level, caplog):
    faults = [StickStage(stage="letters/send")]
    usual = str(shop(faults=faults, until=100).trace)
    assert "~ log" in usual
    logger = logging.getLogger("factflow_engine")
    caplog.set_level(level, "factflow_engine")
    logging.disable(level)
    try:
        assert str(shop(faults=faults, until=100).trace) == usual
        assert logger.level == level
        assert logging.root.manager.disable == level
    finally:
        logging.disable(logging.NOTSET)


def test_values_of_the_environment_are_not_in_the_trace(monkeypatch, tmp_path):
    monkeypatch.setenv("TOKEN", "hunter2-hunter2")
    text = HEAD + (
        "routes:\n  a:\n    adapters:\n"
        "      - {type: set_fields, config: {fields: {token: '${TOKEN}'}}}\n"
        "      - {name: fail, type: fail, condition: {field: token, operator: neq, value: '${TOKEN}'}}\n"
        "      - {name: show, type: show}\n"
        "    outbound: [{queue: /queue/out, external: true}]\n"
    )

    async def show(context):
        if context.message["n"]:
            raise ValueError(f"no {context.message['token']}")
        return AdapterResult.forward()

    report = simulate(text, registry=registry_of(fail=forward, show=show), inputs=[("a", {"n": 0}), ("a", {"n": 1})])
    assert report.payloads("/queue/out") == [{"n": 0, "token": "hunter2-hunter2"}]
    assert "hunter2" not in str(report.trace)
    assert "${TOKEN}" in str(report.trace)
    assert "hunter2" not in report.html(tmp_path / "page.html").read_text()
    assert "hunter2" not in report.reproducer
