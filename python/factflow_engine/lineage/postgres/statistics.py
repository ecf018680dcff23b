"""Counts and durations of stages and routes, computed by the server in one pass over the rows.

Kept separate from the reader because the server groups finely and this adds up: durations lie in classes of 1 %, so
that their percentiles need no sorting of all rows.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

import psycopg

from factflow_engine.lineage.postgres.schema import Row, sql
from factflow_engine.lineage.postgres.selecting import OUTCOMES, VISITS, latest, narrowed
from factflow_protocols import LineageSelection, LineageStatistics, RouteLineage, StageLineage

_CLASSES: Final = 100
"""Classes of durations for each factor of e."""

_ENDED: Final = frozenset({"completed", "failed"})


@dataclass(slots=True)
class _Stage:
    """Sums of one stage.

    Attributes:
        durations: Number of calls by class of duration.
    """

    position: int = 0
    statuses: dict[str, int] = field(default_factory=dict)
    retried: int = 0
    waited_ns: int = 0
    waits: dict[str, int] = field(default_factory=dict)
    durations: dict[int, int] = field(default_factory=dict)
    most_ns: int = 0


def statistics(connection: psycopg.Connection[Row], schema: str, selection: LineageSelection) -> LineageStatistics:
    """Return the numbers of what a selection selects."""
    connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
    conditions, values = narrowed(VISITS, selection)
    visits = connection.execute(
        sql(
            "SELECT execution_id, route, stage, status, waited_for,"
            f" floor(ln(1 + greatest(duration_ns, 0)::float8) * {_CLASSES})::integer,"
            " count(*), max(position), count(*) FILTER (WHERE attempt > 1), sum(waited_ns), max(duration_ns)"
            f" FROM ({latest(schema, VISITS, conditions)}) visit GROUP BY 1, 2, 3, 4, 5, 6"
        ),
        values,
    )
    stages = _stages(visits)
    conditions, values = narrowed(OUTCOMES, selection)
    ended = connection.execute(
        sql(
            f"SELECT execution_id, route, outcome, count(*) FROM ({latest(schema, OUTCOMES, conditions)}) ended"
            " GROUP BY 1, 2, 3 ORDER BY 1, 2, 3"
        ),
        values,
    )
    routes: dict[tuple[str, str], dict[str, int]] = {}
    for execution, route, outcome, count in ended:
        routes.setdefault((execution, route), {})[outcome] = count
    return LineageStatistics(
        stages, [RouteLineage(execution, route, outcomes) for (execution, route), outcomes in routes.items()]
    )


def _stages(rows: Iterable[Row]) -> list[StageLineage]:
    found: dict[tuple[str, str, str], _Stage] = {}
    for execution, route, name, status, waited_for, duration, count, position, retried, waited, most in rows:
        stage = found.setdefault((execution, route, name), _Stage())
        stage.position = max(stage.position, position)
        stage.statuses[status] = stage.statuses.get(status, 0) + count
        stage.retried += retried
        stage.waited_ns += int(waited)
        if waited_for is not None:
            stage.waits[waited_for] = stage.waits.get(waited_for, 0) + count
        if status in _ENDED:
            stage.durations[duration] = stage.durations.get(duration, 0) + count
            stage.most_ns = max(stage.most_ns, most)
    order = sorted(found.items(), key=lambda item: (item[0][0], item[0][1], item[1].position, item[0][2]))
    return [
        StageLineage(
            execution_id=execution,
            route=route,
            stage=name,
            position=stage.position,
            statuses=dict(sorted(stage.statuses.items())),
            retried=stage.retried,
            calls=sum(stage.durations.values()),
            p50_ns=_percentile(stage.durations, 0.5),
            p99_ns=_percentile(stage.durations, 0.99),
            most_ns=stage.most_ns,
            waited_ns=stage.waited_ns,
            waits=dict(sorted(stage.waits.items())),
        )
        for (execution, route, name), stage in order
    ]


def _percentile(durations: dict[int, int], share: float) -> int:
    """Return the duration that this share of the calls does not exceed, to two digits; 0 if there are none."""
    rank = share * sum(durations.values())
    for duration, count in sorted(durations.items()):
        rank -= count
        if rank <= 0:
            return _two_digits(math.exp((duration + 0.5) / _CLASSES) - 1)
    return 0


def _two_digits(value: float) -> int:
    return int(round(value, 1 - math.floor(math.log10(value)))) if value >= 1 else 0
