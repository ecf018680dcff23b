"""factflow-engine: declarative pipelines on trio, with a Rust core for what is paid per message.

Arrows point down only. `cli` and `app` put things together; `runtime` runs executions; `config` turns text into a
checked snapshot, for which it asks `queues` (names), `adapters` (the registry) and `conditions`; `frames` is the wire
form of a message; `seams` is where time, randomness, ids and threads come from; `native` imports the Rust module.
What plugs in from outside depends on `factflow_protocols` alone. This file holds the public names and no logic; a name's
module is imported when the name is first used, so that importing the package costs next to nothing.
"""

from typing import TYPE_CHECKING, Any, Final

from factflow_engine.names import first_use

if TYPE_CHECKING:  # for checkers and editors; `_MODULES` is what runs, and a test holds the two equal
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
    from factflow_engine.resilience import (
        AdapterCircuitMetrics,
        CircuitBreaker,
        CircuitState,
        CircuitStats,
        DomainMetrics,
    )
    from factflow_engine.runtime.execution.manager import OrchestratorManager
    from factflow_engine.runtime.execution.orchestrator import PipelineOrchestrator
    from factflow_engine.runtime.execution.route import ReactiveRouteProcessor
    from factflow_engine.runtime.report import ExecutionReport, ExecutionStatus, Outcome
    from factflow_engine.runtime.transport.scoped_queue import ExecutionScopedQueue
    from factflow_engine.version import __version__
    from factflow_protocols import (
        AdapterResult,
        CircuitOpenError,
        Emit,
        PipelineAdapter,
        PipelineContext,
        Reject,
        RetryLater,
        StatefulAdapter,
    )

_MODULES: Final = {
    "__version__": "factflow_engine.version",
    "AdapterCircuitMetrics": "factflow_engine.resilience",
    "AdapterConfig": "factflow_engine.config",
    "AdapterDiscovery": "factflow_engine.adapters",
    "AdapterResult": "factflow_protocols",
    "BackpressureConfig": "factflow_engine.config",
    "CircuitBreaker": "factflow_engine.resilience",
    "CircuitBreakerConfig": "factflow_engine.config",
    "CircuitOpenError": "factflow_protocols",
    "CircuitState": "factflow_engine.resilience",
    "CircuitStats": "factflow_engine.resilience",
    "ConditionConfig": "factflow_engine.config",
    "ConditionOperator": "factflow_engine.conditions",
    "ConfigurationError": "factflow_engine.config",
    "DomainMetrics": "factflow_engine.resilience",
    "Emit": "factflow_protocols",
    "ErrorHandlingConfig": "factflow_engine.config",
    "ExecutionReport": "factflow_engine.runtime.report",
    "ExecutionScopedQueue": "factflow_engine.runtime.transport.scoped_queue",
    "ExecutionStatus": "factflow_engine.runtime.report",
    "InboundConfig": "factflow_engine.config",
    "OperatorRegistry": "factflow_engine.conditions",
    "OrchestratorConfig": "factflow_engine.config",
    "OrchestratorManager": "factflow_engine.runtime.execution.manager",
    "OutboundConfig": "factflow_engine.config",
    "Outcome": "factflow_engine.runtime.report",
    "PipelineAdapter": "factflow_protocols",
    "PipelineConfigLoader": "factflow_engine.config",
    "PipelineContext": "factflow_protocols",
    "PipelineGlobalConfig": "factflow_engine.config",
    "PipelineOrchestrator": "factflow_engine.runtime.execution.orchestrator",
    "ProcessorConfig": "factflow_engine.config",
    "ReactiveRouteProcessor": "factflow_engine.runtime.execution.route",
    "Reject": "factflow_protocols",
    "RetryLater": "factflow_protocols",
    "RouteConfig": "factflow_engine.config",
    "StatefulAdapter": "factflow_protocols",
    "TooManyConcurrentExecutionsError": "factflow_engine.errors",
    "ValidatingAdapterRegistry": "factflow_engine.adapters",
    "auto_discover_and_register": "factflow_engine.adapters",
    "configure_validation": "factflow_engine.config",
    "validate_route_config": "factflow_engine.config",
}

__all__ = [
    "AdapterCircuitMetrics",
    "AdapterConfig",
    "AdapterDiscovery",
    "AdapterResult",
    "BackpressureConfig",
    "CircuitBreaker",
    "CircuitBreakerConfig",
    "CircuitOpenError",
    "CircuitState",
    "CircuitStats",
    "ConditionConfig",
    "ConditionOperator",
    "ConfigurationError",
    "DomainMetrics",
    "Emit",
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
    "__version__",
    "auto_discover_and_register",
    "configure_validation",
    "validate_route_config",
]


def __getattr__(name: str) -> Any:
    return first_use(name, namespace=globals(), modules=_MODULES)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
