"""Strategies for valid configurations, of a given size and with given features.

Kept separate from the parts (`drafts`, `sketch`, `decorations`), because this is the signature that users see.
"""

from collections.abc import Collection
from typing import Any

from hypothesis import strategies as st

from factflow_engine.adapters import ValidatingAdapterRegistry
from factflow_engine.config import ConfigurationError, PipelineConfigLoader, PipelineGlobalConfig
from factflow_engine.testing.strategies.decorations import changes_of, decorated
from factflow_engine.testing.strategies.drafts import drafts
from factflow_engine.testing.strategies.errors import StrategyError
from factflow_engine.testing.strategies.features import FEATURES, checked_features
from factflow_engine.testing.strategies.sketch import sketched
from factflow_engine.testing.strategies.stage_types import adapters_of
from factflow_engine.testing.strategies.text import ConfigText, Layout


def configs(
    *,
    registry: ValidatingAdapterRegistry | None = None,
    types: Collection[str] | None = None,
    routes: tuple[int, int] = (1, 5),
    stages: tuple[int, int] = (0, 3),
    cycles: bool = False,
    features: Collection[str] = FEATURES,
) -> st.SearchStrategy[ConfigText]:
    """Return a strategy for configurations without errors, as YAML text.

    Routes form chains, fans and diamonds, by outbounds that name routes, queues, and topics with several readers. Each
    configuration has a few settings, of any section and any value that the models have; left out are those that would
    reach out of the process: URLs of stores other than `memory://`, and the lineage's events. It may have warnings.

    Args:
        registry: The adapter types of stages, with configurations built from their schemas (a field's `examples`, where
            it has any); None: `registry_of_examples()`, which the loader then needs. A registry that is not `empty()`
            has the built-in types, which read and write files: name those that you want.
        types: The types to use; None: all of the registry.
        routes: The least and the greatest number of routes.
        stages: The least and the greatest number of stages of a route.
        cycles: True to let some route lead back to itself or to an earlier one. `deadline_seconds` ends the circle, and
            with the example adapters a stage in front of it that sleeps for a second.
        features: Parts that are drawn, among `FEATURES`.

    Raises:
        StrategyError: An argument is none of these.
        UnsupportedSchemaError: Nothing can be built from the schema of an adapter type.

    Example:
        @given(configs(routes=(2, 3), features=["conditions", "errors"]))
        def test_my_tool_reads_every_configuration(text):
            config = PipelineConfigLoader(registry_of_examples()).load_text(text)
    """
    return documents(registry, types, routes, stages, features, cycles=cycles).map(
        lambda document: ConfigText(Layout(document).text)
    )


def loaded_configs(
    *,
    registry: ValidatingAdapterRegistry | None = None,
    types: Collection[str] | None = None,
    routes: tuple[int, int] = (1, 5),
    stages: tuple[int, int] = (0, 3),
    cycles: bool = False,
    features: Collection[str] = FEATURES,
) -> st.SearchStrategy[PipelineGlobalConfig]:
    """Return a strategy for the configurations of `configs`, loaded; `source` is the text. Arguments as of `configs`.

    Loading takes several times as long as drawing.
    """
    loader = PipelineConfigLoader(adapters_of(registry, types).registry, environ={}, strict=True)
    texts = configs(registry=registry, types=types, routes=routes, stages=stages, cycles=cycles, features=features)

    def loaded(text: str) -> PipelineGlobalConfig:
        result = loader.check_text(text)  # which logs no warnings
        if result.config is None or result.errors:
            raise ConfigurationError(result.findings)
        return result.config

    return texts.map(loaded)


def documents(
    registry: ValidatingAdapterRegistry | None,
    types: Collection[str] | None,
    routes: tuple[int, int],
    stages: tuple[int, int],
    features: Collection[str],
    *,
    cycles: bool,
) -> st.SearchStrategy[dict[str, Any]]:
    """Return a strategy for the configurations of `configs` as plain data in written form."""
    chosen = checked_features(features)
    adapters = adapters_of(registry, types)
    _check_range("routes", routes, 1)
    _check_range("stages", stages, 0)
    drawn = drafts(adapters, changes_of(chosen), routes=routes, stages=stages, cycles=cycles, queues="queues" in chosen)
    return drawn.map(lambda draft: decorated(sketched(draft, adapters)))


def _check_range(name: str, given: object, least: int) -> None:
    match given:
        case (int(low), int(high)) if least <= low <= high:
            return
    raise StrategyError(f"{name}: expected two numbers, the least (from {least}) and the greatest, got {given!r}")
