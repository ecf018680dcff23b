"""Completion: the instant at which nothing is left to do, and what stages say just before it.

Apart from the orchestrator, which decides what an end means: here is only when there is one.
"""

from collections.abc import Sequence

from factflow_engine.errors import describe
from factflow_engine.runtime.containment import FaultError
from factflow_engine.runtime.entrance import Entrance, Roots
from factflow_engine.runtime.family import DETACHED, Child
from factflow_engine.runtime.loop import Loop
from factflow_engine.runtime.phases import Phases
from factflow_engine.runtime.relay import Relay
from factflow_engine.runtime.route import ReactiveRouteProcessor
from factflow_engine.runtime.stage import Stage
from factflow_protocols import AdapterResult


class LastWordsError(Exception):
    """A stage could not finish; the text names it, and the cause is what it raised."""


class Completion:
    """Waits for an execution's routes to have nothing left to do, and lets stateful stages finish, upstream first.

    Args:
        routes: Upstream first.
        relay: Between the routes and a provider elsewhere, if there is one.
    """

    def __init__(
        self,
        routes: Sequence[ReactiveRouteProcessor],
        *,
        loop: Loop,
        relay: Relay | None,
        entrance: Entrance,
        roots: Roots,
        phases: Phases,
    ) -> None:
        self._routes = tuple(routes)
        self._loop = loop
        self._relay = relay
        self._entrance = entrance
        self._roots = roots
        self._phases = phases
        self._is_finishing = False  # a stage says its last words, or was interrupted in them

    @property
    def is_reached(self) -> bool:
        """Whether nothing is left to do in this instant; with a provider elsewhere nobody can say so without asking it."""
        return (
            self._relay is None
            and self._loop.is_idle
            and not self._entrance.publishers
            and self._unfinished() is None
            and not self._is_finishing
        )

    def unsaid(self) -> tuple[str, ...]:
        """The stages, as `route/stage`, that have something to say at their end and were not asked for it."""
        return tuple(
            f"{route.id}/{stage.info.stage}"
            for route in self._routes
            for stage in route.stages
            if stage.stateful is not None and stage.touched and route.lane.books.received
        )

    async def reached(self) -> int:
        """Return when nothing is left to do, and how many messages stay with the provider for another execution.

        There is no checkpoint between the instant at which everything was seen to be done and the return.

        Raises:
            LastWordsError: A stage could not finish. May be called again; that stage is not asked again.

        Cancellation: nothing that is done is undone; a stage that was finishing is not asked again.
        """
        while True:
            left = 0
            if self._relay is None:
                await self._loop.wait_idle()
            else:
                left = await self._relay.wait_done(self._loop)
            if self._entrance.publishers and not left:
                # They come before the end; it may be a consumer from outside who has no room.
                await self._entrance.stirred.park()
                continue
            unfinished = self._unfinished()
            if unfinished is None:
                return left
            await self._finish(*unfinished)

    def _unfinished(self) -> tuple[ReactiveRouteProcessor, int, Stage] | None:
        for route in self._routes:
            for index, stage in enumerate(route.stages):
                if stage.stateful is not None and stage.touched:
                    return route, index, stage
        return None

    async def _finish(self, route: ReactiveRouteProcessor, index: int, stage: Stage) -> None:
        stage.touched, self._is_finishing = False, True
        try:
            result = await self._phases.finish(stage)
            self._is_finishing = False
            if result is not None:
                if _said(result).emitted is None:
                    frame = self._roots.frame(result.message, result.headers)
                    self._loop.inject(route.lane, Child(frame, index + 1, DETACHED))
                else:
                    frame = self._roots.frame(None)
                    self._loop.inject(route.lane, Child(frame, index, DETACHED, result))
        except Exception as raised:  # noqa: BLE001 - raised again, with the name of the stage
            error = raised.error if isinstance(raised, FaultError) else raised
            text = f"route {route.id!r}, stage {stage.info.stage!r} could not finish: {describe(error)}"
            raise LastWordsError(text) from error


def _said(result: object) -> AdapterResult:
    if not isinstance(result, AdapterResult) or result.is_forward:
        raise TypeError(f"finish() returned {result!r}; expected AdapterResult(message=...), (emitted=...) or None")
    return result
