"""`compare`: every contender in every scenario, and what came out.

Kept separate from the command so that programs can compare algorithms of their own. Simulations are pure functions of
scenario, seed and algorithm, and run on threads of Rust without the interpreter's lock; a program's own algorithm runs on
the calling thread. Results are the same in any order and on every machine.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, localcontext
from typing import Any, Final

from factflow_engine.limit_suite.contenders import Contender
from factflow_engine.native import LIMIT_SCALES, LIMIT_SCENARIOS, LimitScenario, compare_limits

MEASURES: Final = (
    "score",
    "U",
    "I",
    "I99",
    "E",
    "J",
    "convergence_s",
    "overshoot",
    "goodput_in_deadline",
    "wasted",
    "changes_per_minute",
)
"""Measures of a cell, in the order of documents."""

GOOD: Final = 0.8
"""Score from which a cell is a good one."""
_FLOOR: Final = Decimal("0.01")
_DIGITS: Final = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A scenario under its name in results.

    Attributes:
        label: The name.
        scale: Scale of its capacities.
        scenario: What is simulated.
        is_variant: True for a variant of another one, which is not drawn.
    """

    label: str
    scale: float
    scenario: LimitScenario
    is_variant: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """A contender in a scenario.

    Attributes:
        scenario: Label of the scenario.
        scale: Its scale.
        algorithm: Label of the contender.
        measures: Measures by name; None for one that is infinite or was never reached.
        convergences: Each change of the scenario in nanoseconds, and the seconds from there until the contender was about as
        good as the oracle; None if it never was again.
        series: What can be drawn, if that was asked for.
    """

    scenario: str
    scale: float
    algorithm: str
    measures: Mapping[str, float | None]
    convergences: Sequence[tuple[int, float | None]]
    series: Mapping[str, Any] | None

    @property
    def score(self) -> float:
        """The score: 1 is the oracle's."""
        return self.measures["score"] or 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Standing of an algorithm in the league.

    Attributes:
        algorithm: Its label.
        geometric_mean: Geometric mean of its scores, none of which counts less than .01.
        worst: Lowest score.
        good: Number of scores of .8 or more.
        cells: Number of scores.
    """

    algorithm: str
    geometric_mean: float
    worst: float
    good: int
    cells: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Result of a comparison.

    Attributes:
        tasks: The scenarios, in the order of the cells.
        cells: Every cell: by scenario, and in each by contender, in the order in which they were asked for.
        oracles: What can be drawn of each scenario's oracle, if that was asked for.
    """

    tasks: tuple[Task, ...]
    cells: tuple[Cell, ...]
    oracles: tuple[Mapping[str, Any] | None, ...]

    def standings(self) -> tuple[Standing, ...]:
        """Return the league table: the best geometric mean first."""
        scores: dict[str, list[float]] = {}
        for cell in self.cells:
            scores.setdefault(cell.algorithm, []).append(cell.score)
        table = [
            Standing(
                algorithm=algorithm,
                geometric_mean=geometric_mean(found),
                worst=min(found),
                good=sum(score >= GOOD for score in found),
                cells=len(found),
            )
            for algorithm, found in scores.items()
        ]
        return tuple(sorted(table, key=lambda one: (-one.geometric_mean, one.algorithm)))

    def document(self) -> dict[str, object]:
        """Return the result as a JSON document."""
        return {
            "cells": [
                {"scenario": cell.scenario, "scale": cell.scale, "algorithm": cell.algorithm, **cell.measures}
                for cell in self.cells
            ],
            "summary": {
                one.algorithm: {
                    "geometric_mean": one.geometric_mean,
                    "worst": one.worst,
                    "cells_at_least_0.8": one.good,
                    "cells": one.cells,
                }
                for one in self.standings()
            },
        }


def published_tasks(names: Sequence[str] = (), scales: Sequence[float] = ()) -> tuple[Task, ...]:
    """Return scenarios of the catalogue, all of them at all three scales by default.

    Raises:
        ValueError: There is none of a name, or a scale is none.
    """
    return tuple(
        Task(label=name, scale=scale, scenario=LimitScenario.published(name, scale))
        for name in names or LIMIT_SCENARIOS
        for scale in scales or LIMIT_SCALES
    )


def variants_of(tasks: Iterable[Task], count: int, seed: int) -> tuple[Task, ...]:
    """Return the first variants of scenarios of the catalogue; a variant's label has its number.

    Those of odd numbers were never used to choose a parameter of `adaptive`.
    """
    return tuple(
        Task(
            label=f"{task.label}#{number}",
            scale=task.scale,
            scenario=LimitScenario.varied(task.label, task.scale, seed=seed, number=number),
            is_variant=True,
        )
        for task in tasks
        for number in range(count)
    )


def compare(
    tasks: Sequence[Task],
    contenders: Sequence[Contender],
    *,
    threads: int = 2,
    bins: int | None = None,
    told: Callable[[int], object] = lambda _: None,
) -> Comparison:
    """Run every contender in every scenario.

    Args:
        tasks: The scenarios.
        contenders: The algorithms.
        threads: Most simulations at a time.
        bins: Number of bins of what can be drawn; None for nothing to draw.
        told: Called with the number of cells that are done, after each.

    Raises:
        ValueError: An algorithm cannot be made with its parameters.
        OwnAlgorithmError: A program's own algorithm has raised an error, which is the cause.
        Exception: Whatever `told` raises; KeyboardInterrupt at once.
    """
    cells: dict[tuple[int, int], Cell] = {}
    oracles: list[Mapping[str, Any] | None] = [None] * len(tasks)

    def done(place: int, number: int | None, found: dict[str, Any]) -> None:
        task, series = tasks[place], found["series"]
        if number is None:
            oracles[place] = series
            return
        cells[place, number] = Cell(
            scenario=task.label,
            scale=task.scale,
            algorithm=contenders[number].label,
            measures={name: _rounded(found[name]) for name in MEASURES},
            convergences=found["convergences"],
            series=series,
        )
        told(len(cells))

    compare_limits(
        [task.scenario for task in tasks],
        [contender.native() for contender in contenders],
        threads=threads,
        bins=bins,
        done=done,
    )
    ordered = tuple(cells[place] for place in sorted(cells))
    return Comparison(tasks=tuple(tasks), cells=ordered, oracles=tuple(oracles))


def geometric_mean(scores: Sequence[float]) -> float:
    """Return the geometric mean of scores, none of which counts less than .01; computed in decimals, the same everywhere."""
    with localcontext() as context:
        context.prec = 28
        logarithms = sum((max(Decimal(score), _FLOOR).ln() for score in scores), Decimal())
        return float(round((logarithms / len(scores)).exp(), _DIGITS))


def _rounded(number: float | None) -> float | None:
    """Return a number as documents have it; None if it is infinite."""
    return None if number is None or not math.isfinite(number) else round(float(number), _DIGITS)
