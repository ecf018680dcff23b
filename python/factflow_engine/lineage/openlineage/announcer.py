"""Sending of one execution's events, out of band: it never fails the execution, and delays its end by a budget at most.

Kept separate from targets, which know nothing of time, and from the runtime, which says what happened. Events go out in
their order. One that the target will never accept is left out and counted; a target that fails is tried again after a
growing pause, until the budget at the execution's end is spent. What is unsent then is counted.
"""

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import trio

from factflow_engine.error_texts import describe
from factflow_engine.lineage.openlineage.events import EventFactory, EventType, RouteCounts
from factflow_engine.lineage.openlineage.targets import Target, TargetError, open_target
from factflow_engine.seams import Clock, Randomness, Threads

_FIRST_PAUSE_SECONDS: Final = 0.5
_LONGEST_PAUSE_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnouncerSettings:
    """Target of events, and bounds of the waits for it.

    Attributes:
        url: A URL that `check_url` finds nothing wrong with.
        directory: Folder that a relative file starts from.
        api_key: Token for an endpoint; None for none.
        timeout_seconds: Longest wait for one answer.
        finish_seconds: Longest delay of the execution's end.
    """

    url: str
    directory: Path
    api_key: str | None
    timeout_seconds: float
    finish_seconds: float


class Announcer:
    """Sender of one execution's events.

    Attributes:
        sent: Number of events that the target has accepted.
        lost: Number of events that it never accepted; those that still wait are counted at the end.
        problem: Text of the last failure; None if there was none.
    """

    def __init__(
        self,
        settings: AnnouncerSettings,
        events: EventFactory,
        *,
        clock: Clock,
        randomness: Randomness,
        threads: Threads,
        redacted: Callable[[str], str],
        target: Target | None = None,
    ) -> None:
        """Prepare; nothing is opened.

        Args:
            settings: Where events go.
            events: Maker of the execution's events.
            clock: Clock of the execution, for the times of events.
            randomness: Spreads the retries of many executions.
            threads: Runner of blocking code.
            redacted: Removes secrets from a text.
            target: Taker of events, if not the one that the settings name.
        """
        self.sent = 0
        self.lost = 0
        self.problem: str | None = None
        self._finish_seconds = settings.finish_seconds
        self._events = events
        self._clock = clock
        self._randomness = randomness
        self._redacted = redacted
        self._target = target or open_target(
            settings.url,
            directory=settings.directory,
            api_key=settings.api_key,
            timeout_seconds=settings.timeout_seconds,
            threads=threads,
        )
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
        unsent = self.lost + len(self._waiting)
        if not unsent:
            return None
        self.lost = unsent
        self._waiting.clear()
        late = f"there was no answer within {self._finish_seconds:g} s" if budget.cancelled_caught else ""
        why = self.problem or late
        return f"OpenLineage: {unsent} of {self.sent + unsent} events could not be sent: {why}"

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
                self.problem = self._redacted(str(error))
                sent = error.sent
                if error.is_final:
                    self._take(min(sent, len(batch) - 1))
                    sent = 0
                    self._waiting.popleft()
                    self.lost += 1
                else:
                    pause = _FIRST_PAUSE_SECONDS if sent else pause
                    wait = max(error.retry_after or 0.0, self._randomness.uniform(pause / 2, pause))
                    pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
            except Exception as error:  # noqa: BLE001 - whatever is wrong with it, the execution goes on
                self.problem = self._redacted(describe(error))
                self.lost += len(self._waiting)
                self._waiting.clear()
            self._take(sent)
            if wait:
                await trio.sleep(wait)

    def _take(self, count: int) -> None:
        for _ in range(min(count, len(self._waiting))):
            self._waiting.popleft()
            self.sent += 1
