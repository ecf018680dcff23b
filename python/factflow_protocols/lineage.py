"""Protocol of a lineage store: rows of what happened to each message, written out of band.

Kept separate from the queue contracts because a lineage failure never fails a pipeline.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple, Protocol, runtime_checkable


class StageStatus(StrEnum):
    """State of one message's visit to one stage."""

    PENDING = "pending"
    COMPLETED = "completed"
    FAILED = "failed"
    SKIPPED = "skipped"
    CANCELLED = "cancelled"


class LineageEntry(NamedTuple):
    """One attempt of one message at one stage.

    A later entry with the same execution, message, route, stage and attempt replaces the former: `pending` by what came
    of it.

    Attributes:
        execution_id: The execution.
        route: Route id.
        stage: Stage name.
        position: Place of the stage in its route, from 0.
        message_id: 16 bytes, time-ordered.
        parent_id: 16 bytes, or None for a root.
        correlation_id: 16 bytes: id of the root.
        attempt: Number of the attempt, from 1.
        status: State of the visit.
        started_ns: Wall time at which the adapter was called, in nanoseconds since the epoch.
        duration_ns: Nanoseconds until it returned; 0 for a stage that was skipped or is pending.
        waited_ns: Nanoseconds of waiting before it: for a permit, another attempt, a breaker.
        waited_for: What it waited for longest, as in `Holder`; None if it did not.
        input_hash: First 16 bytes of the SHA-256 of the payload before the stage; None if payloads are not hashed.
        output_hash: The same of the payload after it; None, too, if there is none.
        detail: JSON. Of a failure `{"type", "error", "place"}`; of a skipped stage `{"field", "operator", "value",
            "actual"}`, the part of its condition that did not hold, and what was there.
    """

    execution_id: str
    route: str
    stage: str
    position: int
    message_id: bytes
    parent_id: bytes | None
    correlation_id: bytes
    attempt: int
    status: str
    started_ns: int
    duration_ns: int
    waited_ns: int
    waited_for: str | None
    input_hash: bytes | None
    output_hash: bytes | None
    detail: str | None


class OutcomeEntry(NamedTuple):
    """End of one message in one route. A later entry of the same execution, message and route replaces the former.

    Attributes:
        execution_id: The execution.
        route: Route id.
        message_id: 16 bytes, time-ordered.
        parent_id: 16 bytes, or None for a root.
        correlation_id: 16 bytes: id of the root.
        outcome: `completed`, `filtered`, `dead_lettered` or `failed`.
        ended_ns: Wall time of the end, in nanoseconds since the epoch.
        attempts: Attempts made.
        emitted: Messages that it became: children, or one for each outbound that took it.
        detail: JSON. Of a failure as for a stage; of a message that no outbound took `{"reason": "unrouted"}`; of one
            that outbounds took `{"outbounds": [...]}`, their routes or queues.
    """

    execution_id: str
    route: str
    message_id: bytes
    parent_id: bytes | None
    correlation_id: bytes
    outcome: str
    ended_ns: int
    attempts: int
    emitted: int
    detail: str | None


@runtime_checkable
class LineageSink(Protocol):
    """Store of rows in batches. Called by one writer of the engine's own; its errors are counted and reported."""

    async def write(self, entries: Sequence[LineageEntry], outcomes: Sequence[OutcomeEntry]) -> None:
        """Store the rows, or none of them.

        Raises:
            LineageError: Nothing was stored.

        Cancellation: all rows are stored, or none.
        """
        ...

    async def close(self) -> None:
        """Release what the store holds. Rows stay."""
        ...
