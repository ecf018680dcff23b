"""Watchdog: reports what does not move in an execution, and what it waits for.

Every `processor.stall_seconds` it compares counters: of each route the messages taken, tried, ended and emitted, and
those that others have settled of its queue; of an external provider those accepted, acknowledged and answered; and
whether a stage is finishing. Where messages wait or are held and no counter has changed for that long, they are
reported: once in the log until something moves, and in `statistics().stalled` meanwhile. A route whose messages wait for
a time (another attempt, a breaker's next trial) is reported when none of them has ended for that long, whatever was
tried meanwhile. A route that is paused by hand is left out.

Messages pay nothing for it: the counters exist anyway. It keeps no virtual clock awake, either: without messages it
sleeps until one has to wait (`Loop.wait_stirred`), and without movement it checks less and less often, and finally not
at all, until a message has to wait again.

Kept separate from `lifecycle` because the cause may be inside, between routes, or outside, at the provider.
"""

import logging
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple

import trio

from factflow_engine.runtime.execution.shutdown import Shutdown
from factflow_engine.runtime.hop.endpoints import Outbound
from factflow_engine.runtime.hop.loop import Loop
from factflow_engine.runtime.hop.route_state import RouteState
from factflow_engine.runtime.report import HeldMessage, Holder
from factflow_engine.runtime.stages.stage import Stage
from factflow_engine.runtime.transport.base import Transport

logger = logging.getLogger("factflow_engine.runtime")

SETTLING: Final = 1 / 16
"""Delay of the first check after a wake-up, in periods: the message that caused the wake-up has moved on by then."""

LONGEST: Final = 2**10
"""Number of periods without movement after which it no longer checks by time."""

MOST_WAITS: Final = 3
"""Most waits of a route that one report lists: there may be one for each key of a circuit breaker."""


class Stalled(NamedTuple):
    """A stage or queue that does not move.

    Attributes:
        where: The place that was counted: a route, a finishing stage, or a part of the transport.
        what: Distinguishes it from other stalls at the same place.
        text: Description for people.
        is_waiting: True if the engine waits for something that may merely take long, such as an adapter.
    """

    where: object
    what: object
    text: str
    is_waiting: bool = False


class Ends(NamedTuple):
    """Place of the ended messages of a route whose messages wait for a time."""

    route: RouteState


class Holding(NamedTuple):
    """Key of a message at a stage."""

    stage: str
    message_id: str


class Watchdog:
    """The watchdog of one execution.

    Attributes:
        seconds: Time without movement after which it reports.
    """

    def __init__(
        self,
        execution_id: str,
        routes: Sequence[RouteState],
        loop: Loop,
        transport: Transport,
        shutdown: Shutdown,
        *,
        seconds: float,
        redacted: Callable[[str], str],
    ) -> None:
        self.seconds: Final = seconds
        self._execution_id = execution_id
        self._routes = routes
        self._loop = loop
        self._transport = transport
        self._shutdown = shutdown
        self._redacted = redacted
        # By place: the counters, and the time since which they are unchanged.
        self._seen: dict[object, tuple[object, float]] = {}
        self._stalled: tuple[Stalled, ...] = ()
        self._told: set[tuple[object, object]] = set()  # places and messages that were reported, while they are held
        self._ending = False  # somebody waits for the end

    @property
    def stalled(self) -> tuple[str, ...]:
        """Texts on what does not move, and what it waits for, as of the last check; without what has moved since."""
        if not self._stalled:
            return ()
        counts = self._counts()
        return tuple(one.text for one in self._stalled if counts.get(one.where) == self._seen[one.where][0])

    def start(self, nursery: trio.Nursery) -> None:
        """Check from now on, until the nursery is cancelled."""
        nursery.start_soon(self._watch)

    def expect_end(self) -> None:
        """Check also without messages, because somebody waits for the end: the provider or a stage may be the cause."""
        self._ending = True
        self._loop.progress.stir()

    @trio.lowlevel.enable_ki_protection
    async def _watch(self) -> None:
        # Until the next check; if that is longer than a period, until the loop is stirred.
        pause = math.inf
        try:
            while True:
                with trio.move_on_after(pause) as rest:
                    if pause <= self.seconds:
                        await trio.sleep_forever()
                    elif self._seen or not self._holds_something:  # else messages were faster than this task
                        await self._loop.progress.wait_stirred()
                if not rest.cancelled_caught:
                    await trio.sleep(self.seconds * SETTLING)
                    self._count()
                    pause = self.seconds
                elif self._count():
                    self._look()
                    pause = self.seconds
                else:
                    self._look()
                    pause = 2 * pause if self._holds_something and pause < LONGEST * self.seconds else math.inf
        finally:
            self._stalled = ()  # an execution that has ended is not stuck

    # -- counters ----------------------------------------------------------------------------------------------------

    @property
    def _holds_something(self) -> bool:
        return self._ending or not self._loop.progress.is_idle or not self._transport.is_empty

    def _counts(self) -> dict[object, object]:
        """Return the counters by place."""
        counts: dict[object, object] = {}
        turns = self._loop.workers.turns()
        for route in self._routes:
            counters, inbound = route.counters, route.inbound
            ended = (counters.completed, counters.filtered, counters.dead_lettered, counters.failed)
            counts[route] = (
                counters.received,
                ended,
                counters.emitted,
                turns.get(route),
                inbound.settled,
                inbound.redelivered,
            )
            # Those that waited at the last look may be in their adapters just now.
            waits = route.waiting or (counters.in_flight and Ends(route) in self._seen)
            if waits and not route.pauses:
                counts[Ends(route)] = ended
        if self._shutdown.speaker is not None:
            counts[self._shutdown.speaker] = True
        counts.update(self._transport.counts())
        return counts

    def _count(self) -> bool:
        """Store counters and times, and forget reports on what has moved; return True if anything has moved."""
        now, before, counts = trio.current_time(), self._seen, self._counts()
        self._seen = {}
        for where, count in counts.items():
            known = before.get(where)
            self._seen[where] = known if known is not None and known[0] == count else (count, now)
        self._stalled = tuple(one for one in self._stalled if self._seen.get(one.where) is before.get(one.where))
        return self._seen != before

    # -- lack of movement ------------------------------------------------------------------------------------------

    def _look(self) -> None:
        said = {(one.where, one.what) for one in self._stalled} | self._told
        self._stalled = tuple(one._replace(text=self._redacted(one.text)) for one in self._found())
        new = [one.text for one in self._stalled if (one.where, one.what) not in said]
        # A held message is reported once, though its stage emits something now and then.
        held = {message.message_id for message in self._loop.held()} if said else set()
        self._told = {(where, what) for where, what in said if isinstance(what, Holding) and what.message_id in held}
        self._told |= {(one.where, one.what) for one in self._stalled if isinstance(one.what, Holding)}
        if not new:
            return
        if any(one.is_waiting for one in self._stalled):  # the others may be behind it
            logger.warning("execution %s waits: %s", self._execution_id, "; ".join(new))
        else:
            logger.error("execution %s does not move: %s", self._execution_id, "; ".join(new))

    def _found(self) -> Iterator[Stalled]:
        # A period is never quite as long as the clock's numbers say.
        long_ago = trio.current_time() - 0.99 * self.seconds
        still = {where for where, (_, since) in self._seen.items() if since <= long_ago}
        held: dict[str, list[HeldMessage]] = {}
        if any(route in still and not route.is_idle for route in self._routes):
            for message in self._loop.held():
                held.setdefault(message.route, []).append(message)
        for route in self._routes:
            if route in still and not route.pauses:
                yield from self._in_route(route, trio.current_time() - self._seen[route][1], held.get(route.id, ()))
        for where in still:
            if isinstance(where, Ends):
                yield from self._retrying(where, trio.current_time() - self._seen[where][1])
            elif isinstance(where, Stage):
                seconds = trio.current_time() - self._seen[where][1]
                text = f"{_place(where.info.route, where.info.stage)} has been finishing for {seconds:.0f} s"
                yield Stalled(where, "finish", text, is_waiting=True)
        for stuck in self._transport.stuck(still):
            yield Stalled(stuck.where, "transport", stuck.text, is_waiting=stuck.is_waiting)

    def _in_route(self, route: RouteState, seconds: float, held: Sequence[HeldMessage]) -> Iterator[Stalled]:
        """Yield what a route without movement waits for; nothing if it has no messages, or waits for a time."""
        waiting = route.inbound.waiting + len(route.children) + len(route.drivers)
        full = (
            {outbound.queue: self._paused(outbound) for outbound in route.outbounds if outbound.is_full}
            if waiting
            else {}
        )
        if full:
            rooms = ", ".join(f"{queue!r}{why}" for queue, why in full.items())
            text = f"route {route.id!r} holds {waiting} messages and waits for room in {rooms}"
            yield Stalled(route, tuple(full), text, is_waiting=any(full.values()))
        busy: dict[str, tuple[float, str]] = {}
        if not (full and route.drivers):  # they count as adapters, and wait for that room
            for one in held:
                if one.by is Holder.ADAPTER:
                    busy[one.stage] = max(busy.get(one.stage, (seconds, one.message_id)), (one.seconds, one.message_id))
        # Another route may have the permits, and says so; here nothing is stuck.
        permits = {one.stage: one for one in held if one.by is Holder.STAGE_PERMIT and one.stage not in busy}
        for stage, one in permits.items():
            text = f"{_place(route.id, stage)} waits for a permit of {one.reason}"
            yield Stalled(route, (Holder.STAGE_PERMIT, stage), text, is_waiting=True)
        parked = route.inbound.waiting - route.inbound.ready
        behind = f", {parked} of them behind one of their key" if parked else ""
        more = f", and {waiting} wait{behind}" if waiting else ""
        for stage, (longest, message_id) in busy.items():
            text = f"{_place(route.id, stage)} has had a message for {longest:.0f} s{more}"
            yield Stalled(route, Holding(stage, message_id), text, is_waiting=True)
        for (stage, by), count in route.waiting.asking.items():
            what = "a circuit breaker that does not say when it will permit calls"
            if by is Holder.DEAD_LETTER_QUEUE and route.dead_letters is not None:
                what = f"room in the dead-letter queue {route.dead_letters.queue!r}"
            yield Stalled(route, (by, stage), f"{_place(route.id, stage)}: {count} messages wait for {what}")
        if route.inbound.outside:
            text = f"a consumer from outside holds {route.inbound.outside} messages of {route.queue!r}"
            yield Stalled(route, "outside", f"{_place(route.id)}: {text}", is_waiting=True)
        if route.inbound.waiting and not (full or busy or permits or route.waiting or route.carrier.intake_closed):
            text = f"route {route.id!r} holds {waiting} messages{behind} and waits for nothing that is known"
            yield Stalled(route, "unknown", text)

    def _retrying(self, where: Ends, seconds: float) -> Iterator[Stalled]:
        """Yield what the messages of a route wait for, if none of them has ended for so long."""
        waits = [wait for wait in self._loop.waits(where.route) if wait.next_seconds is not None]
        if waits:
            text = "; ".join(map(str, waits[:MOST_WAITS]))
            if len(waits) > MOST_WAITS:
                text += f"; and {len(waits) - MOST_WAITS:,} more waits"
            yield Stalled(where, "ends", f"no message has ended for {seconds:.0f} s at {text}", is_waiting=True)
        else:  # they are tried just now
            yield from (one for one in self._stalled if one.where == where)

    def _paused(self, outbound: Outbound) -> str:
        """Return the reason why nobody reads a queue, if its route is paused by hand; otherwise empty."""
        readers = [route for route in self._routes if route.pauses and route.inbound in outbound.channels]
        return "".join(f" (route {route.id!r} is paused)" for route in readers)


def _place(route: str, stage: str = "") -> str:
    return f"route {route!r}, stage {stage!r}" if stage else f"route {route!r}"
