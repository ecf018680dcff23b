"""Circuit breakers by key within a stage: with one for each host, a host that is down does not stop the others.

Keys come from messages, so that their number is unbounded by itself; this module bounds it.
"""

from collections import Counter, OrderedDict
from functools import partial
from itertools import chain
from typing import Final

from factflow_engine.resilience.circuit_breaker import CircuitBreaker
from factflow_engine.resilience.circuit_events import CircuitEvent, CircuitEvents
from factflow_engine.resilience.circuit_settings import CircuitBreakerSection, CircuitBreakerSettings
from factflow_engine.resilience.circuit_state import CircuitEventKind, CircuitState
from factflow_engine.resilience.circuit_stats import AdapterCircuitMetrics, CircuitStats, CircuitTotals
from factflow_engine.seams import Clock, Randomness, SystemClock, SystemRandomness

_REFUSING: Final = frozenset({CircuitState.OPEN, CircuitState.HALF_OPEN, CircuitState.FORCED_OPEN})


class DomainMetrics:
    """Breakers by key, made on first use of a key, and their counts.

    Beyond `max_keys`, the least recently used one is evicted, first among those that permit every call, because
    forgetting that a host is down means calling it again. Its counts stay in the totals. A permit of an evicted breaker
    is given back to that breaker, and changes only these totals.

    Args:
        config: Parameters of each breaker.
        name: Name of the dependency; a breaker's own name is `name[key]`.
        max_keys: Most breakers, 1 or more.
        clock: See `CircuitBreaker`.
        randomness: See `CircuitBreaker`.
        report_calls: See `CircuitBreaker`.

    Attributes:
        events: Events of all of them; subscribe here.

    Raises:
        ValueError: `max_keys` is below 1, or a parameter is outside its bounds.
    """

    __slots__ = (
        "_calm", "_clock", "_evicted", "_evicted_totals", "_leaving", "_leaving_most",
        "_max_keys", "_name", "_randomness", "_report_calls", "_settings",
        "_troubled", "events",
    )  # fmt: skip

    def __init__(
        self,
        config: CircuitBreakerSettings | CircuitBreakerSection,
        *,
        name: str = "circuit",
        max_keys: int = 1000,
        clock: Clock | None = None,
        randomness: Randomness | None = None,
        report_calls: bool = False,
    ) -> None:
        if max_keys < 1:
            raise ValueError(f"max_keys: expected 1 or more, got {max_keys}")
        self._settings = CircuitBreakerSettings.of(config)
        self._name = name
        self._max_keys = max_keys
        self._report_calls = report_calls
        self._clock = SystemClock() if clock is None else clock
        self._randomness = SystemRandomness() if randomness is None else randomness
        # Every breaker is in one of these, depending on whether it may refuse calls; each in order of use, the latest
        # last.
        self._calm: OrderedDict[str, CircuitBreaker] = OrderedDict()
        self._troubled: OrderedDict[str, CircuitBreaker] = OrderedDict()
        self._evicted = 0
        self._evicted_totals = CircuitTotals()
        self._leaving: list[CircuitBreaker] = []  # evicted, with permits still out
        self._leaving_most = 1  # length at which those whose permits are back are searched for
        self.events = CircuitEvents()

    def breaker(self, key: str) -> CircuitBreaker:
        """Return the breaker of this key, making it the most recently used one. Constant time."""
        for group in (self._calm, self._troubled):
            found = group.get(key)
            if found is not None:
                group.move_to_end(key)
                return found
        if len(self) >= self._max_keys:
            self._evict()
        made = CircuitBreaker(
            self._settings,
            name=f"{self._name}[{key}]",
            clock=self._clock,
            randomness=self._randomness,
            report_calls=self._report_calls,
        )
        made.events.subscribe(partial(self._heard, key))  # not the breaker itself: it would be a cycle of references
        self._calm[key] = made
        return made

    def known(self, key: str) -> CircuitBreaker | None:
        """Return the breaker of this key, if there is one; does not count as use."""
        return self._calm.get(key) or self._troubled.get(key)

    def advance(self, now_ns: int) -> None:
        """Do what is due without a call at every breaker; see `CircuitBreaker.advance`."""
        # Only these have timers. A copy, because events move them.
        for breaker in tuple(self._troubled.values()):
            breaker.advance(now_ns)

    @property
    def next_deadline_ns(self) -> int | None:
        """Time at which `advance`, or a new call, may next have something to do; None if time alone changes nothing."""
        deadlines = (breaker.next_deadline_ns for breaker in self._troubled.values())
        return min((deadline for deadline in deadlines if deadline is not None), default=None)

    def deadline_after(self, now_ns: int) -> int | None:
        """Return the earliest deadline that lies ahead; see `CircuitBreaker.deadline_after`."""
        deadlines = (breaker.deadline_after(now_ns) for breaker in self._troubled.values())
        return min((deadline for deadline in deadlines if deadline is not None), default=None)

    def stats(self, now_ns: int | None = None) -> dict[str, CircuitStats]:
        """Return each breaker's statistics by its key; see `CircuitBreaker.stats`."""
        every = chain(self._calm.items(), self._troubled.items())
        return {key: breaker.stats(now_ns) for key, breaker in every}

    def metrics(self, now_ns: int | None = None) -> AdapterCircuitMetrics:
        """Return the statistics of all breakers together, and by key."""
        circuits = self.stats(now_ns)
        self._count_out()
        totals = sum((breaker.stats().totals for breaker in self._leaving), self._evicted_totals)
        return AdapterCircuitMetrics(
            name=self._name,
            states=dict(Counter(stats.state for stats in circuits.values())),
            totals=sum((stats.totals for stats in circuits.values()), totals),
            circuits=circuits,
            evicted=self._evicted,
        )

    def __len__(self) -> int:
        return len(self._calm) + len(self._troubled)

    def __contains__(self, key: object) -> bool:
        return key in self._calm or key in self._troubled

    def _evict(self) -> None:
        _, breaker = (self._calm or self._troubled).popitem(last=False)
        breaker.events.close()  # events of calls that it permitted earlier concern nobody
        self._evicted += 1
        self._leaving.append(breaker)
        if len(self._leaving) > self._leaving_most:
            self._count_out()
            self._leaving_most = 2 * len(self._leaving) + 1  # so that an eviction takes constant time, amortised

    def _count_out(self) -> None:
        """Add the counts of evicted breakers to the totals, once all their permits are back."""
        leaving, self._leaving = self._leaving, []
        for breaker in leaving:
            totals = breaker.stats().totals
            if totals.in_flight:
                self._leaving.append(breaker)
            else:
                self._evicted_totals += totals

    def _heard(self, key: str, event: CircuitEvent) -> None:
        if event.kind is CircuitEventKind.TRANSITION:
            breaker = (self._calm if key in self._calm else self._troubled).pop(key)
            (self._troubled if event.to_state in _REFUSING else self._calm)[key] = breaker
        self.events.publish([event])
