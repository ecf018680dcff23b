"""Guards around an adapter's call: a time-out, a circuit breaker, the message's deadline.

Each wraps the awaitable call of a stage; a stage that asks for none of them pays for none.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import trio

from factflow_engine import resilience
from factflow_engine.native import BreakerPermit, FieldPath, MessageContext
from factflow_engine.seams import Clock, Randomness
from factflow_protocols import AdapterResult, FactflowError

if TYPE_CHECKING:
    from factflow_engine.config import CircuitBreakerConfig
    from factflow_engine.resilience import AdapterCircuitMetrics, CircuitBreaker, CircuitEvents, DomainMetrics

StageCall = Callable[[MessageContext], Awaitable[AdapterResult | None]]

MAX_KEY_CHARACTERS: Final = 200
"""Of a breaker's key: breakers are bounded in number, so that this bounds what messages can make them keep."""

SHOWN_KEY_CHARACTERS: Final = 100
"""How much of a longer one is kept as it is, before its digest."""


class StageTimeoutError(FactflowError, TimeoutError):
    """An adapter took longer than its stage's `timeout_seconds`."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"the adapter did not return within timeout_seconds: {seconds:g}")


class DeadlineExceededError(FactflowError, TimeoutError):
    """A message is older than `error_handling.deadline_seconds` allows."""

    def __init__(self, seconds: float) -> None:
        super().__init__(
            f"the message was not done within deadline_seconds: {seconds:g}, counted since it was published"
        )


def in_time(call: StageCall, seconds: float) -> StageCall:
    """A call that may take so long."""

    # A scope of its own costs microseconds, and only stages that ask for a time-out pay it. What the adapter returned
    # counts even if the time ran out meanwhile: a thread cannot be interrupted.
    async def timed(context: MessageContext) -> AdapterResult | None:
        with trio.move_on_after(seconds):
            return await call(context)
        raise StageTimeoutError(seconds)

    return timed


class RouteTimeoutError(FactflowError, TimeoutError):
    """An attempt at a route took longer than its `error_handling.timeout_seconds`."""

    def __init__(self, route: str, stage: str, seconds: float) -> None:
        super().__init__(
            f"the attempt was not through route {route!r} within error_handling.timeout_seconds: {seconds:g}; "
            f"it was at stage {stage!r}"
        )


class SourceTimeoutError(RouteTimeoutError):
    """The source that a stage emitted gave no message for its route's `error_handling.timeout_seconds`."""

    def __init__(self, route: str, stage: str, seconds: float) -> None:
        TimeoutError.__init__(
            self,
            f"what stage {stage!r} of route {route!r} emitted gave no next message within "
            f"error_handling.timeout_seconds: {seconds:g}",
        )


class SourceCloseTimeoutError(FactflowError, TimeoutError):
    """The source that a stage emitted did not close within `orchestrator.close_seconds`."""

    def __init__(self, route: str, stage: str, seconds: float) -> None:
        super().__init__(
            f"what stage {stage!r} of route {route!r} emitted did not close within orchestrator.close_seconds: {seconds:g}"
        )


def in_route_time(call: StageCall, seconds: float, clock: Clock) -> StageCall:
    """A call that must end so long after the attempt at its route began."""

    # Outside the circuit breaker: which stage used the time up is not for the last of them to answer for.
    async def timed(context: MessageContext) -> AdapterResult | None:
        left = seconds - (clock.monotonic_ns() - context.begun_ns) / 1e9
        if left > 0:
            with trio.move_on_after(left):
                return await call(context)
        raise RouteTimeoutError(context.route, context.stage, seconds)

    return timed


def by_deadline(call: StageCall, seconds: float, clock: Clock) -> StageCall:
    """A call that must end so long after its message was published."""

    async def bounded(context: MessageContext) -> AdapterResult | None:
        left = seconds - (clock.wall_ns() - context.frame.time_ns) / 1e9
        if left > 0:
            with trio.move_on_after(left):
                return await call(context)
        raise DeadlineExceededError(seconds)

    return bounded


class WatchedSource:
    """Lazy source of a stage behind a circuit breaker: the stage's call lasts for as long as the source is pulled.

    Attributes:
        source: What the stage emitted.
        end: Told how the call ended and how long it took, in nanoseconds.
        drop: Told that nothing more will be known of it; does nothing if it has ended.
        spent_ns: How long it took until it returned; being pulled takes the rest, waiting for room does not count.
        breaker: The breaker.
        permit: Its permit of the call.
        index: Which stage of its route emitted it.
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


class Guard:
    """A call behind a circuit breaker, or behind one of several by what a field of the message says.

    Attributes:
        name: What the breakers protect.
        key: The field; None if there is one breaker for all messages.
        events: What happens to the breakers.
        is_timed: True if time alone may change a breaker's state.
    """

    __slots__ = (
        "_breaker", "_breakers", "_call", "_clock", "_key_path", "_trial_listeners", "events", "is_timed", "key", "name",
    )  # fmt: skip

    events: CircuitEvents

    def __init__(
        self, call: StageCall, section: CircuitBreakerConfig, *, name: str, clock: Clock, randomness: Randomness
    ) -> None:
        self.name = name
        self.key = section.key
        self.is_timed = section.automatic_half_open or section.max_half_open_seconds is not None
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
        """Tell this the name of a breaker each time that one is half open after a call has ended: another may be tried."""
        self._trial_listeners.append(listener)

    def advance(self, name: str) -> None:
        """Do what is due at the breaker of this name without a call."""
        breaker = self._breaker_named(name)
        if breaker is not None:
            breaker.advance(self._clock.monotonic_ns())

    def due_seconds(self, name: str) -> float:
        """In how many seconds `advance` may find something to do at this breaker; infinity if time alone changes nothing."""
        breaker, now_ns = self._breaker_named(name), self._clock.monotonic_ns()
        deadline_ns = None if breaker is None else breaker.deadline_after(now_ns)  # what was due waits for a call
        return math.inf if deadline_ns is None else (deadline_ns - now_ns) / 1e9

    def _breaker_named(self, name: str) -> CircuitBreaker | None:
        """The breaker of this name, unless it was evicted."""
        if self._breakers is None:
            return self._breaker
        return self._breakers.known(name[len(self.name) + 1 : -1])  # `name[key]`

    def metrics(self) -> AdapterCircuitMetrics:
        """Return the states and counts of the breakers."""
        return self._source.metrics(self._clock.monotonic_ns())

    async def call(self, context: MessageContext) -> AdapterResult | None:
        """Call the adapter if the breaker permits, and tell it how that ended.

        Raises:
            CircuitOpenError: It does not.

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
            # The call goes on in what is pulled: an error there is its error.
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
    """A breaker's key that takes no more memory than `MAX_KEY_CHARACTERS`, and differs where the text does."""
    if len(text) <= MAX_KEY_CHARACTERS:
        return text
    digest = hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=16).hexdigest()
    return f"{text[:SHOWN_KEY_CHARACTERS]}…{digest}"
