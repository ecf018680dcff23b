"""Check that a simulated run is a function of its arguments, as far as two runs can tell.

An adapter that reads the machine's clock or a generator without a seed, or goes through a set, makes another run of the
same arguments. Kept separate from campaigns because it compares runs of one seed.
"""

import gc
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from factflow_engine.adapters import ValidatingAdapterRegistry
from factflow_engine.conditions import OperatorRegistry
from factflow_engine.testing.simulation.arguments import AnyConfig, Inputs, settings_of
from factflow_engine.testing.simulation.errors import SimulationFailedError
from factflow_engine.testing.simulation.faults import Fault
from factflow_engine.testing.simulation.models import StageChange
from factflow_engine.testing.simulation.run import play
from factflow_engine.testing.simulation.trace import Trace

_CONTEXT: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Determinism:
    """Result of the comparison of two runs.

    Attributes:
        seed: Their seed.
        digest: SHA-256 of the trace of the first.
        line: Number of the first line of the traces that differs, from 1; None if none does.
        first: That line of the first run, with some lines before it; empty if they do not differ.
        second: The same of the second run.
    """

    seed: int
    digest: str
    line: int | None
    first: Sequence[str]
    second: Sequence[str]

    @property
    def ok(self) -> bool:
        """True if both runs had the same trace."""
        return self.line is None

    def __str__(self) -> str:
        if self.line is None:
            return f"two runs of seed {self.seed} had the same trace, {self.digest}"
        common = [f"  {line}" for line in self.first[:-1]]
        parted = [f"- {self.first[-1]}", f"+ {self.second[-1]}"]
        return "\n".join([f"two runs of seed {self.seed} part at line {self.line} of their traces:", *common, *parted])

    def check(self) -> "Determinism":
        """Return the result, if both runs had the same trace.

        Raises:
            SimulationFailedError: They had not; the text has the lines where they part.
        """
        if not self.ok:
            raise SimulationFailedError(str(self), "")
        return self


def check_determinism(
    config: AnyConfig,
    *,
    registry: ValidatingAdapterRegistry | None = None,
    inputs: Inputs = (),
    seed: int = 0,
    faults: Sequence[Fault] = (),
    models: Sequence[StageChange] = (),
    until: float | None = None,
    queue: str = "memory://",
    processes: int = 1,
    operators: OperatorRegistry | None = None,
) -> Determinism:
    """Run twice and compare the traces, with hashes of all payloads; arguments are those of `simulate`.

    What differs only between processes, such as the order of a set of texts, shows in the digest: compare that of
    processes with different PYTHONHASHSEED.
    """
    settings = settings_of(
        config,
        registry=registry,
        inputs=inputs,
        seed=seed,
        faults=faults,
        models=models,
        until=until,
        queue=queue,
        processes=processes,
        operators=operators,
        hashes=True,
    )
    first = play(settings).trace
    gc.collect()
    return _compared(seed, first, play(settings).trace)


def _compared(seed: int, first: Trace, second: Trace) -> Determinism:
    lines, others = str(first).splitlines(), str(second).splitlines()
    if lines == others:
        return Determinism(seed=seed, digest=first.digest(), line=None, first=(), second=())
    place = next(
        (place for place, (line, other) in enumerate(zip(lines, others, strict=False)) if line != other),
        min(len(lines), len(others)),
    )
    shown = slice(max(0, place - _CONTEXT), place + 1)
    ended = ["(its trace has ended)"]
    return Determinism(
        seed=seed,
        digest=first.digest(),
        line=place + 1,
        first=tuple((lines + ended)[shown]),
        second=tuple((others + ended)[shown]),
    )
