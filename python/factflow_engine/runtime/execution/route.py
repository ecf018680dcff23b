"""A route's lifetime: its stateful stages open before its first message and close after its last.

Kept separate from the loop, which carries the messages meanwhile.
"""

from collections.abc import Awaitable, Callable, Container, Sequence
from dataclasses import replace

import trio

from factflow_engine.error_texts import describe
from factflow_engine.errors import ExecutionStartError
from factflow_engine.runtime.hop.route_state import RouteState
from factflow_engine.runtime.stages.lifecycle import StageLifecycle, StageLostError
from factflow_engine.runtime.stages.stage import Stage


class ReactiveRouteProcessor:
    """One route of one execution, from the opening of its stages to its end.

    Attributes:
        id: Route id.
        state: State of the route for the loop.
        close_errors: Errors while closing, or while opening was cancelled, as `route/stage: error`.
    """

    def __init__(
        self,
        state: RouteState,
        *,
        close_seconds: float,
        may_close: Callable[[], Awaitable[None]],
        on_death: Callable[[RouteState, BaseException], None],
    ) -> None:
        """Prepare.

        Args:
            state: State of the route, complete.
            close_seconds: Time for each stage to close.
            may_close: Waits until the acknowledging task needs the stages no more.
            on_death: Called with what has died of the route while it ran.
        """
        self.id = state.id
        self.state = state
        self.close_errors: list[str] = []
        self._discards = False  # nobody resumes with what its stages have stored
        self._lifecycles: list[StageLifecycle] = []  # of the stages that are or were open, in order
        self._on_death = on_death
        self._may_close = may_close
        self._lost = trio.Event()
        self._loss: StageLostError | None = None  # the first one, once the event is set
        self._close_seconds = close_seconds

    @property
    def stages(self) -> Sequence[Stage]:
        """The route's stages, in order."""
        return self.state.stages

    @property
    def has_stages_to_open(self) -> bool:
        """True if `run` has something to do; a route without stateful stages needs no task of its own."""
        return any(stage.opened is not None for stage in self.stages)

    def goes_on(self, kept: Container[tuple[str, str]], idle: Container[tuple[str, str]]) -> None:
        """Note, before it runs, that an earlier process began the execution, or that another one shares it.

        Args:
            kept: Route id and name of each stage with a state of such a process.
            idle: Stages that such a process has begun, without effect.
        """
        for stage in self.stages:
            place = (self.id, stage.info.stage)
            stage.info = replace(stage.info, resumed=place not in idle, kept=place in kept)

    def discard(self) -> None:
        """Note, before it closes, that nobody resumes with what its stages have stored."""
        self._discards = True

    @trio.lowlevel.enable_ki_protection
    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Open the stateful stages, report ready, and close them when cancelled.

        Raises:
            ExecutionStartError: A stage could not open; those before it are closed.
        """
        failed: StageLifecycle | None = None
        async with trio.open_nursery() as nursery:
            try:
                failed = await self._open(nursery)
                if failed is None:
                    task_status.started()
                    await self._live()
            finally:
                await self._close(failed)
        if failed is not None and failed.failure is not None:
            raise ExecutionStartError(self.id, failed.info.stage, failed.failure) from failed.failure

    async def _open(self, nursery: trio.Nursery) -> StageLifecycle | None:
        """Open the stages in order; return the first that failed."""
        for stage in self.stages:
            if stage.opened is None:
                continue
            lifecycle = StageLifecycle(
                stage.info, stage.opened, watched=stage.watched, close_seconds=self._close_seconds, on_loss=self._lose
            )
            self._lifecycles.append(lifecycle)
            nursery.start_soon(lifecycle.run)
            await lifecycle.opened.wait()
            if lifecycle.failure is not None:
                await trio.lowlevel.checkpoint_if_cancelled()  # a cancellation is then the reason for the end
                return lifecycle
        return None

    def _lose(self, error: StageLostError) -> None:
        self._loss = self._loss or error
        self._lost.set()

    async def _live(self) -> None:
        await self._lost.wait()
        if self._loss is not None:
            self._on_death(self.state, self._loss)
        await trio.sleep_forever()

    async def _close(self, failed: StageLifecycle | None) -> None:
        with trio.CancelScope(shield=True):
            await self._may_close()
            for lifecycle in reversed(self._lifecycles):
                await lifecycle.close(discards=self._discards)
                texts = list(lifecycle.close_errors)
                if lifecycle.failure is not None and lifecycle is not failed:
                    texts.append(describe(lifecycle.failure))
                self.close_errors.extend(f"{self.id}/{lifecycle.info.stage}: {text}" for text in texts)
