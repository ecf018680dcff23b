"""Write the page of ablations from a run of all of them: `python docs/ablations.py`.

Kept separate from `generate` because it plays campaigns, for a minute, and needs the tests, where the list is.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "reference" / "ablations.md"
sys.path.insert(0, str(ROOT / "tests"))

from testing.ablations import ABLATIONS, GUARANTEES, HELD_ELSEWHERE, found, row  # noqa: E402


def lines() -> Iterator[str]:
    """Yield the page."""
    yield "# Ablations"
    yield ""
    yield "<!-- Written by `python docs/ablations.py` from tests/testing/ablations.py. Do not edit. -->"
    yield ""
    yield "A guarantee that no test can break is not tested. Here each safeguard is switched off, and simulated campaigns"
    yield "([Contributing](../../CONTRIBUTING.md)) must notice: after how many seeds, and how small the run is that still shows"
    yield "it: inputs + faults + shuffled decisions of the schedule. With the safeguard the same campaigns pass."
    yield ""
    yield "| guarantee | switched off | what is broken | seeds | smallest run |"
    yield "|---|---|---|---|---|"
    for ablation in ABLATIONS:
        result = found(ablation)
        assert result is not None, ablation.name
        yield row(ablation, result)
    yield ""
    yield "Not found by simulation, but held by other tests:"
    yield ""
    yield "| guarantee | safeguard | held by |"
    yield "|---|---|---|"
    for number, safeguard, test in HELD_ELSEWHERE:
        yield f"| {number}, {GUARANTEES[number]} | {safeguard} | `{test}` |"


if __name__ == "__main__":
    PAGE.write_text("\n".join(lines()) + "\n", encoding="utf-8")
