"""The configuration models, one file a concept."""

from factflow_engine.config.models.document import (
    InitMessageConfig,
    OrchestratorConfig,
    PipelineGlobalConfig,
    ProcessorConfig,
)
from factflow_engine.config.models.lineage import LineageConfig
from factflow_engine.config.models.resilience import BackpressureConfig, CircuitBreakerConfig, ErrorHandlingConfig
from factflow_engine.config.models.route import (
    AdapterConfig,
    ConditionConfig,
    InboundConfig,
    OutboundConfig,
    RouteConfig,
)
from factflow_engine.config.models.storage import (
    StorageConfig,
    StorageMetadataConfig,
    StorageMetadataField,
    StoreConfig,
)

__all__ = [
    "AdapterConfig",
    "BackpressureConfig",
    "CircuitBreakerConfig",
    "ConditionConfig",
    "ErrorHandlingConfig",
    "InboundConfig",
    "InitMessageConfig",
    "LineageConfig",
    "OrchestratorConfig",
    "OutboundConfig",
    "PipelineGlobalConfig",
    "ProcessorConfig",
    "RouteConfig",
    "StorageConfig",
    "StorageMetadataConfig",
    "StorageMetadataField",
    "StoreConfig",
]
