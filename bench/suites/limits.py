"""How long the comparison of concurrency limits takes: every built-in algorithm in every scenario.

What the algorithms are worth is no measurement: `factflow bench limits` says the same on every machine.
"""

import time
from collections.abc import Mapping
from functools import partial

from bench.model import OURS, Case, Metric, Scale, Subject, at_most
from factflow_engine.limit_suite.contenders import contenders
from factflow_engine.limit_suite.suite import compare, published_tasks
from factflow_engine.resilience.limits import ALGORITHMS

SECONDS = Metric(name="seconds", unit="s")


def cases(scale: Scale) -> list[Case]:
    """The whole comparison, on two threads and on one."""
    tasks = published_tasks(("steady",), (0.2,)) if scale.is_tiny else published_tasks()

    def round_of(threads: int) -> Mapping[str, float]:
        started = time.perf_counter()
        found = compare(tasks, contenders(ALGORITHMS), threads=threads)
        elapsed = time.perf_counter() - started
        checked(len(found.cells), len(tasks) * len(ALGORITHMS))
        return {"seconds": elapsed}

    return [
        Case(
            name="comparison",
            answers=f"{len(tasks) * len(ALGORITHMS)} cells of the comparison of limits: how long do they take?",
            metrics=(SECONDS,),
            subjects=(
                Subject(name=OURS, measure=partial(round_of, 2), note="two threads"),
                Subject(name="one thread", measure=partial(round_of, 1)),
            ),
            targets=(at_most("seconds", 60, "s"),),
            rounds=3,
        )
    ]


def checked(cells: int, expected: int) -> None:
    """Refuse a comparison that is not whole.

    Raises:
        ValueError: It has other cells.
    """
    if cells != expected:
        raise ValueError(f"expected {expected} cells, got {cells}")
