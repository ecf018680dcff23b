"""Models of stages for a simulated run: how long a call takes, how often it fails, how many it takes at a time.

With a model a pipeline can be simulated before its adapters exist, and without what they call. `Replace`, `Weave` and
`Record` change a stage of the run without another configuration. Kept separate from what runs them (`staging`).
"""

import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from factflow_engine.seams import Randomness
from factflow_engine.testing.simulation.values import is_count, is_number, is_time
from factflow_protocols import AdapterResult, FactflowError, PipelineContext

Process = Callable[[PipelineContext], AdapterResult | Awaitable[AdapterResult | None] | None]
"""A function in the place of an adapter's `process`."""


class StageModelError(FactflowError, ValueError):
    """A model that cannot be: the text says what was expected and what was given."""


def _check(is_so: bool, name: str, expected: str, got: object) -> None:  # noqa: FBT001 - a condition
    if not is_so:
        raise StageModelError(f"{name}: expected {expected}, got {got!r}")


@runtime_checkable
class ServiceTime(Protocol):
    """Distribution of the seconds that a call takes alone."""

    def draw(self, randomness: Randomness) -> float:
        """Return the seconds of the next call."""
        ...


@dataclass(frozen=True, slots=True)
class Constant:
    """Every call takes the same time."""

    seconds: float

    def __post_init__(self) -> None:
        """Check the time."""
        _check(is_time(self.seconds), "Constant.seconds", "seconds, 0 or more", self.seconds)

    def draw(self, randomness: Randomness) -> float:
        """See `ServiceTime`."""
        del randomness
        return self.seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Lognormal:
    """Times whose logarithm is normally distributed, as those of most servers nearly are.

    Attributes:
        median: Seconds that half of the calls exceed.
        sigma: Standard deviation of the logarithm: 0.5 makes the 99th percentile 3.2 times the median.
    """

    median: float
    sigma: float = 0.5

    def __post_init__(self) -> None:
        """Check the fields."""
        _check(is_time(self.median) and self.median > 0, "Lognormal.median", "seconds above 0", self.median)
        _check(is_time(self.sigma) and self.sigma <= 5, "Lognormal.sigma", "a number from 0 to 5", self.sigma)

    def draw(self, randomness: Randomness) -> float:
        """See `ServiceTime`. Box and Muller's method."""
        first, second = randomness.uniform(0, 1), randomness.uniform(0, 1)
        normal = math.sqrt(-2 * math.log(1 - first)) * math.cos(2 * math.pi * second)
        return self.median * math.exp(self.sigma * normal)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bimodal:
    """Most calls are quick, some slow, as with a cache."""

    quick: float
    slow: float
    slow_share: float = 0.1

    def __post_init__(self) -> None:
        """Check the fields."""
        for name in ("quick", "slow"):
            _check(is_time(getattr(self, name)), f"Bimodal.{name}", "seconds, 0 or more", getattr(self, name))
        _check(
            is_time(self.slow_share) and self.slow_share <= 1,
            "Bimodal.slow_share",
            "a share from 0 to 1",
            self.slow_share,
        )

    def draw(self, randomness: Randomness) -> float:
        """See `ServiceTime`."""
        return self.slow if randomness.uniform(0, 1) < self.slow_share else self.quick


@dataclass(frozen=True, slots=True, kw_only=True)
class Outage:
    """A time during which every call of a stage that begins fails at once."""

    from_seconds: float
    until_seconds: float

    def __post_init__(self) -> None:
        """Check that the end comes after the beginning."""
        _check(
            is_time(self.from_seconds) and is_number(self.until_seconds) and self.until_seconds > self.from_seconds,
            "Outage",
            "from_seconds of 0 or more, and until_seconds after that",
            (self.from_seconds, self.until_seconds),
        )


def _check_stage(what: object, stage: object) -> None:
    _check(isinstance(stage, str) and stage.count("/") == 1, f"{type(what).__name__}.stage", "'route/stage'", stage)


@dataclass(frozen=True, slots=True, kw_only=True)
class StageModel:
    """Behaviour of a stage, in front of its adapter, or instead of one that is not registered.

    Attributes:
        stage: The stage, as `route/stage`.
        time: Distribution of the seconds that a call takes.
        errors: Share of calls that fail with `SimulatedFailureError`, after their time.
        capacity: Calls at a time; others wait for one to end. None: any number.
        knee: Calls at a time beyond which each takes longer in proportion; None: none.
        outages: Times during which calls fail.
        process: What a stage without a registered adapter returns; None: it forwards each message.
    """

    stage: str
    time: ServiceTime = Constant(0)
    errors: float = 0.0
    capacity: int | None = None
    knee: int | None = None
    outages: tuple[Outage, ...] = ()
    process: Process | None = None

    def __post_init__(self) -> None:
        """Check the fields."""
        _check_stage(self, self.stage)
        _check(is_time(self.errors) and self.errors <= 1, "StageModel.errors", "a share from 0 to 1", self.errors)
        for name in ("capacity", "knee"):
            value = getattr(self, name)
            _check(value is None or is_count(value), f"StageModel.{name}", "a number from 1, or None", value)
        time: Any = self.time
        is_time_model = isinstance(time, ServiceTime) and not isinstance(time, type)
        _check(is_time_model, "StageModel.time", "a service time, such as Constant(1)", self.time)
        outages: Any = self.outages
        are_outages = isinstance(outages, tuple) and all(isinstance(each, Outage) for each in outages)
        _check(are_outages, "StageModel.outages", "a tuple of Outage(...)", self.outages)
        _check(
            self.process is None or callable(self.process), "StageModel.process", "a function, or None", self.process
        )


@dataclass(frozen=True, slots=True)
class Replace:
    """A function in the place of a stage's adapter, which is not called."""

    stage: str
    process: Process

    def __post_init__(self) -> None:
        """Check the fields."""
        _check_stage(self, self.stage)
        _check(callable(self.process), "Replace.process", "a function", self.process)


@dataclass(frozen=True, slots=True)
class Weave:
    """A function in front of a stage: called with each message before the adapter; what it returns is dropped.

    An exception of it fails the message, as one of the adapter does.
    """

    stage: str
    before: Callable[[PipelineContext], Any]

    def __post_init__(self) -> None:
        """Check the fields."""
        _check_stage(self, self.stage)
        _check(callable(self.before), "Weave.before", "a function", self.before)


@dataclass(frozen=True, slots=True)
class Record:
    """A stage whose calls the report lists, in `SimulationReport.calls`."""

    stage: str

    def __post_init__(self) -> None:
        """Check the stage's name."""
        _check_stage(self, self.stage)


StageChange = StageModel | Replace | Weave | Record
"""One change of a stage in a simulated run."""
