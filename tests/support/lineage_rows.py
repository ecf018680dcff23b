"""Rows of lineage for tests: those of the conformance checks, with plain ids and around one noon; and any rows."""

from hypothesis import strategies as st

from factflow_engine.testing.conformance.lineage_rows import lineage_entry, lineage_outcome
from factflow_protocols import LineageEntry, OutcomeEntry

NOON_NS = 1_796_040_000_000_000_000
"""2026-11-30, 12:00 UTC."""
HOUR_NS = 3_600_000_000_000
DAY_NS = 24 * HOUR_NS


def an_id(number: int) -> bytes:
    return number.to_bytes(16)


def entry(number: int = 1, **fields) -> LineageEntry:
    own = {"message_id": an_id(number), "correlation_id": an_id(number), "started_ns": NOON_NS + number}
    return lineage_entry(number, **{**own, **fields})


def outcome(number: int = 1, **fields) -> OutcomeEntry:
    own = {"message_id": an_id(number), "correlation_id": an_id(number), "ended_ns": NOON_NS + number}
    return lineage_outcome(number, **{**own, **fields})


_text = st.text(max_size=8)
_ids = st.integers(0, 3).map(an_id)
_times = st.integers(NOON_NS - 2 * DAY_NS, NOON_NS + DAY_NS)
_counts = st.integers(0, (1 << 63) - 1)

entries = st.builds(
    LineageEntry,
    execution_id=st.sampled_from(["e1", "e2"]),
    route=st.sampled_from(["a", "b"]),
    stage=st.sampled_from(["s", "t\t\\N"]),
    position=st.integers(0, 9),
    message_id=_ids,
    parent_id=st.none() | _ids,
    correlation_id=_ids,
    attempt=st.integers(1, 2),
    status=st.sampled_from(["pending", "completed", "failed", "skipped", "cancelled"]),
    started_ns=_times,
    duration_ns=_counts,
    waited_ns=_counts,
    waited_for=st.none() | _text,
    input_hash=st.none() | st.binary(min_size=16, max_size=16),
    output_hash=st.none() | st.binary(min_size=16, max_size=16),
    detail=st.none() | _text,
)
"""Any rows, many of which replace one another."""

outcomes = st.builds(
    OutcomeEntry,
    execution_id=st.sampled_from(["e1", "e2"]),
    route=st.sampled_from(["a", "b"]),
    message_id=_ids,
    parent_id=st.none() | _ids,
    correlation_id=_ids,
    outcome=st.sampled_from(["completed", "filtered", "dead_lettered", "failed"]),
    ended_ns=_times,
    attempts=st.integers(1, 9),
    emitted=_counts,
    detail=st.none() | _text,
)
