from collections.abc import Callable, Mapping

import pytest
from bench.model import FULL, OURS, QUICK, Case, Metric, Subject, Target, at_most, better_than, within
from bench.run import CaseResult, run_case

US = Metric(name="cpu", unit="us")


def result_of(targets: tuple[Target, ...], **figures: list[float]) -> CaseResult:
    subjects = tuple(Subject(name=name, measure=dict) for name in figures)
    case = Case(name="c", answers="?", metrics=(US,), subjects=subjects, targets=targets)
    return CaseResult(case=case, samples={name: {"cpu": values} for name, values in figures.items()})


def test_subjects_alternate_and_each_begins_in_turn() -> None:
    order: list[str] = []

    def measuring(name: str) -> Callable[[], Mapping[str, float]]:
        def measure() -> Mapping[str, float]:
            order.append(name)
            return {"cpu": 1.0}

        return measure

    subjects = tuple(Subject(name=name, measure=measuring(name)) for name in "abc")
    run_case(Case(name="c", answers="?", metrics=(US,), subjects=subjects), 3, lambda _: None)
    assert "".join(order) == "abc" + "abc" + "bca" + "cab"


def test_the_first_round_of_each_subject_is_thrown_away() -> None:
    figures = iter([100.0, 1.0, 2.0])
    subject = Subject(name=OURS, measure=lambda: {"cpu": next(figures)})
    result = run_case(Case(name="c", answers="?", metrics=(US,), subjects=(subject,)), 2, lambda _: None)
    assert result.samples == {OURS: {"cpu": [1.0, 2.0]}}


@pytest.mark.parametrize(
    ("target", "met"),
    [
        (at_most("cpu", 2, "us"), True),
        (at_most("cpu", 1.9, "us"), False),
        (better_than("cpu", "slow", 10), True),
        (better_than("cpu", "slow", 10.1), False),
        (better_than("cpu", ["slow", "fast"], 1), False),
        (within("cpu", ["fast"], 2), True),
        (within("cpu", ["slow", "fast"], 1.9), False),
    ],
)
def test_a_target_is_judged_by_the_best_of_what_it_names(target: Target, met: bool) -> None:
    (verdict,) = result_of((target,), ours=[2.0], slow=[20.0], fast=[1.0]).verdicts()
    assert verdict.met is met


@pytest.mark.parametrize(
    ("target", "met"),
    [
        (at_most("cpu", 3, "us", of="variant"), True),
        (at_most("cpu", 2.9, "us", of="variant"), False),
        (within("cpu", ["fast"], 3, of="variant"), True),
        (within("cpu", ["fast"], 2.9, of="variant"), False),
    ],
)
def test_a_target_may_be_about_a_variant_of_ours(target: Target, met: bool) -> None:
    (verdict,) = result_of((target,), ours=[1.0], variant=[3.0], fast=[1.0]).verdicts()
    assert verdict.met is met
    assert target.text.startswith("of variant, ")


def test_a_baseline_that_wins_has_a_ratio_below_one() -> None:
    assert result_of((), ours=[2.0], fast=[1.0]).ratio("fast", "cpu") == 0.5


@pytest.mark.parametrize("target", [at_most("wall", 1, "us"), better_than("cpu", "nobody", 2)])
def test_a_target_on_what_was_not_measured_is_refused(target: Target) -> None:
    with pytest.raises(LookupError):
        result_of((target,), ours=[2.0]).verdicts()


def test_a_short_run_is_shorter_in_every_case() -> None:
    for rounds in (None, 3, 45):
        case = Case(name="c", answers="?", metrics=(US,), subjects=(), rounds=rounds)
        assert 2 <= QUICK.rounds_of(case) < FULL.rounds_of(case)
    assert QUICK.of(10) == 2
    assert QUICK.of(1) == 1
