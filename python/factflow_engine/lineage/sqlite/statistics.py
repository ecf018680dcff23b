"""Counts and durations by stage, and outcomes by route, over all segments.

Every selected row is read once. Rows of one key in two segments are counted in their latest form: what `superseded`
finds is taken off again.

Kept separate from pages because it reads everything. Everything here blocks.
"""

import sqlite3
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from factflow_engine.lineage.sqlite.merging import ENDS, VISITS, conditions
from factflow_engine.lineage.sqlite.pool import Pool
from factflow_engine.lineage.sqlite.schema import OUTCOMES, STATUSES
from factflow_engine.lineage.sqlite.superseded import superseded
from factflow_protocols import LineageSelection, LineageStatistics, RouteLineage, StageLineage

_BITS: Final = 6
"""Bits of a duration that are kept: two digits cannot say more than 1/64."""

_AT_ONCE: Final = 10_000

Stage = tuple[str, str, str, int]
"""Execution, route, stage and position."""

_VISIT_VALUES: Final = "row.place, row.status, row.attempt > 1, row.duration_ns, row.waited_ns, row.waited_for"
_END_VALUES: Final = "row.place, row.outcome"


class _Sums:
    """Sums of one segment, or of all, from which rows can be taken off again.

    Attributes:
        visits: Number of visits by stage, status, if it was retried, what it waited for, and rounded duration.
        waited: Nanoseconds of waiting by stage.
        ends: Number of messages by stage (of which the route counts) and outcome.
    """

    def __init__(self) -> None:
        self.visits: Counter[tuple[Any, ...]] = Counter()
        self.waited: defaultdict[Any, int] = defaultdict(int)
        self.ends: Counter[tuple[Any, int]] = Counter()

    def add(self, other: "_Sums", places: dict[int, Stage]) -> None:
        """Add those of a segment, which has numbers for its stages."""
        for (place, *rest), number in other.visits.items():
            self.visits[(places[place], *rest)] += number
        for place, waited in other.waited.items():
            self.waited[places[place]] += waited
        for (place, outcome), number in other.ends.items():
            self.ends[places[place], outcome] += number

    def count_visits(self, visits: Sequence[Sequence[Any]], times: int = 1) -> None:
        """Count visits, each with the `_VISIT_VALUES`."""
        counted, waits = self.visits, self.waited
        for place, status, is_retried, duration, waited, waited_for in visits:
            shift = duration.bit_length() - _BITS
            counted[place, status, is_retried, waited_for, duration >> shift << shift if shift > 0 else duration] += (
                times
            )
            if waited:
                waits[place] += waited * times

    def count_ends(self, ends: Sequence[Sequence[Any]], times: int = 1) -> None:
        """Count outcomes, each with the `_END_VALUES`."""
        for place, outcome in ends:
            self.ends[place, outcome] += times


def statistics(pool: Pool, selection: LineageSelection, check: Callable[[], None]) -> LineageStatistics:
    """See `LineageReader.statistics`.

    Args:
        pool: The segments.
        selection: Which rows.
        check: Called now and then; raises to stop.
    """
    sums = _Sums()
    for rows, columns, states, count in (
        (VISITS, _VISIT_VALUES, selection.statuses, _Sums.count_visits),
        (ENDS, _END_VALUES, selection.outcomes, _Sums.count_ends),
    ):
        wanted, values = conditions(rows, selection, states)
        condition = " AND ".join(wanted) or "TRUE"
        query = f"SELECT {columns} FROM {rows.table} AS row CROSS JOIN place ON place.id = row.place WHERE {condition}"

        def read(
            connection: sqlite3.Connection,
            query: str = query,
            values: Sequence[Any] = values,
            count: Callable[..., None] = count,
        ) -> tuple[_Sums, dict[int, Stage]]:
            found = _Sums()  # of its own, so that a segment that turns out to be damaged counts for nothing
            cursor = connection.execute(query, values)
            while part := cursor.fetchmany(_AT_ONCE):
                check()
                count(found, part)
            return found, _places(connection)

        for _, (found, places) in pool.ask(read):
            sums.add(found, places)
        for stage, row in superseded(pool, rows, condition, values, columns, check):
            count(sums, [(stage, *row[1:])], -1)
    return LineageStatistics(stages=list(_stages(sums)), routes=list(_routes(sums)))


def _stages(sums: _Sums) -> Iterator[StageLineage]:
    by_stage: defaultdict[Stage, list[tuple[Any, ...]]] = defaultdict(list)
    for (stage, *rest), number in sums.visits.items():
        if number > 0:
            by_stage[stage].append((*rest, number))
    for stage in sorted(by_stage, key=lambda each: (*each[:2], each[3], each[2])):
        statuses: Counter[str] = Counter()
        waits: Counter[str] = Counter()
        durations: Counter[int] = Counter()
        retried = 0
        for status, is_retried, waited_for, duration, number in by_stage[stage]:
            name = STATUSES[status]
            statuses[name] += number
            retried += number if is_retried else 0
            if waited_for:
                waits[waited_for] += number
            if name in ("completed", "failed"):
                durations[duration] += number
        ordered = sorted(durations.items())
        yield StageLineage(
            *stage,
            statuses=dict(statuses),
            retried=retried,
            calls=durations.total(),
            p50_ns=_quantile(ordered, durations.total(), 0.5),
            p99_ns=_quantile(ordered, durations.total(), 0.99),
            most_ns=ordered[-1][0] if ordered else 0,
            waited_ns=sums.waited[stage],
            waits=dict(waits.most_common()),
        )


def _routes(sums: _Sums) -> Iterator[RouteLineage]:
    by_route: defaultdict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for ((execution_id, route, *_), outcome), number in sums.ends.items():
        if number > 0:
            by_route[execution_id, route][OUTCOMES[outcome]] += number
    for (execution_id, route), outcomes in sorted(by_route.items()):
        yield RouteLineage(execution_id, route, dict(outcomes))


def _places(connection: sqlite3.Connection) -> dict[int, Stage]:
    return {
        number: (execution_id, route, stage, position)
        for number, execution_id, route, stage, position in connection.execute(
            "SELECT id, execution_id, route, stage, position FROM place"
        )
    }


def _quantile(durations: Sequence[tuple[int, int]], calls: int, share: float) -> int:
    """Return the duration that so large a share of the calls does not exceed."""
    seen = 0
    for duration, number in durations:
        seen += number
        if seen >= share * calls:
            return duration
    return 0
