"""Connection of one execution to its provider: subscribed, maintained while messages are carried, flushed, closed.

Kept separate from `durable`, which decides when it ends, and from `links`, which has the messages on their way.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

import trio

from factflow_engine.error_texts import describe
from factflow_engine.runtime.stages.isolation import FaultError, contained
from factflow_engine.runtime.transport.base import Owner
from factflow_engine.runtime.transport.links import POLL_SECONDS, Links, Patience
from factflow_engine.runtime.transport.receiver import Receiver
from factflow_engine.runtime.transport.route_states import KeepingError
from factflow_engine.runtime.transport.states import StageStates
from factflow_protocols import QueueError, QueueProtocol

FLUSH_SECONDS: Final = 2.0
"""Time at the end of an execution for what is on its way to the provider. What is late is delivered again."""


class Connection:
    """Lifetime of an execution's links.

    Attributes:
        is_broken: True if the provider failed: nothing more will arrive there.
        is_closed: True if nothing more is received.
    """

    def __init__(self, provider: QueueProtocol, links: Links, *, owner: Owner, states: StageStates) -> None:
        """Prepare; nothing is subscribed yet.

        Args:
            provider: Provider of the queues.
            links: Receivers and senders, with what is on its way.
            owner: The execution.
            states: States of the stages.
        """
        self.is_broken = False
        self.is_closed = False
        self._provider = provider
        self._links = links
        self._owner = owner
        self._states = states
        self._end = trio.Event()
        self._settled = trio.Event()  # nothing is acknowledged any more
        self._is_used = False  # received messages are carried
        self._last: tuple[str, Callable[[], Awaitable[None]]] | None = None  # the last operation, and its name

    @trio.lowlevel.enable_ki_protection
    async def run(self, *, task_status: trio.TaskStatus[None]) -> None:
        """Subscribe, report started, and carry frames until `end` is called.

        Frames that are on their way then have `FLUSH_SECONDS` to arrive.
        """
        try:
            await self._carry(task_status)
        finally:
            self._settled.set()

    async def _carry(self, task_status: trio.TaskStatus[None]) -> None:
        problem: QueueError | None = None
        with trio.CancelScope() as life:
            async with trio.open_nursery() as nursery:
                try:
                    for receiver in self._links.receivers:
                        await nursery.start(self._subscribed, receiver)
                except QueueError as error:
                    problem = error
                else:
                    # The starter may have been cancelled meanwhile, and would wait for an end that nobody requests.
                    await trio.lowlevel.checkpoint_if_cancelled()
                    life.shield = True  # from here on `end` ends it, after the publishers
                    for sender in self._links.senders:
                        nursery.start_soon(self._guarded, f"publishing to {sender.queue!r}", sender.run(self._provider))
                    nursery.start_soon(self._guarded, "keeping the states of stages", self._states.beat())
                    task_status.started()
                    await self._end.wait()
                    self.close_intake()
                    with trio.move_on_after(FLUSH_SECONDS) as flushing:
                        await self._flushed()
                    if flushing.cancelled_caught:
                        self._name_flushes()
                nursery.cancel_scope.cancel()
            self._settled.set()
            await self._leave()
            if self._last is not None and not self.is_broken:
                await self._do_last(*self._last)
        if problem is not None:
            raise problem

    def _name_flushes(self) -> None:
        """Report stages that are abandoned while they make effects durable."""
        for receiver in self._links.receivers:
            if receiver.flushing is not None:
                problem = (
                    f"it did not return within {FLUSH_SECONDS:g} s of the end; the messages that it covers are not "
                    "acknowledged, and come again"
                )
                self.died(receiver.flushing, TimeoutError(problem))

    async def _leave(self) -> None:
        """Leave the stages' states to the next process; if the provider fails, that one waits for the lease's end."""
        with trio.move_on_after(FLUSH_SECONDS):
            await self._guarded("leaving the states of stages", self._states.leave())

    async def _do_last(self, what: str, call: Callable[[], Awaitable[None]]) -> None:
        """Make a request at the end, and bound the wait for its answer: nobody outside can cancel the end."""
        with trio.move_on_after(FLUSH_SECONDS) as waiting:
            try:
                await contained(call())
            except FaultError as fault:
                self.died(what, fault.error)
        if waiting.cancelled_caught:
            self.died(what, QueueError(what, f"the provider did not answer within {FLUSH_SECONDS:g} s"))

    def use(self) -> None:
        """Note that received messages are carried from now on."""
        self._is_used = True

    async def wait_settled(self) -> None:
        """Wait until nothing is acknowledged any more, if anything ever was."""
        if self._is_used:
            await self._settled.wait()

    def end(self, last: tuple[str, Callable[[], Awaitable[None]]] | None) -> None:
        """End; the `last` request is then made to the provider, and named in an error."""
        self._last = last
        self._end.set()

    def close_intake(self) -> None:
        """Receive nothing more; messages that have not begun stay with the provider."""
        self.is_closed = True
        self._links.close()
        self._links.changes.unpark_all()

    def died(self, what: str, error: BaseException) -> None:
        """Note that the provider failed, which ends the execution; `what` names the operation."""
        self.is_broken = True
        self._owner.transport_died(what, _alone(error))
        self._links.changes.unpark_all()

    async def _flushed(self) -> None:
        links, patience = self._links, Patience(self._links)
        links.hurry()
        while not (links.is_empty or self.is_broken or (links.wait_for_themselves and patience.is_over)):
            with trio.move_on_after(POLL_SECONDS):
                await self._links.changes.park()

    @trio.lowlevel.enable_ki_protection
    async def _subscribed(
        self, receiver: Receiver, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Run a receiver: a failure before it has subscribed is raised in the starter, a later one is fatal."""
        try:
            await contained(receiver.run(self._provider, task_status=task_status))
        except FaultError as fault:
            error = _alone(fault.error)
            if isinstance(error, KeepingError):
                self.died(error.what, error.error)
            elif receiver.is_subscribed:
                self.died(f"the subscription of {receiver.queue!r}", error)
            elif isinstance(error, QueueError):
                raise error from None
            else:
                raise QueueError(receiver.queue, f"cannot be subscribed: {describe(error)}") from error

    @trio.lowlevel.enable_ki_protection
    async def _guarded(self, what: str, call: Awaitable[None]) -> None:
        try:
            await contained(call)
        except FaultError as fault:  # an error of a transport ends its execution, with its cause
            self.died(what, fault.error)


def _alone(error: BaseException) -> BaseException:
    """Return the exception that a nursery raised alone in a group."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error
