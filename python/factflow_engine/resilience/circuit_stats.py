"""Statistics of circuit breakers: of one at a moment, of one over its life, and of all of one stage.

Values only, kept separate from the breakers so that reports can hold them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields

from factflow_engine.resilience.circuit_state import CircuitState


@dataclass(frozen=True, slots=True, kw_only=True)
class CircuitTotals:
    """Counts over a breaker's life; no change of state resets them, and none but `in_flight` ever falls.

    `permitted` is the sum of `succeeded`, `failed`, `ignored`, `released`, `unrecorded` and `in_flight`.

    Attributes:
        permitted: Permits given.
        rejected: Calls refused.
        succeeded: Results that were successes, whether or not they counted in the rates.
        failed: Results that were failures, whether or not they counted in the rates.
        slow: Those of both that were slow.
        ignored: Results that count as nothing.
        released: Permits given back without a result: cancelled calls, for one.
        unrecorded: Results of calls that a disabled breaker permitted.
        stale: Results among `succeeded` and `failed` that came too late to count: the breaker had changed state, or
            the trial call's lease was over.
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
        """The counts of both."""
        return CircuitTotals(**{name: getattr(self, name) + getattr(other, name) for name in _COUNTS})


_COUNTS = tuple(field.name for field in fields(CircuitTotals))


@dataclass(frozen=True, slots=True, kw_only=True)
class CircuitStats:
    """A breaker at a moment.

    Attributes:
        name: The breaker's.
        state: Its state.
        since_ns: When it was entered; 0 for the state that it was made in.
        generation: Which state of its life this is, from 1.
        calls: Calls that the rates are about: those of the window or, half open, the trial calls. Open keeps those
            that opened it.
        failed: How many of them failed.
        slow: How many of them were slow.
        failure_rate: Per cent; None below the minimum of calls.
        slow_call_rate: Per cent; None below the minimum of calls.
        rejected: Calls refused since `calls` began to be counted.
        attempt: How often in a row it opened since it was last closed.
        trial_places: Trial calls that it would permit now; 0 unless half open.
        retry_after_ns: Until a refused call may be permitted; 0 if one may be now, None if only an operator can say.
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
        name: What they protect.
        states: How many breakers are in each state; states that none is in are absent.
        totals: Counts over life of all of them, and of those that were evicted up to their eviction.
        circuits: Each breaker by its key, least recently used first within its group; without keys, one under `""`.
        evicted: How many breakers were dropped to make room for other keys.
    """

    name: str
    states: Mapping[CircuitState, int]
    totals: CircuitTotals
    circuits: Mapping[str, CircuitStats]
    evicted: int = 0

    @property
    def is_open(self) -> bool:
        """True if every breaker refuses calls, so that nothing of the stage can go on; false where there is none."""
        return bool(self.states) and set(self.states) <= {CircuitState.OPEN, CircuitState.FORCED_OPEN}
