"""The public names, pinned: adding or removing one is a decision, not an accident."""

import ast
import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

import factflow_engine
import factflow_engine.adapters
import factflow_engine.config
import factflow_engine.testing
import factflow_protocols
from factflow_protocols import FactflowError

ENGINE = {
    "AdapterCircuitMetrics", "AdapterConfig", "AdapterDiscovery", "AdapterModuleError", "AdapterNotFoundError",
    "AdapterRegistrationError", "AdapterResult", "AdapterSpec", "BackpressureConfig", "BackpressureController", "BatchResult", "Begun",
    "Blocker", "BreakerPermit", "CallFromInsideError", "CircuitBreaker", "CircuitBreakerConfig", "CircuitCall",
    "CircuitOpenError", "CircuitState", "CircuitStats", "CircuitTransitionError", "ClosedReason", "CodecError",
    "ConditionConfig", "ConditionError", "ConditionErrors", "ConditionOperator", "ConditionOperatorError",
    "ConfigurationError", "CorruptError", "Delivery", "DiscoveryReport", "DomainMetrics", "Emit",
    "EngineInstruction", "ErrorHandlingConfig", "ExecutionClosedError", "ExecutionIdError", "ExecutionReport",
    "ExecutionScopedQueue", "ExecutionStartError", "ExecutionStatistics", "ExecutionStatus", "FactflowError",
    "FailureRecord", "Finding", "HeldMessage", "Holder", "InboundConfig", "InitMessageConfig", "LetterStaysError",
    "LettersLeftError", "LimitChange", "LimitPermit", "LimitStatistics", "LimitedCall", "LoadResult", "ManagerStateError", "MessageStatus", "NativePanicError", "NotInTrioError",
    "OperatorRegistry", "OrchestratorConfig", "OrchestratorManager", "OrphanedQueue", "OutboundConfig", "Outcome", "LineageError", "LineageUrlError", "Overloaded",
    "PipelineAdapter", "PipelineConfigLoader", "PipelineContext", "PipelineGlobalConfig", "PipelineOrchestrator",
    "ObjectMetadata", "ProcessorConfig", "ProviderError", "QueueClosedError", "QueueError", "QueueFileError", "QueueFullError", "QueueMessage",
    "QueueProtocol", "QueueProviderError", "QueueUrlError",
    "ReactiveRouteProcessor", "Reject", "RequeueError", "RequeueStoppedError", "RetryLater", "RouteConfig",
    "RouteStatistics", "Severity", "Stage", "StageStorageAdapter", "StageStorageError", "StageStorageResult", "StateLossError", "StorageBackendAdapter", "StorageConfig",
    "StorageMetadataConfig", "StorageMetadataField", "StorageNotBoundError", "StoreConfig", "NoStorageError", "build_embedding_metadata", "StatefulAdapter", "StorageError",
    "StorageCorruptError", "StorageKeyError", "StorageNotFoundError", "StorageUrlError",
    "StorageProtocol", "StorageProviderError", "Subscription", "SubscriptionStatistics", "TooManyConcurrentExecutionsError",
    "TruncatedError", "UndecidedError", "UnknownRouteError", "UnpicklableError", "ValidatingAdapterRegistry",
    "Wait", "WorkerDiedError", "__version__",
    "Home", "HomeError", "find_home", "open_storage",
    "ConfigInUseError",
    "ConfigNameError",
    "ExecutionStoreError",
    "ExecutionStoreUrlError",
    "IdempotencyError",
    "RecordValueError",
    "StaleConfigError",
    "UnknownRecordError",
    "Executions",
    "ExecutionSummary",
    "ExecutionFilter",
    "Origin",
    "StartedExecution",
    "StoredConfig",
    "StoredExecution",
    "open_executions",
    "LineageEntry", "LineageProviderError", "LineageReader", "LineageSelection", "LineageSink", "LineageStatistics", "LineageStoreError", "MessageLineage",
    "OutcomeEntry", "QueryResult", "RouteLineage", "StageLineage", "open_lineage", "open_lineage_reader",
    "LineageConfig", "LineageCounts", "NoLineageError",
    "RecoveryPlan", "ReplayError", "ReplayPlan", "ReplayStoppedError", "plan_recovery", "plan_replay", "recover", "replay",
    "auto_discover_and_register", "configure_validation", "open_queue", "validate_route_config",
}  # fmt: skip

PROTOCOLS = {
    "AdapterResult", "AdministeredQueue", "BatchResult", "Begun", "CircuitOpenError", "Clash", "Conclusion",
    "Deleted", "Delivery", "Emit", "EngineInstruction", "ExecutionStarts", "Ext", "FactflowError", "Forgotten", "Holding",
    "IsolatingSubscription", "Joined", "LeasedElsewhere", "LeasingSubscription", "LetterStaysError", "LettersLeftError", "LineStatistics", "LineageEntry",
    "LineageError", "LineageProviderClass", "LineageReader", "LineageSelection", "LineageSink", "LineageStatistics", "LineageUrlError",
    "MessageLineage", "OutcomeEntry", "QueryResult", "ReadableLineage", "RetainingLineage", "RouteLineage", "StageLineage",
    "MessageState", "MessageStatus", "Nack", "ObjectMetadata", "OrderedQueueProtocol", "Overloaded",
    "PipelineAdapter", "PipelineContext", "Purged", "QueueAdministration", "QueueClosedError", "QueueError",
    "QueueFullError", "QueueMessage", "QueueProtocol", "QueueProviderClass", "QueueUrlError", "Reject",
    "RequeueError", "RequeueStoppedError", "Requeued", "ResumableStarts", "RetryLater", "StageInfo", "StageShape", "StageStatistics",
    "StageStatus", "StateChange", "StateProtocol", "StateProvider", "StateSubscription", "StatefulAdapter",
    "StorageBackendAdapter", "StorageCorruptError", "StorageError", "StorageKeyError", "StorageNotBoundError", "StorageNotFoundError",
    "StorageProtocol", "StorageProviderClass", "StorageUrlError", "StoreProblem", "StoreStatistics", "StoredAnswer",
    "StoredMessage", "StoredName", "StoredState", "Subscription", "SubscriptionStatistics", "Timestamp",
    "TransactionalSubscription", "always", "declare_sometimes", "eventually", "leads_to", "reached", "sometimes",
    "without_password",
}  # fmt: skip


TESTING = {
    "compare_queues",
    "ADAPTER_CHECKS", "STATEFUL_ADAPTER_CHECKS", "check_adapter",
    "CheckResult", "ConformanceReport", "ORDER_CHECKS", "Opener", "Verdict", "check_lineage_sink", "check_queue_provider", "check_storage_provider",
    "Broker", "BrokerConnection", "DeadProcessError", "QueueCounts",
    "AssertionCount", "AssertionUseError", "Assertions", "CampaignTotals", "RoundPolling", "Violation", "observed",
    "AdapterRun", "AssertionsBrokenError", "FakeUseError", "NotReturnedError", "OutcomesError", "QueueRecord", "RecordingQueue",
    "RecordingStorage", "StorageRecord", "adapter_of", "assert_outcomes", "run_adapter", "run_adapter_async", "sometimes_in", "validating_registry",
    "ADMINISTRATION_CHECKS", "Check", "ConformanceError", "CountedIds", "DURABLE_QUEUE_CHECKS", "DURABLE_STORAGE_CHECKS", "OpenStorage", "STORAGE_CHECKS", "StorageCheck", "FakeContext", "OpenQueue", "QUEUE_CHECKS", "START_CHECKS",
    "LINEAGE_CHECKS", "LineageCheck", "OpenLineage", "lineage_entry", "lineage_id", "lineage_outcome",
    "STATE_CHECKS", "TRANSACTION_CHECKS", "SimulatedClock", "SimulatedRandomness", "SimulatedThreads", "Simulation", "check_name", "finished",
    "open_stage", "outputs", "in_virtual_time", "Campaign", "Determinism", "Input", "SimulationError", "check_determinism", "explore", "shrink", "SimulationFailedError", "SimulationReport", "simulate",
    "CRASHED", "Crashed", "Ended", "SimulatedProcess", "SimulatedProcessError", "SimulatedProcesses",
    "FaultyStorage", "StorageFaults", "seams_of_process", "PowerCutDisk", "PowerCutFiles", "PowerCutThreads", "PowerCuts",
}  # fmt: skip

# Modules whose exceptions do not leave a public call: they become findings, failures of a message or lines of a report, or
# belong to the command.
INTERNAL = {
    "factflow_engine.postgres",
    "factflow_engine.adapters.importing", "factflow_engine.cli", "factflow_engine.config.scalars", "factflow_engine.config.text", "factflow_engine.limit_suite",
    "factflow_engine.queues.sqlite.store",
    "factflow_engine.queues.sqlite.watching", "factflow_engine.storages.examination", "factflow_engine.storages.file.writing", "factflow_engine.runtime", "factflow_engine.testing",
    "factflow_engine.lineage.openlineage", "factflow_engine.lineage.sqlite.reader",
}  # fmt: skip

# Names in annotations that are Python's, or other libraries', or an alias.
FOREIGN = {
    "AbstractAsyncContextManager", "AdapterClass", "Any", "AsyncIterator", "Awaitable", "BaseModel", "Callable", "Iterable",
    "Mapping", "None", "Path", "Self", "Sequence",
}  # fmt: skip


def modules() -> Iterator[ModuleType]:
    for package in (factflow_engine, factflow_protocols):
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            yield importlib.import_module(found.name)


def exceptions() -> Iterator[type[BaseException]]:
    for module in list(modules()):
        for value in list(vars(module).values()):
            if isinstance(value, type) and issubclass(value, BaseException) and value.__module__ == module.__name__:
                yield value


def is_internal(error: type[BaseException]) -> bool:
    path = error.__module__.split(".")
    return (
        error.__name__.startswith("_")
        or any(part.startswith("_") for part in path)
        or any(".".join(path[:length]) in INTERNAL for length in range(1, len(path) + 1))
    )


def returns_of(name: str) -> Iterator[tuple[str, object]]:
    """The return annotations of a public function, or of a class's public methods and properties."""
    value = getattr(factflow_engine, name)
    if not inspect.isclass(value):
        if callable(value):
            yield name, inspect.get_annotations(value).get("return")
        return
    for owner in value.__mro__:
        if not owner.__module__.startswith("factflow"):
            continue
        for member_name, member in list(vars(owner).items()):
            function = member.fget if isinstance(member, property) else getattr(member, "__func__", member)
            if not member_name.startswith("_") and inspect.isfunction(function):
                yield f"{name}.{member_name}", inspect.get_annotations(function).get("return")


def test_one_class_is_the_base_of_every_exception():
    found = set(exceptions())
    assert len(found) > 50
    assert [error for error in found if not issubclass(error, FactflowError)] == []


def test_every_exception_that_a_public_call_raises_is_exported():
    public = {error for error in exceptions() if not is_internal(error)}
    assert len(public) > 30
    assert {error.__name__ for error in public if getattr(factflow_engine, error.__name__, None) is not error} == set()


def test_every_type_that_a_public_call_returns_is_exported():
    missing = set()
    for name in factflow_engine.__all__:
        for where, annotation in returns_of(name):
            text = (
                annotation.__name__
                if isinstance(annotation, type) and not str(annotation).endswith("]")
                else str(annotation)
            )
            words = {word.rpartition(".")[2] for word in re.findall(r"[\w.]+", text)}
            missing |= {
                f"{where} -> {word}" for word in words if word[:1].isupper() and word not in FOREIGN | ENGINE | {"T"}
            }
    assert missing == set()


def test_what_public_calls_document_to_raise_is_exported():
    for owner in (
        factflow_engine.OrchestratorManager,
        factflow_engine.PipelineOrchestrator,
        factflow_engine.PipelineConfigLoader,
    ):
        for function in vars(owner).values():
            for word in re.findall(r"^ +(\w+Error\w*):", getattr(function, "__doc__", None) or "", re.MULTILINE):
                assert word in ENGINE | {"ValueError", "TypeError"}, f"{owner.__name__}: {word}"


def test_the_testing_kit_exports_these_names():
    assert set(factflow_engine.testing.__all__) == TESTING
    assert all(hasattr(factflow_engine.testing, name) for name in TESTING)


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
