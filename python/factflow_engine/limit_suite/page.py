"""A comparison as one HTML page that needs no network: league, scores, and charts by scenario.

Kept separate from the suite because it is about looks. Tables are HTML, charts are drawn by the page's own script from
series of a bounded number of bins, so that a page of everything has about a megabyte. Its numbers are integers or rounded:
the page of a comparison is the same on every machine.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from importlib.resources import files
from typing import Any, Final

from factflow_engine import limit_suite
from factflow_engine.limit_suite.suite import GOOD, Cell, Comparison, Task

BINS: Final = 60
"""Bins of a chart."""
MOST_DRAWN: Final = 1_000
"""Most cells with charts; scenarios beyond them are in the tables alone."""
_EDGES: Final = (0.0625, 0.125, 0.25, 0.5, 0.75, 1, 1.5, 2, 4, 8)
"""Edges of the classes of latency, in the target, as the simulation has them."""
_DIGITS: Final = "0123456789abcdefghijklmnopqrstuvwxyz"
_MARK: Final = re.compile(r"\{\{(\w+)\}\}")
_OUTCOMES: Final = ("in_time", "late", "failed", "given_up")


def page(comparison: Comparison) -> str:
    """Return the page of a comparison that was made with `BINS` bins."""
    algorithms = tuple(dict.fromkeys(cell.algorithm for cell in comparison.cells))
    drawn = _drawn(comparison, len(algorithms))
    labels = dict.fromkeys(comparison.tasks[place].label for place in drawn)
    scales = dict.fromkeys(comparison.tasks[place].scale for place in drawn)
    parts = {
        "css": _part("page.css"),
        "js": _part("page.js"),
        "summary": _summary(comparison, algorithms, len(drawn)),
        "league": _league(comparison),
        "scores": _scores(comparison, algorithms, {place: number for number, place in enumerate(drawn)}),
        "scenarios": "".join(_option(escape(label), escape(label), first=not n) for n, label in enumerate(labels)),
        "scales": "".join(_option(f"{scale:g}", f"{scale:g}", first=scale == 1) for scale in scales),
        "data": json.dumps(_data(comparison, drawn), separators=(",", ":")).replace("<", "\\u003c"),
    }
    return _MARK.sub(lambda mark: parts[mark[1]], _part("page.html"))


def _part(name: str) -> str:
    return (files(limit_suite) / "page_parts" / name).read_text(encoding="utf-8")


def _drawn(comparison: Comparison, algorithms: int) -> tuple[int, ...]:
    """Return the places of the scenarios that have charts: variants have none, unless there is nothing else."""
    places = [place for place, task in enumerate(comparison.tasks) if not task.is_variant]
    return tuple((places or list(range(len(comparison.tasks))))[: max(1, MOST_DRAWN // max(1, algorithms))])


def _option(value: str, label: str, *, first: bool) -> str:
    return f'<option value="{value}"{" selected" if first else ""}>{label}</option>'


def _summary(comparison: Comparison, algorithms: Sequence[str], drawn: int) -> str:
    cells = f"{len(algorithms)} algorithms in {len(comparison.tasks)} scenarios."
    return cells if drawn == len(comparison.tasks) else f"{cells} Charts of {drawn} of them."


def _league(comparison: Comparison) -> str:
    rows = [
        (
            one.algorithm,
            f"{one.geometric_mean:.3f}",
            f"{one.worst:.3f}",
            str(one.good),
            str(one.cells),
        )
        for one in comparison.standings()
    ]
    return _table(("algorithm", "geometric mean", "worst", f"{GOOD} or more", "cells"), rows)


def _table(titles: Iterable[str], rows: Iterable[Sequence[str]]) -> str:
    head = "".join(f'<th scope="col">{escape(title)}</th>' for title in titles)
    body = "".join(
        f'<tr><th scope="row">{escape(first)}</th>{"".join(f"<td>{escape(cell)}</td>" for cell in rest)}</tr>'
        for first, *rest in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _scores(comparison: Comparison, algorithms: Sequence[str], numbers: Mapping[int, int]) -> str:
    """Return the table of scores: a row a scenario, a column an algorithm."""
    head = "".join(f'<th scope="col">{escape(title)}</th>' for title in ("scenario", "scale", *algorithms))
    rows = []
    for place, task in enumerate(comparison.tasks):
        cells = _cells_of(comparison, place, len(algorithms))
        best = max(cell.score for cell in cells)
        label = escape(task.label)
        number = numbers.get(place)
        row, name = ("<tr>", label) if number is None else (f'<tr data-task="{number}">', f"<button>{label}</button>")
        rows.append(
            f'{row}<th scope="row">{name}</th><td style="--score: 0">{task.scale:g}</td>'
            + "".join(
                f'<td style="--score: {cell.score:.2f}"{" class=best" if cell.score == best else ""}>{cell.score:.2f}</td>'
                for cell in cells
            )
            + "</tr>"
        )
    return f'<table class="scores"><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table>'


def _cells_of(comparison: Comparison, place: int, algorithms: int) -> Sequence[Cell]:
    return comparison.cells[place * algorithms : (place + 1) * algorithms]


def _data(comparison: Comparison, drawn: Sequence[int]) -> dict[str, Any]:
    algorithms = len(comparison.cells) // len(comparison.tasks)
    return {
        "edges": _EDGES,
        "tasks": [_task(comparison.tasks[place], comparison.oracles[place]) for place in drawn],
        "cells": [
            {"task": number, "algorithm": cell.algorithm, **cell.measures, **_series(cell.series)}
            for number, place in enumerate(drawn)
            for cell in _cells_of(comparison, place, algorithms)
        ],
    }


def _task(task: Task, oracle: Mapping[str, Any] | None) -> dict[str, Any]:
    return {
        "scenario": task.label,
        "scale": float(f"{task.scale:g}"),
        "seconds": round(task.scenario.duration_ns / 1e9, 3),
        "target_ms": round(task.scenario.target_ns / 1e6, 3),
        "oracle": _series(oracle),
    }


def _series(series: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return what the page's script draws; each class of latency is one digit, its share of the bin's successes."""
    if series is None:
        raise ValueError("the comparison was made without bins: it cannot be drawn")
    heat = "".join(_digit(count, sum(counts)) for counts in series["latencies"] for count in counts)
    return {
        "limit": [tenths / 10 for tenths in series["limit_tenths"]],
        "in_flight": [tenths / 10 for tenths in series["in_flight_tenths"]],
        **{name: series[name] for name in _OUTCOMES},
        "heat": heat,
    }


def _digit(count: int, of: int) -> str:
    """Return a share in thirty-fifths as a digit; what is there at all is 1 at least."""
    return _DIGITS[max(1, count * 35 // of)] if count else "0"
