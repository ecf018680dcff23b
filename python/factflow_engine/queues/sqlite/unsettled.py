"""Unsettled deliveries of a consumer, under the leases that it has.

Kept separate from the subscription because a lease is lost whatever the consumer does: deliveries that others took, or
that were handed out again under another lease, are told apart here from those that are still its own.
"""

import logging
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from operator import attrgetter, is_
from typing import Final

from factflow_engine.queues.sqlite.claiming import SqliteDelivery
from factflow_engine.queues.sqlite.holds import Hold
from factflow_protocols import Delivery

logger = logging.getLogger("factflow_engine.queues")

_SEQ: Final = attrgetter("seq")
_TOKEN: Final = attrgetter("token")


class Unsettled(dict[int, SqliteDelivery]):
    """Unsettled deliveries by sequence number.

    Args:
        queue: Name of the queue, for the log.
        lease_seconds: Time for which deliveries are leased, for the log.
    """

    __slots__ = ("_lease_seconds", "_queue", "_settling")

    def __init__(self, queue: str, lease_seconds: float) -> None:
        super().__init__()
        self._queue = queue
        self._lease_seconds = lease_seconds
        self._settling: list[Collection[int]] = []  # sequence numbers in settlements under way

    def take(self, deliveries: Sequence[SqliteDelivery]) -> None:
        """Add deliveries; reports those that the consumer had lost without noticing, and got again."""
        expected = len(self) + len(deliveries)
        self.update(zip(map(_SEQ, deliveries), deliveries, strict=True))
        self.report_lost(expected - len(self))

    @contextmanager
    def settling(self, numbers: Collection[int]) -> Iterator[None]:
        """Count these sequence numbers as being settled: they lose their leases thereby."""
        self._settling.append(numbers)
        try:
            yield
        finally:
            self._settling.remove(numbers)

    def drop(self, tokens: Mapping[int, int]) -> None:
        """Forget what was settled, unless it was handed out again meanwhile, under another lease."""
        held = list(map(self.get, tokens))
        if None not in held and list(map(_TOKEN, held)) == list(tokens.values()):  # as a rule
            for seq in tokens:
                del self[seq]
            return
        for (seq, token), delivery in zip(tokens.items(), held, strict=True):
            if delivery is not None and delivery.token == token:
                del self[seq]

    def tokens_of(self, deliveries: Sequence[Delivery]) -> dict[int, int]:
        """Return the lease of each delivery that is not settled yet, by sequence number; others are passed over."""
        if set(map(type, deliveries)) == {SqliteDelivery}:  # all are this provider's, as a rule
            numbers = list(map(_SEQ, deliveries))
            if all(map(is_, map(self.get, numbers), deliveries)):
                return dict(zip(numbers, map(_TOKEN, deliveries), strict=True))
        return {delivery.seq: delivery.token for delivery in map(self.mine, deliveries) if delivery is not None}

    def mine(self, delivery: Delivery) -> SqliteDelivery | None:
        """Return the delivery if it is unsettled; None if it is settled, or another subscription's."""
        if isinstance(delivery, SqliteDelivery) and self.get(delivery.seq) is delivery:
            return delivery
        return None

    def drop_lost(self, tokens: Sequence[int], holds: Sequence[Hold]) -> bool:
        """Drop the deliveries that have lost these leases, unless they are being settled; True if there were any."""
        asked, covered = set(tokens), {(seq, hold.token) for hold in holds for seq in range(hold.low, hold.high + 1)}
        lost = [
            seq
            for seq, delivery in self.items()
            if delivery.token in asked
            and (seq, delivery.token) not in covered
            and not any(seq in settling for settling in self._settling)
        ]
        for seq in lost:
            del self[seq]
        self.report_lost(len(lost))
        return bool(lost)

    def report_lost(self, count: int) -> None:
        """Log how many deliveries were lost, if any were."""
        if count > 0:
            logger.warning(
                "queue %r: %d messages that a consumer had are no longer its own: they were handed out again, since it was "
                "blocked or the file was locked for longer than the lease of %g s, or they were purged",
                self._queue,
                count,
                self._lease_seconds,
            )

    def tokens(self) -> list[int]:
        """Return the leases that the consumer has."""
        return sorted({delivery.token for delivery in self.values()})
