"""Arguments of a simulated run, checked: whether they fit each other and the configuration.

Kept separate from the run because shrinking and campaigns change them and run again.
"""

from dataclasses import dataclass
from typing import Final

from factflow_engine.adapters import ValidatingAdapterRegistry
from factflow_engine.conditions import OperatorRegistry
from factflow_engine.config import PipelineGlobalConfig
from factflow_engine.testing.simulation.errors import SimulationError
from factflow_engine.testing.simulation.faults import (
    CancelExecution,
    Crash,
    Delay,
    DropDelivery,
    Duplicate,
    FailQueue,
    Fault,
    FaultRates,
    LoseLease,
    PowerCut,
    Reorder,
    SkewClock,
    StepClock,
)
from factflow_engine.testing.simulation.inputs import Input
from factflow_engine.testing.simulation.loading import StandingInRegistry
from factflow_engine.testing.simulation.models import Replace, StageChange, StageModel
from factflow_engine.testing.simulation.values import is_count, is_time, is_whole

QUEUES: Final = ("memory://", "broker://", "sqlite://")
"""URLs of queues that a run may have."""

LONGEST_SECONDS: Final = 6 * 3600.0
"""Virtual seconds after the last input and fault in which a run without `until` must end."""

_OF_BROKERS: Final = (Duplicate, Delay, Reorder, DropDelivery, LoseLease, FailQueue)
_RATES_OF_BROKERS: Final = ("duplicate", "delay", "reorder", "drop_delivery", "lose_lease", "fail_queue")
_LASTING: Final = (Crash, *_OF_BROKERS)
_LASTING_RATES: Final = (*_RATES_OF_BROKERS, "crash_seconds")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSettings:
    """Arguments of a simulated run, checked; see `simulate`.

    Attributes:
        hashes: True if the trace has hashes of payloads.
        is_smaller: True if the configuration is not the user's, but a smaller one that shrinking has made.
        most_readings: Readings of the clock at one instant, besides some for each input, after which no time passes; None
            for `MOST_READINGS`.
        most_work: Readings in all, besides some for each input, after which a run that may go round has no end; None for
            `MOST_WORK`.
        patience: Virtual seconds after the last input and fault in which the run must end, if it has no `until`.
    """

    config: PipelineGlobalConfig
    registry: ValidatingAdapterRegistry
    inputs: tuple[Input, ...] = ()
    seed: int = 0
    faults: tuple[Fault, ...] = ()
    models: tuple[StageChange, ...] = ()
    until: float | None = None
    queue: str = "memory://"
    processes: int = 1
    schedule: tuple[int, ...] | None = None
    operators: OperatorRegistry | None = None
    hashes: bool = False
    is_smaller: bool = False
    most_readings: int | None = None
    most_work: int | None = None
    patience: float = LONGEST_SECONDS

    def __post_init__(self) -> None:
        """Check what does not need a run.

        Raises:
            SimulationError: Arguments do not fit together.
        """
        if not is_whole(self.seed):
            raise SimulationError(f"seed: expected a whole number, got {self.seed!r}")
        for place, each in enumerate(self.inputs, 1):
            if each.route not in self.config.routes:
                raise SimulationError(
                    f"input {place}: expected a route of the configuration ({', '.join(self.config.routes)}), "
                    f"got {each.route!r}"
                )
        if self.queue not in QUEUES:
            raise SimulationError(f"queue: expected {', '.join(QUEUES)}, got {self.queue!r}")
        if self.until is not None and not is_time(self.until):
            raise SimulationError(f"until: expected seconds, 0 or more, or None, got {self.until!r}")
        self._check_faults()
        for place, change in enumerate(self.models):
            self._check_stage(change, change.stage)
            earlier = [type(each) for each in self.models[:place] if each.stage == change.stage]
            if isinstance(change, (StageModel, Replace)) and type(change) in earlier:
                raise SimulationError(
                    f"models: expected one {type(change).__name__} of stage {change.stage!r}, got several; "
                    "write all of it in one"
                )
        if not is_count(self.processes):
            raise SimulationError(f"processes: expected a number from 1, got {self.processes!r}")
        for number in self.schedule or ():
            if not is_count(number):
                raise SimulationError(f"schedule: expected numbers of decisions, from 1, got {number!r}")
        if self.queue == "memory://" and self.processes > 1:
            raise SimulationError(
                f"processes={self.processes}: messages in memory belong to one process; write queue='broker://'"
            )

    @property
    def given(self) -> tuple[str, ...]:
        """Names of the arguments that have no text and are not defaults."""
        has_registry = isinstance(self.registry, StandingInRegistry) and not self.registry.is_default
        has = {"registry": has_registry, "models": bool(self.models), "operators": self.operators is not None}
        return tuple(name for name, is_given in has.items() if is_given)

    @property
    def stages(self) -> list[str]:
        """Names of all stages of the configuration, `route/stage`."""
        routes = self.config.routes.items()
        return [f"{route}/{stage.name}" for route, section in routes for stage in section.adapters]

    def _check_stage(self, what: object, name: str) -> None:
        if name not in self.stages:
            raise SimulationError(
                f"{type(what).__name__}.stage: expected a stage of the configuration "
                f"({', '.join(self.stages) or 'it has none'}), got {name!r}"
            )

    def _check_faults(self) -> None:
        names = {route.inbound.queue for route in self.config.routes.values()}
        names |= {str(outbound.queue) for route in self.config.routes.values() for outbound in route.outbound}
        names |= {str(route.error_handling.dead_letter_queue) for route in self.config.routes.values()}
        for fault in self.faults:
            rates = isinstance(fault, FaultRates) and [name for name in _LASTING_RATES if getattr(fault, name)]
            if self.queue == "memory://" and (isinstance(fault, _LASTING) or rates):
                what = f"FaultRates({rates[0]}=...)" if rates else type(fault).__name__
                raise SimulationError(f"{what} needs a queue that outlives its process; write queue='broker://'")
            broken = isinstance(fault, _OF_BROKERS) or (rates and any(name in _RATES_OF_BROKERS for name in rates))
            if self.queue == "sqlite://" and broken:
                raise SimulationError(
                    f"{type(fault).__name__} of queues needs the simulated broker; write queue='broker://'"
                )
            if isinstance(fault, PowerCut) and self.queue != "sqlite://":
                raise SimulationError("PowerCut needs files; write queue='sqlite://'")
            if isinstance(fault, FaultRates) and fault.until is None and self.until is None:
                raise SimulationError(
                    "FaultRates without an end never let the run end; write until= (seconds) there, for liveness, or as "
                    "an argument of the run, for safety alone"
                )
            stage = getattr(fault, "stage", None)
            if stage is not None:
                self._check_stage(fault, stage)
            queue = getattr(fault, "queue", None)
            if queue is not None and queue not in names:
                raise SimulationError(
                    f"{type(fault).__name__}.queue: expected a queue of the configuration "
                    f"({', '.join(sorted(names - {'None'}))}), got {queue!r}"
                )
            number = fault.process if isinstance(fault, (Crash, CancelExecution, StepClock, SkewClock)) else None
            if number is not None and number >= self.processes:
                raise SimulationError(
                    f"{type(fault).__name__}.process: expected a number below processes={self.processes}, got {number}"
                )
