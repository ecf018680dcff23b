"""Seams of one simulated process: a wall clock that may be wrong, ids and randomness that no other process has.

Kept separate from `virtual_time`, whose seams are those of a run with one process and a right clock.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from factflow_engine.seams import Clock, Seams
from factflow_engine.testing.simulation.errors import SimulationError
from factflow_engine.testing.simulation.faults import Fault, SkewClock, StepClock
from factflow_engine.testing.virtual_time import (
    EPOCH_NS,
    SimulatedClock,
    SimulatedRandomness,
    SimulatedThreads,
    Simulation,
)

_MOST: Final = 0xFFFF
"""Highest number of a process, and of its lives before the present one, that an id has room for."""


class ProcessClock:
    """Clock of a process in virtual time, whose wall clock is set and runs as the faults of a plan say.

    Its monotonic time is that of the run: the same in all processes, and never set.

    Args:
        clock: Clock of the run.
        number: Number of the process.
        faults: The plan; `StepClock` and `SkewClock` of this process or of all count. Rates of several are multiplied.
    """

    def __init__(self, clock: Clock, number: int, faults: Iterable[Fault] = ()) -> None:
        self._clock = clock
        self._rate = 1.0
        steps: list[tuple[int, int]] = []
        for fault in faults:
            if isinstance(fault, SkewClock) and fault.process in {None, number}:
                self._rate *= fault.rate
            elif isinstance(fault, StepClock) and fault.process in {None, number}:
                steps.append((round(fault.at * 1e9), round(fault.seconds * 1e9)))
        self._steps = tuple(sorted(steps))

    def monotonic_ns(self) -> int:
        """See `seams.Clock`."""
        return self._clock.monotonic_ns()

    def wall_ns(self) -> int:
        """See `seams.Clock`."""
        now = self._clock.monotonic_ns()
        wall = now if self._rate == 1 else round(now * self._rate)
        for at, change in self._steps:
            if at > now:
                break
            wall += change
        return max(EPOCH_NS + wall, 0)  # a wall clock before 1970 is none that ids and files can hold


class ProcessIds:
    """Ids that begin with the wall time, and then say process, life and count: no other process or life has them."""

    def __init__(self, number: int, life: int = 0) -> None:
        """Begin to count.

        Raises:
            SimulationError: The number or the life does not fit into an id.
        """
        if not (0 <= number < _MOST and 0 <= life <= _MOST):
            raise SimulationError(f"ids of process {number}, life {life}: expected numbers from 0, below {_MOST}")
        self._prefix = (number + 1).to_bytes(2) + life.to_bytes(2)  # ids of the run itself have 0
        self._count = 0

    def new(self, wall_ns: int) -> bytes:
        """See `seams.Ids`."""
        return self.reserve(wall_ns, 1)

    def reserve(self, wall_ns: int, count: int) -> bytes:
        """See `seams.Ids`."""
        first = self._count + 1
        self._count += count
        return (wall_ns // 1_000_000 & 0xFFFF_FFFF_FFFF).to_bytes(6) + self._prefix + first.to_bytes(6)


def seams_of_process(simulation: Simulation, number: int, faults: Iterable[Fault] = (), *, life: int = 0) -> Seams:
    """Return the seams of one life of a process.

    What it draws depends on the run's seed, its number and its life alone, not on what other processes draw. The clock
    for leases between processes (`machine_instant`) is the run's: no fault sets it.

    Args:
        simulation: The run.
        number: Number of the process, from 0.
        faults: The plan of the run; faults of clocks count.
        life: Number of the process's lives before this one.

    Raises:
        SimulationError: The number or the life is too high.
    """
    randomness = SimulatedRandomness(f"{simulation.seed}, process {number}, life {life}")
    threads = SimulatedThreads(randomness)
    return replace(
        simulation.seams,
        clock=ProcessClock(SimulatedClock(simulation.virtual), number, faults),
        randomness=randomness,
        ids=ProcessIds(number, life),
        threads=threads,
        store_threads=lambda _: threads,
    )
