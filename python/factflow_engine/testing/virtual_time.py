"""Simulation, in which a run is a function of its inputs and a seed: virtual time, seeded randomness, counted ids.

Kept separate from the seams because nothing here is for production.
"""

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final, TypeVar

import trio
import trio.testing

from factflow_engine.seams import Seams
from factflow_engine.testing.schedule import scheduled

T = TypeVar("T")

EPOCH_NS: Final = 1_700_000_000_000_000_000
"""Beginning of simulated wall time."""


class SimulatedClock:
    """Clock that reads a virtual clock; without one, that of the trio run that asks.

    The first form costs a tenth: it is read for every message. It reads a private name of a clock that stands still
    between two jumps; a test compares it with what trio says.
    """

    def __init__(self, virtual: trio.testing.MockClock | None = None) -> None:
        self._virtual = virtual

    def monotonic_ns(self) -> int:
        """See `seams.Clock`."""
        virtual = self._virtual
        return round((trio.current_time() if virtual is None else virtual._virtual_base) * 1e9)

    def wall_ns(self) -> int:
        """See `seams.Clock`."""
        return EPOCH_NS + self.monotonic_ns()


class SimulatedRandomness:
    """Random generator with a seed: a number, or a text, which is hashed in the same way in every process."""

    def __init__(self, seed: int | str) -> None:
        self._generator = random.Random(seed)  # noqa: S311 - simulation

    def uniform(self, low: float, high: float) -> float:
        """See `seams.Randomness`."""
        return self._generator.uniform(low, high)

    def token(self, size: int) -> bytes:
        """See `seams.Randomness`."""
        return self._generator.randbytes(size)


class CountedIds:
    """Ids that begin with the simulated time and end with a count."""

    def __init__(self) -> None:
        self._count = 0

    def new(self, wall_ns: int) -> bytes:
        """See `seams.Ids`."""
        return self.reserve(wall_ns, 1)

    def reserve(self, wall_ns: int, count: int) -> bytes:
        """See `seams.Ids`."""
        first = self._count + 1
        self._count += count
        return (wall_ns // 1_000_000).to_bytes(6) + first.to_bytes(10)


class SimulatedThreads:
    """Threads that complete blocking work inline, after a simulated time drawn from the seed.

    A virtual clock takes a task that waits for a real thread for an idle one and jumps ahead; there is no thread here.
    Work of a stage's worker processes is done in the same way.
    """

    def __init__(self, randomness: SimulatedRandomness, *, longest_seconds: float = 0.01) -> None:
        self._randomness = randomness
        self._longest_seconds = longest_seconds

    async def run(self, function: Callable[[], T]) -> T:
        """See `seams.Threads`."""
        await trio.sleep(self._randomness.uniform(0, self._longest_seconds))
        return function()


@dataclass(frozen=True, slots=True)
class Simulation:
    """The seams of one simulated run.

    Attributes:
        seed: The seed of the run.
        virtual: The run's clock; None: that of the trio run that asks.
        seams: The seams for `OrchestratorManager(seams=...)`.
        randomness: The generator behind them, for the test's own choices.
    """

    seed: int
    virtual: trio.testing.MockClock | None = None
    randomness: SimulatedRandomness = field(init=False)
    seams: Seams = field(init=False)

    def __post_init__(self) -> None:
        randomness = SimulatedRandomness(self.seed)
        threads = SimulatedThreads(randomness)
        clock = SimulatedClock(self.virtual)
        object.__setattr__(self, "randomness", randomness)
        object.__setattr__(
            self,
            "seams",
            Seams(
                clock=clock,
                randomness=randomness,
                ids=CountedIds(),
                threads=threads,
                store_threads=lambda _: threads,
                processes=None,
                machine_instant=lambda: ("simulation", clock.monotonic_ns()),
            ),
        )


def in_virtual_time(function: Callable[[Simulation], Awaitable[T]], *, seed: int) -> T:
    """Run an async function under a virtual clock; the seed also decides trio's scheduling order.

    Time passes only while every task waits, and then at once. Do not use real threads and sockets inside. The built-in
    stores that a configuration names use none; to one that the program opens, give them: `open_storage(url,
    seams=simulation.seams)`.

    Args:
        function: Called with the run's simulation.
        seed: The same seed, function and inputs give the same run.

    Example:
        async def run(simulation: Simulation) -> ExecutionReport:
            async with OrchestratorManager(registry=registry, seams=simulation.seams) as manager:
                return await (await manager.start(config)).complete()

        report = in_virtual_time(run, seed=7)
    """
    with scheduled(random.Random(seed)):  # noqa: S311 - simulation
        virtual = trio.testing.MockClock(autojump_threshold=0)
        return trio.run(function, Simulation(seed, virtual), clock=virtual)
