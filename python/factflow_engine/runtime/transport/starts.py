"""Starts of an execution: publish all its init messages exactly once, whenever the process dies.

Kept separate from the transports because several processes may start one id. A provider with `ExecutionStarts` decides
and publishes in one step. Other providers cannot store several messages in one step: a mark in a queue of its own says
that they are being published, and gives them their ids, so that a process that finds the mark starts again without
storing a message twice; two processes that start at the same time may both find nothing there.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

import trio

from factflow_engine.frames import Frame, label_of, pack
from factflow_engine.queues.channel import as_frame
from factflow_engine.runtime.transport.frame_factory import FrameFactory
from factflow_protocols import Begun, Delivery, ExecutionStarts, QueueProtocol, Subscription

if TYPE_CHECKING:
    from factflow_engine.config import InitMessageConfig

logger = logging.getLogger("factflow_engine.runtime")

MARKS: Final = "init-mark"
"""Name, within the execution, of the queue with the mark; no configuration can use it."""

_INIT: Final = label_of("init_message")
_MADE: Final = re.compile(r"[0-9a-f]{32}")

POLL_SECONDS: Final = 0.25
"""Interval for noticing that another process has published the init messages."""


class PlainStart:
    """Start that publishes one message after the other, unless something is left. See `Start` for the contract."""

    is_stored: bool = False

    def __init__(
        self,
        frames: FrameFactory,
        publish: Callable[[str, Frame], Awaitable[None]],
        left: Callable[[], Awaitable[int]],
        *,
        root: bytes | None = None,
    ) -> None:
        """Prepare.

        Args:
            frames: Factory of frames.
            publish: Publishes a frame to a route.
            left: Returns the work that an earlier execution of this id has left.
            root: Id that the ids of the init messages derive from, so that an execution that is recovered has the same
            messages again; None for new ids.
        """
        self._root = root
        self._frames = frames
        self._publish = publish
        self._ask = left
        self._left = 0

    async def look(self) -> None:
        """See `Start.look`."""
        self._left = await self._ask()

    async def begin(self, messages: Sequence[InitMessageConfig]) -> Begun:
        """See `Start.begin`."""
        if not self._left:
            await self._publish_all(messages, None)
        return Begun(published=not self._left, left=self._left)

    async def end(self, *, failed: bool) -> None:
        """See `Start.end`; the remaining messages decide."""

    async def _publish_all(self, messages: Sequence[InitMessageConfig], mark: Frame | None) -> None:
        for number, message in enumerate(messages):
            message_id = None if mark is None else _following(mark, number + 1)
            if mark is None and self._root is not None:
                root = Frame.create(pack(message.payload), message_id=self._root)
                message_id = root.child(_INIT, number).message_id
            frame = self._frames.frame(message.payload, message.headers, message.key, message_id)
            await self._publish(message.route, frame)


class MarkedStart(PlainStart):
    """Start that publishes all messages or none, if a provider stores one at a time. See `Start` for the contract."""

    def __init__(
        self,
        frames: FrameFactory,
        publish: Callable[[str, Frame], Awaitable[None]],
        left: Callable[[], Awaitable[int]],
        *,
        provider: QueueProtocol,
        marks: str,
    ) -> None:
        """Prepare; `marks` is the provider's name of the queue with the mark."""
        super().__init__(frames, publish, left)
        self._provider = provider
        self._marks = marks

    async def begin(self, messages: Sequence[InitMessageConfig]) -> Begun:
        """See `Start.begin`; waits while another process has the mark, up to the end of its lease if it died."""
        if len(messages) <= 1:  # one is published in one step
            return await super().begin(messages)
        async with self._provider.subscribe(self._marks, "init", 1) as subscription:
            if not await subscription.depth():
                if self._left:
                    return Begun(published=False, left=self._left)
                await self._provider.publish(self._marks, self._frames.mark(len(messages)))
            taken = await self._taken(subscription)
            for mark in taken:
                await self._publish_all(messages, as_frame(mark.message))
                await subscription.settle([mark])
            return Begun(published=bool(taken), left=self._left)

    async def _taken(self, subscription: Subscription) -> Sequence[Delivery]:
        """Return the mark; nothing if another process has it until it has published the messages."""
        waits = False
        while await subscription.depth():
            with trio.move_on_after(POLL_SECONDS):
                return await subscription.receive(1)
            if not waits:
                waits = True
                logger.warning(
                    "another process is publishing the init messages, or died of it and its lease on %r must end first; "
                    "waiting for that",
                    self._marks,
                )
        return ()


class OneStepStart(PlainStart):
    """Start that the provider decides and publishes in one step. See `Start` for the contract."""

    def __init__(
        self,
        frames: FrameFactory,
        publish: Callable[[str, Frame], Awaitable[None]],
        left: Callable[[], Awaitable[int]],
        *,
        starts: ExecutionStarts,
        execution: str,
        reads: Sequence[tuple[str, str]],
        queues: Mapping[str, str],
        asked_ns: int,
        owner: Callable[[], int],
    ) -> None:
        """Prepare; names are the provider's.

        Args:
            frames: Factory of frames.
            publish: Publishes a frame to a route.
            left: Returns the work that an earlier execution of this id has left.
            starts: The provider.
            execution: Prefix of the names of everything that is the execution's own.
            reads: Queue and subscription of each route.
            queues: Route to its queue.
            asked_ns: Time at which the start was requested, by the provider's clock.
            owner: Returns this process's number at the provider of stages' states; 0 without one.
        """
        super().__init__(frames, publish, left)
        self._starts = starts
        self._execution = execution
        self._reads = reads
        self._queues = queues
        self._asked_ns = asked_ns
        self._owner = owner

    async def begin(self, messages: Sequence[InitMessageConfig]) -> Begun:
        """See `Start.begin`."""
        frames = [
            (self._queues[message.route], self._frames.frame(message.payload, message.headers, message.key))
            for message in messages
        ]
        begun = await self._starts.begin(
            self._execution, self._reads, frames, asked_ns=self._asked_ns, owner=self._owner()
        )
        self.is_stored = True
        return begun

    async def end(self, *, failed: bool) -> None:
        """See `Start.end`; errors are the provider's."""
        await self._starts.end(self._execution, self._reads, failed=failed)


def root_of(execution_id: str) -> bytes | None:
    """Return the id that those of an execution's init messages derive from; None if its own id is no message's.

    Only an id that the engine has made is of one execution alone.
    """
    return bytes.fromhex(execution_id) if _MADE.fullmatch(execution_id) else None


def _following(mark: Frame, number: int) -> bytes:
    """Return an id that was reserved with the mark's."""
    return ((int.from_bytes(mark.message_id) + number) % (1 << 128)).to_bytes(16)
