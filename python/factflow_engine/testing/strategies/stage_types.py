"""Types of adapters that drawn stages may have, and their configurations.

Kept separate from the routes that are drawn (`drafts`), because a registry is asked once, when a strategy is made.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from hypothesis import strategies as st
from pydantic import ValidationError

from factflow_engine.adapters import ValidatingAdapterRegistry
from factflow_engine.config.written import escape
from factflow_engine.testing.strategies.errors import StrategyError
from factflow_engine.testing.strategies.examples import EXAMPLES, registry_of_examples
from factflow_engine.testing.strategies.schemas import values_of


@dataclass(frozen=True, slots=True)
class Adapters:
    """Types of adapters, and strategies for their configurations.

    Attributes:
        registry: The registry.
        types: Strategy for a type.
        configs: Strategy for its configuration, by type; none for a type that takes none.
        are_examples: True if they are the example adapters.
    """

    registry: ValidatingAdapterRegistry
    types: st.SearchStrategy[str]
    configs: Mapping[str, st.SearchStrategy[dict[str, Any]]]
    are_examples: bool


def adapters_of(registry: ValidatingAdapterRegistry | None, types: Collection[str] | None = None) -> Adapters:
    """Return the adapters of a registry, or the examples.

    Raises:
        StrategyError: There are none, or a type is not registered.
        UnsupportedSchemaError: The schema of a type's configuration has a keyword from which nothing can be built.
    """
    if registry is None and types is None:
        return _examples()
    used = registry or registry_of_examples()
    names = list(used.types() if registry is not None else EXAMPLES) if types is None else list(types)
    for name in names:
        if name not in used:
            raise StrategyError(f"types: expected some of {', '.join(used.types())}, got {name!r}")
    if not names:
        raise StrategyError("expected a registry with an adapter, got one without")
    configs = {name: _config_of(used, name) for name in names}
    known = {name: found for name, found in configs.items() if found is not None}
    return Adapters(used, st.sampled_from(names), known, registry is None)


@cache
def _examples() -> Adapters:
    return adapters_of(None, tuple(EXAMPLES))


def _config_of(registry: ValidatingAdapterRegistry, name: str) -> st.SearchStrategy[dict[str, Any]] | None:
    schema = registry.schema(name)
    if not schema.get("properties") and not schema.get("additionalProperties"):
        return None

    def is_valid(config: dict[str, Any]) -> bool:
        try:
            registry.validate_config(name, config)
        except ValidationError:
            return False
        return True

    return values_of(schema, by_examples=True).filter(is_valid).map(_escaped)


def _escaped(value: Any) -> Any:
    """Return a value in written form, in which `${` begins no reference to the environment."""
    if isinstance(value, str):
        return escape(value)
    if isinstance(value, dict):
        return {key: _escaped(item) for key, item in value.items()}
    return [_escaped(item) for item in value] if isinstance(value, list) else value
