"""The page of scores of concurrency limits: the suite's own table, run anew.

Kept separate from `generate` because it simulates, and the other pages only read. The page has the date on which its
figures last changed: as long as they are the same, it is left alone.
"""

import datetime as dt
import re
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Final

from factflow_engine.limit_suite.contenders import contenders
from factflow_engine.limit_suite.suite import GOOD, Cell, Comparison, compare, published_tasks
from factflow_engine.native import FURTHER_LIMIT_SCENARIOS
from factflow_engine.resilience.limits import ALGORITHMS
from factflow_engine.seams import SystemClock

PAGE: Final = Path(__file__).parent / "reference" / "limit-scores.md"
OURS: Final = "adaptive"
_DATE: Final = re.compile(r"^Figures of (\d{4}-\d\d-\d\d)\.", flags=re.MULTILINE)
_UNKNOWN: Final = "0000-00-00"


@cache
def comparison() -> Comparison:
    """Return all built-in algorithms in all scenarios."""
    return compare(published_tasks(), contenders(ALGORITHMS))


@cache
def further() -> Comparison:
    """Return all built-in algorithms in the scenarios outside the table."""
    return compare(published_tasks(FURTHER_LIMIT_SCENARIOS), contenders(ALGORITHMS))


def lines() -> Iterator[str]:
    """Yield the page below its heading."""
    before = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
    found = _DATE.search(before)
    kept = found[1] if found else _UNKNOWN
    same = before.endswith("\n".join(_body(kept)) + "\n")
    yield from _body(kept if same else _today())


def _today() -> str:
    return dt.datetime.fromtimestamp(SystemClock.wall_ns() / 1e9, dt.UTC).date().isoformat()


def _body(date: str) -> Iterator[str]:
    cells = comparison().cells
    yield ""
    yield f"Figures of {date}. `factflow bench limits` prints the same on every machine, with what each score is made of;"
    yield "[Concurrency limits](../limits.md#how-good-they-are) says what they mean."
    yield ""
    yield f"| algorithm | geometric mean | worst | cells at {GOOD} or more |"
    yield "|---|---|---|---|"
    for one in comparison().standings():
        yield f"| `{one.algorithm}` | {one.geometric_mean:.3f} | {one.worst:.3f} | {one.good} of {one.cells} |"
    yield ""
    yield "## Scores by scenario"
    yield ""
    yield "At a fifth of the capacities, at the capacities themselves, and at five times them. The best of each is bold."
    yield ""
    yield from _table(cells)
    yield ""
    yield "## Where another algorithm wins"
    yield ""
    lost = list(_lost(cells))
    yield (
        f"Cells in which `{OURS}` is not the best, with the best and how much better it is:"
        if lost
        else (f"There is no cell in which `{OURS}` is not the best.")
    )
    yield ""
    yield from lost
    yield ""
    yield "## Further cells"
    yield ""
    yield "Scenarios outside the table above, which count in no summary; [Further cells](../limits.md#further-cells) says what"
    yield "they are."
    yield ""
    others = further().cells
    yield from _table(others)
    yield ""
    yield f"Cells in which `{OURS}` is not the best:"
    yield ""
    yield from _lost(others)


def _table(cells: Sequence[Cell]) -> Iterator[str]:
    yield f"| scenario | {' | '.join(f'`{name}`' for name in ALGORITHMS)} |"
    yield f"|---{'|---' * len(ALGORITHMS)}|"
    for scenario in dict.fromkeys(cell.scenario for cell in cells):
        of = [cell for cell in cells if cell.scenario == scenario]
        row = (" · ".join(_shown(cell, of) for cell in of if cell.algorithm == name) for name in ALGORITHMS)
        yield f"| `{scenario}` | {' | '.join(row)} |"


def _best(cell: Cell, cells: Sequence[Cell]) -> Cell:
    return max((one for one in cells if (one.scenario, one.scale) == (cell.scenario, cell.scale)), key=_score)


def _score(cell: Cell) -> float:
    return cell.score


def _shown(cell: Cell, cells: Sequence[Cell]) -> str:
    number = f"{cell.score:.2f}".removeprefix("0")
    return f"**{number}**" if _best(cell, cells).score == cell.score else number


def _lost(cells: Sequence[Cell]) -> Iterator[str]:
    for cell in cells:
        best = _best(cell, cells)
        if cell.algorithm == OURS and best.score > cell.score:
            yield (
                f"- `{cell.scenario}` at {cell.scale:g}: `{best.algorithm}`, {best.score:.2f} against {cell.score:.2f}"
            )
