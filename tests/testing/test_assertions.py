"""Assertions in production code: nothing without a simulation, and judged exactly in one."""

import logging
import math
import pickle
import timeit
from pathlib import Path
from types import SimpleNamespace

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from factflow_engine.testing import Simulation, in_virtual_time
from factflow_engine.testing.simulation.assertions import (
    AssertionCount,
    Assertions,
    AssertionUseError,
    CampaignTotals,
    RoundPolling,
    observed,
)
from factflow_protocols import (
    AdapterResult,
    PipelineAdapter,
    always,
    assertions,
    declare_sometimes,
    eventually,
    leads_to,
    reached,
    sometimes,
)
from support.pipelines import run


@pytest.fixture
def clock():
    return SimpleNamespace(now=0.0)


@pytest.fixture
def judged(clock):
    """Assertions that observe the test."""
    made = Assertions(now=lambda: clock.now)
    with observed(made):
        yield made


@pytest.fixture
def production(monkeypatch):
    monkeypatch.setattr(assertions, "_broken", {})


# In production


def test_without_a_simulation_nothing_is_evaluated_kept_or_raised(production, caplog):
    always(True, "a")
    sometimes(False, "b")
    declare_sometimes("c")
    eventually(lambda: 1 / 0, "d", within=-1)
    leads_to("e", "f", within=-1)
    reached("e", [])
    assert assertions.broken_always() == {}
    assert caplog.records == []


def test_a_false_always_is_logged_once_for_each_name_with_its_place_and_counted(production, caplog):
    for _ in range(3):
        always(0, "a total is positive", details="secret")
    always(None, "another")
    assert assertions.broken_always() == {"a total is positive": 3, "another": 1}
    first, second = caplog.records
    assert (first.name, first.levelno) == ("factflow_protocols", logging.ERROR)
    assert "'a total is positive' does not hold, at" in first.getMessage()
    assert f"{Path(__file__).name}:" in first.getMessage()
    assert "secret" not in caplog.text
    assert "another" in second.getMessage()


def test_names_made_from_messages_do_not_fill_the_memory(production, caplog):
    for number in range(assertions.MOST_NAMES + 5):
        always(False, f"name {number}")
    assert len(assertions.broken_always()) == len(caplog.records) == assertions.MOST_NAMES
    always(False, "name 0")
    assert assertions.broken_always()["name 0"] == 2


def test_a_false_always_does_not_change_the_outcome_of_a_message(production):
    def broken(context):
        always(False, "never")
        return AdapterResult.forward()

    async def main():
        return await run(
            "routes: {a: {adapters: [{type: broken}]}}", adapters={"broken": broken}, publish=[("a", 1), ("a", 2)]
        )

    assert trio.run(main).routes["a"].completed == 2
    assert assertions.broken_always() == {"never": 2}


@pytest.mark.parametrize("call", ["always(True, 'a')", "sometimes(False, 'a')", "reached('a', 1)"])
def test_a_call_costs_a_fraction_of_a_microsecond(call):
    """About 50 ns where this was written; the bound leaves room for a slow and busy machine."""
    number = 20_000
    best = min(timeit.repeat(call, globals=globals(), number=number, repeat=20)) / number
    assert best < 500e-9


# Installing


def test_observers_nest_and_are_undone_however_a_block_ends(clock):
    outer, inner = (Assertions(now=lambda: clock.now) for _ in range(2))
    assert not assertions.is_observed()
    with observed(outer):
        with pytest.raises(ZeroDivisionError), observed(inner):
            always(True, "inner")
            raise ZeroDivisionError
        always(True, "outer")
        with observed(None):
            assert not assertions.is_observed()
            always(True, "none")
    assert not assertions.is_observed()
    assert set(outer.counts) == {("always", "outer")}
    assert set(inner.counts) == {("always", "inner")}


def test_two_runs_in_one_process_do_not_mix():
    made = {}

    async def one(name):
        made[name] = Assertions(now=trio.current_time)
        with observed(made[name]):
            async with trio.open_nursery() as nursery:
                for _ in range(3):
                    nursery.start_soon(task, name)

    async def task(name):
        await trio.sleep(1)
        always(name == "good", "good")

    async def main():
        async with trio.open_nursery() as nursery:
            nursery.start_soon(one, "good")
            nursery.start_soon(one, "bad")

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
    assert made["good"].counts == {("always", "good"): AssertionCount(3, 3)}
    assert made["bad"].counts == {("always", "good"): AssertionCount(3, 0)}


def test_adapters_in_threads_and_in_the_loop_are_observed(clock):
    def in_a_thread(context):
        sometimes(context.message == 2, "two, in a thread")
        return AdapterResult.forward()

    async def in_the_loop(context):
        sometimes(context.message == 2, "two, in the loop")
        return AdapterResult.forward()

    judged = Assertions(now=lambda: clock.now)
    with observed(judged):
        trio.run(
            lambda: run(
                "routes: {a: {adapters: [{type: one}, {type: other}]}}",
                adapters={"one": in_a_thread, "other": in_the_loop},
                publish=[("a", 1), ("a", 2)],
            )
        )
    assert judged.counts == {
        ("sometimes", "two, in a thread"): AssertionCount(2, 1),
        ("sometimes", "two, in the loop"): AssertionCount(2, 1),
    }


# always


def test_a_false_always_is_one_violation_with_its_first_time_place_and_count(judged, clock):
    always(True, "small")
    for clock.now in (2.5, 3.0):
        always(clock.now < 2, "small", {"now": clock.now})
    [violation] = judged.finish()
    assert (violation.kind, violation.name, violation.seconds) == ("always", "small", 2.5)
    assert violation.text.startswith("always 'small' was false at test_assertions.py:")
    assert violation.text.endswith(
        " in test_a_false_always_is_one_violation_with_its_first_time_place_and_count, with {'now': 2.5} "
        "(at 2.5 s; 2 of 3 times)"
    )
    assert str(violation) == violation.text


def test_details_are_shown_the_same_in_every_run_and_never_raise(judged):
    class Hostile:
        def __repr__(self):
            raise RuntimeError("no")

    always(False, "a", object())
    always(False, "b", Hostile())
    always(False, "c", "x" * 1000)
    a, b, c = (violation.text for violation in judged.finish())
    assert "with <object object>" in a
    assert "with a Hostile whose repr raised RuntimeError: no" in b
    assert len(c) < 500


def test_a_condition_without_a_truth_raises_to_its_caller(judged):
    class Unclear:
        def __bool__(self):
            raise ValueError("several values")

    with pytest.raises(ValueError, match="several"):
        always(Unclear(), "a")


# eventually


def test_a_condition_that_is_true_now_is_not_watched(judged):
    eventually(lambda: True, "now", within=0)
    assert judged.finish() == []
    assert judged.counts == {("eventually", "now"): AssertionCount(1, 1)}


def test_a_condition_that_raises_is_a_violation_and_is_not_evaluated_again(judged, clock):
    calls = []

    def condition():
        calls.append(clock.now)
        if clock.now:
            raise KeyError("gone")
        return False

    eventually(condition, "there")
    clock.now = 1.0
    judged.poll()
    judged.poll()
    [violation] = judged.finish()
    assert violation.seconds == 1.0
    assert "the condition of eventually 'there' of test_assertions.py" in violation.text
    assert "raised KeyError: 'gone'" in violation.text
    assert calls == [0.0, 1.0]


def in_rounds(function):
    """Run a function of a nursery and an `Assertions` in virtual time, polled in each round; return its violations."""
    judged = Assertions(now=trio.current_time)

    async def main():
        async with trio.open_nursery() as nursery:
            await function(nursery)
        return judged.finish()

    with observed(judged):
        return trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0), instruments=[RoundPolling(judged)])


times = st.integers(0, 20).map(float)


@given(start=times, becomes=st.none() | times, ends=times, within=st.none() | times, lasts=st.none() | times, end=times)
def test_eventually_holds_exactly_if_it_is_true_at_a_time_until_its_deadline(start, becomes, ends, within, lasts, end):
    """Against the definition, on whole seconds: true from `becomes`, for `lasts` seconds; the run ends last."""
    state = SimpleNamespace(is_true=False)

    async def at(seconds, value):
        await trio.sleep_until(seconds)
        state.is_true = value

    async def ask():
        await trio.sleep_until(start + 0.5)
        eventually(lambda: state.is_true, "true", within=within)

    async def scenario(nursery):
        # Half a second between what happens and what asks, so that the order within an instant does not matter.
        nursery.start_soon(ask)
        nursery.start_soon(trio.sleep_until, end)
        if becomes is not None:
            nursery.start_soon(at, becomes, True)
            if lasts is not None:
                nursery.start_soon(at, becomes + lasts + 0.25, False)

    found = in_rounds(scenario)
    since, until = start + 0.5, math.inf if within is None else start + 0.5 + within
    first = math.inf if becomes is None else max(since, becomes)
    stops = math.inf if lasts is None or becomes is None else becomes + lasts + 0.25
    held = first <= until and first < stops and first < math.inf
    assert (found == []) == held
    if found:
        [violation] = found
        happenings = [since, end, *([] if becomes is None else [becomes]), *([] if stops == math.inf else [stops])]
        assert violation.seconds == min(until, max(happenings))


def test_without_polling_conditions_are_evaluated_at_the_end_alone(judged, clock):
    seen = []
    eventually(lambda: 1 in seen, "one", within=1)
    eventually(lambda: 2 in seen, "two", within=1)
    seen.append(1)
    clock.now = 10.0
    [violation] = judged.finish()
    assert (violation.name, violation.seconds) == ("two", 1.0)


def test_with_polling_a_condition_that_is_true_only_after_its_deadline_does_not_count(judged, clock):
    seen = []
    eventually(lambda: seen, "seen", within=1)
    judged.poll()
    clock.now = 10.0
    seen.append(1)
    [violation] = judged.finish()
    assert violation.seconds == 1.0


def test_a_run_that_was_cut_off_is_judged_by_its_deadlines_alone(judged, clock):
    leads_to("cause", "effect")
    leads_to("cause", "answer", within=1)
    reached("cause", 1)
    eventually(lambda: False, "late", within=2)
    eventually(lambda: False, "later", within=20)
    clock.now = 5.0
    judged.poll()
    assert [violation.name for violation in judged.finish(is_complete=False)] == ["cause -> answer", "late"]


# leads_to


@st.composite
def histories(draw):
    events = draw(st.lists(st.tuples(times, st.sampled_from("ce"), st.sampled_from(["x", "y"])), max_size=12))
    return sorted(events, key=lambda event: event[0]), draw(st.none() | times), draw(times)


@given(histories())
def test_leads_to_holds_exactly_if_each_cause_is_answered_in_time(history):
    events, within, more = history
    clock = SimpleNamespace(now=0.0)
    judged = Assertions(now=lambda: clock.now)
    with observed(judged):
        leads_to("c", "e", within=within)
        for clock.now, name, key in events:
            reached(name, key)
    clock.now = end = clock.now + more
    broken = []
    for place, (when, name, key) in enumerate(events):
        if name == "c":
            deadline = math.inf if within is None else when + within
            answers = [t for t, other, its in events[place + 1 :] if (other, its) == ("e", key) and t <= deadline]
            if not answers:
                broken.append(min(deadline, end))
    found = judged.finish()
    assert [violation.seconds for violation in found] == ([min(broken)] if broken else [])
    causes = sum(name == "c" for _, name, _ in events)
    assert judged.counts["leads_to", "c -> e"] == AssertionCount(causes, causes - len(broken))


def test_a_missing_effect_is_told_with_its_key_and_the_place_of_the_cause(judged, clock):
    leads_to("taken", "shipped", within=60)
    clock.now = 5.0
    reached("taken", "order 7")
    clock.now = 100.0
    [violation] = judged.finish()
    assert violation.seconds == 65.0
    assert violation.text.startswith("leads_to 'taken -> shipped' of test_assertions.py:")
    assert violation.text.endswith(" at 5 s, for key 'order 7' did not hold by 65 s (at 65 s; 1 of 1 times)")


def test_the_first_missing_effect_is_told_though_a_later_one_is_noticed_first(judged, clock):
    leads_to("a", "b", within=1)
    reached("a", "x")
    clock.now = 1.0
    reached("a", "y")
    clock.now = 5.0
    reached("b", "y")
    [violation] = judged.finish()
    assert violation.seconds == 1.0
    assert "for key 'x'" in violation.text
    assert "2 of 2 times" in violation.text


def test_declaring_again_changes_nothing_and_otherwise_is_a_mistake(judged):
    leads_to("a", "b", within=1)
    reached("a")
    leads_to("a", "b", within=1)
    with pytest.raises(AssertionUseError, match="expected within=1 as it was declared before, got 2"):
        leads_to("a", "b", within=2)
    reached("b")
    assert judged.finish() == []


def test_an_event_may_be_effect_and_cause(judged):
    leads_to("a", "a")
    reached("a")
    reached("a")
    [violation] = judged.finish()
    assert violation.text.endswith("2 times)")
    assert judged.counts["leads_to", "a -> a"] == AssertionCount(2, 1)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: eventually(True, "done"), r"expected a function .* got True; write eventually\(lambda: ..., 'done'\)"),
        (lambda: eventually(bool, "done", within=-1), "expected within= seconds, 0 or more, got -1"),
        (lambda: eventually(bool, "done", within=math.nan), "got nan"),
        (lambda: leads_to("a", "b", within="1"), "leads_to 'a -> b': expected within= seconds, 0 or more, got '1'"),
        (lambda: leads_to("a", "b", within=True), "got True"),
        (lambda: reached("a", []), r"expected a key that has a hash, such as a number or a text, got \[\]"),
        (lambda: CampaignTotals(sometimes="a"), "expected a list of names, got the text 'a'"),
    ],
)
def test_mistakes_in_a_simulation_are_told_at_their_place(judged, call, text):
    with pytest.raises(AssertionUseError, match=text):
        call()


# sometimes, over a campaign


def test_a_campaign_names_each_sometimes_that_never_held(clock):
    totals = CampaignTotals(sometimes=["given", "given and reached"])
    for number in range(3):
        judged = Assertions(now=lambda: clock.now)
        with observed(judged):
            declare_sometimes("declared", "declared and true")
            sometimes(number == 1, "true once")
            sometimes(number == 7, "never true")
            sometimes(True, "declared and true")
            sometimes(True, "given and reached")
        assert judged.finish() == []  # a run alone does not fail for it
        totals.add(pickle.loads(pickle.dumps(judged.counts)))
    assert [violation.text for violation in totals.finish()] == [
        "sometimes 'declared' was never reached in 3 runs",
        "sometimes 'given' was never reached in 3 runs",
        "sometimes 'never true' was false at each of 3 calls in 3 runs",
    ]


@given(st.lists(st.lists(st.tuples(st.sampled_from("abc"), st.booleans())), max_size=6), st.integers(0, 6))
def test_totals_do_not_depend_on_how_runs_are_divided_among_workers(runs, cut):
    def counted(calls):
        judged = Assertions(now=lambda: 0.0)
        with observed(judged):
            for name, value in calls:
                sometimes(value, name)
        return judged.counts

    whole, parts = CampaignTotals(), CampaignTotals()
    for calls in runs:
        whole.add(counted(calls))
    for share in (runs[:cut], runs[cut:]):
        worker = CampaignTotals()
        for calls in share:
            worker.add(counted(calls))
        parts.add(worker.counts, runs=worker.runs)
    assert parts.counts == whole.counts
    assert parts.finish() == whole.finish()
    assert parts.runs == len(runs)


# In a simulated pipeline


class Shout(PipelineAdapter):
    def __init__(self):
        declare_sometimes("an empty text")
        leads_to("heard", "shouted", within=1)

    def process(self, context):
        reached("heard", context.message_id)
        sometimes(context.message == "", "an empty text")
        always(len(context.message) < 3, "texts are short", context.message)
        reached("shouted", context.message_id)
        return AdapterResult(message=context.message.upper())


def test_a_simulated_pipeline_is_judged_and_the_same_seed_says_the_same():
    def judge(seed):
        async def main(simulation: Simulation):
            judged = Assertions(now=lambda: simulation.seams.clock.monotonic_ns() / 1e9)
            with observed(judged):
                await run(
                    "routes: {a: {adapters: [{type: shout}]}}",
                    adapters={"shout": Shout},
                    publish=[("a", "hi"), ("a", "hello")],
                    seams=simulation.seams,
                )
            return judged.finish(), judged.counts

        return in_virtual_time(main, seed=seed)

    violations, counts = judge(7)
    assert [(violation.kind, violation.name) for violation in violations] == [("always", "texts are short")]
    assert " in Shout.process, with 'hello' (at 0.0" in violations[0].text
    assert counts["leads_to", "heard -> shouted"] == AssertionCount(2, 2)
    assert counts["sometimes", "an empty text"] == AssertionCount(2, 0)
    assert judge(7) == (violations, counts)
