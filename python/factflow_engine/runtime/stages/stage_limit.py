"""Limit of a stage's own calls: each waits for a permit of the stage's, its key's or its group's controller.

A message that waits holds nothing but its route's permit, and a permit is held during the adapter's `process` alone:
what that emits lazily is pulled without one, and the stages after it run without one. So calls that hold permits never
wait for other permits, and a permit that is waited for is always given back. The wait is not in the latency that the
controller learns from, nor in the one that the route's does, nor in the stage's `timeout_seconds`; it is in the route's
`timeout_seconds` and in the message's deadline.

Kept separate from `breaker_guard`: a call is refused by the breaker before it waits here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final, NamedTuple

from factflow_engine.native import FieldPath, LimitPermit, MessageContext
from factflow_engine.resilience.keyed_limits import KeyedLimits
from factflow_engine.runtime.stages.breaker_guard import PERMITTING, REFUSING, BreakerGuard, bounded_key
from factflow_engine.runtime.stages.timeouts import StageCall
from factflow_engine.seams import Clock
from factflow_protocols import AdapterResult

if TYPE_CHECKING:
    from factflow_engine.config import BackpressureConfig
    from factflow_engine.resilience import BackpressureController, CircuitBreaker, CircuitEvent

FEW_FORGOTTEN: Final = 64
"""Most names of evicted breakers that are kept, however few limits there are."""


class PermitWait(NamedTuple):
    """Calls of a stage that wait for permits of one controller.

    Attributes:
        reason: Name, limit and key of the permits.
        calls: Number of the calls.
        since_ns: Beginning of the longest wait, by the execution's clock.
    """

    reason: str
    calls: int
    since_ns: int


class StageLimit:
    """A stage's call within a limit.

    Attributes:
        limits: Controllers by key.
        key: Field of the message that selects the controller; None if there is one for all messages.
    """

    __slots__ = (
        "_call",
        "_clock",
        "_given_up",
        "_guard",
        "_key_path",
        "_leave_out",
        "_only",
        "_stage",
        "_troubled",
        "_waiting",
        "key",
        "limits",
    )

    def __init__(
        self,
        call: StageCall,
        section: BackpressureConfig,
        limits: KeyedLimits,
        *,
        stage: str,
        guard: BreakerGuard | None,
        is_shared: bool,
        leave_out: Callable[[int], None],
        clock: Clock,
    ) -> None:
        """Prepare.

        Args:
            call: The stage's call.
            section: The stage's section on its limit.
            limits: Controllers by key.
            stage: Name of the stage.
            guard: The stage's circuit breakers, if it has any.
            is_shared: True if other routes or stages have these limits: a breaker of this one does not change them.
            leave_out: Called with the nanoseconds that the running message has waited, for its route's own limit.
            clock: Clock of the execution.
        """
        self.limits = limits
        self.key = section.key
        self._call = call
        self._stage = stage
        self._guard = guard
        self._leave_out = leave_out
        self._clock = clock
        self._key_path = None if section.key is None else FieldPath(section.key)
        # Entered for as long as the execution lasts, so that a call finds it without a look-up.
        self._only = limits.enter("") if section.key is None else None
        # By identity, because contexts are equal if their messages are.
        self._waiting: dict[int, tuple[MessageContext, str, int]] = {}
        # Of calls that were cancelled just now: whoever gives their messages back asks at once.
        self._given_up: dict[int, tuple[MessageContext, str, int]] = {}
        self._troubled: set[str] = set()  # names of breakers that refuse calls, or are on trial
        if guard is not None and not is_shared and guard.key in {None, section.key}:
            guard.events.subscribe(self._heard)

    async def call(self, context: MessageContext) -> AdapterResult | None:
        """Wait for a permit, and call.

        Raises:
            CircuitOpenError: The stage's breaker refuses the call; nothing was waited for, or nothing was learnt.

        Cancellation: gives up the wait, or the permit, and teaches the controller nothing.
        """
        breaker = None if self._guard is None else self._guard.refuse_while_open(context)
        key, controller = "", self._only
        if controller is None:
            assert self._key_path is not None
            key = _key_of(self._key_path, context)
            controller = self.limits.enter(key)
        try:
            if self._given_up:
                self._given_up.clear()
            if breaker is not None and breaker.name in self._troubled:
                self._agree(breaker, controller)
            # No checkpoint if a permit is free: the adapter is called as if there were no limit.
            permit = controller.acquire_nowait() or await self._wait(controller, key, context)
            try:
                result = await self._call(context)
            except BaseException as error:
                controller.end(permit, error)
                raise
            controller.end(permit, None)
            return result
        finally:
            if self._only is None:
                self.limits.leave(key)

    async def _wait(self, controller: BackpressureController, key: str, context: MessageContext) -> LimitPermit:
        self._waiting[id(context)] = context, key, self._clock.monotonic_ns()
        try:
            return await controller.wait()
        except BaseException:
            self._given_up[id(context)] = self._waiting[id(context)]
            raise
        finally:
            _, _, since_ns = self._waiting.pop(id(context))
            waited_ns = self._clock.monotonic_ns() - since_ns
            self._leave_out(waited_ns)
            context.wait_for_permit(waited_ns)

    def wait_of(self, context: MessageContext) -> tuple[str, int] | None:
        """Return the reason why a call waits for a permit, and since when; None if it does not."""
        found = self._waiting.get(id(context))
        return None if found is None else (self._reason(found[1]), found[2])

    def interruption_of(self, context: MessageContext) -> tuple[str, int] | None:
        """Return the reason why a call that was cancelled just now had waited, and since when; None if it had not."""
        found = self._given_up.pop(id(context), None)
        return None if found is None else (self._reason(found[1]), found[2])

    def waits(self) -> Iterator[PermitWait]:
        """Yield the waits for permits, by key."""
        calls = Counter(key for _, key, _ in self._waiting.values())
        for key, count in calls.items():
            since_ns = min(since_ns for _, of, since_ns in self._waiting.values() if of == key)
            yield PermitWait(self._reason(key), count, since_ns)

    def _reason(self, key: str) -> str:
        controller = self.limits.known(key)
        limit = "" if controller is None else f"limit {controller.limit:,}"
        group = "" if self.limits.name.endswith(f"/{self._stage}") else self.limits.name
        parts = [part for part in (group, limit, f"key {key}" if key else "") if part]
        return f"{self._stage} ({', '.join(parts)})"

    # -- the stage's circuit breaker ---------------------------------------------------------------------------------

    def _heard(self, event: CircuitEvent) -> None:
        if event.kind == "reset" or event.to_state in PERMITTING:
            if event.name in self._troubled:
                self._troubled.discard(event.name)
                for controller in self._controllers_of(event.name):
                    controller.restart(event.time_ns)
        elif event.to_state in REFUSING:
            self._note_trouble(event.name)
            for controller in self._controllers_of(event.name):
                controller.freeze()
        elif event.to_state == "half_open":
            assert self._guard is not None
            self._note_trouble(event.name)
            for controller in self._controllers_of(event.name):
                controller.cap(self._guard.trial_calls, event.time_ns)

    def _agree(self, breaker: CircuitBreaker, controller: BackpressureController) -> None:
        """Make up for events that a call's controller has missed: one of the two was evicted, and made anew."""
        assert self._guard is not None
        if breaker.state in PERMITTING:
            self._troubled.discard(breaker.name)
            for frozen in self._controllers_of(breaker.name):
                frozen.restart(self._clock.monotonic_ns())
        elif not controller.is_frozen:
            controller.freeze()
            if breaker.is_half_open:
                controller.cap(self._guard.trial_calls, self._clock.monotonic_ns())

    def _note_trouble(self, breaker: str) -> None:
        troubled = self._troubled
        troubled.add(breaker)
        if len(troubled) > 2 * len(self.limits) + FEW_FORGOTTEN:  # of breakers and controllers that were evicted
            troubled.intersection_update([name for name in troubled if self._controllers_of(name)])

    def _controllers_of(self, breaker: str) -> list[BackpressureController]:
        """Return the controllers of the calls that a breaker is asked about."""
        assert self._guard is not None
        key = self._guard.key_of(breaker)
        if key is None:
            return [controller for _, controller in self.limits.items()]
        known = self.limits.known(key)
        return [] if known is None else [known]


def _key_of(path: FieldPath, context: MessageContext) -> str:
    value = path.value(context.payload)
    return "" if value is None else bounded_key(str(value))
