"""Circuit breakers around an adapter's call.

A guard wraps the awaitable call of a stage; a stage without breakers pays nothing.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from factflow_engine import resilience
from factflow_engine.native import BreakerPermit, FieldPath, MessageContext
from factflow_engine.runtime.stages.timeouts import StageCall
from factflow_engine.seams import Clock, Randomness
from factflow_protocols import AdapterResult

if TYPE_CHECKING:
    from factflow_engine.config import CircuitBreakerConfig
    from factflow_engine.resilience import AdapterCircuitMetrics, CircuitBreaker, CircuitEvents, DomainMetrics

MAX_KEY_CHARACTERS: Final = 200
"""Longest key of a breaker: the number of breakers is bounded, so that this bounds the memory for keys from
messages."""

SHOWN_KEY_CHARACTERS: Final = 100
"""Characters of a longer key that are kept verbatim, before its digest."""

REFUSING: Final = frozenset({"open", "forced_open"})
"""States of a circuit breaker in which it refuses every call."""

PERMITTING: Final = frozenset({"closed", "disabled", "metrics_only"})
"""States of a circuit breaker in which it refuses no call."""


class WatchedSource:
    """Lazy source of a stage behind a circuit breaker: the stage's call lasts for as long as the source is pulled.

    Attributes:
        source: The iterator that the stage emitted.
        end: Records the end of the call, with its error and its duration in nanoseconds.
        drop: Ends the call without a result; does nothing if it has ended.
        spent_ns: Duration of the call until it returned; pulling adds to it, waiting for room does not.
        breaker: The breaker.
        permit: Permit of the call.
        index: Index of the stage in its route.
    """

    __slots__ = ("breaker", "drop", "end", "index", "permit", "source", "spent_ns")

    def __init__(
        self,
        source: object,
        *,
        end: Callable[[BaseException | None, int | None], None],
        drop: Callable[[], None],
        spent_ns: int,
        breaker: CircuitBreaker,
        permit: BreakerPermit,
        index: int,
    ) -> None:
        self.source = source
        self.end = end
        self.drop = drop
        self.spent_ns = spent_ns
        self.breaker = breaker
        self.permit = permit
        self.index = index


class BreakerGuard:
    """A call behind a circuit breaker, or behind one of several, selected by a field of the message.

    Attributes:
        name: Name of the dependency.
        key: The field; None if there is one breaker for all messages.
        events: Events of the breakers.
        is_timed: True if time alone may change a breaker's state.
        trial_calls: Trial calls that decide whether a breaker closes.
    """

    __slots__ = (
        "_breaker", "_breakers", "_call", "_clock", "_key_path", "_trial_listeners", "events", "is_timed", "key", "name",
        "trial_calls",
    )  # fmt: skip

    events: CircuitEvents

    def __init__(
        self, call: StageCall, section: CircuitBreakerConfig, *, name: str, clock: Clock, randomness: Randomness
    ) -> None:
        self.name = name
        self.key = section.key
        self.is_timed = section.automatic_half_open or section.max_half_open_seconds is not None
        self.trial_calls = section.permitted_calls_in_half_open
        self._trial_listeners: list[Callable[[str], None]] = []
        self._call = call
        self._clock = clock
        self._key_path = None if section.key is None else FieldPath(section.key)
        self._breaker = self._breakers = None
        if section.key is None:
            self._breaker = resilience.CircuitBreaker(section, name=name, clock=clock, randomness=randomness)
            self.events = self._breaker.events
        else:
            self._breakers = resilience.DomainMetrics(
                section, name=name, clock=clock, randomness=randomness, max_keys=section.max_keys
            )
            self.events = self._breakers.events

    def listen_for_trials(self, listener: Callable[[str], None]) -> None:
        """Call the listener with the name of a breaker that is half open after a call has ended: it permits a trial."""
        self._trial_listeners.append(listener)

    def advance(self, name: str) -> None:
        """Do what is due without a call at the breaker of this name."""
        breaker = self._breaker_named(name)
        if breaker is not None:
            breaker.advance(self._clock.monotonic_ns())

    def due_seconds(self, name: str) -> float:
        """Return the seconds until `advance` has work at this breaker; infinity if time alone changes nothing."""
        breaker, now_ns = self._breaker_named(name), self._clock.monotonic_ns()
        deadline_ns = None if breaker is None else breaker.deadline_after(now_ns)  # a past deadline waits for a call
        return math.inf if deadline_ns is None else (deadline_ns - now_ns) / 1e9

    def _breaker_named(self, name: str) -> CircuitBreaker | None:
        """Return the breaker of this name, unless it was evicted."""
        if self._breakers is None:
            return self._breaker
        return self._breakers.known(self.key_of(name) or "")

    def key_of(self, name: str) -> str | None:
        """Return the key of the breaker of this name; None if there is one breaker for all messages."""
        return None if self._breakers is None else name[len(self.name) + 1 : -1]  # `name[key]`

    def refuse_while_open(self, context: MessageContext) -> CircuitBreaker:
        """Refuse a call that an open breaker would refuse now; takes no permit. Return the breaker of the call.

        Raises:
            CircuitOpenError: The breaker is open.
        """
        breaker = self._breaker_of(context)
        if breaker.state in REFUSING and breaker.retry_after_ns(self._clock.monotonic_ns()) != 0:
            breaker.acquire_nowait().release()
        return breaker

    def metrics(self) -> AdapterCircuitMetrics:
        """Return the states and counts of the breakers."""
        return self._source.metrics(self._clock.monotonic_ns())

    async def call(self, context: MessageContext) -> AdapterResult | None:
        """Call the adapter if the breaker permits it, and record the result.

        Raises:
            CircuitOpenError: The breaker refuses the call.

        Cancellation: the call counts as nothing.
        """
        breaker = self._breaker_of(context)
        permit = breaker.acquire_nowait()
        try:
            result = await self._call(context)
        except BaseException as error:
            self._end(breaker, permit, error)
            raise
        if type(result) is AdapterResult and not isinstance(result.emitted, list | tuple | None):
            # The call goes on while the source is pulled: an error there is its error.
            watched: Any = WatchedSource(
                result.emitted,
                end=partial(self._end, breaker, permit),
                drop=partial(self._drop, breaker, permit),
                spent_ns=max(self._clock.monotonic_ns() - permit.acquired_ns, 0),
                breaker=breaker,
                permit=permit,
                index=context.index,
            )
            return AdapterResult(emitted=watched, headers=result.headers)
        self._end(breaker, permit)
        return result

    def _drop(self, breaker: CircuitBreaker, permit: BreakerPermit) -> None:
        if not permit.is_settled:
            permit.release()
            self._tell_of_trial(breaker)

    def _end(
        self,
        breaker: CircuitBreaker,
        permit: BreakerPermit,
        error: BaseException | None = None,
        duration_ns: int | None = None,
    ) -> None:
        breaker.settle(permit, error, duration_ns)
        self._tell_of_trial(breaker)

    def _tell_of_trial(self, breaker: CircuitBreaker) -> None:
        if breaker.is_half_open:
            for listener in self._trial_listeners:
                listener(breaker.name)

    @property
    def _source(self) -> CircuitBreaker | DomainMetrics:
        source = self._breaker if self._breakers is None else self._breakers
        assert source is not None
        return source

    def _breaker_of(self, context: MessageContext) -> CircuitBreaker:
        if self._breaker is not None:
            return self._breaker
        assert self._breakers is not None
        assert self._key_path is not None
        value = self._key_path.value(context.payload)
        return self._breakers.breaker("" if value is None else bounded_key(str(value)))


def bounded_key(text: str) -> str:
    """Return a breaker's key of at most `MAX_KEY_CHARACTERS`, different for different texts."""
    if len(text) <= MAX_KEY_CHARACTERS:
        return text
    digest = hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=16).hexdigest()
    return f"{text[:SHOWN_KEY_CHARACTERS]}…{digest}"
