"""How a message ends, or un-begins: its outcome is booked, its parent told, or it goes back to where it came from.

Apart from the loop because nothing here awaits: whatever ends a message ends it in one step, between two of trio's.
"""

from collections.abc import Callable
from typing import Final

from factflow_engine.frames import Frame
from factflow_engine.native import MessageContext, Worker
from factflow_engine.runtime.lane import DETACHED, Family, Lane
from factflow_engine.runtime.report import HeldMessage, Outcome
from factflow_engine.runtime.stage import Stage
from factflow_protocols import QueueFullError

OnFailure = Callable[[Lane, Stage | None, Frame, bytes | None, Exception], None]


class UnroutedError(Exception):
    """No outbound's condition held, and the route says that such a message fails."""

    def __init__(self) -> None:
        super().__init__("no outbound took the message and the route has `unrouted: fail`")


class Settlement:
    """Ends the messages of one execution.

    Attributes:
        given_back: What was interrupted in an adapter, and had been there for how long.
    """

    def __init__(self, *, on_failure: OnFailure, now: Callable[[], int]) -> None:
        self.given_back: Final[list[HeldMessage]] = []
        self._on_failure = on_failure
        self._now = now

    def end(self, lane: Lane, family: Family | None, outcome: Outcome) -> None:
        """Book an outcome and tell the parent; what came from the queue is acknowledged by being booked."""
        lane.count(outcome)
        if family is not None:
            self.end_child(lane, family)

    def fail(self, lane: Lane, context: MessageContext, family: Family | None, error: Exception) -> None:
        """End a message for which a stage, or the way out of its route, has raised."""
        self._on_failure(lane, context.stage_of, context.frame, context.payload, error)
        self.end(lane, family, Outcome.FAILED)

    def end_child(self, lane: Lane, family: Family) -> None:
        """Tell the family that one of its children has ended, and was counted."""
        if family is not DETACHED:
            family.open -= 1
            self.end_family(lane, family)

    def end_family(self, lane: Lane, family: Family) -> None:
        """End the parent if nothing of it is left to do."""
        if family.open or not family.exhausted:
            return
        if family.interrupted:
            self.give_back(lane, family.frame, family.above)
        elif family.error is not None:
            error, stage = family.error
            self._on_failure(lane, stage, family.frame, None, error)
            self.end(lane, family.above, Outcome.FAILED)
        else:
            self.end(lane, family.above, Outcome.COMPLETED)

    def interrupt(self, worker: Worker, lane: Lane, context: MessageContext, family: Family | None) -> None:
        """Note who was interrupted, and give the message back."""
        self.note(worker, lane, context)
        self.give_back(lane, context.frame, family)

    def note(self, worker: Worker, lane: Lane, context: MessageContext) -> None:
        """Note who was interrupted where."""
        self.given_back.append(
            HeldMessage(
                route=lane.id,
                stage=context.stage,
                message_id=context.message_id,
                seconds=(self._now() - worker.since_ns) / 1e9,
            )
        )

    def give_back(self, lane: Lane, frame: Frame, family: Family | None) -> None:
        """Un-begin a message: it goes back to its queue, or takes its parent back with it."""
        lane.books.received -= 1
        if family is None:
            lane.inbox.give_back(frame)
        elif family is not DETACHED:
            family.open -= 1
            family.interrupted = True
            self.end_family(lane, family)


def stranded(lane: Lane) -> Exception:
    """Why a message that has passed all stages could not leave the lane."""
    for outlet in lane.outlets:
        for channel in outlet.channels:
            if channel.is_full and not channel.listeners:
                return QueueFullError(
                    outlet.queue, f"holds {channel.waiting} messages, which is its capacity, and nobody reads it"
                )
    return UnroutedError()
