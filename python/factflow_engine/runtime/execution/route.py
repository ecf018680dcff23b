"""One route while it lives: its stateful stages opened before its first message and closed after its last.

Kept separate from the loop, which carries the messages meanwhile.
"""

from collections.abc import Awaitable, Callable, Container, Sequence
from dataclasses import replace

import trio

from factflow_engine.errors import ExecutionStartError, describe
from factflow_engine.runtime.hop.route_state import RouteState
from factflow_engine.runtime.stages.lifecycle import Keeper, StageLostError
from factflow_engine.runtime.stages.stage import Stage


class ReactiveRouteProcessor:
    """One route of one execution, from the opening of its stages to its end.

    Attributes:
        id: Route id.
        state: The route as the loop carries it.
        close_errors: What went wrong while closing, or while opening was cancelled, as `route/stage: error`.
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
            state: The route, built.
            close_seconds: How long each stage may take to close.
            may_close: Waits until whoever acknowledges asks nothing of the stages any more.
            on_death: Told what has died of the route while it lived.
        """
        self.id = state.id
        self.state = state
        self.close_errors: list[str] = []
        self._discards = False  # nobody goes on with what its stages have stored
        self._keepers: list[Keeper] = []  # of the stages that are or were open, in order
        self._on_death = on_death
        self._may_close = may_close
        self._lost = trio.Event()
        self._loss: StageLostError | None = None  # the first one, from when that is set
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
        """Note, before it runs, that an earlier process has begun what it goes on with, or another one shares it.

        Args:
            kept: Route id and name of each stage that keeps something of such a process.
            idle: Those that such a process has begun, and that have had no effect.
        """
        for stage in self.stages:
            place = (self.id, stage.info.stage)
            stage.info = replace(stage.info, resumed=place not in idle, kept=place in kept)

    def discard(self) -> None:
        """Note, before it closes, that nobody goes on with what its stages have stored."""
        self._discards = True

    @trio.lowlevel.enable_ki_protection
    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Open the stateful stages, report ready, and close them when cancelled.

        Raises:
            ExecutionStartError: A stage could not be opened; those before it are closed.
        """
        failed: Keeper | None = None
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

    async def _open(self, nursery: trio.Nursery) -> Keeper | None:
        """Open one after the other; return the first that could not be opened."""
        for stage in self.stages:
            if stage.opened is None:
                continue
            keeper = Keeper(stage.info, stage.opened, close_seconds=self._close_seconds, on_loss=self._lose)
            self._keepers.append(keeper)
            nursery.start_soon(keeper.run)
            await keeper.opened.wait()
            if keeper.failure is not None:
                await trio.lowlevel.checkpoint_if_cancelled()  # that is then the reason for the end
                return keeper
        return None

    def _lose(self, error: StageLostError) -> None:
        self._loss = self._loss or error
        self._lost.set()

    async def _live(self) -> None:
        await self._lost.wait()
        if self._loss is not None:
            self._on_death(self.state, self._loss)
        await trio.sleep_forever()

    async def _close(self, failed: Keeper | None) -> None:
        with trio.CancelScope(shield=True):
            await self._may_close()
            for keeper in reversed(self._keepers):
                await keeper.close(discards=self._discards)
                texts = list(keeper.close_errors)
                if keeper.failure is not None and keeper is not failed:
                    texts.append(describe(keeper.failure))
                self.close_errors.extend(f"{self.id}/{keeper.info.stage}: {text}" for text in texts)
