"""Values of judged assertions, `Violation` and `AssertionCount`, and their sums over a campaign of runs.

Kept separate from `assertions`, which judges one run, because workers of a campaign send these between processes.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from factflow_protocols import FactflowError

AssertionKind = Literal["always", "sometimes", "eventually", "leads_to"]


class AssertionUseError(FactflowError, ValueError):
    """An assertion that cannot be: the text says what was expected, what was given, and what to write instead."""


@dataclass(frozen=True, slots=True)
class Violation:
    """An assertion that did not hold.

    Attributes:
        kind: The function that asserted it.
        name: Its name; of `leads_to`, `cause -> effect`.
        text: One sentence for the reader of a report: what, where in the code, how often.
        seconds: Virtual time of the first time; 0 for a campaign's.
    """

    kind: AssertionKind
    name: str
    text: str
    seconds: float

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class AssertionCount:
    """Use of one assertion.

    Attributes:
        calls: How often it was called; of `leads_to`, the causes.
        held: How often it was true; of `eventually` and `leads_to`, how often in time.
    """

    calls: int = 0
    held: int = 0

    def __add__(self, other: "AssertionCount") -> "AssertionCount":
        return AssertionCount(self.calls + other.calls, self.held + other.held)


Counts = Mapping[tuple[AssertionKind, str], AssertionCount]


class CampaignTotals:
    """Use of the assertions of all runs of a campaign.

    Args:
        sometimes: Names that must hold in one run at least, besides those that the runs reach or declare.

    Example:
        totals = CampaignTotals(sometimes=["a page is empty"])
        [violation] = totals.finish()
        assert violation.text == "sometimes 'a page is empty' was never reached in 0 runs"
    """

    def __init__(self, *, sometimes: Iterable[str] = ()) -> None:
        if isinstance(sometimes, str):
            raise AssertionUseError(f"sometimes=: expected a list of names, got the text {sometimes!r}; write [...]")
        self._runs = 0
        self._counts: dict[tuple[AssertionKind, str], AssertionCount] = {
            ("sometimes", name): AssertionCount() for name in sometimes
        }

    @property
    def runs(self) -> int:
        """Number of runs so far."""
        return self._runs

    @property
    def counts(self) -> dict[tuple[AssertionKind, str], AssertionCount]:
        """Sums over the runs so far, by kind and name."""
        return dict(self._counts)

    def add(self, counts: Counts, /, *, runs: int = 1) -> None:
        """Add `Assertions.counts` of a run, or the counts of another campaign of so many runs; both can be pickled."""
        self._runs += runs
        for name, count in counts.items():
            self._counts[name] = self._counts.get(name, AssertionCount()) + count

    def finish(self) -> list[Violation]:
        """Return the `sometimes` that never held, in the order of their names."""
        return [
            Violation("sometimes", name, f"sometimes {name!r} {_never(count)} in {self._runs} runs", 0.0)
            for (kind, name), count in sorted(self._counts.items())
            if kind == "sometimes" and not count.held
        ]


def _never(count: AssertionCount) -> str:
    return f"was false at each of {count.calls} calls" if count.calls else "was never reached"
