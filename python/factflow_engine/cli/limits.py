"""Concurrency limits for people and programs: a line for each while a pipeline runs, its history in brief at the end.

Kept separate from the displays because both of them and the report must say the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final

from factflow_engine.cli.text import clean

if TYPE_CHECKING:
    from factflow_engine.resilience import LimitStatistics

MOST_LIMITS: Final = 3
"""Most limits that a display lists, those first for which calls wait."""

MOST_REASONS: Final = 4
"""Most reasons of changes that the report lists."""

MOST_REPORTED: Final = 10
"""Most limits that the report lists."""


def limit_lines(limits: Mapping[str, LimitStatistics]) -> Iterator[str]:
    """Yield a line for each limit that adapts or that calls wait for: its value, and the reason of its last change."""
    shown = [(name, limit) for name, limit in limits.items() if limit.algorithm != "fixed" or limit.waiting]
    shown.sort(key=lambda item: -item[1].waiting)
    for name, limit in shown[:MOST_LIMITS]:
        yield clean(
            f"limit of {name}: {limit.limit:,} ({_reason(limit)}), in flight {limit.in_flight:,}{_waiting(limit)}"
        )
    if len(shown) > MOST_LIMITS:
        yield f"and {len(shown) - MOST_LIMITS:,} more limits"


def _reason(limit: LimitStatistics) -> str:
    change = limit.last_change
    text = limit.algorithm if change is None else f"{change.reason}, was {change.before:,}"
    return f"{text}; monitored only" if limit.is_monitor_only else text


def _waiting(limit: LimitStatistics) -> str:
    return f", {limit.waiting:,} waiting" if limit.waiting else ""


def history_lines(limits: Mapping[str, LimitStatistics]) -> Iterator[str]:
    """Yield a line for each limit of a report that adapts: its value at the end, its range, and why it changed."""
    adaptive = [(name, limit) for name, limit in limits.items() if limit.algorithm != "fixed"]
    adaptive.sort(key=lambda item: -item[1].acquired)
    for name, limit in adaptive[:MOST_REPORTED]:
        reasons = sorted(limit.changes.items(), key=lambda item: (-item[1], item[0]))
        text = ", ".join(f"{reason} {count:,}" for reason, count in reasons[:MOST_REASONS])
        more = f", {len(reasons) - MOST_REASONS} more reasons" if len(reasons) > MOST_REASONS else ""
        changes = f"{sum(limit.changes.values()):,} changes: {text}{more}" if reasons else "no change"
        yield clean(
            f"limit of {name}: {limit.limit:,}, median {limit.median_limit:,} of {limit.least_limit:,} to "
            f"{limit.greatest_limit:,}, {changes}{_faults(limit)}"
        )
    if len(adaptive) > MOST_REPORTED:
        yield f"... and {len(adaptive) - MOST_REPORTED:,} more limits (--output json has all)"


def _faults(limit: LimitStatistics) -> str:
    return f"; its algorithm raised {limit.faults:,} times" if limit.faults else ""


def limit_document(limit: LimitStatistics) -> dict[str, object]:
    """Return the JSON form of a limit."""
    change = limit.last_change
    return {
        "algorithm": limit.algorithm,
        "limit": limit.limit,
        "monitor_only": limit.is_monitor_only,
        "least": limit.least_limit,
        "median": limit.median_limit,
        "greatest": limit.greatest_limit,
        "changes": dict(limit.changes),
        "last_change": None
        if change is None
        else {
            "before": change.before,
            "after": change.after,
            "reason": change.reason,
            "statistics": dict(change.statistics),
        },
        "acquired": limit.acquired,
        "answered": limit.answered,
        "dropped": limit.dropped,
        "released": limit.released,
        "faults": limit.faults,
    }
