"""Dead letters of a durable queue as the commands read them: newest first, and no more of each than is needed.

Kept separate from `durable_queue`, which opens the store, because the commands on queues need nothing of this.
"""

import os
from collections import Counter
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Final

from factflow_engine.cli.failure_groups import FailureGroup, FailureGroups, failure_key
from factflow_engine.cli.selection import Selection
from factflow_engine.config.hiding import Hiding
from factflow_engine.config.secret_variables import is_secret
from factflow_engine.errors import CodecError, TruncatedError
from factflow_engine.frames import Frame
from factflow_engine.native import peeked_frame
from factflow_engine.queues.dead_letters import DeadLetter, read_dead_letter
from factflow_engine.runtime.report import PREVIEW_MAX_BYTES, FailureRecord, preview_of
from factflow_protocols import MessageState, QueueAdministration, QueueError, StoredMessage, StoredName

HEAD_BYTES: Final = 4_096
"""Bytes of a message that are read to know why it was given up; the whole, if its headers are longer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundLetter:
    """A dead letter that was read.

    Attributes:
        name: Its number and id.
        state: Its state in the queue.
        letter: The letter; its frame has no payload if `payload_bytes` is given.
        payload_bytes: Size of a payload that was not read; None if it was.
    """

    name: StoredName
    state: MessageState
    letter: DeadLetter
    payload_bytes: int | None


class Census:
    """Counts of the messages of a queue while they are read.

    Attributes:
        letters: Number of dead letters.
        selected: Number of those that the selection takes, whatever its limit.
        others: Messages that are no dead letters, or damaged.
        error_types: Number of the selected letters by class of the error.
        groups: The selected letters by stage, error and place; the sample is the newest.
    """

    def __init__(self, selection: Selection) -> None:
        self.letters = self.selected = 0
        self.others: list[StoredName] = []
        self.error_types: Counter[str] = Counter()
        self.groups: FailureGroups[FoundLetter] = FailureGroups()
        self._selection = selection
        self._all_types: set[str] = set()

    async def take(self, queues: QueueAdministration, queue: str) -> AsyncGenerator[FoundLetter, None]:
        """Yield the selected letters of a queue, newest first, each after it was counted; not further than is asked for."""
        most_bytes = None if self._selection.condition is not None else HEAD_BYTES
        browsed = queues.browse(queue, newest_first=True, most_bytes=most_bytes)
        try:
            async for stored in browsed:
                found = await _found(queues, queue, stored)
                if self._selects(stored, found) and found is not None:
                    yield found
        finally:
            if isinstance(browsed, AsyncGenerator):
                await browsed.aclose()

    def _selects(self, stored: StoredMessage, found: FoundLetter | None) -> bool:
        """Count a message; True if it is a selected letter."""
        if found is None:
            self.others.append(StoredName(stored.seq, stored.message_id))
            return False
        self.letters += 1
        self._all_types.add(found.letter.error_type)
        if not self._selection.takes(found.letter):
            return False
        self.selected += 1
        self.error_types[found.letter.error_type] += 1
        self.groups.add(failure_key(found.letter), found)
        return True

    @property
    def unknown_types(self) -> str:
        """Hint on selected classes of errors that no letter has; empty if there is none."""
        unknown = sorted(self._selection.error_types - self._all_types)
        if not unknown:
            return ""
        known = ", ".join(sorted(self._all_types)) or "none"
        return f"no dead letter has the error type {' or '.join(unknown)}; there are {known}"


async def _found(queues: QueueAdministration, queue: str, stored: StoredMessage) -> FoundLetter | None:
    """Return the dead letter; None if the message is none, or is damaged."""
    try:
        try:
            frame, size = _frame(stored.frame)
        except TruncatedError:
            whole = await queues.one(queue, stored.seq)
            frame, size = _frame(stored.frame if whole is None else whole.frame)
        letter = read_dead_letter(queue, frame)
    except (QueueError, CodecError):
        return None
    name = StoredName(stored.seq, stored.message_id)
    return FoundLetter(name=name, state=stored.state, letter=letter, payload_bytes=size)


def _frame(data: bytes) -> tuple[Frame, int | None]:
    """Return a frame and None, or one without its payload and the payload's size.

    Raises:
        CodecError: It is damaged, or ends within its headers.
    """
    try:
        return Frame.decode(data), None
    except TruncatedError:
        return peeked_frame(data)


class Reader:
    """Reads letters again for people and programs: with the beginning of the payload, without secrets of the environment.

    Args:
        queues: Administration of the store.
        queue: Queue of the letters.
    """

    def __init__(self, queues: QueueAdministration, queue: str) -> None:
        self._queues = queues
        self._queue = queue
        self._hidden = Hiding({value: f"${{{name}}}" for name, value in os.environ.items() if is_secret(name, value)})

    def key(self, found: FoundLetter) -> str | None:
        """Return the key of a letter; None if it has none."""
        key = found.letter.frame.key
        return None if key is None else self._hidden(key)

    async def record(self, found: FoundLetter) -> FailureRecord:
        """Return a letter as reports show failures; a payload that is not too large for a preview is read."""
        letter = found.letter
        return FailureRecord(
            route=letter.route,
            stage=letter.stage or None,
            error_type=letter.error_type,
            error=self._hidden(letter.error),
            message_id=found.name.message_id.hex(),
            correlation_id=letter.frame.correlation_id.hex(),
            attempts=letter.attempts,
            place=letter.place,
            payload_preview=await self._preview(found),
        )

    async def largest(self, census: Census, most: int) -> list[FailureGroup[FailureRecord]]:
        """Return the largest groups of a census, each with its sample."""
        return [FailureGroup(await self.record(group.sample), group.count) for group in census.groups.largest(most)]

    async def _preview(self, found: FoundLetter) -> str:
        frame, size = found.letter.frame, found.payload_bytes
        if size is not None and size <= PREVIEW_MAX_BYTES:
            stored = await self._queues.one(self._queue, found.name.seq)
            if stored is None:
                return "<taken by somebody meanwhile>"
            try:
                frame, size = Frame.decode(stored.frame), None
            except CodecError:
                return "<damaged>"
        return preview_of(frame.payload, self._hidden) if size is None else f"<{size} bytes>"
