"""Outside view of an execution: outcomes, live statistics, and the report at its end.

Frozen values only, so that a snapshot can be kept, printed or compared.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from factflow_engine.error_texts import bounded
from factflow_engine.frames import unpack

if TYPE_CHECKING:
    from factflow_engine.lineage.counts import LineageCounts
    from factflow_engine.resilience import AdapterCircuitMetrics, LimitStatistics

PREVIEW_CHARACTERS: Final = 200
PREVIEW_MAX_BYTES: Final = 65_536
"""Bytes of the largest payload that is decoded for a preview."""


class Outcome(StrEnum):
    """Outcome of a message; each has exactly one."""

    COMPLETED = "completed"
    """Every stage has finished with it, and the next queues have accepted all it emitted."""
    FILTERED = "filtered"
    """A stage returned None, or no outbound's condition held."""
    DEAD_LETTERED = "dead_lettered"
    """Failed, and now in the dead-letter queue."""
    FAILED = "failed"
    """Failed, and recorded in the report only."""


class ExecutionStatus(StrEnum):
    """State of an execution; the last four are final."""

    STARTING = "starting"
    RUNNING = "running"
    COMPLETED = "completed"
    """Drained, whatever the outcomes of its messages."""
    FAILED = "failed"
    """A route died, a stateful stage could not finish, or more messages failed than the configuration allows."""
    CANCELLED = "cancelled"
    """Ended on request before it was drained."""
    INTERRUPTED = "interrupted"
    """Its process died."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureRecord:
    """A message that ended `failed`.

    Attributes:
        route: Route id.
        stage: Stage that failed; None if it failed between stages (no outbound took it).
        error_type: Class of the error.
        error: Text of the error.
        message_id: 32 hexadecimal digits.
        correlation_id: Id of its root message.
        attempts: Number of attempts.
        place: File and line of the innermost frame that is the user's, as in `parse_line.py:4`; empty if there is none.
        payload_preview: Beginning of the payload, for the reader; never used by the engine.
    """

    route: str
    stage: str | None
    error_type: str
    error: str
    message_id: str
    correlation_id: str
    attempts: int
    payload_preview: str
    place: str = ""


def preview_of(payload: bytes, redacted: Callable[[str], str]) -> str:
    """Return the beginning of a payload for a reader, without secrets; the size of one that is large."""
    if len(payload) > PREVIEW_MAX_BYTES:
        return f"<{len(payload)} bytes>"
    return bounded(redacted(repr(unpack(payload))), PREVIEW_CHARACTERS)


class Holder(StrEnum):
    """Party that a message waits for which has not ended; the first six apply to one that has begun."""

    ADAPTER = "adapter"
    """The stage's adapter, or the iterator that it emitted."""
    RETRY = "retry"
    """The next attempt, after a failure or a deferral."""
    CIRCUIT_OPEN = "circuit_open"
    """The stage's circuit breaker, which permits no call."""
    DEAD_LETTER_QUEUE = "dead_letter_queue"
    """Room in the dead-letter queue."""
    PERMIT = "permit"
    """A permit: the route is at its limit. A stage has emitted the message, or its next attempt is due."""
    STAGE_PERMIT = "stage_permit"
    """A permit of the stage's own limit, or of its group's."""
    ROOM = "room"
    """Room in an outbound queue, without which the route takes nothing."""
    PAUSE = "pause"
    """The end of a pause of the route."""
    ELSEWHERE = "elsewhere"
    """Another consumer, which has leased it, or a time before which the provider does not hand it out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldMessage:
    """A message that has begun and not ended; in a report: when the execution was stopped, and the message given back.

    A message that waits only for its own emitted messages is not listed beside them.

    Attributes:
        route: Route id.
        stage: Name of the stage that it is at; empty between stages.
        message_id: 32 hexadecimal digits.
        seconds: Time that it has been waiting there; in an adapter, since it entered the chain of stages.
        by: What it waits for.
        reason: Last error of a message to be retried, or the circuit breaker, the queue or the limit that it waits for; of
        a message whose stage stores, that it is being stored.
    """

    route: str
    stage: str
    message_id: str
    seconds: float
    by: Holder = Holder.ADAPTER
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """Messages of a route that wait for the same thing.

    Attributes:
        route: Route id.
        stage: Name of the stage that they are at; empty between stages and in the inbound queue.
        by: What they wait for.
        reason: Last error of a message to be retried, or the circuit breaker, the stage's limit, the full queues, the
        reasons of a pause.
        messages: Number of these messages.
        seconds: Wait of the oldest of them so far; None if none has begun, or none was examined.
        next_seconds: Seconds until the next of them proceeds; None if that is unknown.
    """

    route: str
    stage: str
    by: Holder
    reason: str
    messages: int
    seconds: float | None = None
    next_seconds: float | None = None

    def __str__(self) -> str:
        place = f"{self.route}/{self.stage}" if self.stage else self.route
        text = f"{place}: {self.messages:,} {_WAITS[self.by].format(self.reason)}"
        if self.next_seconds is not None:
            text += f", next in {_duration(self.next_seconds)}"
        if self.seconds is not None:
            text += f", longest {_duration(self.seconds)}"
        return f"{text} ({self.reason})" if self.by is Holder.RETRY and self.reason else text


@dataclass(frozen=True, slots=True, kw_only=True)
class Blocker:
    """A stage whose code has held trio's loop for half a second or longer: nothing else of the program ran meanwhile.

    Attributes:
        route: Route id.
        stage: Name of the stage.
        call: Function of the adapter that held it, such as `process` or `finish`; `emitted` for what it emitted.
        place: File and line at which that function begins, as in `parse_line.py:4`; empty if it is not the user's.
        longest_seconds: The longest hold so far.
        times: Number of holds so far.
        remedy: What to write instead.
    """

    route: str
    stage: str
    call: str
    place: str
    longest_seconds: float
    times: int
    remedy: str

    def __str__(self) -> str:
        where = f" ({self.place})" if self.place else ""
        what = f"in what it emitted{where}" if self.call == "emitted" else f"in {self.call}(){where}"
        held = f"{_duration(self.longest_seconds)} {what}" + (f", {self.times:,} times" if self.times > 1 else "")
        return f"stage {self.route}/{self.stage} held the loop for {held}; nothing else ran meanwhile: {self.remedy}"


_WAITS: Final = {
    Holder.RETRY: "to be tried again",
    Holder.CIRCUIT_OPEN: "waiting for circuit breaker {}",
    Holder.DEAD_LETTER_QUEUE: "waiting for room in dead-letter queue {}",
    Holder.STAGE_PERMIT: "waiting for a permit of {}",
    Holder.ROOM: "waiting for room in {}",
    Holder.PAUSE: "paused ({})",
    Holder.ELSEWHERE: "leased by other consumers, or delayed",
}


def _duration(seconds: float) -> str:
    """Return a time for people: tenths below ten seconds, minutes above two."""
    if seconds < 9.95:
        return f"{max(seconds, 0):.1f} s"
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteStatistics:
    """Counters of a route at one time.

    `received == completed + filtered + dead_lettered + failed + retrying + in_flight`, always.

    Attributes:
        name: The route's name for people.
        waiting: Messages ready in the inbound queue.
        in_flight: Messages begun, not ended and not waiting for another attempt, children of a fan-out included.
        retrying: Messages begun, and waiting for another attempt or for the dead-letter queue.
        limit: Most messages in adapters at a time.
        received: Messages begun: taken from the queue, or emitted as children by a stage of this route.
        emitted: Messages accepted by outbound queues.
        skipped: Visits to a stage that its condition skipped.
        redelivered: Messages that were given back and wait again, or were taken again.
        pauses: Reasons why the route is paused; empty if it runs.
    """

    name: str
    waiting: int
    in_flight: int
    retrying: int
    limit: int
    received: int
    emitted: int
    skipped: int
    completed: int
    filtered: int
    dead_lettered: int
    failed: int
    redelivered: int
    pauses: tuple[str, ...]

    @property
    def outcomes(self) -> Mapping[Outcome, int]:
        """The four outcomes' counts."""
        return {
            Outcome.COMPLETED: self.completed,
            Outcome.FILTERED: self.filtered,
            Outcome.DEAD_LETTERED: self.dead_lettered,
            Outcome.FAILED: self.failed,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionStatistics:
    """Statistics of an execution at one time.

    Attributes:
        execution_id: Id of the execution.
        status: State of the execution.
        elapsed_seconds: Time since its start began.
        routes: By route id, in the configuration's order.
        stalled: Texts on what has not moved for `processor.stall_seconds`, and what it waits for.
        held: Messages that have begun and not ended: their place, what they wait for, and how long; at most 1,000.
        waits: What messages wait for, by route, stage and reason: at most 1,000 waits of a route. Times are those of
        the first 1,000 messages of a route; outside of trio, nobody knows when the next of them proceeds.
        circuits: States and counts of the circuit breakers, by `route/stage`, for stages that have any.
        blockers: Stages that have held trio's loop.
        limits: Concurrency limits with their last change, by name: `route`, `route/stage` or `group NAME`, followed by
        `[key]` if a stage has one for each key; at most 1,000 of a stage.
        lineage: Counts of the rows of lineage; None if it is not recorded.
    """

    execution_id: str
    status: ExecutionStatus
    elapsed_seconds: float
    routes: Mapping[str, RouteStatistics]
    stalled: tuple[str, ...] = ()
    held: tuple[HeldMessage, ...] = ()
    waits: tuple[Wait, ...] = ()
    circuits: Mapping[str, AdapterCircuitMetrics] = field(default_factory=dict)
    blockers: tuple[Blocker, ...] = ()
    limits: Mapping[str, LimitStatistics] = field(default_factory=dict)
    lineage: LineageCounts | None = None

    @property
    def outcomes(self) -> Mapping[Outcome, int]:
        """The four outcomes' counts over all routes."""
        return total_outcomes(self.routes)


@dataclass(frozen=True, slots=True, kw_only=True)
class OrphanedQueue:
    """A queue of the execution, or a topic's subscription, that held messages at the start and that no route reads.

    Attributes:
        queue: The provider's name of the queue or topic.
        subscription: The provider's name of the topic's subscription; empty for a queue.
        messages: Number of messages that it held.
    """

    queue: str
    subscription: str
    messages: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionReport:
    """Result of an execution, with its counters and failures.

    Attributes:
        execution_id: Id of the execution.
        name: The pipeline's name.
        config_hash: SHA-256 of its configuration.
        status: One of the four final states.
        error: Reason why it failed or was cancelled; None for `completed`.
        routes: Last statistics by route id; `delays` counts messages left in the queue.
        failures: Messages that ended `failed`, oldest first, up to the configured number.
        failures_omitted: Failed messages beyond those.
        held: Messages that had begun and not ended when it was stopped, and what they waited for.
        close_errors: Errors at the end that changed nothing: of stateful stages while they were closed, each as
        `route/stage: error`; of stores; and the number of OpenLineage events that could not be sent.
        duration_seconds: Time from the beginning of its start to its end.
        orphans: Queues with messages of this id that the configuration no longer names.
        blockers: Stages that have held trio's loop.
        limits: Concurrency limits at the end, and their history in brief: least, median, greatest, changes by reason. By
        name, as in `ExecutionStatistics`.
        lineage: Counts of the rows of lineage; None if it was not recorded.
    """

    execution_id: str
    name: str
    config_hash: str
    status: ExecutionStatus
    error: str | None
    routes: Mapping[str, RouteStatistics]
    failures: tuple[FailureRecord, ...]
    failures_omitted: int
    held: tuple[HeldMessage, ...]
    close_errors: tuple[str, ...]
    duration_seconds: float
    orphans: tuple[OrphanedQueue, ...] = ()
    blockers: tuple[Blocker, ...] = ()
    limits: Mapping[str, LimitStatistics] = field(default_factory=dict)
    lineage: LineageCounts | None = None

    @property
    def outcomes(self) -> Mapping[Outcome, int]:
        """The four outcomes' counts over all routes."""
        return total_outcomes(self.routes)


def total_outcomes(routes: Mapping[str, RouteStatistics]) -> Mapping[Outcome, int]:
    """Add up the outcomes of routes."""
    return {outcome: sum(route.outcomes[outcome] for route in routes.values()) for outcome in Outcome}
