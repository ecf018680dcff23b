"""The public names, pinned: adding or removing one is a decision, not an accident."""

import factflow_engine
import factflow_protocols

ENGINE = {
    "AdapterConfig", "AdapterDiscovery", "AdapterResult", "BackpressureConfig", "CircuitBreakerConfig",
    "ConditionConfig", "ConditionOperator", "ConfigurationError", "ErrorHandlingConfig", "ExecutionReport",
    "ExecutionScopedQueue", "ExecutionStatus", "InboundConfig", "OperatorRegistry", "OrchestratorConfig",
    "OrchestratorManager", "Outcome", "OutboundConfig", "PipelineAdapter", "PipelineConfigLoader", "PipelineContext",
    "PipelineGlobalConfig", "PipelineOrchestrator", "ProcessorConfig", "ReactiveRouteProcessor", "Reject",
    "RetryLater", "RouteConfig", "StatefulAdapter", "TooManyConcurrentExecutionsError", "ValidatingAdapterRegistry",
    "auto_discover_and_register", "configure_validation", "validate_route_config",
}  # fmt: skip

PROTOCOLS = {
    "AdapterResult", "BatchResult", "CircuitOpenError", "Delivery", "EngineInstruction", "Ext", "FactflowError",
    "LineageEntry", "LineageSink", "MessageStatus", "Nack", "ObjectMetadata", "PipelineAdapter", "PipelineContext",
    "QueueClosedError", "QueueError", "QueueFullError", "QueueMessage", "QueueProtocol", "Reject", "RetryLater",
    "StageInfo", "StageStatus", "StatefulAdapter", "StorageError", "StorageNotFoundError", "StorageProtocol",
    "Subscription", "SubscriptionStatistics", "Timestamp",
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
