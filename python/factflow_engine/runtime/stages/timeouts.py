"""Time limits of an adapter's call: the stage's timeout, the route's timeout, and the message's deadline.

Each wraps the awaitable call of a stage; a stage without limits pays nothing. Kept separate from `breaker_guard` because
a breaker counts only the stage's own timeout.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import trio

from factflow_engine.native import MessageContext
from factflow_engine.seams import Clock
from factflow_protocols import AdapterResult, FactflowError, Overloaded

StageCall = Callable[[MessageContext], Awaitable[AdapterResult | None]]


class StageTimeoutError(Overloaded, TimeoutError):
    """Adapter call that exceeded its stage's `timeout_seconds`; for a concurrency limit, a sign of overload."""

    def __init__(self, seconds: float) -> None:
        TimeoutError.__init__(self, f"the adapter did not return within timeout_seconds: {seconds:g}")


class DeadlineExceededError(FactflowError, TimeoutError):
    """Message that is older than `error_handling.deadline_seconds`.

    Attributes:
        seconds: The deadline, counted since the message was published.
        last_error: Description of the last error that the message met before; None if there was none.
    """

    def __init__(self, seconds: float, last_error: str | None = None) -> None:
        self.seconds = seconds
        self.last_error = last_error
        before = "" if last_error is None else f"; the last error before: {last_error}"
        super().__init__(
            f"the message was not done within deadline_seconds: {seconds:g}, counted since it was published{before}"
        )


def in_time(call: StageCall, seconds: float) -> StageCall:
    """Return a call with a timeout."""

    # A scope of its own costs microseconds, and only stages with a timeout pay it. A result counts even if the timeout
    # passed meanwhile: a thread cannot be interrupted.
    async def timed(context: MessageContext) -> AdapterResult | None:
        with trio.move_on_after(seconds):
            return await call(context)
        raise StageTimeoutError(seconds)

    return timed


class RouteTimeoutError(Overloaded, TimeoutError):
    """Attempt at a route that exceeded its `error_handling.timeout_seconds`; also a sign of overload."""

    def __init__(self, route: str, stage: str, seconds: float) -> None:
        TimeoutError.__init__(
            self,
            f"the attempt was not through route {route!r} within error_handling.timeout_seconds: {seconds:g}; "
            f"it was at stage {stage!r}",
        )


class SourceTimeoutError(RouteTimeoutError):
    """Source emitted by a stage that gave no message for its route's `error_handling.timeout_seconds`."""

    def __init__(self, route: str, stage: str, seconds: float) -> None:
        TimeoutError.__init__(
            self,
            f"what stage {stage!r} of route {route!r} emitted gave no next message within "
            f"error_handling.timeout_seconds: {seconds:g}",
        )


class SourceCloseTimeoutError(FactflowError, TimeoutError):
    """Source emitted by a stage that did not close within `orchestrator.close_seconds`."""

    def __init__(self, route: str, stage: str, seconds: float) -> None:
        super().__init__(
            f"what stage {stage!r} of route {route!r} emitted did not close within orchestrator.close_seconds: {seconds:g}"
        )


def in_route_time(call: StageCall, seconds: float, clock: Clock) -> StageCall:
    """Return a call that must end within a time after the attempt at its route began."""

    # Outside the circuit breaker: the last stage is not to blame for time that earlier stages used.
    async def timed(context: MessageContext) -> AdapterResult | None:
        left = seconds - (clock.monotonic_ns() - context.begun_ns) / 1e9
        if left > 0:
            with trio.move_on_after(left):
                return await call(context)
        raise RouteTimeoutError(context.route, context.stage, seconds)

    return timed


def by_deadline(call: StageCall, seconds: float, clock: Clock) -> StageCall:
    """Return a call that must end within a time after its message was published."""

    async def bounded(context: MessageContext) -> AdapterResult | None:
        left = seconds - (clock.wall_ns() - context.frame.time_ns) / 1e9
        if left > 0:
            with trio.move_on_after(left):
                return await call(context)
        raise DeadlineExceededError(seconds)

    return bounded
