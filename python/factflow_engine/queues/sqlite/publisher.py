"""Publishing to the file: batches in parts, each as soon as there is room for some of it.

Kept separate from the request (`publishing`), which stores the messages that fit and never waits.
"""

from collections.abc import Sequence
from itertools import accumulate, takewhile

import trio

from factflow_engine.queues.sqlite.bells import Bell, Bells
from factflow_engine.queues.sqlite.consumers import Consumers
from factflow_engine.queues.sqlite.encoding import MOST_BYTES, MOST_MESSAGES, Encoded, encoded_messages
from factflow_engine.queues.sqlite.looking import room_of
from factflow_engine.queues.sqlite.publishing import Publish
from factflow_engine.queues.sqlite.store import Look
from factflow_engine.queues.sqlite.subscription import FIRST_POLL_SECONDS, LONGEST_POLL_SECONDS
from factflow_engine.queues.sqlite.writer import Writer
from factflow_protocols import BatchResult, MessageStatus, QueueError, QueueMessage


class Publisher:
    """Publishing half of a provider."""

    def __init__(self, writer: Writer, consumers: Consumers, *, bells: Bells) -> None:
        """Prepare.

        Args:
            writer: Serial access to the file.
            consumers: Consumers of this process, which are notified of new messages.
            bells: Notifications of room in a queue.
        """
        self._writer = writer
        self._consumers = consumers
        self._bells = bells

    async def publish_batch(self, queue: str, messages: Sequence[QueueMessage]) -> BatchResult:
        """See `SqliteQueue.publish_batch`."""
        self._consumers.refuse_if_stopped(queue)
        encoded, errors = encoded_messages(queue, messages)
        places = range(len(messages)) if not errors else [n for n in range(len(messages)) if n not in errors]
        statuses: list[MessageStatus] = []
        try:
            if not places:
                await trio.lowlevel.checkpoint()
            while len(statuses) < len(places):
                statuses += await self._publish_part(queue, encoded.part(_part(encoded, len(statuses))))
        except QueueError as error:
            if not statuses:
                raise
            errors.update(dict.fromkeys(places[len(statuses) :], error))
        if errors:
            fates = dict(zip(places, statuses, strict=False))
            statuses = [fates.get(place, MessageStatus.REFUSED) for place in range(len(messages))]
        return BatchResult(statuses=statuses, errors=errors)

    async def _publish_part(self, queue: str, messages: Encoded) -> Sequence[MessageStatus]:
        """Store at least the first of the messages, waiting for room."""
        poll_seconds = FIRST_POLL_SECONDS
        bell = Bell()
        self._bells.want_room(queue, bell)
        try:
            while True:
                self._consumers.refuse_if_stopped(queue)
                rings = bell.rings
                published = await self._writer.submit(Publish(queue, messages))
                self._consumers.tell_arrived(published.added)
                if published.statuses:
                    return published.statuses
                while not await bell.wait(rings, poll_seconds):
                    if await self._writer.submit(Look(lambda store: room_of(store, queue), queue)):
                        break
                    poll_seconds = min(2 * poll_seconds, LONGEST_POLL_SECONDS)
        finally:
            self._bells.unwant_room(queue, bell)


def _part(messages: Encoded, start: int) -> slice:
    """Return which messages go into one request, from the first that is not stored."""
    most = messages.frames[start : start + MOST_MESSAGES]
    if sum(map(len, most)) > MOST_BYTES:
        sizes = accumulate(map(len, most))
        most = most[: max(1, sum(1 for _ in takewhile(MOST_BYTES.__ge__, sizes)))]
    return slice(start, start + len(most))
