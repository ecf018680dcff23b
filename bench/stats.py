"""Medians, quantiles and spreads; apart so that they can be tested without measuring anything."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What is shown of a subject's rounds.

    Attributes:
        median: The figure.
        low: First quartile.
        high: Third quartile.
        least: Smallest round.
        most: Largest round.
        rounds: How many.
    """

    median: float
    low: float
    high: float
    least: float
    most: float
    rounds: int

    @property
    def spread(self) -> float:
        """Half the distance between the quartiles, as a share of the median; 0 if the median is 0."""
        return (self.high - self.low) / 2 / self.median if self.median else 0.0


def quantile(ordered: Sequence[float], share: float) -> float:
    """A quantile of values that are in order, by linear interpolation between the two nearest.

    Raises:
        ValueError: There are no values, or the share is not between 0 and 1.
    """
    if not ordered:
        raise ValueError("a quantile needs at least one value")
    if not 0 <= share <= 1:
        raise ValueError(f"a quantile's share is between 0 and 1, got {share:g}")
    position = share * (len(ordered) - 1)
    below = int(position)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (position - below)


def summarise(samples: Sequence[float]) -> Summary:
    """The summary of a subject's rounds.

    Raises:
        ValueError: There are none.
    """
    ordered = sorted(samples)
    return Summary(
        median=quantile(ordered, 0.5),
        low=quantile(ordered, 0.25),
        high=quantile(ordered, 0.75),
        least=ordered[0],
        most=ordered[-1],
        rounds=len(ordered),
    )


def paired_ratio(theirs: Sequence[float], ours: Sequence[float]) -> float:
    """Median of theirs / ours, round by round: what disturbs the machine disturbs both sides of a pair alike.

    Raises:
        ValueError: The two have different numbers of rounds, or none.
    """
    if not ours or len(theirs) != len(ours):
        raise ValueError(f"ratios need as many rounds of one as of the other, got {len(theirs)} and {len(ours)}")
    return statistics.median(t / o if o else float("inf") for t, o in zip(theirs, ours, strict=True))
