"""Configuration: from text to the frozen snapshot that an execution runs.

`loader` is the way in. It reads (`text`), parses with positions (`yaml`, `nodes`, `scalars`), resolves the environment
(`interpolation`), completes (`completion`), and then checks by building: `models`, `stages`, `wiring`, `warnings`.
What is found is a `Finding` with a code of the `catalogue`. `graph` and `schema` are made of the result.
"""

from factflow_engine.config.catalogue import CATALOGUE
from factflow_engine.config.codes import Code, Severity
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
)
from factflow_engine.config.schema import config_schema
from factflow_engine.config.single_route import validate_route_config
from factflow_engine.config.strictness import configure_validation

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
    "build_graph",
    "config_schema",
    "configure_validation",
    "render_findings",
    "validate_route_config",
]
