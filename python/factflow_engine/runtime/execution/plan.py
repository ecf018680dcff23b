"""Plan of one execution: everything that its manager decides before it is made.

Kept separate from `lifecycle` and `assembly`, which both read it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import trio

from factflow_engine.adapters import ValidatingAdapterRegistry
from factflow_engine.conditions import OperatorRegistry
from factflow_engine.seams import Seams
from factflow_protocols import LineageSink, QueueProtocol, StorageProtocol

if TYPE_CHECKING:
    from factflow_engine.config import InitMessageConfig, PipelineGlobalConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionPlan:
    """Configuration of an execution, and the objects that it uses.

    Attributes:
        execution_id: Id that names its queues.
        config: The configuration to run.
        config_hash: Hash of the configuration, which is computed once because it reads all of it.
        registry: Registry of the stages' adapters.
        operators: The condition operators that the configuration was loaded with, if not only the built-in ones.
        provider: Provider of the queues.
        storage: Object store for a configuration that names none; None if the program has none.
        seams: Time, randomness, ids and threads.
        allow_loss: True to allow stages whose state does not outlive the process although messages do.
        asked_ns: Time at which the start was requested (see `ExecutionStarts`); None if no other execution has the id.
        init: Init messages to publish.
        recalls: True if stages take what they stored of a message under this id rather than process it again.
        learnt_limits: What the limits of an earlier execution had learnt, by name.
        lineage: Store of lineage of the manager's, if it has one; its owner closes it.
        lineage_turn: Held by the execution whose rows it writes.
    """

    execution_id: str
    config: PipelineGlobalConfig
    config_hash: str
    registry: ValidatingAdapterRegistry
    operators: OperatorRegistry | None
    provider: QueueProtocol
    storage: StorageProtocol | None
    seams: Seams
    allow_loss: bool
    asked_ns: int | None
    init: Sequence[InitMessageConfig]
    recalls: bool
    learnt_limits: Mapping[str, Any]
    lineage: LineageSink | None
    lineage_turn: trio.Lock
