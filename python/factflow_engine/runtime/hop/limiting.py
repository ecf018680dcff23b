"""Adaptive limits of routes beside messages: circuit breakers that freeze them, and time.

Kept separate from `circuits`, which releases messages. The permits of messages are native (`rust/bindings/src/hop/limiting.rs`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

import trio

from factflow_engine.error_texts import is_a
from factflow_engine.native import ATTEMPT_ANSWERED, ATTEMPT_DROPPED, ATTEMPT_IGNORED
from factflow_engine.resilience.overload import is_overload
from factflow_engine.runtime.hop.route_state import RouteState
from factflow_engine.runtime.hop.timers import Timers
from factflow_engine.runtime.stages.breaker_guard import REFUSING, BreakerGuard
from factflow_engine.runtime.stages.timeouts import DeadlineExceededError
from factflow_protocols import CircuitOpenError

if TYPE_CHECKING:
    from factflow_engine.resilience import BackpressureController, CircuitEvent

TIMER: Final = "limit"
"""Name of a route's timer for its limit."""


def end_of(error: BaseException) -> int:
    """Return how an attempt that failed with this error, and was not cancelled, has ended for a limit.

    Only overload is a dropped sample. Other failures are answers, and so are instructions (`RetryLater`, `Reject`). A call
    that a circuit breaker refused was not made, and one that a message's deadline forbade or cut short was not answered: the
    deadline counts from publishing, and says nothing of what is limited.
    """
    if is_a(error, CircuitOpenError, DeadlineExceededError):
        return ATTEMPT_IGNORED
    return ATTEMPT_DROPPED if is_overload(error) else ATTEMPT_ANSWERED


class Limiting:
    """Freezes limits of routes while a circuit breaker is open, and does what is due by time.

    A limit learns nothing while a breaker of its routes is open, has the breaker's trial calls for a cap while it is half
    open, and begins again at half when it closes. Breakers with a key do not count, because others of them are closed; nor
    do those of routes that share a limit.

    Args:
        routes: Routes, some with limits.
        timers: Timers for deadlines of algorithms.
        now: Clock of the loop, in nanoseconds.
    """

    def __init__(self, routes: Sequence[RouteState], timers: Timers, *, now: Callable[[], int]) -> None:
        self._timers = timers
        self._now = now
        # For each limit its routes, and the breakers that do not permit all calls.
        self._routes: dict[BackpressureController, list[RouteState]] = {}
        self._tripped: dict[BackpressureController, set[BreakerGuard]] = {}
        for route in routes:
            if route.limiter is None:
                continue
            self._routes.setdefault(route.limiter, []).append(route)
            if route.has_deadlines:
                self.attend(route)
            for stage in route.stages:
                # A breaker of one route says little about a limit that others have, too.
                if stage.guard is not None and stage.guard.key is None and not route.shares_limit:
                    stage.guard.events.subscribe(self._listener(route.limiter, stage.guard))

    def attend(self, route: RouteState) -> None:
        """Set the timer for the next deadline of the route's limit, if its algorithm has one."""
        limiter = route.limiter
        due_ns = None if limiter is None else limiter.next_deadline_ns
        if limiter is not None and due_ns is not None:
            due = trio.current_time() + max(due_ns - self._now(), 0) / 1e9

            def ring(_: float) -> None:
                limiter.advance(self._now())
                self._notify(limiter)
                self.attend(route)

            self._timers.set(route, TIMER, due, ring)

    def _listener(self, limiter: BackpressureController, guard: BreakerGuard) -> Callable[[CircuitEvent], None]:
        tripped = self._tripped.setdefault(limiter, set())

        def heard(event: CircuitEvent) -> None:
            if event.to_state is None and event.kind != "reset":
                return
            now_ns = self._now()
            if event.to_state in REFUSING:
                tripped.add(guard)
                limiter.freeze()
            elif event.to_state == "half_open":
                tripped.add(guard)
                limiter.freeze()
                limiter.cap(guard.trial_calls, now_ns)
            elif guard in tripped:
                tripped.remove(guard)
                if not tripped:
                    limiter.restart(now_ns)
            self._notify(limiter)

        return heard

    def _notify(self, limiter: BackpressureController) -> None:
        """Let the routes of a limit that may have risen check again."""
        for route in self._routes[limiter]:
            if route.has_work or route.drivers:
                route.notify()
