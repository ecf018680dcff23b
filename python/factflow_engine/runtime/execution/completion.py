"""Completion of an execution: detects the end of all work, and lets stages finish just before it.

Kept separate from `lifecycle`, which decides what an end means: this module only detects one.
"""

from collections.abc import Awaitable, Callable, Sequence

import trio

from factflow_engine.error_texts import describe
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
    """Failure of a stage's `finish`; the text names the stage, and the cause is its error."""


class Completion:
    """Waits until an execution's routes have no work left; stateful stages then finish, upstream first."""

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
            routes: The routes, upstream first.
            loop: Loop that carries their messages.
            transport: Transport of the routes.
            frames: Factory of the frames of messages that `finish` emits.
            shutdown: Budgets of the shutdown.
            is_last: True if no later execution resumes this one: a `finish` that is not called now is never called.
        """
        self._routes = tuple(routes)
        self._loop = loop
        self._transport = transport
        self._frames = frames
        self._shutdown = shutdown
        self._is_last = is_last
        self._is_finishing = False  # a stage is finishing, or was interrupted in it

    @property
    def is_reached(self) -> bool:
        """True if no work is left now, as far as is known without asking a provider."""
        return self._transport.is_done and self._unfinished(kept=True) is None and not self._is_finishing

    def unsaid(self) -> tuple[str, ...]:
        """Return the stages, as `route/stage`, whose `finish` will never be called; none if all were called."""
        if self._is_last:
            return ()
        return tuple(
            f"{route.id}/{stage.info.stage}"
            for route in self._routes
            for stage in route.stages
            if stage.loses and stage.touched and route.counters.received
        )

    async def reached(self) -> int:
        """Wait until no work is left; return the number of messages that stay with the provider for another execution.

        There is no checkpoint between the check that everything is done and the return.

        Raises:
            LastWordsError: A stage could not finish. May be called again; that stage is then skipped.

        Cancellation: nothing is undone; a stage that was finishing is not called again.
        """
        transport, states = self._transport, self._transport.states
        while True:
            if states.is_handed_over:
                # Messages that arrived since belong to another process, too, and are given back.
                transport.close_intake()
                await self._loop.progress.wait_idle()
                unfinished = self._unfinished(kept=False)
                if unfinished is None:
                    return 0
                await self._finish(*unfinished)
                continue
            left = await transport.wait_done()
            if transport.publishers and not left:
                # They must be published before the end; an outside consumer may leave no room for them.
                await transport.stirred.park()
                continue
            if not left and not states.is_last:
                await self._concluded(states.conclude)
                continue  # messages may have arrived meanwhile
            unfinished = self._unfinished(kept=not left and states.is_last)
            if unfinished is not None:
                await self._finish(*unfinished)
            elif states.is_last and not (left or states.is_forgotten):
                await self._concluded(states.forget)
            else:
                return left

    async def say_what_can_be_said(self) -> None:
        """Call `finish` of stages although a message does not end, if no later execution would call it.

        Upstream first, each once, on routes on which a message has ended. Emitted messages get a short time to pass the
        rest of their route.

        Raises:
            LastWordsError: A stage could not finish; later ones are not called.

        Cancellation: the remaining ones are not called.
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
        """Return the first stage to finish; with `kept`, only one whose state is durable: others finish elsewhere."""
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
