"""Completion: the instant at which nothing is left to do, and what stages say just before it.

Kept separate from `lifecycle`, which decides what an end means: here is only when there is one.
"""

from collections.abc import Awaitable, Callable, Sequence

import trio

from factflow_engine.errors import describe
from factflow_engine.frames import pack
from factflow_engine.runtime.execution.shutdown import REST_SECONDS, Shutdown
from factflow_engine.runtime.hop.loop import Loop
from factflow_engine.runtime.hop.route_state import RouteState
from factflow_engine.runtime.hop.work import DETACHED, Child
from factflow_engine.runtime.stages.isolation import FaultError
from factflow_engine.runtime.stages.stage import Stage
from factflow_engine.runtime.transport.base import Transport
from factflow_engine.runtime.transport.frame_factory import FrameFactory
from factflow_engine.runtime.transport.route_states import KeepingError
from factflow_protocols import AdapterResult, FactflowError


class LastWordsError(FactflowError):
    """Error of a stage that could not finish; the text names it, and the cause is what it raised."""


class Completion:
    """The wait for an execution's routes to have nothing left to do; stateful stages finish at its end, upstream first."""

    def __init__(
        self,
        routes: Sequence[RouteState],
        *,
        loop: Loop,
        transport: Transport,
        frames: FrameFactory,
        shutdown: Shutdown,
        is_last: bool,
    ) -> None:
        """Prepare.

        Args:
            routes: Upstream first.
            loop: Carries their messages.
            transport: What leads to and from them.
            frames: Makes the frames of last words.
            shutdown: The budgets.
            is_last: True if nothing goes on after this execution: whatever a stage has not said then is never said.
        """
        self._routes = tuple(routes)
        self._loop = loop
        self._transport = transport
        self._frames = frames
        self._shutdown = shutdown
        self._is_last = is_last
        self._is_finishing = False  # a stage says its last words, or was interrupted in them

    @property
    def is_reached(self) -> bool:
        """True if nothing is left to do in this instant, as far as that can be said without asking a provider."""
        return self._transport.is_done and self._unfinished(kept=True) is None and not self._is_finishing

    def unsaid(self) -> tuple[str, ...]:
        """Return the stages, as `route/stage`, whose last words are lost now; none if they were asked all the same."""
        if self._is_last:
            return ()
        return tuple(
            f"{route.id}/{stage.info.stage}"
            for route in self._routes
            for stage in route.stages
            if stage.loses and stage.touched and route.counters.received
        )

    async def reached(self) -> int:
        """Return when nothing is left to do, and how many messages stay with the provider for another execution.

        There is no checkpoint between the instant at which everything was seen to be done and the return.

        Raises:
            LastWordsError: A stage could not finish. May be called again; that stage is not asked again.

        Cancellation: nothing that is done is undone; a stage that was finishing is not asked again.
        """
        transport, states = self._transport, self._transport.states
        while True:
            if states.is_handed_over:
                # What has come since is another process's, too, and is given back.
                transport.close_intake()
                await self._loop.progress.wait_idle()
                unfinished = self._unfinished(kept=False)
                if unfinished is None:
                    return 0
                await self._finish(*unfinished)
                continue
            left = await transport.wait_done()
            if transport.publishers and not left:
                # They come before the end; it may be a consumer from outside who has no room.
                await transport.stirred.park()
                continue
            if not left and not states.is_last:
                await self._concluded(states.conclude)
                continue  # messages may have come meanwhile
            unfinished = self._unfinished(kept=not left and states.is_last)
            if unfinished is not None:
                await self._finish(*unfinished)
            elif states.is_last and not (left or states.is_forgotten):
                await self._concluded(states.forget)
            else:
                return left

    async def say_what_can_be_said(self) -> None:
        """Ask stages for their last words although a message is left that does not end, if nothing goes on after this.

        Upstream first, each once, of routes that have brought a message to its end. What they emit has a moment to go through
        the rest of its route.

        Raises:
            LastWordsError: A stage could not finish; those after it are not asked.

        Cancellation: those that are left are not asked.
        """
        for route in self._routes if self._is_last else ():
            for index, stage in enumerate(route.stages):
                counters = route.counters
                ended = counters.completed + counters.filtered + counters.dead_lettered + counters.failed
                if stage.stateful is not None and stage.touched and ended:
                    received = counters.received
                    await self._finish(route, index, stage)
                    if counters.received > received:
                        with trio.move_on_after(REST_SECONDS):
                            await self._loop.progress.wait_quiet()

    async def _concluded(self, call: Callable[[], Awaitable[None]]) -> None:
        try:
            await call()
        except KeepingError as error:
            raise LastWordsError(str(error)) from error
        except FaultError as fault:
            raise LastWordsError(f"the states of stages: {describe(fault.error)}") from fault

    def _unfinished(self, *, kept: bool) -> tuple[RouteState, int, Stage] | None:
        """Return the first stage to be asked; of those whose state is durable only if `kept`: else another process will."""
        for route in self._routes:
            for index, stage in enumerate(route.stages):
                if stage.stateful is not None and stage.touched and (kept or not stage.keeps):
                    return route, index, stage
        return None

    async def _finish(self, route: RouteState, index: int, stage: Stage) -> None:
        stage.touched, self._is_finishing = False, True
        try:
            result = await self._shutdown.finish(stage)
            self._is_finishing = False
            if result is not None:
                if _said(result).emitted is None:
                    frame = self._frames.frame(
                        result.message, result.headers, message_id=self._words_id(stage, pack(result.message))
                    )
                    self._loop.inject(route, Child(frame, index + 1, DETACHED))
                else:
                    frame = self._frames.frame(None, message_id=self._words_id(stage, b""))
                    self._loop.inject(route, Child(frame, index, DETACHED, result))
        except Exception as raised:  # noqa: BLE001 - raised again, with the name of the stage
            error = raised.error if isinstance(raised, FaultError) else raised
            text = f"route {route.id!r}, stage {stage.info.stage!r} could not finish: {describe(error)}"
            raise LastWordsError(text) from error

    def _words_id(self, stage: Stage, payload: bytes) -> bytes | None:
        return self._transport.states.words_id(stage, payload)


def _said(result: object) -> AdapterResult:
    if not isinstance(result, AdapterResult) or result.is_forward:
        raise TypeError(f"finish() returned {result!r}; expected AdapterResult(message=...), (emitted=...) or None")
    return result
