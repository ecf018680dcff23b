"""Protocol of a lineage store: one row per message and stage, written out of band.

Kept separate from the queue contracts because a lineage failure never fails a pipeline.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class StageStatus(StrEnum):
    """End of one message's visit to one stage."""

    COMPLETED = "completed"
    FILTERED = "filtered"
    SKIPPED = "skipped"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class LineageEntry:
    """A visit of one message to one stage.

    Attributes:
        execution_id: The execution.
        route: Route id.
        stage: Stage name.
        message_id: 16 bytes.
        parent_id: 16 bytes, or None for a root.
        correlation_id: 16 bytes.
        status: End of the visit.
        started_ns: Nanoseconds on the execution's clock.
        duration_ns: Nanoseconds in the adapter.
        error: Class and text of the error, for a failure.
    """

    execution_id: str
    route: str
    stage: str
    message_id: bytes
    parent_id: bytes | None
    correlation_id: bytes
    status: StageStatus
    started_ns: int
    duration_ns: int
    error: str | None = None


class LineageSink(Protocol):
    """Writer of rows in batches. Called from a task of the engine's own; errors are only counted and logged."""

    async def write(self, entries: Sequence[LineageEntry]) -> None:
        """Store the rows. A row with the same execution, message, route and stage replaces the former one."""
        ...
