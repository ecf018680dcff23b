"""Contracts between the engine and what plugs into it.

An adapter or provider package imports this package and nothing else: it is pure Python and has no dependencies.
`pipeline` is for adapter authors, `queue`, `states`, `storage` and `lineage` are for provider authors, `errors` is for both.
"""

from factflow_protocols.errors import (
    CircuitOpenError,
    EngineInstruction,
    FactflowError,
    QueueClosedError,
    QueueError,
    QueueFullError,
    Reject,
    RetryLater,
    StorageError,
    StorageNotFoundError,
)
from factflow_protocols.lineage import LineageEntry, LineageSink, StageStatus
from factflow_protocols.pipeline import (
    AdapterResult,
    Emit,
    PipelineAdapter,
    PipelineContext,
    StageInfo,
    StatefulAdapter,
)
from factflow_protocols.queue import (
    BatchResult,
    Begun,
    Delivery,
    ExecutionStarts,
    Holding,
    IsolatingSubscription,
    MessageStatus,
    Nack,
    OrderedQueueProtocol,
    QueueMessage,
    QueueProtocol,
    Subscription,
    SubscriptionStatistics,
)
from factflow_protocols.states import (
    Conclusion,
    Joined,
    StateChange,
    StateProtocol,
    StateProvider,
    StateSubscription,
    StoredAnswer,
    StoredState,
)
from factflow_protocols.storage import ObjectMetadata, StorageProtocol
from factflow_protocols.values import Ext, Timestamp

__all__ = [
    "AdapterResult",
    "BatchResult",
    "Begun",
    "CircuitOpenError",
    "Conclusion",
    "Delivery",
    "Emit",
    "EngineInstruction",
    "ExecutionStarts",
    "Ext",
    "FactflowError",
    "Holding",
    "IsolatingSubscription",
    "Joined",
    "LineageEntry",
    "LineageSink",
    "MessageStatus",
    "Nack",
    "ObjectMetadata",
    "OrderedQueueProtocol",
    "PipelineAdapter",
    "PipelineContext",
    "QueueClosedError",
    "QueueError",
    "QueueFullError",
    "QueueMessage",
    "QueueProtocol",
    "Reject",
    "RetryLater",
    "StageInfo",
    "StageStatus",
    "StateChange",
    "StateProtocol",
    "StateProvider",
    "StateSubscription",
    "StatefulAdapter",
    "StorageError",
    "StorageNotFoundError",
    "StorageProtocol",
    "StoredAnswer",
    "StoredState",
    "Subscription",
    "SubscriptionStatistics",
    "Timestamp",
]
