"""Frames of messages without a parent: published from outside, emitted by `finish`, or marks.

Kept separate from the transports because both make the same frames, and completion does, too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from factflow_engine.frames import Frame, pack
from factflow_engine.native import Batch, Channel, Publisher
from factflow_engine.queues.channel import MemoryChannel
from factflow_engine.seams import Seams


class FrameFactory:
    """Factory of frames with the ids and times of one execution's seams."""

    def __init__(self, seams: Seams) -> None:
        self._seams = seams

    def frame(
        self,
        payload: Any,
        headers: Mapping[str, Any] | None = None,
        key: str | None = None,
        message_id: bytes | None = None,
    ) -> Frame:
        """Return a message's frame, with a new id if none is given.

        Raises:
            CodecError: The payload cannot be carried by a message.
            TypeError: The key is not a string.
        """
        if key is not None and not isinstance(key, str):
            raise TypeError(f"key= needs a string or None, got {type(key).__name__}; write key=str(...)")
        wall_ns = self._seams.clock.wall_ns()
        message_id = message_id or self._seams.ids.new(wall_ns)
        return Frame.create(pack(payload), message_id=message_id, time_ns=wall_ns, key=key, headers=headers)

    def mark(self, count: int) -> Frame:
        """Return the frame of a message that represents `count` others; the ids that follow its own are theirs."""
        wall_ns = self._seams.clock.wall_ns()
        return Frame.create(pack(count), message_id=self._seams.ids.reserve(wall_ns, count + 1), time_ns=wall_ns)

    def batch(
        self,
        payloads: Sequence[Any],
        headers: Mapping[str, Any] | None = None,
        keys: Sequence[str | None] | None = None,
    ) -> Batch | FrameBatch:
        """Return many messages to pour; without headers and keys, their frames are made natively as they are poured.

        Raises:
            CodecError: A payload cannot be carried by a message.
            TypeError: A key is not a string.
            ValueError: `keys` and `payloads` differ in length.
        """
        if headers is not None or keys is not None:
            return FrameBatch(self.frames(payloads, headers, keys))
        return self._batch(payloads)

    def publisher(self, channels: Mapping[str, list[MemoryChannel]]) -> Publisher:
        """Return what makes such frames natively and appends them, given by route the channels that its messages go to."""
        return Publisher(dict(channels), wall_ns=self._seams.clock.wall_ns, ids=self._seams.ids)

    def frames(
        self, payloads: Sequence[Any], headers: Mapping[str, Any] | None, keys: Sequence[str | None] | None
    ) -> list[Frame]:
        """Return the frames of many messages; see `batch`."""
        if isinstance(keys, str) or (keys is not None and len(keys) != len(payloads)):
            got = "a string" if isinstance(keys, str) else f"{len(keys)} keys for {len(payloads)} payloads"
            raise ValueError(f"keys= needs a sequence with one key or None for each payload, got {got}")
        if keys is None and headers is None:
            made = Channel("", len(payloads))
            self._batch(payloads).pour([made], len(payloads))
            return made.take_some(len(payloads))
        if keys is None:
            return [self.frame(payload, headers) for payload in payloads]
        return [self.frame(payload, headers, key) for payload, key in zip(payloads, keys, strict=True)]

    def _batch(self, payloads: Sequence[Any]) -> Batch:
        wall_ns = self._seams.clock.wall_ns()
        return Batch(payloads, first_id=self._seams.ids.reserve(wall_ns, len(payloads)), time_ns=wall_ns)


class FrameBatch:
    """Frames to pour, each with its own headers or key; the same interface as the native `Batch`.

    Attributes:
        ids: Ids of all of them, 32 hexadecimal digits each.
    """

    def __init__(self, frames: Sequence[Frame]) -> None:
        self.ids: Final = tuple(frame.message_id.hex() for frame in frames)
        self._frames = frames
        self._poured = 0

    @property
    def left(self) -> int:
        """Number of frames that have not been poured."""
        return len(self._frames) - self._poured

    def pour(self, channels: Sequence[MemoryChannel], limit: int) -> None:
        """Move the next frames, at most `limit`, to each of these channels."""
        last = min(self._poured + limit, len(self._frames))
        while self._poured < last:
            frame = self._frames[self._poured]
            self._poured += 1
            for channel in channels:
                channel.append(frame)
