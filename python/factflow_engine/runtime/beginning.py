"""The init messages of an execution on a durable queue: all of them, once, whenever its process dies.

Apart from the orchestrator because several messages cannot be stored in one step: a mark in a queue of its own says
that they are under way, and gives them their ids, so that whoever finds it begins again without storing one twice.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Final

import trio

from factflow_engine.frames import Frame
from factflow_engine.queues.memory import as_frame
from factflow_engine.runtime.containment import FaultError, contained
from factflow_engine.runtime.entrance import Roots
from factflow_protocols import Delivery, QueueProtocol, Subscription

if TYPE_CHECKING:
    from factflow_engine.config import InitMessageConfig

logger = logging.getLogger("factflow_engine.runtime")

MARKS: Final = "init-mark"
"""Name, within the execution, of the queue with the mark; none that a configuration can use."""

POLL_SECONDS: Final = 0.25
"""How soon it is noticed that another process has published them."""


class Beginning:
    """Publishes init messages.

    Args:
        messages: In order.
        roots: Makes frames.
        publish: Gives one to a route.
        provider: Where messages wait outside the process, if they do.
        marks: Name of the mark's queue there, if the execution may be gone on with after a crash.
        left: Asks how many messages the provider holds for the execution.
        on_death: Told what was being done, and why the provider could not do it.
    """

    def __init__(
        self,
        messages: Sequence[InitMessageConfig],
        *,
        roots: Roots,
        publish: Callable[[str, Frame], Awaitable[None]],
        provider: QueueProtocol,
        marks: str | None,
        left: Callable[[], Awaitable[int]] | None,
        on_death: Callable[[str, BaseException], None],
    ) -> None:
        self._messages = messages
        self._roots = roots
        self._publish = publish
        self._provider = provider
        self._marks = marks
        self._ask = left
        self._on_death = on_death
        self._left = 0

    async def look(self) -> None:
        """See whether messages of an earlier execution of this id are left; to be called before any is carried."""
        try:
            self._left = 0 if self._ask is None else await contained(self._ask())
        except FaultError as fault:
            self._on_death("asking what is left", fault.error)

    async def publish(self) -> None:
        """Publish them, unless messages of an earlier execution of this id were left: then that goes on.

        Cancellation: some of them may have been published; where an execution may be gone on with, after the end of the
        process, too, the next one publishes the rest.
        """
        try:
            if self._marks is not None and len(self._messages) > 1:
                await contained(self._publish_marked(self._marks))
            elif not self._left:
                await contained(self._publish_all(None))
        except FaultError as fault:
            self._on_death("publishing the init messages", fault.error)

    async def _publish_marked(self, marks: str) -> None:
        """Publish them all or none; waits while another process has the mark; for one that died, until its lease ends."""
        async with self._provider.subscribe(marks, "init", 1) as subscription:
            if not await subscription.depth():
                if self._left:
                    return
                await self._provider.publish(marks, self._roots.mark(len(self._messages)))
            for mark in await _taken(marks, subscription):
                await self._publish_all(as_frame(mark.message))
                await subscription.settle([mark])

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


def _following(mark: Frame, number: int) -> bytes:
    """An id that was reserved with the mark's."""
    return ((int.from_bytes(mark.message_id) + number) % (1 << 128)).to_bytes(16)
