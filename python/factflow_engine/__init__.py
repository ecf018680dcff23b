"""factflow-engine: declarative pipelines on trio, with a Rust core for what is paid per message.

Arrows point down only. `cli` and `app` put things together; `runtime` runs executions; `config` turns text into a
checked snapshot, for which it asks `queues` (names), `adapters` (the registry) and `conditions`; `frames` is the wire
form of a message; `seams` is where time, randomness, ids and threads come from; `native` imports the Rust module.
What plugs in from outside depends on `factflow_protocols` alone. This file holds the public names and no logic.
"""

from factflow_engine.adapters import AdapterDiscovery, ValidatingAdapterRegistry, auto_discover_and_register
from factflow_engine.conditions import ConditionOperator, OperatorRegistry
from factflow_engine.config import (
    AdapterConfig,
    BackpressureConfig,
    CircuitBreakerConfig,
    ConditionConfig,
    ConfigurationError,
    ErrorHandlingConfig,
    InboundConfig,
    OrchestratorConfig,
    OutboundConfig,
    PipelineConfigLoader,
    PipelineGlobalConfig,
    ProcessorConfig,
    RouteConfig,
    configure_validation,
    validate_route_config,
)
from factflow_engine.errors import TooManyConcurrentExecutionsError
from factflow_engine.runtime.manager import OrchestratorManager
from factflow_engine.runtime.orchestrator import PipelineOrchestrator
from factflow_engine.runtime.report import ExecutionReport, ExecutionStatus, Outcome
from factflow_engine.runtime.route import ReactiveRouteProcessor
from factflow_engine.runtime.scoped_queue import ExecutionScopedQueue
from factflow_protocols import AdapterResult, PipelineAdapter, PipelineContext, Reject, RetryLater, StatefulAdapter

__all__ = [
    "AdapterConfig",
    "AdapterDiscovery",
    "AdapterResult",
    "BackpressureConfig",
    "CircuitBreakerConfig",
    "ConditionConfig",
    "ConditionOperator",
    "ConfigurationError",
    "ErrorHandlingConfig",
    "ExecutionReport",
    "ExecutionScopedQueue",
    "ExecutionStatus",
    "InboundConfig",
    "OperatorRegistry",
    "OrchestratorConfig",
    "OrchestratorManager",
    "OutboundConfig",
    "Outcome",
    "PipelineAdapter",
    "PipelineConfigLoader",
    "PipelineContext",
    "PipelineGlobalConfig",
    "PipelineOrchestrator",
    "ProcessorConfig",
    "ReactiveRouteProcessor",
    "Reject",
    "RetryLater",
    "RouteConfig",
    "StatefulAdapter",
    "TooManyConcurrentExecutionsError",
    "ValidatingAdapterRegistry",
    "auto_discover_and_register",
    "configure_validation",
    "validate_route_config",
]
