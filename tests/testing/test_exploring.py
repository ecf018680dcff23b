"""Campaigns find planted faults, make them small, and print a line that does it again; determinism is checked."""

import gc
import itertools
import random
import time

import pytest
import trio

from factflow_engine.testing import SimulationFailedError, assert_outcomes, simulate, validating_registry
from factflow_engine.testing.simulation import (
    Campaign,
    Crash,
    Duplicate,
    FailStage,
    FaultRates,
    Input,
    LoseLease,
    SimulationError,
    StageModel,
    check_determinism,
    explore,
    shrink,
)
from factflow_engine.testing.simulation.models import Lognormal
from factflow_protocols import AdapterResult, sometimes
from support.pipelines import registry_of
from testing.test_simulate import HEAD, SHOP, price, shop

RARE = (
    HEAD
    + """\
routes:
  orders:
    adapters: [{type: forward}]
    outbound:
      - {route: eu, condition: {field: country, operator: in, value: [de, fr]}}
      - {route: other, condition: {field: country, operator: not_in, value: [de, fr, at]}}
  eu: {adapters: [{type: forward}], outbound: [{queue: /queue/to_eu, external: true}]}
  other: {adapters: [{type: forward}], outbound: [{queue: /queue/to_other, external: true}]}
"""
)


def orders(seed):
    draw = random.Random(seed)
    return {"orders": [{"country": draw.choice(["de", "fr", "us"] * 20 + ["at"]), "n": n} for n in range(40)]}


def all_arrive(report):
    arrived = len(report.payloads("/queue/to_eu")) + len(report.payloads("/queue/to_other"))
    assert arrived == len(report.inputs), f"{len(report.inputs) - arrived} of {len(report.inputs)} did not arrive"


def test_a_route_that_drops_a_rare_key_is_found_and_made_small():
    found = explore(RARE, seeds=range(50), registry=registry_of(), inputs=orders, check=all_arrive)
    [failure] = found.failures
    assert [each.payload for each in failure.inputs] == [{"country": "at"}]
    assert failure.schedule == ()
    assert list(failure.config.routes) == ["orders", "eu", "other"]  # without one of them the others do not arrive
    assert not failure.config.routes["eu"].adapters
    assert failure.reproducer.startswith("check(simulate(")
    with pytest.raises(
        SimulationFailedError, match=r"check: AssertionError: 1 of 1 did not arrive(?s:.*)reproduce: check.simulate"
    ):
        found.check()
    with pytest.raises(AssertionError, match="1 of 1 did not arrive"):
        eval(
            failure.reproducer,
            {"simulate": simulate, "Input": Input, "registry": registry_of(), "check": all_arrive},
        )


RACE = (
    HEAD
    + """\
routes:
  a: {inbound: {concurrency: 4}, adapters: [{type: first}]}
  b: {inbound: {concurrency: 4}, adapters: [{type: second}]}
"""
)


def test_a_race_of_two_routes_is_found_with_the_decisions_that_it_needs():
    def racing():
        seen = []

        async def first(context):
            await trio.sleep(0.01)
            seen.append("a")
            return AdapterResult.forward()

        async def second(context):
            await trio.sleep(0.01)
            assert seen, "b was before a"
            return AdapterResult.forward()

        return registry_of(first=first, second=second), seen

    registry, seen = racing()

    def no_failures(report):
        seen.clear()
        assert not report.outcomes["failed"]

    found = explore(RACE, seeds=range(60), registry=registry, inputs=[("a", 1), ("b", 1)], check=no_failures)
    [failure] = found.failures
    assert len(failure.schedule) <= 5
    assert len(failure.inputs) <= 2


def test_a_duplicate_is_found_by_an_adapter_that_is_not_idempotent():
    total = []

    async def add(context):
        total.append(context.message["n"])
        await trio.sleep(1)
        return AdapterResult.forward()

    def added_once(report):
        added, total[:] = list(total), []
        assert sorted(added) == sorted(each.payload["n"] for each in report.inputs), added

    text = HEAD + "routes:\n  a: {adapters: [{type: add}]}\n"
    found = explore(
        text,
        seeds=range(30),
        registry=registry_of(add=add),
        inputs={"a": [{"n": n} for n in range(5)]},
        queue="broker://",
        processes=2,
        faults=[FaultRates(until=30, duplicate=0.05, delay=0.1, crash_seconds=4)],
        check=added_once,
    )
    [failure] = found.failures
    assert len(failure.inputs) == 1
    assert [type(fault) for fault in failure.faults] in ([Duplicate], [Crash])
    assert failure.processes == 1
    assert failure.reproducer.count("\n") == 0


CLAIMS = (
    HEAD
    + """
routes:
  intake:
    outbound:
      - {route: fast, condition: {all_of: [{field: kind, operator: eq, value: car}, {field: amount, operator: lt, value: 500}]}}
      - {route: slow, condition: {any_of: [{field: kind, operator: neq, value: car}, {field: amount, operator: gt, value: 500}]}}
  fast: {outbound: [{queue: /queue/paid, external: true}]}
  slow: {outbound: [{queue: /queue/paid, external: true}]}
"""
)


def test_a_message_is_made_plainer_only_if_it_fails_in_the_whole_configuration():
    def nothing_is_dropped(report):
        assert len(report.payloads("/queue/paid")) == len(report.inputs)

    claims = [("car", 500), ("car", 1000), ("house", 7)]
    inputs = {"intake": [{"kind": kind, "amount": amount} for kind, amount in claims]}
    [failure] = explore(CLAIMS, inputs=inputs, check=nothing_is_dropped, seeds=[1]).failures
    assert [dict(each.payload) for each in failure.inputs] == [{"kind": "car", "amount": 500}]
    assert list(failure.config.routes) == ["intake", "slow"]


def test_the_line_of_a_smaller_configuration_takes_the_models_that_are_left():
    models = [StageModel(stage="orders/price"), StageModel(stage="letters/send", errors=1)]

    def nothing_fails(report):
        assert not report.outcomes["dead_lettered"] + report.outcomes["failed"]

    found = explore(
        SHOP, seeds=[1], models=models, inputs=[("letters", {"n": n}) for n in range(3)], check=nothing_fails
    )
    [failure] = found.failures
    assert list(failure.config.routes) == ["letters"]
    names = {"simulate": simulate, "check": nothing_fails, "Input": Input, "models": models}
    with pytest.raises(AssertionError):
        eval(failure.reproducer, names)


def test_a_sometimes_that_never_held_fails_the_campaign():
    async def check(context):
        sometimes(context.message > 0, "a positive number")
        sometimes(context.message > 100, "a large number")
        return AdapterResult.forward()

    text = HEAD + "routes:\n  a: {adapters: [{type: check}]}\n"
    options = {"registry": registry_of(check=check), "inputs": {"a": [0, 1]}, "seeds": range(3)}
    found = explore(text, **options)
    assert not found.ok
    with pytest.raises(
        SimulationFailedError, match="sometimes 'a large number' was false at each of 6 calls in 3 runs"
    ):
        found.check()
    with pytest.raises(SimulationFailedError, match="'a page is empty' was never reached"):
        explore(text, sometimes=["a page is empty"], **options).check()


def test_a_campaign_adds_up_what_its_runs_saw():
    found = explore(
        SHOP,
        seeds=range(20),
        registry=registry_of(price=price),
        models=[StageModel(stage="letters/send", time=Lognormal(median=1), errors=0.3)],
        inputs={"orders": [{"pieces": n} for n in range(10)]},
    ).check()
    assert isinstance(found, Campaign)
    assert found.counts.runs == 20
    assert found.counts.inputs == 200
    assert found.counts.retries > 50


def test_a_failing_report_is_made_small():
    report = shop(
        queue="broker://",
        faults=[FailStage(stage="letters/send", nth=1), Duplicate(queue="/queue/letters", nth=1)],
    )

    def no_retries(report):
        assert report.counts.retries == 0

    smaller = shrink(
        report, registry=registry_of(price=price), models=[StageModel(stage="letters/send")], check=no_retries
    )
    assert len(smaller.faults) == 1
    assert len(smaller.inputs) == 1
    with pytest.raises(SimulationError, match="expected a run that fails; run again, it does not"):
        shrink(report, registry=registry_of(price=price), models=[StageModel(stage="letters/send")])


# -- determinism -------------------------------------------------------------------------------------------------------------


def test_an_adapter_that_reads_the_clock_is_found():
    async def stamp(context):
        return AdapterResult(message={"at": time.time_ns()})

    text = HEAD + "routes:\n  a: {adapters: [{type: forward}, {name: stamp, type: stamp}]}\n"
    found = check_determinism(text, registry=registry_of(stamp=stamp), inputs=[("a", 1)])
    assert not found.ok
    assert "a/stamp" in found.first[-1]
    assert "payload" in found.first[-1]
    with pytest.raises(SimulationFailedError, match="two runs of seed 0 part at line 4 of their traces"):
        found.check()


def test_a_deterministic_run_is_said_to_be_one():
    found = check_determinism(
        SHOP,
        registry=registry_of(price=price),
        models=[StageModel(stage="letters/send", time=Lognormal(median=1), errors=0.3)],
        inputs={"orders": [{"pieces": n} for n in range(10)]},
        queue="broker://",
        processes=2,
        faults=[FaultRates(until=30, duplicate=0.1, crash_seconds=10, lose_lease=0.1)],
    ).check()
    assert len(found.digest) == 64


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"jobs": "2"}, "jobs: expected a number from 1, got '2'"),
        ({"stop_at": 0}, "stop_at: expected a number from 1, got 0"),
        ({"check": 5}, "check: expected a function, or None, got 5"),
        ({"progress": 5}, "progress: expected a function"),
        ({"seeds": 5}, "seeds: expected a list of whole numbers, got 5"),
        ({"seeds": ["a"]}, "seeds, element 1: expected whole numbers, got 'a'"),
        ({"seeds": []}, "seeds: expected one at least"),
        ({"faults": lambda _: [1]}, "faults, element 1: expected faults"),
        ({"sometimes": 5}, "sometimes: expected a list of names, got 5"),
        ({"sometimes": "a name"}, "sometimes: expected a list of names, got 'a name'"),
        ({"sometimes": [None]}, "sometimes, element 1: expected names, got None"),
    ],
)
def test_a_campaign_refuses_what_it_cannot_use(options, said):
    with pytest.raises(SimulationError, match=said):
        explore(RARE, registry=registry_of(), inputs=orders, **options)


def test_functions_that_would_never_run_are_refused():
    async def never_runs(*_):
        raise AssertionError("it has run")

    for name in ("check", "setup", "progress"):
        with pytest.raises(SimulationError, match=f"{name}: expected a function that is not async, got .* write def"):
            explore(RARE, registry=registry_of(), inputs=orders, **{name: never_runs})


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"report": 5}, "report: expected the report of a run, got 5"),
        ({"check": 5}, "check: expected a function, or None, got 5"),
        ({"setup": 5}, "setup: expected a function, or None, got 5"),
        ({"progress": "a"}, "progress: expected a function, or None, got 'a'"),
    ],
)
def test_shrinking_refuses_what_it_cannot_use(options, said):
    given = {"report": simulate(RARE, registry=registry_of()), **options}
    with pytest.raises(SimulationError, match=said):
        shrink(given.pop("report"), registry=registry_of(), **given)


def test_the_line_publishes_inputs_in_the_order_of_the_small_run():
    """An input whose time became 0 stayed behind the others, and came before them in the run of the line."""

    def no_late_french_order_comes_before_a_german_one(report):
        left = [(each.payload["country"], each.at > 1) for each in report.outputs.get("/queue/to_eu", ())]
        assert left != [("fr", True), ("de", True)], "a late French order came first"

    late = [Input("orders", {"country": "fr"}, at=1.5), Input("orders", {"country": "de"}, at=2.5)]
    check = no_late_french_order_comes_before_a_german_one
    [failure] = explore(RARE, registry=registry_of(), inputs=late, check=check).failures
    again = simulate(
        failure.config, registry=registry_of(), inputs=failure.inputs, seed=failure.seed, schedule=failure.schedule
    )
    assert again.inputs == failure.inputs
    assert again.trace.digest() == failure.trace.digest()


LEDGER: list[int] = []


async def pay(context):
    LEDGER.append(context.message["id"])
    return AdapterResult.forward()


def each_is_paid_once(_):
    assert len(LEDGER) == len(set(LEDGER)), f"paid {sorted(LEDGER)}"


LEDGERS = {
    "config": HEAD
    + """\
routes:
  a:
    adapters: [{type: pay}]
    outbound: [{queue: /queue/out, external: true}]
    error_handling: {max_retries: 1}
""",
    "registry": registry_of(pay=pay),
    "inputs": {"a": [{"id": n} for n in range(5)]},
    "check": each_is_paid_once,
}


def test_what_a_module_keeps_from_run_to_run_is_reset_or_named():
    assert explore(**LEDGERS, setup=LEDGER.clear, seeds=range(5)).ok
    LEDGER.clear()
    with pytest.raises(
        SimulationFailedError, match=r"runs are independent: this fails without an input.*setup=function"
    ):
        explore(**LEDGERS, seeds=range(5)).check()
    crash = {"faults": [FailStage(stage="a/pay", done=True)], "queue": "broker://"}
    found = explore(**LEDGERS, **crash, setup=LEDGER.clear, seeds=range(5))
    [failure] = found.failures
    assert len(failure.inputs) == 1
    [broken] = failure.broken
    assert broken.text.startswith("paid [0, 0]")
    LEDGER.clear()
    options = {"registry": LEDGERS["registry"], "check": each_is_paid_once, "setup": LEDGER.clear}
    assert [broken.name for broken in shrink(failure, **options).broken] == ["check: AssertionError"]


def test_a_failure_that_does_not_come_again_is_a_failure():
    asked = []

    def first_fails(_):
        asked.append(1)
        assert len(asked) > 1

    found = explore(RARE, registry=registry_of(), inputs=orders, check=first_fails, seeds=range(3))
    assert not found.ok
    with pytest.raises(SimulationFailedError, match="runs are independent: seed 0 failed, and does not when"):
        found.check()


def test_inputs_that_differ_still_do_when_they_are_plainer():
    def in_order(report):
        numbers = report.payloads("/queue/out")
        assert all(first < second for first, second in itertools.pairwise(numbers))

    async def slow(context):
        await trio.sleep(0.5 if context.message % 7 == 3 else 0.1)
        return AdapterResult.forward()

    text = HEAD + (
        "routes:\n  a: {inbound: {concurrency: 4}, adapters: [{type: slow}],"
        " outbound: [{queue: /queue/out, external: true}]}\n"
    )
    options = {"registry": registry_of(slow=slow), "inputs": {"a": range(20)}, "check": in_order}
    [failure] = explore(text, seeds=range(3), **options).failures
    numbers = [each.payload for each in failure.inputs]
    assert len(set(numbers)) == 2
    assert [stage.type for stage in failure.config.routes["a"].adapters] == ["slow"]


def test_dead_letters_that_come_back_for_ever_are_found_and_made_small():
    async def bad(context):
        await trio.sleep(20)
        if context.message.get("n") == 3:
            raise ValueError("three")
        return AdapterResult.forward()

    text = (
        HEAD
        + """routes:
  work:
    adapters: [{type: bad}]
    outbound: [{queue: /queue/out, external: true}]
    error_handling: {max_retries: 0, dead_letter_queue: /queue/dead}
  again: {inbound: {queue: /queue/dead}, outbound: [{route: work}]}
"""
    )
    inputs = {"work": [{"n": n} for n in range(6)]}
    [failure] = explore(text, seeds=range(2), registry=registry_of(bad=bad), inputs=inputs).failures
    assert failure.broken[0].name == "everything ends"
    assert "had not ended 21600 s" in failure.broken[0].text
    assert [each.payload for each in failure.inputs] == [{"n": 3}]
    assert failure.schedule == ()


def test_the_line_makes_hostile_values_again():
    given = [
        Input("orders", float("nan"), headers={"h": float("-inf")}),
        Input("orders", {"x": [b"\xff", float("inf"), "\n\u2028\u00e9"], "y": {"z": float("nan")}}, key="k"),
    ]
    line = simulate(RARE, registry=registry_of(), models=[StageModel(stage="orders/forward")], inputs=given).reproducer
    assert line.count("\n") == 0
    assert "registry=registry, models=models)" in line
    names = {"config": RARE, "Input": Input, "registry": registry_of(), "models": (), "simulate": simulate}
    assert repr(eval(line, names).inputs) == repr(tuple(given))


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_campaign_leaves_the_collection_of_garbage_as_it_was(jobs):
    explore(
        SHOP, registry=registry_of(price=price), models=[StageModel(stage="letters/send")], seeds=range(4), jobs=jobs
    )
    assert gc.isenabled()
    assert not gc.get_freeze_count()
    gc.freeze()  # as a server does after its start
    try:
        explore(SHOP, registry=registry_of(price=price), models=[StageModel(stage="letters/send")], seeds=range(2))
        assert gc.get_freeze_count()
    finally:
        gc.unfreeze()


PARCELS = (
    HEAD
    + """\
routes:
  sort:
    outbound:
      - {route: light, condition: {field: kg, operator: lt, value: 20}}
      - {route: heavy, condition: {all_of: [{field: kg, operator: gte, value: 20}, {not: {field: express, operator: eq, value: true}}]}}
  light: {outbound: [{queue: /queue/out, external: true}]}
  heavy: {outbound: [{queue: /queue/out, external: true}]}
"""
)


def test_a_field_without_which_all_inputs_would_fail_is_kept():
    """A parcel without a weight is lost as well, but none was sent: the failure is that of heavy express ones."""

    def none_is_lost(report):
        assert len(report.payloads("/queue/out")) == len(report.inputs), "a parcel is lost"

    parcels = [{"kg": kg, "express": kg % 7 == 0, "note": "x"} for kg in range(1, 25)]
    [failure] = explore(PARCELS, inputs={"sort": parcels}, check=none_is_lost).failures
    assert [each.payload for each in failure.inputs] == [{"kg": 21, "express": True}]


def test_a_small_run_has_no_error_that_the_whole_one_had_not():
    async def bill(context):
        if context.message["country"] == "ch":
            raise ValueError("no such country")
        return AdapterResult.forward()

    text = HEAD + "routes: {bill: {adapters: [{type: bill}], error_handling: {max_retries: 0}}}\n"
    [failure] = explore(
        text,
        registry=validating_registry(bill),
        inputs={"bill": [{"country": "de"}, {"country": "ch"}]},
        check=lambda report: assert_outcomes(report.executions[0], completed=len(report.inputs)),
    ).failures
    assert [each.payload for each in failure.inputs] == [{"country": "ch"}]
    assert {error for error, _ in failure.trace.errors()} == {"ValueError"}


def test_a_stage_without_which_an_input_alone_would_fail_is_kept():
    """Without it the books would be wrong for each input, and the failure would not be that of the two together."""
    text = HEAD + "routes: {salary: {adapters: [{type: credit}]}, rent: {adapters: [{type: debit}]}}\n"
    account = {"balance": 0}

    def of(sign, seconds):
        async def book(context):
            old = account["balance"]
            await trio.sleep(seconds)
            account["balance"] = old + sign * context.message["amount"]
            return AdapterResult.forward()

        return book

    def the_books_balance(report):
        signed = [each.payload["amount"] * (1 if each.route == "salary" else -1) for each in report.inputs]
        assert account["balance"] == sum(signed), "an update is lost"

    [failure] = explore(
        text,
        registry=validating_registry(credit=of(1, 0.02), debit=of(-1, 0.01)),
        inputs=[Input(route, {"amount": 5}, at=at) for at in (3, 3, 4) for route in ("salary", "rent")],
        check=the_books_balance,
        setup=lambda: account.update(balance=0),
    ).failures
    assert len(failure.inputs) == 2
    assert sum(map(len, (route.adapters for route in failure.config.routes.values()))) >= 1
    assert {each.at for each in failure.inputs} == {0}, "both come at once, at the beginning"


def test_a_fault_happens_to_the_first_message_before_messages_become_too_plain_for_it():
    text = HEAD + "routes: {take: {adapters: [{type: take}]}}\n"
    taken = []

    async def take(context):
        taken.append(context.message["count"])
        await trio.sleep(0.05)
        return AdapterResult.forward()

    def what_is_ordered_is_taken(report):
        assert sum(taken) == sum(each.payload["count"] for each in report.inputs), "too much is taken"

    [failure] = explore(
        text,
        registry=validating_registry(take),
        inputs=[Input("take", {"count": 1 + n % 3}, at=n * 1.3) for n in range(10)],
        faults=[LoseLease(queue="/queue/take", nth=7)],
        processes=2,
        queue="broker://",
        check=what_is_ordered_is_taken,
        setup=taken.clear,
    ).failures
    assert failure.faults == (LoseLease(queue="/queue/take"),)
    assert len(failure.inputs) == 1


def test_a_check_that_returns_false_fails():
    campaign = explore(
        SHOP,
        registry=registry_of(price=price),
        models=[StageModel(stage="letters/send")],
        seeds=range(2),
        check=lambda report: report.seed == 0,
    )
    assert campaign.failed_seeds == (1,)
    assert campaign.failures[0].broken[0].text == "it returned False; raise what is wrong"


def test_one_stage_has_one_model():
    model = StageModel(stage="letters/send")
    with pytest.raises(SimulationError, match="expected one StageModel of stage 'letters/send', got several"):
        simulate(SHOP, registry=registry_of(price=price), models=[model, model])
