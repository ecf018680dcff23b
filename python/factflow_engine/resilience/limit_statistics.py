"""Readings of a controller: kept separate so that reports take them without the controller."""

from collections.abc import Mapping
from dataclasses import dataclass

from factflow_engine.resilience.limits import LimitChange


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitStatistics:
    """A controller's state, its counts of calls, and its limit's history in brief.

    Attributes:
        algorithm: Name of the algorithm.
        limit: Calls that may be in flight.
        in_flight: Permits that are out.
        waiting: Tasks that wait for a permit.
        is_monitor_only: True if the limit is computed and gates nothing.
        is_frozen: True while it learns nothing, because of an open circuit breaker.
        acquired: Permits given.
        refused: Attempts to get a permit that met the limit.
        answered: Calls whose latency was a sample.
        dropped: Calls that failed from overload.
        released: Permits that came back without a sample.
        stale: Permits that came back after a reset.
        least_limit: Least limit so far.
        median_limit: Median of the limit over time; exact below 8, and within an eighth beyond.
        greatest_limit: Greatest limit so far.
        changes: Changes of the limit, by reason.
        last_change: Last change of the limit; None before the first.
        faults: Errors that a program's own algorithm raised where no caller could handle them; the first is logged.
    """

    algorithm: str
    limit: int
    in_flight: int
    waiting: int
    is_monitor_only: bool
    is_frozen: bool
    acquired: int
    refused: int
    answered: int
    dropped: int
    released: int
    stale: int
    least_limit: int
    median_limit: int
    greatest_limit: int
    changes: Mapping[str, int]
    last_change: LimitChange | None
    faults: int
