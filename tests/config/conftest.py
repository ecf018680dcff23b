"""A registry with three adapters that no one else knows, and a loader with an environment of its own."""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Literal

import pytest
from pydantic import BaseModel, Field, field_validator, model_validator

from factflow_engine.adapters import ValidatingAdapterRegistry
from factflow_engine.conditions import ConditionOperator, OperatorRegistry
from factflow_engine.config import PipelineConfigLoader
from factflow_protocols import AdapterResult, PipelineAdapter, PipelineContext, StatefulAdapter


class Limits(BaseModel, extra="forbid"):
    low: int = 0
    high: int = 10

    @model_validator(mode="after")
    def _ordered(self) -> "Limits":
        if self.low > self.high:
            raise ValueError(f"low ({self.low}) is more than high ({self.high})")
        return self


class ProbeConfig(BaseModel):
    url: str
    port: int = Field(default=80, ge=1, le=65535)
    mode: Literal["fast", "safe"] = "fast"
    tags: list[str] = []
    limits: Limits = Limits()
    secret: str = ""
    ratio: float = 0.5

    @field_validator("secret")
    @classmethod
    def _long(cls, value: str) -> str:
        if value == "short":
            raise ValueError(f"the secret {value} ({value.upper()}) is too short")
        if value == "explode":
            raise RuntimeError(f"exploded on {value}")
        return value


class Forwarding(PipelineAdapter):
    async def process(self, context: PipelineContext) -> AdapterResult:
        return AdapterResult.forward()


class Probe(Forwarding):
    """Probes."""

    config_model: ClassVar[type[Any] | None] = ProbeConfig

    def __init__(self, config: ProbeConfig) -> None:
        self.config = config


class Keeping(StatefulAdapter):
    async def process(self, context: PipelineContext) -> AdapterResult:
        return AdapterResult.forward()

    async def finish(self) -> AdapterResult:
        return AdapterResult(message="what it kept")


def make_registry() -> ValidatingAdapterRegistry:
    registry = ValidatingAdapterRegistry.empty()
    registry.register("probe", Probe)
    registry.register("plain", Forwarding)
    registry.register("other", Forwarding)
    registry.register("keeps", Keeping)
    return registry


class DivisibleBy(ConditionOperator):
    name = "divisible_by"

    def check_literal(self, literal: Any) -> None:
        if not isinstance(literal, int) or literal == 0:
            raise ValueError("divisible_by needs a whole number other than 0")

    def matches(self, field_value: Any, literal: Any) -> bool:
        return isinstance(field_value, int) and field_value % literal == 0


def make_loader(environ: Mapping[str, str]) -> PipelineConfigLoader:
    operators = OperatorRegistry()
    operators.register(DivisibleBy())
    return PipelineConfigLoader(make_registry(), operators=operators, environ=environ, strict=True)


ENVIRONMENT = {
    "PORT": "8080",
    "HOST": "example.org",
    "TOKEN": "t0p-s3cret-t0ken",
    "EMPTY": "",
    "SHORT_KEY": "short",
    "TOKEN_PORT": "8080",
    "LARGE": "large " * 20_000,
}


@pytest.fixture(scope="session")
def registry() -> ValidatingAdapterRegistry:
    return make_registry()


@pytest.fixture(scope="session")
def loader() -> PipelineConfigLoader:
    return make_loader(ENVIRONMENT)


@pytest.fixture(scope="session")
def loader_with() -> Callable[[Mapping[str, str]], PipelineConfigLoader]:
    return make_loader
