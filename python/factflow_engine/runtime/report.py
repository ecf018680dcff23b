"""A run as seen from outside: outcomes, live statistics, and the report at its end.

Frozen values only, so that a snapshot can be kept, printed or compared.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from factflow_engine.resilience import AdapterCircuitMetrics


class Outcome(StrEnum):
    """End of a message; each has exactly one."""

    COMPLETED = "completed"
    """Every stage was done with it and what it led to is accepted by the next queues."""
    FILTERED = "filtered"
    """A stage returned None, or no outbound's condition held."""
    DEAD_LETTERED = "dead_lettered"
    """It failed and is in the dead-letter queue."""
    FAILED = "failed"
    """It failed and is only in the report."""


class ExecutionStatus(StrEnum):
    """The state of an execution; the last four are final."""

    STARTING = "starting"
    RUNNING = "running"
    COMPLETED = "completed"
    """Drained, whatever its messages' outcomes were."""
    FAILED = "failed"
    """A route died, a stateful stage could not finish, or more messages failed than the configuration allows."""
    CANCELLED = "cancelled"
    """Ended on request before it was drained."""
    INTERRUPTED = "interrupted"
    """Its process died."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureRecord:
    """One message that ended `failed`.

    Attributes:
        route: Route id.
        stage: Stage that failed; None when it failed between stages (no outbound took it).
        error_type: Class of the error.
        error: Its text.
        message_id: 32 hexadecimal digits.
        correlation_id: Id of its root message.
        attempts: How often it was tried.
        payload_preview: The beginning of the payload, for the reader; never used by the engine.
    """

    route: str
    stage: str | None
    error_type: str
    error: str
    message_id: str
    correlation_id: str
    attempts: int
    payload_preview: str


class Holder(StrEnum):
    """Holder of a message that has not ended; the first five, of one that has begun."""

    ADAPTER = "adapter"
    """The stage's adapter, or the iterator that it emitted."""
    RETRY = "retry"
    """The time until it is tried again, after a failure or because the stage said later."""
    CIRCUIT_OPEN = "circuit_open"
    """The stage's circuit breaker, which permits no call."""
    DEAD_LETTER_QUEUE = "dead_letter_queue"
    """The dead-letter queue, which is full."""
    PERMIT = "permit"
    """The route's limit: others have the permits. A stage has emitted it, or its time to be tried again has come."""
    ROOM = "room"
    """An outbound queue, which is full: the route takes nothing."""
    PAUSE = "pause"
    """Somebody who has paused the route."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldMessage:
    """A message that has begun and not ended; in a report: when the execution was made to stop, and was given back.

    One that waits only for the messages that it has emitted is not named beside them.

    Attributes:
        route: Route id.
        stage: The stage that it is at; empty between stages.
        message_id: 32 hexadecimal digits.
        seconds: How long it has been held there: in an adapter, since the message's turn in the chain began.
        by: Who holds it.
        reason: The last error of one that is to be tried again, the circuit breaker or the queue that it waits for.
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
        stage: The stage that they are at; empty between stages and in the inbound queue.
        by: What they wait for.
        reason: The last error of one that is to be tried again, the circuit breaker, the full queues, the reasons of a pause.
        messages: Number of them.
        seconds: How long the oldest of them has waited; None if none has begun, or none of them was looked at.
        next_seconds: In how many seconds the next of them goes on; None if nobody can say.
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


_WAITS: Final = {
    Holder.RETRY: "to be tried again",
    Holder.CIRCUIT_OPEN: "waiting for circuit breaker {}",
    Holder.DEAD_LETTER_QUEUE: "waiting for room in dead-letter queue {}",
    Holder.ROOM: "waiting for room in {}",
    Holder.PAUSE: "paused ({})",
}


def _duration(seconds: float) -> str:
    """Return a time for people: tenths below ten seconds, minutes above two."""
    if seconds < 9.95:
        return f"{max(seconds, 0):.1f} s"
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteStatistics:
    """A route at one instant.

    `received == completed + filtered + dead_lettered + failed + retrying + in_flight`, always.

    Attributes:
        name: The route's name for people.
        waiting: Ready in the inbound queue.
        in_flight: Begun, not ended and not waiting to be tried again, children of a fan-out included.
        retrying: Begun, and waiting to be tried again or to be dead-lettered.
        limit: How many may be in adapters at a time.
        received: Begun: taken from the queue, or emitted as a child by a stage of this route.
        emitted: Accepted by outbound queues.
        skipped: Visits to a stage that its condition prevented.
        redelivered: Given back and waiting again, or taken again.
        pauses: Reasons why the route does not run; empty when it runs.
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
    """An execution at one instant.

    Attributes:
        execution_id: Which.
        status: Its state.
        elapsed_seconds: Since it began to start.
        routes: By route id, in the configuration's order.
        stalled: What waits or is held where nothing has moved for `processor.stall_seconds`, and for whom or by whom.
        held: Messages that have begun and not ended: where, who holds them, and for how long; 1,000 at the most.
        waits: What messages wait for, by route, stage and reason; times are those of the first 1,000 of a route.
        circuits: What the circuit breakers are and have counted, by `route/stage`; of stages that have any.
    """

    execution_id: str
    status: ExecutionStatus
    elapsed_seconds: float
    routes: Mapping[str, RouteStatistics]
    stalled: tuple[str, ...] = ()
    held: tuple[HeldMessage, ...] = ()
    waits: tuple[Wait, ...] = ()
    circuits: Mapping[str, AdapterCircuitMetrics] = field(default_factory=dict)

    @property
    def outcomes(self) -> Mapping[Outcome, int]:
        """The four outcomes' counts over all routes."""
        return total_outcomes(self.routes)


@dataclass(frozen=True, slots=True, kw_only=True)
class OrphanedQueue:
    """A queue, or a topic's subscription, of the execution that held messages when it was started, and that nobody reads.

    Attributes:
        queue: The provider's name of the queue or topic.
        subscription: The provider's name of the topic's subscription; empty for a queue.
        messages: How many it held.
    """

    queue: str
    subscription: str
    messages: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionReport:
    """End of an execution, with its counters and failures.

    Attributes:
        execution_id: Which.
        name: The pipeline's name.
        config_hash: SHA-256 of the configuration that it ran.
        status: One of the four final states.
        error: Why it failed or was cancelled, in one channel; None for `completed`.
        routes: Last statistics by route id; `delays` is what was left in the queue.
        failures: Messages that ended `failed`, oldest first, as many as the configuration keeps.
        failures_omitted: Failed messages beyond those.
        held: What had begun and not ended when it was made to stop, and who held it.
        close_errors: What went wrong while stateful stages were closed, each as `route/stage: error`.
        duration_seconds: From the beginning of its start to its end.
        orphans: Queues with messages of this id that the configuration does not name any more.
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

    @property
    def outcomes(self) -> Mapping[Outcome, int]:
        """The four outcomes' counts over all routes."""
        return total_outcomes(self.routes)


def total_outcomes(routes: Mapping[str, RouteStatistics]) -> Mapping[Outcome, int]:
    """Add up the outcomes of routes."""
    return {outcome: sum(route.outcomes[outcome] for route in routes.values()) for outcome in Outcome}
