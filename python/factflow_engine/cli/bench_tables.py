"""Tables of a comparison of limits: the league, then the cells.

Kept separate from the command because here is what is said in which width.
"""

from typing import Final

from rich.console import Console
from rich.text import Text

from factflow_engine.cli.settings import Layout
from factflow_engine.cli.tables import Table, names, numbers
from factflow_engine.limit_suite.suite import GOOD, MEASURES, Cell, Comparison

_NARROW: Final = ("score", "U", "I", "I99", "E", "J", "convergence_s")
"""Measures that fit into eighty columns."""
_TITLES: Final = {
    "convergence_s": "conv",
    "goodput_in_deadline": "in time",
    "changes_per_minute": "changes/min",
}
_DECIMALS: Final = {"score": 3, "E": 3, "convergence_s": 1, "changes_per_minute": 0}
_MANY: Final = 1_000


def print_comparison(comparison: Comparison, console: Console, layout: Layout) -> None:
    """Print the league and the cells; `plain` has the cells alone, with every measure.

    Raises:
        OutputClosedError: The reader went away.
    """
    if layout is not Layout.PLAIN:
        league = Table(*names("algorithm"), *numbers("geometric mean", "worst", f">= {GOOD}", "cells"))
        for one in comparison.standings():
            league.add(one.algorithm, f"{one.geometric_mean:.3f}", f"{one.worst:.3f}", one.good, one.cells)
        league.print(console, layout)
        console.print(Text())
    measures = _NARROW if layout is Layout.TEXT else MEASURES
    titles = [_TITLES.get(name, name) for name in measures]
    table = Table(*names("scenario"), *numbers("scale"), *names("algorithm"), *numbers(*titles))
    for cell in comparison.cells:
        shown = _plain if layout is Layout.PLAIN else _shown
        table.add(cell.scenario, f"{cell.scale:g}", cell.algorithm, *(shown(cell, name) for name in measures))
    table.print(console, layout)


def _shown(cell: Cell, name: str) -> str:
    """Return a measure for people; what is infinite or was never reached is a dash."""
    number = cell.measures[name]
    if number is None:
        return "-"
    if number >= _MANY:
        return f"{number:,.0f}"
    return f"{number:.{_DECIMALS.get(name, 2)}f}"


def _plain(cell: Cell, name: str) -> str:
    number = cell.measures[name]
    return "" if number is None else f"{number:.6f}".rstrip("0").rstrip(".")
