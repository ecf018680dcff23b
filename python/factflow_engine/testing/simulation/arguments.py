"""Settings of a run from what a user gives: a configuration in any form, payloads by route, lists.

Kept separate from `settings`, which checks what is there already, because every function of the kit that runs a pipeline
begins with it.
"""

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from factflow_engine.adapters import ValidatingAdapterRegistry
from factflow_engine.conditions import OperatorRegistry
from factflow_engine.config import PipelineGlobalConfig
from factflow_engine.testing.simulation.errors import SimulationError
from factflow_engine.testing.simulation.faults import Fault
from factflow_engine.testing.simulation.inputs import Input, inputs_of
from factflow_engine.testing.simulation.loading import load_for_simulation
from factflow_engine.testing.simulation.models import StageChange
from factflow_engine.testing.simulation.settings import RunSettings

AnyConfig = PipelineGlobalConfig | Path | str
"""A loaded configuration, the path of a file, or a text, which has a line end."""

Inputs = Mapping[str, Iterable[Any]] | Iterable[Input | tuple[Any, ...]]
"""Inputs, tuples of their arguments, or payloads by route."""


def settings_of(
    config: AnyConfig,
    *,
    registry: ValidatingAdapterRegistry | None,
    inputs: Inputs = (),
    faults: Iterable[Fault] = (),
    models: Iterable[StageChange] = (),
    schedule: Collection[int] | None = None,
    operators: OperatorRegistry | None = None,
    **others: Any,
) -> RunSettings:
    """Return the settings of a run; `others` are fields of `RunSettings` as they are.

    Raises:
        ConfigurationError: The configuration has errors.
        AdapterNotFoundError: A stage without a model is of a type that is not registered.
        SimulationError: Arguments do not fit together.
        InputError: Something else is among the inputs.
    """
    changes = listed("models", models, StageChange, "models, such as StageModel(stage='route/stage')")
    loaded, known = load_for_simulation(config, registry, changes, operators)
    return RunSettings(
        config=loaded,
        registry=known,
        inputs=inputs_of(inputs),
        faults=faults_of(faults),
        models=changes,
        schedule=None if schedule is None else tuple(sorted(listed("schedule", schedule, int, "numbers of decisions"))),
        operators=operators,
        **others,
    )


def faults_of(given: object) -> tuple[Fault, ...]:
    """Return a plan.

    Raises:
        SimulationError: It is no list of faults.
    """
    return listed("faults", given, Fault, "faults, such as Crash(at=1)")


def listed(name: str, given: object, kind: Any, expected: str) -> tuple[Any, ...]:
    """Return the elements of an argument, all of them instances of `kind`.

    Raises:
        SimulationError: It is no list, or something else is in it.
    """
    if isinstance(given, (str, bytes)) or not isinstance(given, Iterable):
        raise SimulationError(f"{name}: expected a list of {expected}, got {given!r}; write [...]")
    found = tuple(given)
    for place, each in enumerate(found, 1):
        if not isinstance(each, kind):
            raise SimulationError(f"{name}, element {place}: expected {expected}, got {each!r}")
    return found
