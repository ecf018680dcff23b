"""Answers of a stage with a stored state to messages that are not acknowledged yet.

The state includes the effects of these messages, so the adapter must not process them again: neither after a crash,
when they are delivered again, nor when a later stage fails and they are retried. Until the delivery that a message
belongs to is acknowledged, the stage repeats its answer without calling its adapter. This costs one small entry a
message for that time, and the result if it changed the message.

Kept separate from the stage because most stages do not need it, and the loop calls both in the same way.
"""

from collections.abc import Awaitable, Callable, Iterator
from typing import Any, Final

import trio

from factflow_engine.error_texts import describe
from factflow_engine.frames import Frame, pack, unpack
from factflow_engine.native import MessageContext
from factflow_engine.runtime.stages.results import LazyResultError, pack_result, unpack_result
from factflow_protocols import AdapterResult, Reject, StoredAnswer

_REFUSED: Final = b"4"
"""First byte of an answer that is a refusal; a packed text follows."""

Call = Callable[[MessageContext], Awaitable[AdapterResult | None]]


class Roots:
    """Map from the messages that stages of one route emit to their deliveries.

    Costs one entry for each message that emits, until its delivery is acknowledged.
    """

    def __init__(self) -> None:
        self._roots: dict[bytes, bytes] = {}  # of messages that emitted
        self._emitters: dict[bytes, list[bytes]] = {}  # by delivery

    def emits(self, message_id: bytes, root: bytes) -> None:
        """Note that a message emits, and the delivery that it belongs to."""
        if message_id not in self._roots:
            self._roots[message_id] = root
            self._emitters.setdefault(root, []).append(message_id)

    def root_of(self, frame: Frame) -> bytes:
        """Return the delivery that a message belongs to, which may be its own."""
        parent = frame.parent_id
        return frame.message_id if parent is None else self._roots.get(parent, frame.message_id)

    def forget(self, root: bytes) -> None:
        """Forget the messages of a delivery."""
        for emitter in self._emitters.pop(root, ()):
            self._roots.pop(emitter, None)


class Answers:
    """Stored answers of one stage.

    Attributes:
        stage: The stage's name.
    """

    def __init__(self, stage: str, call: Call, roots: Roots, *, in_thread: bool) -> None:
        """Prepare.

        Args:
            stage: The stage's name.
            call: Calls the adapter.
            roots: Roots of the stage's route.
            in_thread: True if the adapter runs in a thread, where its state may change at any time.
        """
        self.stage: Final = stage
        self._ask = call
        self._roots = roots
        self._in_thread = in_thread
        self._answers: dict[bytes, bytes] = {}
        self._by_root: dict[bytes, list[bytes]] = {}
        self._fresh: dict[bytes, bytes] = {}  # message id to root, of those that are not stored
        self._running = 0  # calls in threads
        self._held_up = False  # True if no call may begin in a thread
        self._changed = trio.lowlevel.ParkingLot()

    @property
    def roots(self) -> Iterator[bytes]:
        """Deliveries, none acknowledged, whose effects are in the stage's state."""
        return iter(self._by_root)

    async def call(self, context: MessageContext) -> AdapterResult | None:
        """Call the adapter, or repeat an earlier answer.

        Raises:
            Reject: The adapter's answer, now or earlier, cannot be stored.

        Cancellation: as the adapter's; a call that did not return stores nothing.
        """
        message_id = context.frame.message_id
        known = self._answers.get(message_id)
        if known is not None:
            return _result_of(known)
        result = await (self._call_in_thread(context) if self._in_thread else self._ask(context))
        # No checkpoint since the adapter returned: its state and this entry change together.
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
            self._changed.unpark_all()  # at most one task waits

    async def hold_up(self) -> None:
        """Block new calls in threads, and wait for running ones; `go_on` must follow.

        The state of an adapter on the event loop does not change between two of trio's steps.
        """
        if self._in_thread:
            self._held_up = True
            while self._running:
                await self._changed.park()

    def go_on(self) -> None:
        """Allow calls again."""
        if self._held_up:
            self._held_up = False
            self._changed.unpark_all()

    def take_fresh(self, settled: frozenset[bytes]) -> list[StoredAnswer]:
        """Return unsaved answers, except those to these deliveries, which are about to be acknowledged."""
        fresh, self._fresh = self._fresh, {}
        return [
            StoredAnswer(stage=self.stage, message_id=message_id, root=root, answer=self._answers[message_id])
            for message_id, root in fresh.items()
            if root not in settled
        ]

    def load(self, answer: StoredAnswer) -> None:
        """Load an answer that this process or an earlier one stored."""
        if answer.message_id not in self._answers:
            self._answers[answer.message_id] = answer.answer
            self._by_root.setdefault(answer.root, []).append(answer.message_id)

    def forget(self, root: bytes) -> None:
        """Forget the answers to a delivery that was acknowledged."""
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
