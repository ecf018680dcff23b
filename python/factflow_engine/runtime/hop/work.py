"""Messages that are begun within a route, and the parents whose end waits for them.

Kept separate from `route` because what waits (`delays`), what ends (`settlement`) and what emits (`fan_out`) speak of them
without the route that they are on.
"""

from typing import Final

from factflow_engine.frames import Frame
from factflow_engine.runtime.stages.stage import Stage
from factflow_protocols import AdapterResult


class Parent:
    """A message whose stage emitted children: it ends when the source is exhausted and all children have ended.

    Attributes:
        frame: The parent.
        child: The parent's own place, if it is a child itself or was tried before; None if it came from the queue.
        open: Children that have not ended.
        exhausted: Nothing more will be pulled.
        error: What the source raised, and the stage it belongs to.
        interrupted: The parent or a child was cancelled: the parent goes back, whatever else happened.
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
        """The message that came from the queue and led to this one; what a stage says at its end counts as one."""
        top, child = self.frame, self.child
        while child is not None and child.parent is not None:
            top, child = child.parent.frame, child.parent.child
        return top


class Child:
    """A message that does not begin with its being taken from the inbound queue: a stage emitted it, or it is tried again.

    Attributes:
        frame: Its frame.
        index: The stage to begin at; of `result` if that is given.
        parent: Whose child it is; None for one that came from the inbound queue at first.
        result: What the stage at `index` already returned for it (what a stateful stage said at the end).
        since_ns: Since when it may begin, if it waits for a worker.
        deferrals: How many times adapters have deferred it.
        deferred_ns: When they did so first, in the loop's time; says nothing before.
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
        """The same message for another attempt, with that attempt's frame."""
        child = Child(frame, self.index, self.parent, self.result)
        child.deferrals, child.deferred_ns = self.deferrals, self.deferred_ns
        return child


DETACHED: Final = Parent(Frame.create(b"\xc0", message_id=bytes(16)), None)
"""The parent of messages that come from no queue and no parent: what stateful stages say at the end."""
