"""Lifecycle of one stateful stage, from its `open` to its `close`, in a task of its own.

Kept separate from the route, with a task for each stage, because `open` may leave something entered: a nursery, or an
object that contains one. trio requires that the same task leaves it, with nothing else entered in between, and cancels
that task when a child in it dies. So one task calls `open` and `close` and enters nothing else, and a failure affects
only its own stage.
"""

from collections.abc import Awaitable, Callable
from typing import Final, Protocol

import trio

from factflow_engine.error_texts import describe
from factflow_engine.runtime.stages.isolation import FaultError, NotLeftError, in_own_task
from factflow_protocols import FactflowError, StageInfo


class StageLostError(FactflowError):
    """A scope or nursery that a stage entered in `open` was cancelled before its `close`; chained is the cancellation.

    Attributes:
        stage: The stage's name.
    """

    def __init__(self, stage: str, cancelled: trio.Cancelled) -> None:
        self.stage = stage
        super().__init__(
            f"what stage {stage!r} entered in open() was cancelled: {cancelled.reason or cancelled.source}"
        )


class Opened(Protocol):
    """The part of a stage that is opened and closed: a stateful adapter, or a pool of worker processes."""

    async def open(self, stage: StageInfo) -> None:
        """See `StatefulAdapter.open`."""

    async def discard(self) -> None:
        """See `StatefulAdapter.discard`."""

    async def close(self) -> None:
        """See `StatefulAdapter.close`."""


class StageLifecycle:
    """Runs a stage from `open` to `close`, keeping its open scopes alive in between.

    Attributes:
        info: Execution, route and name of the stage.
        opened: Set when `open` has returned or failed.
        failure: The exception of `open`, if it failed.
        close_errors: Errors after `open` had returned.
    """

    def __init__(
        self,
        info: StageInfo,
        adapter: Opened,
        *,
        watched: Callable[[Awaitable[None], str], Awaitable[None]],
        close_seconds: float,
        on_loss: Callable[[StageLostError], None],
    ) -> None:
        """Prepare.

        Args:
            info: Execution, route and name of the stage.
            adapter: The stage's adapter or pool.
            watched: See `Stage.watched`.
            close_seconds: Time for `close`.
            on_loss: Called once if the stage can do its work no more; it is closed when asked all the same.
        """
        self.info: Final = info
        self.opened: Final = trio.Event()
        self.failure: BaseException | None = None
        self.close_errors: list[str] = []
        self._adapter = adapter
        self._watched = watched
        self._close_seconds = close_seconds
        self._on_loss = on_loss
        self._asked_to_close = trio.Event()
        self._discards = False  # once set: nobody resumes with what the stage has stored
        self._ended = trio.Event()
        self._bounds = trio.CancelScope()  # around everything that the stage enters; bounds its `close`

    @trio.lowlevel.enable_ki_protection
    async def run(self) -> None:
        """Open the stage, wait, and close it; runs in a task of its own.

        Cancellation: reaches only `open`. Scopes entered there stay until `close`, which must leave them.
        """
        cut_off = False
        try:
            await in_own_task(self._keep, self._bounds)
        except FaultError as fault:
            if self.opened.is_set():
                self.close_errors.append(describe(fault.error))
                cut_off = isinstance(fault.error, NotLeftError) and self._bounds.cancel_called
            else:
                self.failure = fault.error
        finally:
            if cut_off or self._bounds.cancelled_caught:
                self.close_errors.append(f"close() did not return within {self._close_seconds:g} s")
            self.opened.set()
            self._ended.set()

    async def close(self, *, discards: bool) -> None:
        """Request the stage's end, and wait for it; `discards` if nobody resumes with what the stage has stored."""
        self._discards = discards
        self._asked_to_close.set()
        await self._ended.wait()

    async def _keep(self) -> None:
        await self._watched(self._adapter.open(self.info), "open")
        self._bounds.shield = True
        self.opened.set()
        try:
            await self._asked_to_close.wait()
        except trio.Cancelled as cancelled:  # of a scope that `open` entered: nothing from outside passes the shield
            self._on_loss(StageLostError(self.info.stage, cancelled))
            with trio.CancelScope(shield=True):  # messages may still be in the stage
                await self._asked_to_close.wait()
        self._bounds.deadline = trio.current_time() + self._close_seconds
        try:
            if self._discards:
                await self._watched(self._adapter.discard(), "discard")
        finally:
            await self._watched(self._adapter.close(), "close")
