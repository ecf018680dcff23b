"""Rows of lineage by number, for the checks of stores and for tests of readers.

Kept separate from the checks because a test without a store needs rows, too.
"""

from typing import Any, Final

from factflow_protocols import LineageEntry, OutcomeEntry, StageStatus

MILLISECOND: Final = 1_000_000
BEGIN_NS: Final = 1_790_000_000_000_000_000


def lineage_id(number: int) -> bytes:
    """Return an id whose time is a number of milliseconds."""
    return (BEGIN_NS // MILLISECOND + number).to_bytes(6) + number.to_bytes(10)


def lineage_entry(number: int = 1, **fields: Any) -> LineageEntry:
    """Return a visit of a message with this number, `completed` unless `fields` say otherwise."""
    row = LineageEntry(
        execution_id="e1",
        route="parse",
        stage="markdown",
        position=0,
        message_id=lineage_id(number),
        parent_id=None,
        correlation_id=lineage_id(number),
        attempt=1,
        status=StageStatus.COMPLETED.value,
        started_ns=BEGIN_NS + number * MILLISECOND,
        duration_ns=1_000,
        waited_ns=0,
        waited_for=None,
        input_hash=None,
        output_hash=None,
        detail=None,
    )
    return row._replace(**fields)


def lineage_outcome(number: int = 1, **fields: Any) -> OutcomeEntry:
    """Return the end of a message with this number, `completed` unless `fields` say otherwise."""
    row = OutcomeEntry(
        execution_id="e1",
        route="parse",
        message_id=lineage_id(number),
        parent_id=None,
        correlation_id=lineage_id(number),
        outcome="completed",
        ended_ns=BEGIN_NS + number * MILLISECOND + 2_000,
        attempts=1,
        emitted=0,
        detail=None,
    )
    return row._replace(**fields)
