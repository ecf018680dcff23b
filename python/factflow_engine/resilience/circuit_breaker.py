"""Circuit breaker: calls go through it, and it refuses them while the dependency keeps failing.

The state machine is in Rust; this module adds trio's tasks and cancellation, exceptions, listeners and the seams. The
methods that take a time use none of these.

Left out of what such breakers have elsewhere: a predicate on results (call `permit.record_failure`), tags (the name
serves), and snapshots, because a breaker lives no longer than its execution.
"""

import math
from types import TracebackType
from typing import Any, Final

import trio

from factflow_engine.errors import CircuitTransitionError
from factflow_engine.native import Breaker, BreakerPermit
from factflow_engine.resilience.circuit_events import CircuitEvent, CircuitEvents
from factflow_engine.resilience.circuit_settings import CircuitBreakerSection, CircuitBreakerSettings
from factflow_engine.resilience.circuit_state import CircuitEventKind, CircuitReason, CircuitState
from factflow_engine.resilience.circuit_stats import AdapterCircuitMetrics, CircuitStats, CircuitTotals
from factflow_engine.resilience.error_classes import ErrorClasses, Verdict
from factflow_engine.seams import Clock, Randomness, SystemClock, SystemRandomness
from factflow_protocols import CircuitOpenError

LONGEST_SECONDS: Final = 1e9
"""Longest time for which a breaker may be opened by hand."""


class CircuitBreaker(Breaker):
    """Breaker that refuses calls while the rate of failed or slow ones is too high, then tries a few, then permits all.

    It is used around a call, from any number of tasks, or by hand, with the caller's own time in nanoseconds, which must
    never go back. Do not mix times of different clocks on one breaker. A cancelled call records nothing and gives its permit back, and
    so does a dropped permit. A result counts only in the state that permitted the call.

    Timers are deadlines: each call first does what is due. If no calls are made, call `advance` at `next_deadline_ns`.

    Args:
        config: Thresholds and waits: settings, or a configuration's `circuit_breaker` section.
        name: Name of the dependency, for errors, events and reports.
        clock: Clock that `async with` and `acquire_nowait` read; the machine's by default.
        randomness: Seed of the jitter of its waits; the machine's by default.
        initial_state: First state: closed, disabled, metrics only or forced open.
        report_calls: True to report each call as an event, too: its end, or its refusal. Not while the breaker is
        disabled or forced open.

    Attributes:
        events: Events of the breaker; subscribe here.

    Raises:
        ValueError: A parameter of the configuration is outside its bounds, or the initial state is not allowed.

    Example:
        breaker = CircuitBreaker(CircuitBreakerConfig(minimum_calls=5), name="search")
        async with breaker:  # CircuitOpenError if it is refused; in a generator write `breaker.call()`
            await trio.sleep(0)

        permit = breaker.try_acquire(now_ns=10**18)
        if permit is not None:  # None if it is refused
            permit.record(now_ns=10**18 + 5_000, duration_ns=5_000, error=None)  # or permit.release()
    """

    __slots__ = ("_clock", "_entered", "_errors", "_name", "_trial_calls", "events")

    events: CircuitEvents
    _name: str
    _clock: Clock
    _errors: ErrorClasses
    _trial_calls: int
    # For each task, its open `async with` blocks, innermost last; no task has an empty list.
    _entered: dict[trio.lowlevel.Task, list["CircuitCall"]]

    def __new__(
        cls,
        config: CircuitBreakerSettings | CircuitBreakerSection,
        *,
        name: str = "circuit",
        clock: Clock | None = None,
        randomness: Randomness | None = None,
        initial_state: CircuitState = CircuitState.CLOSED,
        report_calls: bool = False,
    ) -> "CircuitBreaker":
        """See the class."""
        settings = CircuitBreakerSettings.of(config)
        seed = int.from_bytes((SystemRandomness() if randomness is None else randomness).token(8))
        if initial_state in (CircuitState.OPEN, CircuitState.HALF_OPEN):
            raise ValueError(
                f"a circuit breaker cannot begin {initial_state}, which lasts from an instant on; move it there"
            )
        self = super().__new__(cls, settings.native, seed, report_calls)
        self._name = name
        self._clock = SystemClock() if clock is None else clock
        self._errors = settings.errors
        self._trial_calls = settings.permitted_calls_in_half_open
        self._entered = {}
        self.events = CircuitEvents()
        if initial_state is not CircuitState.CLOSED:
            self.move_to(initial_state, 0)
        return self

    @property
    def name(self) -> str:
        """Name of the dependency that the breaker protects."""
        return self._name

    @property
    def state(self) -> CircuitState:
        """State at the latest time that the breaker was told; later deadlines have not been handled."""
        return CircuitState(super().state)

    def stats(self, now_ns: int | None = None) -> CircuitStats:
        """Return the breaker's state and counts; reading changes nothing.

        Args:
            now_ns: The present time, for counts that change with time; by default the latest time that it was told.
        """
        now, totals = self.stats_at(now_ns)
        state = CircuitState(now.pop("state"))
        return CircuitStats(name=self._name, state=state, totals=CircuitTotals(**totals), **now)

    def metrics(self, now_ns: int | None = None) -> AdapterCircuitMetrics:
        """Return the statistics as of a stage that has no other breaker, under the key `""`."""
        stats = self.stats(now_ns)
        return AdapterCircuitMetrics(
            name=self._name, states={stats.state: 1}, totals=stats.totals, circuits={"": stats}
        )

    def acquire_nowait(self) -> BreakerPermit:
        """Acquire a permit, by the breaker's own clock.

        Raises:
            CircuitOpenError: The call is refused.
        """
        now_ns = self._clock.monotonic_ns()
        permit = self.try_acquire(now_ns)
        if permit is None:
            wait_ns = self.retry_after_ns(now_ns)
            raise CircuitOpenError(self._name, None if wait_ns is None else wait_ns / 1e9)
        return permit

    def transition_to(self, state: CircuitState, now_ns: int) -> None:
        """Change the state by hand. Entering the same state again resets it, and is not an event.

        From closed: any state but half open; from metrics only: closed, forced open, disabled; from others: any.
        Permits that are out no longer count, and pending deadlines are dropped.

        Raises:
            CircuitTransitionError: The change is not allowed; the breaker is unchanged.
        """
        if not self.move_to(state, now_ns):
            raise CircuitTransitionError(self._name, self.state, state)

    def transition_to_open_for(self, seconds: float, now_ns: int) -> None:
        """Open the breaker by hand for a time that is neither capped nor jittered and does not lengthen later ones.

        Raises:
            ValueError: The time is negative, NaN, or above a billion.
            CircuitTransitionError: It is metrics only; the breaker is unchanged.
        """
        if not 0 <= seconds <= LONGEST_SECONDS:
            raise ValueError(
                f"transition_to_open_for() needs seconds from 0 to {LONGEST_SECONDS:g}, got {seconds!r}; "
                "transition_to(CircuitState.FORCED_OPEN) opens it until somebody moves it"
            )
        if not self.move_to_open_for(round(seconds * 1e9), now_ns):
            raise CircuitTransitionError(self._name, self.state, CircuitState.OPEN)

    @property
    def is_half_open(self) -> bool:
        """True if it was trying calls at the latest time that it was told."""
        return super().state == "half_open"

    @property
    def trials_out(self) -> int | None:
        """Number of trial calls in progress, if no other is permitted before one of them or its lease ends; else None."""
        if not self.is_half_open:
            return None
        stats = self.stats()
        return self._trial_calls - stats.calls if not stats.trial_places else None

    def deadline_after(self, now_ns: int) -> int | None:
        """Return `next_deadline_ns` if it lies ahead; None if time alone changes nothing, or a call must act first."""
        deadline_ns = self.next_deadline_ns
        return deadline_ns if deadline_ns is not None and deadline_ns > now_ns else None

    def settle(self, permit: BreakerPermit, error: BaseException | None = None, duration_ns: int | None = None) -> None:
        """Give back the permit of a call that has just ended, unless it was given back; by the breaker's own clock.

        Args:
            permit: Permit of this breaker.
            error: Exception of the call, if any. One raised in a cancelled task counts as nothing, whatever its class.
            duration_ns: Duration of the call; if None, since its permit.
        """
        if permit.is_settled:
            return
        if error is not None and trio.current_effective_deadline() == -math.inf:
            permit.release()
            return
        now_ns = self._clock.monotonic_ns()
        permit.record(now_ns, max(now_ns - permit.acquired_ns, 0) if duration_ns is None else duration_ns, error)

    def call(self) -> "CircuitCall":
        """Return a block for one call: `async with breaker.call() as permit:`.

        Equal to `async with breaker` if the blocks of a task end in the reverse order of entering. In a generator, or
        if a block is left in another task than it was entered in, only this form finds its own permit.
        """
        return CircuitCall(self)

    async def __aenter__(self) -> BreakerPermit:
        """Pass a checkpoint, then acquire a permit; the block may give it back itself, with the result of the call.

        Raises:
            CircuitOpenError: The call is refused.
        """
        call = CircuitCall(self)
        permit = await call.__aenter__()
        self._entered.setdefault(trio.lowlevel.current_task(), []).append(call)
        return permit

    async def __aexit__(
        self, error_class: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Record the end of the block, unless it was cancelled, or gave its permit back itself. No checkpoint.

        Raises:
            RuntimeError: This task is in no block of the breaker; the block was entered in another.
        """
        task = trio.lowlevel.current_task()
        calls = self._entered.get(task)
        if calls is None:
            raise RuntimeError(
                f"a block of circuit {self._name!r} was left in another task than it was entered in; "
                "write `async with breaker.call():`"
            )
        call = calls.pop()
        if not calls:
            del self._entered[task]
        await call.__aexit__(error_class, error, traceback)

    def _classify(self, error: BaseException) -> tuple[Verdict, int | None]:
        """Classify an error that is recorded; called by the state machine."""
        return self._errors.judge(error)

    def _deliver(self, rows: tuple[dict[str, Any], ...]) -> None:
        """Publish events in order; called by the state machine."""
        self.events.publish([_event(self._name, row) for row in rows])

    def __repr__(self) -> str:
        return f"<CircuitBreaker {self._name!r} {super().state}>"


class CircuitCall:
    """One call through a breaker; made by `CircuitBreaker.call`, and entered once."""

    __slots__ = ("_breaker", "_permit")

    def __init__(self, breaker: CircuitBreaker) -> None:
        self._breaker = breaker
        self._permit: BreakerPermit | None = None

    async def __aenter__(self) -> BreakerPermit:
        """See `CircuitBreaker.__aenter__`.

        Raises:
            RuntimeError: It was entered before.
        """
        if self._permit is not None:
            raise RuntimeError("this call was made already; write breaker.call() for each")
        # Before the permit, so that a cancellation here finds nothing to give back.
        await trio.lowlevel.checkpoint()
        self._permit = self._breaker.acquire_nowait()
        return self._permit

    async def __aexit__(
        self, error_class: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """See `CircuitBreaker.__aexit__`."""
        if self._permit is not None:
            self._breaker.settle(self._permit, error)


def _event(name: str, row: dict[str, Any]) -> CircuitEvent:
    row["kind"] = CircuitEventKind(row["kind"])
    if row["kind"] is CircuitEventKind.TRANSITION:
        row["from_state"] = CircuitState(row["from_state"])
        row["to_state"] = CircuitState(row["to_state"])
        row["reason"] = CircuitReason(row["reason"])
    return CircuitEvent(name=name, **row)
