"""Sending of one execution's events, out of band: it never fails the execution, and delays its end by a budget at most.

Kept separate from targets, which know nothing of time, and from the runtime, which says what happened. Events go out in
their order. One that the target will never accept is left out and counted; a target that fails is tried again after a
growing pause, until the budget at the execution's end is spent. What is unsent then is counted.
"""

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Final

import trio

from factflow_engine.error_texts import describe
from factflow_engine.lineage.openlineage.events import EventFactory, EventType, RouteCounts
from factflow_engine.lineage.openlineage.targets import Target, TargetError
from factflow_engine.seams import Clock, Randomness

_FIRST_PAUSE_SECONDS: Final = 0.5
_LONGEST_PAUSE_SECONDS: Final = 60.0


class Announcer:
    """Sender of one execution's events."""

    def __init__(
        self,
        target: Target,
        events: EventFactory,
        *,
        finish_seconds: float,
        clock: Clock,
        randomness: Randomness,
        redacted: Callable[[str], str],
    ) -> None:
        """Prepare; nothing is sent.

        Args:
            target: Taker of events.
            events: Maker of the execution's events.
            finish_seconds: Longest delay of the execution's end.
            clock: Clock of the execution, for the times of events.
            randomness: Spreads the retries of many executions.
            redacted: Removes secrets from a text.
        """
        self._target = target
        self._sent = 0
        self._lost = 0  # never accepted; those that still wait are counted at the end
        self._problem: str | None = None  # text of the last failure
        self._finish_seconds = finish_seconds
        self._events = events
        self._clock = clock
        self._randomness = randomness
        self._redacted = redacted
        self._has_begun = False
        self._waiting: deque[dict[str, Any]] = deque()

    async def run(self) -> None:
        """Send the events of the start; a task of the execution.

        Cancellation: what was not sent is left to `end`. An event whose answer did not come may be sent twice.
        """
        self._begin()
        await self._send()

    async def end(self, kind: EventType, *, error: str | None, counts: Mapping[str, RouteCounts]) -> str | None:
        """Send all that is left, within the budget; called when `run` has ended.

        Returns:
            A sentence about what could not be sent; None if all was.

        Cancellation: none; the budget bounds it.
        """
        self._begin()  # unless `run` did: it may have been cancelled before
        self._waiting.extend(self._events.ended(kind, self._clock.wall_ns(), error=error, counts=counts))
        with trio.CancelScope(shield=True), trio.move_on_after(self._finish_seconds) as budget:
            await self._send()
        unsent = self._lost + len(self._waiting)
        if not unsent:
            return None
        self._lost = unsent
        self._waiting.clear()
        late = f"there was no answer within {self._finish_seconds:g} s" if budget.cancelled_caught else ""
        why = self._problem or late
        return f"OpenLineage: {unsent} of {self._sent + unsent} events could not be sent: {why}"

    def _begin(self) -> None:
        if not self._has_begun:
            self._has_begun = True
            self._waiting.extend(self._events.started())

    async def _send(self) -> None:
        pause = _FIRST_PAUSE_SECONDS
        while self._waiting:
            batch = tuple(self._waiting)
            sent, wait = 0, 0.0
            try:
                await self._target.send(batch)
                sent = len(batch)
            except TargetError as error:
                self._problem = self._redacted(str(error))
                sent = error.sent
                if error.is_final:
                    self._take(min(sent, len(batch) - 1))
                    sent = 0
                    self._waiting.popleft()
                    self._lost += 1
                else:
                    pause = _FIRST_PAUSE_SECONDS if sent else pause
                    wait = max(error.retry_after or 0.0, self._randomness.uniform(pause / 2, pause))
                    pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
            except Exception as error:  # noqa: BLE001 - whatever is wrong with it, the execution goes on
                self._problem = self._redacted(describe(error))
                self._lost += len(self._waiting)
                self._waiting.clear()
            self._take(sent)
            if wait:
                await trio.sleep(wait)

    def _take(self, count: int) -> None:
        for _ in range(min(count, len(self._waiting))):
            self._waiting.popleft()
            self._sent += 1
