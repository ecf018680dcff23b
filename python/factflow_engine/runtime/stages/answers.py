"""Answers of a stage with a stored state to messages that are not acknowledged yet.

Its state holds their effects, so it must not be asked of them again: not after a crash, when they are delivered anew, nor
when a later stage fails and they are tried again. Until the delivery that a message belongs to is acknowledged, the stage
gives the same answer again without its adapter. Costs one small entry a message for that time, and what the stage made of
it if it changed it.

Kept separate from the stage because most stages have none of this, and the loop calls both alike.
"""

from collections.abc import Awaitable, Callable, Iterator
from typing import Any, Final

import trio

from factflow_engine.errors import describe
from factflow_engine.frames import Frame, pack, unpack
from factflow_engine.native import MessageContext
from factflow_engine.runtime.stages.results import LazyResultError, pack_result, unpack_result
from factflow_protocols import AdapterResult, Reject, StoredAnswer

_REFUSED: Final = b"4"
"""First byte of an answer that is no result; a packed text follows."""

Call = Callable[[MessageContext], Awaitable[AdapterResult | None]]


class Roots:
    """Which delivery the messages belong to that stages of one route emit.

    Costs one entry for each message that emits, until its delivery is acknowledged.
    """

    def __init__(self) -> None:
        self._roots: dict[bytes, bytes] = {}  # of those that emitted
        self._emitters: dict[bytes, list[bytes]] = {}  # by delivery

    def emits(self, message_id: bytes, root: bytes) -> None:
        """Note that a message emits, and the delivery that it belongs to."""
        if message_id not in self._roots:
            self._roots[message_id] = root
            self._emitters.setdefault(root, []).append(message_id)

    def root_of(self, frame: Frame) -> bytes:
        """The delivery that a message belongs to, which may be its own."""
        parent = frame.parent_id
        return frame.message_id if parent is None else self._roots.get(parent, frame.message_id)

    def forget(self, root: bytes) -> None:
        """Forget what a delivery led to."""
        for emitter in self._emitters.pop(root, ()):
            self._roots.pop(emitter, None)


class Answers:
    """The answers of one stage.

    Attributes:
        stage: The stage's name.
    """

    def __init__(self, stage: str, call: Call, roots: Roots, *, in_thread: bool) -> None:
        """Prepare.

        Args:
            stage: The stage's name.
            call: Asks the adapter.
            roots: Of the stage's route.
            in_thread: True if the adapter works in a thread, where its state may change at any time.
        """
        self.stage: Final = stage
        self._ask = call
        self._roots = roots
        self._in_thread = in_thread
        self._answers: dict[bytes, bytes] = {}
        self._by_root: dict[bytes, list[bytes]] = {}
        self._fresh: dict[bytes, bytes] = {}  # message id to root, of those that are not stored
        self._running = 0  # calls in threads
        self._held_up = False  # no call may begin in a thread
        self._changed = trio.lowlevel.ParkingLot()

    @property
    def roots(self) -> Iterator[bytes]:
        """The deliveries, none acknowledged, whose effects are in the stage's state."""
        return iter(self._by_root)

    async def call(self, context: MessageContext) -> AdapterResult | None:
        """Ask the adapter, or give the answer that it has given before.

        Raises:
            Reject: The adapter has answered with what cannot be remembered, now or before.

        Cancellation: as the adapter's; nothing is remembered of a call that did not return.
        """
        message_id = context.frame.message_id
        known = self._answers.get(message_id)
        if known is not None:
            return _result_of(known)
        result = await (self._call_in_thread(context) if self._in_thread else self._ask(context))
        # No checkpoint since the adapter returned: its state and this change together.
        answer = _answer_of(result)
        root = self._roots.root_of(context.frame)
        self._answers[message_id] = answer
        self._by_root.setdefault(root, []).append(message_id)
        self._fresh[message_id] = root
        return result if answer[:1] != _REFUSED else _result_of(answer)

    async def _call_in_thread(self, context: MessageContext) -> AdapterResult | None:
        while self._held_up:
            await self._changed.park()
        self._running += 1
        try:
            return await self._ask(context)
        finally:
            self._running -= 1
            self._changed.unpark_all()  # of those that wait there is at most one

    async def hold_up(self) -> None:
        """Let no call begin in a thread, and wait for those that have; `go_on` must follow.

        Between two of trio's steps nothing changes the state of an adapter that works on the event loop.
        """
        if self._in_thread:
            self._held_up = True
            while self._running:
                await self._changed.park()

    def go_on(self) -> None:
        """Let calls begin again."""
        if self._held_up:
            self._held_up = False
            self._changed.unpark_all()

    def take_fresh(self, settled: frozenset[bytes]) -> list[StoredAnswer]:
        """The answers that were not stored yet, without those of these deliveries, which are about to be acknowledged."""
        fresh, self._fresh = self._fresh, {}
        return [
            StoredAnswer(stage=self.stage, message_id=message_id, root=root, answer=self._answers[message_id])
            for message_id, root in fresh.items()
            if root not in settled
        ]

    def load(self, answer: StoredAnswer) -> None:
        """Learn of an answer that was stored by this process or an earlier one."""
        if answer.message_id not in self._answers:
            self._answers[answer.message_id] = answer.answer
            self._by_root.setdefault(answer.root, []).append(answer.message_id)

    def forget(self, root: bytes) -> None:
        """Forget the answers for a delivery that was acknowledged."""
        for message_id in self._by_root.pop(root, ()):
            self._answers.pop(message_id, None)
            self._fresh.pop(message_id, None)


def _answer_of(result: Any) -> bytes:
    try:
        return pack_result(result)
    except LazyResultError as lazy:
        return _refusal(
            f"a stage with snapshot() must emit a list, got {lazy}: what is emitted lazily "
            "cannot be remembered; write AdapterResult(emitted=[...])"
        )
    except TypeError as error:
        return _refusal(str(error) if type(result) is not AdapterResult else describe(error))
    except Exception as error:  # noqa: BLE001 - what it gave is no message, whatever the reason
        return _refusal(describe(error))


def _result_of(answer: bytes) -> AdapterResult | None:
    if answer[:1] != _REFUSED:
        return unpack_result(answer)
    reason: Any = unpack(answer[1:])
    raise Reject(reason)


def _refusal(text: str) -> bytes:
    return _REFUSED + pack(text)
