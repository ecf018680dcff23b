"""Protocols of a lineage store: rows of what happened to each message, written out of band, and how they are read.

Kept separate from the queue contracts because a lineage failure never fails a pipeline.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
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
            that outbounds took `{"outbounds": [...]}`, their routes or queues; of one of which its last stage emitted no
            message `{"reason": "emitted_none"}`.
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


@runtime_checkable
class RetainingLineage(Protocol):
    """A sink that removes old rows by itself."""

    def retain(self, *, days: float | None, total_bytes: int | None) -> None:
        """Note how much to keep; rows beyond it are removed with later writes, those of all executions alike.

        Of several calls the most generous counts, so that an execution does not remove what another one keeps.

        Args:
            days: Days for which a row is kept at least; None for no limit.
            total_bytes: Bytes that the store may hold, approximately; None for no limit.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class LineageSelection:
    """Rule that selects rows; each field narrows it.

    Attributes:
        execution_id: The execution; None for all.
        route: Route id; None for all.
        stage: Stage name; None for all. Outcomes have none, and are not narrowed by it.
        statuses: States of visits; empty for all.
        outcomes: Outcomes; empty for all.
        correlation_id: Id of the root; None for all.
        since_ns: First time of the row (the start of a visit, the end of a message); None for any.
        until_ns: Time from which on rows are left out; None for any.
        newest_first: True for descending order of message ids.
    """

    execution_id: str | None = None
    route: str | None = None
    stage: str | None = None
    statuses: frozenset[str] = frozenset()
    outcomes: frozenset[str] = frozenset()
    correlation_id: bytes | None = None
    since_ns: int | None = None
    until_ns: int | None = None
    newest_first: bool = False


class MessageLineage(NamedTuple):
    """All rows of some messages.

    Attributes:
        visits: Visits in the order of message, execution, start and position.
        outcomes: Ends in the order of message, execution and time.
    """

    visits: Sequence[LineageEntry]
    outcomes: Sequence[OutcomeEntry]


class StageLineage(NamedTuple):
    """Numbers of one stage in one execution, of the visits that a selection selects.

    Attributes:
        execution_id: The execution.
        route: Route id.
        stage: Stage name.
        position: Place of the stage in its route, from 0.
        statuses: Number of visits by state.
        retried: Number of visits that were not a message's first attempt.
        calls: Number of the adapter's calls that ended, `completed` or `failed`; the durations are theirs.
        p50_ns: Median duration, to two digits.
        p99_ns: Duration that one call in a hundred exceeds, to two digits.
        most_ns: Longest duration.
        waited_ns: Sum of the waits.
        waits: Number of visits by what they waited for longest.
    """

    execution_id: str
    route: str
    stage: str
    position: int
    statuses: dict[str, int]
    retried: int
    calls: int
    p50_ns: int
    p99_ns: int
    most_ns: int
    waited_ns: int
    waits: dict[str, int]


class RouteLineage(NamedTuple):
    """Numbers of one route in one execution.

    Attributes:
        execution_id: The execution.
        route: Route id.
        outcomes: Number of messages by outcome.
    """

    execution_id: str
    route: str
    outcomes: dict[str, int]


class LineageStatistics(NamedTuple):
    """Numbers of stages and routes, in the order of execution, route and position."""

    stages: Sequence[StageLineage]
    routes: Sequence[RouteLineage]


class QueryResult(NamedTuple):
    """Result of a query.

    Attributes:
        columns: Names of the columns.
        rows: The rows, at most as many as were asked for.
        more: True if there are others.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[object]]
    more: bool


@runtime_checkable
class LineageReader(Protocol):
    """Reader of a lineage store: each row in its latest form, while writers go on.

    Rows come in pages in the order of message id, route, stage, attempt and execution (outcomes: message id, route and
    execution), so that nothing is held open between two pages; a page that begins after a row need not find that row.

    All methods may raise `LineageError`. Cancellation: the reader can be used again; `sql` and `statistics` stop early.
    """

    async def find(self, prefix: str, *, limit: int) -> Sequence[bytes]:
        """Return ids of messages that begin with some hexadecimal digits, in ascending order.

        Raises:
            LineageError: The prefix is no text of 1 to 32 hexadecimal digits.
        """
        ...

    async def messages(self, message_ids: Sequence[bytes]) -> MessageLineage:
        """Return all rows of these messages; of an unknown one there are none."""
        ...

    async def children(self, message_id: bytes, *, after: bytes | None = None, limit: int) -> Sequence[bytes]:
        """Return ids of messages whose parent this is, in ascending order, from the first one after `after` on."""
        ...

    async def visits(
        self, selection: LineageSelection, *, after: LineageEntry | None = None, limit: int
    ) -> Sequence[LineageEntry]:
        """Return a page of the selected visits: at most `limit`, those that follow `after`; empty at the end."""
        ...

    async def outcomes(
        self, selection: LineageSelection, *, after: OutcomeEntry | None = None, limit: int
    ) -> Sequence[OutcomeEntry]:
        """Return a page of the selected outcomes; see `visits`."""
        ...

    async def statistics(self, selection: LineageSelection) -> LineageStatistics:
        """Return counts and durations by stage, and outcomes by route."""
        ...

    async def sql(self, query: str, *, limit: int, seconds: float) -> QueryResult:
        """Run a query that can only read, on the views `visits` and `outcomes`.

        The views have the fields of `LineageEntry` and `OutcomeEntry` as columns.

        Args:
            query: One statement.
            limit: Most rows to return.
            seconds: Time after which the query is stopped.

        Raises:
            LineageError: It is no query, would change something, is wrong, or took longer.
        """
        ...

    async def problems(self) -> Sequence[str]:
        """Return what part of the store could not be read, a line each: its rows are missing from the answers since last time.

        Damage is found where it is: only what was asked for was read.
        """
        ...

    async def close(self) -> None:
        """Release what the reader holds."""
        ...


@runtime_checkable
class ReadableLineage(Protocol):
    """A sink whose rows can be read by the same provider."""

    def reader(self) -> LineageReader:
        """Return a reader of the same store; nothing is opened yet, and nothing is created."""
        ...


@runtime_checkable
class LineageProviderClass(Protocol):
    """Class of a lineage store, for the table of URL schemes and the entry points `factflow.lineage`."""

    def from_url(self, url: str, *, directory: Path | None = None) -> LineageSink:
        """Return the sink that a URL names; nothing is opened yet.

        Args:
            url: The URL, scheme included.
            directory: Folder that relative paths start from; the working directory by default.

        Raises:
            LineageUrlError: The URL cannot be read.
        """
        ...
