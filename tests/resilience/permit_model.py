"""The bookkeeping of permits, written to be read: every permit is kept, and everything is counted anew each time.

The controller that the engine uses is compared with it, step by step. The algorithm is a real one, alone (`new_limit`).
"""

from dataclasses import dataclass, field
from typing import Any


@dataclass(eq=False)
class ModelPermit:
    start_ns: int
    in_flight: int
    generation: int
    is_settled: bool = False


@dataclass(eq=False)
class Model:
    """Gives permits as an algorithm that takes samples says."""

    algorithm: Any
    least: int
    most: int
    monitor_only: bool
    now: int = 0
    generation: int = 0
    frozen: bool = False
    most_now: int | None = None
    given: list[ModelPermit] = field(default_factory=list)
    refused: int = 0
    sampled: list[bool] = field(default_factory=list)
    samples: int = 0

    @property
    def limit(self) -> int:
        limit = min(self.most, max(self.least, self.algorithm.limit))
        return limit if self.most_now is None else min(limit, max(self.most_now, 1))

    @property
    def out(self) -> list[ModelPermit]:
        return [one for one in self.given if one.generation == self.generation and not one.is_settled]

    def try_acquire(self, now: int) -> ModelPermit | None:
        self.now = max(self.now, now)
        if len(self.out) >= self.limit:
            self.refused += 1
            if not self.monitor_only:
                return None
        permit = ModelPermit(self.now, len(self.out) + 1, self.generation)
        self.given.append(permit)
        return permit

    def settle(self, permit: ModelPermit, now: int, dropped: bool | None) -> bool:
        """Give back with a sample; with None, without one. True if there was a sample."""
        if permit.is_settled:
            return False
        permit.is_settled = True
        self.now = max(self.now, now)
        if permit.generation != self.generation or dropped is None or self.frozen:
            return False
        self.algorithm.on_sample(
            start_ns=permit.start_ns, rtt_ns=self.now - permit.start_ns, in_flight=permit.in_flight, dropped=dropped
        )
        self.sampled.append(dropped)
        return True

    def reset(self, algorithm: Any) -> None:
        self.generation += 1
        self.algorithm, self.frozen, self.most_now = algorithm, False, None
