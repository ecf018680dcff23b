"""The public names, pinned: adding or removing one is a decision, not an accident."""

import ast
from pathlib import Path
from types import ModuleType

import pytest

import factflow_engine
import factflow_engine.adapters
import factflow_engine.config
import factflow_protocols

ENGINE = {
    "AdapterCircuitMetrics", "AdapterConfig", "AdapterDiscovery", "AdapterResult", "BackpressureConfig",
    "CircuitBreaker", "CircuitBreakerConfig", "CircuitOpenError", "CircuitState", "CircuitStats", "ConditionConfig",
    "ConditionOperator", "ConfigurationError", "DomainMetrics", "Emit", "ErrorHandlingConfig", "ExecutionReport",
    "ExecutionScopedQueue", "ExecutionStatus", "InboundConfig", "OperatorRegistry", "OrchestratorConfig",
    "OrchestratorManager", "OutboundConfig", "Outcome", "PipelineAdapter", "PipelineConfigLoader",
    "PipelineContext", "PipelineGlobalConfig", "PipelineOrchestrator", "ProcessorConfig", "ReactiveRouteProcessor",
    "Reject", "RetryLater", "RouteConfig", "StatefulAdapter", "TooManyConcurrentExecutionsError",
    "ValidatingAdapterRegistry", "__version__", "auto_discover_and_register", "configure_validation", "validate_route_config",
}  # fmt: skip

PROTOCOLS = {
    "AdapterResult", "BatchResult", "Begun", "CircuitOpenError", "Clash", "Conclusion", "Delivery", "Emit", "EngineInstruction",
    "ExecutionStarts", "Ext", "FactflowError", "Holding", "IsolatingSubscription",
    "Joined", "LineageEntry", "LineageSink", "MessageStatus", "Nack", "ObjectMetadata",
    "OrderedQueueProtocol", "PipelineAdapter", "PipelineContext", "QueueClosedError", "QueueError", "QueueFullError", "QueueMessage",
    "QueueProtocol", "Reject", "RetryLater", "StageInfo", "StageShape", "StageStatus", "StateChange", "StateProtocol",
    "StateProvider", "StateSubscription", "StatefulAdapter", "StorageError", "StorageNotFoundError",
    "StorageProtocol", "StoredAnswer", "StoredState", "Subscription", "SubscriptionStatistics", "Timestamp",
}  # fmt: skip


def test_the_engine_exports_these_names():
    assert set(factflow_engine.__all__) == ENGINE
    assert all(hasattr(factflow_engine, name) for name in ENGINE)


def test_the_protocols_export_these_names():
    assert set(factflow_protocols.__all__) == PROTOCOLS
    assert all(hasattr(factflow_protocols, name) for name in PROTOCOLS)


def test_what_plugs_in_is_one_class_under_both_names():
    for name in ENGINE & PROTOCOLS:
        assert getattr(factflow_engine, name) is getattr(factflow_protocols, name)


@pytest.mark.parametrize("package", [factflow_engine, factflow_engine.adapters, factflow_engine.config])
def test_what_checkers_see_is_what_the_names_are(package: ModuleType):
    tree = ast.parse(Path(str(package.__file__)).read_text(encoding="utf-8"))
    [block] = [node for node in tree.body if isinstance(node, ast.If)]
    seen = {alias.name: node.module for node in block.body for alias in node.names}
    assert seen == package._MODULES
    assert set(seen) <= set(package.__all__) <= set(dir(package))
    assert all(hasattr(package, name) for name in package.__all__)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'factflow_engine' has no attribute 'Pipeline'"):
        _ = factflow_engine.Pipeline
