"""State of one route for the loop: waiting messages, permits, outbounds, and counters.

Plain state with the predicates that the loop evaluates; nothing here awaits. Kept separate from the loop so that each
rule about running ("has work", "has a permit", "has room") is in one place.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from factflow_engine.conditions import RouteTable
from factflow_engine.frames import Frame
from factflow_engine.native import Carrier, Children, Counters, LoopWatch, Worker
from factflow_engine.resilience.retry import DeferralPolicy, RetryPolicy
from factflow_engine.runtime.hop.delays import Delays
from factflow_engine.runtime.hop.drivers import Drivers
from factflow_engine.runtime.hop.endpoints import Inbound, Outbound
from factflow_engine.runtime.hop.work import Child
from factflow_engine.runtime.report import Outcome, RouteStatistics
from factflow_engine.runtime.stages.answers import Roots
from factflow_engine.runtime.stages.stage import Stage
from factflow_engine.seams import Clock
from factflow_protocols import AdapterResult

if TYPE_CHECKING:
    from factflow_engine.config import RouteConfig
    from factflow_engine.resilience import BackpressureController
    from factflow_engine.runtime.hop.lineage import RouteRecording
    from factflow_engine.runtime.hop.workers import Workers

CIRCUIT_OPEN: Final = "circuit_open"
"""Pause reason of a route whose work all waits for circuit breakers; the engine's own, and never in
`RouteState.pauses`."""

LOOKED_AT: Final = 32
"""Most children among which a driver looks for one that it may carry."""

TURN: Final = 64
"""Most messages that a route may take in one turn."""


class RouteState:
    """One route of one execution, as the loop carries it.

    Attributes:
        id: Route id.
        settings: The route's section of the configuration, frozen; read where no attribute here is derived from it.
        name: Route name for people, without secrets.
        queue: Name of its inbound queue for people (see `Inbound`).
        inbound: Source of its messages.
        children: Messages that have begun and wait for a worker; they go before the inbound queue.
        waiting: Messages that wait for a time, a breaker or a dead-letter queue; at most about as many as the inbound
        queue may hold. While any wait for a breaker that refuses every message of the route, nothing is taken from the
        inbound queue (`carrier.circuit_open`); messages that have begun go on.
        retry: Policy for retries.
        deferral: Policy for deferrals by adapters.
        dead_letters: Outbound of messages that failed for good; None without one.
        stages: Stages, in order.
        outbounds: Outbounds, in order.
        table: The outbounds compiled by their conditions, if there are several; it then replaces the individual
        conditions.
        pauses: Reasons of a pause, given by callers.
        carrier: Carries messages through the stages natively. It has the number of permits in use, `busy`, never below
        0, and at most `limit`, the number of permits, except after that was lowered; the number of those whose drivers
        wait for the next element, `pulling`; and `intake_closed`, True if nothing more is taken from the inbound queue.
        counters: Counters of its messages.
        notify: Lets the workers check the route, which may have become runnable; `notify.listed` is True if it is in the
        loop's ready list, at most once.
        driving: Workers that pull an emitted iterator, or carry a child of one meanwhile. Each holds a permit.
        drivers: Tasks of drivers that wait for room.
        has_deadlines: True if the adaptive limit may change by time alone.
        roots: Deliveries of the messages that stages emit, if they are needed.
        limiter: Adaptive limit of the messages in adapters; None if only `carrier.limit` limits them.
        lineage: Recording of what happens to its messages, if there is one.
        shares_limit: True if others have the same one. Then a turn is one message, so that each gets its share.
        turn: Most messages of one turn.
    """

    __slots__ = (
        "_note_end",
        "carrier",
        "children",
        "counters",
        "dead_letters",
        "deferral",
        "drivers",
        "driving",
        "has_deadlines",
        "id",
        "inbound",
        "limiter",
        "lineage",
        "name",
        "notify",
        "outbounds",
        "pauses",
        "queue",
        "retry",
        "roots",
        "settings",
        "shares_limit",
        "stages",
        "table",
        "turn",
        "waiting",
    )  # fmt: skip

    def __init__(
        self,
        id: str,  # noqa: A002 - the word of the configuration
        settings: RouteConfig,
        *,
        name: str,
        inbound: Inbound,
        stages: Sequence[Stage],
        outbounds: Sequence[Outbound],
        table: RouteTable[int] | None,
        dead_letters: Outbound | None,
        workers: Workers,
        clock: Clock,
        watch: LoopWatch,
        roots: Roots | None = None,
        limiter: BackpressureController | None = None,
        shares_limit: bool = False,
        lineage: RouteRecording | None = None,
    ) -> None:
        self.id = id
        self.settings = settings
        self.name = name
        self.queue = inbound.queue
        self.inbound = inbound.channel
        self.children: Final = Children()
        self.stages = tuple(stages)
        self.outbounds = tuple(outbounds)
        self.table = table
        self.retry = RetryPolicy.of(settings.error_handling)
        self.deferral = DeferralPolicy.of(settings.error_handling)
        self.dead_letters = dead_letters
        self.waiting = Delays()
        self.pauses: set[str] = set()
        self.driving: set[Worker] = set()
        self.drivers = Drivers()
        self.notify: Final = workers.notifier(self)
        self.limiter = limiter
        self.has_deadlines = limiter is not None and limiter.has_deadlines
        self.lineage = lineage
        self.shares_limit = shares_limit
        self.turn = 1 if shares_limit else TURN
        self.counters = Counters()
        self.roots = roots
        self._note_end: Callable[[Frame], None] = _nothing if inbound.journal is None else inbound.journal.note
        self.carrier = Carrier(
            counters=self.counters,
            inbound=inbound.channel,
            stages=self.stages,
            outbounds=self.outbounds,
            table=table,
            first_only=settings.outbound_mode == "first",
            unrouted_fails=settings.unrouted != "filter",
            pauses=self.pauses,
            drivers=self.drivers,
            children=self.children,
            limit=permits(settings),
            now=clock.monotonic_ns,
            watch=watch,
            forward=AdapterResult.forward(),
            journal=inbound.journal,
            risen=self.notify,
            limiter=limiter,
            lineage=None if lineage is None else lineage.native,
        )

    @property
    def has_work(self) -> bool:
        """True if a message waits that can be taken."""
        return bool(self.children or self.inbound.ready)

    @property
    def is_idle(self) -> bool:
        """True if nothing is waiting or in flight, and no outside consumer has a message of its queue."""
        counters = self.counters
        return not (self.inbound.waiting or self.inbound.outside or counters.in_flight or counters.retrying)

    @property
    def may_go_on(self) -> bool:
        """True if a driver may carry a child: the route is not paused, has room, and its adaptive limit permits it."""
        if self.pauses or self.room(1) <= 0:
            return False
        if self.carrier.is_permitted:
            return True
        self.watch_limit()
        return False

    @property
    def may_emit(self) -> bool:
        """True if a driver may pull a child: it may carry it, and the inbound queue could hold those that wait."""
        return not self.lacks_place and self.may_go_on

    @property
    def lacks_place(self) -> bool:
        """True if as many messages wait for a retry or for publishing as the inbound queue may hold, or more."""
        return self.counters.retrying >= self.inbound.capacity

    def child_for_driver(self, index: int) -> Child | None:
        """Remove and return the child that has waited longest, for a driver to carry; None if there is none.

        Args:
            index: The stage of the driver, which gets only a child of a later stage: it may have to drive such a
            child's emission, too, and so on, no deeper than the route has stages.
        """
        # Retried children may be many; children behind them wait as they do.
        return self.children.take_later(index, LOOKED_AT)

    @property
    def waits_for_circuits(self) -> bool:
        """True if the route takes nothing more because of circuit breakers."""
        waiting = self.waiting
        return waiting.stopping > 0 or len(waiting) == waiting.circuits >= self.inbound.capacity

    def takable(self) -> int:
        """Return the number of messages that one turn may take now: 0 without work, permit or room, or if paused."""
        turns = self.carrier.takable(self.turn)
        if turns < 0:
            self.watch_full()
        elif turns == 0 and self.shares_limit and not self.carrier.is_permitted:
            # Without others, whoever gives a permit back takes the next message or has the route checked.
            self.watch_limit()
        return max(turns, 0)

    def watch_limit(self) -> None:
        """Have `notify` called when the adaptive limit has a permit again."""
        if self.limiter is not None:
            self.limiter.watch(self.notify)

    def room(self, own: int) -> int:
        """Return how many more messages every outbound can take besides those in adapters, except `own` of them.

        Messages in adapters reserve room: when one ends, the route is checked again. Waiting drivers reserve none. An
        outbound without a consumer never blocks a route: publishing to it when full fails the message. If there is no
        room, `notify` will be called when there is.
        """
        room = self.carrier.room(own)
        if room <= 0:
            self.watch_full()
        return room

    def waits_for(self, channels: frozenset[int]) -> bool:
        """True if every message that has begun here, if any, waits only for room in these channels (by identity)."""
        if self.pauses or self.counters.retrying or self.carrier.busy > len(self.drivers):
            return False
        if not self.counters.in_flight:
            return True
        full = [
            id(channel)
            for outbound in self.outbounds
            for channel in outbound.channels
            if channel.is_full and channel.listeners
        ]
        return bool(full) and channels.issuperset(full)

    @property
    def drives_what_it_waits_for(self) -> bool:
        """True if all messages that wait for circuit breakers wait for trial calls of drivers that wait for room."""
        return self.drivers.hold_all(self.waiting.circuit_names(len(self.drivers) * len(self.stages)))

    @property
    def drives_what_stops_it(self) -> bool:
        """True if the breakers that refuse every message it could take wait for such trial calls."""
        guards = (stage.guard for stage in self.stages if stage.guard is not None)
        names = [guard.name for guard in guards if self.waiting.is_stopped_by(guard.name)]
        return bool(names) and self.drivers.hold_all(names)

    @property
    def has_breakers(self) -> bool:
        """True if messages of it may wait for circuit breakers of its own."""
        return any(stage.guard is not None for stage in self.stages)

    def watch_full(self) -> None:
        """Have `notify` called when an outbound that is full now has room."""
        # All of them, not only the first: in a cycle, the first may get room only after another one did.
        for outbound in self.outbounds:
            for channel in outbound.channels:
                if channel.is_full and channel.listeners:
                    channel.watch(self.notify)

    def post_letter(self, *, exceeds: bool) -> bool:
        """Publish the first waiting dead letter (there must be one), or fail its message if its queue has no reader.

        Args:
            exceeds: True to allow its queue to exceed its capacity.

        Returns:
            True if it was published: False if there is no room, or it raised. It then waits on, and is given back when
            its route ends.
        """
        letter = self.waiting.letters[0]
        assert letter.give_up is not None
        self.counters.retrying -= 1
        done = False
        try:
            done = letter.give_up(exceeds=exceeds)
        finally:
            if done:
                self.waiting.pop_letter()
                self.notify()
            else:
                self.counters.retrying += 1
        return done

    def end(self, frame: Frame, outcome: Outcome) -> None:
        """Count the end of a message."""
        if outcome is Outcome.COMPLETED:
            self.counters.completed += 1
        elif outcome is Outcome.FILTERED:
            self.counters.filtered += 1
        elif outcome is Outcome.FAILED:
            self.counters.failed += 1
        else:
            self.counters.dead_lettered += 1
        self._note_end(frame)
        if self.inbound.ordered:
            self.inbound.end(frame)

    @property
    def limit(self) -> int:
        """Most messages that may be in flight now."""
        limiter, most = self.limiter, self.carrier.limit
        return most if limiter is None or limiter.is_monitor_only else min(most, limiter.limit)

    def statistics(self) -> RouteStatistics:
        """Return the counters."""
        return RouteStatistics(
            name=self.name,
            waiting=self.inbound.waiting,
            in_flight=self.counters.in_flight,
            retrying=self.counters.retrying,
            limit=self.limit,
            received=self.counters.received,
            emitted=self.counters.emitted,
            skipped=self.counters.skipped,
            completed=self.counters.completed,
            filtered=self.counters.filtered,
            dead_lettered=self.counters.dead_lettered,
            failed=self.counters.failed,
            redelivered=self.inbound.redelivered,
            pauses=tuple(sorted({*self.pauses, *([CIRCUIT_OPEN] if self.waits_for_circuits else ())})),
        )


def permits(settings: RouteConfig) -> int:
    """Return the number of messages that may be in flight at any time, whatever an adaptive limit says."""
    most, section = settings.inbound.concurrency, settings.backpressure
    return most if section is None or section.monitor_only else min(most, section.max_concurrency)


def _nothing(_: Frame) -> None:
    """Note nothing: the end of a message without a journal concerns no other part."""
