import statistics

import pytest
from bench.stats import paired_ratio, quantile, summarise
from hypothesis import given
from hypothesis import strategies as st

FIGURES = st.floats(min_value=1e-6, max_value=1e9)
ROUNDS = st.lists(FIGURES, min_size=1, max_size=50)


@given(ROUNDS)
def test_the_median_is_the_median(samples: list[float]) -> None:
    assert summarise(samples).median == pytest.approx(statistics.median(samples))


@given(st.lists(FIGURES, min_size=2, max_size=50))
def test_quartiles_are_those_of_the_standard_library(samples: list[float]) -> None:
    low, _, high = statistics.quantiles(samples, n=4, method="inclusive")
    summary = summarise(samples)
    assert (summary.low, summary.high) == (pytest.approx(low), pytest.approx(high))


@given(ROUNDS)
def test_a_summary_is_in_order_and_ignores_the_order_of_rounds(samples: list[float]) -> None:
    summary = summarise(samples)
    assert summary.least <= summary.low <= summary.median <= summary.high <= summary.most
    assert summary == summarise(sorted(samples))
    assert summary.rounds == len(samples)


def test_the_spread_is_a_share_of_the_median() -> None:
    assert summarise([10.0] * 9).spread == 0
    assert summarise([8.0, 10.0, 12.0]).spread == pytest.approx(0.1)
    assert summarise([0.0, 0.0]).spread == 0


@pytest.mark.parametrize(("samples", "share"), [([], 0.5), ([1.0], 1.1), ([1.0], -0.1)])
def test_a_quantile_that_does_not_exist_is_refused(samples: list[float], share: float) -> None:
    with pytest.raises(ValueError, match="quantile"):
        quantile(samples, share)


def test_a_ratio_compares_rounds_that_were_run_together() -> None:
    # The machine halves its speed in the second round: the ratio of the medians would not be 3.
    ours, theirs = [1.0, 2.0, 2.0], [3.0, 6.0, 6.0]
    assert paired_ratio(theirs, ours) == 3
    assert paired_ratio([3.0, 6.0, 3.0], [1.0, 2.0, 1.0]) == 3


@given(ROUNDS)
def test_what_is_compared_with_itself_is_neither_better_nor_worse(samples: list[float]) -> None:
    assert paired_ratio(samples, samples) == 1


def test_rounds_that_do_not_pair_up_are_refused() -> None:
    with pytest.raises(ValueError, match="got 2 and 1"):
        paired_ratio([1.0, 2.0], [1.0])
