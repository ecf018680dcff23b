"""Configuration of a simulated run, with stand-ins for adapters that do not exist yet.

Kept separate from the run because tests of configurations load them in the same way.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pydantic

from factflow_engine.adapters import AdapterSpec, ValidatingAdapterRegistry
from factflow_engine.adapters.class_checks import check_type_name
from factflow_engine.conditions import OperatorRegistry
from factflow_engine.config import PipelineConfigLoader, PipelineGlobalConfig
from factflow_engine.errors import AdapterNotFoundError, AdapterRegistrationError
from factflow_engine.testing.simulation.errors import SimulationError
from factflow_engine.testing.simulation.models import Replace, StageChange, StageModel
from factflow_protocols import AdapterResult, PipelineAdapter, PipelineContext


class _AnyConfig(pydantic.BaseModel, extra="allow"):
    """Any configuration, unchecked."""


class StandIn(PipelineAdapter):
    """Adapter in the place of one that is not registered; forwards each message, unless its model says otherwise."""

    config_model = _AnyConfig

    def __init__(self, config: _AnyConfig) -> None:
        self.config = config

    async def process(self, context: PipelineContext) -> AdapterResult:
        """Forward the message."""
        del context
        return AdapterResult.forward()


class StandingInRegistry(ValidatingAdapterRegistry):
    """Registry that has a stand-in for each type that another one has not.

    Attributes:
        is_default: True if the other one has the built-in types alone, because none was given.
        stand_ins: Types that have been asked for, and have a stand-in.
    """

    def __init__(self, registry: ValidatingAdapterRegistry | None) -> None:
        super().__init__()
        if registry is not None:
            vars(self).update(vars(registry.copy()))
        self.is_default = registry is None
        self.stand_ins: set[str] = set()

    def __contains__(self, type_name: object) -> bool:
        return super().__contains__(type_name) or (isinstance(type_name, str) and _is_type_name(type_name))

    def get(self, type_name: str) -> AdapterSpec:
        """Return the description of a type, or that of a stand-in."""
        if not super().__contains__(type_name) and _is_type_name(type_name):
            self.stand_ins.add(type_name)
            self._store(type_name, StandIn, _AnyConfig)
        return super().get(type_name)


def _is_type_name(text: str) -> bool:
    try:
        check_type_name(text)
    except AdapterRegistrationError:
        return False
    return True


def load_for_simulation(
    config: PipelineGlobalConfig | Path | str,
    registry: ValidatingAdapterRegistry | None,
    changes: Sequence[StageChange],
    operators: OperatorRegistry | None = None,
) -> tuple[PipelineGlobalConfig, ValidatingAdapterRegistry]:
    """Return a configuration as it is run, and the registry to run it with.

    Args:
        config: A loaded configuration, the path of a file, or a text: with a line end it is a text, else a path.
        registry: The adapters; None for the built-in ones.
        changes: Models of stages: a stage with one may be of a type that is not registered.
        operators: Operators of conditions, if not only the built-in ones.

    Raises:
        ConfigurationError: The configuration has errors.
        AdapterNotFoundError: A stage without a model is of a type that is not registered.
        SimulationError: An argument is of another type.
    """
    for name, given, kind in (
        ("config", config, (PipelineGlobalConfig, Path, str)),
        ("registry", registry, (ValidatingAdapterRegistry, type(None))),
        ("operators", operators, (OperatorRegistry, type(None))),
    ):
        if not isinstance(given, kind):
            what = " or ".join("None" if each is type(None) else each.__name__ for each in kind)
            raise SimulationError(f"{name}: expected {what}, got {given!r}")
    known = ValidatingAdapterRegistry() if registry is None else registry
    standing = StandingInRegistry(registry)
    if isinstance(config, PipelineGlobalConfig):
        loaded = config
        for route in loaded.routes.values():
            for stage in route.adapters:
                standing.get(stage.type)
    else:
        loader = PipelineConfigLoader(standing, operators=operators)
        is_text = isinstance(config, str) and "\n" in config
        loaded = loader.load_text(str(config)) if is_text else loader.load(config)
    modelled = {change.stage for change in changes if isinstance(change, (StageModel, Replace))}
    for route_id, route in loaded.routes.items():
        for stage in route.adapters:
            if stage.type in standing.stand_ins and f"{route_id}/{stage.name}" not in modelled:
                _refuse(known, stage.type, f"{route_id}/{stage.name}")
    return loaded, standing


def _refuse(registry: ValidatingAdapterRegistry, type_name: str, stage: str) -> Any:
    try:
        registry.get(type_name)
    except AdapterNotFoundError as error:
        raise AdapterNotFoundError(
            f"stage {stage!r}: {error}; to simulate it without its adapter, give models=[StageModel(stage={stage!r})]"
        ) from None
    raise AssertionError(f"{type_name} is registered after all")  # pragma: no cover - it had a stand-in
