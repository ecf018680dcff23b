"""What a suite is made of: cases, each with subjects that are measured and targets that are judged.

Kept separate from the running and the showing, so that a suite is a list of values. Every metric is a cost: less is better.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

OURS = "ours"
"""Name of the subject that targets are about, unless they name another; a case without it only describes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One figure that a round of a subject yields.

    Attributes:
        name: Key in what `Subject.measure` returns.
        unit: Of the figure, for people.
    """

    name: str
    unit: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """Something that is measured: ours, a baseline, or a variant of either.

    Attributes:
        name: `OURS` for the one that the targets are about.
        note: What it is, in a line.
        measure: One round: does the work once and says what it cost, by metric; a metric may be missing.
    """

    name: str
    measure: Callable[[], Mapping[str, float]]
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What our figure has to reach; make one with `at_most`, `better_than` or `within`.

    Attributes:
        subject: Whose figure: `OURS`, or a variant of it.
        metric: Which figure.
        limit: Bound of the absolute figure, if nothing is named in `against`; else of the ratio theirs / ours.
        against: Baselines; of several, the best at that metric counts.
        text: The target as it is shown.
    """

    metric: str
    limit: float
    against: tuple[str, ...]
    text: str
    subject: str = OURS


def at_most(metric: str, limit: float, unit: str, *, of: str = OURS) -> Target:
    """Our figure itself is bounded."""
    return Target(metric=metric, limit=limit, against=(), text=f"{_of(of)}<= {limit:,g} {unit}", subject=of)


def better_than(metric: str, against: str | Sequence[str], factor: float) -> Target:
    """The baseline, or the best of several, costs at least `factor` times what we cost."""
    names = (against,) if isinstance(against, str) else tuple(against)
    return Target(metric=metric, limit=factor, against=names, text=f">= {factor:,g}x better than {' / '.join(names)}")


def within(metric: str, against: Sequence[str], factor: float, *, of: str = OURS) -> Target:
    """We cost at most `factor` times what the best of the baselines costs."""
    text = f"{_of(of)}within {factor:g}x of {' / '.join(against)}"
    return Target(metric=metric, limit=1 / factor, against=tuple(against), text=text, subject=of)


def _of(subject: str) -> str:
    return "" if subject == OURS else f"of {subject}, "


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One question.

    Attributes:
        name: Unique in its suite.
        answers: The question, as somebody would ask it.
        metrics: What is shown, the most telling first.
        subjects: Measured in turns, round by round.
        targets: Judged on the medians.
        rounds: Of a full run, in place of the scale's: fewer where a round starts processes, more where it is short.
    """

    name: str
    answers: str
    metrics: Sequence[Metric]
    subjects: Sequence[Subject]
    targets: Sequence[Target] = ()
    rounds: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """How much of everything.

    Attributes:
        rounds: Measured rounds of each subject.
        warm_ups: Rounds of each subject that are run first and thrown away.
        share: Of the full amount of work in a round, between 0 and 1.
        is_tiny: The run only shows that everything runs.
    """

    rounds: int
    share: float
    warm_ups: int = 1
    is_tiny: bool = False

    def rounds_of(self, case: Case) -> int:
        """How many rounds a case gets: its own number, or this one's; fewer of both in a short run."""
        least = min(2, self.rounds)
        return self.rounds if case.rounds is None else max(least, round(case.rounds * self.rounds / FULL_ROUNDS))

    def of(self, amount: int, *, least: int = 1) -> int:
        """That share of a full amount."""
        return max(least, round(amount * self.share))

    def asked(self, amount: int, *, tiny: int) -> int:
        """Return an amount that belongs to the question, and so is the same in a short run; only a tiny one takes less."""
        return tiny if self.is_tiny else amount


FULL_ROUNDS = 15
FULL = Scale(rounds=FULL_ROUNDS, share=1.0)
QUICK = Scale(rounds=5, share=0.2)
TINY = Scale(rounds=1, share=0.005, warm_ups=0, is_tiny=True)
"""As little as shows that a suite runs: what the tests run. Its figures mean nothing."""
