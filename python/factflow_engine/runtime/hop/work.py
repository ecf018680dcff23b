"""Messages that begin within a route, and the parents whose end waits for them.

Kept separate from `route_state` because `delays`, `settlement` and `fan_out` use them without their route.
"""

from typing import Final

from factflow_engine.frames import Frame
from factflow_engine.runtime.stages.stage import Stage
from factflow_protocols import AdapterResult


class Parent:
    """A message whose stage emitted children: it ends when the source is exhausted and all children have ended.

    Attributes:
        frame: The parent.
        child: The parent as a child, if it is one or was tried before; None if it came from the queue.
        open: Number of children that have not ended.
        exhausted: True if nothing more will be pulled.
        error: Error of the source, and its stage.
        interrupted: True if the parent or a child was cancelled: the parent is given back, whatever else happened.
    """

    __slots__ = ("child", "error", "exhausted", "frame", "interrupted", "open")

    def __init__(self, frame: Frame, child: "Child | None") -> None:
        self.frame = frame
        self.child = child
        self.open = 0
        self.exhausted = False
        self.error: tuple[Exception, Stage] | None = None
        self.interrupted = False

    @property
    def root(self) -> Frame:
        """The message from the queue that led to this one; one that `finish` emitted counts as such."""
        top, child = self.frame, self.child
        while child is not None and child.parent is not None:
            top, child = child.parent.frame, child.parent.child
        return top


class Child:
    """A message that is not taken from the inbound queue: a stage emitted it, or it is retried.

    Attributes:
        frame: Its frame.
        index: The stage to begin at, or the stage of `result` if that is given.
        parent: Its parent; None for a message that originally came from the inbound queue.
        result: Result that the stage at `index` has returned for it already (from `finish`).
        since_ns: Time from which on it may begin, if it waits for a worker.
        deferrals: Number of times that adapters have deferred it.
        deferred_ns: Time of the first deferral, by the loop's clock; meaningless before.
    """

    __slots__ = ("deferrals", "deferred_ns", "frame", "index", "parent", "result", "since_ns")

    def __init__(
        self, frame: Frame, index: int, parent: Parent | None, result: AdapterResult | None = None, *, since_ns: int = 0
    ) -> None:
        self.frame = frame
        self.index = index
        self.parent = parent
        self.result = result
        self.since_ns = since_ns
        self.deferrals = self.deferred_ns = 0

    def retried(self, frame: Frame) -> "Child":
        """Return the message for another attempt, with that attempt's frame."""
        child = Child(frame, self.index, self.parent, self.result)
        child.deferrals, child.deferred_ns = self.deferrals, self.deferred_ns
        return child


DETACHED: Final = Parent(Frame.create(b"\xc0", message_id=bytes(16)), None)
"""Parent of messages from no queue and no parent, which stages emit in `finish`."""
