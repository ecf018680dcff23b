"""One stateful stage from its `open` to its `close`, in a task of its own.

Kept separate from the route, and a task for each stage, because of what `open` may leave entered: a nursery, or whatever has one
inside. trio wants that to be left by the task that entered it, with nothing entered between; and it cancels what runs
below when something in there dies. So one task calls `open` and `close`, nothing else is entered in it, and what dies
takes its own stage along and no other.
"""

from collections.abc import Callable
from typing import Final, Protocol

import trio

from factflow_engine.errors import describe
from factflow_engine.runtime.stages.isolation import FaultError, NotLeftError, apart
from factflow_protocols import FactflowError, StageInfo


class StageLostError(FactflowError):
    """A scope or nursery that a stage entered in `open` was cancelled before its `close`; the cause tells why.

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


class Keeper:
    """Opens a stage, keeps what it has entered, and closes it when asked.

    Attributes:
        info: Where the stage stands.
        opened: Set when `open` has returned or failed.
        failure: What it raised, if it failed.
        close_errors: What went wrong after it had returned.
    """

    def __init__(
        self,
        info: StageInfo,
        adapter: Opened,
        *,
        close_seconds: float,
        on_loss: Callable[[StageLostError], None],
    ) -> None:
        """Prepare.

        Args:
            info: Where the stage stands.
            adapter: The stage.
            close_seconds: How long `close` may take.
            on_loss: Told, once, that the stage can do its work no more; it is closed when asked all the same.
        """
        self.info: Final = info
        self.opened: Final = trio.Event()
        self.failure: BaseException | None = None
        self.close_errors: list[str] = []
        self._adapter = adapter
        self._close_seconds = close_seconds
        self._on_loss = on_loss
        self._asked_to_close = trio.Event()
        self._discards = False  # from when that is set: nobody goes on with what the stage has stored
        self._ended = trio.Event()
        self._bounds = trio.CancelScope()  # around all that the stage enters; bounds its `close`

    @trio.lowlevel.enable_ki_protection
    async def run(self) -> None:
        """Open, keep, close; the keeper's task.

        Cancellation: reaches `open` alone. What that has entered lives until `close`, which is to leave it.
        """
        cut_off = False
        try:
            await apart(self._keep, self._bounds)
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
        """Ask for the stage's end, and wait for it; `discards` if nobody goes on with what the stage has stored."""
        self._discards = discards
        self._asked_to_close.set()
        await self._ended.wait()

    async def _keep(self) -> None:
        await self._adapter.open(self.info)
        self._bounds.shield = True
        self.opened.set()
        try:
            await self._asked_to_close.wait()
        except trio.Cancelled as cancelled:  # by what `open` has entered: nothing from outside comes through the shield
            self._on_loss(StageLostError(self.info.stage, cancelled))
            with trio.CancelScope(shield=True):  # messages may be in there still
                await self._asked_to_close.wait()
        self._bounds.deadline = trio.current_time() + self._close_seconds
        try:
            if self._discards:
                await self._adapter.discard()
        finally:
            await self._adapter.close()
