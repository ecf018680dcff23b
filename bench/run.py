"""Runs a case: its subjects alternate round by round, so that what the machine does meanwhile falls on all alike."""

import gc
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from bench.model import OURS, Case, Target
from bench.stats import Summary, paired_ratio, summarise


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """A target, judged.

    Attributes:
        target: What was asked.
        value: Our figure, or how many times what we cost the baseline costs.
        against: The baseline that counted; None for an absolute target.
        met: True if it was reached.
    """

    target: Target
    value: float
    against: str | None
    met: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseResult:
    """What a case yielded.

    Attributes:
        case: The question.
        samples: Subject to metric to the figure of each round.
    """

    case: Case
    samples: Mapping[str, Mapping[str, Sequence[float]]]

    def summary(self, subject: str, metric: str) -> Summary | None:
        """A subject's figure; None if it does not yield this metric."""
        samples = self.samples[subject].get(metric)
        return None if not samples else summarise(samples)

    def ratio(self, subject: str, metric: str, *, to: str = OURS) -> float | None:
        """How many times what we (or another subject) cost a subject costs; None where one of both has no figure."""
        theirs = self.samples[subject].get(metric)
        ours = self.samples.get(to, {}).get(metric)
        return None if not theirs or not ours or len(theirs) != len(ours) else paired_ratio(theirs, ours)

    def verdicts(self) -> list[Verdict]:
        """Every target, judged.

        Raises:
            LookupError: A target names a subject or a metric that the case does not have.
        """
        return [self._judge(target) for target in self.case.targets]

    def _judge(self, target: Target) -> Verdict:
        if not target.against:
            ours = self.summary(target.subject, target.metric)
            if ours is None:
                raise LookupError(f"case {self.case.name!r}: {target.subject!r} yields no {target.metric!r}")
            return Verdict(target=target, value=ours.median, against=None, met=ours.median <= target.limit)
        found = ((name, self.ratio(name, target.metric, to=target.subject)) for name in target.against)
        ratios = {name: ratio for name, ratio in found if ratio is not None}
        if not ratios:
            raise LookupError(f"case {self.case.name!r}: none of {target.against} yields {target.metric!r}")
        best = min(ratios, key=ratios.__getitem__)
        return Verdict(target=target, value=ratios[best], against=best, met=ratios[best] >= target.limit)


def run_case(case: Case, rounds: int, tell: Callable[[str], None], *, warm_ups: int = 1) -> CaseResult:
    """Measure a case: first the rounds of each subject that are thrown away, then those that count.

    Another subject begins in each round. Garbage of one subject is collected before the next begins.

    Raises:
        RuntimeError: A subject gave a figure for none of the metrics, or one that is no number.
    """
    samples: dict[str, dict[str, list[float]]] = {subject.name: {} for subject in case.subjects}
    for turn in range(-warm_ups, rounds):
        shift = max(turn, 0) % len(case.subjects)
        for subject in (*case.subjects[shift:], *case.subjects[:shift]):
            tell(f"{case.name}: {'warm-up' if turn < 0 else f'round {turn + 1}/{rounds}'}: {subject.name}")
            gc.collect()
            figures = subject.measure()
            if not figures or not all(math.isfinite(figure) for figure in figures.values()):
                raise RuntimeError(f"case {case.name!r}: {subject.name!r} measured {dict(figures)}, which is no figure")
            if turn >= 0:
                for metric, figure in figures.items():
                    samples[subject.name].setdefault(metric, []).append(figure)
    return CaseResult(case=case, samples=samples)
