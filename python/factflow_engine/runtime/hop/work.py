"""Messages that begin within a route, and the parents whose end waits for them.

Kept separate from `route_state` because `delays`, `settlement` and `fan_out` use them without their route.
"""

from typing import Final

from factflow_engine.frames import Frame
from factflow_engine.native import Child, Family
from factflow_engine.runtime.stages.stage import Stage


class Parent(Family):
    """A message whose stage emitted children: it ends when the source is exhausted and all children have ended.

    Attributes:
        frame: The parent.
        child: The parent as a child, if it is one or was tried before; None if it came from the queue.
        open: Number of children that have not ended.
        exhausted: True if nothing more will be pulled. Both are counted natively as well (see `Family`).
        error: Error of the source, and its stage.
        emitted: Number of its children, once the source was closed.
        interrupted: True if the parent or a child was cancelled: the parent is given back, whatever else happened.
    """

    __slots__ = ("child", "emitted", "error", "frame", "interrupted")

    def __init__(self, frame: Frame, child: Child | None) -> None:
        self.frame = frame
        self.child = child
        self.error: tuple[Exception, Stage] | None = None
        self.interrupted = False
        self.emitted = 0

    @property
    def root(self) -> Frame:
        """The message from the queue that led to this one; one that `finish` emitted counts as such."""
        top, child = self.frame, self.child
        while child is not None and child.parent is not None:
            top, child = child.parent.frame, child.parent.child
        return top


__all__ = ["DETACHED", "Child", "Parent"]

DETACHED: Final = Parent(Frame.create(b"\xc0", message_id=bytes(16)), None)
"""Parent of messages from no queue and no parent, which stages emit in `finish`."""
