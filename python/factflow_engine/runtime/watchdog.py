"""The watchdog: says so when an execution has work and does not move.

Apart from the orchestrator because what is stuck may be inside, between routes, or outside, at the provider.
"""

import logging
from collections.abc import Sequence
from typing import Final

import trio

from factflow_engine.runtime.lane import Lane
from factflow_engine.runtime.loop import Loop
from factflow_engine.runtime.relay import Relay

logger = logging.getLogger("factflow_engine.runtime")


class Watchdog:
    """Looks after one execution.

    Attributes:
        seconds: Without progress after which it barks.
    """

    def __init__(
        self, execution_id: str, lanes: Sequence[Lane], loop: Loop, relay: Relay | None, *, seconds: float
    ) -> None:
        self.seconds: Final = seconds
        self._execution_id = execution_id
        self._lanes = lanes
        self._loop = loop
        self._relay = relay
        self._inside: tuple[str, ...] = ()
        self._outside: tuple[str, ...] = ()

    @property
    def stalled(self) -> tuple[str, ...]:
        """What does not move, and for whom it waits, as of the last look."""
        return (*self._inside, *self._outside)

    def start(self, nursery: trio.Nursery) -> None:
        """Look from now on, until the nursery is cancelled."""
        nursery.start_soon(self._watch)

    @trio.lowlevel.enable_ki_protection
    async def _watch(self) -> None:
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._watch_loop)
                if self._relay is not None:
                    nursery.start_soon(self._watch_relay, self._relay)
        finally:
            self._inside = self._outside = ()  # what has ended is not stuck

    @trio.lowlevel.enable_ki_protection
    async def _watch_loop(self) -> None:
        """Messages wait, nothing is in flight or paused, and nothing is received for a while."""
        while True:
            await self._loop.wait_stalled()
            received = self._received()
            await trio.sleep(self.seconds)
            self._inside = self._loop.stall() if received == self._received() else ()
            self._bark(self._inside)

    @trio.lowlevel.enable_ki_protection
    async def _watch_relay(self, relay: Relay) -> None:
        """Messages are on their way to the provider, and it accepts none of a queue for a while."""
        said: tuple[str, ...] = ()
        while True:
            accepted = relay.accepted()
            await trio.sleep(self.seconds)
            self._outside = relay.stuck(accepted)
            if self._outside != said:  # it may last; what is new is said once
                self._bark(self._outside)
            said = self._outside

    def _received(self) -> int:
        return sum(lane.books.received for lane in self._lanes)

    def _bark(self, stalled: tuple[str, ...]) -> None:
        if stalled:
            logger.error("execution %s does not move: %s", self._execution_id, "; ".join(stalled))
