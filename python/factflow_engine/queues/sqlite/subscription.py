"""A consumer of one line: claims batches under leases, renews them, settles them.

Kept separate from the provider because a consumer has a state of its own: its unsettled messages.
"""

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import trio

from factflow_engine.error_texts import describe
from factflow_engine.queues.sqlite.bells import Bell, Bells
from factflow_engine.queues.sqlite.claiming import Claim, Claimed, SqliteDelivery
from factflow_engine.queues.sqlite.looking import Peek, depth_of, leased_elsewhere, peek
from factflow_engine.queues.sqlite.publishing import publish_requests
from factflow_engine.queues.sqlite.settling import PublishAndSettle, Release, Renew, Settle, Settled
from factflow_engine.queues.sqlite.state_changes import Change, lost_error
from factflow_engine.queues.sqlite.store import Look
from factflow_engine.queues.sqlite.unsettled import Unsettled
from factflow_engine.queues.sqlite.writer import Writer
from factflow_engine.seams import Clock
from factflow_protocols import (
    Delivery,
    LeasedElsewhere,
    Nack,
    QueueClosedError,
    QueueError,
    QueueMessage,
    StateChange,
    SubscriptionStatistics,
)

logger = logging.getLogger("factflow_engine.queues")

FIRST_POLL_SECONDS: Final = 0.01
LONGEST_POLL_SECONDS: Final = 0.25
"""Longest interval at which an idle consumer polls for changes by other processes."""

_MOST: Final = 1_000
"""Most messages claimed at a time."""


class SqliteSubscription:
    """See `factflow_protocols.Subscription` for the contract."""

    def __init__(
        self,
        queue: str,
        subscription: str,
        line: int,
        prefetch: int,
        *,
        in_order: bool,
        lease_seconds: float,
        writer: Writer,
        bells: Bells,
        clock: Clock,
        tell_arrived: Callable[[Mapping[int, int]], None],
    ) -> None:
        self._queue = queue
        self._subscription = subscription
        self._line = line
        self._prefetch = prefetch
        self._in_order = in_order
        self._lease_seconds = lease_seconds
        self._writer = writer
        self._bells = bells
        self._clock = clock
        self._tell_arrived = tell_arrived  # of the numbers of messages that were published, by line
        self._bell = Bell()
        self._unsettled = Unsettled(queue, lease_seconds)
        self._over: QueueError | None = None  # the reason why nothing can be received any more
        self._isolates = False
        self._alone = False  # True if unsettled messages must be settled before the next claim
        self._waiting = 0  # the messages that this process knows of
        self._redelivered = 0
        bells.listen(line, self._bell)

    @property
    def line(self) -> int:
        """Id of its line when it subscribed."""
        return self._line

    async def receive(self, max_messages: int) -> Sequence[SqliteDelivery]:
        """See `Subscription.receive`; a batch has at most 1,000 messages, and at most 16 MiB unless it is one."""
        if max_messages < 1:
            raise ValueError(f"receive() needs room for at least one message, got max_messages={max_messages}")
        poll_seconds = FIRST_POLL_SECONDS
        found = True  # True if a claim is worth a transaction
        next_due_ns: int | None = None
        while True:
            if self._over is not None:
                await trio.lowlevel.checkpoint()
                raise self._over
            rings = self._bell.rings
            self._alone = self._alone and bool(self._unsettled)
            room = 0 if self._alone else min(max_messages, self._prefetch - len(self._unsettled), _MOST)
            if room <= 0:
                await self._bell.wait(rings, math.inf)
                continue
            if found:
                claim = Claim(
                    self._queue,
                    self._subscription,
                    self._line,
                    room,
                    unsettled=len(self._unsettled) if self._isolates else None,
                    in_order_beside=frozenset(self._unsettled.tokens()) if self._in_order else None,
                )
                claimed = await self._writer.submit(claim)
                self._waiting, self._alone = claimed.waiting, claimed.alone
                if claimed.deliveries:
                    return self._take(claimed)
                if claimed.alone:
                    continue
                next_due_ns = claimed.next_due_ns
            if await self._bell.wait(rings, self._pause(poll_seconds, next_due_ns, claimed=found)):
                found, poll_seconds = True, FIRST_POLL_SECONDS
            else:
                looked = await self._peek()
                found, next_due_ns = looked.ready, looked.next_due_ns
                poll_seconds = min(2 * poll_seconds, LONGEST_POLL_SECONDS)

    async def settle(
        self, acks: Sequence[Delivery], nacks: Sequence[Nack] = (), *, change: StateChange | None = None
    ) -> None:
        """See `StateSubscription.settle`; without a change, messages of expired leases are skipped, and logged."""
        if change is not None:
            self._require_mine(acks, change)
        acked = self._unsettled.tokens_of(acks)
        returned: dict[int, tuple[int, float, bool]] = {}
        for nack in nacks:
            delivery = self._unsettled.mine(nack.delivery)
            if delivery is not None and delivery.seq not in acked:
                returned[delivery.seq] = (delivery.token, nack.delay_seconds, nack.counts)
        if not (acked or returned or change):
            await trio.lowlevel.checkpoint()
            return
        tokens = acked | {seq: token for seq, (token, _, _) in returned.items()}
        with self._unsettled.settling(tokens):
            settled = await self._writer.submit(
                Settle(self._queue, self._line, acked, returned, self._covering(change))
            )
        self._waiting += sum(not delay > 0 for _, delay, _ in returned.values())
        self._note_settled(tokens, settled)
        if returned:
            self._bells.arrived(self._line)

    async def publish_and_settle(
        self, publications: Sequence[tuple[str, Sequence[QueueMessage]]], acks: Sequence[Delivery]
    ) -> bool:
        """See `TransactionalSubscription.publish_and_settle`; one step has at most 4,000 messages and 4 MiB.

        Raises:
            QueueError: A message cannot be stored, or the file cannot be used; nothing was done.
        """
        if self._over is not None:
            await trio.lowlevel.checkpoint()
            raise self._over
        requests = publish_requests(publications)
        if requests is None:
            await trio.lowlevel.checkpoint()
            return False
        acked = self._unsettled.tokens_of(acks)
        with self._unsettled.settling(acked):
            done = await self._writer.submit(PublishAndSettle(requests, Settle(self._queue, self._line, acked, {})))
        if done is None:
            return False
        added, settled = done
        self._tell_arrived(added)
        self._note_settled(acked, settled)
        return True

    def statistics(self) -> SubscriptionStatistics:
        """See `Subscription.statistics`; `delays` is as of the last batch, plus what this process did since."""
        return SubscriptionStatistics(
            waiting=self._waiting, unsettled=len(self._unsettled), redelivered=self._redelivered
        )

    def isolate_suspects(self) -> None:
        """See `IsolatingSubscription`."""
        self._isolates = True

    async def depth(self) -> int:
        """See `Subscription.depth`; counted in the file, whichever consumer has the messages."""
        return await self._writer.submit(
            Look(lambda store: depth_of(store, self._queue, self._subscription), self._queue)
        )

    async def leased_elsewhere(self) -> LeasedElsewhere:
        """See `LeasingSubscription`; what was returned with a delay counts, too."""
        own = len(self._unsettled)
        return await self._writer.submit(
            Look(lambda store: leased_elsewhere(store, self._queue, self._subscription, own=own), self._queue)
        )

    def added(self, count: int) -> None:
        """Count messages that this process published to the line."""
        self._waiting += count

    def end(self, problem: str) -> None:
        """Receive nothing any more, because it was closed."""
        self._end(QueueClosedError(self._queue, problem))

    async def renew(self) -> None:
        """Renew the leases until cancelled.

        A failure is logged, and renewal is retried until the leases expire, unless it is not a `QueueError`; the
        subscription has then ended, and its next `receive` raises.
        """
        alive = trio.current_time()  # the last time at which the leases were known to be valid
        while True:
            await trio.sleep(self._lease_seconds / 3)
            asked, tokens = trio.current_time(), self._unsettled.tokens()
            try:
                if tokens:
                    expected = len(self._unsettled)
                    holds = await self._writer.submit(Renew(self._queue, self._line, tokens))
                    if sum(hold.size for hold in holds) < expected and self._unsettled.drop_lost(tokens, holds):
                        self._bell.ring()
            except QueueError as error:
                logger.warning("queue %r: the leases of a consumer were not renewed: %s", self._queue, error)
                if trio.current_time() - alive >= self._lease_seconds:
                    self._end(error)
                    return
            except Exception as error:
                logger.exception("queue %r: the leases of a consumer are not renewed any more", self._queue)
                failure = QueueError(self._queue, f"the leases cannot be renewed: {describe(error)}")
                failure.__cause__ = error
                self._end(failure)
                return
            else:
                alive = asked

    async def release(self) -> None:
        """Give back unsettled messages, at once, with no attempt spent; nothing can be received or settled then."""
        self._bells.unlisten(self._line, self._bell)
        self.end("its subscription was closed")
        tokens = self._unsettled.tokens()
        self._unsettled.clear()
        if tokens:
            with trio.CancelScope(shield=True):
                await self._writer.submit(Release(self._queue, self._line, tokens))
            self._bells.arrived(self._line)

    def _end(self, error: QueueError) -> None:
        if self._over is None:
            self._over = error
        self._bell.ring()

    def _take(self, claimed: Claimed) -> Sequence[SqliteDelivery]:
        self._unsettled.take(claimed.deliveries)
        self._redelivered += claimed.again
        return claimed.deliveries

    async def _peek(self) -> Peek:
        return await self._writer.submit(
            Look(lambda store: peek(store, self._queue, self._subscription, self._line), self._queue)
        )

    def _pause(self, poll_seconds: float, next_due_ns: int | None, *, claimed: bool) -> float:
        """Return the seconds to wait before the next check: until the next poll, or until something is due before it.

        Never zero after a claim that found nothing: a message that is due and not handed out is wrong in the file, and
        stays.
        """
        if next_due_ns is None:
            return poll_seconds
        least = FIRST_POLL_SECONDS if claimed else 0.0
        return min(poll_seconds, max(least, (next_due_ns - self._clock.wall_ns()) / 1e9))

    def _note_settled(self, tokens: Mapping[int, int], settled: Settled) -> None:
        """Drop what was settled, and notify this consumer, and publishers, of the room."""
        saturated = len(self._unsettled) >= self._prefetch
        before = len(self._unsettled)
        self._unsettled.drop(tokens)
        self._unsettled.report_lost(before - len(self._unsettled) - settled.gone - settled.back)
        if saturated or self._alone:
            self._bell.ring()
        if settled.gone:
            self._bells.left(self._queue)

    def _covering(self, change: StateChange | None) -> Change | None:
        if change is None:
            return None
        covered = {
            delivery.seq: delivery.token
            for delivery in map(self._unsettled.mine, change.covered)
            if delivery is not None
        }
        return Change(change, covered)

    def _require_mine(self, acks: Sequence[Delivery], change: StateChange) -> None:
        """Check that everything that a state covers is this consumer's.

        Raises:
            QueueError: Another consumer has some of it.
        """
        lost = sum(self._unsettled.mine(delivery) is None for delivery in (*acks, *change.covered))
        if lost:
            raise lost_error(self._queue, lost)
