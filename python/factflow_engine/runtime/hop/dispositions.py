"""Disposition of a message whose attempt raised: it is tried again, deferred, waits for a circuit breaker, or ends.

Kept separate from `settlement`, which carries the disposition out, because only here is the error examined. An error's
class may be anything its author made of it: whatever that raises, the message has a disposition, and nothing has been
changed yet.
"""

from typing import Final, NamedTuple, TypeAlias

from factflow_engine.error_texts import describe
from factflow_engine.frames import Frame
from factflow_engine.native import Child
from factflow_engine.runtime.hop.errors import HOPELESS, DeferralsExhaustedError
from factflow_engine.runtime.hop.instructions import (
    UnreadableErrorError,
    UnreadableInstructionError,
    circuit_of,
    instruction_of,
    wait_of,
)
from factflow_engine.runtime.hop.route_state import RouteState
from factflow_engine.runtime.stages.stage import Stage
from factflow_engine.seams import Seams
from factflow_protocols import CircuitOpenError, RetryLater

ASK_AGAIN_SECONDS: Final = 1.0
"""Wait for a breaker that gives no time: an adapter's own, which the engine cannot observe."""

TRIAL_SECONDS: Final = 0.05
"""Least wait for a breaker: while its trial calls are out, their duration is unknown."""


class Retry(NamedTuple):
    """Another attempt after a delay.

    Attributes:
        seconds: The delay.
        reason: Description of the error.
    """

    seconds: float
    reason: str


class Deferral(NamedTuple):
    """The same attempt again after a delay, as the adapter asked.

    Attributes:
        seconds: The delay.
        reason: Description of the instruction.
        first_ns: Time of the message's first deferral, by the loop's clock.
    """

    seconds: float
    reason: str
    first_ns: int


class CircuitWait(NamedTuple):
    """The same attempt again when a circuit breaker permits calls.

    Attributes:
        seconds: Longest wait before the breaker is asked again.
        circuit: Name of the breaker.
        first_ns: Time of the message's first deferral, if this is one, by the loop's clock; None: it is the stage's own
        breaker, whose refusals are not counted.
        stops: True if the breaker refuses every message that the route could take.
        asks: True if the breaker gave no time.
    """

    seconds: float
    circuit: str
    first_ns: int | None
    stops: bool
    asks: bool


class End(NamedTuple):
    """No further attempt.

    Attributes:
        error: The error that the message fails with.
    """

    error: Exception


Disposition: TypeAlias = Retry | Deferral | CircuitWait | End


class Dispositions:
    """Rules of one execution. They change nothing but the state of the random numbers that retries are spread with."""

    def __init__(self, seams: Seams) -> None:
        self._now = seams.clock.monotonic_ns
        self._wall_ns = seams.clock.wall_ns
        self._uniform = seams.randomness.uniform

    def of(self, route: RouteState, stage: Stage | None, frame: Frame, child: Child, error: Exception) -> Disposition:
        """Return the disposition of a message.

        Args:
            route: Route of the message.
            stage: Stage that it is at, if any.
            frame: The message, with the number of the attempt.
            child: The message as it begins again.
            error: The error of the attempt.
        """
        try:
            return self._of(route, stage, frame, child, error)
        except BaseException as failure:  # noqa: BLE001 - the error is its author's, and fails this message only
            return self._of(route, stage, frame, child, UnreadableErrorError(error, failure))

    def _of(self, route: RouteState, stage: Stage | None, frame: Frame, child: Child, raised: Exception) -> Disposition:
        error = instruction_of(raised)
        if isinstance(error, UnreadableInstructionError):
            raised = error
        if child.result is not None:
            return End(
                error
            )  # a source that `finish` emitted is pulled once: the rest of it would be found, or nothing
        if isinstance(error, RetryLater | CircuitOpenError):
            put_off = self._put_off(route, stage, child, error)
            if not isinstance(put_off, End):
                return put_off
            if put_off.error is not error:
                raised = error = put_off.error
        if not isinstance(error, HOPELESS):
            # The raised error decides: a group's own class may be named in the configuration.
            delay = route.retry.delay(raised, frame.attempt, self._uniform)
            if delay is not None and self._fits(route, frame, delay):
                return Retry(delay, describe(error))
        return End(error)

    def _put_off(
        self, route: RouteState, stage: Stage | None, child: Child, error: RetryLater | CircuitOpenError
    ) -> Deferral | CircuitWait | End:
        """Return the wait that an instruction asks for; or its end, unless another attempt is allowed."""
        asked = wait_of(error)
        if isinstance(error, RetryLater):
            seconds = route.deferral.seconds(asked or 0.0, child.deferrals)
            if not self._fits(route, child.frame, seconds):
                return End(error)
            first_ns = self._first_ns(route, child, seconds, error)
            if isinstance(first_ns, DeferralsExhaustedError):
                return End(first_ns)
            return Deferral(seconds, describe(error), first_ns)
        circuit, seconds, counted_ns = circuit_of(error), ASK_AGAIN_SECONDS if asked is None else asked, None
        if not _is_own_breaker(stage, circuit):
            seconds = route.deferral.seconds(seconds, child.deferrals)
            first_ns = self._first_ns(route, child, seconds, error)
            if isinstance(first_ns, DeferralsExhaustedError):
                return End(first_ns)
            counted_ns = first_ns
        deadline = route.settings.error_handling.deadline_seconds
        if deadline is not None:
            seconds = min(seconds, deadline - self._age(child.frame))  # then it ends, whatever is open
        stops = _stops_all(stage, circuit)
        return CircuitWait(max(TRIAL_SECONDS, seconds), circuit, counted_ns, stops=stops, asks=asked is None)

    def _first_ns(
        self, route: RouteState, child: Child, seconds: float, error: Exception
    ) -> int | DeferralsExhaustedError:
        """Return the time of the first deferral of a message, given one that is asked for, or why that is not allowed."""
        now_ns = self._now()
        first_ns = child.deferred_ns if child.deferrals else now_ns
        problem = route.deferral.problem(child.deferrals, (now_ns - first_ns) / 1e9, seconds)
        return first_ns if problem is None else DeferralsExhaustedError(problem, error)

    def _fits(self, route: RouteState, frame: Frame, delay: float) -> bool:
        """True if an attempt may begin after so many seconds."""
        deadline = route.settings.error_handling.deadline_seconds
        return deadline is None or self._age(frame) + delay < deadline

    def _age(self, frame: Frame) -> float:
        """Return the seconds since a message was published."""
        return (self._wall_ns() - frame.time_ns) / 1e9


def _is_own_breaker(stage: Stage | None, circuit: str) -> bool:
    """True if a breaker of the stage has refused the call; False for one that its adapter keeps itself."""
    guard = None if stage is None else stage.guard
    if guard is None:
        return False
    return circuit == guard.name if guard.key is None else circuit.startswith(f"{guard.name}[")


def _stops_all(stage: Stage | None, circuit: str) -> bool:
    """True if the refusal applies to every message of the route: by the only breaker of a stage that none skips."""
    guard = None if stage is None else stage.guard
    if stage is None or guard is None or guard.key is not None or stage.condition is not None:
        return False
    return circuit == guard.name  # else it is from a breaker of the adapter's own
