"""Events of circuit breakers, and their delivery to listeners.

Kept separate from the breaker because the breakers of a keyed family share listeners.
"""

import logging
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

from factflow_engine.resilience.circuit_state import CircuitEventKind, CircuitReason, CircuitState

_LOG = logging.getLogger("factflow_engine.resilience")


@dataclass(frozen=True, slots=True, kw_only=True)
class CircuitEvent:
    """An event of a breaker.

    Attributes:
        name: Name of the breaker.
        kind: Kind of the event.
        time_ns: Time of the event, by the clock that the breaker is given.
        generation: Number of the state afterwards; each state that is entered, or entered again, has the next number.
        failure_rate: Failure rate in per cent; of a transition, before it. None below the minimum of calls.
        slow_call_rate: Slow call rate in per cent, likewise.
        from_state: Old state of a transition.
        to_state: New state of a transition.
        reason: Reason of a transition.
        wait_ns: Time for which it will stay open, of a transition to open.
        leases_expired: Number of trial calls that lost their place.
        duration_ns: Duration of a call that has ended.
    """

    name: str
    kind: CircuitEventKind
    time_ns: int
    generation: int
    failure_rate: float | None
    slow_call_rate: float | None
    from_state: CircuitState | None = None
    to_state: CircuitState | None = None
    reason: CircuitReason | None = None
    wait_ns: int | None = None
    leases_expired: int = 0
    duration_ns: int | None = None


Listener = Callable[[CircuitEvent], None]


class CircuitEvents:
    """Delivery of events to listeners, in order.

    A listener is called within the call that caused the event, after the breaker has changed, and may use the breaker;
    events that it causes are delivered after the present one. If it raises, the exception is logged, and the other
    listeners are still called.
    """

    __slots__ = ("_listeners", "_pending", "_telling")

    def __init__(self) -> None:
        self._listeners: tuple[Listener, ...] = ()
        self._pending: deque[CircuitEvent] = deque()
        self._telling = False

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Call this listener for every later event, until the returned function is called."""
        # Wrapped so that one function subscribed twice is two listeners.
        entry = partial(listener)
        self._listeners = (*self._listeners, entry)

        def unsubscribe() -> None:
            self._listeners = tuple(other for other in self._listeners if other is not entry)

        return unsubscribe

    def close(self) -> None:
        """Deliver nothing any more, pending events included."""
        self._listeners = ()

    def publish(self, events: Iterable[CircuitEvent]) -> None:
        """Deliver events to every listener."""
        self._pending.extend(events)
        if self._telling:
            return
        self._telling = True
        try:
            while self._pending:
                self._tell(self._pending.popleft())
        finally:
            self._telling = False

    def _tell(self, event: CircuitEvent) -> None:
        for listener in self._listeners:
            try:
                listener(event)
            except Exception:  # noqa: BLE001 - logged; a listener's fault is not the caller's
                _LOG.exception("a listener of circuit breaker %r failed on %s", event.name, event.kind)
