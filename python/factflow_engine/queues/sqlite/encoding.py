"""Messages in the form in which they are stored.

Kept separate from the requests because messages are encoded before a request is made, outside the thread that runs it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, cast

from factflow_engine.errors import CodecError
from factflow_engine.frames import Frame
from factflow_engine.native import encoded_frames
from factflow_protocols import QueueError, QueueMessage

MOST_MESSAGES: Final = 1_000
MOST_BYTES: Final = 4 << 20
"""Most bytes of one request to the writer; longer batches are published in parts."""

_LONGEST_FRAME: Final = 64 << 20
"""Longest frame that `Frame.decode` accepts."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """Messages as they are stored, in order.

    Attributes:
        ids: Of each.
        frames: The bytes of each.
    """

    ids: Sequence[bytes]
    frames: Sequence[bytes]

    def part(self, places: slice) -> "Encoded":
        """Return some of them."""
        return Encoded(self.ids[places], self.frames[places])

    def at(self, places: Sequence[int]) -> "Encoded":
        """Return those at some places, in that order; all, in their own, if there are as many."""
        if len(places) == len(self.ids):
            return self
        return Encoded([self.ids[place] for place in places], [self.frames[place] for place in places])

    @property
    def size(self) -> int:
        """Bytes of all frames."""
        return sum(map(len, self.frames))


def encoded_messages(queue: str, messages: Sequence[QueueMessage]) -> tuple[Encoded, dict[int, Exception]]:
    """Return the messages to store, and why the others, by their places, cannot be."""
    frames = list(messages)
    if set(map(type, frames)) == {Frame}:
        encoded = Encoded(*encoded_frames(cast("list[Frame]", frames)))
        if max(map(len, encoded.frames)) <= _LONGEST_FRAME:
            return encoded, {}
    errors: dict[int, Exception] = {}
    found: list[Encoded] = []
    for place, message in enumerate(frames):
        try:
            found.append(encoded_message(queue, message))
        except QueueError as error:
            errors[place] = error
    return Encoded([each.ids[0] for each in found], [each.frames[0] for each in found]), errors


def encode_all(queue: str, messages: Sequence[QueueMessage]) -> Encoded:
    """Return the messages as they are stored.

    Raises:
        QueueError: One cannot be stored.
    """
    encoded, errors = encoded_messages(queue, messages)
    for error in errors.values():
        raise error
    return encoded


def encoded_message(queue: str, message: QueueMessage) -> Encoded:
    """Return one message as it is stored; a message of another implementation is checked first.

    Raises:
        QueueError: The bytes are not a frame, or are longer than a consumer accepts.
    """
    frame = message.encode()
    if len(frame) > _LONGEST_FRAME:
        raise QueueError(queue, f"a message of {len(frame):,} bytes is longer than the {_LONGEST_FRAME:,} that fit")
    if isinstance(message, Frame):
        return Encoded([message.message_id], [frame])
    try:
        return Encoded([Frame.decode(frame).message_id], [frame])
    except CodecError as error:
        raise QueueError(queue, f"a message does not encode to a frame: {error}") from error
