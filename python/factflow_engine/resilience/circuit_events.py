"""Events of circuit breakers, and their delivery to listeners.

Kept separate from the breaker because its keyed family tells the same listeners.
"""

import logging
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

from factflow_engine.resilience.circuit_state import CircuitEventKind, CircuitReason, CircuitState

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class CircuitEvent:
    """One thing that happened to a breaker.

    Attributes:
        name: The breaker's.
        kind: What happened.
        time_ns: When, by the clock that the breaker is given.
        generation: Number of the state afterwards; each that is entered, or entered anew, has the next.
        failure_rate: Per cent, then; of a transition, before it. None below the minimum of calls.
        slow_call_rate: Per cent, likewise.
        from_state: Of a transition.
        to_state: Of a transition.
        reason: Of a transition.
        wait_ns: How long it will stay open, of a transition to open.
        leases_expired: How many trial calls lost their place, if that is what happened.
        duration_ns: How long a call took, if one has ended.
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
    """Tells listeners what happened, in order.

    A listener is called within the call that caused the event, after the breaker has changed, and may use the breaker;
    what that causes is told after the event at hand. One that raises is logged, and the others are still told.
    """

    __slots__ = ("_listeners", "_pending", "_telling")

    def __init__(self) -> None:
        self._listeners: tuple[Listener, ...] = ()
        self._pending: deque[CircuitEvent] = deque()
        self._telling = False

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Tell this listener of every further event, until the function that is returned is called."""
        # Wrapped so that one function subscribed twice is two listeners.
        entry = partial(listener)
        self._listeners = (*self._listeners, entry)

        def unsubscribe() -> None:
            self._listeners = tuple(other for other in self._listeners if other is not entry)

        return unsubscribe

    def close(self) -> None:
        """Tell nobody any more, not even of what has happened already."""
        self._listeners = ()

    def publish(self, events: Iterable[CircuitEvent]) -> None:
        """Tell every listener."""
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
