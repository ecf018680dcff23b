"""Statistics of circuit breakers: of one now, of one over its life, and of all breakers of a stage.

Values only, kept separate from the breakers so that reports can hold them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields

from factflow_engine.resilience.circuit_state import CircuitState


@dataclass(frozen=True, slots=True, kw_only=True)
class CircuitTotals:
    """Counts over a breaker's life; no change of state resets them, and only `in_flight` ever falls.

    `permitted` is the sum of `succeeded`, `failed`, `ignored`, `released`, `unrecorded` and `in_flight`.

    Attributes:
        permitted: Permits given.
        rejected: Calls refused.
        succeeded: Results that were successes, whether or not they counted in the rates.
        failed: Results that were failures, whether or not they counted in the rates.
        slow: Those of both that were slow.
        ignored: Results that count as nothing.
        released: Permits given back without a result, such as those of cancelled calls.
        unrecorded: Results of calls that a disabled breaker permitted.
        stale: Results among `succeeded` and `failed` that were too late to count: the breaker had changed state, or the
        trial call's lease was over.
        leases_expired: Trial calls that did not report in time.
        in_flight: Permits that are out now.
    """

    permitted: int = 0
    rejected: int = 0
    succeeded: int = 0
    failed: int = 0
    slow: int = 0
    ignored: int = 0
    released: int = 0
    unrecorded: int = 0
    stale: int = 0
    leases_expired: int = 0
    in_flight: int = 0

    def __add__(self, other: "CircuitTotals") -> "CircuitTotals":
        """Return the counts of both."""
        return CircuitTotals(**{name: getattr(self, name) + getattr(other, name) for name in _COUNTS})


_COUNTS = tuple(field.name for field in fields(CircuitTotals))


@dataclass(frozen=True, slots=True, kw_only=True)
class CircuitStats:
    """A breaker at one time.

    Attributes:
        name: Name of the breaker.
        state: Its state.
        since_ns: Time at which the state was entered; 0 for the initial state.
        generation: Number of the state in the breaker's life, from 1.
        calls: Calls on which the rates are based: those of the window or, half open, the trial calls. The open state
        keeps those that opened it.
        failed: Number of them that failed.
        slow: Number of them that were slow.
        failure_rate: Failure rate in per cent; None below the minimum of calls.
        slow_call_rate: Slow call rate in per cent; None below the minimum of calls.
        rejected: Calls refused since counting of `calls` began.
        attempt: Number of times in a row that it opened since it was last closed.
        trial_places: Trial calls that it would permit now; 0 unless half open.
        retry_after_ns: Time until a refused call may be permitted; 0 if one may be now, None if only an operator can
        end the refusal.
        totals: Counts over its life.
    """

    name: str
    state: CircuitState
    since_ns: int
    generation: int
    calls: int
    failed: int
    slow: int
    failure_rate: float | None
    slow_call_rate: float | None
    rejected: int
    attempt: int
    trial_places: int
    retry_after_ns: int | None
    totals: CircuitTotals


@dataclass(frozen=True, slots=True, kw_only=True)
class AdapterCircuitMetrics:
    """The breakers of one adapter's stage, together and by key.

    Attributes:
        name: Name of the dependency.
        states: Number of breakers by state; states without a breaker are absent.
        totals: Counts over the life of all of them, and of evicted ones up to their eviction.
        circuits: Breakers by key, least recently used first within their group; without keys, one under `""`.
        evicted: Number of breakers that were dropped to make room for other keys.
    """

    name: str
    states: Mapping[CircuitState, int]
    totals: CircuitTotals
    circuits: Mapping[str, CircuitStats]
    evicted: int = 0

    @property
    def is_open(self) -> bool:
        """True if every breaker refuses calls, so that no message of the stage can proceed; False if there is none."""
        return bool(self.states) and set(self.states) <= {CircuitState.OPEN, CircuitState.FORCED_OPEN}
