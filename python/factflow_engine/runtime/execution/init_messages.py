"""The init messages of an execution on a durable queue: all of them, once, whenever its process dies.

Kept separate from the orchestrator because whoever starts an id may not be the only one, nor the first. A provider that
has `ExecutionStarts` decides and publishes in one step. With another one several messages cannot be stored in one step: a
mark in a queue of its own says that they are under way, and gives them their ids, so that whoever finds it begins again
without storing one twice; two processes that start at the same instant may both find nothing there.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

import trio

from factflow_engine.frames import Frame
from factflow_engine.queues.memory import as_frame
from factflow_engine.runtime.stages.isolation import FaultError, contained
from factflow_engine.runtime.transport.entrance import Roots
from factflow_engine.runtime.transport.scoped_queue import ExecutionScopedQueue
from factflow_protocols import Begun, Delivery, ExecutionStarts, QueueProtocol, Subscription

if TYPE_CHECKING:
    from factflow_engine.config import InitMessageConfig

logger = logging.getLogger("factflow_engine.runtime")

MARKS: Final = "init-mark"
"""Name, within the execution, of the queue with the mark; none that a configuration can use."""

POLL_SECONDS: Final = 0.25
"""How soon it is noticed that another process has published them."""


class Resumption:
    """What is needed to go on with an execution that an earlier process began, or another one is carrying.

    Args:
        scope: The provider as the execution sees it.
        provider: The same one itself.
        queues: By route, the name of its queue; the execution's.
        reads: Queue and subscription of each route; the provider's names.
        asked_ns: When the start was asked for, as the provider has it.
    """

    def __init__(
        self,
        *,
        scope: ExecutionScopedQueue,
        provider: QueueProtocol,
        queues: Mapping[str, str],
        reads: Sequence[tuple[str, str]],
        asked_ns: int,
    ) -> None:
        self.marks: Final = scope.scope_queue(MARKS)
        self.starts: Final = provider if isinstance(provider, ExecutionStarts) else None
        self.execution: Final = scope.prefix
        self.reads: Final = tuple(reads)
        self.asked_ns: Final = asked_ns
        self.queue_of: Final = {route: scope.scope_queue(queue) for route, queue in queues.items()}


class Beginning:
    """Publishes init messages.

    Attributes:
        begun: How the execution was started, once it was.
        is_stored: True if the provider has noted, with the init messages, that stages are to finish.

    Args:
        messages: In order.
        roots: Makes frames.
        publish: Gives one to a route.
        provider: Where messages wait outside the process, if they do.
        resumption: How to go on, if the execution may be gone on with after a crash.
        left: Asks how many messages the provider holds for the execution.
        owner: Asks for this process's number at the provider that keeps states of stages.
        on_death: Told what was being done, and why the provider could not do it.
    """

    def __init__(
        self,
        messages: Sequence[InitMessageConfig],
        *,
        roots: Roots,
        publish: Callable[[str, Frame], Awaitable[None]],
        provider: QueueProtocol,
        resumption: Resumption | None,
        left: Callable[[], Awaitable[int]] | None,
        owner: Callable[[], int],
        on_death: Callable[[str, BaseException], None],
    ) -> None:
        self.begun: Begun | None = None
        self.is_stored = False
        self._messages = messages
        self._roots = roots
        self._publish = publish
        self._provider = provider
        self._resumption = resumption
        self._ask = left
        self._owner = owner
        self._on_death = on_death
        self._left = 0

    async def look(self) -> None:
        """See whether messages of an earlier execution of this id are left; to be called before any is carried."""
        try:
            self._left = 0 if self._ask is None else await contained(self._ask())
        except FaultError as fault:
            self._on_death("asking what is left", fault.error)

    async def publish(self) -> None:
        """Publish them, unless the execution goes on.

        Cancellation: some of them may have been published; where an execution may be gone on with, after the end of the
        process, too, the next one publishes the rest.
        """
        try:
            self.begun = await contained(self._begin())
        except FaultError as fault:
            self._on_death("publishing the init messages", fault.error)
            return
        if self._messages and not self.begun.published:
            logger.info("%s", _going_on(self.begun, len(self._messages)))

    async def end(self, *, failed: bool) -> None:
        """Have the next execution of this id begin anew, unless something is left for it to go on with.

        To be called when this process has given back what it had; `failed`: the execution has. Errors are the provider's.
        """
        resumption = self._resumption
        if resumption is not None and resumption.starts is not None:
            await resumption.starts.end(resumption.execution, resumption.reads, failed=failed)

    async def _begin(self) -> Begun:
        resumption = self._resumption
        if resumption is not None and resumption.starts is not None:
            return await self._publish_in_one_step(resumption, resumption.starts)
        if resumption is not None and len(self._messages) > 1:
            return await self._publish_marked(resumption.marks)
        if not self._left:
            await self._publish_all(None)
        return Begun(published=not self._left, left=self._left)

    async def _publish_in_one_step(self, resumption: Resumption, starts: ExecutionStarts) -> Begun:
        messages = [
            (resumption.queue_of[message.route], self._roots.frame(message.payload, message.headers, message.key))
            for message in self._messages
        ]
        begun = await starts.begin(
            resumption.execution, resumption.reads, messages, asked_ns=resumption.asked_ns, owner=self._owner()
        )
        self.is_stored = True
        return begun

    async def _publish_marked(self, marks: str) -> Begun:
        """Publish them all or none; waits while another process has the mark; for one that died, until its lease ends."""
        async with self._provider.subscribe(marks, "init", 1) as subscription:
            if not await subscription.depth():
                if self._left:
                    return Begun(published=False, left=self._left)
                await self._provider.publish(marks, self._roots.mark(len(self._messages)))
            taken = await _taken(marks, subscription)
            for mark in taken:
                await self._publish_all(as_frame(mark.message))
                await subscription.settle([mark])
            return Begun(published=bool(taken), left=self._left)

    async def _publish_all(self, mark: Frame | None) -> None:
        for number, message in enumerate(self._messages):
            message_id = None if mark is None else _following(mark, number + 1)
            frame = self._roots.frame(message.payload, message.headers, message.key, message_id)
            await self._publish(message.route, frame)


async def _taken(marks: str, subscription: Subscription) -> Sequence[Delivery]:
    """The mark; nothing if another process has it until it has published them."""
    waits = False
    while await subscription.depth():
        with trio.move_on_after(POLL_SECONDS):
            return await subscription.receive(1)
        if not waits:
            waits = True
            logger.warning(
                "another process is publishing the init messages, or died of it and its lease on %r must end first; "
                "waiting for that",
                marks,
            )
    return ()


def what_is_left(begun: Begun) -> str:
    """Say how much a start found left to do: messages, and stages that have not finished."""
    messages = begun.left - begun.unfinished
    parts = [f"{messages:,} message{'s' * (messages != 1)}"] if messages else []
    if begun.unfinished:
        parts.append(
            f"{begun.unfinished:,} stage{'s that have' if begun.unfinished != 1 else ' that has'} not finished"
        )
    return " and ".join(parts) or "nothing to handle"


def _going_on(begun: Begun, messages: int) -> str:
    init = "init message is" if messages == 1 else f"{messages} init messages are"
    if begun.left:
        return f"the execution goes on with what is left, {what_is_left(begun)}; its {init} not published again"
    why = "another process has begun it, or it was not ended when its process died"
    return f"the execution goes on, with nothing left to handle: {why}; its {init} not published again"


def _following(mark: Frame, number: int) -> bytes:
    """An id that was reserved with the mark's."""
    return ((int.from_bytes(mark.message_id) + number) % (1 << 128)).to_bytes(16)
