"""Permits for calls to a dependency, as many at a time as an adaptive limit allows.

The decisions are made in Rust; this module adds names, trio's tasks and cancellation, and the seams. The methods that
take a time use none of these. Kept separate from `limits`, whose algorithms count no calls and give no permits.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType, TracebackType
from typing import Any, Final

import trio

from factflow_engine.error_texts import is_a
from factflow_engine.native import LimitController, LimitPermit
from factflow_engine.resilience.limit_parameters import MOST_CALLS, check_bounds, is_whole, parameters_of
from factflow_engine.resilience.limit_statistics import LimitStatistics
from factflow_engine.resilience.limits import ALGORITHMS, LimitChange, OwnLimit, new_limit, registered
from factflow_engine.resilience.overload import is_overload
from factflow_engine.seams import Clock, SystemClock
from factflow_protocols import CircuitOpenError

logger = logging.getLogger("factflow_engine.resilience")

_CLOCK: Final = SystemClock()
_LARGEST: Final = 2**64 - 1


class BackpressureController(LimitController):
    """Gives permits for calls, at most as many at a time as an algorithm finds right, and learns from each call.

    It is used around a call, from any number of tasks of one event loop, or by hand, with the caller's own time in
    nanoseconds, which must never go back. Do not mix times of different clocks on one controller. A call that is
    cancelled or released teaches nothing; a dropped permit is released. A permit counts once, and not after a `reset`.

    Timers are deadlines: each attempt first does what is due. If no calls are made, call `advance` at
    `next_deadline_ns`. Built-in algorithms have none; one of the program may (see `limits.TimedLimit`).

    A limit that falls takes no permit back; at least one call may always be in flight.

    Args:
        algorithm: Name of a built-in algorithm, or of one that was registered (`limits.register`).
        target_latency_ms: Milliseconds that a call should not exceed: a ceiling, not an aim. `adaptive` keeps nine calls
            of ten below it, `aimd` takes longer ones for dropped. It has no effect on other built-in algorithms, and a
            `UserWarning` says so.
        min_concurrency: The limit is never below this.
        max_concurrency: The limit is never above this.
        initial_concurrency: First limit. None: the algorithm's own; `max_concurrency` if it is `fixed`.
        now_ns: The present time, if it is not counted from 0.
        seed: Seed of the algorithm's randomness, if it has any.
        monitor_only: True to compute the limit and give permits to all calls.
        clock: Clock that `async with` reads; the machine's by default.
        probe_jitter: Numbers from 0 to 1 in place of random ones, taken in turn (see `limits.new_limit`).
        parameters: Further parameters of the algorithm. A registered one is given these, and of the others `initial` and
            `target_latency_ns` if they are not None.

    Raises:
        ValueError: An argument is outside its bounds, or the algorithm has no such parameter.
        TypeError: A parameter is not a number.

    Example:
        controller = BackpressureController(target_latency_ms=200, max_concurrency=50)
        async with controller:  # waits for a permit
            await trio.sleep(0)

        permit = controller.try_acquire(now_ns=10**18)
        if permit is not None:  # None at the limit
            permit.record(now_ns=10**18 + 5_000)  # or record(now_ns, dropped=True), or release()
    """

    __slots__ = ("_algorithm", "_clock", "_entered", "_faults", "_own", "_token", "_waiting", "_watching")

    _algorithm: str
    _clock: Clock
    _faults: int  # errors of the program's own algorithm that no caller was given
    _own: OwnLimit | None
    # Calls that wait for a permit, first come first; None while none ever did.
    _waiting: dict[LimitedCall, None] | None
    # Callbacks for when a permit may be free; None while there never was one.
    _watching: dict[Callable[[], None], None] | None
    # The event loop of those that wait, for permits that are dropped in another thread.
    _token: trio.lowlevel.TrioToken | None
    # For each task, its open `async with` blocks, innermost last; no task has an empty list.
    _entered: dict[trio.lowlevel.Task, list[LimitedCall]] | None

    def __new__(
        cls,
        *,
        algorithm: str = "adaptive",
        target_latency_ms: float | None = None,
        min_concurrency: int = 1,
        max_concurrency: int = 200,
        initial_concurrency: int | None = None,
        now_ns: int = 0,
        seed: int = 0,
        monitor_only: bool = False,
        clock: Clock | None = None,
        probe_jitter: Sequence[float] | None = None,
        **parameters: Any,
    ) -> BackpressureController:
        """See the class."""
        if not isinstance(algorithm, str):
            raise TypeError(f"algorithm: expected a name, got {algorithm!r}")
        check_bounds(target_latency_ms, min_concurrency, max_concurrency, initial_concurrency)
        for name, number in (("now_ns", now_ns), ("seed", seed)):
            if not is_whole(number, 0, _LARGEST):
                raise ValueError(f"{name}: expected a whole number from 0 to {_LARGEST}, got {number!r}")
        if callable(probe_jitter):
            raise TypeError("probe_jitter: expected a list of numbers, which are taken in turn, got a function")
        own: OwnLimit | None = None
        given: dict[str, Any]
        if algorithm in ALGORITHMS or algorithm not in registered():
            given = parameters_of(
                algorithm, parameters, target_latency_ms, min_concurrency, max_concurrency, initial_concurrency
            )
        else:
            given = dict(parameters)
            if initial_concurrency is not None:
                given.setdefault("initial", initial_concurrency)
            if target_latency_ms is not None:
                given.setdefault("target_latency_ns", round(target_latency_ms * 1e6))
            made = new_limit(algorithm, **given)
            assert isinstance(made, OwnLimit)
            own = made
        self = super().__new__(
            cls,
            algorithm,
            given,
            own,
            probe_jitter=None if probe_jitter is None else list(probe_jitter),
            seed=seed,
            least=min_concurrency,
            most=max_concurrency,
            monitor_only=monitor_only,
            now_ns=now_ns,
        )
        self._algorithm = algorithm
        self._own = own
        self._clock = _CLOCK if clock is None else clock
        self._waiting = self._watching = self._token = self._entered = None
        self._faults = 0
        return self

    @property
    def algorithm(self) -> str:
        """Name of the algorithm."""
        return self._algorithm

    @property
    def has_deadlines(self) -> bool:
        """True if the algorithm may want `advance` to be called: a program's own, never a built-in one."""
        return self._own is not None

    def explain(self) -> LimitChange | None:
        """Return the last change of the limit and its reason; None before the first."""
        change = self.last_change()
        if change is None:
            return None
        at_ns, before, after, reason, statistics = change
        if self._own is not None and reason == "own algorithm":
            reason, found = self._algorithm, self._own.explain()
            statistics = statistics if found is None else dict(found.statistics)
        return LimitChange(at_ns=at_ns, before=before, after=after, reason=reason, statistics=statistics)

    def statistics(self) -> LimitStatistics:
        """Return the controller's state and counts; reading changes nothing."""
        figures = self.figures()
        figures["changes"] = MappingProxyType(figures["changes"])
        return LimitStatistics(
            algorithm=self._algorithm,
            limit=self.limit,
            in_flight=self.in_flight,
            waiting=0 if self._waiting is None else len(self._waiting),
            is_monitor_only=self.is_monitor_only,
            is_frozen=self.is_frozen,
            last_change=self.explain(),
            faults=self._faults,
            **figures,
        )

    def snapshot(self) -> dict[str, str | int | None]:
        """Return what was learnt, for `restore` after a restart of the program; JSON can hold it."""
        limit, baseline_ns = self.learnt()
        return {"algorithm": self._algorithm, "limit": limit, "baseline_ns": baseline_ns}

    def restore(self, snapshot: Mapping[str, object], now_ns: int) -> None:
        """Begin with the limit that an earlier controller has found, within the present bounds.

        The latency in it is used only if it was found by the same algorithm.

        Raises:
            ValueError: It is no snapshot of a controller.
        """
        # From a file, perhaps: it may be anything.
        kept: object = snapshot
        if not isinstance(kept, Mapping):
            text = f"expected a snapshot, a mapping that snapshot() has returned, got {kept!r:.200}"
            raise ValueError(text)  # noqa: TRY004 - documented: whatever is no snapshot is a wrong value
        limit, baseline_ns = snapshot.get("limit"), snapshot.get("baseline_ns")
        if not is_whole(limit, 1, MOST_CALLS) or not (baseline_ns is None or is_whole(baseline_ns, 1, 2**63)):
            raise ValueError(
                f"expected a snapshot, a mapping with a limit from 1 to {MOST_CALLS} and a baseline_ns that is positive "
                f"or None, got {dict(snapshot)!r}"
            )
        if snapshot.get("algorithm") != self._algorithm:
            baseline_ns = None
        self.relearn(limit, baseline_ns, now_ns)

    def watch(self, notify: Callable[[], None]) -> None:
        """Call this once when a permit may be free, after the tasks that wait for one; another call has no effect."""
        if self._watching is None:
            self._watching = {}
        if self._token is None:
            self._token = trio.lowlevel.current_trio_token()
        self._watching[notify] = None
        self.has_waiters = True

    # -- for programs without a pipeline -----------------------------------------------------------------------------

    def attempt(self) -> LimitedCall:
        """Return a block for one call: `async with controller.attempt() as permit:`.

        Equal to `async with controller` if the blocks of a task end in the reverse order of entering. In a generator,
        or if a block is left in another task than it was entered in, only this form finds its own permit.
        """
        return LimitedCall(self)

    async def __aenter__(self) -> LimitPermit:
        """Pass a checkpoint, then wait for a permit, first come first served.

        The block may give the permit back itself. Cancellation: gives up the place in the queue.
        """
        call = LimitedCall(self)
        permit = await call.__aenter__()
        if self._entered is None:
            self._entered = {}
        self._entered.setdefault(trio.lowlevel.current_task(), []).append(call)
        return permit

    async def __aexit__(
        self, error_class: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Give the permit back with a sample of the block, unless the block did. No checkpoint.

        `Overloaded`, `TimeoutError` and `trio.TooSlowError` make a dropped sample. A cancelled block and one that a
        circuit breaker refused make none. Other exceptions are answers: the block's latency is the sample.

        Raises:
            RuntimeError: This task is in no block of the controller; the block was entered in another.
        """
        task = trio.lowlevel.current_task()
        calls = None if self._entered is None else self._entered.get(task)
        if self._entered is None or calls is None:
            raise RuntimeError(
                "a block of a backpressure controller was left in another task than it was entered in; "
                "write `async with controller.attempt():`"
            )
        call = calls.pop()
        if not calls:
            del self._entered[task]
        await call.__aexit__(error_class, error, traceback)

    async def _wait(self, call: LimitedCall) -> None:
        """Wait until the call has a permit."""
        if self._waiting is None:
            self._waiting = {}
        self._token = trio.lowlevel.current_trio_token()
        self._waiting[call] = None
        self.has_waiters = True
        try:
            while call.permit is None:
                due_ns = self.next_deadline_ns
                seconds = math.inf if due_ns is None else max(due_ns - self._clock.monotonic_ns(), 0) / 1e9
                with trio.move_on_after(seconds):
                    await call.park()
                if call.permit is None:
                    self._advance()
        except BaseException:
            if call.permit is not None:
                call.permit.release()
            raise
        finally:
            self._waiting.pop(call, None)
            self.has_waiters = bool(self._waiting or self._watching)

    def _advance(self) -> None:
        try:
            self.advance(self._clock.monotonic_ns())
        except Exception as error:  # noqa: BLE001 - the program's own algorithm may raise anything, and no call is to blame
            self.note_fault(error)

    def note_fault(self, error: Exception) -> None:
        """Count an error of the program's own algorithm, and log the first; its limit stays as it is.

        Called where no caller can handle the error: it fails no message and no call that waits.
        """
        self._faults += 1
        if self._faults == 1:
            logger.error(
                "limit algorithm %s does not learn; its limit stays, and later errors are only counted (`faults`)",
                self._algorithm,
                exc_info=error,
            )

    def _admit(self) -> None:
        """Give permits to those that wait, as long as there are some; called by the state machine."""
        if not trio.lowlevel.in_trio_run():
            # A permit was dropped by the garbage collector in a thread.
            if self._token is not None:
                self._token.run_sync_soon(self._admit)
            return
        while self._waiting:
            now_ns = self._clock.monotonic_ns()
            # Asked first, because an attempt counts as another refusal.
            permit = self.try_acquire(now_ns) if self.free > 0 else None
            if permit is None:
                self.crowd(now_ns)
                return
            call = next(iter(self._waiting))
            del self._waiting[call]
            call.receive(permit)
        self.has_waiters = False
        watching, self._watching = self._watching, None
        for notify in watching or ():
            notify()

    def acquire_nowait(self) -> LimitPermit | None:
        """Return a permit by the controller's clock; None at the limit, or if others wait. `wait` may follow."""
        now_ns = self._clock.monotonic_ns()
        if not self._waiting:
            return self.try_acquire(now_ns)
        self.refuse(now_ns)
        return None

    async def wait(self) -> LimitPermit:
        """Wait for the permit that `acquire_nowait` has not given. Cancellation: gives up the place in the queue."""
        call = LimitedCall(self)
        await self._wait(call)
        assert call.permit is not None
        return call.permit

    def end(self, permit: LimitPermit, error: BaseException | None) -> None:
        """Give a permit of `acquire_nowait` or `wait` back, as `__aexit__`; what the algorithm raises is logged.

        Args:
            permit: The permit.
            error: Error that the call ended with; None if it did not fail.
        """
        try:
            self._end(permit, error)
        except Exception as fault:  # noqa: BLE001 - the program's own algorithm may raise anything
            self.note_fault(fault)

    def _end(self, permit: LimitPermit, error: BaseException | None) -> None:
        # A block may have swallowed its cancellation.
        if trio.current_effective_deadline() == -math.inf or (error is not None and _teaches_nothing(error)):
            permit.release()
        else:
            dropped = error is not None and (is_a(error, TimeoutError, trio.TooSlowError) or is_overload(error))
            permit.record(self._clock.monotonic_ns(), dropped)

    def __repr__(self) -> str:
        return f"<BackpressureController {self._algorithm} {self.in_flight} of {self.limit}>"


class LimitedCall:
    """One call within a limit; made by `BackpressureController.attempt`, and entered once."""

    __slots__ = ("_controller", "_entered", "_parked", "permit")

    def __init__(self, controller: BackpressureController) -> None:
        self._controller = controller
        self._entered = False
        self._parked: trio.lowlevel.Task | None = None
        self.permit: LimitPermit | None = None

    async def __aenter__(self) -> LimitPermit:
        """See `BackpressureController.__aenter__`.

        Raises:
            RuntimeError: It was entered before.
        """
        if self._entered:
            raise RuntimeError("this call was made already; write controller.attempt() for each")
        self._entered = True
        # Before the permit, so that a cancellation here finds nothing to give back.
        await trio.lowlevel.checkpoint()
        self.permit = self._controller.acquire_nowait()
        if self.permit is None:
            await self._controller._wait(self)
        assert self.permit is not None
        return self.permit

    async def __aexit__(
        self, error_class: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """See `BackpressureController.__aexit__`."""
        permit = self.permit
        if permit is not None and not permit.is_settled:
            self._controller._end(permit, error)

    async def park(self) -> None:
        """Wait for `receive`, or a cancellation."""
        self._parked = trio.lowlevel.current_task()

        def abort(_: Any) -> trio.lowlevel.Abort:
            self._parked = None
            return trio.lowlevel.Abort.SUCCEEDED

        await trio.lowlevel.wait_task_rescheduled(abort)

    def receive(self, permit: LimitPermit) -> None:
        """Take the permit, and go on."""
        self.permit = permit
        task, self._parked = self._parked, None
        if task is not None:
            trio.lowlevel.reschedule(task)


def _teaches_nothing(error: BaseException) -> bool:
    """True if a block that ended with this error was cut short, or its call never made."""
    return not is_a(error, Exception) or is_a(error, CircuitOpenError)
