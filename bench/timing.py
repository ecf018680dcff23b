"""Reading the clocks; apart so that every subject is timed by the same code.

CPU time is that of the whole process, so that what a baseline does in threads of its own counts; wall time is beside it
because a baseline may also wait.
"""

import gc
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self

from bench.model import Metric

CPU = Metric(name="cpu", unit="us")
WALL = Metric(name="wall", unit="us")
NS = Metric(name="ns", unit="ns")


class Stopwatch:
    """CPU and wall time of a block; `per(operations)` after it."""

    def __enter__(self) -> Self:
        self._wall, self._cpu = time.perf_counter_ns(), time.process_time_ns()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.cpu_ns = time.process_time_ns() - self._cpu
        self.wall_ns = time.perf_counter_ns() - self._wall

    def per(self, operations: int) -> dict[str, float]:
        """Microseconds of each kind for one operation."""
        return {"cpu": self.cpu_ns / operations / 1e3, "wall": self.wall_ns / operations / 1e3}


def calls(function: Callable[[], object], count: int) -> Callable[[], Mapping[str, float]]:
    """A `Subject.measure` for a function that is called over and over: nanoseconds of CPU a call, the loop's own excluded."""

    def measure() -> Mapping[str, float]:
        turns = range(count)
        started = time.thread_time_ns()
        for _ in turns:
            pass
        empty = time.thread_time_ns() - started
        started = time.thread_time_ns()
        for _ in turns:
            function()
        return {"ns": (time.thread_time_ns() - started - empty) / count}

    return measure


def calibration() -> float:
    """Nanoseconds of a turn of a fixed loop of pure Python: how fast this machine was at that moment."""
    gc.collect()
    count, total = 200_000, 0
    started = time.process_time_ns()
    for number in range(count):
        total += number & 7
    return (time.process_time_ns() - started) / count
