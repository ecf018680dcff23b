"""Results as text: a row a subject and metric, the winner named whoever it is, then the targets."""

from collections.abc import Sequence

from bench.model import OURS, Metric
from bench.run import CaseResult

_HEADER = ("subject", "figure", "spread", "theirs/ours", "")


def render(result: CaseResult) -> str:
    """The table of a case."""
    lines = [f"== {result.case.name}", f"   {result.case.answers}"]
    rows: list[tuple[str, ...]] = []
    for metric in result.case.metrics:
        rows.append((f"[{metric.name}, {metric.unit}]", "", "", "", ""))
        rows.extend(_rows(result, metric))
    lines += _aligned([_HEADER, *rows])
    for verdict in result.verdicts():
        unit = _unit(result, verdict.target.metric)
        value = f"{number(verdict.value)} {unit}" if verdict.against is None else f"{number(verdict.value)}x"
        beside = "" if verdict.against is None or len(verdict.target.against) == 1 else f" ({verdict.against})"
        mark = "met   " if verdict.met else "MISSED"
        lines.append(f"   {mark} {verdict.target.metric} {verdict.target.text}: {value}{beside}")
    return "\n".join(lines)


def _rows(result: CaseResult, metric: Metric) -> list[tuple[str, ...]]:
    figures = {
        subject.name: summary
        for subject in result.case.subjects
        if (summary := result.summary(subject.name, metric.name)) is not None
    }
    best = min(figures, key=lambda name: figures[name].median) if OURS in figures and len(figures) > 1 else None
    rows = []
    for name, summary in figures.items():
        ratio = None if name == OURS else result.ratio(name, metric.name)
        rows.append(
            (
                f"  {name}",
                number(summary.median),
                f"±{summary.spread:.0%}",
                "" if ratio is None else f"{number(ratio)}x",
                "best" if name == best else "",
            )
        )
    return rows


def _unit(result: CaseResult, metric: str) -> str:
    return next((known.unit for known in result.case.metrics if known.name == metric), "")


def _aligned(rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADER))]
    return [
        (
            "   "
            + row[0].ljust(widths[0])
            + "".join(f"  {cell.rjust(width)}" for cell, width in zip(row[1:], widths[1:], strict=True))
        ).rstrip()
        for row in rows
    ]


def number(value: float) -> str:
    """Three significant digits, without an exponent."""
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}" if abs(value) >= 1 else f"{value:.3f}"
