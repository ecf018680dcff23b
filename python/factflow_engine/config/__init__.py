"""Configuration: from text to the frozen snapshot that an execution runs.

`loader` is the entry point. It reads (`text`), parses with positions (`yaml`, `nodes`, `scalars`), resolves the
environment (`interpolation`), completes (`completion`), and then checks by building: `models`, `stages`, `wiring`,
`warnings`. Each problem is a `Finding` with a code of the `catalogue`. `graph` and `schema` are derived from the
result. A module is imported when one of its names is first used: the models and the YAML parser take longer to import
than everything else.
"""

from typing import TYPE_CHECKING, Any, Final

from factflow_engine.names import first_use

if TYPE_CHECKING:
    from factflow_engine.config.catalogue import CATALOGUE
    from factflow_engine.config.findings import ConfigurationError, Finding, render_findings
    from factflow_engine.config.graph import EdgeKind, RouteEdge, RouteGraph, build_graph
    from factflow_engine.config.loader import LoadResult, PipelineConfigLoader
    from factflow_engine.config.models import (
        AdapterConfig,
        BackpressureConfig,
        CircuitBreakerConfig,
        ConditionConfig,
        ErrorHandlingConfig,
        InboundConfig,
        InitMessageConfig,
        LineageConfig,
        OrchestratorConfig,
        OutboundConfig,
        PipelineGlobalConfig,
        ProcessorConfig,
        RouteConfig,
        StorageConfig,
        StorageMetadataConfig,
        StorageMetadataField,
        StoreConfig,
    )
    from factflow_engine.config.schema import config_schema
    from factflow_engine.config.single_route import validate_route_config
    from factflow_engine.config.strictness import configure_validation
    from factflow_engine.finding_code import Code, Severity

_MODULES: Final = {
    "AdapterConfig": "factflow_engine.config.models",
    "BackpressureConfig": "factflow_engine.config.models",
    "CATALOGUE": "factflow_engine.config.catalogue",
    "CircuitBreakerConfig": "factflow_engine.config.models",
    "Code": "factflow_engine.finding_code",
    "ConditionConfig": "factflow_engine.config.models",
    "ConfigurationError": "factflow_engine.config.findings",
    "EdgeKind": "factflow_engine.config.graph",
    "ErrorHandlingConfig": "factflow_engine.config.models",
    "Finding": "factflow_engine.config.findings",
    "InboundConfig": "factflow_engine.config.models",
    "InitMessageConfig": "factflow_engine.config.models",
    "LineageConfig": "factflow_engine.config.models",
    "LoadResult": "factflow_engine.config.loader",
    "OrchestratorConfig": "factflow_engine.config.models",
    "OutboundConfig": "factflow_engine.config.models",
    "PipelineConfigLoader": "factflow_engine.config.loader",
    "PipelineGlobalConfig": "factflow_engine.config.models",
    "ProcessorConfig": "factflow_engine.config.models",
    "RouteConfig": "factflow_engine.config.models",
    "RouteEdge": "factflow_engine.config.graph",
    "RouteGraph": "factflow_engine.config.graph",
    "Severity": "factflow_engine.finding_code",
    "StorageConfig": "factflow_engine.config.models",
    "StorageMetadataConfig": "factflow_engine.config.models",
    "StorageMetadataField": "factflow_engine.config.models",
    "StoreConfig": "factflow_engine.config.models",
    "build_graph": "factflow_engine.config.graph",
    "config_schema": "factflow_engine.config.schema",
    "configure_validation": "factflow_engine.config.strictness",
    "render_findings": "factflow_engine.config.findings",
    "validate_route_config": "factflow_engine.config.single_route",
}

__all__ = [
    "CATALOGUE",
    "AdapterConfig",
    "BackpressureConfig",
    "CircuitBreakerConfig",
    "Code",
    "ConditionConfig",
    "ConfigurationError",
    "EdgeKind",
    "ErrorHandlingConfig",
    "Finding",
    "InboundConfig",
    "InitMessageConfig",
    "LineageConfig",
    "LoadResult",
    "OrchestratorConfig",
    "OutboundConfig",
    "PipelineConfigLoader",
    "PipelineGlobalConfig",
    "ProcessorConfig",
    "RouteConfig",
    "RouteEdge",
    "RouteGraph",
    "Severity",
    "StorageConfig",
    "StorageMetadataConfig",
    "StorageMetadataField",
    "StoreConfig",
    "build_graph",
    "config_schema",
    "configure_validation",
    "render_findings",
    "validate_route_config",
]


def __getattr__(name: str) -> Any:
    return first_use(name, namespace=globals(), modules=_MODULES)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
