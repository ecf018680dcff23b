"""Settlement of a message's attempt: it is counted and its parent notified, or it waits, or it is given back.

Kept separate from the loop because nothing here awaits: an attempt ends in one step, between two of trio's.
"""

import math
from collections.abc import Callable
from functools import lru_cache, partial
from itertools import count
from typing import Final

import trio

from factflow_engine.error_texts import bounded, class_name, error_text
from factflow_engine.frames import Frame
from factflow_engine.native import MessageContext, Worker
from factflow_engine.queues.dead_letters import write_dead_letter
from factflow_engine.runtime.hop.dead_letters import DeadLetters
from factflow_engine.runtime.hop.delays import GiveUp, Waiting
from factflow_engine.runtime.hop.dispositions import CircuitWait, Deferral, Dispositions, End, Retry
from factflow_engine.runtime.hop.errors import UnroutedError
from factflow_engine.runtime.hop.held import waiting_of
from factflow_engine.runtime.hop.lineage import note_wait
from factflow_engine.runtime.hop.route_state import RouteState
from factflow_engine.runtime.hop.timers import Timers
from factflow_engine.runtime.hop.work import DETACHED, Child, Parent
from factflow_engine.runtime.report import HeldMessage, Holder, Outcome
from factflow_engine.runtime.stages.failure_place import place_of
from factflow_engine.runtime.stages.stage import Stage
from factflow_engine.runtime.stages.timeouts import DeadlineExceededError
from factflow_engine.seams import Seams
from factflow_protocols import CircuitOpenError, StageStatus

OnFailure = Callable[[RouteState, Stage | None, Frame, bytes | None, Exception], None]

MOST_REASON: Final = 200
"""Most characters of an error that are kept while its message waits."""

MOST_REASONS: Final = 1_000
"""Most reasons of waits that are kept to compare others with."""


class Settlement:
    """Ends the attempts of one execution's messages.

    Attributes:
        given_back: Messages that were interrupted, with the time that they had been held.
    """

    def __init__(
        self,
        timers: Timers,
        dead_letters: DeadLetters,
        *,
        seams: Seams,
        on_failure: OnFailure,
        redacted: Callable[[str], str],
        config_hash: str,
    ) -> None:
        self.given_back: Final[list[HeldMessage]] = []
        self._seams = seams
        self._now = seams.clock.monotonic_ns
        self._on_failure = on_failure
        self._dispositions = Dispositions(seams)
        self._timers = timers
        self._dead_letters = dead_letters
        self._redacted = redacted
        # Cached: of many messages that wait, most wait for the same reason, which is then examined and stored once.
        self._shown = lru_cache(MOST_REASONS)(lambda reason: bounded(redacted(reason), MOST_REASON))
        self._config_hash = config_hash
        self._serial = count()

    # -- ends ------------------------------------------------------------------------------------------------------

    def end(
        self,
        route: RouteState,
        frame: Frame,
        parent: Parent | None,
        outcome: Outcome,
        *,
        emitted: int = 0,
        emitted_none: bool = False,
        error: Exception | None = None,
    ) -> None:
        """Count an outcome and notify the parent; counting acknowledges a message from the queue.

        Args:
            route: Route of the message.
            frame: The message.
            parent: Its parent, if it has one.
            outcome: The outcome.
            emitted: Number of its children, for its record.
            emitted_none: True if a stage emitted, and emitted no message; likewise.
            error: The error that it has failed with, likewise.
        """
        route.end(frame, outcome)
        if route.lineage is not None:
            route.lineage.ended(frame, outcome, emitted, error, emitted_none=emitted_none)
        if parent is not None:
            self.end_child(route, parent)

    def end_child(self, route: RouteState, parent: Parent) -> None:
        """Notify the parent that one of its children has ended, and was counted."""
        if parent is not DETACHED:
            parent.open -= 1
            self.end_parent(route, parent)

    def end_parent(self, route: RouteState, parent: Parent) -> None:
        """End the parent if nothing of it is left to do."""
        if parent.open or not parent.exhausted:
            return
        above = parent.child.parent if parent.child is not None else None
        if parent.interrupted:
            self.give_back(route, parent.frame, above)
        elif parent.error is not None:
            error, stage = parent.error
            parent.error = None  # its traceback holds the parent: a cycle of references
            self._fail(route, stage, parent.frame, parent.frame.payload, parent.child, error)
        else:
            count = parent.emitted
            self.end(route, parent.frame, above, Outcome.COMPLETED, emitted=count, emitted_none=not count)

    # -- failures --------------------------------------------------------------------------------------------------

    def fail(self, route: RouteState, context: MessageContext, child: Child | None, error: Exception) -> None:
        """End an attempt that raised, in a stage or in publishing.

        An instruction to the engine is executed; otherwise the message is retried, dead-lettered or failed.
        """
        self._fail(route, context.stage_of, context.frame, context.payload, child, error, context)

    def refuse(self, route: RouteState, frame: Frame, error: Exception) -> None:
        """Fail a message that has not begun."""
        route.counters.received += 1
        self._fail(route, None, frame, frame.payload, None, error)

    def _fail(
        self,
        route: RouteState,
        stage: Stage | None,
        frame: Frame,
        payload: bytes,
        child: Child | None,
        error: Exception,
        context: MessageContext | None = None,
    ) -> None:
        again = Child(frame, 0, None) if child is None else child
        disposition = self._dispositions.of(route, stage, frame, again, error)
        if route.lineage is not None and context is not None:
            # An attempt that is put off is not over: it is made again, and its record replaced.
            is_over = isinstance(disposition, Retry | End)
            route.lineage.visited(context, StageStatus.FAILED if is_over else StageStatus.CANCELLED, error)
        match disposition:
            case Retry(seconds, reason):
                frame = frame.restamp(attempt=frame.attempt + 1)
                again = again.retried(frame, self._last_error(route, reason))
                self._wait(route, again, stage, seconds, reason=reason)
            case Deferral(seconds, reason, first_ns):
                _count_deferral(again, first_ns)
                again = again.retried(again.frame, self._last_error(route, reason))
                self._wait(route, again, stage, seconds, reason=reason)
            case CircuitWait() as wait:
                if wait.first_ns is not None:
                    _count_deferral(again, wait.first_ns)
                if again.last_error is None:  # an error of the adapter's own says more than a refusal
                    refusal = f"{CircuitOpenError.__name__}: {wait.circuit}"
                    again = again.retried(again.frame, self._last_error(route, refusal))
                self._wait_for_circuit(route, again, stage, wait)
            case End(error):
                if type(error) is DeadlineExceededError and again.last_error is not None:
                    error = DeadlineExceededError(error.seconds, again.last_error)
                self._end_failed(route, stage, frame, payload, again, error)

    def _last_error(self, route: RouteState, reason: str) -> str | None:
        """Return the description of an error to keep with its message; None on a route that has no use for it."""
        return None if route.settings.error_handling.deadline_seconds is None else self._shown(reason)

    def _end_failed(
        self, route: RouteState, stage: Stage | None, frame: Frame, payload: bytes, child: Child, error: Exception
    ) -> None:
        """End a message for good, as soon as its dead-letter queue has room for it."""
        give_up = partial(self._give_up, route, stage, frame, payload, child.parent, error)
        if not give_up(exceeds=False, is_behind=bool(route.waiting.letters)):
            queue = "" if route.dead_letters is None else route.dead_letters.queue
            self._wait(
                route, child, stage, math.inf, give_up=give_up, by=Holder.DEAD_LETTER_QUEUE, reason=queue, asks=True
            )
            self._dead_letters.serve(route)

    def _give_up(
        self,
        route: RouteState,
        stage: Stage | None,
        frame: Frame,
        payload: bytes,
        parent: Parent | None,
        error: Exception,
        *,
        exceeds: bool,
        is_behind: bool = False,
    ) -> bool:
        """End a message for good; return False, changing nothing, while its dead-letter queue has no room for it.

        Args:
            route: Route of the message.
            stage: Stage that it is at, if any.
            frame: The message.
            payload: Payload to record if it fails.
            parent: Its parent, if it has one.
            error: The error that it fails with.
            exceeds: True to allow the queue to exceed its capacity.
            is_behind: True if other letters of the route wait for that room: they come first.
        """
        letters = route.dead_letters
        # A letter that waited for room in a queue without a consumer would wait for ever.
        wanted = letters is not None and not any(
            channel.is_full and not channel.listeners for channel in letters.channels
        )
        if letters is None or not wanted or (type(error) is UnroutedError and route.settings.unrouted == "fail"):
            try:
                self._on_failure(route, stage, frame, payload, error)
            finally:  # whatever is wrong with the record, the message has failed
                self.end(route, frame, parent, Outcome.FAILED, error=error)
            return True
        if not exceeds and (is_behind or any(channel.is_full for channel in letters.channels)):
            return False
        letter = write_dead_letter(
            frame,
            route=route.id,
            stage=None if stage is None else stage.info.stage,
            queue=route.queue if parent is None else None,
            error_type=class_name(error),
            error=self._redacted(error_text(error)),
            place=place_of(error),
            time_ns=self._seams.clock.wall_ns(),
            config_hash=self._config_hash,
            renames=letters.deduplicates,
        )
        for channel in letters.channels:
            channel.append(letter)
        self.end(route, frame, parent, Outcome.DEAD_LETTERED, error=error)
        return True

    # -- waiting ---------------------------------------------------------------------------------------------------

    def _wait(
        self,
        route: RouteState,
        child: Child,
        stage: Stage | None,
        seconds: float,
        *,
        give_up: GiveUp | None = None,
        by: Holder = Holder.RETRY,
        reason: str = "",
        circuit: str | None = None,
        stops: bool = False,
        asks: bool = False,
    ) -> None:
        due = trio.current_time() + seconds
        route.counters.retrying += 1
        route.waiting.add(
            Waiting(
                due=due,
                serial=next(self._serial),
                child=child,
                stage="" if stage is None else stage.info.stage,
                since_ns=self._now(),
                give_up=give_up,
                by=by,
                reason=self._shown(reason),
                circuit=circuit,
                stops=stops,
                asks=asks,
            )
        )
        if stops:
            route.carrier.circuit_open = True
        if give_up is None:
            self._set_timer(route, due)

    def _wait_for_circuit(self, route: RouteState, child: Child, stage: Stage | None, wait: CircuitWait) -> None:
        """Wait for a breaker; if it refuses every message that the route could take, nothing is taken meanwhile."""
        self._wait(
            route,
            child,
            stage,
            wait.seconds,
            by=Holder.CIRCUIT_OPEN,
            reason=wait.circuit,
            circuit=wait.circuit,
            stops=wait.stops,
            asks=wait.asks,
        )

    def _set_timer(self, route: RouteState, due: float) -> None:
        self._timers.set(route, "", due, partial(self._release, route))

    def _release(self, route: RouteState, now: float) -> None:
        """Release messages that are due for another attempt."""
        try:
            while (waiting := route.waiting.pop_due(now)) is not None:
                self._begin_again(route, waiting)
            route.notify()
        finally:
            self._set_timer(route, route.waiting.due)

    def release_circuit(self, route: RouteState, name: str, most: int | None = None) -> None:
        """Release messages that wait for a circuit breaker, in order of arrival.

        Args:
            route: Route of the messages.
            name: Name of the breaker, which permits calls again.
            most: Most messages to release; by default all that wait now.
        """
        released = 0
        while (most is None or released < most) and (waiting := route.waiting.pop_circuit(name)) is not None:
            self._begin_again(route, waiting)
            released += 1
        if released:
            route.notify()

    def _begin_again(self, route: RouteState, waiting: Waiting) -> None:
        route.counters.retrying -= 1
        route.carrier.circuit_open = route.waiting.stopping > 0
        now_ns = self._now()
        if route.lineage is not None:
            note_wait(waiting.child, waiting.by, now_ns - waiting.since_ns)
        waiting.child.since_ns = now_ns
        route.children.append(waiting.child)

    # -- interruption ----------------------------------------------------------------------------------------------

    def interrupt(self, worker: Worker, route: RouteState, context: MessageContext, parent: Parent | None) -> None:
        """Record the interrupted message, and give it back."""
        self.note(worker, route, context)
        if route.lineage is not None:
            route.lineage.visited(context, StageStatus.CANCELLED)
        self.give_back(route, context.frame, parent)

    def note(self, worker: Worker, route: RouteState, context: MessageContext) -> None:
        """Record the interrupted message and its stage."""
        limit = route.stages[context.index].limit if context.index < len(route.stages) else None
        wait = None if limit is None else limit.interruption_of(context)
        self.given_back.append(
            HeldMessage(
                route=route.id,
                stage=context.stage,
                message_id=context.message_id,
                seconds=(self._now() - (worker.since_ns if wait is None else wait[1])) / 1e9,
                by=Holder.ADAPTER if wait is None else Holder.STAGE_PERMIT,
                reason="" if wait is None else wait[0],
            )
        )

    def give_back(self, route: RouteState, frame: Frame, parent: Parent | None) -> None:
        """Undo the start of a message: give it back to its queue, or give back its parent with it."""
        route.counters.received -= 1
        if parent is None:
            route.inbound.give_back(frame)
        elif parent is not DETACHED:
            parent.open -= 1
            parent.interrupted = True
            self.end_parent(route, parent)

    def give_back_waiting(self, route: RouteState) -> None:
        """Give back and record the messages that wait for a worker or for a time; the execution ends."""
        self.given_back.extend(waiting_of(route, self._now()))
        while (child := route.children.take()) is not None:
            self.give_back(route, child.frame, child.parent)
        for waiting in reversed(route.waiting.drain()):
            route.counters.retrying -= 1
            self.give_back(route, waiting.child.frame, waiting.child.parent)
        route.carrier.circuit_open = False


def _count_deferral(child: Child, first_ns: int) -> None:
    child.deferrals += 1
    child.deferred_ns = first_ns
