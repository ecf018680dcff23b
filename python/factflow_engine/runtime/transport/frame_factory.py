"""The frames of messages that nothing led to: published from outside, said by a stage at its end, or marks.

Kept separate from the transports because both make the same frames, and so does whoever completes an execution.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from factflow_engine.frames import Frame, pack
from factflow_engine.native import Batch
from factflow_engine.seams import Seams


class FrameFactory:
    """Maker of frames with the ids and times of one execution's seams."""

    def __init__(self, seams: Seams) -> None:
        self._seams = seams

    def frame(
        self,
        payload: Any,
        headers: Mapping[str, Any] | None = None,
        key: str | None = None,
        message_id: bytes | None = None,
    ) -> Frame:
        """Return a message's frame, with an id of its own if none is given.

        Raises:
            CodecError: The payload is nothing that a message can carry.
            TypeError: The key is not a string.
        """
        if key is not None and not isinstance(key, str):
            raise TypeError(f"key= needs a string or None, got {type(key).__name__}; write key=str(...)")
        wall_ns = self._seams.clock.wall_ns()
        message_id = message_id or self._seams.ids.new(wall_ns)
        return Frame.create(pack(payload), message_id=message_id, time_ns=wall_ns, key=key, headers=headers)

    def mark(self, count: int) -> Frame:
        """Return the frame of a message that stands for `count` others; the ids that follow its own are theirs."""
        wall_ns = self._seams.clock.wall_ns()
        return Frame.create(pack(count), message_id=self._seams.ids.reserve(wall_ns, count + 1), time_ns=wall_ns)

    def batch(self, payloads: Sequence[Any]) -> Batch:
        """Return the frames of many messages, which are made as they are poured."""
        wall_ns = self._seams.clock.wall_ns()
        return Batch(payloads, first_id=self._seams.ids.reserve(wall_ns, len(payloads)), time_ns=wall_ns)
